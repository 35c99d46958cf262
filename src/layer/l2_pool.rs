//! Pooling by Euclidean norms.

use super::Layer;
use crate::{
    certificate::Certificate,
    error::Result,
    model::{Map, Pooling, Window},
    rigor::{
        Rounding,
        directed::{add_up, mul_up, sqrt_up},
    },
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};

/// The Euclidean norm of each window of each channel of an image, points beyond the border counting as zeros.
///
/// By the rule of windows it is `√m`-Lipschitz, if a point lies in at most `m` of them: 1-Lipschitz for disjoint ones.
#[derive(Debug, Clone)]
pub struct L2Pool {
    pooling: Pooling,
    input: Shape,
    output: Shape,
}

impl L2Pool {
    /// Norms over windows of samples of a shape.
    ///
    /// # Errors
    /// As [`Pooling::output`].
    pub fn new(input: Shape, pooling: Pooling) -> Result<Self> {
        Ok(Self { pooling: pooling.canonical(), input, output: pooling.output(input)? })
    }

    /// Calls `visit(output, input)` for every point of every window of a sample.
    fn visit(&self, mut visit: impl FnMut(usize, usize)) {
        let (points, windows) = (self.input.points(), self.output.points());
        for c in 0..self.output.len() / windows {
            self.pooling
                .visit(self.input, self.output, |window, point| visit(c * windows + window, c * points + point));
        }
    }

    /// `m√Σ(xᵢ/m)²` with the largest number `m` of a window: nothing overflows or underflows on the way that counts.
    fn norms<T: Scalar>(&self, x: &[T], y: &mut [T]) {
        let mut largest = vec![T::zero(); y.len()];
        self.visit(|window, point| {
            let (size, largest) = (num_traits::Float::abs(x[point]), &mut largest[window]);
            if size > *largest || size.is_nan() {
                *largest = size;
            }
        });
        self.visit(|window, point| {
            if largest[window] > T::zero() {
                let share = x[point] / largest[window];
                y[window] += share * share;
            }
        });
        for (y, m) in y.iter_mut().zip(largest) {
            *y = m * num_traits::Float::sqrt(*y);
        }
    }

    /// Returns `Σ (xᵢ/‖x‖) vᵢ`, or nothing where all are zeros: then 0 is a slope.
    fn slope<T: Scalar>(x: T, norm: T) -> T {
        if norm > T::zero() { x / norm } else { T::zero() }
    }
}

impl<T: Scalar> Layer<T> for L2Pool {
    fn describe(&self) -> Map {
        Map::Window(Window::L2Pool(self.pooling))
    }

    fn input(&self) -> Shape {
        self.input
    }

    fn output(&self) -> Shape {
        self.output
    }

    fn forward(&self, x: Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        let mut y = Batch::zeros(self.output, x.samples());
        (0..x.samples()).for_each(|s| self.norms(x.sample(s), y.sample_mut(s)));
        tape.save(x);
        tape.save_copy(&y);
        y
    }

    fn vjp(&self, tape: &Tape<T>, g: Batch<T>, _gradient: Option<&mut [Vec<T>]>) -> Batch<T> {
        let mut pulled = Batch::zeros(self.input, g.samples());
        for s in 0..g.samples() {
            let (x, y, g) = (tape.saved(0).sample(s), tape.saved(1).sample(s), g.sample(s));
            let pulled = pulled.sample_mut(s);
            self.visit(|window, point| pulled[point] += Self::slope(x[point], y[window]) * g[window]);
        }
        pulled
    }

    fn jvp(&self, tape: &Tape<T>, v: Batch<T>) -> Batch<T> {
        let mut moved = Batch::zeros(self.output, v.samples());
        for s in 0..v.samples() {
            let (x, y, v) = (tape.saved(0).sample(s), tape.saved(1).sample(s), v.sample(s));
            let moved = moved.sample_mut(s);
            self.visit(|window, point| moved[window] += Self::slope(x[point], y[window]) * v[point]);
        }
        moved
    }

    /// Returns `|ŷ − y| ≤ γ_{k+4}|y| + η` for windows of `k` points.
    ///
    /// A share is rounded, and its square: three factors `1 + δ`. The sum of `k` squares adds `k − 1`; as the largest is
    /// exactly 1, what underflows in the others, at most `kη`, is less than one rounding. A root halves these `k + 3`
    /// relative errors, and is rounded, as the product with `m` is, which alone can underflow, by `η`.
    fn rounding(&self, _: &Certificate, rounding: &Rounding, tape: &Tape<f64>, reach: &[f64]) -> Result<Vec<f64>> {
        let relative = rounding.dot(self.pooling.area() + 4);
        let absolute = mul_up(sqrt_up(self.output.len() as f64), rounding.underflow(1));
        let overlap = self.pooling.overlap().get();
        // ‖y(x')‖ ≤ ‖y(x)‖ + √m·reach, and twice what was computed of ‖y(x)‖ is more than it.
        let bound = |(norm, &reach): (f64, &f64)| {
            let size = add_up(mul_up(2.0, norm), mul_up(overlap, reach));
            rounding.unless_overflow(mul_up(2.0, size), add_up(mul_up(relative, size), absolute))
        };
        Ok(tape.saved(1).norms_up().into_iter().zip(reach).map(bound).collect())
    }

    fn widen(&self) -> Box<dyn Layer<f64>> {
        Box::new(self.clone())
    }
}
