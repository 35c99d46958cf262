//! A skew matrix, damped, times a gradient: Hamiltonian fields, damped ones, and antisymmetric networks.
//!
//! A difference of two values is `Δf = (K − rI)GΔx`, or `G(K − rI)Δx`, with a skew `K`, `κ = ‖K‖`, and a symmetric `G`
//! between `c₁` and `c₂`. With `c = (c₁ + c₂)/2` and `d = (c₂ − c₁)/2` the symmetric part of `c(K − rI)` is `−cr`, and
//! `‖K − rI‖² = κ² + r²`; so
//!
//! ```math
//! ⟨Δf, Δx⟩ ≤ \bigl(-rc + d\sqrt{κ² + r²}\bigr)\|Δx\|², \qquad \|Δf\| ≤ \max(|c_1|, |c_2|)\sqrt{κ² + r²}\,\|Δx\|.
//! ```
//!
//! | field | `K` | `r` | `G` |
//! |---|---|---|---|
//! | hamiltonian | `[[0, I], [−I, 0]]`, κ = 1 | 0 | the two Hessians, side by side |
//! | dissipative_hamiltonian | `J − Jᵀ` | `r` | `KᵀDK + MᵀM` |
//! | antisymmetric | `A − Aᵀ` | `γ` | the slopes `D` |
//!
//! The antisymmetric field with `m = 0` never contracts if `κ > 0`.
//!
//! Sources: Galimberti et al., arXiv:2105.13205; Chang et al., arXiv:1902.09689; Zakwan et al., arXiv:2304.02976 (contractive
//! Hamiltonian neural ODEs).

use super::{Numbers, curvature};
use crate::{
    certificate::Claims,
    error::{Error, Result},
    model::Field,
    rigor::{
        Upper,
        directed::{add_down, add_up, div_down, div_up, mul_down, mul_up, sqrt_up, sub_up},
    },
};

/// What is known of `Δf = (K − rI)GΔx` or `G(K − rI)Δx`, from the claims about the operators of the field.
pub(super) struct SkewGradient {
    /// `c₁` and `c₂`.
    ends: [f64; 2],
    /// `c = (c₁ + c₂)/2` is between these.
    pub(super) middle: [f64; 2],
    /// At least `d = (c₂ − c₁)/2`.
    pub(super) spread: f64,
    /// At least `κ`.
    pub(super) kappa: f64,
    /// `r`.
    pub(super) damping: f64,
    /// At least `√(κ² + r²)`.
    pub(super) size: f64,
}

impl SkewGradient {
    /// Returns what is known of a field.
    ///
    /// # Errors
    /// [`Error::Format`] for another field.
    pub(super) fn of(field: &Field, operators: &[Numbers]) -> Result<Self> {
        let ([least, most], kappa, damping) = match (field, operators) {
            (Field::Hamiltonian { kinetic, potential }, [k, p]) => {
                let [a, b] = curvature(kinetic.activation.slopes(), k);
                let [c, d] = curvature(potential.activation.slopes(), p);
                ([a.min(c), b.max(d)], 1.0, 0.0)
            }
            (Field::DissipativeHamiltonian { activation, damping, .. }, [operator, quadratic, skew]) => {
                let [a, b] = curvature(activation.slopes(), operator);
                let [c, d] = curvature([1.0, 1.0], quadratic);
                ([add_down(a, c), add_up(b, d)], skew.bound, *damping)
            }
            (Field::Antisymmetric { activation, damping, .. }, [skew]) => (activation.slopes(), skew.bound, *damping),
            _ => return Err(Error::format("the rule applies to Hamiltonian fields only")),
        };
        Ok(Self {
            ends: [least, most],
            middle: [div_down(add_down(least, most), 2.0), div_up(add_up(least, most), 2.0)],
            spread: div_up(sub_up(most, least), 2.0).max(0.0),
            kappa,
            damping,
            size: sqrt_up(add_up(mul_up(kappa, kappa), mul_up(damping, damping))),
        })
    }
}

/// Returns the claims about the field, from those about its operators.
///
/// # Errors
/// [`Error::Format`] for another field.
pub fn bound(field: &Field, operators: &[Numbers]) -> Result<Claims> {
    let SkewGradient { ends: [least, most], middle: [low, high], spread, damping: r, size, .. } =
        SkewGradient::of(field, operators)?;
    // −rc, rounded up.
    let damped = -mul_down(r, low).min(mul_down(r, high));
    let lipschitz = mul_up(least.abs().max(most.abs()), size);
    let one_sided = add_up(damped, mul_up(spread, size)).min(lipschitz);
    Ok(Claims { one_sided_lipschitz: Some(Upper::proved(one_sided)), ..Claims::lipschitz(Upper::proved(lipschitz)) })
}
