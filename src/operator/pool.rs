//! Mean pooling over disjoint windows.

use super::{NormMethod, Operator, ProvedNorm};
use crate::{
    error::{Error, Result},
    io::{OperatorSpec, TensorWriter},
    rigor::{Upper, directed},
    scalar::Scalar,
    tensor::{Batch, Shape},
};

/// The means of disjoint windows of `size.0` × `size.1` points of each channel; what is left over at the lower and
/// right border is dropped, as PyTorch does.
///
/// Its rows are orthogonal with norm `1/√(ab)`, so its norm is exactly that for windows of `a × b` points: `1/s` for
/// square ones, `1/√(hw)` for the global mean.
#[derive(Debug, Clone)]
pub struct MeanPool {
    channels: usize,
    input: (usize, usize),
    size: (usize, usize),
    global: bool,
}

impl MeanPool {
    /// Pooling over windows of `size` × `size` points with stride `size`.
    ///
    /// # Errors
    /// [`Error::Parameter`] if `input` is no image, or `size` is 0 or larger than it.
    pub fn new(input: Shape, size: usize) -> Result<Self> {
        let (channels, height, width) = input.as_image("mean pooling")?;
        if size == 0 || size > height.min(width) {
            return Err(Error::parameter("size", size, format!("a window must fit into the image of {input}")));
        }
        Ok(Self { channels, input: (height, width), size: (size, size), global: false })
    }

    /// The mean of each channel; its output is a vector of features.
    ///
    /// # Errors
    /// [`Error::Parameter`] if `input` is no image.
    pub fn global(input: Shape) -> Result<Self> {
        let (channels, height, width) = input.as_image("global mean pooling")?;
        Ok(Self { channels, input: (height, width), size: (height, width), global: true })
    }

    fn windows(&self) -> (usize, usize) {
        (self.input.0 / self.size.0, self.input.1 / self.size.1)
    }

    fn area(&self) -> usize {
        self.size.0 * self.size.1
    }

    /// Calls `visit(window, point)` for every point of every window of one channel.
    fn visit(&self, mut visit: impl FnMut(usize, usize)) {
        let (rows, columns) = self.windows();
        for y in 0..rows * self.size.0 {
            for x in 0..columns * self.size.1 {
                visit(y / self.size.0 * columns + x / self.size.1, y * self.input.1 + x);
            }
        }
    }

    /// The channels of all samples, as pairs of a slice of `x` and one of `y`.
    fn planes(&self) -> (usize, usize) {
        let (rows, columns) = self.windows();
        (self.input.0 * self.input.1, rows * columns)
    }
}

impl<T: Scalar> Operator<T> for MeanPool {
    fn kind(&self) -> &'static str {
        if self.global { "global_avg_pool" } else { "avg_pool" }
    }

    fn input(&self) -> Shape {
        Shape::image(self.channels, self.input.0, self.input.1)
    }

    fn output(&self) -> Shape {
        let (rows, columns) = self.windows();
        if self.global { Shape::Features(self.channels) } else { Shape::image(self.channels, rows, columns) }
    }

    fn apply(&self, x: &Batch<T>, y: &mut Batch<T>) {
        let (points, windows) = self.planes();
        let area = T::of(self.area() as f64);
        let mut sums = vec![T::zero(); windows];
        for (x, y) in x.data().chunks(points).zip(y.data_mut().chunks_mut(windows)) {
            sums.fill(T::zero());
            // Divided first, no partial sum exceeds the mean of the absolute values: that is what error bounds rest on.
            self.visit(|window, point| sums[window] += x[point] / area);
            for (y, &sum) in y.iter_mut().zip(&sums) {
                *y += sum;
            }
        }
    }

    fn adjoint(&self, y: &Batch<T>, x: &mut Batch<T>) {
        let (points, windows) = self.planes();
        let area = T::of(self.area() as f64);
        for (x, y) in x.data_mut().chunks_mut(points).zip(y.data().chunks(windows)) {
            self.visit(|window, point| x[point] += y[window] / area);
        }
    }

    fn norm(&self) -> Result<ProvedNorm> {
        let root = directed::sqrt_down(self.area() as f64);
        let bound = Upper::proved(directed::div_up(1.0, root));
        Ok(ProvedNorm { bound, method: NormMethod::ClosedForm })
    }

    fn terms(&self) -> [usize; 2] {
        // Divisions and their sum: each division counts as one more rounding.
        [self.area() + 1, 2]
    }

    fn apply_absolute(&self, x: &Batch<T>, y: &mut Batch<T>) {
        self.apply(x, y);
    }

    fn adjoint_absolute(&self, y: &Batch<T>, x: &mut Batch<T>) {
        self.adjoint(y, x);
    }

    fn absolute_norm(&self) -> Result<Upper> {
        Ok(Operator::<T>::norm(self)?.bound)
    }

    fn widen(&self) -> Box<dyn Operator<f64>> {
        Box::new(self.clone())
    }

    fn describe(&self, _prefix: &str, _tensors: &mut TensorWriter) -> OperatorSpec {
        if self.global { OperatorSpec::GlobalAvgPool {} } else { OperatorSpec::AvgPool { size: self.size.0 } }
    }
}
