//! `Wx + b`: an operator with a bias, and the rounding error of evaluating it.

use super::{Norms, Operator};
use crate::{
    error::{Error, Result},
    io::{OperatorSpec, TensorWriter},
    rigor::{
        Rounding,
        directed::{add_up, mul_up, norm_up, sqrt_up},
    },
    scalar::Scalar,
    tensor::{Batch, Shape, cast, finite},
};

/// The map `x ↦ Wx + b`; the bias, if there is one, is one number for each feature, or for each channel of an image.
#[derive(Debug)]
pub struct Affine<T: Scalar> {
    operator: Box<dyn Operator<T>>,
    bias: Option<Vec<T>>,
}

impl<T: Scalar> Affine<T> {
    /// The operator with a bias, or without.
    ///
    /// # Errors
    /// [`Error::Length`] if the bias does not have one number for each feature or channel of the output,
    /// [`Error::NotFinite`] if one of them is not finite.
    pub fn new(operator: impl Operator<T> + 'static, bias: Option<Vec<T>>) -> Result<Self> {
        Self::boxed(Box::new(operator), bias)
    }

    /// As [`Self::new`], for an operator that is already in a box.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn boxed(operator: Box<dyn Operator<T>>, bias: Option<Vec<T>>) -> Result<Self> {
        if let Some(bias) = &bias {
            let expected = units(operator.output());
            if bias.len() != expected {
                let what = format!("{} bias", operator.kind());
                return Err(Error::Length { what, expected, found: bias.len() });
            }
            finite("bias", bias)?;
        }
        Ok(Self { operator, bias })
    }

    /// The operator `W`.
    pub fn operator(&self) -> &dyn Operator<T> {
        &*self.operator
    }

    /// The bias `b`, if there is one.
    pub fn bias(&self) -> Option<&[T]> {
        self.bias.as_deref()
    }

    /// Proves the norm of the operator in this way.
    ///
    /// # Errors
    /// As [`Operator::norm`].
    pub fn prove_norm(&mut self, norms: Norms) -> Result<()> {
        self.operator.prove_norm(norms)
    }

    /// An upper bound of the norm of the bias, repeated over the points of an image.
    pub fn bias_norm(&self) -> f64 {
        let Some(bias) = &self.bias else { return 0.0 };
        let repeat = self.operator.output().len() / bias.len();
        mul_up(sqrt_up(repeat as f64), norm_up(&cast::<T, f64>(bias)))
    }

    /// `Wx + b`.
    pub fn apply(&self, x: &Batch<T>) -> Batch<T> {
        let mut y = self.biases(x.samples(), |b| b);
        self.operator.apply(x, &mut y);
        y
    }

    /// `Wx`, the derivative of [`Self::apply`] in the direction `x`.
    pub fn linear(&self, x: &Batch<T>) -> Batch<T> {
        let mut y = Batch::zeros(self.operator.output(), x.samples());
        self.operator.apply(x, &mut y);
        y
    }

    /// `Wᵀy`.
    pub fn adjoint(&self, y: &Batch<T>) -> Batch<T> {
        let mut x = Batch::zeros(self.operator.input(), y.samples());
        self.operator.adjoint(y, &mut x);
        x
    }

    /// Adds the gradient of `Σ ⟨y, Wx + b⟩` to the slots of weight and bias.
    pub fn accumulate(&self, y: &Batch<T>, x: &Batch<T>, gradient: &mut [Vec<T>]) {
        if let Some(weight) = gradient.first_mut() {
            self.operator.accumulate(y, x, weight);
        }
        if let (Some(_), Some(bias)) = (&self.bias, gradient.get_mut(1)) {
            let units = bias.len();
            for (i, block) in y.data().chunks(y.shape().len() / units).enumerate() {
                bias[i % units] += block.iter().copied().sum::<T>();
            }
        }
    }

    /// Weight and bias, those that there are.
    pub fn parameters(&self) -> Vec<&[T]> {
        let weight = Some(self.operator.weight()).filter(|w| !w.is_empty());
        weight.into_iter().chain(self.bias.as_deref()).collect()
    }

    /// Weight and bias, to be changed.
    pub fn parameters_mut(&mut self) -> Vec<&mut [T]> {
        let weight = Some(self.operator.weight_mut()).filter(|w| !w.is_empty());
        weight.into_iter().chain(self.bias.as_deref_mut()).collect()
    }

    /// For each sample `x`, a bound of `‖fl(Wx' + b) − (Wx' + b)‖` for every `x'` within `reach` of it: with `n` terms,
    ///
    /// $$ γ_{n+1}\bigl(\|\,|W||x| + |b|\,\| + \|\,|W|\,\|·\mathrm{reach}\bigr) + \sqrt{m}\,(n+1)η. $$
    ///
    /// Infinite where an overflow cannot be excluded.
    ///
    /// # Errors
    /// If the norm of `|W|` overflows `f64`.
    pub fn apply_error(&self, rounding: &Rounding, x: &Batch<T>, reach: &[f64]) -> Result<Vec<f64>> {
        let mut y = self.biases(x.samples(), num_traits::Float::abs);
        self.operator.apply_absolute(&x.absolute(), &mut y);
        self.error(rounding, self.operator.terms()[0] + 1, &y, reach)
    }

    /// As [`Self::apply_error`], for `Wᵀy`.
    ///
    /// # Errors
    /// If the norm of `|W|` overflows `f64`.
    pub fn adjoint_error(&self, rounding: &Rounding, y: &Batch<T>, reach: &[f64]) -> Result<Vec<f64>> {
        let mut x = Batch::zeros(self.operator.input(), y.samples());
        self.operator.adjoint_absolute(&y.absolute(), &mut x);
        self.error(rounding, self.operator.terms()[1], &x, reach)
    }

    /// `γₙ(‖magnitude‖ + ‖|W|‖·reach) + √m·nη`, the magnitudes being computed in `T` with up to `n` roundings each.
    fn error(&self, rounding: &Rounding, terms: usize, magnitudes: &Batch<T>, reach: &[f64]) -> Result<Vec<f64>> {
        let absolute_norm = self.operator.absolute_norm()?.get();
        let width = sqrt_up(magnitudes.shape().len() as f64);
        let underflow = mul_up(width, rounding.underflow(terms));
        let bound = |(norm, &reach): (f64, &f64)| {
            let exact = add_up(rounding.enlarge(norm, terms), underflow);
            let magnitude = add_up(exact, mul_up(absolute_norm, reach));
            let error = add_up(mul_up(rounding.dot(terms), magnitude), underflow);
            // No partial sum exceeds the magnitude by more than the error.
            rounding.unless_overflow(add_up(magnitude, error), error)
        };
        Ok(magnitudes.norms_up().into_iter().zip(reach).map(bound).collect())
    }

    /// The same map over `f64`, exactly.
    pub fn widen(&self) -> Affine<f64> {
        Affine { operator: self.operator.widen(), bias: self.bias.as_deref().map(cast) }
    }

    /// The operator with its bias, as they are written to a file.
    pub fn describe(&self, prefix: &str, tensors: &mut TensorWriter) -> OperatorSpec {
        let spec = self.operator.describe(prefix, tensors);
        let bias = self.bias.as_ref().map(|bias| tensors.add(&format!("{prefix}.bias"), &[bias.len()], bias));
        spec.with_bias(bias)
    }

    /// A batch of outputs that holds `f(b)` everywhere, or zeros.
    fn biases(&self, samples: usize, f: impl Fn(T) -> T) -> Batch<T> {
        let mut y = Batch::zeros(self.operator.output(), samples);
        if let Some(bias) = &self.bias {
            let repeat = y.shape().len() / bias.len();
            for (block, &b) in y.data_mut().chunks_mut(repeat).zip(bias.iter().cycle()) {
                block.fill(f(b));
            }
        }
        y
    }
}

/// How many biases a shape has: one for each feature or channel.
fn units(shape: Shape) -> usize {
    match shape {
        Shape::Features(n) => n,
        Shape::Image { channels, .. } => channels,
    }
}
