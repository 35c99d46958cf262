//! The gradient by the weights, `Gᵀ[Σ (AYAᵀ) ⊙ (BᵀXB)]G` with the sum over all squares of all samples.

use pulp::{Arch, Simd, WithSimd};

use super::{super::pass::Image, OUT, PRODUCTS, Winograd, transform};
use crate::{
    buffer::Buffer,
    lanes::{Block, LANES, vectors_in_block},
    scalar::Scalar,
    tensor::Batch,
};

/// The number of squares over which the products are summed in registers.
const SQUARES: usize = 16;

impl<T: Scalar> Winograd<T> {
    /// Adds the gradient of `Σ ⟨y, Wx⟩` over all pairs of `y` and `x` by the weights, in the order `out × in × 3 × 3`.
    pub fn accumulate(&self, pairs: &[[&Batch<T>; 2]], gradient: &mut [T]) {
        let mut sums = self.sums();
        for [y, x] in pairs {
            Arch::new().dispatch(Samples { of: self, y: y.blocks(), x: x.blocks(), sums: &mut sums });
        }
        Arch::new().dispatch(|| self.fold(&sums, gradient));
    }

    /// For each product and each lane of `y`, one block of sums for each block of `x`; all of them 0.
    pub fn sums(&self) -> Buffer<T> {
        Buffer::zeros(PRODUCTS * self.output.blocks * self.frame.image.blocks * LANES)
    }

    /// Adds `GᵀSG` to the gradient.
    #[inline(always)]
    pub fn fold(&self, sums: &[Block<T>], gradient: &mut [T]) {
        let Image { channels, blocks, .. } = self.frame.image;
        for (o, gradient) in gradient.chunks_mut(channels * 9).enumerate() {
            for (block, gradient) in gradient.chunks_mut(LANES * 9).enumerate() {
                let at = (o / LANES * blocks + block) * LANES + o % LANES;
                let sum = |product: usize| sums[product * (sums.len() / PRODUCTS) + at].0;
                let taps = transform::kernel_gradient(std::array::from_fn(sum));
                for (lane, gradient) in gradient.chunks_mut(9).enumerate() {
                    gradient.iter_mut().zip(&taps).for_each(|(gradient, tap)| *gradient += tap[lane]);
                }
            }
        }
    }
}

/// Adds the products of all squares of all samples to the sums.
pub(in crate::operator::direct) struct Samples<'a, T> {
    pub of: &'a Winograd<T>,
    pub y: &'a [Block<T>],
    pub x: &'a [Block<T>],
    pub sums: &'a mut [Block<T>],
}

impl<T: Scalar> WithSimd for Samples<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { of: Winograd { frame, output, squares, .. }, y, x, sums } = self;
        let (inputs, outputs) = (frame.image.blocks, output.blocks);
        let mut tile = frame.tile();
        let mut to_x = Buffer::new(PRODUCTS * inputs * SQUARES);
        let mut to_y = Buffer::new(PRODUCTS * outputs * SQUARES);
        let mut square = 0;
        for (x, y) in x.chunks(frame.image.len()).zip(y.chunks(output.len())) {
            frame.load_sample(x, &mut tile);
            for (row, column) in (0..squares.0).flat_map(|i| (0..squares.1).map(move |j| (i * OUT, j * OUT))) {
                let width = frame.size.1;
                for block in 0..inputs {
                    let x = &tile[(block * frame.size.0 + row) * width + column..];
                    let to = &mut to_x[block * SQUARES + square..];
                    simd.vectorize(transform::Input { x, width, to, stride: inputs * SQUARES });
                }
                let room = ((output.rows - row).min(OUT), (output.columns - column).min(OUT));
                for block in 0..outputs {
                    let y = &y[block * output.points() + row * output.columns + column..];
                    let (to, stride) = (&mut to_y[block * SQUARES + square..], outputs * SQUARES);
                    simd.vectorize(transform::Cotangent { y, width: output.columns, room, to, stride });
                }
                square += 1;
                if square == SQUARES {
                    simd.vectorize(Outer { x: &to_x, inputs, y: &to_y, outputs, squares: square, sums: &mut *sums });
                    square = 0;
                }
            }
        }
        simd.vectorize(Outer { x: &to_x, inputs, y: &to_y, outputs, squares: square, sums });
    }
}

/// Adds `Σ y xᵀ` over some squares for each of the products: for each block of `y` and each block of `x`, one block of
/// sums for each lane of `y`.
struct Outer<'a, T> {
    x: &'a [Block<T>],
    /// The number of blocks of input channels.
    inputs: usize,
    y: &'a [Block<T>],
    /// The number of blocks of output channels.
    outputs: usize,
    squares: usize,
    sums: &'a mut [Block<T>],
}

impl<T: Scalar> WithSimd for Outer<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // Sixteen accumulators, or eight where there are few registers. All conditions are constants.
        if const { vectors_in_block::<T, S>() == 1 && S::REGISTER_COUNT >= 32 } {
            match self.inputs % 2 {
                0 => self.all::<S, 2, 1, 8>(simd),
                _ => self.all::<S, 1, 1, 16>(simd),
            }
        } else if const { vectors_in_block::<T, S>() == 1 } {
            self.all::<S, 1, 1, 8>(simd);
        } else if const { S::REGISTER_COUNT >= 32 } {
            self.all::<S, 1, 2, 8>(simd);
        } else {
            self.all::<S, 1, 2, 4>(simd);
        }
    }
}

impl<T: Scalar> Outer<'_, T> {
    /// `G` blocks of `x`, `P` vectors of each and `R` lanes of `y` at a time.
    #[inline(always)]
    fn all<S: Simd, const G: usize, const P: usize, const R: usize>(&mut self, simd: S) {
        for product in 0..PRODUCTS {
            for output in 0..self.outputs {
                for input in (0..self.inputs).step_by(G) {
                    for part in (0..const { vectors_in_block::<T, S>() }).step_by(P) {
                        for lane in (0..LANES).step_by(R) {
                            self.lanes::<S, G, P, R>(simd, [product, output, input], part, lane);
                        }
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn lanes<S: Simd, const G: usize, const P: usize, const R: usize>(
        &mut self,
        simd: S,
        [product, output, input]: [usize; 3],
        part: usize,
        lane: usize,
    ) {
        let y = &self.y[(product * self.outputs + output) * SQUARES..][..self.squares];
        let x = &self.x[(product * self.inputs + input) * SQUARES..][..G * SQUARES];
        let mut sums = [[[T::splat(simd, T::zero()); P]; R]; G];
        for (square, y) in y.iter().enumerate() {
            let mut w = [[T::splat(simd, T::zero()); P]; G];
            for (g, w) in w.iter_mut().enumerate() {
                w.copy_from_slice(&T::vectors::<S>(&x[g * SQUARES + square].0)[part..part + P]);
            }
            let y = &y.0[lane..lane + R];
            for r in 0..R {
                let y = T::splat(simd, y[r]);
                for g in 0..G {
                    for p in 0..P {
                        sums[g][r][p] = T::multiply_add(simd, w[g][p], y, sums[g][r][p]);
                    }
                }
            }
        }
        let first = (product * self.outputs + output) * self.inputs + input;
        for (g, sums) in sums.iter().enumerate() {
            let to = &mut self.sums[(first + g) * LANES + lane..][..R];
            for (to, sums) in to.iter_mut().zip(sums) {
                for (to, &sum) in T::vectors_mut::<S>(&mut to.0)[part..part + P].iter_mut().zip(sums) {
                    *to = T::plus(simd, *to, sum);
                }
            }
        }
    }
}
