//! Circle contractivity: a step with `0 ≤ h ≤ 2rν` of a `ν`-cocoercive field is non-expansive.
//!
//! The radius `r` of the method is derived from its coefficients in exact arithmetic: [`crate::tableau::CircleRadius`]. The
//! rule has no search and says exactly 1, where [`super::stage_multipliers`] says a little more; it tells how long a step
//! may be, and it is what the verified checker of `proofs/` knows.
//!
//! Source: Dahlquist, Jeltsch, TRITA-NA 7906 (1979); BIT 46 (2006).

use super::Numbers;
use crate::{
    certificate::{Claims, Rule},
    error::{Error, Result},
    model::Step,
    rigor::{Lower, Upper},
    tableau::Tableau,
};

/// Returns the claims about one step, from those about the field.
///
/// # Errors
/// [`Error::Format`] if the field is not proved to be cocoercive, [`Error::NotCircleContractive`] for a method without a
/// radius, [`Error::StepTooLong`] for a step beyond the limit.
pub fn bound(step: Step<'_>, field: &Numbers) -> Result<Claims> {
    let tableau = step.method.tableau()?;
    let (step, limit) = (step.length, longest(&tableau, field)?.get());
    if (0.0..=limit).contains(&step) {
        return Ok(Claims::lipschitz(Upper::ONE));
    }
    let (rule, method) = (Rule::CircleContractivity.name(), tableau.name().into());
    Err(Error::StepTooLong { step, limit, rule, method })
}

/// Returns the longest step that is proved to be non-expansive: `2rν`, rounded down.
///
/// # Errors
/// As [`bound`].
pub fn longest(tableau: &Tableau, field: &Numbers) -> Result<Lower> {
    let nu = match field.cocoercivity {
        Some(nu) => nu,
        // A field that is proved to be constant: files hold no infinity.
        None if field.strong_convexity.is_some() && field.bound == 0.0 => f64::INFINITY,
        None => return Err(Error::format("the field is not proved to be cocoercive")),
    };
    Ok(tableau.circle_radius()?.step_limit(Lower::proved(nu)))
}
