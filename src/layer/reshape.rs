//! Layers that move coordinates, or drop some: flatten, padding of channels, space to depth, shifts, mirrors, first
//! channels. They enlarge no distance, exactly.

use super::Layer;
use crate::{
    certificate::Certificate,
    error::{Error, Result},
    model::{Linear, Map},
    rigor::{Rounding, torus::PaddingMode},
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};

/// Every coordinate of the output is one of the input, or 0, and no coordinate of the input is there twice: it is
/// 1-Lipschitz, without rounding.
///
/// It is an isometry unless it drops something, as [`Self::first_channels`] and shifts with zeros do.
#[derive(Debug, Clone)]
pub struct Reshape {
    linear: Linear,
    input: Shape,
    output: Shape,
}

impl Reshape {
    /// Returns the layer of a description.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a map that does not merely move coordinates, or does not fit the input.
    pub fn described(linear: &Linear, input: Shape) -> Result<Self> {
        let output = linear.output(input)?;
        match linear {
            Linear::Flatten {}
            | Linear::PadChannels { .. }
            | Linear::SpaceToDepth { .. }
            | Linear::FirstChannels { .. }
            | Linear::Shift { .. }
            | Linear::Mirror {} => Ok(Self { linear: linear.clone(), input, output }),
            other => Err(Error::parameter("map", other.kind(), "it does more than move coordinates")),
        }
    }

    /// Creates the layer that makes a vector of an image, in the order in which it is stored.
    pub fn flatten(input: Shape) -> Self {
        Self { linear: Linear::Flatten {}, input, output: Shape::Features(input.len()) }
    }

    /// Creates the layer that appends channels of zeros to an image.
    ///
    /// # Errors
    /// [`crate::Error::Parameter`] if `input` is no image or has more channels already, or the output would be too large.
    pub fn pad_channels(input: Shape, channels: usize) -> Result<Self> {
        Self::described(&Linear::PadChannels { channels }, input)
    }

    /// Blocks of `block × block` points as channels, in PyTorch's order (`pixel_unshuffle`): output channel
    /// `c·block² + i·block + j` holds the points `(i, j)` of the blocks of channel `c`.
    ///
    /// # Errors
    /// [`crate::Error::Parameter`] if `input` is no image or `block` does not divide its height and width.
    pub fn space_to_depth(input: Shape, block: usize) -> Result<Self> {
        Self::described(&Linear::SpaceToDepth { block }, input)
    }

    /// Returns the first channels of an image, or the first features.
    ///
    /// # Errors
    /// [`crate::Error::Parameter`] if there are fewer, or `channels` is 0.
    pub fn first_channels(input: Shape, channels: usize) -> Result<Self> {
        Self::described(&Linear::FirstChannels { channels }, input)
    }

    /// Groups of channels of an image, each moved down by some rows and to the right by some columns: `(channels, rows,
    /// columns)`.
    ///
    /// # Errors
    /// [`crate::Error::Parameter`] if `input` is no image or has fewer channels.
    pub fn shift(input: Shape, groups: Vec<(usize, isize, isize)>, mode: PaddingMode) -> Result<Self> {
        Self::described(&Linear::Shift { groups, mode }, input)
    }

    /// Creates the layer that reverses the columns of an image.
    ///
    /// # Errors
    /// [`crate::Error::Parameter`] if `input` is no image.
    pub fn mirror(input: Shape) -> Result<Self> {
        Self::described(&Linear::Mirror {}, input)
    }

    /// Calls `visit(input index, output index)` for every coordinate of a sample of the input that is one of the output.
    pub(crate) fn visit(&self, mut visit: impl FnMut(usize, usize)) {
        let Shape::Image { channels, height, width } = self.input else {
            return (0..self.input.len().min(self.output.len())).for_each(|i| visit(i, i));
        };
        let points = || (0..channels).flat_map(|c| (0..height).flat_map(move |y| (0..width).map(move |x| (c, y, x))));
        match &self.linear {
            Linear::SpaceToDepth { block } => {
                let (rows, columns) = (height / block, width / block);
                for (from, (c, y, x)) in points().enumerate() {
                    let channel = (c * block + y % block) * block + x % block;
                    visit(from, (channel * rows + y / block) * columns + x / block);
                }
            }
            Linear::Mirror {} => {
                points()
                    .enumerate()
                    .for_each(|(from, (c, y, x))| visit(from, (c * height + y) * width + width - 1 - x));
            }
            Linear::Shift { groups, mode } => {
                let moves: Vec<(isize, isize)> =
                    groups.iter().flat_map(|&(count, dy, dx)| std::iter::repeat_n((dy, dx), count)).collect();
                for (from, (c, y, x)) in points().enumerate() {
                    let (dy, dx) = moves.get(c).copied().unwrap_or_default();
                    if let (Some(y), Some(x)) = (moved(y, dy, height, *mode), moved(x, dx, width, *mode)) {
                        visit(from, (c * height + y) * width + x);
                    }
                }
            }
            _ => (0..self.input.len().min(self.output.len())).for_each(|i| visit(i, i)),
        }
    }
}

/// Where a row or a column goes; nowhere, if that is beyond the border and the image is not circular.
fn moved(at: usize, by: isize, n: usize, mode: PaddingMode) -> Option<usize> {
    match mode {
        // Both are below n, so nothing overflows.
        PaddingMode::Circular => Some((at + by.rem_euclid(n as isize) as usize) % n),
        PaddingMode::Zeros => at.checked_add_signed(by).filter(|&to| to < n),
    }
}

impl<T: Scalar> Layer<T> for Reshape {
    fn describe(&self) -> Map {
        Map::Linear(self.linear.clone())
    }

    fn input(&self) -> Shape {
        self.input
    }

    fn output(&self) -> Shape {
        self.output
    }

    fn forward(&self, x: Batch<T>, _tape: &mut Tape<T>) -> Batch<T> {
        if let Linear::Flatten {} = self.linear {
            return x.reshaped(self.output);
        }
        let mut y = Batch::zeros(self.output, x.samples());
        for s in 0..x.samples() {
            let (x, y) = (x.sample(s), y.sample_mut(s));
            self.visit(|from, to| y[to] = x[from]);
        }
        y
    }

    fn vjp(&self, _tape: &Tape<T>, g: Batch<T>, _gradient: Option<&mut [Vec<T>]>) -> Batch<T> {
        if let Linear::Flatten {} = self.linear {
            return g.reshaped(self.input);
        }
        let mut x = Batch::zeros(self.input, g.samples());
        for s in 0..g.samples() {
            let (x, g) = (x.sample_mut(s), g.sample(s));
            self.visit(|to, from| x[to] = g[from]);
        }
        x
    }

    fn jvp(&self, tape: &Tape<T>, v: Batch<T>) -> Batch<T> {
        let _ = tape;
        self.forward(v, &mut Tape::idle())
    }

    fn rounding(&self, _: &Certificate, _: &Rounding, _tape: &Tape<f64>, reach: &[f64]) -> Result<Vec<f64>> {
        Ok(vec![0.0; reach.len()])
    }

    fn widen(&self) -> Box<dyn Layer<f64>> {
        Box::new(self.clone())
    }
}
