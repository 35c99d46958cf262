//! The numbers of a network, in its own format.

use std::{borrow::Cow, sync::Arc};

use faer::Mat;

use super::Trained;
use crate::scalar::Scalar;

/// Numbers with a shape, row-major, in the format of their network. A clone shares them.
///
/// Weights that are trained in another form know it. Nothing that is claimed looks at that, and tensors are equal if their
/// shapes and numbers are.
#[derive(Debug, Clone)]
pub struct Tensor {
    shape: Vec<usize>,
    numbers: Numbers,
    trained: Option<Arc<Trained>>,
}

#[derive(Debug, Clone)]
enum Numbers {
    F32(Arc<[f32]>),
    F64(Arc<[f64]>),
}

impl Tensor {
    /// Returns the numbers of a format; `data` has as many as the shape says.
    pub fn new<T: Scalar>(shape: &[usize], data: &[T]) -> Self {
        debug_assert_eq!(shape.iter().product::<usize>(), data.len());
        let numbers = if T::NAME == f32::NAME {
            // Exact: the numbers are of this format.
            Numbers::F32(data.iter().map(|x| x.wide() as f32).collect())
        } else {
            Numbers::F64(data.iter().map(|x| x.wide()).collect())
        };
        Self { shape: shape.to_vec(), numbers, trained: None }
    }

    /// Returns the same numbers, said to be trained in a form.
    pub(crate) fn in_form(self, trained: Trained) -> Self {
        Self { trained: Some(Arc::new(trained)), ..self }
    }

    /// Returns the form in which the numbers are trained, if it is not their own.
    pub fn trained(&self) -> Option<&Trained> {
        self.trained.as_deref()
    }

    /// Returns the sizes of the axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns how many numbers there are.
    pub fn count(&self) -> usize {
        match &self.numbers {
            Numbers::F32(x) => x.len(),
            Numbers::F64(x) => x.len(),
        }
    }

    /// Returns the numbers in `f64`, exactly.
    pub fn wide(&self) -> Cow<'_, [f64]> {
        match &self.numbers {
            Numbers::F32(x) => x.iter().map(|&x| f64::from(x)).collect(),
            Numbers::F64(x) => Cow::Borrowed(x),
        }
    }

    /// Returns the numbers rounded to the nearest of `T`: exactly those that are there, if `T` is the format of the
    /// network.
    pub fn numbers<T: Scalar>(&self) -> Vec<T> {
        match &self.numbers {
            Numbers::F32(x) => x.iter().map(|&x| T::of(x.into())).collect(),
            Numbers::F64(x) => x.iter().map(|&x| T::of(x)).collect(),
        }
    }

    /// Returns a tensor of two axes as a matrix.
    pub(crate) fn matrix(&self) -> Mat<f64> {
        let (data, columns) = (self.wide(), self.shape.last().copied().unwrap_or(1));
        Mat::from_fn(data.len() / columns, columns, |i, j| data[i * columns + j])
    }

    /// Returns whether two tensors hold the same bits in the same format and shape.
    pub(crate) fn has_bits_of(&self, other: &Self) -> bool {
        let equal = match (&self.numbers, &other.numbers) {
            (Numbers::F32(a), Numbers::F32(b)) => {
                a.len() == b.len() && a.iter().zip(&**b).all(|(a, b)| a.to_bits() == b.to_bits())
            }
            (Numbers::F64(a), Numbers::F64(b)) => {
                a.len() == b.len() && a.iter().zip(&**b).all(|(a, b)| a.to_bits() == b.to_bits())
            }
            _ => false,
        };
        equal && self.shape == other.shape
    }

    /// Returns whether two tensors are one in memory.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (&self.numbers, &other.numbers) {
            (Numbers::F32(a), Numbers::F32(b)) => Arc::ptr_eq(a, b),
            (Numbers::F64(a), Numbers::F64(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

/// Equal shapes and equal numbers, in whatever format they are held.
impl PartialEq for Tensor {
    fn eq(&self, other: &Self) -> bool {
        let equal = || match (&self.numbers, &other.numbers) {
            (Numbers::F32(a), Numbers::F32(b)) => a == b,
            (Numbers::F64(a), Numbers::F64(b)) => a == b,
            _ => self.wide() == other.wide(),
        };
        self.shape == other.shape && (self.is_same(other) || equal())
    }
}
