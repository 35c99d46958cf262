//! What a certificate file claims about samples.

use serde::{Deserialize, Serialize};

use super::Semantics;
use crate::io::Digest;

/// The radii of samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimedSamples {
    /// The SHA-256 of the samples, [`crate::data::Dataset::sha256`].
    pub sha256: Digest,
    /// What the radii are about.
    pub semantics: Semantics,
    /// Whether they are local: [`crate::Sealed::certify_locally`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub local: bool,
    /// The prediction for each sample.
    pub predictions: Vec<usize>,
    /// The prediction stands at every distance below this.
    pub radii: Vec<f64>,
}
