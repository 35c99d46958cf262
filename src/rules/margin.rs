//! Margin: a pair of logits keeps its order within `(fᵢ − fⱼ)/(L‖wᵢ − wⱼ‖)`, strictly.
//!
//! The features of a network are `L`-Lipschitz, so `fᵢ − fⱼ = ⟨wᵢ − wⱼ, φ⟩ + bᵢ − bⱼ` changes by at most `L‖wᵢ − wⱼ‖ε`
//! within `ε`.
//!
//! Source: Tsuzuku, Sato, Sugiyama, *Lipschitz-margin training*, NeurIPS 2018.

use crate::rigor::{
    Lower, Upper,
    directed::{div_down, mul_up},
};

/// Returns how fast a difference of logits may change with the input, for features that are `lipschitz`-Lipschitz and
/// rows of the head at a distance of at most `distance`.
pub fn slope(lipschitz: Upper, distance: f64) -> f64 {
    mul_up(lipschitz.get(), distance)
}

/// Returns the distance below which a gap stays positive; none if it changes nowhere.
pub fn radius(gap: Lower, slope: f64) -> Option<f64> {
    (slope > 0.0).then(|| div_down(gap.get(), slope))
}
