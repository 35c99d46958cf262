//! Operator norm: `x ↦ Wx + b` is `‖W‖₂`-Lipschitz, and `‖Δy‖ ≥ σ_min(W)‖Δx‖` where `W` is proved to be injective.
//!
//! The numbers are proved by [`crate::rigor`]: matrices by a residual certificate, convolutions on a torus or by a banded
//! factor, means and deviations in closed form. Affine maps in a row are composed first, where the composition is again
//! a matrix or a convolution: their norms multiply only if the worst outputs of one are the worst inputs of the next.

use std::borrow::Cow;

use super::{is_isometry, require};
use crate::{
    certificate::{Claims, Evidence, NormMethod, NormProof},
    error::{Error, Result},
    model::{Conv2d, Linear, Map, Pair, Pooling, Tensor, graph},
    rigor::{
        Lower, Upper, composition,
        directed::{div_down, div_up},
        matrix,
        torus::{Axis, Convolution},
    },
    tensor::Shape,
};

/// Returns the norm, proved again by the method of the evidence, and the smallest singular value where it is asked for.
///
/// # Errors
/// [`Error::Format`] for evidence that does not suit the map, [`Error::NotProved`] if the proof fails.
pub fn bound(linear: &Linear, input: Shape, evidence: &Evidence, inverse: bool) -> Result<Claims> {
    let Evidence::Norm(method) = *evidence else {
        return Err(Error::format("the evidence of a norm says how it was proved"));
    };
    let norm = match (linear, method) {
        (Linear::Dense { weight, .. }, NormMethod::Residual) => matrix::sharp_sup_norm(&[weight.matrix().as_ref()])?,
        (Linear::GraphGradient { weight, edges, .. }, NormMethod::Residual) => {
            let mixed = matrix::sharp_sup_norm(&[weight.matrix().as_ref()])?;
            of_differences(mixed, graph::incidence_norm(edges, input.points(), true)?)?
        }
        (Linear::Conv2d(conv), NormMethod::Torus(torus)) => Plain::new(conv, input)?.convolution().norm_on(torus)?,
        (Linear::Conv2d(conv), NormMethod::Banded) => {
            let none = || Error::not_proved("the norm of a convolution", "no banded factor is found");
            Plain::new(conv, input)?.convolution().sharp_tight_norm()?.ok_or_else(none)?
        }
        (_, NormMethod::ClosedForm) => closed_form(linear, input)?,
        _ => {
            return Err(Error::format(format!(
                "{method:?} does not prove the norm of a map of kind {}",
                linear.kind()
            )));
        }
    };
    let inverse = if inverse { Some(smallest_singular_value(linear, input, true)?) } else { None };
    Ok(Claims { inverse, ..Claims::lipschitz(norm) })
}

/// Looks for a proof of the norm, and of the smallest singular value where it is asked for.
///
/// # Errors
/// [`Error::NotProved`] if the bound overflows or a convolution has no torus.
pub fn propose(linear: &Linear, input: Shape, proof: NormProof, inverse: bool) -> Result<(Claims, Evidence)> {
    let (norm, method) = match linear {
        Linear::Dense { weight, .. } => (matrix::norm(weight.matrix().as_ref())?, NormMethod::Residual),
        Linear::Conv2d(conv) => {
            let plain = Plain::new(conv, input)?;
            let torus = plain.convolution().norm()?;
            let tight = if proof == NormProof::Tight { plain.convolution().tight_norm()? } else { None };
            match tight.filter(|&bound| bound < torus.bound) {
                Some(bound) => (bound, NormMethod::Banded),
                None => (torus.bound, NormMethod::Torus(torus.torus)),
            }
        }
        Linear::GraphGradient { weight, edges, .. } => {
            let incidence = graph::incidence_norm(edges, input.points(), false)?;
            (of_differences(matrix::norm(weight.matrix().as_ref())?, incidence)?, NormMethod::Residual)
        }
        _ => (closed_form(linear, input)?, NormMethod::ClosedForm),
    };
    let inverse = if inverse { Some(smallest_singular_value(linear, input, false)?) } else { None };
    Ok((Claims { inverse, ..Claims::lipschitz(norm) }, Evidence::Norm(method)))
}

/// Returns the norm of maps whose entries are known: means over `a × b` points `√Σ/(ab)`, a window sharing `Σ` points with all
/// windows, deviations `1/min std`, scales `max |s|`; 1 for maps that move coordinates, or drop some.
fn closed_form(linear: &Linear, input: Shape) -> Result<Upper> {
    match linear {
        Linear::AvgPool(pooling) => pooling.output(input).map(|_| pooling.mean_norm()),
        Linear::GlobalAvgPool {} => {
            let (_, height, width) = input.as_image("global mean pooling")?;
            Ok(Pooling::disjoint(Pair([height, width])).mean_norm())
        }
        Linear::ChannelAffine { scale, .. } => {
            Upper::proved(sizes(scale).fold(0.0, f64::max)).finite("the norm of a channel_affine")
        }
        Linear::Normalize { std, .. } => {
            let least = std.iter().copied().fold(f64::INFINITY, f64::min);
            Upper::proved(div_up(1.0, least)).finite("the Lipschitz constant of a normalization")
        }
        Linear::Flatten {}
        | Linear::PadChannels { .. }
        | Linear::SpaceToDepth { .. }
        | Linear::FirstChannels { .. }
        | Linear::Shift { .. }
        | Linear::Mirror {} => Ok(Upper::ONE),
        Linear::Dense { .. } | Linear::Conv2d(_) | Linear::GraphGradient { .. } => {
            Err(Error::format("the norm of weights has no closed form"))
        }
    }
}

/// Returns the norm of differences along edges, `‖K ⊗ G‖ = ‖K‖‖G‖` for a matrix `K` and the incidence matrix `G`.
fn of_differences(mixed: Upper, incidence: Upper) -> Result<Upper> {
    (mixed * incidence).finite("the norm of a graph_gradient")
}

/// Returns a lower bound of `min ‖Wx‖/‖x‖`; 0 if none is proved.
fn smallest_singular_value(linear: &Linear, input: Shape, sharp: bool) -> Result<Lower> {
    match linear {
        // Constants are no differences.
        Linear::GraphGradient { .. } => Ok(Lower::ZERO),
        Linear::Dense { weight, .. } => {
            let prove = if sharp { matrix::sharp_smallest_singular_value } else { matrix::smallest_singular_value };
            prove(weight.matrix().as_ref())
        }
        Linear::Conv2d(conv) => {
            let plain = Plain::new(conv, input)?;
            let convolution = plain.convolution();
            if sharp { convolution.sharp_smallest_singular_value() } else { convolution.smallest_singular_value() }
        }
        Linear::Normalize { std, .. } => {
            let largest = std.iter().copied().fold(0.0, f64::max);
            Ok(Lower::proved(div_down(1.0, largest).max(0.0)))
        }
        Linear::ChannelAffine { scale, .. } => {
            Ok(Lower::proved(sizes(scale).fold(f64::INFINITY, f64::min).min(f64::MAX)))
        }
        linear if is_isometry(linear) => Ok(Lower::ONE),
        _ => Ok(Lower::ZERO),
    }
}

/// Returns the absolute values of scales.
fn sizes(scale: &Tensor) -> impl Iterator<Item = f64> {
    scale.wide().into_owned().into_iter().map(f64::abs)
}

/// A convolution in the plain numbers that [`crate::rigor`] knows: one kernel for each pair of channels, zeros where
/// channels do not mix and between the taps of a dilated kernel.
pub(crate) struct Plain<'a> {
    weight: Cow<'a, [f64]>,
    channels: (usize, usize),
    axes: [Axis; 2],
    mode: crate::rigor::torus::PaddingMode,
}

impl<'a> Plain<'a> {
    pub(crate) fn new(conv: &'a Conv2d, input: Shape) -> Result<Self> {
        let (channels, axes) = (conv.channels(input)?, conv.axes(input)?);
        let weight = conv.weight.wide();
        let [dy, dx] = conv.dilation.0;
        let weight = if conv.groups == 1 && dy == 1 && dx == 1 {
            weight
        } else {
            let (outputs, inputs) = channels;
            let (per_group, [ky, kx]) = (inputs / conv.groups, axes.map(|axis| axis.kernel));
            let taps = [conv.weight.shape()[2], conv.weight.shape()[3]];
            let entries = outputs.checked_mul(inputs).and_then(|n| n.checked_mul(ky * kx));
            let large = || Error::not_proved("the norm of a convolution", "its kernel without groups is too large");
            let mut full = vec![0.0; entries.filter(|&n| n <= LARGEST_KERNEL).ok_or_else(large)?];
            for (k, &w) in weight.iter().enumerate() {
                let (o, c) = (k / (per_group * taps[0] * taps[1]), k / (taps[0] * taps[1]) % per_group);
                let (y, x) = (k / taps[1] % taps[0] * dy, k % taps[1] * dx);
                let channel = o / (outputs / conv.groups) * per_group + c;
                full[((o * inputs + channel) * ky + y) * kx + x] = w;
            }
            Cow::Owned(full)
        };
        Ok(Self { weight, channels, axes, mode: conv.padding_mode })
    }

    pub(crate) fn convolution(&self) -> Convolution<'_> {
        Convolution { weight: &self.weight, channels: self.channels, axes: self.axes, mode: self.mode }
    }
}

/// The most entries of a kernel that is filled up with zeros.
const LARGEST_KERNEL: usize = 1 << 26;

/// Returns the norm of affine maps in a row, as that of their composition.
///
/// # Errors
/// [`Error::Format`] if one of them is not affine, or there is evidence; [`Error::NotProved`] if the bound overflows.
pub fn of_run(maps: &[Map], input: Shape, evidence: &Evidence) -> Result<Claims> {
    require(evidence == &Evidence::Nothing, "the norm of a composition needs no evidence")?;
    let maps = composed(maps, input)?.ok_or_else(|| Error::format("they are not all affine"))?;
    composition::sharp_norm(&maps).map(Claims::lipschitz)
}

/// As [`of_run`], by quicker proofs; none if one of the maps is not affine, or all but one merely move coordinates.
pub(super) fn propose_run(maps: &[Map], input: Shape) -> Result<Option<Claims>> {
    let moves = |map: &&Map| matches!(map, Map::Linear(linear) if is_isometry(linear));
    if maps.iter().filter(|map| !moves(map)).count() < 2 {
        return Ok(None);
    }
    let Some(maps) = composed(maps, input)? else { return Ok(None) };
    composition::norm(&maps).map(|norm| Some(Claims::lipschitz(norm)))
}

/// Returns whether a map has a place in compositions.
pub(super) fn composes(map: &Map) -> bool {
    match map {
        Map::Linear(Linear::AvgPool(pooling)) => {
            pooling.size.square().is_some_and(|size| *pooling == Pooling::disjoint(size))
        }
        Map::Linear(
            Linear::ChannelAffine { .. }
            | Linear::FirstChannels { .. }
            | Linear::Shift { .. }
            | Linear::Mirror {}
            | Linear::GraphGradient { .. },
        ) => false,
        Map::Linear(_) => true,
        _ => false,
    }
}

/// Affine maps in the form that compositions are computed with.
fn composed(maps: &[Map], input: Shape) -> Result<Option<Vec<composition::Linear>>> {
    let (mut shape, mut all) = (input, Vec::new());
    for map in maps {
        let Map::Linear(linear) = map else { return Ok(None) };
        if !composes(map) {
            return Ok(None);
        }
        match linear {
            Linear::Flatten {} => {}
            Linear::Normalize { std, .. } => {
                let repeat = shape.len() / std.len().max(1);
                all.push(composition::Linear::Divide { std: std.clone(), repeat });
            }
            Linear::Dense { weight, .. } => all.push(composition::Linear::Dense(weight.matrix())),
            Linear::Conv2d(conv) => {
                let Plain { weight, channels, axes, mode } = Plain::new(conv, shape)?;
                let weight = weight.into_owned();
                all.push(composition::Linear::Conv2d { weight, channels, axes, mode });
            }
            Linear::AvgPool(pooling) => all.push(composition::Linear::MeanPool { size: pooling.size.0[0] }),
            Linear::GlobalAvgPool {} => all.push(composition::Linear::GlobalMean { points: shape.points() }),
            Linear::PadChannels { channels } => {
                let (present, ..) = shape.as_image("padding of channels")?;
                all.push(composition::Linear::PadChannels { added: channels.saturating_sub(present) });
            }
            Linear::SpaceToDepth { block } => all.push(composition::Linear::SpaceToDepth { block: *block }),
            Linear::ChannelAffine { .. }
            | Linear::FirstChannels { .. }
            | Linear::Shift { .. }
            | Linear::Mirror {}
            | Linear::GraphGradient { .. } => return Ok(None),
        }
        shape = linear.output(shape)?;
    }
    Ok(Some(all))
}
