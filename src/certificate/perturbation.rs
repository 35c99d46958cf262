//! The inputs that the radius of a sample is about.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How the distance of two inputs is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// `‖x‖₂ = √(Σ xᵢ²)`: the norm that Lipschitz constants are about.
    #[default]
    L2,
    /// `‖x‖_∞ = max |xᵢ|`.
    Linf,
}

/// The inputs at a distance below the radius, in a norm, and in a range where one is given: `{x' : ‖x' − x‖ < r, lo ≤ x'ᵢ ≤ hi}`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Perturbation {
    /// The norm.
    #[serde(default)]
    pub norm: Norm,
    /// The range of every coordinate: inputs outside of it are no inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
}

impl Perturbation {
    /// Returns whether these are all inputs at a Euclidean distance below the radius.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// Refuses a range that is empty or not finite.
    ///
    /// # Errors
    /// [`Error::Parameter`] if an end is not finite or they are in the wrong order.
    pub fn validate(&self) -> Result<()> {
        match self.range {
            Some([low, high]) if !(low.is_finite() && high.is_finite() && low <= high) => Err(Error::parameter(
                "range",
                format!("[{low}, {high}]"),
                "it goes from a finite number to a larger one",
            )),
            _ => Ok(()),
        }
    }
}
