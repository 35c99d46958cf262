//! Integration of vector fields; see [`crate::tableau`] for methods and what is proved about them.

pub use crate::tableau::{CircleRadius, Coefficients, ShuOsher, Surd, Tableau};
