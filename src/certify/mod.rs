//! From a network to certificates: sealing, and the radius of a sample.

mod head;
mod local;
mod radius;
mod seal;

pub use radius::{Gaps, Refusal, SampleCertificate};
pub use seal::{SealOptions, Sealed};

pub use crate::{certificate::Semantics, rigor::Summation};
