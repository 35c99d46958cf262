//! Isometry: a reordering of coordinates, or an embedding among zeros, keeps every distance.

use super::{is_isometry, require};
use crate::{
    certificate::Claims,
    error::Result,
    model::Linear,
    rigor::{Lower, Upper},
};

/// Returns the claims about a map that only moves coordinates.
///
/// # Errors
/// [`crate::Error::Format`] for any other map.
pub fn bound(linear: &Linear) -> Result<Claims> {
    require(is_isometry(linear), "this map does not merely move coordinates")?;
    Ok(Claims { inverse: Some(Lower::ONE), ..Claims::lipschitz(Upper::ONE) })
}
