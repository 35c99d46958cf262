//! Householder: `z ↦ z` if `vᵀz > 0`, else `z − 2v(vᵀz)`, of disjoint groups of coordinates.
//!
//! It is `z − ∇V(z)` for `V(z) = min(vᵀz, 0)²`, a gradient step of length 1 with curvature in `[0, 2‖v‖²]`, and continuous for
//! every `v`. So it is `max(1, |1 − 2‖v‖²|)`-Lipschitz, with the vector as it is stored, and averaged with `α = ‖v‖²` for
//! `‖v‖ < 1`. Groups are disjoint: of several vectors the longest counts. Attained.
//!
//! Source: Singla, Singla, Feizi, *Improved deterministic ℓ2 robustness on CIFAR-10 and CIFAR-100*, ICLR 2022.

use crate::{
    certificate::Claims,
    error::Result,
    model::Householder,
    rigor::{
        Lower, Upper,
        directed::{mul_up, norm_up, sub_down, sub_up},
    },
    tensor::Shape,
};

/// Returns the claims about reflections of groups.
///
/// # Errors
/// As [`Householder::groups`], and [`crate::Error::NotProved`] if the bound overflows.
pub fn bound(map: &Householder, input: Shape) -> Result<Claims> {
    let [_, size] = map.groups(input)?;
    let longest = map.vector.wide().chunks(size).map(norm_up).fold(0.0, f64::max);
    let square = mul_up(longest, longest);
    // 1 − 2s ≤ 1 for every s ≥ 0, so only 2s − 1 counts.
    let bound = Upper::proved(sub_up(mul_up(2.0, square), 1.0)).max(Upper::ONE).finite("the factor of a reflection")?;
    // z − ∇V(z) with a curvature of V up to 2s.
    let inverse = Some(sub_down(1.0, mul_up(2.0, square))).filter(|least| *least > 0.0).map(Lower::proved);
    Ok(Claims { inverse, averaged: (square < 1.0).then(|| Upper::proved(square)), ..Claims::lipschitz(bound) })
}
