//! The field of a non-autonomous input-output stable network, `f(x) = σ(−Px + b)` with `P = RᵀR + εI`.
//!
//! A difference of two values is `Δf = −DPΔx` with a diagonal `D` between `m` and `L`, and `P` between `p₁ = ε + σ_min(R)²` and
//! `p₂ = ε + ‖R‖²`. With `c = (m + L)/2`, `d = (L − m)/2` and `p = max(|p₁|, |p₂|)`,
//!
//! ```math
//! ⟨Δf, Δx⟩ ≤ \bigl(-\min(cp_1, cp_2) + dp\bigr)\|Δx\|², \qquad \|Δf\| ≤ \max(|m|, |L|)\,p\,\|Δx\|.
//! ```
//!
//! In the norm of `P` it is a gradient field for `0 ≤ m`, `0 < p₁`: `−Δf = DPΔx` with `DP` self-adjoint in the inner product of `P`, and
//! similar to `P^{1/2}DP^{1/2}`, which lies between `mp₁` and `Lp₂`. What that is worth is [`super::own_norm`].
//!
//! Eigenvalues of a step inside the unit disc are no certificate, as `−DP` need not be normal.
//!
//! Source: Ciccone et al., *NAIS-Net*, arXiv:1804.07209.

use super::{Numbers, curvature, slope};
use crate::{
    certificate::{Claims, OwnNorm},
    error::{Error, Result},
    model::Field,
    rigor::{
        Lower, Upper,
        directed::{add_down, add_up, div_down, div_up, mul_down, mul_up, sqrt_up, sub_up},
    },
};

/// Returns the claims about the field, from those about its operator.
///
/// # Errors
/// [`Error::Format`] for another field.
pub fn bound(field: &Field, operators: &[Numbers]) -> Result<Claims> {
    let (Field::Nais { activation, epsilon, .. }, [factor]) = (field, operators) else {
        return Err(Error::format("the rule applies to the fields of NAIS-Net only"));
    };
    let [least, most] = curvature([1.0, 1.0], factor);
    let (least, most) = (add_down(*epsilon, least), add_up(*epsilon, most));
    let size = least.abs().max(most.abs());
    let [m, l] = activation.slopes();
    let ends = [div_down(add_down(m, l), 2.0), div_up(add_up(m, l), 2.0)];
    let products = ends.into_iter().flat_map(|c| [mul_down(c, least), mul_down(c, most)]);
    let damped = -products.fold(f64::INFINITY, f64::min);
    let lipschitz = mul_up(slope::largest(*activation).get(), size);
    let one_sided = add_up(damped, mul_up(div_up(sub_up(l, m), 2.0), size)).min(lipschitz);
    let own_norm = (m >= 0.0 && least > 0.0).then(|| OwnNorm {
        condition: Upper::proved(sqrt_up(div_up(most, least))),
        bound: Upper::proved(mul_up(l, most)),
        strong_convexity: Some(Lower::proved(mul_down(m, least))),
    });
    let own_norm = own_norm.filter(|norm| norm.condition.get().is_finite() && norm.bound.get().is_finite());
    let one_sided_lipschitz = Some(Upper::proved(one_sided));
    Ok(Claims { one_sided_lipschitz, own_norm, ..Claims::lipschitz(Upper::proved(lipschitz)) })
}
