//! The discrete decrease of Manek and Kolter's field.

use crate::{
    error::{Error, Result},
    model::Field,
    rigor::{
        Lower, Upper,
        directed::{add_up, div_down, div_up, mul_down, mul_up, sub_up},
    },
    rules::Prover,
    tensor::Shape,
};

/// What is proved about `V` along an Euler step of a projected field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProjectedDecrease {
    /// `q` in `V(x⁺) ≤ q V(x)`: a contraction of `V` if below 1.
    pub factor: Upper,
    /// Steps below it have `q < 1`; 0 if the rate `α` is 0.
    pub longest: Lower,
}

/// Proves the decrease of `V` by a step `x⁺ = x + h f(x)` of a field of kind `lyapunov_projected`
/// ([`crate::field::ProjectedField`]), for every `x`:
///
/// ```math
/// V(x^+) \le \Bigl[1 - αh + \frac{β_V h^2 (2\hatℓ + α)^2}{ε}\Bigr] V(x), \qquad β_V = L_τ\|K\|^2 + ε,\quad \hatℓ = \|B\| L_σ \|A\| .
/// ```
///
/// *Proof.* `V` is convex with `V(0) = 0`, so `V(x) ≤ ⟨∇V, x⟩ ≤ ‖∇V‖‖x‖`, and `‖f‖ ≤ 2‖f̂‖ + αV/‖∇V‖ ≤ (2ℓ̂ + α)‖x‖`. Then
/// `V(x⁺) ≤ V + h⟨∇V, f⟩ + β_V h²‖f‖²/2`, `⟨∇V, f⟩ ≤ −αV` and `‖x‖² ≤ 2V/ε`. ∎
///
/// Exact semantics; norms are proved, roundings go up. It is no Lipschitz constant, and no radius follows.
///
/// # Errors
/// [`Error::Field`] for another field, [`Error::Parameter`] for a step that is negative or not finite, as [`Prover::operator`].
///
/// Source: Manek, Kolter, NeurIPS 2019, whose theorem is about continuous time.
pub fn projected_decrease(field: &Field, space: Shape, h: f64, prover: &Prover) -> Result<ProjectedDecrease> {
    field.check(space)?;
    let Field::LyapunovProjected { activation, inner, outer, potential, epsilon, rate } = field else {
        let reason = "it is no projected field".into();
        return Err(Error::Field { field: "of this kind", constant: "factor of decrease", reason });
    };
    if !h.is_finite() || h < 0.0 {
        return Err(Error::parameter("step", h, "a step that decreases a function is finite and not negative"));
    }
    let norm = |operator, input| Ok::<f64, Error>(prover.operator(operator, input, false)?.0.bound.get());
    let (a, b) = (norm(inner, space)?, norm(outer, inner.output(space)?)?);
    let k = norm(&potential.operator, space)?;
    let curvature = add_up(mul_up(potential.activation.slopes()[1], mul_up(k, k)), *epsilon);
    let nominal = mul_up(b, mul_up(activation.lipschitz(), a));
    let speed = add_up(mul_up(2.0, nominal), *rate);
    let bend = mul_up(curvature, div_up(mul_up(speed, speed), *epsilon));
    let growth = mul_up(bend, mul_up(h, h));
    let factor = add_up(sub_up(1.0, mul_down(*rate, h)), growth).max(0.0);
    // A field that is proved to rest has no limit.
    let longest = if bend > 0.0 { div_down(*rate, bend) } else { f64::INFINITY };
    Ok(ProjectedDecrease {
        factor: Upper::proved(factor).finite("the factor of a decrease")?,
        longest: Lower::proved(longest),
    })
}
