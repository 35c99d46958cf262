//! An activation of some channels.

use super::Layer;
use crate::{
    activation::Activation,
    certificate::Certificate,
    error::Result,
    model::{Map, Partial},
    rigor::Rounding,
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};

/// `σ` of every coordinate of some channels of an image, or of some features; the others stay as they are.
///
/// By the slope rule it is `max(|m|, |L|, 1)`-Lipschitz. The absolute value of some channels preserves gradients, and is
/// an isometry almost everywhere.
#[derive(Debug, Clone)]
pub struct PartialActivation {
    partial: Partial,
    shape: Shape,
}

impl PartialActivation {
    /// Returns the activation of the channels from `channels[0]` to before `channels[1]`, its constants rounded to `T`.
    ///
    /// # Errors
    /// [`crate::Error::Parameter`] for a range that is empty or goes beyond the channels, and for a function as in
    /// [`super::ActivationLayer::new`].
    pub fn new<T: Scalar>(function: Activation, channels: [usize; 2], shape: Shape) -> Result<Self> {
        let partial = Partial { function: function.in_format::<T>()?, channels };
        Map::Partial(partial).output(shape)?;
        Ok(Self { partial, shape })
    }

    /// Calls `f(position)` for the coordinates of a batch that the function is applied to.
    fn each(&self, samples: usize) -> impl Iterator<Item = usize> {
        let (points, n) = (self.shape.points(), self.shape.len());
        let [from, to] = self.partial.channels.map(|channel| channel * points);
        (0..samples).flat_map(move |s| s * n + from..s * n + to)
    }

    /// Returns `σ'(x)·g`.
    fn differentiate<T: Scalar>(&self, x: &Batch<T>, mut g: Batch<T>) -> Batch<T> {
        let (samples, function) = (x.samples(), self.partial.function);
        let (x, data) = (x.data(), g.data_mut());
        self.each(samples).for_each(|i| data[i] *= function.derivative(x[i]));
        g
    }
}

impl<T: Scalar> Layer<T> for PartialActivation {
    fn describe(&self) -> Map {
        Map::Partial(self.partial)
    }

    fn input(&self) -> Shape {
        self.shape
    }

    fn output(&self) -> Shape {
        self.shape
    }

    fn forward(&self, mut x: Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        tape.save_copy(&x);
        let (samples, function) = (x.samples(), self.partial.function);
        let data = x.data_mut();
        self.each(samples).for_each(|i| data[i] = function.value(data[i]));
        x
    }

    fn vjp(&self, tape: &Tape<T>, g: Batch<T>, _gradient: Option<&mut [Vec<T>]>) -> Batch<T> {
        self.differentiate(tape.saved(0), g)
    }

    fn jvp(&self, tape: &Tape<T>, v: Batch<T>) -> Batch<T> {
        self.differentiate(tape.saved(0), v)
    }

    /// The error of the function over all coordinates is at least the one over some of them.
    fn rounding(&self, _: &Certificate, rounding: &Rounding, tape: &Tape<f64>, reach: &[f64]) -> Result<Vec<f64>> {
        Ok(self.partial.function.over_balls(rounding, tape.saved(0), reach).errors)
    }

    fn widen(&self) -> Box<dyn Layer<f64>> {
        Box::new(self.clone())
    }
}
