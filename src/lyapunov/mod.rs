//! Lyapunov functions: what a field's energy is, that steps decrease it, and where its trajectories end.
//!
//! | what | where | guarantee |
//! |---|---|---|
//! | the energy of a field, and its gradient | [`Energy`], [`primitive()`] | as executed in `f64` |
//! | `V(x⁺) − V(x) ≤ −c‖g(x)‖²` for a step of Euler's method | [`Decrease`] | proved, exact semantics |
//! | `V(x⁺) ≤ q V(x)` for an Euler step of Manek and Kolter's field | [`projected_decrease`] | proved, exact semantics |
//! | an equilibrium, and how far it may be | [`equilibrium`], [`equilibrium_errors`] | proved, exact semantics |
//!
//! | field | energy | decreases for |
//! |---|---|---|
//! | gradient | `Σ δᵢψ((Wx + b)ᵢ)` | `h ≤ 2/β` |
//! | antisymmetric | `Σ ψ((A − Aᵀ − γI)x + b)ᵢ` | `h ≤ 2γ/(L(κ² + γ²))` |
//! | dissipative Hamiltonian | `Σ ψ((Kx + b)ᵢ) + ½‖Mx‖²`, of curvature up to `c₂` | `h ≤ 2r/(c₂(κ² + r²))` |
//! | NAIS-Net | `Σ ψ((−Px + b)ᵢ)`, `P = RᵀR + εI` | `h ≤ 2/(L‖P‖)` |
//! | Hamiltonian | `Σ ψ((Kp + b)ᵢ) + Σ ψ((Wq + c)ᵢ)` | never: the flow keeps it |
//!
//! Sources: Ehrhardt, Murari, Sherry, arXiv:2510.22299; Chang et al., arXiv:1902.09689; Ciccone et al., arXiv:1804.07209; Galimberti
//! et al., arXiv:2105.13205; the descent lemma is Nesterov's, *Lectures on convex optimization* (2018), section 1.2.3.
//!
//! ```
//! use dahlquist::{activation::Activation, field::GradientField, operator::{Affine, Dense}, rules::Prover};
//! use dahlquist::{lyapunov::{Decrease, Energy}, field::VectorField, tensor::{Batch, Shape}};
//! let w = Affine::new(Dense::new(2, 2, vec![1.0, 0.5, 0.0, 1.0])?, None)?;
//! let field = GradientField::new(w, Activation::Tanh {})?;
//! // Every step up to 2/β, no longer one, decreases V.
//! let decrease = Decrease::of_euler(&field, 0.5, &Prover::default())?;
//! assert!(decrease.is_proved() && decrease.longest().get() < 2.0);
//! let x = Batch::new(Shape::Features(2), vec![1.0, -2.0])?;
//! assert!(decrease.bounds(&field, &x)?[0].get() < 0.0);
//! let energy = Energy::of(&field.describe(), field.shape())?;
//! assert!(energy.values(&x)[0] > 0.0);
//! # Ok::<(), dahlquist::Error>(())
//! ```

mod decrease;
mod energy;
mod equilibrium;
mod projected;

pub use decrease::Decrease;
pub use energy::Energy;
pub use equilibrium::{Equilibrium, equilibrium, equilibrium_errors};
pub use projected::{ProjectedDecrease, projected_decrease};

pub use crate::field::primitive;
