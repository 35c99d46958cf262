//! Windows of an image: their size, their stride, and how often one point lies in them.

use serde::{Deserialize, Serialize};

use super::{Pair, shapes::LARGEST_SAMPLE};
use crate::{
    error::{Error, Result},
    rigor::{
        Upper,
        directed::{div_up, mul_up, sqrt_down, sqrt_up},
    },
    tensor::Shape,
};

/// Windows of `a × b` points, `stride` apart, on an image with `padding` points beyond each border.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pooling {
    /// The height and the width of a window.
    pub size: Pair,
    /// The distance of neighboring windows; their size, if nothing else is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<Pair>,
    /// The points beyond the border, at most half of a window.
    #[serde(default, skip_serializing_if = "Pair::is_zero")]
    pub padding: Pair,
}

impl Pooling {
    /// Disjoint windows of a size, without padding.
    pub fn disjoint(size: impl Into<Pair>) -> Self {
        Self { size: size.into(), stride: None, padding: Pair([0; 2]) }
    }

    /// Returns the distance of neighboring windows.
    pub fn stride(&self) -> Pair {
        self.stride.unwrap_or(self.size)
    }

    /// Returns the one way in which these windows are written: a stride that is the size is left out.
    pub(crate) fn canonical(self) -> Self {
        Self { stride: self.stride.filter(|&stride| stride != self.size), ..self }
    }

    /// Returns the number of points of a window.
    pub fn area(&self) -> usize {
        self.size.0.iter().product()
    }

    /// Returns the shape of an image of windows; what is left over at the lower and right border is dropped.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the input is no image, a size or a stride is 0 or exceeds what a sample may hold, a window
    /// does not fit into the padded image, or the padding exceeds half of a window: every window holds a point of the
    /// image.
    pub fn output(&self, input: Shape) -> Result<Shape> {
        let (channels, height, width) = input.as_image("pooling")?;
        let (size, stride, padding) = (self.size.0, self.stride().0, self.padding.0);
        let mut sides = [height, width];
        for (i, side) in sides.iter_mut().enumerate() {
            for (name, value) in [("size", size[i]), ("stride", stride[i])] {
                if !(1..=LARGEST_SAMPLE).contains(&value) {
                    return Err(Error::parameter(name, value, format!("from 1 to {LARGEST_SAMPLE}")));
                }
            }
            if padding[i] > size[i] / 2 {
                return Err(Error::parameter("padding", padding[i], "it is at most half of a window"));
            }
            let Some(room) = (*side + 2 * padding[i]).checked_sub(size[i]) else {
                let reason = format!("a window must fit into the image of {input}");
                return Err(Error::parameter("size", format!("{}×{}", size[0], size[1]), reason));
            };
            *side = room / stride[i] + 1;
        }
        Ok(Shape::image(channels, sides[0], sides[1]))
    }

    /// Returns the largest number of windows that one point lies in: `⌈a/s⌉⌈b/s'⌉`.
    pub fn multiplicity(&self) -> usize {
        self.size.0.iter().zip(self.stride().0).map(|(size, stride)| size.div_ceil(stride)).product()
    }

    /// Returns `√m`, where at most `m` windows hold the same point: the Lipschitz constant of a map that is 1-Lipschitz in
    /// each window, as `Σ_w ‖Δx_w‖² ≤ m‖Δx‖²`.
    pub(crate) fn overlap(&self) -> Upper {
        Upper::proved(sqrt_up(self.multiplicity() as f64))
    }

    /// Returns a bound of the norm of the means `W` over windows of `ab` points, `√Σ/(ab)`, where `Σ` is the number of points that
    /// one window shares with all windows, itself included: a row of `WWᵀ` sums to at most `Σ/(ab)²`. It is `Σ_t (a − |t|s)₊`
    /// times the same of `b`. For disjoint windows it is exact, for others attained as the image grows.
    pub(crate) fn mean_norm(&self) -> Upper {
        let area = self.area() as f64;
        if self.multiplicity() == 1 {
            // Exact for squares.
            return Upper::proved(div_up(1.0, sqrt_down(area)));
        }
        // Sides are below 2²⁵, so these are integers below 2⁵³.
        let shared = |(&a, s): (&usize, usize)| {
            let beyond = (a - 1) / s;
            (a * (2 * beyond + 1) - s * beyond * (beyond + 1)) as f64
        };
        let shared = self.size.0.iter().zip(self.stride().0).map(shared).fold(1.0, mul_up);
        Upper::proved(div_up(sqrt_up(shared), area))
    }

    /// Calls `visit(window, point)` for every point of every window of one channel of an image, window by window, row by
    /// row.
    #[inline(always)]
    pub(crate) fn visit(&self, input: Shape, output: Shape, mut visit: impl FnMut(usize, usize)) {
        let (Shape::Image { height, width, .. }, Shape::Image { height: rows, width: columns, .. }) = (input, output)
        else {
            return;
        };
        let ([a, b], [sy, sx], [py, px]) = (self.size.0, self.stride().0, self.padding.0);
        // The points from `start` on that lie in the image.
        let range = |at: usize, stride: usize, padding: usize, size: usize, n: usize| {
            let start = at * stride;
            start.saturating_sub(padding)..(start + size).saturating_sub(padding).min(n)
        };
        for i in 0..rows {
            for j in 0..columns {
                for y in range(i, sy, py, a, height) {
                    range(j, sx, px, b, width).for_each(|x| visit(i * columns + j, y * width + x));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points count as often as windows hold them: then every mean is the same, and the bound is attained but for the borders.
    #[test]
    fn means_over_windows_that_overlap_attain_their_norm() {
        for (size, stride) in
            [([1, 3], [1, 2]), ([1, 5], [1, 4]), ([1, 5], [1, 1]), ([1, 4], [1, 2]), ([3, 3], [2, 2]), ([1, 3], [7, 2])]
        {
            let pooling = Pooling { stride: Some(Pair(stride)), ..Pooling::disjoint(Pair(size)) };
            let input = Shape::image(1, if size[0] == 1 { 1 } else { 201 }, if size[0] == 1 { 20_001 } else { 201 });
            let output = pooling.output(input).expect("windows");
            let (mut x, mut y) = (vec![0.0f64; input.len()], vec![0.0f64; output.len()]);
            pooling.visit(input, output, |_, point| x[point] += 1.0);
            pooling.visit(input, output, |window, point| y[window] += x[point] / pooling.area() as f64);
            let square = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>();
            let (ratio, bound) = ((square(&y) / square(&x)).sqrt(), pooling.mean_norm().get());
            assert!(ratio <= bound && ratio >= 0.99 * bound, "{size:?} {stride:?}: {ratio} of {bound}");
        }
    }
}
