//! Values and derivatives of functions that act by coordinates.

use super::{Activation, GELU_TANH};
use crate::{scalar::Scalar, tensor::Batch};

/// Beyond this the smooth functions that tend to `x` and to 0 are that to `f64`, and their slopes 1 and 0.
const FAR: f64 = 40.0;

impl Activation {
    /// Returns `σ(x)`.
    #[inline]
    pub fn value<T: Scalar>(self, x: T) -> T {
        let (zero, one) = (T::zero(), T::one());
        match self {
            Self::Identity {} => x,
            // A comparison, unlike `max`, lets a NaN through, so that an overflow upstream is never hidden.
            Self::Relu {} => {
                if x < zero {
                    zero
                } else {
                    x
                }
            }
            Self::LeakyRelu { slope } => {
                if x < zero {
                    T::of(slope) * x
                } else {
                    x
                }
            }
            Self::Abs {} => num_traits::Float::abs(x),
            Self::Tanh {} => x.tanh_portable(),
            Self::Sigmoid {} => {
                let e = (-num_traits::Float::abs(x)).exp_portable();
                if x < zero { e / (one + e) } else { one / (one + e) }
            }
            Self::Softplus {} => {
                let tail = (-num_traits::Float::abs(x)).exp_portable().ln_1p_portable();
                if x < zero { tail } else { x + tail }
            }
            Self::Elu { alpha } => {
                if x < zero {
                    T::of(alpha) * T::of(libm::expm1(x.wide()))
                } else {
                    x
                }
            }
            Self::Silu {} => x * Self::Sigmoid {}.value(x),
            Self::Gelu {} => T::of(0.5 * x.wide() * libm::erfc(-x.wide() * std::f64::consts::FRAC_1_SQRT_2)),
            Self::GeluTanh {} => T::of(x.wide() * Self::Sigmoid {}.value(twice_inner(x.wide()))),
            Self::Mish {} => {
                let (x, gate) = (x.wide(), mish_gate(x.wide()));
                if x > FAR { T::of(x) } else { T::of(x * (gate / (gate + 2.0))) }
            }
            Self::Hardswish {} => {
                let three = T::of(3.0);
                if x >= three {
                    x
                } else if x <= -three {
                    zero
                } else {
                    x * (x + three) / T::of(6.0)
                }
            }
            Self::Hardtanh { min, max } => {
                if x < T::of(min) {
                    T::of(min)
                } else if x > T::of(max) {
                    T::of(max)
                } else {
                    x
                }
            }
        }
    }

    /// Returns a slope of `σ` at `x`: the derivative, and at a kink the slope to the left of it or 0.
    #[inline]
    pub fn derivative<T: Scalar>(self, x: T) -> T {
        let (zero, one) = (T::zero(), T::one());
        match self {
            Self::Identity {} => one,
            Self::Relu {} => {
                if x > zero {
                    one
                } else {
                    zero
                }
            }
            Self::LeakyRelu { slope } => {
                if x > zero {
                    one
                } else {
                    T::of(slope)
                }
            }
            Self::Abs {} => {
                if x > zero {
                    one
                } else if x < zero {
                    -one
                } else {
                    zero
                }
            }
            Self::Tanh {} => {
                let t = x.tanh_portable();
                one - t * t
            }
            Self::Sigmoid {} => {
                let s = self.value(x);
                s * (one - s)
            }
            Self::Softplus {} => Self::Sigmoid {}.value(x),
            Self::Elu { alpha } => {
                if x > zero {
                    one
                } else {
                    T::of(alpha) * x.exp_portable()
                }
            }
            Self::Silu {} => {
                let s = Self::Sigmoid {}.value(x);
                s + x * (s * (one - s))
            }
            Self::Gelu {} => {
                let x = x.wide();
                let density = libm::exp(-0.5 * x * x) / (2.0 * std::f64::consts::PI).sqrt();
                T::of(0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2) + x * density)
            }
            Self::GeluTanh {} | Self::Mish {} if x.wide().abs() > FAR => {
                if x > zero {
                    one
                } else {
                    zero
                }
            }
            Self::GeluTanh {} => {
                let x = x.wide();
                let s = Self::Sigmoid {}.value(twice_inner(x));
                T::of(s + x * (s * (1.0 - s)) * (GELU_TANH[0] + 3.0 * GELU_TANH[1] * x * x))
            }
            Self::Mish {} => {
                let (x, y, gate) = (x.wide(), x.wide().exp_portable(), mish_gate(x.wide()));
                let d = gate + 2.0;
                T::of(gate / d + 4.0 * x * y * (y + 1.0) / (d * d))
            }
            Self::Hardswish {} => {
                let three = T::of(3.0);
                if x > three {
                    one
                } else if x <= -three {
                    zero
                } else {
                    (x + x + three) / T::of(6.0)
                }
            }
            Self::Hardtanh { min, max } => {
                if x > T::of(min) && x < T::of(max) {
                    one
                } else {
                    zero
                }
            }
        }
    }

    /// Returns `σ` of every coordinate.
    #[must_use]
    pub fn apply<T: Scalar>(self, z: &Batch<T>) -> Batch<T> {
        // One loop for each cheap function: a choice for every number would take longer than the function.
        let data = z.data().iter();
        let values = match self {
            Self::Relu {} => data.map(|&z| Self::Relu {}.value(z)).collect(),
            Self::LeakyRelu { slope } => data.map(|&z| Self::LeakyRelu { slope }.value(z)).collect(),
            Self::Abs {} => data.map(|&z| Self::Abs {}.value(z)).collect(),
            other => data.map(|&z| other.value(z)).collect(),
        };
        Batch::computed(z.shape(), z.samples(), values)
    }

    /// Returns `c·σ'(z)·g` for every coordinate, in place of `g`.
    #[must_use]
    pub fn differentiate<T: Scalar>(self, z: &Batch<T>, c: T, mut g: Batch<T>) -> Batch<T> {
        let pairs = g.data_mut().iter_mut().zip(z.data());
        match self {
            Self::Relu {} => pairs.for_each(|(g, &z)| *g *= c * Self::Relu {}.derivative(z)),
            Self::LeakyRelu { slope } => pairs.for_each(|(g, &z)| *g *= c * Self::LeakyRelu { slope }.derivative(z)),
            Self::Abs {} => pairs.for_each(|(g, &z)| *g *= c * Self::Abs {}.derivative(z)),
            other => pairs.for_each(|(g, &z)| *g *= c * other.derivative(z)),
        }
        g
    }
}

/// `2√(2/π)(x + 0.044715x³)`.
fn twice_inner(x: f64) -> f64 {
    x * (GELU_TANH[0] + GELU_TANH[1] * (x * x))
}

/// `y(y + 2)` with `y = eˣ`: `tanh(ln(1 + y))` is that over `y(y + 2) + 2`.
fn mish_gate(x: f64) -> f64 {
    let y = x.exp_portable();
    y * (y + 2.0)
}
