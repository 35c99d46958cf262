//! Equilibria of contracting fields, with a proved error.

use super::decrease::sizes;
use crate::{
    error::{Error, Result},
    field::VectorField,
    rigor::{Lower, Upper, directed::div_up},
    rules::Prover,
    tape::Tape,
    tensor::Batch,
};

/// A point near the equilibrium of a field.
#[derive(Debug, Clone)]
pub struct Equilibrium {
    /// The point `x̂`: one sample.
    pub point: Batch<f64>,
    /// A proved bound of `‖x̂ − x*‖`.
    pub error: Upper,
    /// The rate `μ` at which trajectories approach each other, `⟨Δf, Δx⟩ ≤ −μ‖Δx‖²`, proved.
    pub rate: Lower,
    /// The number of Euler steps that were taken.
    pub steps: usize,
}

/// For each sample `x̂`, a proved bound of its distance to the equilibrium of a field.
///
/// A field with `⟨Δf, Δx⟩ ≤ −μ‖Δx‖²`, `μ > 0`, that is Lipschitz has exactly one zero `x*`, and
///
/// ```math
/// \|\hat x - x^*\| \le \|f(\hat x)\|/μ ,
/// ```
///
/// since `μ‖x̂ − x*‖² ≤ −⟨f(x̂) − f(x*), x̂ − x*⟩ ≤ ‖f(x̂)‖‖x̂ − x*‖`. Exact semantics; the value is rounded upward, with the rounding
/// error of `f(x̂)`.
///
/// # Errors
/// [`Error::NotProved`] if no `μ > 0` is proved, or the field declares no rounding error; [`Error::Shape`] for points of another
/// space; as [`Prover::field`].
///
/// Source: Browder, Minty 1963 (existence); the bound is Banach's, for the resolvent.
pub fn equilibrium_errors(field: &dyn VectorField<f64>, x: &Batch<f64>, prover: &Prover) -> Result<Vec<Upper>> {
    let proof = prover.field(&field.describe(), field.shape())?;
    let rate = rate(&proof)?.get();
    Ok(sizes(field, &proof, x)?.into_iter().map(|(_, most)| Upper::proved(div_up(most, rate))).collect())
}

/// Returns the equilibrium of a field to within a proved `tolerance`, by at most `most` Euler steps from one point.
///
/// The steps have the length for which their proved factor is least, `2/(μ + β)` for a gradient field and `μ/ℓ²` for another one.
///
/// # Errors
/// As [`equilibrium_errors`]; [`Error::NotProved`] if the tolerance is not reached; [`Error::Parameter`] for more than one sample.
///
/// ```
/// use dahlquist::{lyapunov::equilibrium, rules::Prover, tensor::{Batch, Shape}};
/// use dahlquist::{activation::Activation, field::StructuredField, model::{Field, Linear, Tensor}};
/// // x' = −relu(x − 1) + K x − x/2 with a rotation K: the only equilibrium is 0.
/// let matrix = |w: &[f64]| Linear::Dense { weight: Tensor::new(&[2, 2], w), bias: None };
/// let field = Field::Dissipative {
///     activation: Activation::Relu {},
///     operator: matrix(&[1.0, 0.0, 0.0, 1.0]).with_bias(Some(Tensor::new(&[2], &[-1.0, -1.0]))),
///     skew: matrix(&[0.0, 0.5, 0.0, 0.0]),
///     damping: 0.5,
/// };
/// let field = StructuredField::new(&field, Shape::Features(2))?;
/// let start = Batch::new(Shape::Features(2), vec![3.0, -2.0])?;
/// let found = equilibrium(&field, &start, &Prover::default(), 1e-9, 1000)?;
/// assert!(found.point.data().iter().all(|x| x.abs() <= found.error.get()));
/// # Ok::<(), dahlquist::Error>(())
/// ```
pub fn equilibrium(
    field: &dyn VectorField<f64>,
    start: &Batch<f64>,
    prover: &Prover,
    tolerance: f64,
    most: usize,
) -> Result<Equilibrium> {
    if start.samples() != 1 {
        return Err(Error::parameter("start", start.samples(), "an equilibrium is looked for from one point"));
    }
    let proof = prover.field(&field.describe(), field.shape())?;
    let (rate, claims) = (rate(&proof)?, proof.claims());
    let (mu, l) = (rate.get(), claims.bound.get());
    let h = if claims.strong_convexity.is_some() { 2.0 / (mu + l) } else { mu / (l * l) };
    let mut x = start.clone();
    for steps in 0..=most {
        let error = Upper::proved(div_up(sizes(field, &proof, &x)?[0].1, mu));
        if error.get() <= tolerance {
            return Ok(Equilibrium { point: x, error, rate, steps });
        }
        if steps == most {
            let reason = format!("after {steps} steps its error is bounded by {error}, and {tolerance} is asked for");
            return Err(Error::not_proved("an equilibrium", reason));
        }
        x.axpy(h, &field.eval(&x, &mut Tape::idle()));
    }
    Err(Error::not_proved("an equilibrium", "there are no steps"))
}

/// Returns a proved `μ > 0` with `⟨Δf, Δx⟩ ≤ −μ‖Δx‖²`.
fn rate(proof: &crate::certificate::Certificate) -> Result<Lower> {
    let mu = proof.claims().one_sided_lipschitz.map_or(f64::NAN, |mu| -mu.get());
    if mu > 0.0 {
        Ok(Lower::proved(mu))
    } else {
        Err(Error::not_proved("an equilibrium", "no rate of contraction is proved"))
    }
}
