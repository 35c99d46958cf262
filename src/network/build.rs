//! From data to what computes it: layers, fields and operators of a description.

use super::Network;
use crate::{
    error::{Error, Result},
    field::{GradientField, ResidualField, VectorField},
    layer::{ActivationLayer, AffineLayer, Branches, Flow, Layer, Normalize, Reshape, Step},
    model::{self, Field, Linear, Map, Pair, Tensor, join},
    operator::{Affine, Conv2d, Dense, Geometry, MeanPool, Operator},
    rules::Prover,
    scalar::Scalar,
    tensor::{Shape, cast},
};

impl<T: Scalar> Network<T> {
    /// The network that a map describes, for inputs of a shape.
    ///
    /// # Errors
    /// [`Error::Layer`] for a part that does not fit, or that this program knows how to describe and not how to run.
    pub fn build(map: &Map, input: Shape) -> Result<Self> {
        map.output(input)?;
        let map = Prover::default().settled::<T>(map, input)?;
        chain(map.layers(), "", input)
    }
}

/// Maps in a row.
fn chain<T: Scalar>(maps: &[Map], path: &str, input: Shape) -> Result<Network<T>> {
    let (mut layers, mut shape): (Vec<Box<dyn Layer<T>>>, _) = (Vec::new(), input);
    for (i, map) in maps.iter().enumerate() {
        let layer = layer(map, &join(path, &i.to_string()), shape)?;
        shape = layer.output();
        layers.push(layer);
    }
    Ok(Network { input, layers })
}

fn layer<T: Scalar>(map: &Map, path: &str, input: Shape) -> Result<Box<dyn Layer<T>>> {
    let here = |e: Error| e.in_layer(path);
    match map {
        Map::Chain(maps) => Ok(Box::new(chain::<T>(maps, path, input)?)),
        Map::Sum(maps) | Map::Mean(maps) => {
            let branch = |(i, map): (usize, &Map)| chain::<T>(map.layers(), &join(path, &i.to_string()), input);
            let branches = maps.iter().enumerate().map(branch).collect::<Result<_>>()?;
            let layer = if let Map::Sum(_) = map { Branches::sum(branches) } else { Branches::mean(branches) };
            Ok(Box::new(layer.map_err(here)?))
        }
        Map::Linear(linear) => affine_layer(linear, input).map_err(here),
        Map::Activation(function) => {
            ActivationLayer::new::<T>(*function, input).map(|layer| Box::new(layer) as Box<dyn Layer<T>>).map_err(here)
        }
        Map::Flow(flow) => flow_layer(flow, input).map_err(here),
        Map::Opaque(opaque) => Err(here(unknown(&opaque.kind))),
    }
}

fn flow_layer<T: Scalar>(flow: &model::Flow, input: Shape) -> Result<Box<dyn Layer<T>>> {
    let fields = flow.fields.iter().map(|f| field(f, input)).collect::<Result<_>>()?;
    let layer = Flow::boxed(fields, flow.method.tableau()?, Step::Fixed(flow.step), flow.steps)?;
    Ok(Box::new(layer.over(flow.horizon)))
}

fn field<T: Scalar>(field: &Field, input: Shape) -> Result<Box<dyn VectorField<T>>> {
    Ok(match field {
        Field::Gradient { activation, operator } => {
            Box::new(GradientField::new(affine(operator, input)?, *activation)?)
        }
        Field::Residual { activation, inner, outer } => {
            let inner = affine(inner, input)?;
            let outer = affine(outer, inner.operator().output())?;
            Box::new(ResidualField::new(inner, *activation, outer)?)
        }
        Field::Opaque(opaque) => return Err(unknown(&opaque.kind)),
    })
}

fn affine_layer<T: Scalar>(linear: &Linear, input: Shape) -> Result<Box<dyn Layer<T>>> {
    Ok(match linear {
        Linear::Normalize { mean, std } => Box::new(Normalize::<T>::new(input, cast(mean), cast(std))?),
        Linear::Flatten {} => Box::new(Reshape::flatten(input)),
        Linear::PadChannels { channels } => Box::new(Reshape::pad_channels(input, *channels)?),
        Linear::SpaceToDepth { block } => Box::new(Reshape::space_to_depth(input, *block)?),
        Linear::Dense { .. } | Linear::Conv2d(_) | Linear::AvgPool { .. } | Linear::GlobalAvgPool {} => {
            Box::new(AffineLayer::new(affine(linear, input)?))
        }
    })
}

fn affine<T: Scalar>(linear: &Linear, input: Shape) -> Result<Affine<T>> {
    let numbers = |bias: &Option<Tensor>| bias.as_ref().map(Tensor::numbers::<T>);
    let (operator, bias): (Box<dyn Operator<T>>, _) = match linear {
        Linear::Dense { weight, bias } => {
            let &[rows, columns] = weight.shape() else { return Err(unknown("a tensor that is no matrix")) };
            (Box::new(Dense::new(rows, columns, weight.numbers())?), numbers(bias))
        }
        Linear::Conv2d(conv) => (Box::new(convolution(conv, input)?), numbers(&conv.bias)),
        Linear::AvgPool { size } => {
            let side = size.square().ok_or_else(|| unknown("mean pooling over windows that are no squares"))?;
            (Box::new(MeanPool::new(input, side)?), None)
        }
        Linear::GlobalAvgPool {} => (Box::new(MeanPool::global(input)?), None),
        Linear::Normalize { .. } | Linear::Flatten {} | Linear::PadChannels { .. } | Linear::SpaceToDepth { .. } => {
            return Err(unknown(&format!("{} as the operator of a field", linear.kind())));
        }
    };
    Affine::boxed(operator, bias)
}

fn convolution<T: Scalar>(conv: &model::Conv2d, input: Shape) -> Result<Conv2d<T>> {
    let (axes, &[outputs, _, height, width]) = (conv.axes(input)?, conv.weight.shape()) else {
        return Err(unknown("a tensor that is no kernel"));
    };
    let [y, x] = axes;
    if (y.stride, y.padding) != (x.stride, x.padding) {
        return Err(unknown("a convolution whose strides or paddings differ"));
    }
    if conv.dilation != Pair::one() || conv.groups != 1 {
        return Err(unknown("a convolution with a dilation or with groups"));
    }
    let (stride, padding, mode) = (y.stride, y.padding, conv.padding_mode);
    Conv2d::new(Geometry { input, outputs, kernel: (height, width), stride, padding, mode }, conv.weight.numbers())
}

/// The refusal of what can be described and not run.
fn unknown(what: &str) -> Error {
    Error::not_proved(what, "this program has no layer that computes it")
}
