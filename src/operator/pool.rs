//! Mean pooling over disjoint windows.

use super::Operator;
use crate::{
    buffer::Buffer,
    error::{Error, Result},
    lanes::Block,
    model::{Linear, Pair},
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

    /// Calls `visit(window, point)` for every point of every window of one channel, row by row.
    #[inline(always)]
    fn visit(&self, mut visit: impl FnMut(usize, usize)) {
        let (rows, columns) = self.windows();
        for y in 0..rows * self.size.0 {
            let (window, point) = (y / self.size.0 * columns, y * self.input.1);
            for x in 0..columns {
                (0..self.size.1).for_each(|b| visit(window + x, point + x * self.size.1 + b));
            }
        }
    }

    /// The numbers of points and of windows of one channel.
    fn plane(&self) -> (usize, usize) {
        let (rows, columns) = self.windows();
        (self.input.0 * self.input.1, rows * columns)
    }

    /// `x/area`, for an area that is a power of two by the product that is the same number.
    fn share<T: Scalar>(&self) -> impl Fn(T) -> T {
        let area = T::of(self.area() as f64);
        let (exact, inverse) = (self.area().is_power_of_two(), T::one() / area);
        move |x| if exact { x * inverse } else { x / area }
    }
}

impl<T: Scalar> Operator<T> for MeanPool {
    fn describe(&self) -> Linear {
        if self.global { Linear::GlobalAvgPool {} } else { Linear::AvgPool { size: Pair(self.size.into()) } }
    }

    fn input(&self) -> Shape {
        Shape::image(self.channels, self.input.0, self.input.1)
    }

    fn output(&self) -> Shape {
        let (rows, columns) = self.windows();
        if self.global { Shape::Features(self.channels) } else { Shape::image(self.channels, rows, columns) }
    }

    fn apply(&self, x: &Batch<T>, y: &mut Batch<T>) {
        let (points, windows) = self.plane();
        let share = self.share();
        let mut means = Buffer::zeros(x.blocks().len() / points * windows);
        for (x, means) in x.blocks().chunks(points).zip(means.chunks_mut(windows)) {
            // Divided first, no partial sum exceeds the mean of the absolute values: that is what error bounds rest on.
            self.visit(|window, point| {
                means[window].0.iter_mut().zip(&x[point].0).for_each(|(mean, &x)| *mean += share(x));
            });
        }
        y.axpy(T::one(), &Batch::from_blocks(y.shape(), y.samples(), means));
    }

    fn adjoint(&self, y: &Batch<T>, x: &mut Batch<T>) {
        let (points, windows) = self.plane();
        let share = self.share();
        let mut shares = Buffer::zeros(y.blocks().len() / windows * points);
        for (shares, y) in shares.chunks_mut(points).zip(y.blocks().chunks(windows)) {
            self.visit(|window, point| shares[point] = Block(y[window].0.map(&share)));
        }
        x.axpy(T::one(), &Batch::from_blocks(x.shape(), x.samples(), shares));
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
        let root = directed::sqrt_down(self.area() as f64);
        Ok(Upper::proved(directed::div_up(1.0, root)))
    }

    fn widen(&self) -> Box<dyn Operator<f64>> {
        Box::new(self.clone())
    }
}
