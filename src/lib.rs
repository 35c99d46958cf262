//! Stable neural networks from ordinary differential equations, certified layer by layer.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod activation;
pub mod certificate;
pub mod certify;
pub mod error;
pub mod field;
pub mod integrate;
pub mod io;
#[cfg(feature = "laws")]
pub mod laws;
pub mod layer;
pub mod network;
pub mod operator;
pub mod rigor;
pub mod scalar;
pub mod tape;
pub mod tensor;

pub use certify::{Sealed, Semantics};
pub use error::{Error, Result};
pub use network::Network;
