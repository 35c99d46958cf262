//! A vector field, integrated by an explicit Runge–Kutta method for a number of steps.

mod rounding;

use std::sync::{Arc, OnceLock};

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

/// How the length of a step is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// The length `h` itself.
    Fixed(f64),
    /// This fraction, in `(0, 1]`, of the longest step that circle contractivity proves, `2rν`. In training an estimate
    /// of `ν` stands in for its proof; sealing fixes the step by the proved one.
    Relative(f64),
}

/// The flow of `x' = f(x)` over `steps` steps of length `h` of an explicit method: a layer from a space to itself.
///
/// | field and method | rule | bound of one step |
/// |---|---|---|
/// | a gradient field, Euler | [`crate::certificate::Rule::GradientStep`] | `max(\|1 − hμ\|, \|1 − hβ\|)`, any `h` |
/// | a cocoercive field, radius `r`, `0 ≤ h ≤ 2rν` | [`crate::certificate::Rule::CircleContractivity`] | 1 |
/// | a method of Euler steps | [`crate::certificate::Rule::ShuOsher`] | the combination of Euler factors |
/// | any Lipschitz field, Euler | [`crate::certificate::Rule::OneSidedLipschitz`] | `√(1 + 2hμ + h²ℓ²)` |
/// | `Bσ(Ax + b)`, dense, Euler | [`crate::certificate::Rule::QuadraticConstraint`] | what the multipliers prove |
///
/// The smallest of those that apply is claimed; if none applies, the flow is refused.
#[derive(Debug)]
pub struct Flow<T: Scalar> {
    field: Box<dyn VectorField<T>>,
    method: Arc<Derived>,
    coefficients: Coefficients<T>,
    choice: Step,
    h: T,
    steps: usize,
    /// The estimate of the largest curvature that `h` was computed from.
    estimate: f64,
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
    /// A flow of a field.
    ///
    /// # Errors
    /// [`Error::Parameter`] if there are no steps, the step is not finite in `T` or the fraction is not in `(0, 1]`;
    /// [`Error::Tableau`] if the method is implicit; [`Error::NotCircleContractive`] for a relative step of a method
    /// without a radius.
    pub fn new(field: impl VectorField<T> + 'static, tableau: Tableau, step: Step, steps: usize) -> Result<Self> {
        Self::boxed(Box::new(field), tableau, step, steps)
    }

    /// As [`Self::new`], for a field that is already in a box.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn boxed(field: Box<dyn VectorField<T>>, tableau: Tableau, step: Step, steps: usize) -> Result<Self> {
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
        };
        if !h.wide().is_finite() {
            return Err(Error::parameter("step", h, "a step must be a finite number"));
        }
        let mut flow = Self { field, method, coefficients, choice: step, h, steps, estimate: 0.0 };
        flow.prepare();
        Ok(flow)
    }

    /// The vector field.
    pub fn field(&self) -> &dyn VectorField<T> {
        &*self.field
    }

    /// The method.
    pub fn tableau(&self) -> &Tableau {
        &self.method.tableau
    }

    /// The length `h` of a step, as it is evaluated.
    pub fn step(&self) -> T {
        self.h
    }

    /// The number of steps.
    pub fn steps(&self) -> usize {
        self.steps
    }

    fn stages(&self) -> usize {
        self.coefficients.b.len()
    }

    /// Whether a step is `x + h f(x)`.
    fn is_euler(&self) -> bool {
        self.coefficients.b[..] == [T::one()]
    }

    /// `x + h Σ wⱼ kⱼ`.
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
        Map::Flow(model::Flow { field: self.field.describe(), method, step: self.h.wide(), steps: self.steps })
    }

    fn input(&self) -> Shape {
        self.field.shape()
    }

    fn output(&self) -> Shape {
        self.field.shape()
    }

    fn forward(&self, mut x: Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        for _ in 0..self.steps {
            if self.is_euler() {
                let y = tape.part(|tape| self.field.euler(self.h, &x, tape));
                tape.save(x);
                x = y;
                continue;
            }
            let mut slopes = Vec::with_capacity(self.stages());
            for row in &self.coefficients.a {
                let stage = self.combine(&x, row, &slopes);
                let slope = tape.part(|tape| {
                    let slope = self.field.eval(&stage, tape);
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
                let (pulled, along) = self.field.euler_vjp(self.h, x, inner, &g, gradient.as_deref_mut());
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
                pulled[i] = Some(self.field.vjp(x, tape.inner(evaluation), &along, gradient.as_deref_mut()));
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
                slopes.push(self.field.jvp(tape.saved(evaluation), tape.inner(evaluation), &stage));
            }
            v = self.combine(&v, &self.coefficients.b, &slopes);
        }
        v
    }

    fn rounding(&self, proof: &Certificate, rounding: &Rounding, tape: &Tape<f64>, reach: &[f64]) -> Result<Vec<f64>> {
        let unlike = || Error::not_proved("the rounding error of a flow", "the proof is not one of a flow");
        let step_proof = proof.premises().first().ok_or_else(unlike)?;
        let field = step_proof.premises().first().ok_or_else(unlike)?;
        let factor = step_proof.bound().get();
        let mut errors = vec![0.0; reach.len()];
        let mut reach = reach.to_vec();
        for step in 0..self.steps {
            let around: Vec<f64> = reach.iter().zip(&errors).map(|(&r, &e)| add_up(r, 2.0 * e)).collect();
            let local = self.step_error(field, rounding, tape, step, &around)?;
            for ((error, reach), local) in errors.iter_mut().zip(&mut reach).zip(local) {
                *error = add_up(mul_up(factor, *error), local);
                *reach = mul_up(factor, *reach);
            }
        }
        Ok(errors)
    }

    fn set_summation(&mut self, summation: Summation) {
        self.field.set_summation(summation);
    }

    fn widen(&self) -> Box<dyn Layer<f64>> {
        Box::new(Flow {
            field: self.field.widen(),
            method: Arc::clone(&self.method),
            coefficients: self.method.tableau.rounded::<f64>(),
            choice: Step::Fixed(self.h.wide()),
            h: self.h.wide(),
            steps: self.steps,
            estimate: 0.0,
        })
    }

    fn parameters(&self) -> Vec<&[T]> {
        self.field.parameters()
    }

    fn parameters_mut(&mut self) -> Vec<&mut [T]> {
        self.field.parameters_mut()
    }

    /// The explicit parameters are those of the field and the step.
    fn gradient(&self) -> Vec<Vec<T>> {
        let field = self.field.parameters();
        field.iter().map(|p| p.len()).chain([1]).map(|n| vec![T::zero(); n]).collect()
    }

    fn prepare(&mut self) {
        let (Step::Relative(part), Ok(radius)) = (self.choice, self.method.radius()) else { return };
        let Some(estimate) = self.field.estimate_curvature() else { return };
        self.estimate = estimate.get();
        self.h = T::of(if self.estimate > 0.0 { part * 2.0 * radius.get() / self.estimate } else { part });
    }

    /// With `h = 2rθ/β`, the gradient by `β` is `−h/β` times that by `h`.
    fn pull_back(&self, gradient: &mut [Vec<T>]) {
        let (Step::Relative(_), Some((slot, field))) = (self.choice, gradient.split_last_mut()) else { return };
        if self.estimate > 0.0 {
            self.field.curvature_gradient(-slot[0] * self.h / T::of(self.estimate), field);
        }
    }

    fn seal(&mut self, prover: &Prover) -> Result<()> {
        if let Step::Relative(part) = self.choice {
            let longest = prover.longest_step(&self.field.describe(), self.field.shape(), &self.method.tableau)?.get();
            // A field that is proved to vanish has no longest step: then any will do.
            self.h = T::round_down(if longest.is_infinite() { part } else { mul_down(part, longest) });
        }
        Ok(())
    }
}
