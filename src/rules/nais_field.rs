//! The field of a non-autonomous input-output stable network, `f(x) = σ(−Px + b)` with `P = RᵀR + εI`.
//!
//! A difference of two values is `Δf = −DPΔx` with a diagonal `D` between `m` and `L`, and `P` between `p₁ = ε + σ_min(R)²` and
//! `p₂ = ε + ‖R‖²`. With `c = (m + L)/2`, `d = (L − m)/2` and `p = max(|p₁|, |p₂|)`,
//!
//! ```math
//! ⟨Δf, Δx⟩ ≤ \bigl(-\min(cp_1, cp_2) + dp\bigr)\|Δx\|², \qquad \|Δf\| ≤ \max(|m|, |L|)\,p\,\|Δx\|.
//! ```
//!
//! Eigenvalues of a step inside the unit disc are no certificate, as `−DP` need not be normal.
//!
//! Source: Ciccone et al., *NAIS-Net*, arXiv:1804.07209.

use super::{Numbers, curvature, slope};
use crate::{
    certificate::Claims,
    error::{Error, Result},
    model::Field,
    rigor::{
        Upper,
        directed::{add_down, add_up, div_down, div_up, mul_down, mul_up, sub_up},
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
    Ok(Claims { one_sided_lipschitz: Some(Upper::proved(one_sided)), ..Claims::lipschitz(Upper::proved(lipschitz)) })
}
