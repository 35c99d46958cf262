//! From a network to certificates: sealing, and the radius of a sample.

mod groups;
mod head;
mod local;
mod radius;
mod seal;

pub use radius::{Gaps, Refusal, SampleCertificate, Semantics};
pub use seal::{SealOptions, Sealed};

pub use crate::rigor::Summation;
