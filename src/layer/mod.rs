//! Layers: maps between samples, with derivatives and a certificate.

mod activation;
mod affine;
mod flow;
mod normalize;
mod reshape;

use std::fmt::Debug;

pub use activation::ActivationLayer;
pub use affine::AffineLayer;
pub use flow::{Flow, Step};
pub use normalize::Normalize;
pub use reshape::Reshape;

use crate::{
    certificate::Entry,
    error::{Error, Result},
    io::{LayerSpec, TensorWriter},
    operator::{Affine, Norms},
    rigor::{Rounding, Summation},
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};

/// A map between samples.
///
/// # Contract
/// The batches handed to `forward`, `vjp` and `jvp` have the shapes that [`Self::input`] and [`Self::output`] name; a
/// [`crate::Network`] checks this once, when it is built and when it is fed. The tape is that of the layer's own
/// forward pass on the same batch. Samples do not influence each other.
///
/// # Direct and explicit parameters
/// What the optimiser moves is free (*direct*); [`Self::prepare`] computes from it what is evaluated (*explicit*), and
/// [`Self::pull_back`] takes a gradient back. Where the two are the same there is nothing to implement.
///
/// A new layer is one file: `kind`, the two shapes, `forward`, `vjp`, `jvp`, `certificate` and `widen`.
pub trait Layer<T: Scalar>: Debug + Send + Sync {
    /// The name of the kind of layer, as in files.
    fn kind(&self) -> &'static str;

    /// The shape of a sample that goes in.
    fn input(&self) -> Shape;

    /// The shape of a sample that comes out.
    fn output(&self) -> Shape;

    /// The value for each sample; leaves on the tape what the derivatives and error bounds need.
    fn forward(&self, x: Batch<T>, tape: &mut Tape<T>) -> Batch<T>;

    /// `Jᵀg` for each sample, and the gradient of `Σ ⟨g, y⟩` by the explicit parameters, added to `gradient`.
    fn vjp(&self, tape: &Tape<T>, g: Batch<T>, gradient: Option<&mut [Vec<T>]>) -> Batch<T>;

    /// `Jv` for each sample.
    fn jvp(&self, tape: &Tape<T>, v: Batch<T>) -> Batch<T>;

    /// The claim about the layer as a function over the real numbers, proved now.
    ///
    /// # Errors
    /// If no bound can be proved, or a hypothesis of the rule does not hold.
    fn certificate(&self) -> Result<Entry>;

    /// For each sample, a bound of `‖fl(y(x')) − y(x')‖` for every `x'` within `reach` of the sample on the tape: what
    /// this layer alone adds to the error when it runs in the format of `rounding`. Infinite where an overflow cannot
    /// be excluded.
    ///
    /// The tape is that of the *widened* layer, [`Self::widen`]: it rounds no more than `rounding` says.
    ///
    /// # Errors
    /// [`Error::NotProved`] if the layer declares no bound.
    fn rounding(&self, _rounding: &Rounding, _tape: &Tape<f64>, _reach: &[f64]) -> Result<Vec<f64>> {
        Err(Error::not_proved(format!("the rounding error of a layer of kind {}", self.kind()), "it declares none"))
    }

    /// As [`Self::rounding`], coordinate by coordinate: for each sample, bounds of `|fl(yᵢ(x')) − yᵢ(x')|`. A margin is
    /// charged with those of the two logits that it compares.
    ///
    /// # Errors
    /// As [`Self::rounding`].
    fn rounding_by_coordinate(&self, rounding: &Rounding, tape: &Tape<f64>, reach: &[f64]) -> Result<Vec<Vec<f64>>> {
        let coordinates = self.output().len();
        Ok(self.rounding(rounding, tape, reach)?.into_iter().map(|norm| vec![norm; coordinates]).collect())
    }

    /// Makes every sum of the layer keep to an order, and [`Self::rounding`] charge that order. A layer whose sums have
    /// no declared order ignores this.
    fn set_summation(&mut self, _summation: Summation) {}

    /// The same layer over `f64`, exactly.
    fn widen(&self) -> Box<dyn Layer<f64>>;

    /// The direct parameters, each a flat slice.
    fn parameters(&self) -> Vec<&[T]> {
        Vec::new()
    }

    /// The direct parameters, to be changed; [`Self::prepare`] must follow before the layer is evaluated.
    fn parameters_mut(&mut self) -> Vec<&mut [T]> {
        Vec::new()
    }

    /// A gradient of zeros by the explicit parameters. The direct parameters come first, slot by slot.
    fn gradient(&self) -> Vec<Vec<T>> {
        self.parameters().iter().map(|p| vec![T::zero(); p.len()]).collect()
    }

    /// Explicit parameters from direct ones, with estimates where a proof would be dear.
    fn prepare(&mut self) {}

    /// Turns a gradient by the explicit parameters into one by the direct parameters, in place.
    fn pull_back(&self, _gradient: &mut [Vec<T>]) {}

    /// Proves the norms of the operators in this way, where there is a choice: what is claimed from now on rests on them.
    ///
    /// # Errors
    /// If a norm cannot be proved.
    fn prove_norms(&mut self, _norms: Norms) -> Result<()> {
        Ok(())
    }

    /// Fixes what estimates have steered so far to values that are proved to be admissible.
    ///
    /// # Errors
    /// If a norm cannot be proved.
    fn seal(&mut self) -> Result<()> {
        Ok(())
    }

    /// The affine map that this layer is, if it is one: margins are measured on a last layer that is.
    fn as_affine(&self) -> Option<&Affine<T>> {
        None
    }

    /// The layer as it is written to a file; its tensors go to `tensors` under names that begin with `prefix`.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a layer that the file format does not know.
    fn describe(&self, _prefix: &str, _tensors: &mut TensorWriter) -> Result<LayerSpec> {
        Err(Error::parameter("layer", self.kind(), "the file format does not know this kind of layer"))
    }
}
