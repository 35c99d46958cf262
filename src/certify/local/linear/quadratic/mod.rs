//! Quadratic bounds: a margin over a ball is at least what a positive semidefinite matrix proves.
//!
//! | file | what it holds |
//! |---|---|
//! | `reduce` | a network as a problem about the neurons that can switch |
//! | `problem` | margins as functions of these, and products that are known |
//! | `span` | the input, in as many coordinates as they see of it |
//! | `proof` | a bound from given multipliers, every rounding charged |
//! | `search` | multipliers |
//!
//! A neuron that cannot switch is linear there. Let `s = σ(z)` with `σ(z) = max(αz, βz)` be one that can, and `z ∈ [l, h]`.
//! Then
//!
//! ```math
//! (s − αz)(s − βz) = 0, \qquad (s − αz)(h − z) \ge 0, \qquad (s − βz)(z − l) \ge 0.
//! ```
//!
//! Let `Δx` be what the input moves by, `‖Δx‖ ≤ ρ`, and `Nᵢ` the products. Every `z` and the margin `g` are affine functions of
//! `u = (Δx, s)`, so for any numbers `tᵢ`, not negative but for the equations, and `λ ≥ 0`
//!
//! ```math
//! g \ge g − λ(ρ² − ‖Δx‖²) − \sum_i t_i N_i(u) = γ + (1, u)ᵀ M(γ, λ, t)\,(1, u) \ge γ \quad\text{if}\quad M \succeq 0.
//! ```
//!
//! Where the input lies in a box, too, there are the products `(yᵢ − aᵢ)(bᵢ − yᵢ) ≥ 0` of its sides. The best such bound is the optimum of a semidefinite program. It sees how neurons move together, which lines do not.
//!
//! Source: Raghunathan, Steinhardt, Liang, *Semidefinite relaxations for certifying robustness to adversarial examples*, NeurIPS
//! 2018, for boxes; here the products with the bounds of `z` are those with `s`.

mod problem;
mod proof;
mod reduce;
mod search;
mod span;

pub(super) use problem::Problem;

use self::{problem::Form, proof::Multipliers};
use crate::rigor::directed::sub_down;

/// How often multipliers are sought.
const ATTEMPTS: usize = 3;

impl Problem {
    /// Returns a lower bound of a margin beyond what is `needed`, minus infinity if none is found. `lead` is an estimate of the margin
    /// at the sample.
    pub(super) fn least(&self, margin: usize, needed: f64, lead: f64) -> f64 {
        let (form, mut best, mut reserve) = (&self.margins[margin], f64::NEG_INFINITY, 0.0);
        for _ in 0..ATTEMPTS {
            // The search ends at the first bound that is positive: it looks for one that is by what rounding takes from it.
            let goal = Form { constant: sub_down(form.constant, needed) - reserve, ..form.clone() };
            let Some(mut multipliers) = self.search(&goal, lead) else { break };
            let is_positive = multipliers.bound > 0.0;
            multipliers.bound += reserve;
            let goal = Form { constant: sub_down(form.constant, needed), ..form.clone() };
            let proved = self.nearly(&goal, &multipliers, lead);
            best = best.max(proved);
            if best > 0.0 || !is_positive || proved == f64::NEG_INFINITY {
                break;
            }
            reserve = 2.0 * (multipliers.bound - proved);
        }
        best
    }

    /// Returns what multipliers prove: a matrix that the search calls definite has a little slack, of which rounding takes some.
    fn nearly(&self, goal: &Form, multipliers: &Multipliers, lead: f64) -> f64 {
        let less = |gap: f64| Multipliers { bound: multipliers.bound - gap * lead, ..multipliers.clone() };
        let proofs = [0.0, 1e-9, 1e-6, 1e-4].map(less);
        let mut proofs = proofs.iter().map(|multipliers| self.prove(goal, multipliers));
        proofs.find(|proved| *proved > f64::NEG_INFINITY).unwrap_or(f64::NEG_INFINITY)
    }
}

#[cfg(test)]
mod tests;
