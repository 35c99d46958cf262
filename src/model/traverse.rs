//! The same tree with other weights.

use super::{Conv2d, Equilibrium, Flow, Householder, Linear, Map};

/// The number of axes of the weights of a matrix, of a convolution, and of a bias.
pub(super) const MATRIX: usize = 2;
const KERNEL: usize = 4;
const BIAS: usize = 1;
/// One vector, or several as the rows of a matrix.
pub(super) const VECTORS: usize = 0;

impl<W> Map<W> {
    /// Returns the tree with `f(path, axes, weight)` in the place of every weight; `path` names its place, and `axes`
    /// is the number of axes that it must have there, or 0 for one or two.
    ///
    /// # Errors
    /// The first error of `f`.
    pub fn try_map<V, E>(self, path: &str, f: &mut impl FnMut(&str, usize, W) -> Result<V, E>) -> Result<Map<V>, E> {
        let mut branches = |maps: Vec<Self>| -> Result<Vec<Map<V>>, E> {
            maps.into_iter().enumerate().map(|(i, map)| map.try_map(&join(path, &i.to_string()), f)).collect()
        };
        Ok(match self {
            Self::Chain(maps) => Map::Chain(branches(maps)?),
            Self::Sum(maps) => Map::Sum(branches(maps)?),
            Self::Mean(maps) => Map::Mean(branches(maps)?),
            Self::Linear(linear) => Map::Linear(linear.try_map(path, f)?),
            Self::Householder(Householder { vector }) => {
                Map::Householder(Householder { vector: f(&join(path, "vector"), VECTORS, vector)? })
            }
            Self::Flow(Flow { fields, method, step, steps, horizon, tolerance }) => {
                let one = fields.len() == 1;
                let name = |k: usize| if one { join(path, "field") } else { join(path, &format!("fields.{k}")) };
                let fields = fields.into_iter().enumerate().map(|(k, field)| field.try_map(&name(k), f));
                Map::Flow(Flow { fields: fields.collect::<Result<_, E>>()?, method, step, steps, horizon, tolerance })
            }
            Self::Equilibrium(Equilibrium { field, tolerance }) => {
                Map::Equilibrium(Equilibrium { field: field.try_map(&join(path, "field"), f)?, tolerance })
            }
            Self::Activation(function) => Map::Activation(function),
            Self::Partial(partial) => Map::Partial(partial),
            Self::Window(window) => Map::Window(window),
            Self::Opaque(opaque) => Map::Opaque(opaque),
        })
    }

    /// Calls `f` for every weight.
    pub fn each<'a>(&'a self, f: &mut impl FnMut(&'a W)) {
        match self {
            Self::Chain(maps) | Self::Sum(maps) | Self::Mean(maps) => maps.iter().for_each(|map| map.each(f)),
            Self::Linear(linear) => linear.each(f),
            Self::Householder(Householder { vector }) => f(vector),
            Self::Flow(flow) => flow.fields.iter().for_each(|field| field.each(f)),
            Self::Equilibrium(Equilibrium { field, .. }) => field.each(f),
            Self::Activation(_) | Self::Partial(_) | Self::Window(_) | Self::Opaque(_) => {}
        }
    }
}

impl<W> Linear<W> {
    /// As [`Map::try_map`].
    ///
    /// # Errors
    /// The first error of `f`.
    pub fn try_map<V, E>(self, path: &str, f: &mut impl FnMut(&str, usize, W) -> Result<V, E>) -> Result<Linear<V>, E> {
        let mut named = |[first, second]: [&str; 2], weight: W, bias: Option<W>, axes: usize| {
            let weight = f(&join(path, first), axes, weight)?;
            let bias = bias.map(|bias| f(&join(path, second), BIAS, bias)).transpose()?;
            Ok::<(V, Option<V>), E>((weight, bias))
        };
        const NAMES: [&str; 2] = ["weight", "bias"];
        Ok(match self {
            Self::Dense { weight, bias } => {
                let (weight, bias) = named(NAMES, weight, bias, MATRIX)?;
                Linear::Dense { weight, bias }
            }
            Self::Conv2d(Conv2d { weight, bias, stride, padding, dilation, groups, padding_mode }) => {
                let (weight, bias) = named(NAMES, weight, bias, KERNEL)?;
                Linear::Conv2d(Conv2d { weight, bias, stride, padding, dilation, groups, padding_mode })
            }
            Self::Normalize { mean, std } => Linear::Normalize { mean, std },
            Self::ChannelAffine { scale, shift } => {
                let (scale, shift) = named(["scale", "shift"], scale, shift, BIAS)?;
                Linear::ChannelAffine { scale, shift }
            }
            Self::GraphGradient { weight, bias, edges } => {
                let (weight, bias) = named(NAMES, weight, bias, MATRIX)?;
                Linear::GraphGradient { weight, bias, edges }
            }
            Self::AvgPool(pooling) => Linear::AvgPool(pooling),
            Self::GlobalAvgPool {} => Linear::GlobalAvgPool {},
            Self::Flatten {} => Linear::Flatten {},
            Self::PadChannels { channels } => Linear::PadChannels { channels },
            Self::SpaceToDepth { block } => Linear::SpaceToDepth { block },
            Self::FirstChannels { channels } => Linear::FirstChannels { channels },
            Self::Shift { groups, mode } => Linear::Shift { groups, mode },
            Self::Mirror {} => Linear::Mirror {},
        })
    }

    pub(super) fn each<'a>(&'a self, f: &mut impl FnMut(&'a W)) {
        if let Self::Dense { weight, bias }
        | Self::Conv2d(Conv2d { weight, bias, .. })
        | Self::ChannelAffine { scale: weight, shift: bias }
        | Self::GraphGradient { weight, bias, .. } = self
        {
            f(weight);
            bias.iter().for_each(f);
        }
    }
}

/// Returns the path of a part: `3.field.operator`.
pub(crate) fn join(path: &str, part: &str) -> String {
    if path.is_empty() { part.into() } else { format!("{path}.{part}") }
}
