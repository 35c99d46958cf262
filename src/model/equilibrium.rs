//! The equilibrium of a field.

use serde::{Deserialize, Serialize};

use super::{Field, Tensor};
use crate::{
    error::{Error, Result},
    tensor::Shape,
};

/// `u ↦ x*` with `f(x*) + u = 0`, for a field that contracts.
///
/// In a file:
///
/// ```json
/// {"type": "equilibrium", "tolerance": 1e-6, "field":
///   {"type": "gradient", "activation": {"function": "leaky_relu", "slope": 0.5}, "operator": {"type": "dense", "weight": "w", "bias": "b"}}}
/// ```
///
/// The layer is the exact equilibrium; the program solves for it until `‖f(x̂) + u‖`, as computed, is at most the `tolerance`, and
/// returns no number where it does not get there. Without the key it is a few hundred units of rounding of what goes in
/// ([`crate::layer::Equilibrium`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(serialize = "W: Serialize", deserialize = "W: Deserialize<'de>"))]
pub struct Equilibrium<W = Tensor> {
    /// `f`.
    pub field: Field<W>,
    /// How well the equation is solved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
}

impl Equilibrium {
    /// Whether the field maps samples of a shape into the same space, and the tolerance is one.
    ///
    /// # Errors
    /// As [`super::Map::output`].
    pub fn check(&self, space: Shape) -> Result<()> {
        if let Some(tolerance) = self.tolerance.filter(|tolerance| !(tolerance.is_finite() && *tolerance > 0.0)) {
            return Err(Error::parameter("tolerance", tolerance, "a tolerance must be a positive finite number"));
        }
        self.field.check(space)
    }
}
