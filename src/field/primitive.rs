//! Primitives of activations: what energies are made of.

use std::f64::consts::{FRAC_1_SQRT_2, LN_2, PI};

use crate::activation::Activation;

/// Returns `ψ(x) = ∫₀ˣ σ`, the primitive of an activation that is 0 at 0, as executed in `f64`.
///
/// | `σ` | `ψ` |
/// |---|---|
/// | relu and its like, hardtanh | pieces of parabolas and lines |
/// | tanh | `ln cosh x` |
/// | sigmoid | `ln(1 + eˣ) − ln 2` |
/// | softplus | `−Li₂(−eˣ) − π²/12` |
/// | elu | `x²/2`, and `α(eˣ − 1 − x)` for `x < 0` |
/// | silu | `x ln(1 + eˣ) + Li₂(−eˣ) + π²/12` |
/// | gelu | `(x²Φ(x) − Φ(x) + xφ(x))/2 + 1/4` |
///
/// An estimate: no bound is made of it. The dilogarithm `Li₂` is summed to the last digits.
///
/// ```
/// use dahlquist::{activation::Activation, field::primitive};
/// assert_eq!(primitive(Activation::Relu {}, 3.0), 4.5);
/// assert_eq!(primitive(Activation::Hardtanh { min: -1.0, max: 1.0 }, -3.0), 2.5);
/// ```
pub fn primitive(function: Activation, x: f64) -> f64 {
    let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
    let pi_12 = PI * PI / 12.0;
    match function {
        Activation::Identity {} => 0.5 * x * x,
        Activation::Relu {} => 0.5 * x.max(0.0) * x.max(0.0),
        Activation::LeakyRelu { slope } => 0.5 * if x < 0.0 { slope } else { 1.0 } * x * x,
        Activation::Abs {} => 0.5 * x * x.abs(),
        Activation::Tanh {} => x.abs() + (-2.0 * x.abs()).exp().ln_1p() - LN_2,
        Activation::Sigmoid {} => softplus(x) - LN_2,
        Activation::Softplus {} => -dilogarithm(x) - pi_12,
        Activation::Elu { alpha } if x < 0.0 => alpha * (libm::expm1(x) - x),
        Activation::Elu { .. } => 0.5 * x * x,
        Activation::Silu {} => x * softplus(x) + dilogarithm(x) + pi_12,
        Activation::Gelu {} => {
            let phi = (-0.5 * x * x).exp() / (2.0 * PI).sqrt();
            let distribution = 0.5 * libm::erfc(-x * FRAC_1_SQRT_2);
            0.5 * ((x * x - 1.0) * distribution + x * phi) + 0.25
        }
        Activation::Hardtanh { min, max } => {
            let from = |x: f64| {
                let inside = x.clamp(min, max);
                0.5 * inside * inside + (x - inside) * inside
            };
            from(x) - from(0.0)
        }
    }
}

/// Returns `Li₂(−eˣ)`: Landen's identity `Li₂(−y) = −Li₂(y/(1 + y)) − ½ ln²(1 + y)` for `y ≤ 1`, and inversion beyond.
fn dilogarithm(x: f64) -> f64 {
    if x > 0.0 {
        return -PI * PI / 6.0 - 0.5 * x * x - dilogarithm(-x);
    }
    let y = x.exp();
    let (z, log) = (y / (1.0 + y), y.ln_1p());
    // z ≤ 1/2: a term is at most half of the one before.
    let (mut sum, mut power) = (0.0, 1.0);
    for k in 1..64 {
        power *= z;
        sum += power / f64::from(k * k);
    }
    -sum - 0.5 * log * log
}
