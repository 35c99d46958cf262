//! A vector field, or one a step, integrated by an explicit Runge–Kutta method for a number of steps.

mod choice;
mod rounding;

use std::{
    cmp::Ordering,
    sync::{Arc, OnceLock},
};

pub use choice::Step;
use choice::{MOST_ESTIMATED, quotient};
pub(super) use rounding::Weight;

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
    tableau::{CircleRadius, Coefficients, Tableau},
    tape::Tape,
    tensor::{Batch, Shape},
};

/// The flow of `x' = f(t, x)` over `steps` steps of length `h` of an explicit method: a layer from a space to itself.
///
/// It has one field for all steps, or one for each: then weights depend on time.
///
/// | field and method | rule | bound of one step |
/// |---|---|---|
/// | a gradient field, Euler | [`crate::certificate::Rule::GradientStep`] | `max(\|1 − hμ\|, \|1 − hβ\|)`, any `h` |
/// | a cocoercive field, radius `r`, `0 ≤ h ≤ 2rν` | [`crate::certificate::Rule::CircleContractivity`] | 1 |
/// | any of these, any method | [`crate::certificate::Rule::StageMultipliers`] | the least that multipliers prove |
/// | any Lipschitz field, any method | [`crate::certificate::Rule::LipschitzStep`] | a polynomial in `hℓ` |
/// | any Lipschitz field, Euler | [`crate::certificate::Rule::OneSidedLipschitz`] | `√(1 + 2hμ + h²ℓ²)` |
/// | `Bσ(Ax + b)`, dense, Euler | [`crate::certificate::Rule::QuadraticConstraint`] | what the multipliers prove |
///
/// The smallest of those that apply is claimed; a flow is refused only if it overflows.
#[derive(Debug)]
pub struct Flow<T: Scalar> {
    /// One for all steps, or one for each.
    fields: Vec<Box<dyn VectorField<T>>>,
    method: Arc<Derived>,
    coefficients: Coefficients<T>,
    choice: Step,
    h: T,
    steps: usize,
    /// The whole time, if `h` is that over the number of steps.
    horizon: Option<f64>,
    /// The number of steps that was asked for.
    least: usize,
    /// The estimate of the largest curvature that `h` was computed from, and the field that has it.
    estimate: (f64, usize),
}

/// A tableau and its radius, derived once.
#[derive(Debug)]
struct Derived {
    tableau: Tableau,
    radius: OnceLock<Result<CircleRadius>>,
}

impl Derived {
    fn radius(&self) -> Result<CircleRadius> {
        self.radius.get_or_init(|| self.tableau.circle_radius()).clone()
    }
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
        let Some(space) = fields.first().map(|field| field.shape()) else {
            return Err(Error::parameter("fields", 0, "a flow has at least one field"));
        };
        if fields.len() > 1 && fields.len() != steps {
            let reason = format!("there is one field for all steps, or one for each of {steps}");
            return Err(Error::parameter("fields", fields.len(), reason));
        }
        if let Some(other) = fields.iter().find(|field| field.shape() != space) {
            return Err(Error::Shape { what: "fields of a flow".into(), expected: space, found: other.shape() });
        }
        if !tableau.is_explicit() {
            let reason = "a flow needs an explicit method".into();
            return Err(Error::Tableau { name: tableau.name().into(), reason });
        }
        if steps == 0 {
            return Err(Error::parameter("steps", steps, "a flow has at least one step"));
        }
        let coefficients = tableau.rounded::<T>();
        let method = Arc::new(Derived { tableau, radius: OnceLock::new() });
        let h = match step {
            Step::Fixed(h) => T::of(h),
            Step::Relative(part) if part > 0.0 && part <= 1.0 => method.radius().map(|_| T::zero())?,
            Step::Relative(part) => {
                return Err(Error::parameter("step", part, "a fraction of the longest step lies in (0, 1]"));
            }
            Step::Horizon(horizon) if T::of(horizon).wide().partial_cmp(&0.0) != Some(Ordering::Greater) => {
                return Err(Error::parameter("horizon", horizon, "a horizon is positive"));
            }
            Step::Horizon(horizon) if fields.len() > 1 => quotient(horizon, steps),
            Step::Horizon(horizon) => method.radius().map(|_| quotient(horizon, steps))?,
        };
        let horizon = if let Step::Horizon(horizon) = step { Some(T::of(horizon).wide()) } else { None };
        if !h.wide().is_finite() {
            return Err(Error::parameter("step", h, "a step must be a finite number"));
        }
        let (estimate, least) = ((0.0, 0), steps);
        let mut flow = Self { fields, method, coefficients, choice: step, h, steps, horizon, least, estimate };
        flow.prepare();
        Ok(flow)
    }

    /// Returns the same flow, its steps as they are, said to be so many of a whole time.
    pub(crate) fn over(self, horizon: Option<f64>) -> Self {
        Self { horizon, ..self }
    }

    /// Returns the vector field of a step.
    ///
    /// # Panics
    /// If there is no such step.
    pub fn field(&self, step: usize) -> &dyn VectorField<T> {
        if let [field] = &self.fields[..] { &**field } else { &*self.fields[step] }
    }

    /// Returns the vector fields: one for all steps, or one for each.
    pub fn fields(&self) -> &[Box<dyn VectorField<T>>] {
        &self.fields
    }

    /// Returns the slots of the field of a step in a gradient.
    fn slots<'a>(&self, step: usize, gradient: Option<&'a mut [Vec<T>]>) -> Option<&'a mut [Vec<T>]> {
        let before = if self.fields.len() == 1 { 0 } else { step };
        let first: usize = self.fields[..before].iter().map(|field| field.parameters().len()).sum();
        let count = self.field(step).parameters().len();
        gradient.map(|gradient| &mut gradient[first..first + count])
    }

    /// Returns the method.
    pub fn tableau(&self) -> &Tableau {
        &self.method.tableau
    }

    /// Returns the length `h` of a step, as it is evaluated.
    pub fn step(&self) -> T {
        self.h
    }

    /// Returns the number of steps.
    pub fn steps(&self) -> usize {
        self.steps
    }

    fn stages(&self) -> usize {
        self.coefficients.b.len()
    }

    /// Returns whether a step is `x + h f(x)`.
    fn is_euler(&self) -> bool {
        self.coefficients.b[..] == [T::one()]
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

impl<T: Scalar> Layer<T> for Flow<T> {
    fn describe(&self) -> Map {
        let method = Method::from(&self.method.tableau);
        let fields = self.fields.iter().map(|field| field.describe()).collect();
        let (step, steps, horizon) = (self.h.wide(), self.steps, self.horizon);
        Map::Flow(model::Flow { fields, method, step, steps, horizon, tolerance: None })
    }

    fn input(&self) -> Shape {
        self.fields[0].shape()
    }

    fn output(&self) -> Shape {
        self.fields[0].shape()
    }

    fn forward(&self, mut x: Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        for step in 0..self.steps {
            let field = self.field(step);
            if self.is_euler() {
                let y = tape.part(|tape| field.euler(self.h, &x, tape));
                tape.save(x);
                x = y;
                continue;
            }
            let mut slopes = Vec::with_capacity(self.stages());
            for row in &self.coefficients.a {
                let stage = self.combine(&x, row, &slopes);
                let slope = tape.part(|tape| {
                    let slope = field.eval(&stage, tape);
                    tape.save_copy(&slope);
                    slope
                });
                tape.save(stage);
                slopes.push(slope);
            }
            x = self.combine(&x, &self.coefficients.b, &slopes);
        }
        x
    }

    fn vjp(&self, tape: &Tape<T>, mut g: Batch<T>, mut gradient: Option<&mut [Vec<T>]>) -> Batch<T> {
        let (stages, Coefficients { a, b, .. }) = (self.stages(), &self.coefficients);
        let mut step_gradient = T::zero();
        for step in (0..self.steps).rev() {
            if self.is_euler() {
                let (x, inner) = (tape.saved(step), tape.inner(step));
                let slots = self.slots(step, gradient.as_deref_mut());
                let (pulled, along) = self.field(step).euler_vjp(self.h, x, inner, &g, slots);
                step_gradient += along;
                g = pulled;
                continue;
            }
            // pulled[i] is the gradient by the argument of stage i.
            let mut pulled: Vec<Option<Batch<T>>> = vec![None; stages];
            for i in (0..stages).rev() {
                let evaluation = step * stages + i;
                let mut along = g.scaled(b[i]);
                for (j, pulled) in pulled.iter().enumerate().skip(i + 1) {
                    if let (Some(pulled), true) = (pulled, a[j][i] != T::zero()) {
                        along.axpy(a[j][i], pulled);
                    }
                }
                // `along` is the gradient by h·kᵢ.
                step_gradient += along.dot(tape.inner(evaluation).last());
                let x = tape.saved(evaluation);
                let along = along.scaled(self.h);
                let slots = self.slots(step, gradient.as_deref_mut());
                pulled[i] = Some(self.field(step).vjp(x, tape.inner(evaluation), &along, slots));
            }
            for pulled in pulled.iter().flatten() {
                g.axpy(T::one(), pulled);
            }
        }
        if let Some([.., slot]) = gradient {
            slot[0] += step_gradient;
        }
        g
    }

    fn jvp(&self, tape: &Tape<T>, mut v: Batch<T>) -> Batch<T> {
        for step in 0..self.steps {
            let mut slopes = Vec::with_capacity(self.stages());
            for (i, row) in self.coefficients.a.iter().enumerate() {
                let evaluation = step * self.stages() + i;
                let stage = self.combine(&v, row, &slopes);
                slopes.push(self.field(step).jvp(tape.saved(evaluation), tape.inner(evaluation), &stage));
            }
            v = self.combine(&v, &self.coefficients.b, &slopes);
        }
        v
    }

    fn rounding(&self, proof: &Certificate, rounding: &Rounding, tape: &Tape<f64>, reach: &[f64]) -> Result<Vec<f64>> {
        let unlike = || Error::not_proved("the rounding error of a flow", "the proof is not one of a flow");
        if proof.premises().len() != self.fields.len() {
            return Err(unlike());
        }
        let mut errors = vec![0.0; reach.len()];
        let mut reach = reach.to_vec();
        for step in 0..self.steps {
            let around: Vec<f64> = reach.iter().zip(&errors).map(|(&r, &e)| add_up(r, 2.0 * e)).collect();
            let proof = &proof.premises()[if self.fields.len() == 1 { 0 } else { step }];
            let (field, factor) = (proof.premises().first().ok_or_else(unlike)?, proof.bound().get());
            let local = self.step_error(field, rounding, tape, step, &around)?;
            for ((error, reach), local) in errors.iter_mut().zip(&mut reach).zip(local) {
                *error = add_up(mul_up(factor, *error), local);
                *reach = mul_up(factor, *reach);
            }
        }
        Ok(errors)
    }

    fn set_summation(&mut self, summation: Summation) {
        self.fields.iter_mut().for_each(|field| field.set_summation(summation));
    }

    fn widen(&self) -> Box<dyn Layer<f64>> {
        Box::new(Flow {
            fields: self.fields.iter().map(|field| field.widen()).collect(),
            method: Arc::clone(&self.method),
            coefficients: self.method.tableau.rounded::<f64>(),
            choice: Step::Fixed(self.h.wide()),
            h: self.h.wide(),
            steps: self.steps,
            horizon: self.horizon,
            least: self.steps,
            estimate: (0.0, 0),
        })
    }

    fn parameters(&self) -> Vec<&[T]> {
        self.fields.iter().flat_map(|field| field.parameters()).collect()
    }

    fn parameters_mut(&mut self) -> Vec<&mut [T]> {
        self.fields.iter_mut().flat_map(|field| field.parameters_mut()).collect()
    }

    fn parameter_rows(&self) -> Vec<usize> {
        self.fields.iter().flat_map(|field| field.parameter_rows()).collect()
    }

    /// Returns the explicit parameters are those of the fields and the step.
    fn gradient(&self) -> Vec<Vec<T>> {
        self.parameters().iter().map(|p| p.len()).chain([1]).map(|n| vec![T::zero(); n]).collect()
    }

    fn prepare(&mut self) {
        self.fields.iter_mut().for_each(|field| field.prepare());
        if matches!(self.choice, Step::Fixed(_)) || matches!(self.choice, Step::Horizon(_)) && self.fields.len() > 1 {
            return;
        }
        let Ok(radius) = self.method.radius() else { return };
        let estimates: Option<Vec<f64>> =
            self.fields.iter_mut().map(|field| Some(field.estimate_curvature()?.get())).collect();
        let Some(estimates) = estimates else { return };
        let steepest = (0..estimates.len()).max_by(|&a, &b| estimates[a].total_cmp(&estimates[b])).unwrap_or(0);
        self.estimate = (estimates[steepest], steepest);
        let longest = 2.0 * radius.get() / self.estimate.0;
        match self.choice {
            Step::Relative(part) => self.h = T::of(if self.estimate.0 > 0.0 { part * longest } else { part }),
            Step::Horizon(horizon) => {
                let needed = (horizon / longest).ceil().clamp(1.0, MOST_ESTIMATED) as usize;
                self.steps = needed.max(self.least);
                self.h = quotient(horizon, self.steps);
            }
            Step::Fixed(_) => {}
        }
    }

    /// With `h = 2rθ/β`, the gradient by `β` is `−h/β` times that by `h`. A number of steps has no gradient.
    fn pull_back(&self, gradient: &mut [Vec<T>]) {
        let Some((slot, fields)) = gradient.split_last_mut() else { return };
        if let (Step::Relative(_), (estimate, steepest)) = (self.choice, self.estimate)
            && estimate > 0.0
            && let Some(slots) = self.slots(steepest, Some(&mut *fields))
        {
            self.field(steepest).curvature_gradient(-slot[0] * self.h / T::of(estimate), slots);
        }
        let mut rest = fields;
        for field in &self.fields {
            let (slots, others) = rest.split_at_mut(field.parameters().len());
            field.pull_back(slots);
            rest = others;
        }
    }

    fn seal(&mut self, prover: &Prover) -> Result<()> {
        let (space, tableau) = (self.input(), &self.method.tableau);
        match self.choice {
            Step::Relative(part) => {
                let mut longest = f64::INFINITY;
                for field in &self.fields {
                    longest = longest.min(prover.longest_step(&field.describe(), space, tableau)?.get());
                }
                // A field that is proved to vanish has no longest step: then any will do.
                self.h = T::round_down(if longest.is_infinite() { part } else { mul_down(part, longest) });
            }
            Step::Horizon(horizon) if self.fields.len() == 1 => {
                let horizon = T::of(horizon).wide();
                self.steps = prover.steps::<T>(&self.fields[0].describe(), space, tableau, horizon)?.max(self.least);
                self.h = quotient(horizon, self.steps);
            }
            Step::Horizon(_) | Step::Fixed(_) => {}
        }
        Ok(())
    }
}
