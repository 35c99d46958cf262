//! The field of a residual network, `f(x) = Vσ(Wx + b) + c`: `‖V‖·max(|m|, |L|)·‖W‖`-Lipschitz, and no more is known.

use super::{Numbers, slope};
use crate::{
    certificate::Claims,
    error::{Error, Result},
    model::Field,
    rigor::Upper,
};

/// The claims about the field, from the norms of its operators.
///
/// # Errors
/// [`Error::Format`] for another field, [`Error::NotProved`] if the product overflows.
pub fn bound(field: &Field, inner: &Numbers, outer: &Numbers) -> Result<Claims> {
    let Field::Residual { activation, .. } = field else {
        return Err(Error::format("the rule is one for residual fields"));
    };
    let norms = Upper::proved(inner.bound) * Upper::proved(outer.bound);
    let lipschitz = (norms * slope::largest(*activation)).finite("the Lipschitz constant of a residual field")?;
    // ⟨Δf, Δx⟩ ≤ ‖Δf‖‖Δx‖
    Ok(Claims { one_sided_lipschitz: Some(lipschitz), ..Claims::lipschitz(lipschitz) })
}
