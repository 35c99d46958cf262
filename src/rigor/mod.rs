//! The trusted base: outward rounding, bounds as types, and proved norms.
//!
//! Everything that a certificate rests on is in this folder, in `f64`, and small: an auditor reads these files, the
//! rules of [`crate::certificate`], and nothing else. Decompositions of faer *propose* (an eigenvalue, a Cholesky
//! factor); what is proved about their output is proved here, and holds whatever they returned.
//!
//! | file | what it proves |
//! |---|---|
//! | [`directed`] | sums, products, quotients and roots of `f64` that are not below, or not above, the exact ones |
//! | [`Upper`], [`Lower`], [`Estimate`] | which way a number errs is its type |
//! | [`matrix`] | largest and smallest singular values of a matrix, by a residual certificate |
//! | [`psd`] | that a matrix is positive semidefinite |
//! | [`quadratic_constraint`] | Lipschitz bounds of residual steps and of short stacks, better than products of norms |
//! | [`roots_of_unity`] | cosines and sines of `2πk/N` with a proved error |
//! | [`composition`] | the norm of linear maps in a row |
//! | [`torus`] | the norm of a convolution, with any stride and padding |
//! | `symbol` | the matrices of a convolution at the frequencies of a torus, with the error of their entries |
//! | `search` | the torus that proves the smallest norm of a convolution |
//! | `estimate` | nothing: about how large the norm of a convolution is |
//! | [`band`] | the norm of a zero-padded convolution itself, dearer and tighter |
//! | [`Rounding`] | the distance between what is computed and what is meant |

pub mod band;
mod bound;
pub mod composition;
pub mod directed;
mod estimate;
pub mod matrix;
mod propose;
pub mod psd;
pub mod quadratic_constraint;
pub mod roots_of_unity;
mod rounding;
mod search;
mod symbol;
pub mod torus;

pub use bound::{Estimate, Lower, Upper};
pub use rounding::{Rounding, Summation};
