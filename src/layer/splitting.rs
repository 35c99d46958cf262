//! Steps that are no Runge–Kutta steps: symplectic ones, and exponential ones.

use super::{Splitting, Step, Stepper};
use crate::{
    certificate::Certificate,
    error::Result,
    field::{Expression, StructuredField, VectorField},
    model::{Method, SplitMethod},
    rigor::Rounding,
    scalar::Scalar,
    tableau::Tableau,
    tape::Tape,
    tensor::Batch,
};

/// A step of a method that treats the parts of a field differently: an expression in its operators.
#[derive(Debug)]
pub struct Split<T: Scalar> {
    field: StructuredField<T>,
    method: SplitMethod,
    h: T,
    step: Expression,
}

impl<T: Scalar> Splitting<T> {
    /// Returns `steps` steps of length `h`.
    ///
    /// # Errors
    /// [`crate::Error::Parameter`] if there are no steps, `h` is not finite in `T`, or the method is none for the field.
    pub fn new(field: StructuredField<T>, method: SplitMethod, h: f64, steps: usize) -> Result<Self> {
        Self::varying(vec![field], method, h, steps)
    }

    /// Returns `steps` steps of length `h` of one field, or one step of each field.
    ///
    /// # Errors
    /// As [`Self::new`], and [`crate::Error::Parameter`] unless there is one field, or one for each step.
    pub fn varying(fields: Vec<StructuredField<T>>, method: SplitMethod, h: f64, steps: usize) -> Result<Self> {
        let h = T::of(h);
        let part = |field: StructuredField<T>| {
            let step = field.split_step(method, h.wide())?;
            Ok(Split { field, method, h, step })
        };
        Self::of(fields.into_iter().map(part).collect::<Result<_>>()?, Step::Fixed(h.wide()), steps)
    }
}

impl<T: Scalar> Stepper for Split<T> {
    type Scalar = T;
    type Wide = Split<f64>;

    fn field(&self) -> &dyn VectorField<T> {
        &self.field
    }

    fn field_mut(&mut self) -> &mut dyn VectorField<T> {
        &mut self.field
    }

    fn method(&self) -> Method {
        Method::Split(self.method)
    }

    fn tableau(&self) -> Option<&Tableau> {
        None
    }

    fn length(&self) -> T {
        self.h
    }

    fn set_length(&mut self, h: T) {
        // It was one of the methods of the field before.
        if let Ok(step) = self.field.split_step(self.method, h.wide()) {
            (self.h, self.step) = (h, step);
        }
    }

    fn step(&self, x: Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        self.step.eval(self.field.parts(), x, tape)
    }

    fn vjp(&self, tape: &Tape<T>, g: Batch<T>, gradient: Option<&mut [Vec<T>]>) -> (Batch<T>, Option<T>) {
        (self.step.vjp(self.field.parts(), tape, g, gradient), None)
    }

    fn jvp(&self, tape: &Tape<T>, v: Batch<T>) -> Batch<T> {
        self.step.jvp(self.field.parts(), tape, v)
    }

    fn rounding(&self, proof: &Certificate, rounding: &Rounding, tape: &Tape<f64>, reach: &[f64]) -> Result<Vec<f64>> {
        let norms = self.field.norms(proof.premises())?;
        Ok(self.step.rounding(self.field.parts(), &norms, rounding, tape, reach)?.errors)
    }

    fn widen(&self) -> Split<f64> {
        Split { field: self.field.widened(), method: self.method, h: self.h.wide(), step: self.step.clone() }
    }
}
