//! A vector field, or one a step, integrated for a number of steps of a method.

mod choice;
mod explicit;
mod rounding;

use std::fmt::Debug;

pub use choice::Step;
use choice::{MOST_ESTIMATED, quotient};
pub use explicit::Explicit;
pub(super) use rounding::{Sum, Weight};

use super::Layer;
use crate::{
    certificate::Certificate,
    error::{Error, Result},
    field::VectorField,
    model::{self, Map, Method},
    rigor::{
        Rounding, Summation,
        directed::{add_up, mul_down, mul_up},
    },
    rules::Prover,
    scalar::Scalar,
    tableau::Tableau,
    tape::Tape,
    tensor::{Batch, Shape},
};

/// One step of a method for one field: its value, its derivatives, its rounding error, and its own layout on the tape.
///
/// [`Steps`] takes several in a row, which is all that a flow is. A method that is new is a type that implements this trait.
pub trait Stepper: Debug + Send + Sync + 'static {
    /// The number format.
    type Scalar: Scalar;
    /// The same step over `f64`.
    type Wide: Stepper<Scalar = f64>;
    /// Whether [`Self::vjp`] returns the gradient by the length.
    const BY_LENGTH: bool = false;

    /// Returns the field.
    fn field(&self) -> &dyn VectorField<Self::Scalar>;

    /// Returns the field, to be changed.
    fn field_mut(&mut self) -> &mut dyn VectorField<Self::Scalar>;

    /// Returns the method, as data.
    fn method(&self) -> Method;

    /// Returns the method as a tableau, if it has one: then circle contractivity may choose its length.
    fn tableau(&self) -> Option<&Tableau>;

    /// Returns how well the equations of the step are solved, if that was asked for.
    fn tolerance(&self) -> Option<f64> {
        None
    }

    /// Returns the length `h`.
    fn length(&self) -> Self::Scalar;

    /// Changes the length.
    fn set_length(&mut self, h: Self::Scalar);

    /// Returns the end of the step from each sample, or NaN as [`Layer::forward`].
    fn step(&self, x: Batch<Self::Scalar>, tape: &mut Tape<Self::Scalar>) -> Batch<Self::Scalar>;

    /// Returns `Jᵀg` for each sample. The gradient by the parameters of the field is added to `gradient`; with it, the one
    /// by the length is returned, if the method has that.
    fn vjp(
        &self,
        tape: &Tape<Self::Scalar>,
        g: Batch<Self::Scalar>,
        gradient: Option<&mut [Vec<Self::Scalar>]>,
    ) -> (Batch<Self::Scalar>, Option<Self::Scalar>);

    /// Returns `Jv` for each sample.
    fn jvp(&self, tape: &Tape<Self::Scalar>, v: Batch<Self::Scalar>) -> Batch<Self::Scalar>;

    /// For each sample, a bound of the distance between the executed and the exact step from the same point, for every
    /// point within `reach` of the one on the tape; infinite where an overflow cannot be excluded. The proof is one of the
    /// step, and the tape that of [`Self::widen`].
    ///
    /// # Errors
    /// As [`Layer::rounding`].
    fn rounding(&self, proof: &Certificate, rounding: &Rounding, tape: &Tape<f64>, reach: &[f64]) -> Result<Vec<f64>>;

    /// Returns the same step over `f64`, exactly.
    fn widen(&self) -> Self::Wide;
}

/// Steps of one method in a row, each from where the last one ended: a layer from a space to itself.
///
/// [`Flow`](super::Flow), [`Implicit`](super::Implicit) and [`Splitting`](super::Splitting) are this, with a [`Stepper`] each.
/// There is one field for all steps, or one for each: then weights depend on time.
#[derive(Debug)]
pub struct Steps<S> {
    /// One for all steps, or one for each.
    parts: Vec<S>,
    choice: Step,
    steps: usize,
    /// The whole time, if the length of a step is that over the number of steps.
    horizon: Option<f64>,
    /// The number of steps that was asked for.
    least: usize,
    /// The estimate of the largest curvature that the length was computed from, and the field that has it.
    estimate: (f64, usize),
}

impl<T: Scalar, S: Stepper<Scalar = T>> Steps<S> {
    /// Returns the layer of one step for all, or of one for each.
    pub(super) fn of(parts: Vec<S>, choice: Step, steps: usize) -> Result<Self> {
        let Some(space) = parts.first().map(|part| part.field().shape()) else {
            return Err(Error::parameter("fields", 0, "a flow has at least one field"));
        };
        if steps == 0 {
            return Err(Error::parameter("steps", steps, "a flow has at least one step"));
        }
        if parts.len() > 1 && parts.len() != steps {
            let reason = format!("there is one field for all steps, or one for each of {steps}");
            return Err(Error::parameter("fields", parts.len(), reason));
        }
        if let Some(other) = parts.iter().map(|part| part.field().shape()).find(|shape| *shape != space) {
            return Err(Error::Shape { what: "fields of a flow".into(), expected: space, found: other });
        }
        let h = parts[0].length();
        if !h.wide().is_finite() {
            return Err(Error::parameter("step", h, "a step must be a finite number"));
        }
        Ok(Self { parts, choice, steps, horizon: None, least: steps, estimate: (0.0, 0) })
    }

    /// Returns the same flow with the note that its steps, as they are, make up a whole time.
    pub(crate) fn over(self, horizon: Option<f64>) -> Self {
        Self { horizon, ..self }
    }

    /// Returns the length `h` of a step, as it is evaluated.
    pub fn step(&self) -> T {
        self.parts[0].length()
    }

    /// Returns the number of steps.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Returns the vector fields: one for all steps, or one for each.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = &dyn VectorField<T>> {
        self.parts.iter().map(Stepper::field)
    }

    /// Returns what takes the steps: one for all of them, or one for each.
    pub(crate) fn parts(&self) -> &[S] {
        &self.parts
    }

    /// Returns the place of what takes a step.
    fn place(&self, step: usize) -> usize {
        if self.parts.len() == 1 { 0 } else { step }
    }

    /// Returns the slots of a field in a gradient.
    fn slots<'a>(&self, place: usize, gradient: &'a mut [Vec<T>]) -> &'a mut [Vec<T>] {
        let first: usize = self.fields().take(place).map(|field| field.parameters().len()).sum();
        &mut gradient[first..][..self.parts[place].field().parameters().len()]
    }

    /// Returns whether the length follows the weights.
    fn is_relative(&self) -> bool {
        matches!(self.choice, Step::Relative(_))
    }

    /// Returns whether the length, or the number of steps, is still to be chosen.
    fn is_open(&self) -> bool {
        self.is_relative() || matches!(self.choice, Step::Horizon(_)) && self.parts.len() == 1
    }

    /// Chooses the length, or the number of steps, by estimates for the weights as they are.
    fn choose_length(&mut self) {
        if !self.is_open() {
            return;
        }
        let Some(Ok(radius)) = self.parts[0].tableau().map(Tableau::circle_radius) else { return };
        let estimate = |part: &mut S| Some(part.field_mut().estimate_curvature()?.get());
        let Some(estimates) = self.parts.iter_mut().map(estimate).collect::<Option<Vec<f64>>>() else { return };
        let steepest = (0..estimates.len()).max_by(|&a, &b| estimates[a].total_cmp(&estimates[b])).unwrap_or(0);
        self.estimate = (estimates[steepest], steepest);
        let longest = 2.0 * radius.get() / self.estimate.0;
        match self.choice {
            Step::Relative(part) => self.set_length(T::of(if self.estimate.0 > 0.0 { part * longest } else { part })),
            Step::Horizon(horizon) => {
                let needed = (horizon / longest).ceil().clamp(1.0, MOST_ESTIMATED) as usize;
                self.steps = needed.max(self.least);
                self.set_length(quotient(horizon, self.steps));
            }
            Step::Fixed(_) => {}
        }
    }

    fn set_length(&mut self, h: T) {
        self.parts.iter_mut().for_each(|part| part.set_length(h));
    }

    /// Makes every step as long as `h`, for good.
    pub(super) fn fix(&mut self, h: T) {
        (self.choice, self.horizon) = (Step::Fixed(h.wide()), None);
        self.set_length(h);
    }

    /// Returns the same flow over `f64`, exactly.
    pub(super) fn widened(&self) -> Steps<S::Wide> {
        Steps {
            parts: self.parts.iter().map(Stepper::widen).collect(),
            choice: Step::Fixed(self.step().wide()),
            steps: self.steps,
            horizon: self.horizon,
            least: self.steps,
            estimate: (0.0, 0),
        }
    }
}

impl<T: Scalar, S: Stepper<Scalar = T>> Layer<T> for Steps<S> {
    fn describe(&self) -> Map {
        let (first, fields) = (&self.parts[0], self.fields().map(|field| field.describe()).collect());
        let (method, tolerance) = (first.method(), first.tolerance());
        let (step, steps, horizon) = (self.step().wide(), self.steps, self.horizon);
        Map::Flow(model::Flow { fields, method, step, steps, horizon, tolerance })
    }

    fn input(&self) -> Shape {
        self.parts[0].field().shape()
    }

    fn output(&self) -> Shape {
        self.input()
    }

    fn forward(&self, x: Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        (0..self.steps).fold(x, |x, step| tape.part(|tape| self.parts[self.place(step)].step(x, tape)))
    }

    fn vjp(&self, tape: &Tape<T>, g: Batch<T>, mut gradient: Option<&mut [Vec<T>]>) -> Batch<T> {
        (0..self.steps).rev().fold(g, |g, step| {
            let place = self.place(step);
            let slots = gradient.as_deref_mut().map(|gradient| self.slots(place, gradient));
            let (g, by_length) = self.parts[place].vjp(tape.inner(step), g, slots);
            if let (Some([.., slot]), Some(by_length)) = (gradient.as_deref_mut(), by_length) {
                slot[0] += by_length;
            }
            g
        })
    }

    fn jvp(&self, tape: &Tape<T>, v: Batch<T>) -> Batch<T> {
        (0..self.steps).fold(v, |v, step| self.parts[self.place(step)].jvp(tape.inner(step), v))
    }

    /// With the bound `ℓ` of a step and its own error `e`, the error after it is `ℓE + e`.
    fn rounding(&self, proof: &Certificate, rounding: &Rounding, tape: &Tape<f64>, reach: &[f64]) -> Result<Vec<f64>> {
        if proof.premises().len() != self.parts.len() {
            return Err(Error::not_proved("the rounding error of a flow", "the proof is not about a flow"));
        }
        let (mut errors, mut reach) = (vec![0.0; reach.len()], reach.to_vec());
        for step in 0..self.steps {
            let around: Vec<f64> = reach.iter().zip(&errors).map(|(&r, &e)| add_up(r, mul_up(2.0, e))).collect();
            let (part, proof) = (&self.parts[self.place(step)], &proof.premises()[self.place(step)]);
            let local = part.rounding(proof, rounding, tape.inner(step), &around)?;
            let factor = proof.bound().get();
            for ((error, reach), local) in errors.iter_mut().zip(&mut reach).zip(local) {
                *error = add_up(mul_up(factor, *error), local);
                *reach = mul_up(factor, *reach);
            }
        }
        Ok(errors)
    }

    fn set_summation(&mut self, summation: Summation) {
        self.parts.iter_mut().for_each(|part| part.field_mut().set_summation(summation));
    }

    fn widen(&self) -> Box<dyn Layer<f64>> {
        Box::new(self.widened())
    }

    fn parameters(&self) -> Vec<&[T]> {
        self.fields().flat_map(|field| field.parameters()).collect()
    }

    fn parameters_mut(&mut self) -> Vec<&mut [T]> {
        self.parts.iter_mut().flat_map(|part| part.field_mut().parameters_mut()).collect()
    }

    fn parameter_rows(&self) -> Vec<usize> {
        self.fields().flat_map(|field| field.parameter_rows()).collect()
    }

    /// The explicit parameters are those of the fields, and the length of a step if the method has the gradient by it.
    fn gradient(&self) -> Vec<Vec<T>> {
        let sizes = self.fields().flat_map(|field| field.parameters()).map(<[T]>::len);
        sizes.chain(S::BY_LENGTH.then_some(1)).map(|n| vec![T::zero(); n]).collect()
    }

    fn prepare(&mut self) {
        self.parts.iter_mut().for_each(|part| part.field_mut().prepare());
        self.choose_length();
    }

    /// With `h = 2rθ/β`, the gradient by `β` is `−h/β` times that by `h`. A number of steps has no gradient.
    fn pull_back(&self, gradient: &mut [Vec<T>]) {
        let count = gradient.len() - usize::from(S::BY_LENGTH);
        let (mut rest, by_length) = gradient.split_at_mut(count);
        let (estimate, steepest) = self.estimate;
        if let ([by_length], true) = (&*by_length, self.is_relative() && estimate > 0.0) {
            let scale = -by_length[0] * self.step() / T::of(estimate);
            self.parts[steepest].field().curvature_gradient(scale, self.slots(steepest, rest));
        }
        for field in self.fields() {
            let (slots, others) = rest.split_at_mut(field.parameters().len());
            field.pull_back(slots);
            rest = others;
        }
    }

    fn seal(&mut self, prover: &Prover) -> Result<()> {
        let space = self.input();
        let (true, Some(tableau)) = (self.is_open(), self.parts[0].tableau()) else { return Ok(()) };
        match self.choice {
            Step::Relative(part) => {
                let mut longest = f64::INFINITY;
                for field in self.fields() {
                    longest = longest.min(prover.longest_step(&field.describe(), space, tableau)?.get());
                }
                // A field that is proved to vanish has no longest step: then any will do.
                self.set_length(T::round_down(if longest.is_infinite() { part } else { mul_down(part, longest) }));
            }
            Step::Horizon(horizon) => {
                let (field, horizon) = (self.parts[0].field().describe(), T::of(horizon).wide());
                self.steps = prover.steps::<T>(&field, space, tableau, horizon)?.max(self.least);
                self.set_length(quotient(horizon, self.steps));
            }
            Step::Fixed(_) => {}
        }
        Ok(())
    }
}
