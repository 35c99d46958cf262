//! From a network to certificates: sealing, and the radius of a sample.

mod check;
mod claim;
mod dataset;
mod head;
mod local;
mod logits;
mod radius;
mod seal;

pub use check::check_samples;
pub use claim::{Gaps, Refusal, SampleCertificate};
pub use dataset::Sought;
pub use local::{Effort, LinearBounds};
pub use seal::{SealOptions, Sealed};

pub use crate::{certificate::Semantics, rigor::Summation};
