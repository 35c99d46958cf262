//! Layers that move coordinates: flatten, padding of channels, space to depth. They keep every distance, exactly.

use super::Layer;
use crate::{
    certificate::Certificate,
    error::{Error, Result},
    model::{Linear, Map},
    rigor::Rounding,
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};

/// A reordering of the coordinates of a sample, or their embedding among zeros: an isometry without rounding.
#[derive(Debug, Clone)]
pub struct Reshape {
    kind: Kind,
    input: Shape,
    output: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Flatten,
    PadChannels,
    SpaceToDepth { block: usize },
}

impl Reshape {
    /// An image as a vector of features, in the order in which it is stored.
    pub fn flatten(input: Shape) -> Self {
        Self { kind: Kind::Flatten, input, output: Shape::Features(input.len()) }
    }

    /// An image with channels of zeros appended.
    ///
    /// # Errors
    /// [`Error::Parameter`] if `input` is no image or has more channels already, or the output would be too large.
    pub fn pad_channels(input: Shape, channels: usize) -> Result<Self> {
        let (present, height, width) = input.as_image("padding of channels")?;
        if channels < present {
            return Err(Error::parameter("channels", channels, format!("the input has {present} already")));
        }
        let output = Shape::try_from(vec![channels, height, width])?;
        Ok(Self { kind: Kind::PadChannels, input, output })
    }

    /// Blocks of `block × block` points as channels, in PyTorch's order (`pixel_unshuffle`): output channel
    /// `c·block² + i·block + j` holds the points `(i, j)` of the blocks of channel `c`.
    ///
    /// # Errors
    /// [`Error::Parameter`] if `input` is no image or `block` does not divide its height and width.
    pub fn space_to_depth(input: Shape, block: usize) -> Result<Self> {
        let (channels, height, width) = input.as_image("space to depth")?;
        if block == 0 || height % block != 0 || width % block != 0 {
            return Err(Error::parameter("block", block, format!("it must divide the image of {input}")));
        }
        let output = Shape::image(channels * block * block, height / block, width / block);
        Ok(Self { kind: Kind::SpaceToDepth { block }, input, output })
    }

    /// Calls `visit(input index, output index)` for every coordinate of a sample of the input.
    fn visit(&self, mut visit: impl FnMut(usize, usize)) {
        match (self.kind, self.input) {
            (Kind::SpaceToDepth { block }, Shape::Image { height, width, .. }) => {
                let (rows, columns) = (height / block, width / block);
                for from in 0..self.input.len() {
                    let (c, y, x) = (from / (height * width), from / width % height, from % width);
                    let channel = (c * block + y % block) * block + x % block;
                    visit(from, (channel * rows + y / block) * columns + x / block);
                }
            }
            _ => (0..self.input.len()).for_each(|i| visit(i, i)),
        }
    }
}

impl<T: Scalar> Layer<T> for Reshape {
    fn describe(&self) -> Map {
        Map::Linear(match (self.kind, self.output) {
            (Kind::PadChannels, Shape::Image { channels, .. }) => Linear::PadChannels { channels },
            (Kind::SpaceToDepth { block }, _) => Linear::SpaceToDepth { block },
            _ => Linear::Flatten {},
        })
    }

    fn input(&self) -> Shape {
        self.input
    }

    fn output(&self) -> Shape {
        self.output
    }

    fn forward(&self, x: Batch<T>, _tape: &mut Tape<T>) -> Batch<T> {
        if self.kind == Kind::Flatten {
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
        if self.kind == Kind::Flatten {
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
