//! The distance between what a machine computes and what the formula means.
//!
//! For a dot product of `n` terms evaluated in any order, with or without fused multiply-add, and with gradual
//! underflow,
//!
//! $$ |\mathrm{fl}(x·y) - x·y| \le γ_n\, |x|·|y| + nη, \qquad γ_n = \frac{nu}{1 - nu}, $$
//!
//! while nothing overflows; a sum that is split into `c` chunks of `m` terms, in any order inside a chunk and between
//! chunks, has `γ_{m+c}` in place of `γ_n`.
//!
//! Sources: Higham, *Accuracy and stability of numerical algorithms* (2002), section 3.1; Jeannerod, Rump, *Improved
//! error bounds for inner products in floating-point arithmetic*, SIAM J. Matrix Anal. Appl. 34 (2013).

use super::directed::{add_up, div_up, gamma, mul_up, sub_down};
use crate::scalar::Scalar;

/// The order of summation that a bound holds for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Summation {
    /// Every order: `n` terms have the constant `γ_n`.
    Any,
}

/// The rounding errors of one number format under one order of summation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rounding {
    u: f64,
    eta: f64,
    largest: f64,
    scalar: &'static str,
    summation: Summation,
}

impl Rounding {
    /// The rounding of `T` for sums in the order of `summation`.
    pub fn of<T: Scalar>(summation: Summation) -> Self {
        Self { u: T::UNIT_ROUNDOFF, eta: T::SMALLEST, largest: T::LARGEST, scalar: T::NAME, summation }
    }

    /// `γ` of a dot product of `terms` terms.
    pub fn dot(&self, terms: usize) -> f64 {
        match self.summation {
            Summation::Any => gamma(terms, self.u),
        }
    }

    /// What underflow may add to a dot product of `terms` terms: `nη`.
    pub fn underflow(&self, terms: usize) -> f64 {
        mul_up(terms as f64, self.eta)
    }

    /// The unit roundoff `u`.
    pub fn unit(&self) -> f64 {
        self.u
    }

    /// A bound of an exact sum of `terms` products `≥ 0`, or of its norm, from its computed value.
    ///
    /// `computed ≥ (1 − γ)·exact − nη`, so `exact ≤ (computed + nη)/(1 − γ)`; `terms` counts every rounding on the way.
    pub fn enlarge(&self, computed: f64, terms: usize) -> f64 {
        let computed = add_up(computed, self.underflow(terms));
        div_up(computed, sub_down(1.0, gamma(terms, self.u)))
    }

    /// `error`, if nothing that is at most `magnitude` overflows; infinity, which certifies nothing, if it may.
    pub fn unless_overflow(&self, magnitude: f64, error: f64) -> f64 {
        // Half of the range is left for the rounding of intermediate results.
        if magnitude < self.largest / 2.0 { error } else { f64::INFINITY }
    }

    /// `"f32"` or `"f64"`.
    pub fn scalar(&self) -> &'static str {
        self.scalar
    }
}
