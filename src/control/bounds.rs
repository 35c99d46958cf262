//! How much costates may grow or fade on their way back: proved, by the constants of the flow.

use crate::{
    certificate::{Certificate, Evidence, Rule},
    error::{Error, Result},
    rigor::{Lower, Upper, directed::mul_down},
};

/// Bounds of the costates of a flow: for each `n`, `‖λ_n‖/‖λ_N‖` lies between the two, whatever the cost at the end is.
///
/// `λ_n = J_nᵀ…J_{N−1}ᵀ λ_N` with the Jacobians of the steps, and a map and its transpose have the same singular values. So
///
/// ```math
/// Π_{m ≥ n} ℓ_m \le \|λ_n\|/\|λ_N\| \le Π_{m ≥ n} L_m ,
/// ```
///
/// with the Lipschitz constants `L_m` of the steps and their inverse ones `ℓ_m`, 0 where none is proved: gradients can neither
/// explode nor vanish, by the constants that certify radii.
///
/// `proof` is that of a flow (a layer of [`Certificate::layers`]), `steps` the number of its steps: where one proof is about all
/// of them, it does not say how many they are. Exact semantics: of the steps over the real numbers, where they are
/// differentiable.
///
/// # Errors
/// [`Error::NotProved`] if the proof is not about a flow, or says that it has another number of steps.
pub fn costate_bounds(proof: &Certificate, steps: usize) -> Result<Vec<(Lower, Upper)>> {
    let each = proof.premises();
    let is_step = |step: &Certificate| step.span() == 1 && step.rule().is_of_steps();
    let is_flow = proof.rule() == Rule::Composition && each.iter().all(is_step);
    let known = if let Evidence::Steps(known) = proof.evidence() { *known } else { steps };
    if !is_flow || steps == 0 || steps != known || each.is_empty() || each.len() != 1 && each.len() != steps {
        return Err(Error::not_proved("bounds of costates", "the proof is not about a flow of this many steps"));
    }
    let mut bounds = vec![(Lower::ONE, Upper::ONE)];
    for n in (0..steps).rev() {
        let claims = each[if each.len() == 1 { 0 } else { n }].claims();
        let (lower, upper) = bounds[bounds.len() - 1];
        let inverse = claims.inverse.map_or(0.0, |inverse| inverse.get().max(0.0));
        bounds.push((Lower::proved(mul_down(lower.get(), inverse)), upper * claims.bound));
    }
    bounds.reverse();
    Ok(bounds)
}
