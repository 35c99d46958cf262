//! A Runge–Kutta step as convex combinations of Euler steps has the same combination of their factors.
//!
//! Source: Gottlieb, Shu, Tadmor, SIAM Review 43 (2001). The form is that of [`crate::tableau::ShuOsher`].

use super::{Numbers, gradient_step, one_sided_lipschitz};
use crate::{
    certificate::Claims,
    error::{Error, Result},
    model::Flow,
    rigor::directed::{div_down, div_up},
};

/// The claims about one step, from those about the field.
///
/// # Errors
/// [`Error::Format`] if the method is not one of Euler steps, and the errors of the rule of an Euler step.
pub fn bound(flow: &Flow, field: &Numbers) -> Result<Claims> {
    let tableau = flow.method.tableau()?;
    let none = || Error::format("the method is not one of Euler steps");
    let r = tableau.ssp_coefficient().ok_or_else(none)?.get();
    // The exact h/r lies between the two.
    let lengths = [div_down(flow.step, r), div_up(flow.step, r)];
    let euler = match field.strong_convexity {
        Some(_) => gradient_step::factor(lengths, field)?,
        None => one_sided_lipschitz::factor(lengths, field)?,
    };
    let factor = tableau.shu_osher(r)?.lipschitz(euler).finite("the factor of a step")?;
    Ok(Claims::lipschitz(factor))
}
