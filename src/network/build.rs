//! From data to what computes it: layers, fields and operators of a description.

use super::Network;
use crate::{
    error::{Error, Result},
    field::{GradientField, ProjectedField, ResidualField, StructuredField, VectorField},
    layer::{
        ActivationLayer, AffineLayer, Branches, Equilibrium, Flow, Householder, Implicit, L2Pool, Layer, Normalize,
        PartialActivation, Reshape, Selection, Splitting, Step,
    },
    model::{self, Field, Linear, Map, Method, Partial, Window, join},
    operator::Affine,
    rules::Prover,
    scalar::Scalar,
    tensor::{Shape, cast},
};

impl<T: Scalar> Network<T> {
    /// Returns the network that a map describes, for inputs of a shape.
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
        Map::Partial(Partial { function, channels }) => {
            let layer = PartialActivation::new::<T>(*function, *channels, input).map_err(here)?;
            Ok(Box::new(layer))
        }
        Map::Window(Window::L2Pool(pooling)) => Ok(Box::new(L2Pool::new(input, *pooling).map_err(here)?)),
        Map::Window(window) => Ok(Box::new(Selection::new(input, *window).map_err(here)?)),
        Map::Householder(householder) => Ok(Box::new(Householder::<T>::new(input, householder).map_err(here)?)),
        Map::Flow(flow) => flow_layer(flow, input).map_err(here),
        Map::Equilibrium(map) => {
            let layer = field(&map.field, input).and_then(|field| Equilibrium::boxed(field, map.tolerance));
            Ok(Box::new(layer.map_err(here)?))
        }
        Map::Opaque(opaque) => Err(here(unknown(&opaque.kind))),
    }
}

fn flow_layer<T: Scalar>(flow: &model::Flow, input: Shape) -> Result<Box<dyn Layer<T>>> {
    if let Method::Split(method) = &flow.method {
        let fields = flow.fields.iter().map(|field| StructuredField::<T>::new(field, input)).collect::<Result<_>>()?;
        return Ok(Box::new(Splitting::varying(fields, *method, flow.step, flow.steps)?.over(flow.horizon)));
    }
    let fields = flow.fields.iter().map(|f| field(f, input)).collect::<Result<_>>()?;
    let tableau = flow.method.tableau()?;
    if !tableau.is_explicit() {
        let layer = Implicit::boxed(fields, tableau, flow.step, flow.steps, flow.tolerance)?;
        return Ok(Box::new(layer.over(flow.horizon)));
    }
    let layer = Flow::boxed(fields, tableau, Step::Fixed(flow.step), flow.steps)?;
    Ok(Box::new(layer.over(flow.horizon)))
}

fn field<T: Scalar>(field: &Field, input: Shape) -> Result<Box<dyn VectorField<T>>> {
    Ok(match field {
        Field::Gradient { activation, operator, weights: None } => {
            Box::new(GradientField::new(Affine::described(operator, input)?, *activation)?)
        }
        Field::Residual { activation, inner, outer } => {
            let inner = Affine::described(inner, input)?;
            let outer = Affine::described(outer, inner.operator().output())?;
            Box::new(ResidualField::new(inner, *activation, outer)?)
        }
        Field::LyapunovProjected { .. } => Box::new(ProjectedField::new(field, input)?),
        Field::Opaque(opaque) => return Err(unknown(&opaque.kind)),
        other => Box::new(StructuredField::new(other, input)?),
    })
}

fn affine_layer<T: Scalar>(linear: &Linear, input: Shape) -> Result<Box<dyn Layer<T>>> {
    Ok(match linear {
        Linear::Normalize { mean, std } => Box::new(Normalize::<T>::new(input, cast(mean), cast(std))?),
        Linear::Flatten {}
        | Linear::PadChannels { .. }
        | Linear::SpaceToDepth { .. }
        | Linear::FirstChannels { .. }
        | Linear::Shift { .. }
        | Linear::Mirror {} => Box::new(Reshape::described(linear, input)?),
        Linear::Dense { .. }
        | Linear::Conv2d(_)
        | Linear::AvgPool(_)
        | Linear::GlobalAvgPool {}
        | Linear::ChannelAffine { .. }
        | Linear::GraphGradient { .. } => Box::new(AffineLayer::new(Affine::described(linear, input)?)),
    })
}

/// Returns the refusal of what can be described and not run.
fn unknown(what: &str) -> Error {
    Error::not_proved(what, "this program has no layer that computes it")
}
