//! Consecutive layers that are certified as one map.
//!
//! A group is proved from the plain numbers of its layers, whatever is claimed about each of them: linear maps in a row
//! by the norm of their composition, [`composition`], and a stack of matrices and activations by its multipliers.

use faer::Mat;

use super::{Report, at_least, constraint, linear, operator, require, slopes, stored};
use crate::{
    certificate::Rule,
    error::{Error, Result},
    io::{ClaimedGroup, ClaimedLayer, LayerSpec, ModelFile},
    rigor::{
        Upper,
        composition::{self, Linear},
        quadratic_constraint::{Chain, Stage},
    },
    tensor::Shape,
};

/// The largest number of scalars in one sample inside a group.
const LARGEST_SAMPLE: usize = 1 << 24;

/// A layer in plain numbers.
enum Plain {
    /// Nothing but a new shape.
    Flatten,
    Linear(Linear),
    /// `[m, L]`.
    Slopes([f64; 2]),
}

/// Checks the claims about groups of the first `features` layers, and returns the groups that are in their place: in
/// order, none sharing a layer with another.
pub(super) fn check<'a>(
    groups: &'a [ClaimedGroup],
    (model, shapes): (&ModelFile, &[Option<Shape>]),
    features: usize,
    report: &mut Report,
) -> Vec<&'a ClaimedGroup> {
    let (mut placed, mut end) = (Vec::new(), 0);
    for (i, group) in groups.iter().enumerate() {
        let ClaimedGroup { first, count, rule, bound, .. } = group;
        let next = first.checked_add(*count).filter(|next| (end..*next).contains(first) && *next <= features);
        let outcome = match next {
            Some(next) => {
                placed.push(group);
                end = next;
                layers(model, shapes, *first..next).and_then(|layers| prove(group, layers))
            }
            None => Err(Error::format("it is empty, holds the head, or shares a layer with a group before it")),
        };
        let claim = format!("{count} layers from layer {first}, {rule}: Lipschitz bound {bound}");
        report.add(format!("group {i}"), claim, outcome);
    }
    placed
}

/// The product of the claimed bounds of the groups and of the layers in none.
pub(super) fn product(layers: &[ClaimedLayer], groups: &[&ClaimedGroup]) -> Upper {
    let mut groups = groups.iter().peekable();
    let (mut bound, mut i) = (Upper::ONE, 0);
    while let Some(layer) = layers.get(i) {
        let group = groups.next_if(|group| group.first == i && group.count <= layers.len() - i);
        let (factor, count) = group.map_or((layer.bound, 1), |group| (group.bound, group.count));
        (bound, i) = (bound * Upper::proved(factor), i + count);
    }
    bound
}

/// The layers at these places, from the model.
fn layers(model: &ModelFile, shapes: &[Option<Shape>], range: std::ops::Range<usize>) -> Result<Vec<Plain>> {
    let unknown = || Error::format("its layers are not as claimed");
    let read = |i: usize| {
        let [Some(input), Some(output)] = shapes.get(i..i + 2).ok_or_else(unknown)? else { return Err(unknown()) };
        require(input.len().max(output.len()) <= LARGEST_SAMPLE, "its samples are too large")?;
        plain(model, &model.spec().layers[i], *input)
    };
    range.map(read).collect()
}

/// Proves the claim. The match is exhaustive: a new rule must be decided here.
fn prove(group: &ClaimedGroup, layers: Vec<Plain>) -> Result<()> {
    match group.rule {
        Rule::OperatorNorm => {
            require(group.multipliers.is_empty(), "a norm has no multipliers")?;
            let norm = composition::sharp_norm(&linear_maps(layers)?)?;
            at_least("the norm of the composition is proved to be at most", group.bound, norm)
        }
        Rule::QuadraticConstraint => {
            let (stages, outer) = stack(layers)?;
            constraint::proves(&Chain::stack(stages, outer)?, group.bound, &group.multipliers)
        }
        Rule::Slope
        | Rule::Isometry
        | Rule::GradientStep
        | Rule::CircleContractivity
        | Rule::ShuOsher
        | Rule::OneSidedLipschitz
        | Rule::Composition
        | Rule::Descent
        | Rule::Margin => Err(Error::format(format!("the rule {} is not one for several layers", group.rule))),
    }
}

fn linear_maps(layers: Vec<Plain>) -> Result<Vec<Linear>> {
    let map = |layer| match layer {
        Plain::Flatten => None,
        Plain::Linear(map) => Some(Ok(map)),
        Plain::Slopes(_) => Some(Err(Error::format("an activation is not a linear map"))),
    };
    layers.into_iter().filter_map(map).collect()
}

/// Matrices, each followed by an activation, and perhaps a last one that is not.
fn stack(layers: Vec<Plain>) -> Result<(Vec<Stage>, Option<Mat<f64>>)> {
    let (mut stages, mut open) = (Vec::new(), None);
    for layer in layers {
        match (layer, open.take()) {
            (Plain::Flatten, held) => open = held,
            (Plain::Linear(Linear::Dense(weight)), None) => open = Some(weight),
            (Plain::Slopes(slopes), Some(weight)) => stages.push(Stage { weight, slopes }),
            _ => return Err(Error::format("it is not a stack of matrices and activations in turn")),
        }
    }
    Ok((stages, open))
}

/// A layer of a model at a place whose input is `input`, which has been checked to fit.
fn plain(model: &ModelFile, spec: &LayerSpec, input: Shape) -> Result<Plain> {
    Ok(Plain::Linear(match spec {
        LayerSpec::Flatten {} => return Ok(Plain::Flatten),
        LayerSpec::Activation(function) => return Ok(Plain::Slopes(slopes(*function, model)?)),
        LayerSpec::Flow(_) => return Err(Error::format("a flow is not one of the layers that a group may hold")),
        LayerSpec::Normalize { std, .. } => {
            let std: Vec<f64> = std.iter().map(|&s| stored(model, s)).collect();
            require(std.iter().all(|s| *s > 0.0 && s.is_finite()), "a deviation is not positive")?;
            Linear::Divide { repeat: input.len() / std.len().max(1), std }
        }
        LayerSpec::Dense(_) | LayerSpec::Conv2d(_) => match operator::Linear::read(model, &linear(spec)?, input)? {
            operator::Linear::Conv { weight, channels, axes, mode, .. } => {
                Linear::Conv2d { weight, channels, axes, mode }
            }
            map => Linear::Dense(map.as_matrix().ok_or_else(|| Error::format("not a matrix"))?),
        },
        LayerSpec::AvgPool { size } => Linear::MeanPool { size: *size },
        LayerSpec::GlobalAvgPool {} => {
            let (_, height, width) = input.as_image("global mean pooling")?;
            Linear::GlobalMean { points: height * width }
        }
        LayerSpec::PadChannels { channels } => {
            let (present, ..) = input.as_image("padding of channels")?;
            require(*channels >= present, "the input has more channels than the output")?;
            Linear::PadChannels { added: channels - present }
        }
        LayerSpec::SpaceToDepth { block } => Linear::SpaceToDepth { block: *block },
    }))
}
