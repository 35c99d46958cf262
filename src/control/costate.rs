//! Costates of a process, and the gradient of its cost: exact for the discrete problem.

use super::process::{Process, Trajectory};
use crate::{
    error::{Error, Result},
    scalar::Scalar,
    tableau::Coefficients,
    tensor::Batch,
};

/// What is minimised: `Φ(x_N) + Σ_n h_n Σ_i b_i R(X_{n,i})`, summed over the samples.
pub trait Cost<T: Scalar> {
    /// Returns `Φ`, summed over the samples, and its gradient for each sample.
    fn terminal(&self, x: &Batch<T>) -> (f64, Batch<T>);

    /// Returns `R` at a stage, summed over the samples, and its gradient for each sample; nothing, if there is no
    /// running cost.
    fn running(&self, _x: &Batch<T>) -> Option<(f64, Batch<T>)> {
        None
    }
}

/// The cost `⟨g, x_N⟩`: its costate at the end is `g`.
#[derive(Debug, Clone)]
pub struct Terminal<T: Scalar>(pub Batch<T>);

impl<T: Scalar> Cost<T> for Terminal<T> {
    fn terminal(&self, x: &Batch<T>) -> (f64, Batch<T>) {
        (self.0.dot(x).wide(), self.0.clone())
    }
}

/// The costates of a process along a trajectory, and the gradient of its cost.
///
/// With `F_i = f_x(X_i)` and `r_i = ∇R(X_i)`,
///
/// ```math
/// Γ_i = b_i λ_{n+1} + h \sum_j a_{ji}\,(F_j^T Γ_j + b_j r_j), \qquad λ_n = λ_{n+1} + h \sum_i (F_i^T Γ_i + b_i r_i),
/// ```
///
/// from `λ_N = ∇Φ(x_N)` on. Then `λ_n` is the derivative of the cost by `x_n`, and
///
/// ```math
/// \frac{∂J}{∂θ_i} = h f_θ(X_i)^T Γ_i, \qquad \frac{∂J}{∂h_n} = \sum_i ⟨Γ_i, f(X_i)⟩ + b_i R(X_i).
/// ```
///
/// A weight `b_i = 0` needs no care. Where `b_i ≠ 0`, `Γ_i = b_i P_i` with the stages `P` of the symplectic pair
/// ([`super::symplectic_pair`]).
///
/// Source: Hager 2000, section 2; Sanz-Serna 2016, sections 3 and 4, where `b_i = 0` is excluded.
#[derive(Debug, Clone)]
pub struct Costates<T: Scalar> {
    cost: f64,
    states: Vec<Batch<T>>,
    stages: Vec<Vec<Batch<T>>>,
    weights: Vec<Vec<Vec<T>>>,
    lengths: Vec<T>,
}

impl<T: Scalar> Process<'_, T> {
    /// Returns the cost of a trajectory, as executed.
    pub fn cost(&self, trajectory: &Trajectory<T>, cost: &dyn Cost<T>) -> f64 {
        let running = |(n, stages): (usize, &Vec<super::Stage<T>>)| {
            let h = self.lengths()[n].wide();
            let each = stages.iter().zip(&self.coefficients.b);
            each.filter_map(|(stage, b)| Some(h * b.wide() * cost.running(stage.point())?.0)).sum::<f64>()
        };
        cost.terminal(trajectory.last()).0 + trajectory.stages().iter().enumerate().map(running).sum::<f64>()
    }

    /// Returns the costates along a trajectory of this process and the gradient of the cost, as executed in `T`.
    ///
    /// They are exact derivatives of the discrete problem, but for rounding: at a kink of an activation, of one of its slopes
    /// there.
    ///
    /// # Errors
    /// [`Error::Shape`] if a gradient of the cost is not of the space, [`Error::Length`] if the trajectory is none of this
    /// process, [`Error::NotProved`] if the system of an implicit method is not solved.
    pub fn costates(&self, trajectory: &Trajectory<T>, cost: &dyn Cost<T>) -> Result<Costates<T>> {
        let (steps, found) = (self.steps(), trajectory.stages().len());
        if steps != found {
            return Err(Error::Length { what: "steps of a trajectory".into(), expected: steps, found });
        }
        let (value, terminal) = cost.terminal(trajectory.last());
        self.check("costate", &terminal)?;
        let zeros = |field: &&dyn crate::field::VectorField<T>| -> Vec<Vec<T>> {
            field.parameters().iter().map(|p| vec![T::zero(); p.len()]).collect()
        };
        let mut known = Costates {
            cost: value,
            states: vec![terminal],
            stages: Vec::with_capacity(steps),
            weights: self.fields().iter().map(zeros).collect(),
            lengths: Vec::with_capacity(steps),
        };
        for n in (0..steps).rev() {
            self.backward(n, trajectory, cost, &mut known)?;
        }
        known.states.reverse();
        known.stages.reverse();
        known.lengths.reverse();
        Ok(known)
    }

    /// One step backward: appends `λ_n`, the `Γ` of the step and `∂J/∂h_n`.
    fn backward(
        &self,
        n: usize,
        trajectory: &Trajectory<T>,
        cost: &dyn Cost<T>,
        known: &mut Costates<T>,
    ) -> Result<()> {
        let (h, b) = (self.lengths()[n], &self.coefficients.b);
        let stages = &trajectory.stages()[n];
        let mut by_length = T::zero();
        let mut running = Vec::with_capacity(stages.len());
        for (stage, &b) in stages.iter().zip(b) {
            let found = cost.running(stage.point());
            if let Some((value, gradient)) = &found {
                self.check("gradient of a running cost", gradient)?;
                known.cost += h.wide() * b.wide() * value;
                by_length += b * T::of(*value);
            }
            running.push(found.map(|(_, gradient)| gradient.scaled(h * b)));
        }
        let terminal = known.states[known.states.len() - 1].clone();
        let (weights, fields) = (&mut known.weights, self.fields());
        let mut pull = |i: usize, gamma: &Batch<T>| {
            let (place, stage) = (self.place(n, i), &stages[i]);
            let along = gamma.scaled(h);
            let mut pulled = fields[place].vjp(stage.point(), stage.tape(), &along, Some(&mut weights[place]));
            if let Some(r) = &running[i] {
                pulled.axpy(T::one(), r);
            }
            pulled
        };
        let (gammas, pulled) = if self.is_explicit() {
            stage_costates(&self.coefficients, &terminal, pull)
        } else {
            let gammas = self.solved_costates(n, stages, &terminal, &running)?;
            let pulled = gammas.iter().enumerate().map(|(i, gamma)| pull(i, gamma)).collect();
            (gammas, pulled)
        };
        for (gamma, stage) in gammas.iter().zip(stages) {
            by_length += gamma.dot(stage.slope());
        }
        let mut state = terminal;
        pulled.iter().for_each(|pulled| state.axpy(T::one(), pulled));
        known.states.push(state);
        known.stages.push(gammas);
        known.lengths.push(by_length);
        Ok(())
    }
}

/// Returns `Γ_i = b_i λ + Σ_j a_ji p_j` and `p_i = pull(i, Γ_i)`, for `i = s, …, 1`, where `pull` gives `h(F_iᵀΓ_i +
/// b_i r_i)`.
///
/// The method is explicit: each `Γ_i` needs the `p_j` of later stages only.
fn stage_costates<T: Scalar>(
    coefficients: &Coefficients<T>,
    terminal: &Batch<T>,
    mut pull: impl FnMut(usize, &Batch<T>) -> Batch<T>,
) -> (Vec<Batch<T>>, Vec<Batch<T>>) {
    let Coefficients { a, b, .. } = coefficients;
    let (mut gammas, mut pulled): (Vec<Batch<T>>, Vec<Batch<T>>) = (Vec::new(), Vec::new());
    for i in (0..b.len()).rev() {
        let mut gamma = terminal.scaled(b[i]);
        // The first of `pulled` is that of the last stage.
        for (row, later) in a.iter().rev().zip(&pulled) {
            if row[i] != T::zero() {
                gamma.axpy(row[i], later);
            }
        }
        pulled.push(pull(i, &gamma));
        gammas.push(gamma);
    }
    gammas.reverse();
    pulled.reverse();
    (gammas, pulled)
}

impl<T: Scalar> Costates<T> {
    /// Returns the cost `J`, as executed.
    pub fn cost(&self) -> f64 {
        self.cost
    }

    /// Returns `λ_0, …, λ_N`: the derivatives of the cost by the states.
    pub fn states(&self) -> &[Batch<T>] {
        &self.states
    }

    /// For each step, `Γ_1, …, Γ_s`: `h Γ_i` is the derivative of the cost by the slope of stage `i`.
    pub fn stages(&self) -> &[Vec<Batch<T>>] {
        &self.stages
    }

    /// For each field of the process, the gradient by its parameters, slot by slot, summed over its uses and the samples.
    pub fn weights(&self) -> &[Vec<Vec<T>>] {
        &self.weights
    }

    /// Returns `∂J/∂h_n`: what a longer step costs. Without a running cost and with all `b_i ≠ 0` it is the weighted
    /// mean `Σ b_i ⟨P_i, f(X_i)⟩` of Pontryagin's Hamiltonian over the step, which an autonomous trajectory keeps, but
    /// for the error of the method.
    pub fn lengths(&self) -> &[T] {
        &self.lengths
    }
}
