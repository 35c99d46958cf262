//! Networks as optimal control: states and costates, discrete gradients, and what is proved about them.
//!
//! A flow is a process `x' = f(x, θ)` whose controls `θ` are the weights of its fields. Training minimises a cost
//!
//! ```math
//! J(θ) = Φ(x_N) + \sum_n h_n \sum_i b_i R(X_{n,i}),
//! ```
//!
//! and its gradient follows from *costates*, backward in time. All of this is about the discrete problem: the gradient is that
//! of the program's steps, and no approximation of a continuous adjoint.
//!
//! | what | where | guarantee |
//! |---|---|---|
//! | states, stages, variations of a flow, explicit or implicit | [`Process`], [`Trajectory`] | as executed; stages solved to a residual, or refused |
//! | costates and the gradient by weights and by time steps | [`Costates`] | exact for the discrete problem, but for rounding |
//! | how much gradients may grow or fade | [`costate_bounds`] | proved, exact semantics |
//! | the symplectic pair `â` and Hager's order conditions | [`symplectic_pair`], [`pair_order`] | exact arithmetic |
//! | linear-quadratic problems by Riccati's recursion | [`LinearQuadratic`] | as executed in `f64` |
//! | the method of successive approximations | [`SuccessiveApproximations`] | as executed; the cost never grows |
//! | step lengths on a simplex, below a cap | [`project_lengths`], [`optimal_lengths`], [`stable_lengths`] | caps kept exactly |
//! | layers in parallel (parareal) | [`Parareal`] | the error is proved |
//!
//! Sources: Ehrhardt, Murari, Sherry, arXiv:2510.22299, the optimal-control view; Hager, *Runge–Kutta methods in optimal
//! control and the transformed adjoint system*, Numer. Math. 87 (2000); Sanz-Serna, *Symplectic Runge–Kutta schemes for
//! adjoint equations, automatic differentiation, optimal control, and more*, SIAM Review 58 (2016).
//!
//! ```
//! use dahlquist::control::{Process, Terminal};
//! use dahlquist::{activation::Activation, field::GradientField, operator::{Affine, Dense}, tableau::Tableau};
//! use dahlquist::tensor::{Batch, Shape};
//! // x' = −x by the explicit midpoint rule, whose first weight is 0: two steps of length 1/2.
//! let field = GradientField::new(Affine::new(Dense::new(1, 1, vec![1.0])?, None)?, Activation::Identity {})?;
//! let process = Process::new(vec![&field], &Tableau::midpoint(), vec![0.5, 0.5])?;
//! let x = Batch::new(Shape::Features(1), vec![1.0])?;
//! let trajectory = process.states(&x)?;
//! assert_eq!(trajectory.last().data(), [0.625 * 0.625]);
//! // The derivative of x_2 by x_0 is (1 − h + h²/2)².
//! let one = Batch::new(Shape::Features(1), vec![1.0])?;
//! let costates = process.costates(&trajectory, &Terminal(one))?;
//! assert_eq!(costates.states()[0].data(), [0.625 * 0.625]);
//! # Ok::<(), dahlquist::Error>(())
//! ```

mod bounds;
mod costate;
mod coupled;
mod lengths;
mod linear_quadratic;
mod msa;
mod pair;
mod parareal;
mod process;

pub use bounds::costate_bounds;
pub use costate::{Cost, Costates, Terminal};
pub use lengths::{LengthSearch, optimal_lengths, project_lengths, stable_lengths};
pub use linear_quadratic::{LinearQuadratic, Regulator, Riccati};
pub use msa::{Iterate, SuccessiveApproximations};
pub use pair::{has_pair_order, pair_order, symplectic_pair};
pub use parareal::{Inference, Parareal, Sweep};
pub use process::{Process, Stage, Trajectory};
