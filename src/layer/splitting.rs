//! Steps that are no Runge–Kutta steps: symplectic ones, and exponential ones.

use super::Layer;
use crate::{
    certificate::Certificate,
    error::{Error, Result},
    field::{Expression, StructuredField, VectorField},
    model::{self, Map, Method, SplitMethod},
    rigor::{
        Rounding, Summation,
        directed::{add_up, mul_up},
    },
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};

/// Steps of a method that treats the parts of a field differently.
///
/// | method | field | a step |
/// |---|---|---|
/// | symplectic Euler | Hamiltonian, `q' = ∇T(p)`, `p' = −∇U(q)` | `p ← p − h∇U(q)`, then `q ← q + h∇T(p)` |
/// | Störmer–Verlet | Hamiltonian | half of that kick of `p`, the drift of `q`, half of the kick |
/// | exponential Euler | dissipative, `g(x) − γx` | `x ← Ex + Φg(x)`, `E = e^(−γh)`, `Φ = (1 − E)/γ` |
///
/// A kick and a drift are *shears*: with `s = hℓ` each is `(s + √(s² + 4))/2`-Lipschitz, and so is its inverse
/// ([`crate::certificate::Rule::Shears`]). Exponential steps are bounded by
/// [`crate::certificate::Rule::ExponentialStep`]; `E` and `Φ` are the numbers of `f64` that the program computes, not those
/// that they are near to.
#[derive(Debug)]
pub struct Splitting<T: Scalar> {
    field: StructuredField<T>,
    method: SplitMethod,
    h: T,
    steps: usize,
    step: Expression,
}

impl<T: Scalar> Splitting<T> {
    /// Returns `steps` steps of length `h`.
    ///
    /// # Errors
    /// [`Error::Parameter`] if there are no steps, `h` is not finite in `T`, or the method is none for the field.
    pub fn new(field: StructuredField<T>, method: SplitMethod, h: f64, steps: usize) -> Result<Self> {
        if steps == 0 {
            return Err(Error::parameter("steps", steps, "a flow has at least one step"));
        }
        let h = T::of(h);
        if !h.wide().is_finite() {
            return Err(Error::parameter("step", h, "a step must be a finite number"));
        }
        let step = field.split_step(method, h.wide())?;
        Ok(Self { field, method, h, steps, step })
    }

    /// Returns the length `h` of a step, as it is evaluated.
    pub fn step(&self) -> T {
        self.h
    }
}

impl<T: Scalar> Layer<T> for Splitting<T> {
    fn describe(&self) -> Map {
        let (field, method) = (self.field.describe(), Method::Split(self.method));
        Map::Flow(model::Flow::of_steps(field, method, self.h.wide(), self.steps))
    }

    fn input(&self) -> Shape {
        self.field.shape()
    }

    fn output(&self) -> Shape {
        self.field.shape()
    }

    fn forward(&self, x: Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        (0..self.steps).fold(x, |x, _| tape.part(|tape| self.step.eval(self.field.parts(), x, tape)))
    }

    fn vjp(&self, tape: &Tape<T>, g: Batch<T>, mut gradient: Option<&mut [Vec<T>]>) -> Batch<T> {
        (0..self.steps)
            .rev()
            .fold(g, |g, step| self.step.vjp(self.field.parts(), tape.inner(step), g, gradient.as_deref_mut()))
    }

    fn jvp(&self, tape: &Tape<T>, v: Batch<T>) -> Batch<T> {
        (0..self.steps).fold(v, |v, step| self.step.jvp(self.field.parts(), tape.inner(step), v))
    }

    fn rounding(&self, proof: &Certificate, rounding: &Rounding, tape: &Tape<f64>, reach: &[f64]) -> Result<Vec<f64>> {
        let unlike = || Error::not_proved("the rounding error of a flow", "the proof is not one of a flow");
        let step = proof.premises().first().ok_or_else(unlike)?;
        let norms = self.field.norms(step.premises())?;
        let (factor, mut errors) = (step.bound().get(), vec![0.0; reach.len()]);
        let mut reach = reach.to_vec();
        for k in 0..self.steps {
            let around: Vec<f64> = reach.iter().zip(&errors).map(|(&r, &e)| add_up(r, mul_up(2.0, e))).collect();
            let known = self.step.rounding(self.field.parts(), &norms, rounding, tape.inner(k), &around)?;
            for ((error, reach), local) in errors.iter_mut().zip(&mut reach).zip(known.errors) {
                *error = add_up(mul_up(factor, *error), local);
                *reach = mul_up(factor, *reach);
            }
        }
        Ok(errors)
    }

    fn set_summation(&mut self, summation: Summation) {
        self.field.set_summation(summation);
    }

    fn parameters(&self) -> Vec<&[T]> {
        self.field.parameters()
    }

    fn parameters_mut(&mut self) -> Vec<&mut [T]> {
        self.field.parameters_mut()
    }

    fn prepare(&mut self) {
        self.field.prepare();
    }

    fn pull_back(&self, gradient: &mut [Vec<T>]) {
        self.field.pull_back(gradient);
    }

    fn widen(&self) -> Box<dyn Layer<f64>> {
        let (method, steps, step) = (self.method, self.steps, self.step.clone());
        Box::new(Splitting { field: self.field.widened(), method, h: self.h.wide(), steps, step })
    }
}
