//! A matrix.

use std::sync::OnceLock;

use faer::{Accum, MatRef};

use super::{Operator, summation};
use crate::{
    error::{Error, Result},
    model::{Linear, Tensor},
    rigor::{Summation, Upper, directed},
    scalar::{Scalar, gemm},
    tensor::{Batch, Shape, cast, finite},
};

/// The matrix `W` of `outputs` × `inputs`, row-major, as PyTorch stores it.
#[derive(Debug, Clone)]
pub struct Dense<T> {
    weight: Vec<T>,
    outputs: usize,
    inputs: usize,
    summation: Summation,
    row_norms: OnceLock<Vec<f64>>,
    absolute: OnceLock<Vec<T>>,
    absolute_norm: OnceLock<Result<Upper>>,
}

impl<T: Scalar> Dense<T> {
    /// Returns the matrix whose rows follow each other in `weight`.
    ///
    /// # Errors
    /// [`Error::Length`] if `weight` does not hold `outputs · inputs` numbers or a size is 0, [`Error::NotFinite`] if
    /// one of them is not finite.
    pub fn new(outputs: usize, inputs: usize, weight: Vec<T>) -> Result<Self> {
        let expected = outputs.saturating_mul(inputs);
        if weight.len() != expected || expected == 0 {
            return Err(Error::Length { what: format!("{outputs}×{inputs} matrix"), expected, found: weight.len() });
        }
        finite("dense weight", &weight)?;
        let (summation, row_norms, absolute, absolute_norm) = Default::default();
        Ok(Self { weight, outputs, inputs, summation, row_norms, absolute, absolute_norm })
    }

    /// Returns the numbers of rows and columns.
    pub fn size(&self) -> (usize, usize) {
        (self.outputs, self.inputs)
    }

    /// Row `i`.
    pub fn row(&self, i: usize) -> &[T] {
        &self.weight[i * self.inputs..][..self.inputs]
    }

    fn matrix<'a>(&self, weight: &'a [T]) -> MatRef<'a, T> {
        MatRef::from_row_major_slice(weight, self.outputs, self.inputs)
    }

    /// `y += Ax` in the order of summation of this matrix.
    fn product(&self, a: MatRef<'_, T>, x: &Batch<T>, y: &mut Batch<T>) {
        match self.summation {
            Summation::Any => gemm(y.as_matrix_mut(), Accum::Add, a, x.as_matrix()),
            Summation::Declared => summation::gemm_in_chunks(y.data_mut(), a, x.as_matrix()),
        }
    }

    fn absolute(&self) -> &[T] {
        self.absolute.get_or_init(|| self.weight.iter().map(|w| num_traits::Float::abs(*w)).collect())
    }
}

impl<T: Scalar> Operator<T> for Dense<T> {
    fn describe(&self) -> Linear {
        Linear::Dense { weight: Tensor::new(&[self.outputs, self.inputs], &self.weight), bias: None }
    }

    fn input(&self) -> Shape {
        Shape::Features(self.inputs)
    }

    fn output(&self) -> Shape {
        Shape::Features(self.outputs)
    }

    fn apply(&self, x: &Batch<T>, y: &mut Batch<T>) {
        self.product(self.matrix(&self.weight), x, y);
    }

    fn adjoint(&self, y: &Batch<T>, x: &mut Batch<T>) {
        self.product(self.matrix(&self.weight).transpose(), y, x);
    }

    fn accumulate(&self, y: &Batch<T>, x: &Batch<T>, gradient: &mut [T]) {
        // Σ y xᵀ is outputs × inputs; its transpose is written column by column into the row-major gradient.
        let gradient = faer::MatMut::from_column_major_slice_mut(gradient, self.inputs, self.outputs);
        gemm(gradient, Accum::Add, x.as_matrix(), y.as_matrix().transpose());
    }

    fn weight(&self) -> &[T] {
        &self.weight
    }

    fn row_norms(&self) -> Option<&[f64]> {
        Some(self.row_norms.get_or_init(|| self.weight.chunks(self.inputs).map(directed::norm_up).collect()))
    }

    fn weight_mut(&mut self) -> &mut [T] {
        self.row_norms = OnceLock::new();
        self.absolute = OnceLock::new();
        self.absolute_norm = OnceLock::new();
        &mut self.weight
    }

    fn terms(&self) -> [usize; 2] {
        [self.inputs, self.outputs]
    }

    fn depth(&self) -> [usize; 2] {
        match self.summation {
            Summation::Any => Operator::<T>::terms(self),
            Summation::Declared => Operator::<T>::terms(self).map(summation::depth),
        }
    }

    fn set_summation(&mut self, summation: Summation) {
        self.summation = summation;
    }

    fn apply_absolute(&self, x: &Batch<T>, y: &mut Batch<T>) {
        gemm(y.as_matrix_mut(), Accum::Add, self.matrix(self.absolute()), x.as_matrix());
    }

    fn adjoint_absolute(&self, y: &Batch<T>, x: &mut Batch<T>) {
        gemm(x.as_matrix_mut(), Accum::Add, self.matrix(self.absolute()).transpose(), y.as_matrix());
    }

    fn absolute_norm(&self) -> Result<Upper> {
        self.absolute_norm.get_or_init(|| absolute_norm(&cast(&self.weight), self.inputs)).clone()
    }

    fn widen(&self) -> Box<dyn Operator<f64>> {
        Box::new(Dense {
            weight: cast(&self.weight),
            outputs: self.outputs,
            inputs: self.inputs,
            summation: self.summation,
            row_norms: self.row_norms.clone(),
            absolute: OnceLock::new(),
            absolute_norm: self.absolute_norm.clone(),
        })
    }
}

/// Returns a bound of `‖|W|‖₂`: the smaller of the norm of Frobenius and `√(max row sum · max column sum)` (Schur).
fn absolute_norm(weight: &[f64], inputs: usize) -> Result<Upper> {
    let rows = weight.chunks(inputs).map(|row| sum_of_absolutes(row.iter())).fold(0.0, f64::max);
    let mut columns = vec![0.0; inputs];
    for row in weight.chunks(inputs) {
        columns.iter_mut().zip(row).for_each(|(sum, w)| *sum += w.abs());
    }
    let column = directed::enlarge_sum(columns.into_iter().fold(0.0, f64::max), weight.len() / inputs);
    let schur = (Upper::proved(rows) * Upper::proved(column)).sqrt();
    Upper::proved(directed::norm_up(weight)).min(schur).finite("the norm of |W|")
}

/// Returns an upper bound of `Σ|x|`.
pub(super) fn sum_of_absolutes<'a>(x: impl ExactSizeIterator<Item = &'a f64>) -> f64 {
    let n = x.len();
    directed::enlarge_sum(x.map(|x| x.abs()).sum(), n)
}
