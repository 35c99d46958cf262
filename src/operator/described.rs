//! From data to what computes it: operators of a description.

use super::{Affine, Conv2d, Dense, Diagonal, GraphGradient, MeanPool, Operator};
use crate::{
    error::{Error, Result},
    model::{self, Linear, Tensor},
    scalar::Scalar,
    tensor::Shape,
};

impl<T: Scalar> Affine<T> {
    /// Returns the affine map of a description, on samples of a shape.
    ///
    /// # Errors
    /// As [`Linear::output`], and [`Error::NotProved`] for a map that merely moves coordinates: it is a layer, and no
    /// operator of a field. [`Error::Parameter`] for weights that their form does not make.
    pub fn described(linear: &Linear, input: Shape) -> Result<Self> {
        let numbers = |bias: &Option<Tensor>| bias.as_ref().map(Tensor::numbers::<T>);
        let (operator, bias): (Box<dyn Operator<T>>, _) = match linear {
            Linear::Dense { weight, bias } => {
                let &[rows, columns] = weight.shape() else { return Err(unknown("a tensor that is no matrix")) };
                (Box::new(Dense::new(rows, columns, weight.numbers())?), numbers(bias))
            }
            Linear::Conv2d(conv) => (Box::new(Conv2d::described(conv, input)?), numbers(&conv.bias)),
            Linear::AvgPool(pooling) => (Box::new(MeanPool::windows(input, *pooling)?), None),
            Linear::ChannelAffine { scale, shift } => {
                (Box::new(Diagonal::new(input, scale.numbers())?), numbers(shift))
            }
            Linear::GraphGradient { weight, bias, edges } => {
                let rows = weight.shape().first().copied().unwrap_or(0);
                let operator = GraphGradient::new(input, edges.clone(), rows, weight.numbers())?;
                (Box::new(operator), numbers(bias))
            }
            Linear::GlobalAvgPool {} => (Box::new(MeanPool::global(input)?), None),
            Linear::Normalize { .. }
            | Linear::Flatten {}
            | Linear::PadChannels { .. }
            | Linear::SpaceToDepth { .. }
            | Linear::FirstChannels { .. }
            | Linear::Shift { .. }
            | Linear::Mirror {} => {
                return Err(unknown(&format!("{} as the operator of a field", linear.kind())));
            }
        };
        let map = Self::boxed(operator, bias)?;
        let trained = match linear {
            Linear::Dense { weight, .. } | Linear::Conv2d(model::Conv2d { weight, .. }) => weight.trained(),
            _ => None,
        };
        match trained {
            Some(trained) => map.resumed(trained),
            None => Ok(map),
        }
    }
}

/// Returns the refusal of what can be described and not run.
fn unknown(what: &str) -> Error {
    Error::not_proved(what, "this program has no operator that computes it")
}
