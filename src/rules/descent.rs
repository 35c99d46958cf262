//! Descent: a step of the gradient field decreases its potential.
//!
//! For `V` with a `β`-Lipschitz gradient and `x⁺ = x − h∇V(x)`, `V(x⁺) ≤ V(x) − h(1 − hβ/2)‖∇V(x)‖²`.
//!
//! Source: Nesterov, *Lectures on convex optimization* (2018), section 1.2.3.

use crate::rigor::{
    Lower,
    directed::{div_up, mul_down, mul_up, sub_down},
};

/// Returns a lower bound of `c = h(1 − hβ/2)` in `V(x⁺) ≤ V(x) − c‖∇V(x)‖²`, for `h ≥ 0`; below 0 where no decrease is
/// proved.
pub fn decrease(h: f64, beta: f64) -> Lower {
    let rest = sub_down(1.0, div_up(mul_up(h, beta), 2.0));
    // A negative rest is multiplied by h from the outside.
    Lower::proved(if rest >= 0.0 { mul_down(h, rest) } else { -mul_up(h, -rest) })
}
