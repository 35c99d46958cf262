//! A step `x ↦ Ex + Φg(x)` of a dissipative field `g(x) − γx`, `g(x) = −Wᵀσ(Wx + b) + (S − Sᵀ)x`: an exponential Euler step,
//! or one of Euler's method, with `E = 1 − γh` and `Φ = h`.
//!
//! A difference of two values is `(ΦK − (ΦG − E))Δx` with a skew `K`, `κ = ‖K‖`, and a symmetric `G` between `μ` and `β`; so,
//! as for the field ([`super::dissipative_field`]), the step is Lipschitz with
//!
//! ```math
//! \sqrt{Φ²κ² + c²} + d, \qquad c = Φ\tfrac{μ+β}{2} - E, \quad d = |Φ|\tfrac{β-μ}{2}.
//! ```
//!
//! Some `G` attains it, so no other rule proves less of an Euler step.
//!
//! Of an exponential step `E` and `Φ` are the numbers of `f64` nearest to `e^(−γh)` and `(1 − e^(−γh))/γ`.

use super::{Numbers, curvature};
use crate::{
    certificate::Claims,
    error::{Error, Result},
    model::{Field, Method, SplitMethod, Step},
    rigor::{
        Upper,
        directed::{add_down, add_up, div_up, mul_down, mul_up, sqrt_up, sub_down, sub_up},
    },
};

/// Returns the claims about one step, from those about the operators.
///
/// # Errors
/// [`Error::Format`] for another field or method, [`Error::NotProved`] if the factor overflows.
pub fn bound(step: Step<'_>, operators: &[Numbers]) -> Result<Claims> {
    let (Field::Dissipative { activation, damping, .. }, [operator, skew]) = (step.field, operators) else {
        return Err(Error::format("the rule applies to steps of dissipative fields only"));
    };
    let ([e_low, e_high], phi) = match step.method {
        Method::Split(SplitMethod::ExponentialEuler) => {
            let (e, phi) = SplitMethod::exponentials(*damping, step.length);
            ([e, e], phi)
        }
        method if method.tableau()?.is_euler() => {
            let h = step.length;
            ([sub_down(1.0, mul_up(h, *damping)), sub_up(1.0, mul_down(h, *damping))], h)
        }
        _ => return Err(Error::format("the rule is one for Euler's method and the exponential one")),
    };
    // ΦG − E is between these.
    let ends = curvature(activation.slopes(), operator);
    let low = ends.map(|end| sub_down(mul_down(phi, end), e_high)).into_iter().fold(f64::INFINITY, f64::min);
    let high = ends.map(|end| sub_up(mul_up(phi, end), e_low)).into_iter().fold(f64::NEG_INFINITY, f64::max);
    let middle = div_up(add_up(low, high).abs().max(add_down(low, high).abs()), 2.0);
    let spread = div_up(sub_up(high, low), 2.0).max(0.0);
    let turned = mul_up(phi.abs(), skew.bound);
    let root = sqrt_up(add_up(mul_up(turned, turned), mul_up(middle, middle)));
    Upper::proved(add_up(root, spread)).finite("the factor of a step of a dissipative field").map(Claims::lipschitz)
}
