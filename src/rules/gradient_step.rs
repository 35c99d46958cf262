//! An Euler step `x + h f(x)` of `f = −∇V` with curvature in `[μ, β]`.
//!
//! It is `max(|1 − hμ|, |1 − hβ|)`-Lipschitz for `h` of either sign. For `0 ≤ h < 2/β` it is averaged with `α = hβ/2`.
//! It is sharp, has no search, and alone claims averagedness.
//!
//! Sources: Sherry et al., arXiv:2306.17332, section 2; Celledoni et al., arXiv:2210.02373.

use super::{Numbers, require};
use crate::{
    certificate::Claims,
    error::{Error, Result},
    model::Step,
    rigor::{
        Upper,
        directed::{div_up, mul_down, mul_up, sub_up},
    },
};

/// Returns the claims about one Euler step, from those about the field.
///
/// # Errors
/// [`Error::Format`] for another method or a field that is not proved to be a gradient, [`Error::NotProved`] if the
/// factor overflows.
pub fn bound(step: Step<'_>, field: &Numbers) -> Result<Claims> {
    require(step.method.tableau()?.is_euler(), "the rule is one for Euler's method")?;
    let h = step.length;
    let bound = factor(h, field)?;
    let alpha = div_up(mul_up(h, field.bound), 2.0);
    let averaged = (h >= 0.0 && alpha < 1.0).then(|| Upper::proved(alpha));
    Ok(Claims { averaged, ..Claims::lipschitz(bound) })
}

/// Returns `max |1 − hλ|` over the curvatures `λ` of the field.
///
/// # Errors
/// [`Error::Format`] if the field is not proved to be a gradient, [`Error::NotProved`] if the factor overflows.
fn factor(h: f64, field: &Numbers) -> Result<Upper> {
    let (Some(smallest), largest) = (field.strong_convexity, field.bound) else {
        return Err(Error::format("the field is not proved to be a gradient"));
    };
    // 1 − hλ is largest for the least hλ, and hλ − 1 for the largest.
    let (least, most) = if h >= 0.0 { (smallest.max(0.0), largest) } else { (largest, smallest.max(0.0)) };
    let (least, most) = (mul_down(h, least), mul_up(h, most));
    let factor = Upper::proved(sub_up(1.0, least)).max(Upper::proved(sub_up(most, 1.0))).max(Upper::ZERO);
    factor.finite("the factor of an Euler step")
}
