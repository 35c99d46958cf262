//! Certified decrease of an energy by a step of Euler's method.
//!
//! *Theorem.* Let `∇H` be such that `H(y) ≤ H(x) + ⟨∇H(x), y − x⟩ + (β/2)‖y − x‖²`.
//!
//! 1. `f = (K − γI)∇H` with a skew `K`, `‖K‖ ≤ κ`: `H(x + hf) ≤ H(x) − h(γ − hβ(κ² + γ²)/2)‖∇H‖²`. For `K = 0`, `γ = 1` it is the
//!    descent lemma for a gradient flow.
//! 2. `f = σ(z)` with `z = (K − γI)x + b` and `H = Σψ(zᵢ)`, `ψ' = σ` with slopes up to `L`:
//!    `H(x + hf) ≤ H(x) − h(γ − hL(κ² + γ²)/2)‖σ(z)‖²`.
//! 3. `f = σ(z)` with `z = −Px + b`, `ε ⪯ P ⪯ λ`: `H(x + hf) ≤ H(x) − h(1 − hLλ/2)⟨σ, Pσ⟩`.
//!
//! *Proof.* 1: `⟨∇H, (K − γI)∇H⟩ = −γ‖∇H‖²` and `‖(K − γI)g‖² = ‖Kg‖² + γ²‖g‖²`. 2: `z` moves by `h(K − γI)σ`, and
//! `ψ(z + d) ≤ ψ(z) + σ(z)d + (L/2)d²` in every coordinate. 3: likewise, with `‖Pσ‖² ≤ λ⟨σ, Pσ⟩`. ∎

use crate::{
    certificate::Certificate,
    error::{Error, Result},
    field::VectorField,
    model::Field,
    rigor::{
        Lower, Rounding, Upper,
        directed::{add_up, div_down, div_up, mul_down, mul_up, norm_down, sqrt_up, sub_down},
    },
    rules::Prover,
    tape::Tape,
    tensor::{Batch, Shape},
};

/// What is proved about an energy along a step `x⁺ = x + h f(x)`: `V(x⁺) ≤ V(x) − c‖g(x)‖²`.
///
/// `g` is `∇V`, or `σ(z)` of an antisymmetric field and NAIS-Net. Exact semantics: of the step over the real numbers; a program may
/// round `V` up where it is nearly at rest.
#[derive(Debug, Clone)]
pub struct Decrease {
    /// What the proof is about.
    field: Field,
    space: Shape,
    proof: Certificate,
    step: f64,
    rate: Lower,
    longest: Lower,
    /// `‖f‖/‖g‖` is at most the first, and at least the second.
    ratio: (Upper, Lower),
}

impl Decrease {
    /// Proves the decrease of the energy of a field ([`super::Energy`]) by a step of Euler's method of length `h ≥ 0`.
    ///
    /// | field | `c` |
    /// |---|---|
    /// | gradient | `h(1 − hβ/2)`, `β = L‖W‖²` |
    /// | antisymmetric | `h(γ − hL(κ² + γ²)/2)`, `κ = ‖A − Aᵀ‖` |
    /// | dissipative Hamiltonian | `h(r − hc₂(κ² + r²)/2)`, `κ = ‖J − Jᵀ‖`, `c₂ = L‖K‖² + ‖M‖²` |
    /// | NAIS-Net | `h(1 − hLλ/2)ε`, `λ = ‖R‖² + ε`; with `λ` for `ε` where that is negative |
    ///
    /// A step that is too long is no error: `c` is negative then, and bounds how much the energy may grow.
    ///
    /// # Errors
    /// [`Error::Field`] for a field without such a theorem (an undamped Hamiltonian field keeps its energy only in continuous time);
    /// [`Error::Parameter`] for a step that is negative or not finite, or a negative `ε`; as [`Prover::field`].
    ///
    /// Source: Ehrhardt, Murari, Sherry, arXiv:2510.22299; Nesterov 2018, section 1.2.3.
    pub fn of_euler(field: &dyn VectorField<f64>, h: f64, prover: &Prover) -> Result<Self> {
        if !h.is_finite() || h < 0.0 {
            return Err(Error::parameter("step", h, "a step that decreases an energy is finite and not negative"));
        }
        let description = field.describe();
        let proof = prover.field(&description, field.shape())?;
        let norm = |i: usize| -> Result<f64> {
            let premise = proof.premises().get(i);
            premise
                .map(|p| p.bound().get())
                .ok_or_else(|| Error::not_proved("a decrease", "the field has no such part"))
        };
        let one = (Upper::ONE, Lower::ONE);
        let square = |x: f64| mul_up(x, x);
        let (rate, longest, ratio) = match &description {
            Field::Gradient { .. } => {
                let (rate, longest) = damped(h, 1.0, proof.bound().get());
                (rate, longest, one)
            }
            Field::Antisymmetric { activation, damping, .. } => {
                let size = add_up(square(norm(0)?), square(*damping));
                let (rate, longest) = damped(h, *damping, mul_up(activation.slopes()[1], size));
                (rate, longest, one)
            }
            Field::DissipativeHamiltonian { activation, damping, .. } => {
                let curvature = add_up(mul_up(activation.slopes()[1], square(norm(0)?)), square(norm(1)?));
                let size = add_up(square(norm(2)?), square(*damping));
                let (rate, longest) = damped(h, *damping, mul_up(curvature, size));
                (rate, longest, (Upper::proved(sqrt_up(size)), Lower::proved(damping.abs())))
            }
            Field::Nais { epsilon, .. } if *epsilon < 0.0 => {
                return Err(Error::parameter(
                    "epsilon",
                    epsilon,
                    "the matrix RᵀR + εI is not proved to be semidefinite",
                ));
            }
            Field::Nais { activation, epsilon, .. } => {
                let most = add_up(square(norm(0)?), *epsilon);
                let (bracket, longest) = damped(h, 1.0, mul_up(activation.slopes()[1], most));
                let bracket = bracket.get();
                let rate = if bracket >= 0.0 { mul_down(bracket, *epsilon) } else { mul_down(bracket, most) };
                (Lower::proved(rate), longest, one)
            }
            _ => return Err(none()),
        };
        Ok(Self { space: field.shape(), field: description, proof, step: h, rate, longest, ratio })
    }

    /// Returns the rate `c`, rounded down; negative where growth is not excluded.
    pub fn rate(&self) -> Lower {
        self.rate
    }

    /// Returns the longest step that is proved to decrease the energy, rounded down.
    pub fn longest(&self) -> Lower {
        self.longest
    }

    /// Returns the length `h` of the step.
    pub fn step(&self) -> f64 {
        self.step
    }

    /// Returns whether `V(x⁺) ≤ V(x)` is proved for every `x`.
    pub fn is_proved(&self) -> bool {
        self.step <= self.longest.get() && self.rate.get() >= 0.0
    }

    /// For each sample, a proved bound of `V(x⁺) − V(x)`: `−c‖g(x)‖²`, the rounding of `g` included.
    ///
    /// # Errors
    /// [`Error::NotProved`] if the field is another one, or declares no rounding error; [`Error::Shape`] for points of another space.
    pub fn bounds(&self, field: &dyn VectorField<f64>, x: &Batch<f64>) -> Result<Vec<Upper>> {
        if field.shape() != self.space || field.describe() != self.field {
            return Err(Error::not_proved("a decrease", "it was proved of another field"));
        }
        let sizes = sizes(field, &self.proof, x)?;
        let rate = self.rate.get();
        let bound = |(least, most): (f64, f64)| {
            if rate >= 0.0 {
                let g = div_down(least, self.ratio.0.get()).max(0.0);
                Upper::proved(-mul_down(rate, mul_down(g, g).max(0.0)))
            } else {
                let g = div_up(most, self.ratio.1.get());
                Upper::proved(mul_up(-rate, mul_up(g, g)))
            }
        };
        Ok(sizes.into_iter().map(bound).collect())
    }
}

/// Lower bounds of `h(γ − hq/2)` and of the longest step `2γ/q` for which it is not negative.
fn damped(h: f64, gamma: f64, q: f64) -> (Lower, Lower) {
    let bracket = sub_down(gamma, mul_up(mul_up(h, q), 0.5));
    let longest = if q > 0.0 {
        div_down(mul_down(2.0, gamma), q)
    } else if gamma >= 0.0 {
        f64::INFINITY
    } else {
        f64::NEG_INFINITY
    };
    (Lower::proved(mul_down(h, bracket)), Lower::proved(longest))
}

fn none() -> Error {
    let reason = "no energy of it is proved to fall by Euler steps".into();
    Error::Field { field: "of this kind", constant: "certified decrease", reason }
}

/// For each sample, bounds of `‖f(x)‖` from below and from above: the executed value, and its rounding error.
///
/// # Errors
/// [`Error::Shape`] for points of another space; [`Error::NotProved`] if the field declares no rounding error.
pub(super) fn sizes(field: &dyn VectorField<f64>, proof: &Certificate, x: &Batch<f64>) -> Result<Vec<(f64, f64)>> {
    if x.shape() != field.shape() {
        return Err(Error::Shape { what: "points of a field".into(), expected: field.shape(), found: x.shape() });
    }
    let mut tape = Tape::recording();
    let f = field.eval(x, &mut tape);
    let errors = field.rounding(proof, &Rounding::of::<f64>(), x, &tape, &vec![0.0; x.samples()])?;
    let most = f.norms_up();
    let bounds = |(s, known): (usize, &crate::field::FieldError)| {
        (sub_down(norm_down(f.sample(s)), known.error).max(0.0), add_up(most[s], known.error))
    };
    Ok(errors.iter().enumerate().map(bounds).collect())
}
