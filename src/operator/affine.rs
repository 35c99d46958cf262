//! `Wx + b`: an operator with a bias, and the rounding error of evaluating it.

use super::Operator;
use crate::{
    error::{Error, Result},
    model::{Conv2d, Linear, Tensor, Trained, units},
    parametrize::{Form, Parametrized},
    rigor::{
        Rounding, Summation,
        directed::{add_up, mul_add_over, mul_up, norm_up, sqrt_up},
    },
    scalar::Scalar,
    tensor::{Batch, Shape, cast, finite},
};

/// The map `x ↦ Wx + b`; the bias, if there is one, is one number for each feature, or for each channel of an image.
#[derive(Debug)]
pub struct Affine<T: Scalar> {
    operator: Box<dyn Operator<T>>,
    bias: Option<Vec<T>>,
    parametrized: Option<Parametrized<T>>,
}

impl<T: Scalar> Affine<T> {
    /// Returns the operator with a bias, or without.
    ///
    /// # Errors
    /// [`Error::Length`] if the bias does not have one number for each feature or channel of the output,
    /// [`Error::NotFinite`] if one of them is not finite, [`Error::Parameter`] for an operator whose description has no bias,
    /// such as a mean: claims are about what is described.
    pub fn new(operator: impl Operator<T> + 'static, bias: Option<Vec<T>>) -> Result<Self> {
        Self::boxed(Box::new(operator), bias)
    }

    /// As [`Self::new`], for an operator that is already in a box.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn boxed(operator: Box<dyn Operator<T>>, bias: Option<Vec<T>>) -> Result<Self> {
        if let Some(bias) = &bias {
            let (expected, described) = (units(operator.output()), operator.describe());
            if !described.takes_bias() {
                return Err(Error::parameter("bias", described.kind(), "a map of this kind has none"));
            }
            if bias.len() != expected {
                let what = format!("{} bias", described.kind());
                return Err(Error::Length { what, expected, found: bias.len() });
            }
            finite("bias", bias)?;
        }
        Ok(Self { operator, bias, parametrized: None })
    }

    /// Returns the map with weights that are trained in another form, beginning at those that it has.
    ///
    /// # Errors
    /// [`Error::Parameter`] for an operator without a matrix of weights.
    pub fn parametrized(mut self, form: Form) -> Result<Self> {
        self.parametrized = Some(Parametrized::new(form, self.operator.weight().to_vec(), self.rows())?);
        self.prepare();
        Ok(self)
    }

    /// Returns the map with weights whose training goes on in a form, where it was left.
    ///
    /// # Errors
    /// [`Error::Parameter`] for an operator without a matrix of weights, or weights that are not those of the form.
    pub(crate) fn resumed(mut self, Trained { form, free, vector }: &Trained) -> Result<Self> {
        let (free, vector) = (free.numbers(), vector.as_ref().map(Tensor::numbers));
        let resumed = Parametrized::resumed(*form, free, vector, self.operator.weight(), self.rows())?;
        self.parametrized = Some(resumed);
        Ok(self)
    }

    /// Returns the number of rows of the matrix of weights; 0 if there is none.
    fn rows(&self) -> usize {
        match self.operator.describe() {
            Linear::Dense { weight, .. } | Linear::Conv2d(Conv2d { weight, .. }) => weight.shape()[0],
            _ => 0,
        }
    }

    /// Computes the weights that are evaluated from those that are trained.
    pub fn prepare(&mut self) {
        if let Some(parametrized) = &mut self.parametrized {
            parametrized.explicit(self.operator.weight_mut());
        }
    }

    /// Turns a gradient by the weights that are evaluated into one by those that are trained, in place.
    pub fn pull_back(&self, gradient: &mut [Vec<T>]) {
        if let (Some(parametrized), Some(weight)) = (&self.parametrized, gradient.first_mut()) {
            parametrized.pull_back(weight);
        }
    }

    /// Returns the operator `W`.
    pub fn operator(&self) -> &dyn Operator<T> {
        &*self.operator
    }

    /// Returns the bias `b`, if there is one.
    pub fn bias(&self) -> Option<&[T]> {
        self.bias.as_deref()
    }

    /// Returns an upper bound of the norm of the bias, repeated over the points of an image.
    pub fn bias_norm(&self) -> f64 {
        let Some(bias) = &self.bias else { return 0.0 };
        let repeat = self.operator.output().len() / bias.len();
        mul_up(sqrt_up(repeat as f64), norm_up(bias))
    }

    /// Returns `Wx + b`.
    pub fn apply(&self, x: &Batch<T>) -> Batch<T> {
        if let Some(direct) = self.operator.direct() {
            return direct.apply(x, self.bias());
        }
        let mut y = self.biases(x.samples(), |b| b);
        self.operator.apply(x, &mut y);
        y
    }

    /// Returns `Wx`, the derivative of [`Self::apply`] in the direction `x`.
    pub fn linear(&self, x: &Batch<T>) -> Batch<T> {
        if let Some(direct) = self.operator.direct() {
            return direct.apply(x, None);
        }
        let mut y = Batch::zeros(self.operator.output(), x.samples());
        self.operator.apply(x, &mut y);
        y
    }

    /// Returns `Wᵀy`.
    pub fn adjoint(&self, y: &Batch<T>) -> Batch<T> {
        if let Some(direct) = self.operator.direct() {
            return direct.adjoint(y);
        }
        let mut x = Batch::zeros(self.operator.input(), y.samples());
        self.operator.adjoint(y, &mut x);
        x
    }

    /// Adds the gradient of `Σ ⟨y, Wx + b⟩` to the slots of weight and bias.
    pub fn accumulate(&self, y: &Batch<T>, x: &Batch<T>, gradient: &mut [Vec<T>]) {
        if let Some(weight) = gradient.first_mut() {
            self.operator.accumulate(y, x, weight);
        }
        self.accumulate_bias(y, gradient);
    }

    /// Adds the gradient of `Σ ⟨y, b⟩` to the second slot.
    pub(crate) fn accumulate_bias(&self, y: &Batch<T>, gradient: &mut [Vec<T>]) {
        if let (Some(_), Some(bias)) = (&self.bias, gradient.get_mut(1)) {
            bias.iter_mut().zip(y.channel_sums()).for_each(|(bias, sum)| *bias += sum);
        }
    }

    /// Weight and bias, those that there are; the weight in the form in which it is trained.
    pub fn parameters(&self) -> Vec<&[T]> {
        let weight = self.parametrized.as_ref().map_or_else(|| self.operator.weight(), Parametrized::direct);
        let weight = Some(weight).filter(|w| !w.is_empty());
        weight.into_iter().chain(self.bias.as_deref()).collect()
    }

    /// Weight and bias, to be changed; [`Self::prepare`] must follow if the weight is trained in another form.
    pub fn parameters_mut(&mut self) -> Vec<&mut [T]> {
        let weight = match &mut self.parametrized {
            Some(parametrized) => parametrized.direct_mut(),
            None => self.operator.weight_mut(),
        };
        let weight = Some(weight).filter(|w| !w.is_empty());
        weight.into_iter().chain(self.bias.as_deref_mut()).collect()
    }

    /// Returns the number of rows of each parameter: one row of weights for each feature or channel of the output, and
    /// 1 for a bias.
    pub fn parameter_rows(&self) -> Vec<usize> {
        let weight = Some(units(self.operator.output())).filter(|_| !self.operator.weight().is_empty());
        weight.into_iter().chain(self.bias.as_ref().map(|_| 1)).collect()
    }

    /// Makes the kernels keep to an order of summation.
    pub fn set_summation(&mut self, summation: Summation) {
        self.operator.set_summation(summation);
    }

    /// For each sample `x`, a bound of `‖fl(Wx' + b) − (Wx' + b)‖` for every `x'` within `reach` of it, `fl` being
    /// evaluation in the format of `rounding`: with `n` terms, the bias included, at most `d` roundings for each, and
    /// `m` entries,
    ///
    /// ```math
    /// γ_d\bigl(\|\,|W||x| + |b|\,\| + \|\,|W|\,\|·\mathrm{reach}\bigr) + \sqrt{m}\,nη.
    /// ```
    ///
    /// Infinite where an overflow cannot be excluded.
    ///
    /// # Errors
    /// If the norm of `|W|` overflows `f64`.
    pub fn apply_error(&self, rounding: &Rounding, x: &Batch<f64>, reach: &[f64]) -> Result<Vec<f64>> {
        // The bias is one more term, and one more addition for all others.
        let bias = usize::from(self.bias.is_some());
        let ([terms, _], [depth, _]) = (self.operator.terms(), self.operator.depth());
        let (terms, depth) = (terms + bias, depth + bias);
        let magnitudes = if rounding.is_entrywise() {
            self.enlarged(&self.absolute(x), x, terms)?
        } else {
            let (norm, bias) = (self.operator.absolute_norm()?.get(), self.bias_norm());
            x.norms_up().into_iter().map(|x| mul_add_over(norm, x, bias)).collect()
        };
        self.error(rounding, terms, depth, self.operator.output(), &magnitudes, reach)
    }

    /// As [`Self::apply_error`], for each sample and each coordinate of `Wx + b`: with the row `wᵢ`, at most
    ///
    /// ```math
    /// γ_d\bigl(|w_i||x| + |b_i| + \|w_i\|·\mathrm{reach}\bigr) + nη.
    /// ```
    ///
    /// Where rows are not known, the norm of `|W|` stands for theirs.
    ///
    /// # Errors
    /// If the norm of `|W|` overflows `f64`.
    pub fn apply_errors(&self, rounding: &Rounding, x: &Batch<f64>, reach: &[f64]) -> Result<Vec<Vec<f64>>> {
        let (bias, units) = (usize::from(self.bias.is_some()), self.operator.output().len());
        let ([terms, _], [depth, _]) = (self.operator.terms(), self.operator.depth());
        let (gamma, underflow) = (rounding.dot(depth + bias), rounding.underflow(terms + bias));
        let norms = match self.operator.row_norms() {
            Some(norms) => norms.to_vec(),
            None => vec![self.operator.absolute_norm()?.get(); units],
        };
        // As in `enlarged`, entry by entry.
        let own = Rounding::of::<T>();
        let (enlargement, tiny) = (own.enlargement(terms + bias + 1), mul_up(root(x.shape()), own.underflow(1)));
        let lost = |i: usize| mul_up(enlargement, add_up(own.underflow(terms + bias), mul_up(norms[i], tiny)));
        let computed = rounding.is_entrywise().then(|| self.absolute(x));
        let sizes = x.norms_up();
        let bias = |i: usize| self.bias.as_ref().map_or(0.0, |b| b[i / (units / b.len())].wide().abs());
        let error = |s: usize, i: usize| {
            let centre = match &computed {
                Some(computed) => mul_add_over(computed.sample(s)[i].wide(), enlargement, lost(i)),
                None => mul_add_over(norms[i], sizes[s], bias(i)),
            };
            let magnitude = mul_add_over(norms[i], reach[s], centre);
            let error = mul_add_over(gamma, magnitude, underflow);
            rounding.unless_overflow(add_up(magnitude, error), error)
        };
        Ok((0..x.samples()).map(|s| (0..units).map(|i| error(s, i)).collect()).collect())
    }

    /// As [`Self::apply_error`], for `Wᵀy`.
    ///
    /// # Errors
    /// If the norm of `|W|` overflows `f64`.
    pub fn adjoint_error(&self, rounding: &Rounding, y: &Batch<f64>, reach: &[f64]) -> Result<Vec<f64>> {
        let ([_, terms], [_, depth]) = (self.operator.terms(), self.operator.depth());
        let magnitudes = if rounding.is_entrywise() {
            let mut x = Batch::zeros(self.operator.input(), y.samples());
            self.operator.adjoint_absolute(&magnitude(y), &mut x);
            self.enlarged(&x, y, terms)?
        } else {
            let norm = self.operator.absolute_norm()?.get();
            y.norms_up().into_iter().map(|y| mul_up(norm, y)).collect()
        };
        self.error(rounding, terms, depth, self.operator.input(), &magnitudes, reach)
    }

    /// Returns `|W||x| + |b|`, computed in `T` with `x` rounded to `T`.
    fn absolute(&self, x: &Batch<f64>) -> Batch<T> {
        let mut y = self.biases(x.samples(), num_traits::Float::abs);
        self.operator.apply_absolute(&magnitude(x), &mut y);
        y
    }

    /// Bounds of the norms of exact magnitudes `|W||x| + |b|` from those computed in `T` with `x` rounded to `T`: one
    /// rounding more for each term, which may also underflow.
    fn enlarged(&self, computed: &Batch<T>, x: &Batch<f64>, terms: usize) -> Result<Vec<f64>> {
        let own = Rounding::of::<T>();
        let products = mul_up(root(computed.shape()), own.underflow(terms));
        let inputs = mul_up(root(x.shape()), own.underflow(1));
        let underflow = add_up(products, mul_up(self.operator.absolute_norm()?.get(), inputs));
        let enlargement = own.enlargement(terms + 1);
        let underflow = mul_up(underflow, enlargement);
        Ok(computed.norms_up().into_iter().map(|norm| mul_add_over(norm, enlargement, underflow)).collect())
    }

    /// Returns `γ_d(magnitude + ‖|W|‖·reach) + √m·nη`.
    fn error(
        &self,
        rounding: &Rounding,
        terms: usize,
        depth: usize,
        shape: Shape,
        magnitudes: &[f64],
        reach: &[f64],
    ) -> Result<Vec<f64>> {
        let absolute_norm = self.operator.absolute_norm()?.get();
        let (gamma, underflow) = (rounding.dot(depth), mul_up(root(shape), rounding.underflow(terms)));
        let bound = |(&magnitude, &reach): (&f64, &f64)| {
            let magnitude = mul_add_over(absolute_norm, reach, magnitude);
            let error = mul_add_over(gamma, magnitude, underflow);
            // No partial sum exceeds the magnitude by more than the error.
            rounding.unless_overflow(add_up(magnitude, error), error)
        };
        Ok(magnitudes.iter().zip(reach).map(bound).collect())
    }

    /// Returns the same map over `f64`, exactly.
    pub fn widen(&self) -> Affine<f64> {
        let (operator, bias) = (self.operator.widen(), self.bias.as_deref().map(cast));
        Affine { operator, bias, parametrized: None }
    }

    /// Returns what the map is, as data.
    pub fn describe(&self) -> Linear {
        let bias = self.bias.as_ref().map(|bias| Tensor::new(&[bias.len()], bias));
        let mut linear = self.operator.describe().with_bias(bias);
        if let Linear::Dense { weight, .. } | Linear::Conv2d(Conv2d { weight, .. }) = &mut linear {
            *weight = self.in_form(weight.clone());
        }
        linear
    }

    /// Returns the tensor of the weights with the form in which they are trained, if it is not their own.
    pub(crate) fn in_form(&self, weight: Tensor) -> Tensor {
        let Some(parametrized) = &self.parametrized else { return weight };
        let free = Tensor::new(weight.shape(), parametrized.direct());
        let vector = parametrized.vector().map(|vector| Tensor::new(&[vector.len()], vector));
        weight.in_form(Trained { form: parametrized.form(), free, vector })
    }

    /// Returns a batch of outputs that holds `f(b)` everywhere, or zeros.
    fn biases(&self, samples: usize, f: impl Fn(T) -> T) -> Batch<T> {
        let shape = self.operator.output();
        let Some(bias) = &self.bias else { return Batch::zeros(shape, samples) };
        let repeat = shape.len() / bias.len();
        let sample: Vec<T> = bias.iter().flat_map(|&b| std::iter::repeat_n(f(b), repeat)).collect();
        Batch::computed(shape, samples, sample.repeat(samples))
    }
}

/// Returns `|x|`, rounded to `T`.
fn magnitude<T: Scalar>(x: &Batch<f64>) -> Batch<T> {
    Batch::computed(x.shape(), x.samples(), x.data().iter().map(|x| T::of(x.abs())).collect())
}

/// Returns `√m` for a sample of `m` numbers, rounded up.
fn root(shape: Shape) -> f64 {
    sqrt_up(shape.len() as f64)
}
