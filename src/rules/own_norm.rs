//! A step of a field that is a gradient field in a norm of its own, `‖x‖_P² = ⟨Px, x⟩` with `λ₋I ⪯ P ⪯ λ₊I`, `λ₋ > 0`.
//!
//! Rules about gradient fields hold in every inner product space, so in that of `P` as well: a step is `ρ`-Lipschitz in `‖·‖_P`, and
//! `n` of them are `ρⁿ`-Lipschitz there. In the Euclidean norm, what is paid for the way in and out is paid once:
//!
//! ```math
//! \|Δx_n\| \le λ_-^{-1/2} \|Δx_n\|_P \le λ_-^{-1/2} ρ^n \|Δx_0\|_P \le \sqrt{λ_+/λ_-}\; ρ^n \|Δx_0\| .
//! ```
//!
//! [`super::composition`] does that for the steps of a flow with one field. The field of NAIS-Net is one of these
//! ([`super::nais_field`]); eigenvalues of its step inside the unit disc alone are no certificate.

use super::{Numbers, circle_contractivity, gradient_step, lipschitz_step, one_sided_lipschitz};
use crate::{
    certificate::{Claims, OwnNorm},
    error::{Error, Result},
    model::Step,
    rigor::{Lower, Upper, directed::div_down},
};

/// Returns the claims about one step, from those about the field.
///
/// # Errors
/// [`Error::NotProved`] if nothing is claimed of the field in a norm of its own, or no rule proves a factor of the step in it.
pub fn bound(step: Step<'_>, field: &Numbers) -> Result<Claims> {
    let none = |reason: &str| Error::not_proved("a step in a norm of its own", reason);
    let own = field.own_norm.ok_or_else(|| none("nothing is claimed of the field in such a norm"))?;
    let inside = within(&own).ok_or_else(|| none("it is not proved to be a gradient field in it"))?;
    let least = |rules: &[Result<Claims>]| rules.iter().flatten().map(|claims| claims.bound).reduce(Upper::min);
    let factor = least(&[
        gradient_step::bound(step, &inside),
        circle_contractivity::bound(step, &inside),
        lipschitz_step::bound(step, &inside),
    ]);
    let factor = factor.ok_or_else(|| none("no rule proves its factor there"))?;
    let condition = Upper::proved(own.condition).finite("the condition of a norm")?;
    let around = (condition * factor).finite("the factor of a step");
    let plain =
        [around.map(Claims::lipschitz), one_sided_lipschitz::bound(step, field), lipschitz_step::bound(step, field)];
    let bound = least(&plain).ok_or_else(|| none("its factor overflows"))?;
    let own_norm = Some(OwnNorm { condition, bound: factor, strong_convexity: None });
    Ok(Claims { own_norm, ..Claims::lipschitz(bound) })
}

/// Returns what is known of the field in its norm, as rules for gradient fields ask for it.
fn within(own: &OwnNorm<f64, f64>) -> Option<Numbers> {
    let convexity = own.strong_convexity.filter(|mu| *mu >= 0.0)?;
    let known = Claims {
        one_sided_lipschitz: Some(Upper::proved(-convexity)),
        cocoercivity: (own.bound > 0.0).then(|| Lower::proved(div_down(1.0, own.bound))),
        strong_convexity: Some(Lower::proved(convexity)),
        ..Claims::lipschitz(Upper::proved(own.bound))
    };
    Some(known.numbers())
}
