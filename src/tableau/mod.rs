//! Runge–Kutta methods, exactly: their coefficients, and what their coefficients prove.
//!
//! | file | what it holds |
//! |---|---|
//! | [`Surd`] | numbers of `$\mathbb Q(\sqrt 2, \sqrt 3, \sqrt 5, …)$`, exactly; the largest `f64` below one |
//! | [`Tableau`] | a method whose order conditions hold exactly; its coefficients rounded to `f32` or `f64` |
//! | [`CircleRadius`] | how long a step of a method may be without expanding a cocoercive field |
//! | [`Stages`] | which stages are solved together, and what makes them solvable |
//! | [`StabilityFunction`] | `\|R(iy)\|²` as a quotient of polynomials in `y²` |
//! | [`ShuOsher`] | a method as convex combinations of Euler steps, and the Lipschitz factor that it inherits |
//!
//! No radius and no factor is typed in: each is derived from the coefficients and proved in exact arithmetic.

mod circle;
mod coefficients;
mod exact;
mod implicit;
mod memory;
mod methods;
mod shu_osher;
mod stability;
mod trees;

pub use circle::CircleRadius;
pub use coefficients::{Coefficients, Tableau};
pub use exact::Surd;
pub use implicit::{Solvable, StageBlock, Stages};
pub use shu_osher::ShuOsher;
pub use stability::StabilityFunction;
