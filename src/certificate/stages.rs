//! What the proof of a Runge–Kutta step was found with: inequalities of its field, and a multiplier for each stage.

use serde::{Deserialize, Serialize};

/// An inequality that holds for the field at every pair of points, and its multipliers, one for each stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageInequality {
    /// The inequality.
    pub inequality: Inequality,
    /// The multipliers, none negative.
    pub multipliers: Vec<f64>,
}

/// A quadratic inequality between the differences `ΔX` of two points and `Ψ = hΔf` of the field, times the step.
///
/// Its constants are those of the field times the step, rounded so that the field satisfies it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Inequality {
    /// `⟨Ψ + aΔX, Ψ + bΔX⟩ ≤ 0`: minus the field is a gradient, with curvature times the step in `[a, b]`.
    Curvature([f64; 2]),
    /// `⟨Ψ, ΔX⟩ ≤ m‖ΔX‖²`.
    OneSided(f64),
    /// `‖Ψ‖ ≤ l‖ΔX‖`.
    Lipschitz(f64),
    /// `⟨Ψ, ΔX⟩ ≤ −c‖Ψ‖²`.
    Cocoercive(f64),
}

impl StageInequality {
    /// Returns the constants and the multipliers.
    pub fn numbers(&self) -> impl Iterator<Item = f64> {
        let constants = match self.inequality {
            Inequality::Curvature([a, b]) => [a, b],
            Inequality::OneSided(x) | Inequality::Lipschitz(x) | Inequality::Cocoercive(x) => [x, x],
        };
        constants.into_iter().chain(self.multipliers.iter().copied())
    }
}
