//! The method of successive approximations: Pontryagin's principle as an iteration.

use super::{Cost, Process};
use crate::{
    error::{Error, Result},
    field::VectorField,
    scalar::Scalar,
    tableau::Tableau,
    tensor::Batch,
};

/// Chooses controls by turns: states forward, costates backward, then at every step the controls that are best for these.
///
/// It minimises `J(θ) = Φ(x_N) + Σ h Σ bᵢR(Xᵢ) + Σ_f w_f (α/2)‖θ_f‖²` over the controls `θ_f` of the fields `f`, where `w_f = Σ h b`
/// is the time for which a field acts. With `g_f = ∂(J − ridge)/∂θ_f` from the costates, the new controls are
///
/// ```math
/// θ^+ = \arg\min_θ\; ⟨g, θ⟩ + \tfrac{w}{2}\bigl(α\|θ\|^2 + ρ\|θ - θ_k\|^2\bigr) = \frac{ρ w θ_k - g}{w(α + ρ)} .
/// ```
///
/// Where a field is affine in its controls, `−⟨g, θ⟩` is Pontryagin's Hamiltonian itself and `ρ = 0` the plain method (MSA), which
/// need not converge; of other fields it is the Hamiltonian linearised at `θ_k`. The term with `ρ` bounds both terms that the
/// extended method (E-MSA) adds, `‖f(x, θ) − f(x, θ_k)‖²` and that of the costates, up to a constant. If the cost would grow, the
/// step is taken back and `ρ` grows: the cost of the accepted controls never grows, as executed.
///
/// Source: Li, Chen, Tai, E, *Maximum principle based algorithms for deep learning*, JMLR 18 (2018), algorithms 1 and 2;
/// Chernousko, Lyubushin, Optim. Control Appl. Methods 3 (1982).
#[derive(Debug, Clone, PartialEq)]
pub struct SuccessiveApproximations {
    /// Which parameters of a field are its controls, as positions in [`VectorField::parameters`].
    pub controls: Vec<usize>,
    /// `α ≥ 0`.
    pub ridge: f64,
    /// `ρ ≥ 0` at first, with `α + ρ > 0`.
    pub proximal: f64,
    /// How many times states and costates are computed.
    pub iterations: usize,
}

/// One turn of the method.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Iterate {
    /// The cost `J` of the controls after the turn, as executed.
    pub cost: f64,
    /// How much `J` fell: 0 where the turn was taken back.
    pub decrease: f64,
    /// How much it would have fallen if states and costates had stayed as they were: `Σ Δℋ`, as executed.
    pub predicted: f64,
    /// `ρ` of the turn.
    pub proximal: f64,
    /// Whether the new controls were kept.
    pub accepted: bool,
}

impl SuccessiveApproximations {
    /// Runs the method on fields (one for all steps, one for each, or one for each stage), from the controls that they have, and
    /// leaves the best ones in them. Returns what happened at each turn.
    ///
    /// # Errors
    /// As [`Process::new`] and [`Process::costates`]; [`Error::Parameter`] for `α` or `ρ` that are negative, both 0 or not finite,
    /// for a control that does not fit, or a field that acts for no positive time.
    pub fn run<T: Scalar>(
        &self,
        fields: &mut [Box<dyn VectorField<T>>],
        tableau: &Tableau,
        lengths: &[T],
        x: &Batch<T>,
        cost: &dyn Cost<T>,
    ) -> Result<Vec<Iterate>> {
        let valid = self.ridge >= 0.0 && self.proximal >= 0.0 && (self.ridge + self.proximal).is_finite();
        if !valid || self.ridge + self.proximal <= 0.0 {
            let reason = "α and ρ are finite, not negative, and not both 0";
            return Err(Error::parameter("ridge", self.ridge, reason));
        }
        let times = times(fields, tableau, lengths)?;
        if let Some(slot) = self.controls.iter().find(|slot| fields.iter().any(|f| **slot >= f.parameters().len())) {
            return Err(Error::parameter("controls", slot, "a field has no such parameter"));
        }
        let mut rho = self.proximal;
        let (mut current, mut gradient) = self.evaluate(fields, tableau, lengths, x, cost, &times)?;
        let mut iterates = Vec::with_capacity(self.iterations);
        for _ in 0..self.iterations {
            let before: Vec<Vec<Vec<T>>> = fields.iter().map(|field| self.read(&**field)).collect();
            let predicted = self.improve(fields, &gradient, &times, rho);
            let (next, found) = self.evaluate(fields, tableau, lengths, x, cost, &times)?;
            let accepted = next <= current;
            iterates.push(Iterate {
                cost: if accepted { next } else { current },
                decrease: if accepted { current - next } else { 0.0 },
                predicted,
                proximal: rho,
                accepted,
            });
            if accepted {
                (current, gradient) = (next, found);
                rho = (rho / 2.0).max(self.proximal);
            } else {
                for (field, before) in fields.iter_mut().zip(before) {
                    let mut slots = field.parameters_mut();
                    self.controls.iter().zip(before).for_each(|(&slot, old)| slots[slot].copy_from_slice(&old));
                }
                rho = if rho > 0.0 { 2.0 * rho } else { self.ridge };
            }
        }
        Ok(iterates)
    }

    /// Returns the controls of a field.
    fn read<T: Scalar>(&self, field: &dyn VectorField<T>) -> Vec<Vec<T>> {
        let slots = field.parameters();
        self.controls.iter().map(|&slot| slots[slot].to_vec()).collect()
    }

    /// Returns `J`, and for each field the gradient of `J` less the ridge, slot by slot.
    fn evaluate<T: Scalar>(
        &self,
        fields: &[Box<dyn VectorField<T>>],
        tableau: &Tableau,
        lengths: &[T],
        x: &Batch<T>,
        cost: &dyn Cost<T>,
        times: &[f64],
    ) -> Result<(f64, Vec<Vec<Vec<T>>>)> {
        let process = Process::new(fields.iter().map(|field| &**field).collect(), tableau, lengths.to_vec())?;
        let costates = process.costates(&process.states(x)?, cost)?;
        let square = |field: &dyn VectorField<T>| -> f64 {
            self.read(field).iter().flatten().map(|x| x.wide() * x.wide()).sum()
        };
        let ridge = fields.iter().zip(times).map(|(field, w)| 0.5 * self.ridge * w * square(&**field)).sum::<f64>();
        Ok((costates.cost() + ridge, costates.weights().to_vec()))
    }

    /// Moves every control to the minimiser, and returns how much the model of the cost falls.
    fn improve<T: Scalar>(
        &self,
        fields: &mut [Box<dyn VectorField<T>>],
        gradient: &[Vec<Vec<T>>],
        times: &[f64],
        rho: f64,
    ) -> f64 {
        let mut predicted = 0.0;
        for ((field, gradient), &w) in fields.iter_mut().zip(gradient).zip(times) {
            let mut slots = field.parameters_mut();
            for &slot in &self.controls {
                for (theta, g) in slots[slot].iter_mut().zip(&gradient[slot]) {
                    let (old, g) = (theta.wide(), g.wide());
                    *theta = T::of((rho * w * old - g) / (w * (self.ridge + rho)));
                    let new = theta.wide();
                    predicted += g * (old - new) + 0.5 * w * self.ridge * (old * old - new * new);
                }
            }
        }
        predicted
    }
}

/// For each field, the time `Σ h b` for which it acts.
fn times<T: Scalar>(fields: &[Box<dyn VectorField<T>>], tableau: &Tableau, lengths: &[T]) -> Result<Vec<f64>> {
    let process = Process::new(fields.iter().map(|field| &**field).collect(), tableau, lengths.to_vec())?;
    let mut times = vec![0.0; fields.len()];
    for (n, h) in lengths.iter().enumerate() {
        for (i, b) in process.coefficients.b.iter().enumerate() {
            times[process.place(n, i)] += h.wide() * b.wide();
        }
    }
    match times.iter().find(|w| **w <= 0.0) {
        None => Ok(times),
        Some(w) => Err(Error::parameter("time", w, "the fields of all steps act for a positive time")),
    }
}
