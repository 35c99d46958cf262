//! From a network to certificates: sealing, and the radius of a sample.

mod check;
mod dataset;
mod head;
mod local;
mod radius;
mod seal;

pub use check::check_samples;
pub use radius::{Gaps, Refusal, SampleCertificate};
pub use seal::{SealOptions, Sealed};

pub use crate::{certificate::Semantics, rigor::Summation};
