//! Mean pooling.

use super::Operator;
use crate::{
    buffer::Buffer,
    error::Result,
    model::{Linear, Pair, Pooling},
    rigor::Upper,
    scalar::Scalar,
    tensor::{Batch, Shape},
};

/// The means of windows of points of each channel, those beyond the border counting as zeros; what is left over at the
/// lower and right border is dropped, as PyTorch does.
///
/// For disjoint windows of `a × b` points its rows are orthogonal with norm `1/√(ab)`, so its norm is exactly that: `1/s`
/// for square ones, `1/√(hw)` for the global mean. Where a point lies in up to `m` windows it is at most `√(m/(ab))`.
#[derive(Debug, Clone)]
pub struct MeanPool {
    input: Shape,
    pooling: Pooling,
    output: Shape,
    global: bool,
}

impl MeanPool {
    /// Pooling over windows of `size` × `size` points with stride `size`.
    ///
    /// # Errors
    /// [`Error::Parameter`] if `input` is no image, or `size` is 0 or larger than it.
    ///
    /// [`Error::Parameter`]: crate::Error::Parameter
    pub fn new(input: Shape, size: usize) -> Result<Self> {
        Self::windows(input, Pooling::disjoint(size))
    }

    /// Pooling over any windows.
    ///
    /// # Errors
    /// As [`Pooling::output`].
    pub fn windows(input: Shape, pooling: Pooling) -> Result<Self> {
        let (pooling, output) = (pooling.canonical(), pooling.output(input)?);
        Ok(Self { input, pooling, output, global: false })
    }

    /// Returns the mean of each channel; its output is a vector of features.
    ///
    /// # Errors
    /// As [`Self::new`] if `input` is no image.
    pub fn global(input: Shape) -> Result<Self> {
        let (_, height, width) = input.as_image("global mean pooling")?;
        Ok(Self { global: true, ..Self::windows(input, Pooling::disjoint(Pair([height, width])))? })
    }

    /// Calls `visit(window, point)` for every point of every window of one channel.
    #[inline(always)]
    fn visit(&self, visit: impl FnMut(usize, usize)) {
        self.pooling.visit(self.input, self.output, visit);
    }

    /// Returns the numbers of points and of windows of one channel.
    fn plane(&self) -> (usize, usize) {
        (self.input.points(), self.output.points())
    }

    /// Returns `x/area`, for an area that is a power of two by the product that is the same number.
    fn share<T: Scalar>(&self) -> impl Fn(T) -> T {
        let count = self.pooling.area();
        let area = T::of(count as f64);
        let (exact, inverse) = (count.is_power_of_two(), T::one() / area);
        move |x| if exact { x * inverse } else { x / area }
    }
}

impl<T: Scalar> Operator<T> for MeanPool {
    fn describe(&self) -> Linear {
        if self.global { Linear::GlobalAvgPool {} } else { Linear::AvgPool(self.pooling) }
    }

    fn input(&self) -> Shape {
        self.input
    }

    fn output(&self) -> Shape {
        match self.output {
            Shape::Image { channels, .. } if self.global => Shape::Features(channels),
            output => output,
        }
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
            self.visit(|window, point| {
                shares[point].0.iter_mut().zip(&y[window].0).for_each(|(sum, &y)| *sum += share(y));
            });
        }
        x.axpy(T::one(), &Batch::from_blocks(x.shape(), x.samples(), shares));
    }

    fn terms(&self) -> [usize; 2] {
        // Divisions and their sum: each division counts as one more rounding.
        [self.pooling.area() + 1, self.pooling.multiplicity() + 1]
    }

    fn apply_absolute(&self, x: &Batch<T>, y: &mut Batch<T>) {
        self.apply(x, y);
    }

    fn adjoint_absolute(&self, y: &Batch<T>, x: &mut Batch<T>) {
        self.adjoint(y, x);
    }

    fn absolute_norm(&self) -> Result<Upper> {
        Ok(self.pooling.mean_norm())
    }

    fn widen(&self) -> Box<dyn Operator<f64>> {
        Box::new(self.clone())
    }
}
