//! Stable neural networks from ordinary differential equations, in which every layer carries a Lipschitz and a
//! contractivity certificate that is *proved*.
//!
//! A residual block `$x + h f(x)$` is a step of Euler's method for `$x' = f(x)$`. If the field is the gradient field
//! `$f(x) = -W^T σ(Wx + b)$`, its flow never moves two points apart, and numerical analysis says for which steps
//! `$h$`, and for which Runge–Kutta methods, the discrete step does not either. A network of such layers is
//! 1-Lipschitz by construction; with a margin between its logits, a prediction is then certified against every
//! perturbation within a radius. This crate is a reference implementation of Ehrhardt, Murari, Sherry, *Stable neural
//! networks and connections to continuous dynamical systems*,
//! [arXiv:2510.22299](https://arxiv.org/abs/2510.22299).
//!
//! # What is promised
//!
//! 1. **A bound is a proof.** No number that is estimated from below (a power iteration, a singular value
//!    decomposition, a sample) ever becomes a bound: [`rigor::Estimate`] and [`rigor::Upper`] are different types.
//! 2. **Two semantics, always named.** [`Semantics::Exact`] is about the network over the real numbers,
//!    [`Semantics::Executed`] about the program, rounding included.
//! 3. **A refusal is an answer.** Ties, NaN, overflow, equations that are not solved to their tolerance, a relative step of a method without a
//!    radius: a typed [`Error`] or the radius 0.
//!
//! # Example
//!
//! ```
//! use dahlquist::{
//!     Network, Semantics,
//!     activation::Activation,
//!     field::GradientField,
//!     integrate::Tableau,
//!     layer::{AffineLayer, Flow, Step},
//!     operator::{Affine, Dense},
//!     tensor::{Batch, Shape},
//! };
//!
//! // x' = −Wᵀ relu(Wx + b), by two steps of the classical Runge–Kutta method, each as long as is proved to be stable.
//! let w = Dense::new(3, 2, vec![0.9, -0.3, 0.2, 1.1, -0.7, 0.4])?;
//! let field = GradientField::new(Affine::new(w, Some(vec![0.1, -0.2, 0.0]))?, Activation::Relu {})?;
//! let flow = Flow::new(field, Tableau::rk4(), Step::Relative(1.0), 2)?;
//! let head = AffineLayer::new(Affine::new(Dense::new(2, 2, vec![1.0, 0.0, 0.0, 1.0])?, None)?);
//! let network = Network::<f32>::new(Shape::Features(2), vec![Box::new(flow), Box::new(head)])?;
//!
//! // Sealing proves the norm of W and sets the step by it; from then on nothing changes.
//! let sealed = network.seal()?;
//! assert_eq!(sealed.features().get(), 1.0);
//!
//! let x = Batch::new(Shape::Features(2), vec![2.0, 0.5])?;
//! let claim = sealed.certify(&x, Semantics::Exact)?[0];
//! assert!(claim.holds_at(0.01));
//! # Ok::<(), dahlquist::Error>(())
//! ```
//!
//! # Map
//!
//! Data flows from top to bottom; a module imports from those above it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`scalar`], [`lanes`], [`tensor`], [`error`] | `f32` and `f64` over faer; vectors of them; shapes and batches; everything that is refused |
//! | [`rigor`] | the trusted base: outward rounding, bounds as types, proved norms |
//! | [`tape`], [`io`] | what a forward pass leaves for derivatives; files |
//! | [`activation`], [`tableau`] | functions with slopes; Runge–Kutta methods in exact arithmetic, with their radii |
//! | [`model`] | a network as data, and model files |
//! | [`certificate`] | proof trees, and certificate files |
//! | [`rules`] | one theorem a file: how a bound follows, and how to look for it |
//! | [`check`] | the checker of certificate files: one fold over the two trees |
//! | [`parametrize`] | weights that are trained in another form |
//! | [`operator`], [`field`], [`layer`], [`network`] | what runs: linear maps, right-hand sides, layers, layers in order |
//! | [`data`], [`certify`] | images and samples; sealing, and the radius of a sample |
//! | [`control`] | a flow as a controlled process: costates, exact discrete gradients, layers in parallel with a proved error |
//! | [`lyapunov`] | energies along trajectories, certified decrease, equilibria with a proved error |
//! | [`attack`] | PGD against the label, a search for counterexamples against the certificate |
//! | [`train`] | the recipe |
//! | [`zoo`] | networks that are written out once |
//! | [`witness`] | what the verified checker of `proofs/` reads: certificates in exact integers |
//! | `laws` (feature `laws`) | the properties that every layer, field and method must have, for your own too |

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod activation;
pub mod attack;
mod block;
mod buffer;
pub mod certificate;
pub mod certify;
pub mod check;
pub mod control;
pub mod data;
pub mod error;
pub mod field;
pub mod integrate;
pub mod io;
pub mod lanes;
#[cfg(feature = "laws")]
pub mod laws;
pub mod layer;
pub mod lyapunov;
pub mod model;
pub mod network;
pub mod operator;
pub mod parametrize;
pub mod rigor;
pub mod rules;
pub mod scalar;
mod shape;
pub mod tableau;
pub mod tape;
pub mod tensor;
pub mod train;
pub mod witness;
pub mod zoo;

pub use certify::{Sealed, Semantics};
pub use error::{Error, Result};
pub use network::Network;

/// The code of the read-me is tested with that of the documentation, and so is that of the page about the chapter.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../docs/chapter.md")]
struct Chapter;
