//! An Euler step of a Hamiltonian field, a damped one, or an antisymmetric network.
//!
//! A difference of two values of the step is `(1 + h(K − rI)G)Δx`, or `(1 + hG(K − rI))Δx`, as for the field
//! ([`super::hamiltonian_field`]). With the middle `c` of `G` it is `(1 − hrc)Δx + hcKΔx`, two orthogonal parts, up to
//! `h(K − rI)(G − c)Δx`; so the step is Lipschitz with
//!
//! ```math
//! \sqrt{(1 - hrc)² + h²c²κ²} + |h|d\sqrt{κ² + r²}, \qquad c = \tfrac{c_1+c_2}{2}, \quad d = \tfrac{c_2-c_1}{2}.
//! ```
//!
//! If `K` is orthogonal but for its factor `κ`, some symmetric `G` attains it, on the plane a diagonal one.
//!
//! Source: elementary.

use super::{Numbers, hamiltonian_field::SkewGradient};
use crate::{
    certificate::Claims,
    error::{Error, Result},
    model::Step,
    rigor::{
        Upper,
        directed::{add_up, mul_down, mul_up, sqrt_up, sub_down, sub_up},
    },
};

/// Returns the claims about an Euler step, from those about the operators of its field.
///
/// # Errors
/// [`Error::Format`] for another field or method, [`Error::NotProved`] if the factor overflows.
pub fn bound(step: Step<'_>, operators: &[Numbers]) -> Result<Claims> {
    if !step.method.tableau()?.is_euler() {
        return Err(Error::format("the rule is one for Euler's method"));
    }
    let SkewGradient { middle, spread, kappa, damping, size, .. } = SkewGradient::of(step.field, operators)?;
    let h = step.length;
    // 1 − hrc is between these.
    let (h_low, h_high) = (mul_down(h, damping), mul_up(h, damping));
    let ends = middle.map(|c| [mul_down(h_low, c).min(mul_down(h_high, c)), mul_up(h_low, c).max(mul_up(h_high, c))]);
    let (low, high) = (ends[0][0].min(ends[1][0]), ends[0][1].max(ends[1][1]));
    let kept = sub_up(1.0, low).abs().max(sub_down(1.0, high).abs());
    let turned = mul_up(mul_up(h.abs(), middle[0].abs().max(middle[1].abs())), kappa);
    let root = sqrt_up(add_up(mul_up(kept, kept), mul_up(turned, turned)));
    let factor = add_up(root, mul_up(mul_up(h.abs(), spread), size));
    Upper::proved(factor).finite("the factor of an Euler step of a skew gradient").map(Claims::lipschitz)
}
