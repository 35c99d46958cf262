//! An Euler step of a field with `⟨Δf, Δx⟩ ≤ μ‖Δx‖²` and `‖Δf‖ ≤ ℓ‖Δx‖`.
//!
//! For `h ≥ 0`, `‖Δx + hΔf‖² ≤ (1 + 2hμ + h²ℓ²)‖Δx‖²`. For `h < 0` it is the step `−h` of `−f`, of which only `ℓ` is known.
//! It is sharp and has no search.
//!
//! Source: Dahlquist, *Stability and error bounds in the numerical integration of ordinary differential equations* (1958).

use super::{Numbers, require};
use crate::{
    certificate::Claims,
    error::Result,
    model::Step,
    rigor::{
        Upper,
        directed::{add_up, mul_up, sqrt_up},
    },
};

/// Returns the claims about one Euler step, from those about the field.
///
/// # Errors
/// [`crate::Error::Format`] for another method, [`crate::Error::NotProved`] if the factor overflows.
pub fn bound(step: Step<'_>, field: &Numbers) -> Result<Claims> {
    require(step.method.tableau()?.is_euler(), "the rule is one for Euler's method")?;
    factor(step.length, field).map(Claims::lipschitz)
}

/// Returns `√(1 + 2hμ + h²ℓ²)`.
///
/// # Errors
/// As [`bound`].
fn factor(h: f64, field: &Numbers) -> Result<Upper> {
    let l = field.bound;
    let forward = field.one_sided_lipschitz.map_or(l, |mu| mu.min(l));
    let (h, mu) = if h >= 0.0 { (h, forward) } else { (-h, l) };
    let hl = mul_up(h, l);
    let squared = add_up(add_up(1.0, mul_up(2.0, mul_up(h, mu))), mul_up(hl, hl));
    // Roundings may leave less than nothing where the exact square is 0.
    Upper::proved(sqrt_up(squared.max(0.0))).finite("the factor of an Euler step")
}
