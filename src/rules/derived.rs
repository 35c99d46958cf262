//! What counts of an operator of a field: `S − Sᵀ`, or `diag(√δ)W`.
//!
//! It is computed in `f64` entry by entry, which is off by a few roundings of each; its norm is proved as that of any operator,
//! and what the entries are off by is added: for entries with `|ê − e| ≤ ε|ê| + η` the norm is off by at most
//! `ε Σ_t ‖Ê_t‖_F + η√n`, `t` being the taps of a convolution (one, for a matrix) and `n` the number of entries, since a tap
//! moves points and reads each at most once.

use std::borrow::Cow;

use super::{Numbers, operator_norm};
use crate::{
    certificate::{Claims, Evidence, NormProof},
    error::Result,
    model::{Conv2d, FieldPart, Form, Linear, Padding, Pair, Tensor},
    rigor::{
        Lower, Upper,
        directed::{add_up, mul_down, mul_up, norm_up, sqrt_up, sub_down},
        torus::PaddingMode,
    },
    tensor::Shape,
};

/// The unit roundoff and the smallest number of `f64`.
const UNIT: f64 = f64::EPSILON / 2.0;
const SMALLEST: f64 = f64::from_bits(1);

/// Returns what is proved about the part by the method of the evidence.
///
/// # Errors
/// As [`operator_norm::bound`].
pub fn bound(part: &FieldPart<'_>, evidence: &Evidence, inverse: bool) -> Result<Claims> {
    let of = |linear: &Linear| operator_norm::bound(linear, part.input, evidence, inverse);
    prove(part, |linear| of(linear).map(|claims| (claims, ()))).map(|(claims, ())| claims)
}

/// Looks for a proof about the part.
///
/// # Errors
/// As [`operator_norm::propose`].
pub fn propose(part: &FieldPart<'_>, proof: NormProof) -> Result<(Claims, Evidence)> {
    prove(part, |linear| operator_norm::propose(linear, part.input, proof, part.inverse))
}

fn prove<E>(part: &FieldPart<'_>, norm: impl Fn(&Linear) -> Result<(Claims, E)>) -> Result<(Claims, E)> {
    let computed = match part.form {
        Form::Plain => None,
        Form::Skew => skew(part.operator, part.input)?,
        Form::Weighted(weights) => weighted(part.operator, weights),
    };
    // A difference may overflow.
    let computed = computed.filter(|(linear, _)| is_finite(linear));
    if let Some((linear, relative)) = computed {
        let off = error(&linear, relative);
        let (claims, evidence) = norm(&linear)?;
        let Numbers { bound, inverse, .. } = claims.numbers();
        let inverse = inverse.map(|s| Lower::proved(sub_down(s, off).max(0.0)));
        return Ok((Claims { inverse, ..Claims::lipschitz(Upper::proved(add_up(bound, off))) }, evidence));
    }
    // ‖S − Sᵀ‖ ≤ 2‖S‖, ‖diag(√δ)W‖ ≤ √(max δ)·‖W‖, σ_min ≥ √(min δ)·σ_min(W).
    let (claims, evidence) = norm(part.operator)?;
    let Numbers { bound, inverse, .. } = claims.numbers();
    let (most, least) = match part.form {
        Form::Plain => (1.0, 1.0),
        Form::Skew => (2.0, 0.0),
        Form::Weighted(weights) => {
            let roots = |x: f64| sqrt_up(x);
            let (least, most) = weights.wide().iter().fold((f64::INFINITY, 0.0f64), |(a, b), &x| (a.min(x), b.max(x)));
            (roots(most), crate::rigor::directed::sqrt_down(least))
        }
    };
    let inverse = inverse.map(|s| Lower::proved(mul_down(least, s.max(0.0))));
    Ok((Claims { inverse, ..Claims::lipschitz(Upper::proved(mul_up(most, bound))) }, evidence))
}

fn is_finite(linear: &Linear) -> bool {
    match linear {
        Linear::Dense { weight, .. } | Linear::Conv2d(Conv2d { weight, .. }) => {
            weight.wide().iter().all(|x| x.is_finite())
        }
        _ => false,
    }
}

/// Returns what entries that are off by `relative` of themselves, and by the smallest number, add to the norm.
fn error(linear: &Linear, relative: f64) -> f64 {
    let (weight, taps) = match linear {
        Linear::Dense { weight, .. } => (weight, 1),
        Linear::Conv2d(conv) => (&conv.weight, conv.weight.shape()[2..].iter().product()),
        _ => return f64::INFINITY,
    };
    let wide = weight.wide();
    let tap = |t: usize| norm_up(&wide.iter().skip(t).step_by(taps).copied().collect::<Vec<f64>>());
    let sizes = (0..taps).map(tap).fold(0.0, add_up);
    // Each entry may also be off by two roundings in the subnormal range.
    let underflow = mul_up(2.0 * SMALLEST, mul_up(taps as f64, sqrt_up(wide.len() as f64)));
    add_up(mul_up(relative, sizes), underflow)
}

/// Returns `S − Sᵀ` of a matrix, or of a convolution whose adjoint is one: stride 1, and an image that keeps its size.
fn skew(operator: &Linear, input: Shape) -> Result<Option<(Linear, f64)>> {
    // One rounding of each difference.
    let relative = mul_up(2.0, UNIT);
    Ok(match operator {
        Linear::Dense { weight, .. } => {
            let (n, wide) = (weight.shape()[0], weight.wide());
            let entries: Vec<f64> = (0..n * n).map(|k| wide[k] - wide[k % n * n + k / n]).collect();
            Some((Linear::Dense { weight: Tensor::new(&[n, n], &entries), bias: None }, relative))
        }
        Linear::Conv2d(conv) => {
            let &[outputs, inputs, height, width] = conv.weight.shape() else { return Ok(None) };
            let sides = conv.padding.sides([height, width], conv.dilation);
            // Around a small circular image taps would read points twice.
            let (_, rows, columns) = input.as_image("a convolution")?;
            let spread = [(height - 1) * conv.dilation.0[0], (width - 1) * conv.dilation.0[1]];
            let fits = conv.padding_mode == PaddingMode::Zeros || (spread[0] < rows && spread[1] < columns);
            let keeps = conv.stride == Pair::one()
                && conv.groups == 1
                && sides.is_some_and(|sides| sides.map(|side| 2 * side) == spread)
                && outputs == inputs;
            if !keeps || !fits {
                return Ok(None);
            }
            let (wide, area) = (conv.weight.wide(), height * width);
            let turned = |k: usize| {
                let (o, c, t) = (k / area / inputs, k / area % inputs, k % area);
                wide[(c * inputs + o) * area + (area - 1 - t)]
            };
            let entries: Vec<f64> = (0..wide.len()).map(|k| wide[k] - turned(k)).collect();
            let weight = Tensor::new(conv.weight.shape(), &entries);
            let padding = sides.map_or(conv.padding, |sides| Padding::Sides(Pair(sides)));
            Some((Linear::Conv2d(Conv2d { weight, bias: None, padding, ..conv.clone() }), relative))
        }
        _ => None,
    })
}

/// Returns `diag(√δ)W` of a matrix, or of a convolution with zeros around the image: one root for each row, or output
/// channel.
fn weighted(operator: &Linear, weights: &Tensor) -> Option<(Linear, f64)> {
    let weight = match operator {
        Linear::Dense { weight, .. } => weight,
        Linear::Conv2d(conv) if conv.padding_mode == PaddingMode::Zeros => &conv.weight,
        _ => return None,
    };
    let (wide, roots): (Cow<'_, [f64]>, Vec<f64>) = (weight.wide(), weights.wide().iter().map(|x| x.sqrt()).collect());
    let row = wide.len() / roots.len();
    let entries: Vec<f64> = wide.iter().enumerate().map(|(k, w)| roots[k / row] * w).collect();
    let weight = Tensor::new(weight.shape(), &entries);
    let linear = match operator {
        Linear::Conv2d(conv) => Linear::Conv2d(Conv2d { weight, bias: None, ..conv.clone() }),
        _ => Linear::Dense { weight, bias: None },
    };
    // A root and a product are rounded: |ê − e| ≤ (2u + u²)|e| ≤ 4u|ê|.
    Some((linear, mul_up(4.0, UNIT)))
}
