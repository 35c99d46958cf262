//! The distance between what a machine computes and what the formula means.
//!
//! For a dot product of `n` terms whose products pass through at most `d` roundings each on their way into the sum,
//! with or without fused multiply-add, and with gradual underflow,
//!
//! ```math
//! |\mathrm{fl}(x·y) - x·y| \le γ_d\, |x|·|y| + nη, \qquad γ_d = \frac{du}{1 - du},
//! ```
//!
//! while nothing overflows. In *any* order of summation `d = n`. An order that splits the sum into `c` chunks of `m`
//! terms, in any order inside a chunk, and adds the chunks pairwise has `d = m + ⌈log₂ c⌉`, one after the other
//! `d = m + c − 1`: a kernel that keeps to such an order *declares* it ([`crate::operator::Operator::depth`]).
//!
//! Sources: Higham, *Accuracy and stability of numerical algorithms* (2002), sections 3.1 and 4.2; Blanchard, Higham,
//! Mary, *A class of fast and accurate summation algorithms*, SIAM J. Sci. Comput. 42 (2020).

use serde::{Deserialize, Serialize};

use super::directed::{div_up, gamma, mul_up, sub_down};
use crate::scalar::Scalar;

/// The order of summation that a network runs in, and so the one that claims about it as executed are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Summation {
    /// Kernels may choose every order. Claims about the network as executed hold for every program that evaluates each
    /// dot product as a sum of its products, and each mean as a sum of its quotients, in any order, with or without fused
    /// multiply-add, in IEEE 754 arithmetic with rounding to nearest and gradual underflow. They do not hold for Winograd's method or the FFT, for TF32 or
    /// bfloat16, or where subnormal numbers are flushed to zero. A sum of `n` terms has the constant `γ_n`.
    #[default]
    Any,
    /// Kernels keep to the order that they declare. Claims about the network as executed are for the kernels of this
    /// crate in the version [`crate::certificate::KERNELS`], and a sum of 3072 terms has the constant `γ₇₀`.
    Declared,
}

/// The rounding errors of one number format.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rounding {
    u: f64,
    eta: f64,
    largest: f64,
    smooth: f64,
    scalar: &'static str,
}

impl Rounding {
    /// Returns the rounding of `T`.
    pub fn of<T: Scalar>() -> Self {
        let (u, smooth) = (T::UNIT_ROUNDOFF, T::SMOOTH_ERROR * T::UNIT_ROUNDOFF);
        Self { u, eta: T::SMALLEST, largest: T::LARGEST, smooth, scalar: T::NAME }
    }

    /// Returns `γ_d` of a dot product whose products pass through `depth` roundings each.
    pub fn dot(&self, depth: usize) -> f64 {
        gamma(depth, self.u)
    }

    /// Returns what underflow may add to a dot product of `terms` terms: `nη`.
    pub fn underflow(&self, terms: usize) -> f64 {
        mul_up(terms as f64, self.eta)
    }

    /// Returns the unit roundoff `u`.
    pub fn unit(&self) -> f64 {
        self.u
    }

    /// Returns the relative error of a smooth activation, [`Scalar::SMOOTH_ERROR`] units.
    pub fn smooth(&self) -> f64 {
        self.smooth
    }

    /// Returns `1/(1 − γ_d)`: a sum of products `≥ 0`, or a norm of several, is at most this many times what was
    /// computed of it with `depth` roundings for each product, where nothing underflows. With underflow, `computed ≥ (1
    /// − γ)·exact − underflow`.
    pub fn enlargement(&self, depth: usize) -> f64 {
        div_up(1.0, sub_down(1.0, gamma(depth, self.u)))
    }

    /// Returns whether magnitudes `‖|W||x|‖` are worth computing entry by entry, at the price of one more pass. In
    /// `f64` the bound `‖|W|‖‖x‖` costs nothing, and nobody sees the difference: both are about 10⁻¹³ of the logits.
    pub fn is_entrywise(&self) -> bool {
        self.u > ENTRYWISE
    }

    /// Returns `error`, if nothing that is at most `magnitude` overflows; infinity, which certifies nothing, if it may.
    pub fn unless_overflow(&self, magnitude: f64, error: f64) -> f64 {
        // Half of the range is left for the rounding of intermediate results.
        if magnitude < self.largest / 2.0 { error } else { f64::INFINITY }
    }

    /// Returns `"f32"` or `"f64"`.
    pub fn scalar(&self) -> &'static str {
        self.scalar
    }
}

/// The unit roundoff below which norms are good enough.
const ENTRYWISE: f64 = 1.0 / (1u64 << 40) as f64;
