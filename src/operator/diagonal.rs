//! A scale for each channel.

use super::Operator;
use crate::{
    error::{Error, Result},
    model::{Linear, Tensor, units},
    rigor::Upper,
    scalar::Scalar,
    tensor::{Batch, Shape, cast, finite},
};

/// `x ↦ s_c x`, with one scale for each channel `c` of an image, or each feature.
///
/// Its norm is exactly `max |s|`, its smallest singular value `min |s|`.
#[derive(Debug, Clone)]
pub struct Diagonal<T> {
    shape: Shape,
    scale: Vec<T>,
}

impl<T: Scalar> Diagonal<T> {
    /// Returns the scales of samples of a shape.
    ///
    /// # Errors
    /// [`Error::Length`] if there is not one for each channel or feature, [`Error::NotFinite`] for a NaN or an infinity.
    pub fn new(shape: Shape, scale: Vec<T>) -> Result<Self> {
        if scale.len() != units(shape) {
            let what = "scale of a channel_affine".into();
            return Err(Error::Length { what, expected: units(shape), found: scale.len() });
        }
        finite("scale", &scale)?;
        Ok(Self { shape, scale })
    }

    /// Returns `y ← y + f(s)x`.
    fn add(&self, x: &Batch<T>, y: &mut Batch<T>, f: impl Fn(T) -> T) {
        let (units, points) = (self.scale.len(), self.shape.points());
        for (i, (y, &x)) in y.data_mut().iter_mut().zip(x.data()).enumerate() {
            *y += f(self.scale[i / points % units]) * x;
        }
    }
}

impl<T: Scalar> Operator<T> for Diagonal<T> {
    fn describe(&self) -> Linear {
        Linear::ChannelAffine { scale: Tensor::new(&[self.scale.len()], &self.scale), shift: None }
    }

    fn input(&self) -> Shape {
        self.shape
    }

    fn output(&self) -> Shape {
        self.shape
    }

    fn apply(&self, x: &Batch<T>, y: &mut Batch<T>) {
        self.add(x, y, |s| s);
    }

    fn adjoint(&self, y: &Batch<T>, x: &mut Batch<T>) {
        self.add(y, x, |s| s);
    }

    fn accumulate(&self, y: &Batch<T>, x: &Batch<T>, gradient: &mut [T]) {
        let (units, points) = (self.scale.len(), self.shape.points());
        for (i, (&y, &x)) in y.data().iter().zip(x.data()).enumerate() {
            gradient[i / points % units] += y * x;
        }
    }

    fn weight(&self) -> &[T] {
        &self.scale
    }

    fn weight_mut(&mut self) -> &mut [T] {
        &mut self.scale
    }

    fn terms(&self) -> [usize; 2] {
        [1, 1]
    }

    fn apply_absolute(&self, x: &Batch<T>, y: &mut Batch<T>) {
        self.add(x, y, num_traits::Float::abs);
    }

    fn adjoint_absolute(&self, y: &Batch<T>, x: &mut Batch<T>) {
        self.add(y, x, num_traits::Float::abs);
    }

    fn absolute_norm(&self) -> Result<Upper> {
        Ok(Upper::proved(self.scale.iter().map(|s| s.wide().abs()).fold(0.0, f64::max)))
    }

    fn widen(&self) -> Box<dyn Operator<f64>> {
        Box::new(Diagonal { shape: self.shape, scale: cast(&self.scale) })
    }
}
