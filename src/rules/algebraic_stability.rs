//! Algebraic stability: a step with `h ≥ 0` of a field with `⟨Δf, Δx⟩ ≤ 0` is non-expansive.
//!
//! For a method with `b ≥ 0` and `M = BA + AᵀB − bbᵀ ⪰ 0`, which is decided in exact arithmetic,
//!
//! ```math
//! \|Δx_1\|^2 = \|Δx\|^2 + 2h \sum_i b_i ⟨Δf_i, ΔX_i⟩ - h^2 \sum_{ij} m_{ij} ⟨Δf_i, Δf_j⟩ \le \|Δx\|^2.
//! ```
//!
//! It is [`super::circle_contractivity`] for `ν = 0`, and covers fields that are monotone and not cocoercive, those with a skew
//! part among them. Gauss, Radau IIA and Lobatto IIIC methods are algebraically stable.
//!
//! Source: Burrage, Butcher, SIAM J. Numer. Anal. 16 (1979); Crouzeix, BIT 19 (1979).

use super::{Numbers, require};
use crate::{
    certificate::Claims,
    error::{Error, Result},
    model::Step,
    rigor::Upper,
};

/// Returns the claims about one step, from those about the field.
///
/// # Errors
/// [`Error::Format`] for a step backwards or a field that is not proved to be monotone, [`Error::NotProved`] for a method that
/// is not algebraically stable.
pub fn bound(step: Step<'_>, field: &Numbers) -> Result<Claims> {
    require(step.length >= 0.0, "the rule is one for steps forwards")?;
    let monotone = field.one_sided_lipschitz.is_some_and(|mu| mu <= 0.0) || field.bound == 0.0;
    require(monotone, "the field is not proved to be monotone")?;
    if step.method.tableau()?.is_algebraically_stable() {
        return Ok(Claims::lipschitz(Upper::ONE));
    }
    Err(Error::not_proved(format!("a step of {}", step.method), "the method is not algebraically stable"))
}
