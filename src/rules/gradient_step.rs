//! An Euler step `x + h f(x)` of `f = −∇V` with curvature in `[μ, β]`.
//!
//! It is `max(|1 − hμ|, |1 − hβ|)`-Lipschitz for `h` of either sign. For `0 ≤ h < 2/β` it is averaged with `α = hβ/2`.
//!
//! Sources: Sherry et al., arXiv:2306.17332, section 2; Celledoni et al., arXiv:2210.02373.

use super::{Numbers, require};
use crate::{
    certificate::Claims,
    error::{Error, Result},
    model::Flow,
    rigor::{
        Upper,
        directed::{div_up, mul_down, mul_up, sub_up},
    },
};

/// The claims about one Euler step, from those about the field.
///
/// # Errors
/// [`Error::Format`] for another method or a field that is not proved to be a gradient, [`Error::NotProved`] if the
/// factor overflows.
pub fn bound(flow: &Flow, field: &Numbers) -> Result<Claims> {
    require(flow.method.tableau()?.is_euler(), "the rule is one for Euler's method")?;
    let h = flow.step;
    let bound = factor([h, h], field)?;
    let alpha = div_up(mul_up(h, field.bound), 2.0);
    let averaged = (h >= 0.0 && alpha < 1.0).then(|| Upper::proved(alpha));
    Ok(Claims { averaged, ..Claims::lipschitz(bound) })
}

/// `max |1 − hλ|` over curvatures `λ` of the field and lengths `h` in `[low, high]`.
///
/// # Errors
/// [`Error::Format`] if the field is not proved to be a gradient, [`Error::NotProved`] if the factor overflows.
pub(super) fn factor([low, high]: [f64; 2], field: &Numbers) -> Result<Upper> {
    let (Some(smallest), largest) = (field.strong_convexity, field.bound) else {
        return Err(Error::format("the field is not proved to be a gradient"));
    };
    // 1 − hλ is largest for the least hλ, and hλ − 1 for the largest.
    let least = if low >= 0.0 { mul_down(low, smallest.max(0.0)) } else { mul_down(low, largest) };
    let most = mul_up(high, largest);
    let factor = Upper::proved(sub_up(1.0, least)).max(Upper::proved(sub_up(most, 1.0))).max(Upper::ZERO);
    factor.finite("the factor of an Euler step")
}
