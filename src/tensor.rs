//! Shapes, and batches of samples in one flat buffer.

use std::fmt;

use faer::{MatMut, MatRef};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    rigor::directed::norm_up,
    scalar::Scalar,
};

/// The shape of one sample: a vector of features, or an image of channels × height × width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<usize>", into = "Vec<usize>")]
pub enum Shape {
    /// A vector of so many features.
    Features(usize),
    /// An image, stored channel by channel, each in row-major order.
    Image {
        /// The number of channels.
        channels: usize,
        /// The number of rows.
        height: usize,
        /// The number of columns.
        width: usize,
    },
}

impl Shape {
    /// An image of `channels` × `height` × `width`.
    pub const fn image(channels: usize, height: usize, width: usize) -> Self {
        Self::Image { channels, height, width }
    }

    /// The number of scalars in one sample.
    #[allow(clippy::len_without_is_empty)] // No shape of this crate is empty: constructors refuse zero sizes.
    pub const fn len(self) -> usize {
        match self {
            Self::Features(n) => n,
            Self::Image { channels, height, width } => channels * height * width,
        }
    }

    /// Channels, height and width, or an error that names `what` needs an image.
    pub fn as_image(self, what: &str) -> Result<(usize, usize, usize)> {
        match self {
            Self::Image { channels, height, width } => Ok((channels, height, width)),
            Self::Features(n) => {
                Err(Error::parameter("input", n, format!("{what} needs an image of channels × height × width")))
            }
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Features(n) => write!(f, "{n}"),
            Self::Image { channels, height, width } => write!(f, "{channels}×{height}×{width}"),
        }
    }
}

impl TryFrom<Vec<usize>> for Shape {
    type Error = Error;

    fn try_from(sizes: Vec<usize>) -> Result<Self> {
        let refuse = |reason: &str| Err(Error::parameter("shape", format!("{sizes:?}"), reason));
        if sizes.contains(&0) {
            return refuse("every size must be at least 1");
        }
        if sizes.iter().try_fold(1usize, |n, &s| n.checked_mul(s)).is_none_or(|n| n > 1 << 32) {
            return refuse("a sample may hold at most 2³² numbers");
        }
        match sizes[..] {
            [features] => Ok(Self::Features(features)),
            [channels, height, width] => Ok(Self::image(channels, height, width)),
            _ => refuse("a shape is [features] or [channels, height, width]"),
        }
    }
}

impl From<Shape> for Vec<usize> {
    fn from(shape: Shape) -> Self {
        match shape {
            Shape::Features(n) => vec![n],
            Shape::Image { channels, height, width } => vec![channels, height, width],
        }
    }
}

/// Samples of one shape, one after the other in one buffer.
///
/// Sample `s` occupies `data[s·len .. (s+1)·len]`; inside an image sample the order is channel, row, column.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch<T> {
    shape: Shape,
    samples: usize,
    data: Vec<T>,
}

impl<T: Scalar> Batch<T> {
    /// `samples` samples of zeros.
    pub fn zeros(shape: Shape, samples: usize) -> Self {
        Self { shape, samples, data: vec![T::zero(); shape.len() * samples] }
    }

    /// The samples in `data`.
    ///
    /// # Errors
    /// [`Error::Length`] if `data` is not a whole number of samples, [`Error::NotFinite`] if it holds a NaN or an
    /// infinity.
    pub fn new(shape: Shape, data: Vec<T>) -> Result<Self> {
        let samples = data.len() / shape.len();
        if data.len() != samples * shape.len() {
            let expected = (samples + 1) * shape.len();
            return Err(Error::Length { what: format!("batch of {shape}"), expected, found: data.len() });
        }
        finite("batch", &data)?;
        Ok(Self { shape, samples, data })
    }

    /// The samples that a layer computed, which may have overflowed.
    pub(crate) fn computed(shape: Shape, samples: usize, data: Vec<T>) -> Self {
        debug_assert_eq!(data.len(), shape.len() * samples);
        Self { shape, samples, data }
    }

    /// The shape of one sample.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The number of samples.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Every number, sample by sample.
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// Every number, sample by sample.
    pub fn data_mut(&mut self) -> &mut [T] {
        &mut self.data
    }

    /// The numbers of sample `s`.
    pub fn sample(&self, s: usize) -> &[T] {
        let n = self.shape.len();
        &self.data[s * n..][..n]
    }

    /// The numbers of sample `s`.
    pub fn sample_mut(&mut self, s: usize) -> &mut [T] {
        let n = self.shape.len();
        &mut self.data[s * n..][..n]
    }

    /// The samples of a range, copied.
    #[must_use]
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let n = self.shape.len();
        Self::computed(self.shape, range.len(), self.data[range.start * n..range.end * n].to_vec())
    }

    /// The samples of `indices`, copied in that order.
    #[must_use]
    pub fn gather(&self, indices: &[usize]) -> Self {
        let mut data = Vec::with_capacity(indices.len() * self.shape.len());
        for &s in indices {
            data.extend_from_slice(self.sample(s));
        }
        Self::computed(self.shape, indices.len(), data)
    }

    /// The same numbers under another shape of the same length.
    pub(crate) fn reshaped(mut self, shape: Shape) -> Self {
        debug_assert_eq!(self.shape.len(), shape.len());
        self.shape = shape;
        self
    }

    /// The features × samples matrix whose columns are the samples.
    pub fn as_matrix(&self) -> MatRef<'_, T> {
        MatRef::from_column_major_slice(&self.data, self.shape.len(), self.samples)
    }

    /// The features × samples matrix whose columns are the samples.
    pub fn as_matrix_mut(&mut self) -> MatMut<'_, T> {
        MatMut::from_column_major_slice_mut(&mut self.data, self.shape.len(), self.samples)
    }

    /// The same samples in another format: exact from `f32` to `f64`, rounded to nearest the other way.
    pub fn cast<U: Scalar>(&self) -> Batch<U> {
        Batch::computed(self.shape, self.samples, cast(&self.data))
    }

    /// The samples of a range in another format, as [`Self::cast`].
    pub(crate) fn cast_slice<U: Scalar>(&self, range: std::ops::Range<usize>) -> Batch<U> {
        let n = self.shape.len();
        Batch::computed(self.shape, range.len(), cast(&self.data[range.start * n..range.end * n]))
    }

    /// The absolute values.
    #[must_use]
    pub fn absolute(&self) -> Self {
        Self::computed(self.shape, self.samples, self.data.iter().map(|x| num_traits::Float::abs(*x)).collect())
    }

    /// For each sample, an upper bound of its Euclidean norm; infinite if it holds a NaN.
    pub fn norms_up(&self) -> Vec<f64> {
        self.data.chunks(self.shape.len()).map(norm_up).collect()
    }

    /// `self ← self + a·x`.
    pub fn axpy(&mut self, a: T, x: &Self) {
        debug_assert_eq!(self.data.len(), x.data.len());
        for (y, &x) in self.data.iter_mut().zip(&x.data) {
            *y += a * x;
        }
    }
}

/// The same numbers in another format: exact from `f32` to `f64`, rounded to nearest the other way.
pub(crate) fn cast<T: Scalar, U: Scalar>(data: &[T]) -> Vec<U> {
    data.iter().map(|&x| U::of(x.wide())).collect()
}

/// Refuses a NaN or an infinity in `data`, which is called `what`.
pub(crate) fn finite<T: Scalar>(what: &str, data: &[T]) -> Result<()> {
    match data.iter().position(|x| !num_traits::Float::is_finite(*x)) {
        None => Ok(()),
        Some(index) => Err(Error::NotFinite { what: what.to_string(), index, value: data[index].wide() }),
    }
}
