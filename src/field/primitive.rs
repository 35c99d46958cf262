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
/// | hardswish | `x³/18 + x²/4` for `−3 ≤ x ≤ 3` |
/// | gelu_tanh, mish | by quadrature |
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
        Activation::GeluTanh {} | Activation::Mish {} => quadrature(function, x),
        Activation::Hardswish {} => {
            let inside = x.clamp(-3.0, 3.0);
            inside * inside * (inside / 18.0 + 0.25) + 0.5 * (x.max(3.0) * x.max(3.0) - 9.0)
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

/// Returns `∫₀ˣ σ` of a smooth function that is `x` above 40 and 0 below −40, but for less than `f64` shows, by Gauss's rule of five
/// points on pieces that are shorter than 1/4.
fn quadrature(function: Activation, x: f64) -> f64 {
    const POINTS: [(f64, f64); 3] = [
        (0.0, 128.0 / 225.0),
        (0.538_469_310_105_683_1, 0.478_628_670_499_366_5),
        (0.906_179_845_938_664, 0.236_926_885_056_189_1),
    ];
    let end = x.clamp(-40.0, 40.0);
    let pieces = (4.0 * end.abs()).ceil().max(1.0);
    let half = 0.5 * end / pieces;
    let piece = |k: usize| {
        let middle = (2.0 * k as f64 + 1.0) * half;
        let pair = |&(z, w): &(f64, f64)| {
            let sum = function.value(middle - z * half) + function.value(middle + z * half);
            w * if z == 0.0 { 0.5 * sum } else { sum }
        };
        half * POINTS.iter().map(pair).sum::<f64>()
    };
    let behind = if x > end { 0.5 * (x - end) * (x + end) } else { 0.0 };
    (0..pieces as usize).map(piece).sum::<f64>() + behind
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
