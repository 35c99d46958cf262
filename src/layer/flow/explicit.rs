//! Steps of explicit Runge–Kutta methods.

use std::{cmp::Ordering, sync::Arc};

use super::{Step, Stepper, choice::quotient};
use crate::{
    certificate::Certificate,
    error::{Error, Result},
    field::{FusedStep, VectorField},
    layer::Flow,
    model::Method,
    rigor::Rounding,
    scalar::Scalar,
    tableau::{Coefficients, Tableau},
    tape::Tape,
    tensor::Batch,
};

/// A step of an explicit Runge–Kutta method: `kᵢ = f(x + h Σ_{j<i} aᵢⱼkⱼ)`, and `x + h Σ bᵢkᵢ`.
///
/// The tape has a part for each evaluation of the field. It holds the stages but for the first, which is `x`, then `x`, then
/// the slopes; a fused step has no slope.
#[derive(Debug)]
pub struct Explicit<T: Scalar> {
    pub(super) field: Box<dyn VectorField<T>>,
    pub(super) coefficients: Coefficients<T>,
    pub(super) h: T,
    tableau: Arc<Tableau>,
}

impl<T: Scalar> Flow<T> {
    /// Creates a flow of a field.
    ///
    /// # Errors
    /// [`Error::Parameter`] if there are no steps, the step is not finite in `T` or the fraction is not in `(0, 1]`;
    /// [`Error::Tableau`] if the method is implicit; [`Error::NotCircleContractive`] for a relative step of a method
    /// without a radius.
    pub fn new(field: impl VectorField<T> + 'static, tableau: Tableau, step: Step, steps: usize) -> Result<Self> {
        Self::boxed(vec![Box::new(field)], tableau, step, steps)
    }

    /// As [`Self::new`], for one field for all steps, or for one a step.
    ///
    /// # Errors
    /// As [`Self::new`]; [`Error::Parameter`] if there are several fields and not one for each step, [`Error::Shape`] if they
    /// are not of one space.
    pub fn boxed(fields: Vec<Box<dyn VectorField<T>>>, tableau: Tableau, step: Step, steps: usize) -> Result<Self> {
        if !tableau.is_explicit() {
            let reason = "a flow needs an explicit method".into();
            return Err(Error::Tableau { name: tableau.name().into(), reason });
        }
        let h = match step {
            Step::Fixed(h) => T::of(h),
            Step::Relative(part) if part > 0.0 && part <= 1.0 => tableau.circle_radius().map(|_| T::zero())?,
            Step::Relative(part) => {
                return Err(Error::parameter("step", part, "a fraction of the longest step lies in (0, 1]"));
            }
            Step::Horizon(horizon) if T::of(horizon).wide().partial_cmp(&0.0) != Some(Ordering::Greater) => {
                return Err(Error::parameter("horizon", horizon, "a horizon is positive"));
            }
            Step::Horizon(horizon) if fields.len() > 1 => quotient(horizon, steps),
            Step::Horizon(horizon) => tableau.circle_radius().map(|_| quotient(horizon, steps))?,
        };
        let (tableau, coefficients) = (Arc::new(tableau.clone()), tableau.rounded::<T>());
        let part = |field| Explicit { field, tableau: Arc::clone(&tableau), coefficients: coefficients.clone(), h };
        let horizon = if let Step::Horizon(horizon) = step { Some(T::of(horizon).wide()) } else { None };
        let mut flow = Self::of(fields.into_iter().map(part).collect(), step, steps)?.over(horizon);
        // The weights are what they are: those of a file are never made again from what was trained.
        flow.choose_length();
        Ok(flow)
    }

    /// Returns the method.
    pub fn tableau(&self) -> &Tableau {
        &self.parts[0].tableau
    }
}

impl<T: Scalar> Explicit<T> {
    pub(super) fn stages(&self) -> usize {
        self.coefficients.b.len()
    }

    /// Returns what takes the step in one pass, if it is `x + h f(x)` and the field has that.
    fn fused(&self) -> Option<Box<dyn FusedStep<T> + '_>> {
        if self.coefficients.b[..] == [T::one()] { self.field.fused() } else { None }
    }

    /// Returns the `i`-th stage on a tape.
    pub(super) fn stage<'a, U: Scalar>(&self, tape: &'a Tape<U>, i: usize) -> &'a Batch<U> {
        tape.saved(if i == 0 { self.stages() - 1 } else { i - 1 })
    }

    /// Returns `x + h Σ wⱼ kⱼ`.
    fn combine(&self, x: &Batch<T>, weights: &[T], slopes: &[Batch<T>]) -> Batch<T> {
        let mut y = x.clone();
        for (&w, k) in weights.iter().zip(slopes) {
            if w != T::zero() {
                y.axpy(self.h * w, k);
            }
        }
        y
    }
}

impl<T: Scalar> Stepper for Explicit<T> {
    type Scalar = T;
    type Wide = Explicit<f64>;
    const BY_LENGTH: bool = true;

    fn field(&self) -> &dyn VectorField<T> {
        &*self.field
    }

    fn field_mut(&mut self) -> &mut dyn VectorField<T> {
        &mut *self.field
    }

    fn method(&self) -> Method {
        Method::from(&*self.tableau)
    }

    fn tableau(&self) -> Option<&Tableau> {
        Some(&self.tableau)
    }

    fn length(&self) -> T {
        self.h
    }

    fn set_length(&mut self, h: T) {
        self.h = h;
    }

    fn step(&self, x: Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        if let Some(fused) = self.fused() {
            let y = tape.part(|tape| fused.step(self.h, &x, tape));
            tape.save(x);
            return y;
        }
        let mut slopes = Vec::with_capacity(self.stages());
        for (i, row) in self.coefficients.a.iter().enumerate() {
            let stage = (i > 0).then(|| self.combine(&x, row, &slopes));
            slopes.push(tape.part(|tape| self.field.eval(stage.as_ref().unwrap_or(&x), tape)));
            stage.into_iter().for_each(|stage| tape.save(stage));
        }
        let y = self.combine(&x, &self.coefficients.b, &slopes);
        [x].into_iter().chain(slopes).for_each(|batch| tape.save(batch));
        y
    }

    fn vjp(&self, tape: &Tape<T>, mut g: Batch<T>, mut gradient: Option<&mut [Vec<T>]>) -> (Batch<T>, Option<T>) {
        if let Some(fused) = self.fused() {
            let (pulled, by_length) = fused.vjp(self.h, self.stage(tape, 0), tape.inner(0), &g, gradient);
            return (pulled, Some(by_length));
        }
        let (stages, Coefficients { a, b, .. }) = (self.stages(), &self.coefficients);
        let mut by_length = gradient.as_ref().map(|_| T::zero());
        // pulled[i] is the gradient by the argument of stage i.
        let mut pulled: Vec<Option<Batch<T>>> = vec![None; stages];
        for i in (0..stages).rev() {
            let mut along = g.scaled(b[i]);
            for (j, pulled) in pulled.iter().enumerate().skip(i + 1) {
                if let (Some(pulled), true) = (pulled, a[j][i] != T::zero()) {
                    along.axpy(a[j][i], pulled);
                }
            }
            // `along` is the gradient by h·kᵢ.
            by_length = by_length.map(|sum| sum + along.dot(tape.saved(stages + i)));
            let along = along.scaled(self.h);
            pulled[i] = Some(self.field.vjp(self.stage(tape, i), tape.inner(i), &along, gradient.as_deref_mut()));
        }
        for pulled in pulled.iter().flatten() {
            g.axpy(T::one(), pulled);
        }
        (g, by_length)
    }

    fn jvp(&self, tape: &Tape<T>, v: Batch<T>) -> Batch<T> {
        let mut slopes = Vec::with_capacity(self.stages());
        for (i, row) in self.coefficients.a.iter().enumerate() {
            let stage = self.combine(&v, row, &slopes);
            slopes.push(self.field.jvp(self.stage(tape, i), tape.inner(i), &stage));
        }
        self.combine(&v, &self.coefficients.b, &slopes)
    }

    fn rounding(&self, proof: &Certificate, rounding: &Rounding, tape: &Tape<f64>, reach: &[f64]) -> Result<Vec<f64>> {
        let unlike = || Error::not_proved("the rounding error of a flow", "the proof is not one of a flow");
        self.step_error(proof.premises().first().ok_or_else(unlike)?, rounding, tape, reach)
    }

    fn widen(&self) -> Explicit<f64> {
        let (field, tableau, h) = (self.field.widen(), Arc::clone(&self.tableau), self.h.wide());
        Explicit { field, coefficients: tableau.rounded::<f64>(), h, tableau }
    }
}
