//! How much a step may shrink a distance: `‖Δx₁‖ ≥ ℓ‖Δx‖`, so that gradients do not vanish.
//!
//! | step | `ℓ` |
//! |---|---|
//! | Euler, of a gradient field with curvature in `[μ, β]` | `1 − hβ`, or `hμ − 1` |
//! | of an explicit method, with the factor `ρ` of [`super::lipschitz_step`] | `1 − (ρ − 1)`: it moves by at most `(ρ − 1)‖Δx‖` |
//! | implicit Euler | `1/(1 + \|h\|ℓ_f)`, for `x = x₁ − hf(x₁)` |
//!
//! Nothing is claimed where that is not positive. It holds whatever rule proves the factor of the step.

use super::{Numbers, lipschitz_step};
use crate::{
    model::Step,
    rigor::{
        Lower,
        directed::{add_up, div_down, mul_down, mul_up, sub_down},
    },
};

/// Returns the largest `ℓ` that is proved of a step, from the claims about its field.
pub(super) fn of_step(step: Step<'_>, field: &Numbers) -> Option<Lower> {
    let (tableau, h, l) = (step.method.tableau().ok()?, step.length, field.bound.max(0.0));
    let mut best = 0.0f64;
    if let Ok(claims) = lipschitz_step::bound(step, field) {
        best = best.max(sub_down(2.0, claims.bound.get()));
    }
    if tableau.is_implicit_euler() {
        best = best.max(div_down(1.0, add_up(1.0, mul_up(h.abs(), l))));
    }
    if let (true, Some(least)) = (tableau.is_euler(), field.strong_convexity.map(|mu| mu.max(0.0))) {
        let (low, high) = if h >= 0.0 { (least, l) } else { (l, least) };
        best = best.max(sub_down(1.0, mul_up(h, high))).max(sub_down(mul_down(h, low), 1.0));
    }
    (best > 0.0 && best.is_finite()).then(|| Lower::proved(best))
}
