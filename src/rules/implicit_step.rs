//! A step of an implicit method: its stages exist, are unique, and how far they are from what solves them nearly.
//!
//! For a field with `⟨Δf, Δx⟩ ≤ μ‖Δx‖²`, `‖Δf‖ ≤ ℓ‖Δx‖` and a block of stages with the inverse `C` of its part of `A`, let
//! `ρᵢ = Xᵢ − x − h Σⱼ aᵢⱼ f(Xⱼ)` be the residual of any `X`. With weights `δ` and `α` as in
//! [`crate::tableau::Stages`] and `hμ < α`, the exact stages are unique (and exist: Hairer, Wanner, theorem IV.14.2), and
//!
//! ```math
//! \sum_i δ_i^2 \|ΔX_i\|^2 \le \Bigl(\frac{\|δCδ^{-1}\|}{α - hμ}\Bigr)^2 \sum_i δ_i^2
//!    \Bigl(\|ρ_i\| + |h|ℓ \sum_j |a_{ij}| \|ΔX_j\|\Bigr)^2,
//! ```
//!
//! the sum being over the stages `j` of earlier blocks. Two runs from points that are `‖Δx‖` apart differ by a residual of that
//! norm, so every stage is a Lipschitz function of the point, and so is the end `x₁ = x + Σ dᵢ(Xᵢ − x)` with `Aᵀd = b`. For the
//! implicit Euler method it is `1/(1 − hμ)`, sharp; for `μ ≤ 0` that step is a resolvent, and averaged with `α = 1/2`. Of other
//! methods it is used where [`super::stage_multipliers`] and [`super::algebraic_stability`] prove nothing.
//!
//! Sources: Dahlquist (1958); Hairer, Wanner, *Solving ordinary differential equations II* (1996), IV.14 and IV.15.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use super::{Numbers, require};
use crate::{
    certificate::Claims,
    error::{Error, Result},
    model::Step,
    rigor::{
        Upper,
        directed::{add_up, div_up, mul_up, sqrt_up, sub_down},
    },
    tableau::{Stages, Surd, Tableau},
};

/// Returns the claims about one step, from those about the field.
///
/// # Errors
/// [`Error::Format`] for an explicit method, [`Error::NotProved`] if `hμ < α` is not proved or the factor overflows,
/// [`Error::Tableau`] as [`Tableau::stage_blocks`].
pub fn bound(step: Step<'_>, field: &Numbers) -> Result<Claims> {
    let tableau = step.method.tableau()?;
    require(!tableau.is_explicit(), "the rule is one for implicit methods")?;
    let motion = Motion::new(&tableau, step.length, field)?;
    let factor = Upper::proved(motion.lipschitz()).finite("the factor of a step")?;
    let resolvent = tableau.is_implicit_euler() && step.length >= 0.0 && motion.hmu <= 0.0;
    Ok(Claims { averaged: resolvent.then(|| Upper::proved(0.5)), ..Claims::lipschitz(factor) })
}

/// Whether the equations of a step are proved to have one solution: what every claim about it is about.
///
/// # Errors
/// As [`bound`].
pub(super) fn is_solvable(step: Step<'_>, field: &Numbers) -> Result<()> {
    let tableau = step.method.tableau()?;
    if tableau.is_explicit() { Ok(()) } else { Motion::new(&tableau, step.length, field).map(|_| ()) }
}

/// What of a method counts.
#[derive(Debug)]
struct Sizes {
    stages: Stages,
    /// Bounds of the magnitudes of `A` and `b`.
    a: Vec<Vec<f64>>,
    b: Vec<f64>,
    /// Bounds of `|dᵢ|`, and of `|1 − Σ dᵢ|`.
    end: Vec<f64>,
    rest: f64,
}

/// What was derived of methods: exact arithmetic takes milliseconds, and every proof of a step asks again.
static KNOWN: Mutex<VecDeque<(Tableau, Arc<Sizes>)>> = Mutex::new(VecDeque::new());
/// How many are remembered.
const REMEMBERED: usize = 32;

impl Sizes {
    fn of(tableau: &Tableau) -> Result<Arc<Self>> {
        if let Ok(known) = KNOWN.lock()
            && let Some((_, sizes)) = known.iter().find(|(known, _)| known == tableau)
        {
            return Ok(Arc::clone(sizes));
        }
        let stages = tableau.stage_blocks()?;
        let above = |row: &[Surd]| row.iter().map(|x| x.abs().upper()).collect::<Vec<f64>>();
        let a = tableau.a().iter().map(|row| above(row)).collect();
        let rest = (&Surd::from(1) - &stages.end.iter().cloned().sum::<Surd>()).abs().upper();
        let sizes = Arc::new(Self { a, b: above(tableau.b()), end: above(&stages.end), rest, stages });
        if let Ok(mut known) = KNOWN.lock() {
            known.truncate(REMEMBERED - 1);
            known.push_front((tableau.clone(), Arc::clone(&sizes)));
        }
        Ok(sizes)
    }
}

/// How the stages of a step move.
#[derive(Debug)]
pub(crate) struct Motion {
    method: Arc<Sizes>,
    /// Bounds of `hμ` and `|h|ℓ`.
    hmu: f64,
    hl: f64,
    /// `‖δCδ⁻¹‖/(α − hμ)`, block by block; 1 for an explicit stage.
    factors: Vec<f64>,
}

impl Motion {
    /// Returns the motion of the stages of a step of length `h`.
    ///
    /// # Errors
    /// As [`bound`].
    pub(crate) fn new(tableau: &Tableau, h: f64, field: &Numbers) -> Result<Self> {
        let method = Sizes::of(tableau)?;
        let l = field.bound.max(0.0);
        // A step backwards is one of −f, of which only ℓ is known.
        let mu = field.one_sided_lipschitz.filter(|_| h >= 0.0).map_or(l, |mu| mu.min(l));
        let (hmu, hl) = (mul_up(h.abs(), mu), mul_up(h.abs(), l));
        let mut factors = Vec::new();
        for block in &method.stages.blocks {
            let Some(solvable) = &block.solvable else {
                factors.push(1.0);
                continue;
            };
            let room = sub_down(solvable.alpha.get(), hmu);
            let factor = div_up(solvable.inverse.get(), room);
            if !(room > 0.0 && factor.is_finite()) {
                let what = format!("that a step of {} of length {h} exists", tableau.name());
                let reason = format!("it needs hμ < {}, and no more is known than hμ ≤ {hmu}", solvable.alpha.get());
                return Err(Error::not_proved(what, reason));
            }
            factors.push(factor);
        }
        Ok(Self { method, hmu, hl, factors })
    }

    /// Bounds of `‖ΔXᵢ‖` for stages whose equations are left with `residuals`, and beyond these, in each block that is solved,
    /// with something whose norm over the block is at most `tolerance`.
    pub(crate) fn stages(&self, tolerance: f64, residuals: &[f64]) -> Vec<f64> {
        let mut moved: Vec<f64> = Vec::with_capacity(residuals.len());
        for (block, &factor) in self.method.stages.blocks.iter().zip(&self.factors) {
            let inherited = |i: usize| {
                let sum = self.method.a[i].iter().zip(&moved).map(|(&a, &e)| mul_up(a, e)).fold(0.0, add_up);
                add_up(residuals[i], mul_up(self.hl, sum))
            };
            let own: Vec<f64> = block.stages.clone().map(inherited).collect();
            let Some(solvable) = &block.solvable else {
                moved.extend(own);
                continue;
            };
            let squares = own.iter().zip(&solvable.weights).map(|(&e, &w)| mul_up(w, e));
            // The weights are at most 1.
            let norm = add_up(tolerance, sqrt_up(squares.map(|x| mul_up(x, x)).fold(0.0, add_up)));
            let norm = if let [one] = own[..] { add_up(tolerance, one) } else { norm };
            moved.extend(solvable.weights.iter().map(|&w| div_up(mul_up(factor, norm), w)));
        }
        moved
    }

    /// Returns a bound of `‖Δx₁‖` for the end of stages that are so far off, from points that are `start` apart.
    pub(crate) fn end(&self, start: f64, stages: &[f64]) -> f64 {
        self.method.end.iter().zip(stages).map(|(&d, &e)| mul_up(d, e)).fold(mul_up(self.method.rest, start), add_up)
    }

    /// Returns a Lipschitz constant of the step: by its end as a combination of stages, or of slopes.
    fn lipschitz(&self) -> f64 {
        let stages = self.stages(0.0, &vec![1.0; self.method.a.len()]);
        let slopes = self.method.b.iter().zip(&stages).map(|(&b, &s)| mul_up(b, s)).fold(0.0, add_up);
        self.end(1.0, &stages).min(add_up(1.0, mul_up(self.hl, slopes)))
    }
}
