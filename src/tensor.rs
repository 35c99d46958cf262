//! Batches of samples in one flat buffer.

use std::sync::OnceLock;

use faer::{MatMut, MatRef};

pub use crate::shape::Shape;
use crate::{
    block::{Block, interleave, separate},
    buffer::Buffer,
    error::{Error, Result},
    rigor::directed::norm_up,
    scalar::Scalar,
};

/// Samples of one shape.
///
/// There are two orders of the numbers of an image: channel, row, column, which [`Self::data`] hands out, and *blocks*
/// of sixteen channels, block, row, column, lane, in which convolutions compute. A batch holds one of them, and makes
/// the other when it is asked for. The last block may have more lanes than there are channels left: no result depends on their numbers.
#[derive(Debug, Clone)]
pub struct Batch<T: Scalar> {
    shape: Shape,
    samples: usize,
    data: OnceLock<Vec<T>>,
    blocks: OnceLock<Buffer<T>>,
}

impl<T: Scalar> PartialEq for Batch<T> {
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape && self.samples == other.samples && self.data() == other.data()
    }
}

impl<T: Scalar> Batch<T> {
    /// Returns `samples` samples of zeros.
    pub fn zeros(shape: Shape, samples: usize) -> Self {
        Self::computed(shape, samples, vec![T::zero(); shape.len() * samples])
    }

    /// Returns the samples in `data`.
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
        Ok(Self::computed(shape, samples, data))
    }

    /// Returns the samples that a layer computed, which may have overflowed.
    pub(crate) fn computed(shape: Shape, samples: usize, data: Vec<T>) -> Self {
        debug_assert_eq!(data.len(), shape.len() * samples);
        Self { shape, samples, data: OnceLock::from(data), blocks: OnceLock::new() }
    }

    /// Returns the samples that a layer computed in blocks.
    pub(crate) fn from_blocks(shape: Shape, samples: usize, blocks: Buffer<T>) -> Self {
        debug_assert_eq!(blocks.len(), shape.blocks() * samples);
        Self { shape, samples, data: OnceLock::new(), blocks: OnceLock::from(blocks) }
    }

    /// Returns the shape of one sample.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Returns the number of samples.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Returns every number: sample `s` is `data[s·len .. (s+1)·len]`, inside an image in the order channel, row,
    /// column.
    pub fn data(&self) -> &[T] {
        self.data.get_or_init(|| {
            let mut data = vec![T::zero(); self.shape.len() * self.samples];
            let blocks = self.blocks.get().map_or(&[][..], |blocks| &blocks[..]);
            for (data, blocks) in data.chunks_mut(self.shape.len()).zip(blocks.chunks(self.shape.blocks())) {
                separate(blocks, self.shape.points(), data);
            }
            data
        })
    }

    /// Returns every number, in the order of [`Self::data`].
    pub fn data_mut(&mut self) -> &mut [T] {
        self.data();
        self.blocks.take();
        self.data.get_mut().map_or(&mut [], |data| data)
    }

    /// Returns every number in blocks: sample by sample, block by block of channels, point by point.
    pub(crate) fn blocks(&self) -> &[Block<T>] {
        self.blocks.get_or_init(|| {
            let mut blocks = Buffer::new(self.shape.blocks() * self.samples);
            let samples = blocks.chunks_mut(self.shape.blocks()).zip(self.data().chunks(self.shape.len()));
            samples.for_each(|(blocks, data)| interleave(data, self.shape.points(), blocks));
            blocks
        })
    }

    /// For each channel of an image, or each feature, the sum over its points and the samples.
    pub(crate) fn channel_sums(&self) -> Vec<T> {
        let (blocks, points) = (self.shape.blocks(), self.shape.points());
        let mut sums = vec![Block::default(); blocks / points];
        for (i, blocks) in self.blocks().chunks(points).enumerate() {
            let sums = &mut sums[i % (self.shape.blocks() / points)];
            blocks.iter().for_each(|x| sums.0.iter_mut().zip(&x.0).for_each(|(sum, &x)| *sum += x));
        }
        sums.iter().flat_map(|sums| sums.0).take(self.shape.len() / points).collect()
    }

    /// Returns the numbers of sample `s`, in the order of [`Self::data`].
    pub fn sample(&self, s: usize) -> &[T] {
        let n = self.shape.len();
        &self.data()[s * n..][..n]
    }

    /// Returns the numbers of sample `s`, in the order of [`Self::data`].
    pub fn sample_mut(&mut self, s: usize) -> &mut [T] {
        let n = self.shape.len();
        &mut self.data_mut()[s * n..][..n]
    }

    /// Returns the samples of a range, copied.
    #[must_use]
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let n = self.shape.len();
        Self::computed(self.shape, range.len(), self.data()[range.start * n..range.end * n].to_vec())
    }

    /// Returns the samples of `indices`, copied in that order.
    #[must_use]
    pub fn gather(&self, indices: &[usize]) -> Self {
        let mut data = Vec::with_capacity(indices.len() * self.shape.len());
        for &s in indices {
            data.extend_from_slice(self.sample(s));
        }
        Self::computed(self.shape, indices.len(), data)
    }

    /// Returns the same numbers under another shape of the same length.
    pub(crate) fn reshaped(mut self, shape: Shape) -> Self {
        debug_assert_eq!(self.shape.len(), shape.len());
        self.data_mut();
        self.shape = shape;
        self
    }

    /// Returns the features × samples matrix whose columns are the samples.
    pub fn as_matrix(&self) -> MatRef<'_, T> {
        MatRef::from_column_major_slice(self.data(), self.shape.len(), self.samples)
    }

    /// Returns the features × samples matrix whose columns are the samples.
    pub fn as_matrix_mut(&mut self) -> MatMut<'_, T> {
        let (rows, columns) = (self.shape.len(), self.samples);
        MatMut::from_column_major_slice_mut(self.data_mut(), rows, columns)
    }

    /// Returns the same samples in another format: exact from `f32` to `f64`, rounded to nearest the other way.
    pub fn cast<U: Scalar>(&self) -> Batch<U> {
        Batch::computed(self.shape, self.samples, cast(self.data()))
    }

    /// Returns the samples of a range in another format, as [`Self::cast`].
    pub(crate) fn cast_slice<U: Scalar>(&self, range: std::ops::Range<usize>) -> Batch<U> {
        let n = self.shape.len();
        Batch::computed(self.shape, range.len(), cast(&self.data()[range.start * n..range.end * n]))
    }

    /// Returns the absolute values.
    #[must_use]
    pub fn absolute(&self) -> Self {
        Self::computed(self.shape, self.samples, self.data().iter().map(|x| num_traits::Float::abs(*x)).collect())
    }

    /// For each sample, an upper bound of its Euclidean norm; infinite if it holds a NaN.
    pub fn norms_up(&self) -> Vec<f64> {
        self.data().chunks(self.shape.len()).map(norm_up).collect()
    }

    /// Returns `a·self`.
    #[must_use]
    pub(crate) fn scaled(&self, a: T) -> Self {
        match self.blocks.get() {
            Some(blocks) => {
                let mut blocks = blocks.clone();
                blocks.iter_mut().for_each(|b| b.0.iter_mut().for_each(|x| *x = a * *x));
                Self::from_blocks(self.shape, self.samples, blocks)
            }
            None => Self::computed(self.shape, self.samples, self.data().iter().map(|&x| a * x).collect()),
        }
    }

    /// Returns `Σ ⟨self, x⟩` over all samples.
    pub(crate) fn dot(&self, x: &Self) -> T {
        self.data().iter().zip(x.data()).map(|(&x, &y)| x * y).sum()
    }

    /// `self ← self + a·x`.
    pub fn axpy(&mut self, a: T, x: &Self) {
        debug_assert_eq!((self.shape, self.samples), (x.shape, x.samples));
        let add = |(y, &x): (&mut T, &T)| *y += a * x;
        match (self.blocks.get_mut(), x.blocks.get()) {
            (Some(y), Some(x)) => {
                self.data.take();
                y.iter_mut().zip(x.iter()).for_each(|(y, x)| y.0.iter_mut().zip(&x.0).for_each(add));
            }
            (None, Some(_)) if x.data.get().is_none() => {
                self.blocks();
                self.axpy(a, x);
            }
            _ => self.data_mut().iter_mut().zip(x.data()).for_each(add),
        }
    }
}

/// Returns the position of the largest number, the first of several; 0 if none is larger than another.
pub fn argmax<T: PartialOrd>(x: &[T]) -> usize {
    (1..x.len()).fold(0, |best, j| if x[j] > x[best] { j } else { best })
}

/// Returns the class of logits, the position of the largest, the first of several; none if one of them is NaN: they overflowed, or
/// equations were not solved to their tolerance.
pub fn class<T: Scalar>(logits: &[T]) -> Option<usize> {
    (!logits.iter().any(|logit| logit.is_nan())).then(|| argmax(logits))
}

/// Returns the same numbers in another format: exact from `f32` to `f64`, rounded to nearest the other way.
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
