//! The field of a residual network, `f(x) = Vσ(Wx + b) + c`: no structure, so no certificate better than its norms.

use super::{FieldError, VectorField};
use crate::{
    activation::Activation,
    certificate::Certificate,
    error::{Error, Result},
    model::Field,
    operator::Affine,
    rigor::{
        Rounding,
        directed::{add_up, mul_up},
    },
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};

/// The field `f(x) = Vσ(Wx + b) + c`; one Euler step of length 1 is a residual block.
///
/// It is `‖V‖·max(|m|, |L|)·‖W‖`-Lipschitz and nothing else is proved about it. This is the baseline that stable
/// networks are compared with.
#[derive(Debug)]
pub struct ResidualField<T: Scalar> {
    inner: Affine<T>,
    activation: Activation,
    outer: Affine<T>,
}

impl<T: Scalar> ResidualField<T> {
    /// Returns the field of two affine maps, from the space and back into it.
    ///
    /// # Errors
    /// [`Error::Shape`] if `outer ∘ inner` does not end where it begins.
    pub fn new(inner: Affine<T>, activation: Activation, outer: Affine<T>) -> Result<Self> {
        let pairs = [
            (inner.operator().output(), outer.operator().input()),
            (inner.operator().input(), outer.operator().output()),
        ];
        for (expected, found) in pairs {
            if expected != found {
                return Err(Error::Shape { what: "residual field".into(), expected, found });
            }
        }
        Ok(Self { inner, activation: activation.in_format::<T>()?, outer })
    }
}

impl<T: Scalar> VectorField<T> for ResidualField<T> {
    fn describe(&self) -> Field {
        let (inner, outer) = (self.inner.describe(), self.outer.describe());
        Field::Residual { activation: self.activation, inner, outer }
    }

    fn shape(&self) -> Shape {
        self.inner.operator().input()
    }

    fn eval(&self, x: &Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        let z = self.inner.apply(x);
        let f = self.outer.apply(&self.activation.apply(&z));
        tape.save(z);
        f
    }

    fn vjp(&self, x: &Batch<T>, tape: &Tape<T>, g: &Batch<T>, gradient: Option<&mut [Vec<T>]>) -> Batch<T> {
        let z = tape.saved(0);
        let q = self.activation.differentiate(z, T::one(), self.outer.adjoint(g));
        if let Some(gradient) = gradient {
            let (inner, outer) = gradient.split_at_mut(self.inner.parameters().len());
            self.inner.accumulate(&q, x, inner);
            self.outer.accumulate(g, &self.activation.apply(z), outer);
        }
        self.inner.adjoint(&q)
    }

    fn jvp(&self, _x: &Batch<T>, tape: &Tape<T>, v: &Batch<T>) -> Batch<T> {
        self.outer.linear(&self.activation.differentiate(tape.saved(0), T::one(), self.inner.linear(v)))
    }

    fn maps(&self) -> Vec<&Affine<T>> {
        vec![&self.inner, &self.outer]
    }

    fn maps_mut(&mut self) -> Vec<&mut Affine<T>> {
        vec![&mut self.inner, &mut self.outer]
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
        let [inner, outer] = proof.premises() else {
            return Err(Error::not_proved(
                "the rounding error of a residual field",
                "the proof is about something else",
            ));
        };
        let (inner, outer) = (inner.bound().get(), outer.bound().get());
        // As for the gradient field: r bounds |z' − z|, the rest follows σ and the outer map.
        let e = self.inner.apply_error(rounding, x, reach)?;
        let r: Vec<f64> = e.iter().zip(reach).map(|(&e, &reach)| add_up(mul_up(inner, reach), 2.0 * e)).collect();
        let s = self.activation.over_balls(rounding, z, &r);
        let last = self.outer.apply_error(rounding, &s.value, &s.reaches)?;
        let bias = self.outer.bias_norm();
        let slope = self.activation.lipschitz();
        let bound = |i: usize| FieldError {
            error: add_up(mul_up(outer, add_up(mul_up(slope, e[i]), s.errors[i])), last[i]),
            size: add_up(add_up(mul_up(outer, s.sizes[i]), bias), last[i]),
        };
        Ok((0..e.len()).map(bound).collect())
    }

    fn widen(&self) -> Box<dyn VectorField<f64>> {
        Box::new(ResidualField { inner: self.inner.widen(), activation: self.activation, outer: self.outer.widen() })
    }
}
