//! The dissipative field `f(x) = −Wᵀσ(Wx + b) + (S − Sᵀ)x − γx`, and the skew linear one, `(S − Sᵀ)x`.
//!
//! A difference of two values is `Δf = (K − G)Δx` with a skew `K = S − Sᵀ`, `κ = ‖K‖`, and a symmetric `G` between
//! `a = γ + m s²` and `b = γ + L w²`, where `w = ‖W‖`, `s = σ_min(W)` (for `m < 0`, `a = γ + m w²`). So
//!
//! ```math
//! ⟨Δf, Δx⟩ ≤ -a\|Δx\|², \qquad \|Δf\| ≤ \bigl(\sqrt{κ² + c²} + d\bigr)\|Δx\|, \qquad c = \tfrac{a+b}{2},\ d = \tfrac{b-a}{2},
//! ```
//!
//! the latter since `‖(K − cI)Δx‖² = ‖KΔx‖² + c²‖Δx‖²`, and for `a > 0` the field is cocoercive with `ν = a/(ab + κ²)`:
//! `‖Δf‖² ≤ ‖K − G‖²‖Δx‖²` is too weak, but `⟨Δx, (G − a)(b − G)Δx⟩ ≥ 0`. All are attained over the `G` in `[a, b]`.
//!
//! Source: Ehrhardt, Murari, Sherry, arXiv:2510.22299.

use super::{Numbers, curvature};
use crate::{
    certificate::Claims,
    error::{Error, Result},
    model::Field,
    rigor::{
        Lower, Upper,
        directed::{add_down, add_up, div_down, div_up, mul_up, sqrt_up, sub_up},
    },
};

/// Returns the claims about the field, from those about its operators.
///
/// # Errors
/// [`Error::Format`] for another field.
pub fn bound(field: &Field, operators: &[Numbers]) -> Result<Claims> {
    let (a, b, kappa) = match (field, operators) {
        (Field::Dissipative { activation, damping, .. }, [operator, skew]) => {
            let [least, most] = curvature(activation.slopes(), operator);
            (add_down(*damping, least), add_up(*damping, most), skew.bound)
        }
        (Field::SkewLinear { .. }, [skew]) => (0.0, 0.0, skew.bound),
        _ => return Err(Error::format("the rule applies to dissipative fields only")),
    };
    let middle = div_up(add_up(a, b).abs().max(add_down(a, b).abs()), 2.0);
    let spread = div_up(sub_up(b, a), 2.0).max(0.0);
    let lipschitz = add_up(sqrt_up(add_up(mul_up(kappa, kappa), mul_up(middle, middle))), spread);
    let nu = match kappa == 0.0 {
        // A gradient field: ν = 1/b, for a ≥ 0.
        true if a >= 0.0 && b > 0.0 => Some(div_down(1.0, b)),
        false if a > 0.0 => Some(div_down(a, add_up(mul_up(a, b), mul_up(kappa, kappa)))),
        _ => None,
    };
    Ok(Claims {
        one_sided_lipschitz: Some(Upper::proved(-a)),
        cocoercivity: nu.filter(|nu| nu.is_finite() && *nu > 0.0).map(Lower::proved),
        ..Claims::lipschitz(Upper::proved(lipschitz))
    })
}
