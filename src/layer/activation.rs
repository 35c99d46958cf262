//! An activation as a layer.

use super::Layer;
use crate::{
    activation::Activation,
    certificate::Certificate,
    error::Result,
    model::Map,
    rigor::Rounding,
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};

/// `σ` of every coordinate.
///
/// By the slope rule it is `max(|m|, |L|)`-Lipschitz, and for `−1 < m`, `L ≤ 1` averaged with `α = (1 − m)/2`:
/// `(σ − (1 − α) id)/α` has slopes in `[−1, 1]`.
#[derive(Debug, Clone)]
pub struct ActivationLayer {
    function: Activation,
    shape: Shape,
}

impl ActivationLayer {
    /// Returns the activation of samples of one shape, its constants rounded to `T`.
    ///
    /// # Errors
    /// [`crate::Error::Parameter`] for a leaky ReLU with a negative slope.
    pub fn new<T: Scalar>(function: Activation, shape: Shape) -> Result<Self> {
        Ok(Self { function: function.in_format::<T>()?, shape })
    }
}

impl<T: Scalar> Layer<T> for ActivationLayer {
    fn describe(&self) -> Map {
        Map::Activation(self.function)
    }

    fn input(&self) -> Shape {
        self.shape
    }

    fn output(&self) -> Shape {
        self.shape
    }

    fn forward(&self, x: Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        let y = self.function.apply(&x);
        tape.save(x);
        y
    }

    fn vjp(&self, tape: &Tape<T>, g: Batch<T>, _gradient: Option<&mut [Vec<T>]>) -> Batch<T> {
        self.function.differentiate(tape.saved(0), T::one(), g)
    }

    fn jvp(&self, tape: &Tape<T>, v: Batch<T>) -> Batch<T> {
        self.function.differentiate(tape.saved(0), T::one(), v)
    }

    fn rounding(&self, _: &Certificate, rounding: &Rounding, tape: &Tape<f64>, reach: &[f64]) -> Result<Vec<f64>> {
        Ok(self.function.over_balls(rounding, tape.saved(0), reach).errors)
    }

    fn widen(&self) -> Box<dyn Layer<f64>> {
        Box::new(self.clone())
    }
}
