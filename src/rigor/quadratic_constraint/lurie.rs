//! Bounds of a field in Lur'e form, `f(x) = Cx + Bσ(Ax + b)`: its Lipschitz constant, its one-sided Lipschitz constant, its
//! cocoercivity, and the factor of an Euler step, each by multipliers of its own.
//!
//! They are four choices of one inequality: [`super::supply`]. A step of length `2ν` is non-expansive exactly if the field is
//! `ν`-cocoercive, and the one-sided constant is what is left of a step as its length tends to 0.
//!
//! Sources: Fazlyab et al., NeurIPS 2019; Revay, Wang, Manchester, *Recurrent equilibrium networks*, arXiv:2104.05942.

use faer::Mat;

use super::{
    Chain, LARGEST, SMALLEST, Stage, first_proved,
    multipliers::{Point, squared_norm},
    normalise, refuse,
    supply::{Free, LinearPart, Supply},
};
use crate::{
    error::{Error, Result},
    rigor::bound::{Lower, Upper},
};

/// How far a constant may be from the best one, relative to the Lipschitz constant.
const GAP: f64 = 1e-7;

/// `f(x) = Cx + Bσ(Ax + b)`, whose constants are proved in exact semantics: for the numbers that its matrices hold, and every function
/// by coordinates with slopes in the interval of the stage.
///
/// ```
/// use dahlquist::rigor::quadratic_constraint::{Lurie, Stage};
/// // x' = −2x + relu(x) has slopes in [−2, −1].
/// let stage = Stage { weight: faer::mat![[1.0]], slopes: [0.0, 1.0] };
/// let field = Lurie::new(Some(faer::mat![[-2.0]]), stage, faer::mat![[1.0]])?;
/// let (mu, multipliers) = field.search_one_sided().expect("a proof");
/// assert!((-1.0..-0.9999).contains(&mu.get()));
/// assert!(field.one_sided(-1.1, &multipliers).is_err());
/// let (nu, _) = field.search_cocoercive(&multipliers).expect("a proof");
/// assert!(nu.get() <= 0.5 && nu.get() > 0.4999);
/// # Ok::<(), dahlquist::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Lurie {
    /// `Cx + Bs`, in units in which the largest entry of `B`, and that of `A`, lies in `[1, 2)`.
    chain: Chain,
}

impl Lurie {
    /// Returns the field with `C = linear`, `A` the matrix of `inner` and `B = outer`.
    ///
    /// # Errors
    /// [`Error::Length`] if the matrices do not fit, [`Error::NotProved`] for a zero `A` or `B`, numbers that are not
    /// finite, or a scale beyond what the proofs deal with.
    pub fn new(linear: Option<Mat<f64>>, inner: Stage, outer: Mat<f64>) -> Result<Self> {
        let (space, found) = (inner.weight.ncols(), outer.nrows());
        if space != found {
            return Err(Error::Length { what: "outer matrix of a field".into(), expected: space, found });
        }
        let mut chain = Chain::scaled(vec![inner], Some(outer))?;
        let is_zero = |c: &Mat<f64>| (0..c.ncols()).all(|j| (0..c.nrows()).all(|i| c[(i, j)] == 0.0));
        if let Some(mut matrix) = linear.filter(|c| !is_zero(c)) {
            if (matrix.nrows(), matrix.ncols()) != (space, space) {
                let found = if matrix.nrows() == space { matrix.ncols() } else { matrix.nrows() };
                return Err(Error::Length { what: "linear part of a field".into(), expected: space, found });
            }
            let unit = libm::scalbn(1.0, normalise(&mut matrix)? - chain.exponent);
            chain.supply.linear = Some(LinearPart { matrix, unit });
        }
        Ok(Self { chain })
    }

    /// Returns the number of coordinates and of neurons: the size of the matrices that are proved.
    pub fn size(&self) -> usize {
        self.chain.size()
    }

    /// Returns the field itself as a chain, whose bound is its Lipschitz constant.
    ///
    /// # Errors
    /// [`Error::NotProved`] for a scale beyond what the proof deals with.
    pub fn value(&self) -> Result<Chain> {
        self.bounded(0.0, 1.0, 0.0)
    }

    /// Returns the step `x ↦ x + hf(x)`.
    ///
    /// # Errors
    /// As [`Self::value`].
    pub fn step(&self, h: f64) -> Result<Chain> {
        let cross = self.scaled(h, 1).filter(|cross| (SMALLEST..=LARGEST).contains(&cross.abs()));
        let cross = cross.ok_or_else(|| refuse("its step is out of range"))?;
        Ok(Chain { exponent: 0, ..self.bounded(cross, cross * cross, 1.0)? })
    }

    /// Returns `mu`, if the multipliers prove `⟨Δf, Δx⟩ ≤ μ‖Δx‖²`.
    ///
    /// # Errors
    /// [`Error::NotProved`] if they do not, or if there is not one positive multiplier for each neuron.
    pub fn one_sided(&self, mu: f64, multipliers: &[f64]) -> Result<Upper> {
        let level = self.scaled(mu, -1).filter(|mu| mu.abs() <= LARGEST).map(|mu| 2.0 * mu);
        let level = level.ok_or_else(|| refuse("the one-sided Lipschitz constant is out of range"))?;
        if self.bounded(1.0, 0.0, 0.0)?.holds(level, &[multipliers.to_vec()])? {
            Ok(Upper::proved(mu))
        } else {
            Err(refuse(&format!("the multipliers do not prove the one-sided Lipschitz constant {mu}")))
        }
    }

    /// Returns `nu`, if the multipliers prove `⟨Δf, Δx⟩ ≤ −ν‖Δf‖²`.
    ///
    /// # Errors
    /// As [`Self::one_sided`].
    pub fn cocoercive(&self, nu: f64, multipliers: &[f64]) -> Result<Lower> {
        if self.averse(nu)?.holds(0.0, &[multipliers.to_vec()])? {
            Ok(Lower::proved(nu))
        } else {
            Err(refuse(&format!("the multipliers do not prove the cocoercivity {nu}")))
        }
    }

    /// Returns the least one-sided Lipschitz constant that a search proves, with its multipliers.
    pub fn search_one_sided(&self) -> Option<(Upper, Vec<f64>)> {
        let mut chain = self.bounded(1.0, 0.0, 0.0).ok()?;
        // κ ≥ −2‖f‖: the level that is minimised is positive.
        let size = self.estimate();
        chain.supply.shift = 4.0 * size;
        let Point { level, multipliers } = chain.minimise(chain.start()?, GAP)?;
        let mu = |gap: f64| libm::scalbn((level - chain.supply.shift + gap * size) / 2.0, self.chain.exponent);
        let mu = first_proved(|gap| self.one_sided(mu(gap), &multipliers)).ok()?;
        Some((mu, multipliers))
    }

    /// Returns the largest cocoercivity that a search proves of a field with `⟨Δf, Δx⟩ ≤ μ‖Δx‖²`, `μ < 0`, which the multipliers
    /// prove; with its own multipliers.
    pub fn search_cocoercive(&self, multipliers: &[f64]) -> Option<(Lower, Vec<f64>)> {
        let mut chain = self.bounded(1.0, 0.0, 0.0).ok()?;
        chain.supply.free = Free::Square;
        // b > 0 and κ = 0 are within what they prove, for a b that is small enough.
        let mut start = Point { level: -1.0 / self.estimate(), multipliers: multipliers.to_vec() };
        let is_inside = |point: &Point| chain.barrier(point, 1.0).is_some();
        for _ in 0..40 {
            if is_inside(&start) {
                break;
            }
            start.level /= 2.0;
        }
        let Point { level, multipliers } = is_inside(&start).then(|| chain.minimise(start, GAP))??;
        let nu = |gap: f64| libm::scalbn(-level * (1.0 - gap) / 2.0, -self.chain.exponent);
        let nu = first_proved(|gap| self.cocoercive(nu(gap), &multipliers)).ok()?;
        Some((nu, multipliers))
    }

    /// Returns the chain that says of a cocoercivity whether it is one.
    fn averse(&self, nu: f64) -> Result<Chain> {
        let square = self.scaled(nu, 1).map(|nu| 2.0 * nu).filter(|nu| (SMALLEST..=LARGEST).contains(nu));
        self.bounded(1.0, square.ok_or_else(|| refuse("the cocoercivity is out of range"))?, 0.0)
    }

    /// Returns the chain of which `2a⟨Δx, Δf⟩ + b‖Δf‖²` is bounded.
    fn bounded(&self, cross: f64, square: f64, shift: f64) -> Result<Chain> {
        let mut chain = self.chain.clone();
        if let Some(LinearPart { unit, .. }) = chain.supply.linear {
            // What assemble.rs relies on.
            let moderate = |x: f64| x == 0.0 || (SMALLEST * SMALLEST..=LARGEST * LARGEST).contains(&x.abs());
            let range = (SMALLEST..=LARGEST).contains(&unit);
            if !range || ![cross * unit, square * unit, square * unit * unit].into_iter().all(moderate) {
                return Err(refuse("its linear part is too far from the rest"));
            }
        }
        chain.supply = Supply { cross, square, shift, ..chain.supply };
        Ok(chain)
    }

    /// Returns `x · 2^(±e)`, if that is exact.
    fn scaled(&self, x: f64, sign: i32) -> Option<f64> {
        let scaled = libm::scalbn(x, sign * self.chain.exponent);
        (libm::scalbn(scaled, -sign * self.chain.exponent) == x && scaled.is_finite()).then_some(scaled)
    }

    /// Returns about the Lipschitz constant of the field, in the units of the chain, and not much less.
    fn estimate(&self) -> f64 {
        let Chain { stages, outer, supply, .. } = &self.chain;
        let [m, l] = stages[0].slopes;
        let norm = |w: &Mat<f64>| squared_norm(w).sqrt();
        let linear = supply.linear.as_ref().map_or(0.0, |part| part.unit * norm(&part.matrix));
        linear + l.max(-m) * norm(&stages[0].weight) * outer.as_ref().map_or(1.0, norm)
    }
}
