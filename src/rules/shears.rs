//! Shears: a kick `p ← p − h∇U(q)` and a drift `q ← q + h∇T(p)` of a Hamiltonian field.
//!
//! With `‖h∇U(q) − h∇U(q')‖ ≤ s‖q − q'‖` a kick is `c`-Lipschitz, `c = (s + √(s² + 4))/2`, the norm of `[[1, s], [0, 1]]`; its
//! inverse is the kick of `−h`, so `‖Δy‖ ≥ ‖Δx‖/c`. A step of symplectic Euler has one of each, one of Störmer–Verlet two
//! kicks of `h/2` and a drift. No gradient vanishes or explodes faster than that.
//!
//! Sources: Hairer, Lubich, Wanner, *Geometric Numerical Integration*, VI.3; Celledoni et al., arXiv:2210.02373.

use super::{Numbers, slope};
use crate::{
    certificate::Claims,
    error::{Error, Result},
    model::{Field, Method, Potential, SplitMethod, Step},
    rigor::{
        Lower, Upper,
        directed::{add_up, div_down, div_up, mul_up, sqrt_up},
    },
};

/// Returns the claims about one step, from the norms of the operators of the kinetic energy and of the potential.
///
/// # Errors
/// [`Error::Format`] for another field or method, [`Error::NotProved`] if the factor overflows.
pub fn bound(step: Step<'_>, operators: &[Numbers]) -> Result<Claims> {
    let other = || Error::format("the rule applies to symplectic steps of Hamiltonian fields only");
    let (Field::Hamiltonian { kinetic, potential }, [k, w]) = (step.field, operators) else { return Err(other()) };
    let shear = |of: &Potential, norm: &Numbers, part: f64| {
        let l = mul_up(slope::largest(of.activation).get(), mul_up(norm.bound, norm.bound));
        let s = mul_up(mul_up(part, step.length.abs()), l);
        Upper::proved(div_up(add_up(s, sqrt_up(add_up(mul_up(s, s), 4.0))), 2.0))
    };
    let factor = match step.method {
        Method::Split(SplitMethod::SymplecticEuler) => shear(potential, w, 1.0) * shear(kinetic, k, 1.0),
        Method::Split(SplitMethod::StormerVerlet) => {
            let kick = shear(potential, w, 0.5);
            kick * shear(kinetic, k, 1.0) * kick
        }
        _ => return Err(other()),
    };
    let factor = factor.finite("the factor of a symplectic step")?;
    Ok(Claims { inverse: Some(Lower::proved(div_down(1.0, factor.get()))), ..Claims::lipschitz(factor) })
}
