//! The gradient by the weights of a convolution.

use pulp::{Arch, Simd, WithSimd};

use super::pass::Pass;
use crate::{
    lanes::{Block, LANES, Lanes, vectors_in_block},
    scalar::Scalar,
    tensor::Batch,
};

/// About the number of points over which the products of all taps are summed before the next ones are read.
const BAND: usize = 256;

/// Adds `Σ_p y_{o,p} x_{c,p + t}` over all samples to `gradient[o, c, t]`.
pub(super) fn accumulate<T: Scalar>(pass: &Pass<T>, y: &Batch<T>, x: &Batch<T>, gradient: &mut [T]) {
    let groups = pass.groups().len();
    let mut sums = vec![Block::default(); pass.output.blocks * groups * LANES];
    Arch::new().dispatch(Samples { pass, y, x, sums: &mut sums });
    let (inputs, outputs) = (pass.input.channels, pass.output.channels);
    let taps = groups / pass.input.blocks;
    for (o, gradient) in gradient.chunks_mut(inputs * taps).enumerate().take(outputs) {
        let sums = &sums[o / LANES * groups * LANES..];
        for (i, gradient) in gradient.iter_mut().enumerate() {
            let (c, tap) = (i / taps, i % taps);
            *gradient += sums[(c / LANES * taps + tap) * LANES + c % LANES].0[o % LANES];
        }
    }
}

pub(super) struct Samples<'a, T: Scalar> {
    pub pass: &'a Pass<T>,
    pub y: &'a Batch<T>,
    pub x: &'a Batch<T>,
    /// For each block of output channels and each group, one block for each input channel.
    pub sums: &'a mut [Block<T>],
}

impl<T: Scalar> WithSimd for Samples<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { pass, y, x, sums } = self;
        let (columns, points) = (pass.output.columns, pass.output.points());
        let band = (BAND / columns).max(1) * columns;
        let mut tile = pass.tile();
        let samples = x.blocks().chunks(pass.input.len()).zip(y.blocks().chunks(pass.output.len()));
        for (x, y) in samples {
            pass.load_sample(x, &mut tile);
            for start in (0..points).step_by(band) {
                let tile = &tile[start / columns * pass.width()..];
                for (channels, sums) in sums.chunks_mut(pass.groups().len() * LANES).enumerate() {
                    let y = &y[channels * points + start..][..band.min(points - start)];
                    for (group, sums) in pass.groups().iter().zip(sums.chunks_mut(LANES)) {
                        simd.vectorize(Outer { x: &tile[group.offset..], width: pass.width(), y, columns, sums });
                    }
                }
            }
        }
    }
}

/// Adds `Σ_p y_p x_pᵀ` for the points of some rows: one block of sums for each lane of `x`.
struct Outer<'a, T> {
    x: &'a [Block<T>],
    width: usize,
    y: &'a [Block<T>],
    columns: usize,
    sums: &'a mut [Block<T>],
}

impl<T: Lanes> WithSimd for Outer<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        if const { vectors_in_block::<T, S>() == 1 && S::REGISTER_COUNT >= 32 } {
            self.lanes::<S, 1, 16>(simd, 0, 0);
        } else if const { vectors_in_block::<T, S>() == 1 } {
            (0..LANES).step_by(8).for_each(|first| self.lanes::<S, 1, 8>(simd, 0, first));
        } else {
            for part in (0..const { vectors_in_block::<T, S>() }).step_by(2) {
                if const { S::REGISTER_COUNT >= 32 } {
                    (0..LANES).step_by(8).for_each(|first| self.lanes::<S, 2, 8>(simd, part, first));
                } else {
                    (0..LANES).step_by(4).for_each(|first| self.lanes::<S, 2, 4>(simd, part, first));
                }
            }
        }
    }
}

impl<T: Lanes> Outer<'_, T> {
    /// The sums of `P` vectors from the vector `part` on for `R` lanes of `x` from `first` on.
    #[inline(always)]
    fn lanes<S: Simd, const P: usize, const R: usize>(&mut self, simd: S, part: usize, first: usize) {
        let mut sums = [[T::splat(simd, T::default()); P]; R];
        for (x, y) in self.x.chunks(self.width).zip(self.y.chunks(self.columns)) {
            for (x, y) in x.iter().zip(y) {
                let y = &T::vectors::<S>(&y.0)[part..part + P];
                for (sums, &x) in sums.iter_mut().zip(&x.0[first..first + R]) {
                    let x = T::splat(simd, x);
                    for (sum, &y) in sums.iter_mut().zip(y) {
                        *sum = T::multiply_add(simd, y, x, *sum);
                    }
                }
            }
        }
        for (to, sums) in self.sums[first..].iter_mut().zip(&sums) {
            for (to, &sum) in T::vectors_mut::<S>(&mut to.0)[part..].iter_mut().zip(sums) {
                *to = T::plus(simd, *to, sum);
            }
        }
    }
}
