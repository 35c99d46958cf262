//! The field of a residual network, `f(x) = Vσ(Wx + b) + c`: `‖V‖·max(|m|, |L|)·‖W‖`-Lipschitz, and no more is known; with a
//! linear part, `f(x) = Cx + Bσ(Ax + b)`, `‖C‖` more.

use super::{Numbers, slope};
use crate::{
    certificate::Claims,
    error::{Error, Result},
    model::Field,
    rigor::Upper,
};

/// Returns the claims about the field, from the norms of its operators.
///
/// # Errors
/// [`Error::Format`] for another field, [`Error::NotProved`] if the product overflows.
pub fn bound(field: &Field, operators: &[Numbers]) -> Result<Claims> {
    let (linear, activation, inner, outer) = match (field, operators) {
        (Field::Residual { activation, .. }, [inner, outer]) => (0.0, activation, inner, outer),
        (Field::Lurie { activation, .. }, [linear, inner, outer]) => (linear.bound, activation, inner, outer),
        _ => return Err(Error::format("the rule applies to residual fields only")),
    };
    let norms = Upper::proved(inner.bound) * Upper::proved(outer.bound);
    let lipschitz = (norms * slope::largest(*activation) + Upper::proved(linear))
        .finite("the Lipschitz constant of a residual field")?;
    // ⟨Δf, Δx⟩ ≤ ‖Δf‖‖Δx‖
    Ok(Claims { one_sided_lipschitz: Some(lipschitz), ..Claims::lipschitz(lipschitz) })
}
