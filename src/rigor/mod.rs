//! The trusted base: outward rounding, bounds as types, and proved norms.
//!
//! Everything that a certificate rests on is in this folder, in `f64`, and small: an auditor reads these files, the
//! rules in [`crate::rules`], and little else ([`crate::check`]). Decompositions of faer *propose* (an eigenvalue, a
//! Cholesky factor); what is proved about their output is proved here, and holds whatever they returned.
//!
//! | file | what it proves |
//! |---|---|
//! | [`directed`] | sums, products, quotients and roots of `f64` that are not below, or not above, the exact ones |
//! | [`Upper`], [`Lower`], [`Estimate`] | which way a number errs is its type |
//! | [`matrix`] | largest and smallest singular values of a matrix, by a residual certificate |
//! | [`psd`] | that a matrix is positive semidefinite |
//! | `residual` | the bound of `‖±(G − αI) − RRᵀ‖` that the two before rest on |
//! | `freivalds` | that a kernel multiplied what it was given, but for a stated probability |
//! | [`quadratic_constraint`] | Lipschitz bounds of residual steps and of short stacks, better than products of norms |
//! | [`roots_of_unity`] | cosines and sines of `2πk/N` with a proved error |
//! | [`composition`] | the norm of linear maps in a row |
//! | [`convolution`] | the norm of a convolution, with any stride and padding |
//! | [`Interval`] | sums and products of numbers that are known up to two ends |
//! | [`environment`] | that the thread rounds as all of this assumes |
//! | [`Rounding`] | the distance between what is computed and what is meant |

mod bound;
pub mod composition;
pub mod convolution;
pub mod directed;
pub mod environment;
mod freivalds;
mod interval;
pub mod matrix;
mod propose;
pub mod psd;
pub mod quadratic_constraint;
mod residual;
pub mod roots_of_unity;
mod rounding;

pub use bound::{Estimate, Lower, Upper};
pub use convolution as torus;
pub use interval::Interval;
pub use rounding::{Rounding, Summation};
