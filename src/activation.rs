//! Functions that act by coordinates, with the interval that their slopes lie in.
//!
//! For all `a ≠ c`, the slope `(σ(a) − σ(c))/(a − c)` lies in `[m, L]`. That is the only property of a nonlinearity
//! that the rules of this crate use.

mod rounding;
mod values;

pub use rounding::Activated;
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    scalar::Scalar,
};

/// A function `σ: ℝ → ℝ` that is applied to every coordinate.
///
/// | function | σ(x) | m | L |
/// |---|---|---|---|
/// | identity | x | 1 | 1 |
/// | relu | max(x, 0) | 0 | 1 |
/// | leaky_relu, slope a ≥ 0 | x if x ≥ 0, else ax | min(a, 1) | max(a, 1) |
/// | abs | \|x\| | −1 | 1 |
/// | tanh | tanh x | 0 | 1 |
/// | sigmoid | 1/(1 + e⁻ˣ) | 0 | 1/4 |
/// | softplus | ln(1 + eˣ) | 0 | 1 |
/// | elu, alpha a ≥ 0 | x if x ≥ 0, else a(eˣ − 1) | 0 | max(a, 1) |
/// | silu | x/(1 + e⁻ˣ) | 1 − L | 1.09983… |
/// | gelu | xΦ(x) = x erfc(−x/√2)/2 | 1 − L | 1.12890… |
/// | gelu_tanh | x(1 + tanh(√(2/π)(x + 0.044715x³)))/2 | 1 − L | 1.12899… |
/// | mish | x tanh(ln(1 + eˣ)) | −0.11253… | 1.08850… |
/// | hardswish | x(x + 3)/6 for −3 ≤ x ≤ 3; below 0, above x | −1/2 | 3/2 |
/// | hardtanh, min ≤ max | x, no less than min and no more than max | 0 | 1 |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "function", rename_all = "snake_case", deny_unknown_fields)]
pub enum Activation {
    /// `x`
    Identity {},
    /// `max(x, 0)`
    Relu {},
    /// `x` for `x ≥ 0`, `slope·x` below
    LeakyRelu {
        /// The slope `a ≥ 0` on the negative half line.
        slope: f64,
    },
    /// `|x|`
    Abs {},
    /// `tanh x`
    Tanh {},
    /// `1/(1 + e⁻ˣ)`
    Sigmoid {},
    /// `ln(1 + eˣ)`
    Softplus {},
    /// `x` for `x ≥ 0`, `alpha·(eˣ − 1)` below
    Elu {
        /// The scale `a ≥ 0` of the negative half line.
        #[serde(default = "one")]
        alpha: f64,
    },
    /// `x/(1 + e⁻ˣ)`, also called swish
    Silu {},
    /// `xΦ(x)` with the distribution function `Φ` of the normal distribution; not the approximation by tanh
    Gelu {},
    /// `x(1 + tanh(√(2/π)(x + 0.044715x³)))/2`, the approximation of GELU by tanh, as a function of its own
    GeluTanh {},
    /// `x tanh(ln(1 + eˣ))`
    Mish {},
    /// `x(x + 3)/6` for `−3 ≤ x ≤ 3`, 0 below and `x` above
    Hardswish {},
    /// `x`, but no less than `min` and no more than `max`; ReLU6 is that with 0 and 6
    Hardtanh {
        /// The least value.
        #[serde(default = "minus_one")]
        min: f64,
        /// The largest value.
        #[serde(default = "one")]
        max: f64,
    },
}

fn one() -> f64 {
    1.0
}

fn minus_one() -> f64 {
    -1.0
}

/// The largest slope of `x/(1 + e⁻ˣ)`, rounded up: `1/2 + t/4` at the `t > 0` with `t tanh(t/2) = 2`. As the function is
/// `x/2` and an even function, the least is 1 less it.
const SILU_SLOPE: f64 = 1.099_839_320_128_867;

/// The largest slope of `xΦ(x)`, rounded up: `Φ(t) + tΦ'(t)` at `t = √2`, that is `(1 + erf 1)/2 + 1/(e√π)`. The least is
/// 1 less it, as before.
const GELU_SLOPE: f64 = 1.128_904_145_185_155;

/// The largest slope of `x(1 + tanh u)/2`, `u = c(x + ax³)`, `c = √(2/π)`, `a = 0.044715`, rounded up. The least is 1 less it, as
/// before.
///
/// *Proof.* Let `g = x tanh u`, an even function; for `x > 0`, `g'' = u'² sech² u · (q − 2x tanh u)` with
/// `q = (2u' + xu'')/u'² = (2 + 12ax²)/(c(1 + 3ax²)²)`, which falls, while `x tanh u` grows. So `g'` grows up to the one `t` at which
/// both are equal, and falls to 1 from there on; its largest value is that at `t = 1.41850…`. ∎
const GELU_TANH_SLOPE: f64 = 1.128_993_068_658_772;

/// The least and the largest slope of `x tanh(ln(1 + eˣ))`, rounded down and up.
///
/// *Proof.* With `y = eˣ` and `D = y² + 2y + 2` the function is `x(1 − 2/D)`, its slope `1 − 2/D + 4xy(y + 1)/D²`, and the derivative of
/// that is `4y/D³` times `2(y + 1)D − xQ`, `Q = 2y³ + 3y² − 2y − 2`, which has one zero for `y > 0`. At it the bracket is positive;
/// elsewhere the sign is that of `Q(r − x)` with `r = 2(y + 1)D/Q`, and `r` falls with `y`, as
/// `(N'Q − NQ')/2 = −(3y⁴ + 20y³ + 36y² + 24y + 4)` for its numerator `N`. So `r − x` falls, below the zero of `Q` from `∞` to `−∞` and
/// above it from `∞` to `−∞` once more: the slope falls from 0 to its least value, at `x = −2.25637…`, grows to its largest one, at
/// `x = 1.49057…`, and falls to 1. ∎
const MISH_SLOPES: [f64; 2] = [-0.112_526_122_389_462_57, 1.088_498_161_251_728];

/// `2√(2/π)` and that times 0.044715: `x(1 + tanh u)/2 = x/(1 + e⁻ᵛ)` with `v = 2u = x(2c + 2ca x²)`.
const GELU_TANH: [f64; 2] = [1.595_769_121_605_730_8, 0.071_354_816_272_600_25];

impl Activation {
    /// Every function, with a leaky slope of 0.01 and constants of its own for some: what laws and tests run over. The kinks of
    /// the hardtanh are where no small integer is.
    pub const ALL: [Self; 15] = [
        Self::Identity {},
        Self::Relu {},
        Self::LeakyRelu { slope: 0.01 },
        Self::Abs {},
        Self::Tanh {},
        Self::Sigmoid {},
        Self::Softplus {},
        Self::Elu { alpha: 1.0 },
        Self::Elu { alpha: 1.5 },
        Self::Silu {},
        Self::Gelu {},
        Self::GeluTanh {},
        Self::Mish {},
        Self::Hardswish {},
        Self::Hardtanh { min: -0.75, max: 1.25 },
    ];

    /// Returns the same function with its constants rounded to the format `T`, as networks over `T` evaluate it.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the slope of a leaky ReLU or the scale of an ELU is negative, NaN or infinite in `T`, or
    /// the bounds of a hardtanh are not finite or in the wrong order.
    pub fn in_format<T: Scalar>(self) -> Result<Self> {
        self.rounded(|x| T::of(x).wide())
    }

    /// As [`Self::in_format`], for a format that is given by its rounding.
    pub(crate) fn rounded(self, round: impl Fn(f64) -> f64) -> Result<Self> {
        let positive = |name, x: f64| {
            let rounded = round(x);
            if rounded >= 0.0 && rounded.is_finite() && x >= 0.0 {
                Ok(rounded)
            } else {
                Err(Error::parameter(name, x, format!("{} needs a finite one that is not negative", self.name())))
            }
        };
        match self {
            Self::LeakyRelu { slope } => Ok(Self::LeakyRelu { slope: positive("slope", slope)? }),
            Self::Elu { alpha } => Ok(Self::Elu { alpha: positive("alpha", alpha)? }),
            Self::Hardtanh { min, max } => {
                let (low, high) = (round(min), round(max));
                // A NaN is not in order either.
                if min <= max && low.is_finite() && high.is_finite() {
                    Ok(Self::Hardtanh { min: low, max: high })
                } else {
                    Err(Error::parameter("min", min, format!("hardtanh needs finite bounds, not above its max {max}")))
                }
            }
            other => Ok(other),
        }
    }

    /// Returns the name used in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity {} => "identity",
            Self::Relu {} => "relu",
            Self::LeakyRelu { .. } => "leaky_relu",
            Self::Abs {} => "abs",
            Self::Tanh {} => "tanh",
            Self::Sigmoid {} => "sigmoid",
            Self::Softplus {} => "softplus",
            Self::Elu { .. } => "elu",
            Self::Silu {} => "silu",
            Self::Gelu {} => "gelu",
            Self::GeluTanh {} => "gelu_tanh",
            Self::Mish {} => "mish",
            Self::Hardswish {} => "hardswish",
            Self::Hardtanh { .. } => "hardtanh",
        }
    }

    /// Returns the interval `[m, L]` of the slopes `(σ(a) − σ(c))/(a − c)`: exact, but for the last bit of those of
    /// silu, gelu, gelu_tanh and mish.
    pub fn slopes(self) -> [f64; 2] {
        match self {
            Self::Identity {} => [1.0, 1.0],
            Self::Relu {} | Self::Tanh {} | Self::Softplus {} | Self::Hardtanh { .. } => [0.0, 1.0],
            Self::Elu { alpha } => [0.0, alpha.max(1.0)],
            // Both are below 2, so the difference is exact.
            Self::Silu {} => [1.0 - SILU_SLOPE, SILU_SLOPE],
            Self::Gelu {} => [1.0 - GELU_SLOPE, GELU_SLOPE],
            Self::GeluTanh {} => [1.0 - GELU_TANH_SLOPE, GELU_TANH_SLOPE],
            Self::Mish {} => MISH_SLOPES,
            // (2x + 3)/6 at −3 and at 3.
            Self::Hardswish {} => [-0.5, 1.5],
            Self::LeakyRelu { slope } => [slope.min(1.0), slope.max(1.0)],
            Self::Abs {} => [-1.0, 1.0],
            Self::Sigmoid {} => [0.0, 0.25],
        }
    }

    /// Returns the Lipschitz constant `max(|m|, |L|)`.
    pub fn lipschitz(self) -> f64 {
        let [m, l] = self.slopes();
        m.abs().max(l.abs())
    }

    /// Returns an interval that holds the slopes of all chords of the function on `[low, high]`: that of its piece
    /// where it is linear there, else [`Self::slopes`].
    pub fn slopes_on(self, low: f64, high: f64) -> [f64; 2] {
        // A comparison with a NaN fails, and nothing is gained.
        match self {
            Self::Relu {} if high <= 0.0 => [0.0; 2],
            Self::LeakyRelu { slope } if high <= 0.0 => [slope; 2],
            Self::Relu {} | Self::LeakyRelu { .. } | Self::Elu { .. } if low >= 0.0 => [1.0; 2],
            Self::Hardtanh { min, max } if low >= min && high <= max => [1.0; 2],
            Self::Hardtanh { min, max } if high <= min || low >= max => [0.0; 2],
            Self::Hardswish {} if low >= 3.0 => [1.0; 2],
            Self::Hardswish {} if high <= -3.0 => [0.0; 2],
            _ => self.slopes(),
        }
    }
}
