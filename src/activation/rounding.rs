//! The rounding errors of functions that act by coordinates.

use super::Activation;
use crate::{
    rigor::{
        Rounding,
        directed::{add_up, mul_up, sqrt_up},
    },
    scalar::Scalar,
    tensor::Batch,
};

impl Activation {
    /// Returns the error of one evaluation: `|fl(σ(x)) − σ(x)| ≤ e·|σ(x)| + a`, as the pair `(e, a)`.
    ///
    /// Identity, ReLU, the absolute value and hardtanh are exact; a leaky ReLU rounds one product; tanh, sigmoid and softplus
    /// are within [`Scalar::SMOOTH_ERROR`] units, which is proved for `f32` and assumed for `f64`. SiLU is one product
    /// more. ELU and GELU are evaluated in `f64` and rounded, by functions of which as many units of `f64` are *assumed*.
    ///
    /// For GELU, `t = −x/√2` is off by `2u` of it, which moves `erfc(t)` by at most `2u(2t² + 1)` of it for `t > 0`, and so
    /// the value by at most `√2 u t(2t² + 1) erfc t < u`, as an absolute error; for `t ≤ 0` by less than `u` of it. Two
    /// products are rounded, and the result to the format.
    ///
    /// The other form of GELU is `x` times the sigmoid of a `v` that is off by `6u` of it, two constants and four operations. That moves
    /// the value by `6u|v|(1 − s)` of it, less than `3u` for `v > 0`, and else by at most `6u|x||v|eᵛ ≤ 6·0.63·4e⁻²u < 2.1u`, as an absolute
    /// error, where `2ε = 4u` are charged. A product is rounded, and the result to the format.
    ///
    /// Mish is evaluated from `y = eˣ` by sums, products and a quotient of positive numbers: `p = y(y + 2)` is off by twice the error of
    /// `y` and `2u` of it, the gate `p/(p + 2)` by that and `2u`, and two results are rounded. Beyond 40 it is `x` but for `2e⁻⁸⁰`.
    /// Hardswish rounds a sum, which never underflows, a product and a quotient.
    pub fn error(self, rounding: &Rounding) -> (f64, f64) {
        match self {
            Self::Identity {} | Self::Relu {} | Self::Abs {} | Self::Hardtanh { .. } => (0.0, 0.0),
            Self::Elu { .. } | Self::Silu {} => {
                (add_up(rounding.smooth(), mul_up(2.0, rounding.unit())), self.underflow(rounding))
            }
            Self::Gelu {} => {
                let relative = add_up(rounding.smooth(), mul_up(4.0, rounding.unit()));
                (relative, add_up(f64::EPSILON, rounding.underflow(4)))
            }
            Self::GeluTanh {} => {
                let relative = add_up(rounding.smooth(), mul_up(8.0, rounding.unit()));
                (relative, add_up(2.0 * f64::EPSILON, self.underflow(rounding)))
            }
            Self::Mish {} => {
                let relative = add_up(mul_up(2.0, rounding.smooth()), mul_up(8.0, rounding.unit()));
                (relative, self.underflow(rounding))
            }
            Self::Hardswish {} => (mul_up(4.0, rounding.unit()), rounding.underflow(1)),
            Self::LeakyRelu { .. } => (rounding.unit(), rounding.underflow(1)),
            Self::Tanh {} | Self::Sigmoid {} | Self::Softplus {} => (rounding.smooth(), rounding.underflow(4)),
        }
    }

    /// Returns what underflow adds: of ELU, `a` times what is lost in `eˣ − 1`, and a product; of SiLU and its like, `x` times what
    /// is lost in the sigmoid, `4η`, or in the gate of Mish, `6η`, where that underflows: there `|x| < 2¹⁰`.
    fn underflow(self, rounding: &Rounding) -> f64 {
        match self {
            Self::Elu { alpha } => add_up(mul_up(alpha, rounding.underflow(1)), rounding.underflow(1)),
            _ => rounding.underflow(1 << 13),
        }
    }

    /// Returns whether the function is evaluated without any error, and never exceeds its argument or a constant.
    fn is_exact(self) -> bool {
        matches!(self, Self::Identity {} | Self::Relu {} | Self::Abs {} | Self::Hardtanh { .. })
    }

    /// Bounds the function over balls: for each sample `z`, what holds for every `z'` within `reach` of it.
    ///
    /// All bounds are infinite where an overflow cannot be excluded: of a value, or of the product that a leaky ReLU
    /// forms on its way to it. Exact functions cannot overflow on arguments that have not.
    pub fn over_balls<T: Scalar>(self, rounding: &Rounding, z: &Batch<T>, reach: &[f64]) -> Activated<T> {
        let (relative, absolute) = self.error(rounding);
        let absolute = mul_up(sqrt_up(z.shape().len() as f64), absolute);
        let value = self.apply(z);
        // ‖fl(σ) − σ‖ ≤ relative·‖σ‖ + absolute, and ‖σ‖ exceeds ‖fl(σ)‖ by so little that a factor 2 covers it.
        let error = |size: f64| mul_up(2.0, add_up(mul_up(relative, size), absolute));
        let (mut sizes, mut errors, mut reaches) = (Vec::new(), Vec::new(), Vec::new());
        for (centre, &reach) in value.norms_up().into_iter().zip(reach) {
            let moved = mul_up(self.lipschitz(), reach);
            let exact = add_up(add_up(centre, error(centre)), moved);
            let size = add_up(exact, error(exact));
            // No intermediate result is larger than the value: slope·z is the value, eᶻ and its like are at most 2.
            let possible = |bound: f64| if self.is_exact() { bound } else { rounding.unless_overflow(size, bound) };
            sizes.push(possible(size));
            errors.push(possible(error(exact)));
            reaches.push(possible(add_up(moved, add_up(error(exact), error(centre)))));
        }
        Activated { value, sizes, errors, reaches }
    }
}

/// An activation over balls, sample by sample.
#[derive(Debug, Clone)]
pub struct Activated<T: Scalar> {
    /// `fl(σ(z))` at the centres.
    pub value: Batch<T>,
    /// Bounds of `‖fl(σ(z'))‖`.
    pub sizes: Vec<f64>,
    /// Bounds of `‖fl(σ(z')) − σ(z')‖`.
    pub errors: Vec<f64>,
    /// Bounds of `‖fl(σ(z')) − fl(σ(z))‖`.
    pub reaches: Vec<f64>,
}
