//! dahlquist
#![forbid(unsafe_code)]
pub mod error;
pub mod integrate;
pub mod rigor;
pub mod scalar;
pub mod tensor;

pub use error::{Error, Result};
