//! dahlquist
#![forbid(unsafe_code)]
#![deny(missing_docs)]
pub mod data;
pub mod error;
pub mod rigor;
pub mod scalar;
pub mod tensor;

pub use error::{Error, Result};
