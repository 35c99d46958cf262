//! Convolutions with kernels of 3×3 points by Winograd's method: four times fewer multiplications.
//!
//! The 4×4 points `Y` of the output that read the 6×6 points `X` of the input are
//!
//! ```math
//! Y = A^\top \Bigl[\sum_c (G K_c G^\top) \odot (B^\top X_c B)\Bigr] A,
//! ```
//!
//! so that the products of all channels are 36 products of matrices; the gradient by `K` is the transpose of all that.
//! Rounding errors are larger than those of a sum of
//! products, and no certificate bounds them: this is for gradients, which steer training and attacks and prove nothing.
//!
//! Source: Lavin, Gray, *Fast algorithms for convolutional neural networks*, CVPR 2016.

mod gradient;
mod products;
mod transform;

use pulp::{Arch, Simd};

#[cfg(test)]
pub(super) use self::gradient::Samples;
use self::products::Products;
use super::pass::{Convolve, Finish, Frame, Image, Pass};
use crate::{
    buffer::Buffer,
    lanes::{Block, LANES},
    scalar::Scalar,
};

/// The side of a square of outputs, and that of the square of inputs which it reads.
const OUT: usize = 4;
const IN: usize = OUT + 2;
/// The number of products for one square.
const PRODUCTS: usize = IN * IN;
/// About the number of squares that are transformed together: enough to fill the registers with their sums.
const TOGETHER: usize = 8;

/// A convolution with a kernel of 3×3 points.
#[derive(Debug, Clone)]
pub(super) struct Winograd<T> {
    frame: Frame,
    output: Image,
    /// The rows and columns of squares.
    squares: (usize, usize),
    /// For each product and each block of output channels, one block for each input channel.
    weights: Vec<Block<T>>,
}

impl<T: Scalar> Winograd<T> {
    /// Returns the same convolution as a sum over the taps; `None` if the kernel has another size.
    pub fn new(pass: &Pass<T>) -> Option<Self> {
        (pass.kernel() == (3, 3)).then(|| Arch::new().dispatch(|| Self::arrange(pass)))
    }

    #[inline(always)]
    fn arrange(pass: &Pass<T>) -> Self {
        let (Image { channels, .. }, output) = (pass.frame.image, pass.output);
        let squares = (output.rows.div_ceil(OUT), output.columns.div_ceil(OUT));
        let size = (squares.0 * OUT + 2, squares.1 * OUT + 2);
        let mut weights = vec![Block::default(); PRODUCTS * output.blocks * channels];
        for (o, taps) in pass.weights().enumerate() {
            for c in 0..channels {
                // The taps of a block of channels follow each other, each with all channels of the block.
                let (block, terms) = (c / LANES, LANES.min(channels - c / LANES * LANES));
                let kernel = std::array::from_fn(|t| taps[block * LANES * 9 + t * terms + c % LANES].0);
                for (product, weight) in transform::kernel(kernel).into_iter().enumerate() {
                    weights[(product * output.blocks + o) * channels + c] = Block(weight);
                }
            }
        }
        let frame = Frame { size, ..pass.frame.clone() };
        Self { frame, output, squares, weights }
    }

    /// Returns the number of squares that are transformed together.
    fn together(squares: (usize, usize)) -> usize {
        (TOGETHER / squares.1).clamp(1, squares.0) * squares.1
    }
}

impl<T: Scalar> Convolve<T> for Winograd<T> {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn output(&self) -> &Image {
        &self.output
    }

    /// Returns the transformed input, its products, and the outputs of some rows of squares.
    fn scratch(&self) -> Buffer<T> {
        let count = Self::together(self.squares);
        Buffer::new(count * (PRODUCTS * (self.frame.image.blocks + self.output.blocks) + OUT * OUT))
    }

    #[inline(always)]
    fn run<S: Simd>(&self, simd: S, tile: &[Block<T>], scratch: &mut [Block<T>], finish: &mut impl Finish<T>) {
        let (together, across) = (Self::together(self.squares), self.squares.1);
        let (inputs, Image { blocks: outputs, rows, columns, .. }) = (self.frame.image.blocks, self.output);
        let (transformed, rest) = scratch.split_at_mut(together * PRODUCTS * inputs);
        let (products, out) = rest.split_at_mut(together * PRODUCTS * outputs);
        let (height, width) = self.frame.size;
        for first in (0..self.squares.0).step_by(together / across) {
            let down = (together / across).min(self.squares.0 - first);
            let count = down * across;
            for block in 0..inputs {
                for square in 0..count {
                    let corner = (block * height + (first + square / across) * OUT) * width + square % across * OUT;
                    let to = &mut transformed[block * together + square..];
                    simd.vectorize(transform::Input { x: &tile[corner..], width, to, stride: inputs * together });
                }
            }
            simd.vectorize(Products {
                x: transformed,
                terms: self.frame.image.channels,
                weights: &self.weights,
                y: &mut *products,
                outputs,
                squares: count,
                stride: together,
            });
            let (top, bottom) = (first * OUT, rows.min((first + down) * OUT));
            for block in 0..outputs {
                for square in 0..count {
                    let (row, column) = (square / across * OUT, square % across * OUT);
                    let room = ((bottom - top - row).min(OUT), (columns - column).min(OUT));
                    let from = &products[block * together + square..];
                    let to = &mut out[row * columns + column..];
                    let stride = outputs * together;
                    simd.vectorize(transform::Output { m: from, stride, to, width: columns, room });
                }
                let at = block * self.output.points() + top * columns;
                finish.finish(simd, block, at, &mut out[..(bottom - top) * columns]);
            }
        }
    }
}
