//! From a network to certificates: sealing, and the radius of a sample.

mod dataset;
mod groups;
mod local;
mod radius;
mod seal;

pub(crate) use radius::argmax;
pub use radius::{Gaps, Refusal, SampleCertificate, Semantics};
pub use seal::{SealOptions, Sealed};

pub use crate::rigor::Summation;
