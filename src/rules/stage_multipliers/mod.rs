//! Stage multipliers: one quadratic form bounds a step of any Runge–Kutta method.
//!
//! For two runs of a step, let `Δx` be the difference of their beginnings, `ΔXᵢ` of their stages, and `Ψᵢ = hΔf(Xᵢ)` that
//! of the field's values, times the step:
//!
//! ```math
//! ΔX_i = Δx + \sum_j a_{ij} Ψ_j, \qquad Δx_1 = Δx + \sum_i b_i Ψ_i.
//! ```
//!
//! The field satisfies inequalities `p‖Ψᵢ‖² + 2q⟨Ψᵢ, ΔXᵢ⟩ + r‖ΔXᵢ‖² ≤ 0` at every stage:
//!
//! | what is claimed of the field | `p` | `q` | `r` |
//! |---|---|---|---|
//! | a gradient, curvature times the step in `[a, b]` | 1 | `(a + b)/2` | `ab` |
//! | `⟨Ψ, ΔX⟩ ≤ m‖ΔX‖²` | 0 | 1/2 | `−m` |
//! | `‖Ψ‖ ≤ l‖ΔX‖` | 1 | 0 | `−l²` |
//! | `⟨Ψ, ΔX⟩ ≤ −c‖Ψ‖²` | `c` | 1/2 | 0 |
//!
//! If multipliers `tᵢ ≥ 0`, for each of several of these inequalities, make the form
//!
//! ```math
//! S(x, ψ) = ρ^2 x^2 - \Bigl(x + \sum_i b_i ψ_i\Bigr)^2 + \sum_i t_i \bigl(p\, ψ_i^2 + 2q\, ψ_i ξ_i + r\, ξ_i^2\bigr),
//!    \qquad ξ_i = x + \sum_j a_{ij} ψ_j,
//! ```
//!
//! in `s + 1` real variables positive semidefinite, the step is `ρ`-Lipschitz in every inner product space: at `(Δx, Ψ)`
//! the form is not negative, and the brackets are not positive. For an implicit method it is the step with its stage
//! equations solved exactly. Nothing is asked of the weights `b` or of the sign of `h`, so methods without a radius of
//! contractivity and steps beyond it have a constant, too: one a little above 1.
//!
//! The multipliers are the evidence, and any solver may propose them. The constants of the inequalities are evidence as
//! well: that the field satisfies them follows from what is claimed of it, by one comparison each, so that a weaker claim
//! about the field can never prove more about the step.
//!
//! Sources: the form for `ρ = 1` and cocoercive fields is that of Dahlquist, Jeltsch, BIT 46 (2006); the inequality of
//! gradients is (2.1.24) of Nesterov, *Lectures on convex optimization* (2018); for interpolation by such inequalities see
//! Taylor, Hendrickx, Glineur, Math. Program. 161 (2017).

mod form;
mod search;

use std::{collections::VecDeque, sync::Mutex};

use super::{Numbers, require};
use crate::{
    certificate::{Claims, Evidence, Inequality, StageInequality},
    error::{Error, Result},
    model::Step,
    rigor::{
        Upper,
        directed::{div_down, mul_down, mul_up},
    },
    tableau::Tableau,
};
use form::Coefficients;

/// Returns the claims about one step that multipliers prove: `claimed`, or none.
///
/// # Errors
/// [`Error::Format`] for evidence that does not suit the step, [`Error::NotProved`] if it proves less.
pub fn bound(step: Step<'_>, field: &Numbers, evidence: &Evidence, claimed: f64) -> Result<Claims> {
    let Evidence::Stages(inequalities) = evidence else {
        return Err(Error::format("the evidence of stage multipliers is inequalities with their multipliers"));
    };
    let coefficients = Coefficients::of(&step.method.tableau()?);
    for StageInequality { inequality, multipliers } in inequalities {
        require(multipliers.len() == coefficients.stages(), "there must be one multiplier for each stage")?;
        require(multipliers.iter().all(|t| t.is_finite() && *t >= 0.0), "a multiplier is not negative")?;
        require(follows(inequality, step.length, field), "an inequality does not follow from the field's constants")?;
    }
    require(claimed >= 0.0 && claimed.is_finite(), "a Lipschitz bound is not negative")?;
    if coefficients.prove(inequalities, claimed) {
        return Ok(Claims::lipschitz(Upper::proved(claimed)));
    }
    Err(Error::not_proved("the factor of a step", "the form of its multipliers is not proved positive semidefinite"))
}

/// Returns whether the field satisfies an inequality, from what is claimed of it. No comparison holds with a NaN.
fn follows(inequality: &Inequality, h: f64, field: &Numbers) -> bool {
    match *inequality {
        Inequality::Curvature([a, b]) => curvatures(h, field).is_some_and(|[least, most]| a <= least && most <= b),
        Inequality::OneSided(m) => one_sided(h, field) <= m,
        Inequality::Lipschitz(l) => mul_up(h.abs(), field.bound) <= l,
        Inequality::Cocoercive(c) => cocoercive(h, field).is_some_and(|most| c <= most),
    }
}

/// Returns the least and the largest `hλ` for curvatures `λ`, if the field is a gradient.
fn curvatures(h: f64, field: &Numbers) -> Option<[f64; 2]> {
    let (smallest, largest) = (field.strong_convexity?, field.bound);
    let (least, most) = if h >= 0.0 { (smallest, largest) } else { (largest, smallest) };
    Some([mul_down(h, least), mul_up(h, most)])
}

/// Returns the least known `m` with `⟨Ψ, ΔX⟩ ≤ m‖ΔX‖²`. Backwards, only the Lipschitz constant says something.
fn one_sided(h: f64, field: &Numbers) -> f64 {
    let mu = field.one_sided_lipschitz.filter(|_| h >= 0.0).map_or(field.bound, |mu| mu.min(field.bound));
    mul_up(h.abs(), mu)
}

/// Returns the largest known `c` with `⟨Ψ, ΔX⟩ ≤ −c‖Ψ‖²`. It says nothing of a step backwards.
fn cocoercive(h: f64, field: &Numbers) -> Option<f64> {
    field.cocoercivity.filter(|_| h > 0.0).map(|nu| div_down(nu, h))
}

/// Searches multipliers for one step of any method, explicit or implicit; none if no more than a Lipschitz constant is known
/// of the field, for which [`super::lipschitz_step`] is as sharp, or if the search finds none.
pub fn propose(step: Step<'_>, field: &Numbers) -> Option<(Claims, Evidence)> {
    let inequalities = inequalities(step.length, field)?;
    let tableau = step.method.tableau().ok()?;
    let prove = |(bound, found): (f64, Vec<StageInequality>)| {
        let evidence = Evidence::Stages(found);
        self::bound(step, field, &evidence, bound).ok().map(|claims| (claims, evidence))
    };
    let key = (tableau.clone(), inequalities.clone());
    if let Some(found) = remembered(&key) {
        return prove(found);
    }
    for candidate in search::candidates(&Coefficients::of(&tableau), &inequalities) {
        if let Some(proved) = prove(candidate.clone()) {
            remember(key, candidate);
            return Some(proved);
        }
    }
    None
}

/// A method, and what is known of a field.
type Key = (Tableau, Vec<Inequality>);
/// A bound and its multipliers.
type Found = (f64, Vec<StageInequality>);

/// What searches found: the same flow is proved again wherever it is sealed, certified or tested. It is proved from the
/// multipliers each time, so nothing rests on what is remembered.
static FOUND: Mutex<VecDeque<(Key, Found)>> = Mutex::new(VecDeque::new());
/// How many are remembered.
const REMEMBERED: usize = 64;

fn remembered(key: &Key) -> Option<Found> {
    let found = FOUND.lock().ok()?;
    found.iter().find(|(known, _)| known == key).map(|(_, found)| found.clone())
}

fn remember(key: Key, found: Found) {
    if let Ok(mut all) = FOUND.lock() {
        all.truncate(REMEMBERED - 1);
        all.push_front((key, found));
    }
}

/// The numbers that a search deals with.
const LARGEST: f64 = f64::from_bits((1023 + 20) << 52);
const SMALLEST: f64 = f64::from_bits((1023 - 100) << 52);

/// Returns the inequalities that are known of a field, with constants in the range of the search. None if no more than
/// a Lipschitz constant is known: then [`super::lipschitz_step`] is as sharp.
fn inequalities(h: f64, field: &Numbers) -> Option<Vec<Inequality>> {
    let l = mul_up(h.abs(), field.bound).max(SMALLEST);
    if l.is_nan() || l > LARGEST {
        return None;
    }
    if let Some([a, b]) = curvatures(h, field) {
        return Some(vec![Inequality::Curvature(if h >= 0.0 { [a, b.max(SMALLEST)] } else { [a.min(-SMALLEST), b] })]);
    }
    let mut known = vec![Inequality::Lipschitz(l)];
    let m = one_sided(h, field);
    if m < l {
        known.push(Inequality::OneSided(m));
    }
    if let Some(c) = cocoercive(h, field).filter(|c| *c > SMALLEST) {
        known.push(Inequality::Cocoercive(c.min(1.0 / SMALLEST)));
    }
    (known.len() > 1).then_some(known)
}
