//! A flow as a controlled process: its states, its stages, and its variations.

use crate::{
    error::{Error, Result},
    field::VectorField,
    layer::{Stepper, Steps},
    scalar::Scalar,
    tableau::{Coefficients, Tableau},
    tape::Tape,
    tensor::{Batch, Shape},
};

/// Steps of a Runge–Kutta method, each with its own length and, if wanted, its own field.
///
/// ```math
/// X_{n,i} = x_n + h_n \sum_j a_{ij}\, f(X_{n,j}, θ_{n,j}), \qquad x_{n+1} = x_n + h_n \sum_i b_i\, f(X_{n,i}, θ_{n,i}).
/// ```
///
/// The stages of an implicit method are solved to a residual of `1024u(1 + ‖x‖)`, `u` being the unit roundoff of `T`, and the
/// linear systems for its costates and variations to one of `1024u` times their right-hand side, or refused.
///
/// It borrows its fields, so that an optimiser may change them between two runs.
#[derive(Debug, Clone)]
pub struct Process<'a, T: Scalar> {
    fields: Vec<&'a dyn VectorField<T>>,
    pub(super) coefficients: Coefficients<T>,
    lengths: Vec<T>,
    explicit: bool,
}

/// One stage of a step: where the field was evaluated, and its value there.
#[derive(Debug, Clone)]
pub struct Stage<T: Scalar> {
    pub(super) point: Batch<T>,
    pub(super) slope: Batch<T>,
    pub(super) tape: Tape<T>,
}

/// The states `x_0, …, x_N` of a process, and the stages of its steps.
#[derive(Debug, Clone)]
pub struct Trajectory<T: Scalar> {
    states: Vec<Batch<T>>,
    stages: Vec<Vec<Stage<T>>>,
}

impl<'a, T: Scalar> Process<'a, T> {
    /// Creates a process of one field for all stages, of one for each step, or of one for each stage of each step (in
    /// order).
    ///
    /// There is one step for each length `h_n`, of either sign.
    ///
    /// # Errors
    /// [`Error::Parameter`] for no steps, a length that is not finite, or another number of fields; [`Error::Shape`] if the
    /// fields are not of one space.
    pub fn new(fields: Vec<&'a dyn VectorField<T>>, tableau: &Tableau, lengths: Vec<T>) -> Result<Self> {
        let (count, steps) = (fields.len(), lengths.len());
        if steps == 0 {
            return Err(Error::parameter("lengths", 0, "a process has at least one step"));
        }
        if let Some(h) = lengths.iter().find(|h| !h.wide().is_finite()) {
            return Err(Error::parameter("step", h, "a step must be a finite number"));
        }
        if ![1, steps, steps * tableau.stages()].contains(&count) {
            let reason =
                format!("there is one field, or one for each of {steps} steps, or one for each of their stages");
            return Err(Error::parameter("fields", count, reason));
        }
        let space = fields[0].shape();
        if let Some(other) = fields.iter().find(|field| field.shape() != space) {
            return Err(Error::Shape { what: "fields of a process".into(), expected: space, found: other.shape() });
        }
        Ok(Self { fields, coefficients: tableau.rounded::<T>(), lengths, explicit: tableau.is_explicit() })
    }

    /// Returns the process that a flow runs.
    ///
    /// # Errors
    /// [`Error::Parameter`] for steps of no Runge–Kutta method, as splittings are.
    pub fn of_flow<S: Stepper<Scalar = T>>(flow: &'a Steps<S>) -> Result<Self> {
        let part = &flow.parts()[0];
        let Some(tableau) = part.tableau() else {
            return Err(Error::parameter("method", part.method(), "a process takes the steps of a Runge–Kutta method"));
        };
        Self::new(flow.fields().collect(), tableau, vec![flow.step(); flow.steps()])
    }

    /// Returns the shape of a state.
    pub fn space(&self) -> Shape {
        self.fields[0].shape()
    }

    /// Returns the number `N` of steps.
    pub fn steps(&self) -> usize {
        self.lengths.len()
    }

    /// Returns the number of stages of a step.
    pub fn stages(&self) -> usize {
        self.coefficients.b.len()
    }

    /// Returns the lengths `h_n`.
    pub fn lengths(&self) -> &[T] {
        &self.lengths
    }

    /// Returns the fields, as they were given.
    pub fn fields(&self) -> &[&'a dyn VectorField<T>] {
        &self.fields
    }

    /// Returns whether each stage needs no later one.
    pub(super) fn is_explicit(&self) -> bool {
        self.explicit
    }

    /// Returns the field that a stage of a step evaluates.
    pub(super) fn field(&self, step: usize, stage: usize) -> &'a dyn VectorField<T> {
        self.fields[self.place(step, stage)]
    }

    /// Returns the number of the field that a stage of a step evaluates.
    pub(super) fn place(&self, step: usize, stage: usize) -> usize {
        match self.fields.len() {
            1 => 0,
            count if count == self.steps() => step,
            _ => step * self.stages() + stage,
        }
    }

    /// Returns the states from `x_0 = x` on, sample by sample, as executed in `T`.
    ///
    /// The layer of a flow takes the same steps: its [`forward`](crate::layer::Layer::forward) may differ by rounding where a field has
    /// a fused Euler step, and by what solves leave if the method is implicit.
    ///
    /// # Errors
    /// [`Error::Shape`] if the samples are not of the space; [`Error::NotProved`] if the stages of an implicit method are not
    /// solved.
    pub fn states(&self, x: &Batch<T>) -> Result<Trajectory<T>> {
        self.check("initial state", x)?;
        let (mut states, mut all) = (vec![x.clone()], Vec::with_capacity(self.steps()));
        for (n, &h) in self.lengths.iter().enumerate() {
            let x = &states[n];
            let stages = if self.explicit { self.stages_in_turn(n, x) } else { self.solved_stages(n, x)? };
            let next = combine(x, h, &self.coefficients.b, stages.iter().map(|stage| &stage.slope));
            states.push(next);
            all.push(stages);
        }
        Ok(Trajectory { states, stages: all })
    }

    /// Returns the stages of a step of an explicit method.
    fn stages_in_turn(&self, step: usize, x: &Batch<T>) -> Vec<Stage<T>> {
        let mut stages: Vec<Stage<T>> = Vec::with_capacity(self.stages());
        for (i, row) in self.coefficients.a.iter().enumerate() {
            let point = combine(x, self.lengths[step], row, stages.iter().map(|stage| &stage.slope));
            let mut tape = Tape::recording();
            let slope = self.field(step, i).eval(&point, &mut tape);
            stages.push(Stage { point, slope, tape });
        }
        stages
    }

    /// Returns the variations `δ_0 = v, δ_1, …, δ_N` along a trajectory: `δ_n` is the derivative of `x_n` in the
    /// direction `v` of `x_0`.
    ///
    /// They are the derivatives of the discrete steps, as executed in `T`. With the costates of a terminal cost and no running
    /// one, `⟨λ_n, δ_n⟩` is the same for every `n`, but for rounding.
    ///
    /// # Errors
    /// [`Error::Shape`] if `v` is not of the space; [`Error::NotProved`] if the system of an implicit method is not solved.
    pub fn variations(&self, trajectory: &Trajectory<T>, v: &Batch<T>) -> Result<Vec<Batch<T>>> {
        self.check("variation", v)?;
        let mut variations = vec![v.clone()];
        for (n, (&h, stages)) in self.lengths.iter().zip(&trajectory.stages).enumerate() {
            let v = &variations[n];
            let slopes = if self.explicit {
                self.variations_in_turn(n, stages, v)
            } else {
                self.solved_variations(n, stages, v)?
            };
            let next = combine(v, h, &self.coefficients.b, slopes.iter());
            variations.push(next);
        }
        Ok(variations)
    }

    /// Returns `F_iV_i` for the stages of a step of an explicit method.
    fn variations_in_turn(&self, step: usize, stages: &[Stage<T>], v: &Batch<T>) -> Vec<Batch<T>> {
        let mut slopes: Vec<Batch<T>> = Vec::with_capacity(stages.len());
        for (i, (row, stage)) in self.coefficients.a.iter().zip(stages).enumerate() {
            let inner = combine(v, self.lengths[step], row, slopes.iter());
            slopes.push(self.field(step, i).jvp(&stage.point, &stage.tape, &inner));
        }
        slopes
    }

    pub(super) fn check(&self, what: &str, x: &Batch<T>) -> Result<()> {
        if x.shape() == self.space() {
            return Ok(());
        }
        Err(Error::Shape { what: what.into(), expected: self.space(), found: x.shape() })
    }
}

/// Returns `x + h Σ wⱼ kⱼ`.
fn combine<'b, T: Scalar>(x: &Batch<T>, h: T, weights: &[T], slopes: impl Iterator<Item = &'b Batch<T>>) -> Batch<T> {
    let mut y = x.clone();
    for (&w, k) in weights.iter().zip(slopes) {
        if w != T::zero() {
            y.axpy(h * w, k);
        }
    }
    y
}

impl<T: Scalar> Trajectory<T> {
    /// Returns the states `x_0, …, x_N`.
    pub fn states(&self) -> &[Batch<T>] {
        &self.states
    }

    /// Returns the last state, `x_N`.
    pub fn last(&self) -> &Batch<T> {
        &self.states[self.states.len() - 1]
    }

    /// For each step, its stages.
    pub fn stages(&self) -> &[Vec<Stage<T>>] {
        &self.stages
    }
}

impl<T: Scalar> Stage<T> {
    /// Returns `X_{n,i}`, where the field is evaluated.
    pub fn point(&self) -> &Batch<T> {
        &self.point
    }

    /// Returns `f(X_{n,i}, θ_{n,i})`.
    pub fn slope(&self) -> &Batch<T> {
        &self.slope
    }

    /// Returns what the evaluation left for derivatives.
    pub(super) fn tape(&self) -> &Tape<T> {
        &self.tape
    }
}
