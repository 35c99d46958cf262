//! Vector fields `f: X → X`, the right-hand sides of `x' = f(x)`.

mod gradient;
mod primitive;
mod projected;
mod residual;
mod structured;

use std::fmt::Debug;

pub use gradient::GradientField;
pub use primitive::primitive;
pub use projected::ProjectedField;
pub use residual::ResidualField;
pub(crate) use structured::Expression;
pub use structured::StructuredField;

use crate::{
    certificate::Certificate,
    error::{Error, Result},
    model::Field,
    operator::Affine,
    rigor::{Estimate, Rounding, Summation},
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};

/// The right-hand side of an autonomous ordinary differential equation, evaluated and differentiated.
///
/// Written for two points of the space, `Δx` and `Δf` being the differences of the points and of the field's values.
/// A new field is one file that implements this trait; [`crate::layer::Flow`] integrates it.
pub trait VectorField<T: Scalar>: Debug + Send + Sync {
    /// Returns what the field is, as data: everything that is proved about it is proved about that.
    ///
    /// A field that is none of the known ones describes itself as [`Field::Opaque`], with a Lipschitz constant that its
    /// author asserts.
    fn describe(&self) -> Field;

    /// Returns the shape of a point of the space.
    fn shape(&self) -> Shape;

    /// Returns `f(x)` for each sample; leaves on the tape what the derivatives need.
    fn eval(&self, x: &Batch<T>, tape: &mut Tape<T>) -> Batch<T>;

    /// Returns `f'(x)ᵀ g` for each sample, and the gradient of `Σ ⟨g, f(x)⟩` by the parameters, added to `gradient`.
    fn vjp(&self, x: &Batch<T>, tape: &Tape<T>, g: &Batch<T>, gradient: Option<&mut [Vec<T>]>) -> Batch<T>;

    /// Returns `f'(x) v` for each sample.
    fn jvp(&self, x: &Batch<T>, tape: &Tape<T>, v: &Batch<T>) -> Batch<T>;

    /// Returns what takes a step `x + h f(x)` faster than a value and a sum, if the field has that.
    fn fused(&self) -> Option<Box<dyn FusedStep<T> + '_>> {
        None
    }

    /// Returns the affine maps that the field is made of. Its parameters are theirs, unless it says otherwise.
    fn maps(&self) -> Vec<&Affine<T>> {
        Vec::new()
    }

    /// Returns the affine maps, to be changed.
    fn maps_mut(&mut self) -> Vec<&mut Affine<T>> {
        Vec::new()
    }

    /// Returns the parameters, each a flat slice: first those of [`Self::maps`].
    fn parameters(&self) -> Vec<&[T]> {
        self.maps().into_iter().flat_map(Affine::parameters).collect()
    }

    /// Returns the parameters, to be changed.
    fn parameters_mut(&mut self) -> Vec<&mut [T]> {
        self.maps_mut().into_iter().flat_map(Affine::parameters_mut).collect()
    }

    /// Computes the weights that are evaluated from those that are trained ([`crate::parametrize`]).
    fn prepare(&mut self) {
        self.maps_mut().into_iter().for_each(Affine::prepare);
    }

    /// Turns a gradient by the weights that are evaluated into one by those that are trained, in place.
    fn pull_back(&self, mut gradient: &mut [Vec<T>]) {
        for map in self.maps() {
            let (slots, rest) = gradient.split_at_mut(map.parameters().len());
            map.pull_back(slots);
            gradient = rest;
        }
    }

    /// Returns the number of rows of each parameter that is a matrix, row by row, and 1 for any other.
    fn parameter_rows(&self) -> Vec<usize> {
        let mut rows: Vec<usize> = self.maps().into_iter().flat_map(Affine::parameter_rows).collect();
        rows.resize(self.parameters().len(), 1);
        rows
    }

    /// For each sample `x`, a bound of `‖fl(f(x')) − f(x')‖` and one of `‖fl(f(x'))‖`, for every `x'` within `reach`
    /// of `x`, `fl` being evaluation in the format of `rounding`. Infinite where an overflow cannot be excluded.
    ///
    /// The tape is that of the evaluation of the *widened* field at `x`: it rounds no more than `rounding` says. The proof
    /// is one of what the field describes.
    ///
    /// # Errors
    /// [`Error::NotProved`] if the field has no such bound.
    fn rounding(
        &self,
        _proof: &Certificate,
        _rounding: &Rounding,
        _x: &Batch<f64>,
        _tape: &Tape<f64>,
        _reach: &[f64],
    ) -> Result<Vec<FieldError>> {
        Err(Error::not_proved(
            format!("the rounding error of the field {}", self.describe().kind()),
            "it declares none",
        ))
    }

    /// Makes every sum of the field keep to an order, and [`Self::rounding`] charge that order. A field whose sums have
    /// no declared order ignores this.
    fn set_summation(&mut self, summation: Summation) {
        self.maps_mut().into_iter().for_each(|map| map.set_summation(summation));
    }

    /// Returns a cheap estimate of the largest curvature, improved from call to call: what steers the step during
    /// training.
    fn estimate_curvature(&mut self) -> Option<Estimate> {
        None
    }

    /// Adds `scale` times the gradient of that estimate by the parameters.
    fn curvature_gradient(&self, _scale: T, _gradient: &mut [Vec<T>]) {}

    /// Returns the same field over `f64`, exactly.
    fn widen(&self) -> Box<dyn VectorField<f64>>;
}

/// A step `x + h f(x)` in one pass over the samples.
pub trait FusedStep<T: Scalar> {
    /// Returns `x + h f(x)` for each sample. The tape is left as by [`VectorField::eval`].
    fn step(&self, h: T, x: &Batch<T>, tape: &mut Tape<T>) -> Batch<T>;

    /// Returns `g + h f'(x)ᵀ g` for each sample; the gradient of `Σ ⟨g, x + h f(x)⟩` by the parameters is added to
    /// `gradient`. With a gradient also that by `h`, which is `Σ ⟨g, f(x)⟩`.
    fn vjp(&self, h: T, x: &Batch<T>, tape: &Tape<T>, g: &Batch<T>, gradient: Option<&mut [Vec<T>]>) -> (Batch<T>, T);
}

/// The rounding error of one evaluation of a field and the size of its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FieldError {
    /// A bound of `‖fl(f(x')) − f(x')‖`.
    pub error: f64,
    /// A bound of `‖fl(f(x'))‖`.
    pub size: f64,
}
