//! The gradient field `f(x) = −Wᵀσ(Wx + b)`, the field of this crate's source.
//!
//! With a primitive `ψ' = σ`, it is `−∇V` for `V(x) = Σᵢ ψ((Wx + b)ᵢ)`. For slopes in `[m, L]`, `0 ≤ m`, a difference
//! of two values is `Δf = −WᵀDW Δx` with a diagonal `D` between `m` and `L`: a symmetric matrix between `m s²` and
//! `L‖W‖²`, where `s` is the smallest singular value of an injective `W`, else 0.
//!
//! Sources: Celledoni et al., arXiv:2210.02373; Sherry et al., arXiv:2306.17332, section 2; Baillon, Haddad, *Quelques
//! propriétés des opérateurs angle-bornés et n-cycliquement monotones*, Israel J. Math. 26 (1977).

mod fused;

use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

use super::{FieldError, FusedStep, VectorField};
use crate::{
    activation::Activation,
    certificate::Certificate,
    error::{Error, Result},
    model::Field,
    operator::Affine,
    rigor::{
        Estimate, Rounding,
        directed::{add_up, mul_up},
    },
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};

/// The field `f(x) = −Wᵀσ(Wx + b)` with `0 ≤ m` for the slopes `[m, L]` of `σ`.
///
/// ```
/// use dahlquist::{activation::Activation, field::{GradientField, VectorField}, operator::{Affine, Dense}, rules::Prover};
/// let w = Dense::new(2, 3, vec![1.0, 2.0, 0.0, 0.0, 1.0, -1.0])?;
/// let field = GradientField::new(Affine::new(w, None)?, Activation::Relu {})?;
/// let claims = Prover::default().field(&field.describe(), field.shape())?.claims();
/// assert_eq!(claims.strong_convexity.unwrap().get(), 0.0);
/// assert!(claims.cocoercivity.unwrap().get() * claims.bound.get() <= 1.0);
/// # Ok::<(), dahlquist::Error>(())
/// ```
#[derive(Debug)]
pub struct GradientField<T: Scalar> {
    map: Affine<T>,
    activation: Activation,
    /// A right singular vector of the largest singular value, as far as training has found it.
    power: Option<Batch<T>>,
}

impl<T: Scalar> GradientField<T> {
    /// Returns the field of an affine map and an activation.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the activation has a negative slope: `V` would not be convex, and no step would be
    /// proved non-expansive.
    pub fn new(map: Affine<T>, activation: Activation) -> Result<Self> {
        let activation = activation.in_format::<T>()?;
        if activation.slopes()[0] < 0.0 {
            let reason = "a gradient field needs slopes that are not negative";
            return Err(Error::parameter("activation", activation.name(), reason));
        }
        Ok(Self { map, activation, power: None })
    }

    /// Returns the map `x ↦ Wx + b`.
    pub fn map(&self) -> &Affine<T> {
        &self.map
    }

    /// Returns the activation `σ`.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// Returns `−σ(z)`.
    fn pull(&self, z: &Batch<T>) -> Batch<T> {
        let values = z.data().iter().map(|&z| -self.activation.value(z)).collect();
        Batch::computed(z.shape(), z.samples(), values)
    }
}

impl<T: Scalar> VectorField<T> for GradientField<T> {
    fn describe(&self) -> Field {
        Field::Gradient { activation: self.activation, operator: self.map.describe(), weights: None }
    }

    fn shape(&self) -> Shape {
        self.map.operator().input()
    }

    fn eval(&self, x: &Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        let z = self.map.apply(x);
        let f = self.map.adjoint(&self.pull(&z));
        tape.save(z);
        f
    }

    fn vjp(&self, x: &Batch<T>, tape: &Tape<T>, g: &Batch<T>, gradient: Option<&mut [Vec<T>]>) -> Batch<T> {
        let z = tape.saved(0);
        let q = self.activation.differentiate(z, -T::one(), self.map.linear(g));
        if let Some(gradient) = gradient {
            // W occurs twice: inside σ, and as the adjoint outside, whose bias slot is not touched.
            self.map.accumulate(&q, x, gradient);
            self.map.accumulate(&self.pull(z), g, &mut gradient[..1]);
        }
        self.map.adjoint(&q)
    }

    fn fused(&self) -> Option<Box<dyn FusedStep<T> + '_>> {
        Some(Box::new(fused::Fused { field: self, direct: self.map.operator().direct()? }))
    }

    fn jvp(&self, _x: &Batch<T>, tape: &Tape<T>, v: &Batch<T>) -> Batch<T> {
        self.map.adjoint(&self.activation.differentiate(tape.saved(0), -T::one(), self.map.linear(v)))
    }

    fn maps(&self) -> Vec<&Affine<T>> {
        vec![&self.map]
    }

    fn maps_mut(&mut self) -> Vec<&mut Affine<T>> {
        vec![&mut self.map]
    }

    fn rounding(
        &self,
        proof: &Certificate,
        rounding: &Rounding,
        x: &Batch<f64>,
        tape: &Tape<f64>,
        reach: &[f64],
    ) -> Result<Vec<FieldError>> {
        let z = tape.saved(0);
        let [operator] = proof.premises() else {
            return Err(Error::not_proved(
                "the rounding error of a gradient field",
                "the proof is about something else",
            ));
        };
        let norm = operator.bound().get();
        let slope = self.activation.lipschitz();
        // z' = fl(Wx' + b) is within e of what it means, and within r of the z on the tape, which is within e too: it
        // was computed with no more rounding.
        let e = self.map.apply_error(rounding, x, reach)?;
        let r: Vec<f64> = e.iter().zip(reach).map(|(&e, &reach)| add_up(mul_up(norm, reach), 2.0 * e)).collect();
        let s = self.activation.over_balls(rounding, z, &r);
        let adjoint = self.map.adjoint_error(rounding, &s.value, &s.reaches)?;
        let bound = |i: usize| FieldError {
            error: add_up(mul_up(norm, add_up(mul_up(slope, e[i]), s.errors[i])), adjoint[i]),
            size: add_up(mul_up(norm, s.sizes[i]), adjoint[i]),
        };
        Ok((0..e.len()).map(bound).collect())
    }

    fn estimate_curvature(&mut self) -> Option<Estimate> {
        let l = self.activation.slopes()[1];
        let v = self.power.take().unwrap_or_else(|| random_direction(self.shape()));
        let (v, _) = normalised(self.map.adjoint(&self.map.linear(&v)));
        let (_, norm) = normalised(self.map.linear(&v));
        self.power = Some(v);
        Some(Estimate::new(l * norm * norm))
    }

    fn curvature_gradient(&self, scale: T, gradient: &mut [Vec<T>]) {
        let Some(v) = &self.power else { return };
        // For a unit vector v, the gradient of L‖Wv‖² by W is 2L (Wv)vᵀ.
        let factor = scale * T::of(2.0 * self.activation.slopes()[1]);
        let mut image = self.map.linear(v);
        image.data_mut().iter_mut().for_each(|y| *y *= factor);
        self.map.accumulate(&image, v, &mut gradient[..1]);
    }

    fn widen(&self) -> Box<dyn VectorField<f64>> {
        Box::new(GradientField { map: self.map.widen(), activation: self.activation, power: None })
    }
}

/// Returns a direction to start a power iteration in: random, so that it almost surely has a part in every singular
/// vector.
fn random_direction<T: Scalar>(shape: Shape) -> Batch<T> {
    let rng = rand_chacha::ChaCha8Rng::seed_from_u64(shape.len() as u64);
    let data = StandardNormal.sample_iter(rng).take(shape.len()).map(|x: f64| T::of(x)).collect();
    normalised(Batch::computed(shape, 1, data)).0
}

/// Returns `x/‖x‖` and `‖x‖`, both as estimates; zero stays zero.
fn normalised<T: Scalar>(mut x: Batch<T>) -> (Batch<T>, f64) {
    let norm = x.data().iter().map(|x| x.wide() * x.wide()).sum::<f64>().sqrt();
    if norm > 0.0 {
        let scale = T::of(1.0 / norm);
        x.data_mut().iter_mut().for_each(|x| *x *= scale);
    }
    (x, norm)
}
