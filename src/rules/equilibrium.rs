//! The equilibrium `x*` of `f(x) + u = 0`, as a function of `u`, for a field with `⟨Δf, Δx⟩ ≤ −μ‖Δx‖²` and `‖Δf‖ ≤ ℓ‖Δx‖`, `μ > 0`.
//!
//! There is exactly one: `x + h(f(x) + u)` with `h = μ/ℓ²` is a contraction of a complete space (Banach). For two of them `Δf = −Δu`, so
//!
//! ```math
//! μ\|Δx^*\|^2 \le ⟨Δu, Δx^*⟩ \le \|Δu\|\|Δx^*\|, \qquad \|Δu\| = \|Δf\| \le ℓ\|Δx^*\|:
//! ```
//!
//! `x*` is `1/μ`-Lipschitz, `‖Δx*‖ ≥ ‖Δu‖/ℓ`, and for `μ ≥ 1` it is firmly non-expansive: averaged with `α = 1/2`. Any `x̂` is at most
//! `‖f(x̂) + u‖/μ` from `x*`: what a solve is charged with.
//!
//! Sources: Browder; Minty (1963); Winston, Kolter, *Monotone operator equilibrium networks*, NeurIPS 2020.

use super::Numbers;
use crate::{
    certificate::Claims,
    error::{Error, Result},
    rigor::{
        Lower, Upper,
        directed::{div_down, div_up},
    },
};

/// Returns the claims about `u ↦ x*`, from those about the field.
///
/// # Errors
/// [`Error::NotProved`] if no `μ > 0` is proved of the field, or `1/μ` overflows.
pub fn bound(field: &Numbers) -> Result<Claims> {
    let mu = rate(field)?;
    let lipschitz = Upper::proved(div_up(1.0, mu)).finite("the Lipschitz constant of an equilibrium")?;
    let inverse = Lower::proved(div_down(1.0, field.bound.max(mu)).max(0.0));
    Ok(Claims {
        averaged: (mu >= 1.0).then(|| Upper::proved(0.5)),
        inverse: Some(inverse),
        ..Claims::lipschitz(lipschitz)
    })
}

/// Returns a `μ > 0` with `⟨Δf, Δx⟩ ≤ −μ‖Δx‖²`.
///
/// # Errors
/// [`Error::NotProved`] if there is none.
pub(crate) fn rate(field: &Numbers) -> Result<f64> {
    let mu = field.one_sided_lipschitz.map_or(0.0, |mu| -mu);
    if mu > 0.0 && mu.is_finite() && field.bound.is_finite() {
        return Ok(mu);
    }
    let reason = format!("it needs ⟨Δf, Δx⟩ ≤ −μ‖Δx‖² with μ > 0, and μ = {mu} is what is known of the field");
    Err(Error::not_proved("an equilibrium", reason))
}
