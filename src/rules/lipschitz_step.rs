//! An explicit Runge–Kutta step of an `ℓ`-Lipschitz field, of which nothing else is known.
//!
//! A stage is a Lipschitz function of the point where the step begins, and so is its end:
//!
//! ```math
//! L_i = 1 + |h|ℓ \sum_{j < i} |a_{ij}|\, L_j, \qquad ρ = 1 + |h|ℓ \sum_i |b_i|\, L_i,
//! ```
//!
//! a polynomial in `|h|ℓ`, for `h` of either sign. It is the least bound for such fields: where the values at the stages
//! point in the worst directions, the sums of magnitudes are attained. So no explicit flow is left without a constant.
//!
//! Source: Henrici, *Discrete variable methods in ordinary differential equations* (1962), section 2.2, where it is the
//! Lipschitz constant of the increment function.

use super::{Numbers, require};
use crate::{
    certificate::Claims,
    error::Result,
    model::Step,
    rigor::{
        Upper,
        directed::{add_up, mul_up},
    },
    tableau::Surd,
};

/// Returns the claims about one step, from those about the field.
///
/// # Errors
/// [`crate::Error::Format`] for an implicit method, [`crate::Error::NotProved`] if the factor overflows.
pub fn bound(step: Step<'_>, field: &Numbers) -> Result<Claims> {
    let tableau = step.method.tableau()?;
    require(tableau.is_explicit(), "the rule is one for explicit methods")?;
    let z = mul_up(step.length.abs(), field.bound.max(0.0));
    let mut stages: Vec<f64> = Vec::with_capacity(tableau.stages());
    let combined = |weights: &[Surd], stages: &[f64]| {
        let term = |(a, l): (&Surd, &f64)| mul_up(a.abs().upper(), *l);
        let sum = weights.iter().zip(stages).map(term).fold(0.0, add_up);
        add_up(1.0, mul_up(z, sum))
    };
    for (i, row) in tableau.a().iter().enumerate() {
        let stage = combined(&row[..i], &stages);
        stages.push(stage);
    }
    let factor = Upper::proved(combined(tableau.b(), &stages));
    factor.finite("the factor of a step").map(Claims::lipschitz)
}
