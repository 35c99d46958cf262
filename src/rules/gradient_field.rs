//! The gradient field `f(x) = −Wᵀ diag(δ) σ(Wx + b)` with slopes in `[m, L]`, `0 ≤ m`, and `0 ≤ δ`.
//!
//! With weights `δ` it is the field of `diag(√δ)W`, of which the operator's numbers are then; below `W` is that.
//!
//! With a primitive `ψ' = σ` it is `−∇V` for `V(x) = Σᵢ ψ((Wx + b)ᵢ)`. A difference of two values is `Δf = −WᵀDW Δx` with
//! a diagonal `D` between `m` and `L`: a symmetric matrix between `μ = m σ_min(W)²` and `β = L‖W‖²`. So `f` is
//! `β`-Lipschitz, `⟨Δf, Δx⟩ ≤ −μ‖Δx‖²`, and cocoercive with `ν = 1/β` (Baillon, Haddad 1977).

use super::{Numbers, curvature};
use crate::{
    certificate::Claims,
    error::{Error, Result},
    model::Field,
    rigor::{Lower, Upper},
};

/// Returns the claims about the field, from the norm and the smallest singular value of its operator.
///
/// # Errors
/// [`Error::Format`] for another field, [`Error::Parameter`] if the activation has a negative slope.
pub fn bound(field: &Field, operators: &[Numbers]) -> Result<Claims> {
    let (Field::Gradient { activation, .. }, [operator]) = (field, operators) else {
        return Err(Error::format("the rule applies to gradient fields only"));
    };
    let [m, l] = activation.slopes();
    if m < 0.0 {
        let reason = "a gradient field needs slopes that are not negative";
        return Err(Error::parameter("activation", activation.name(), reason));
    }
    let norm = Upper::proved(operator.bound);
    let largest = Upper::proved(l) * norm * norm;
    let smallest = curvature([m, l], operator)[0].max(0.0);
    Ok(Claims {
        one_sided_lipschitz: Some(Upper::proved(-smallest)),
        cocoercivity: Some(largest.recip()),
        strong_convexity: Some(Lower::proved(smallest)),
        ..Claims::lipschitz(largest)
    })
}
