//! The gradient by the weights of a convolution.

use pulp::{Arch, Simd, WithSimd};

use super::{kernel::Group, pass::Pass};
use crate::{
    buffer::Buffer,
    lanes::{Block, LANES, Lanes, vectors_in_block},
    scalar::Scalar,
    tensor::Batch,
};

/// About the number of points over which the products of all taps are summed before the next ones are read.
const BAND: usize = 256;

/// Adds `Σ_p y_{o,p} x_{c,p + t}` over all samples to `gradient[o, c, t]`.
pub(super) fn accumulate<T: Scalar>(pass: &Pass<T>, y: &Batch<T>, x: &Batch<T>, gradient: &mut [T]) {
    let groups = pass.groups().len();
    let mut sums = Buffer::zeros(pass.output.blocks * groups * LANES);
    Arch::new().dispatch(Samples { pass, y, x, sums: &mut sums });
    let (inputs, outputs) = (pass.frame.image.channels, pass.output.channels);
    let taps = groups / pass.frame.image.blocks;
    for (o, gradient) in gradient.chunks_mut(inputs * taps).enumerate().take(outputs) {
        let sums = &sums[o / LANES * groups * LANES..];
        for (i, gradient) in gradient.iter_mut().enumerate() {
            let (c, tap) = (i / taps, i % taps);
            *gradient += sums[(c / LANES * taps + tap) * LANES + o % LANES].0[c % LANES];
        }
    }
}

pub(super) struct Samples<'a, T: Scalar> {
    pub pass: &'a Pass<T>,
    pub y: &'a Batch<T>,
    pub x: &'a Batch<T>,
    /// For each block of output channels and each group, one block of input channels for each output channel.
    pub sums: &'a mut [Block<T>],
}

impl<T: Scalar> WithSimd for Samples<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { pass, y, x, sums } = self;
        let (columns, points) = (pass.output.columns, pass.output.points());
        let band = (BAND / columns).max(1) * columns;
        let mut tile = pass.frame.tile();
        let samples = x.blocks().chunks(pass.frame.image.len()).zip(y.blocks().chunks(pass.output.len()));
        for (x, y) in samples {
            pass.frame.load_sample(x, &mut tile);
            for start in (0..points).step_by(band) {
                let tile = &tile[start / columns * pass.width()..];
                for (channels, sums) in sums.chunks_mut(pass.groups().len() * LANES).enumerate() {
                    let y = &y[channels * points + start..][..band.min(points - start)];
                    for (groups, sums) in pass.groups().chunks(3).zip(sums.chunks_mut(3 * LANES)) {
                        simd.vectorize(Outer { tile, groups, width: pass.width(), y, columns, sums });
                    }
                }
            }
        }
    }
}

/// Adds `Σ_p x_{p+t} y_pᵀ` for the points of some rows and at most three taps: for each tap, one block of sums for each
/// lane of `y`.
struct Outer<'a, T> {
    tile: &'a [Block<T>],
    groups: &'a [Group],
    width: usize,
    y: &'a [Block<T>],
    columns: usize,
    sums: &'a mut [Block<T>],
}

impl<T: Lanes> WithSimd for Outer<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        if const { vectors_in_block::<T, S>() == 1 && S::REGISTER_COUNT >= 32 }
            && let [a, b, c] = self.groups
        {
            // One number of `y`, once it is everywhere in a vector, serves three taps.
            let offsets = [a.offset, b.offset, c.offset];
            (0..LANES).step_by(8).for_each(|first| self.lanes::<S, 3, 1, 8>(simd, 0, offsets, 0, first));
            return;
        }
        for (g, group) in self.groups.iter().enumerate() {
            let offset = [group.offset];
            if const { vectors_in_block::<T, S>() == 1 } {
                (0..LANES).step_by(8).for_each(|first| self.lanes::<S, 1, 1, 8>(simd, g, offset, 0, first));
                continue;
            }
            for part in (0..const { vectors_in_block::<T, S>() }).step_by(2) {
                (0..LANES).step_by(4).for_each(|first| self.lanes::<S, 1, 2, 4>(simd, g, offset, part, first));
            }
        }
    }
}

impl<T: Lanes> Outer<'_, T> {
    /// The sums for `G` taps from the tap `g` on: `P` vectors from the vector `part` on for `R` lanes of `y` from
    /// `first` on.
    #[inline(always)]
    fn lanes<S: Simd, const G: usize, const P: usize, const R: usize>(
        &mut self,
        simd: S,
        g: usize,
        offsets: [usize; G],
        part: usize,
        first: usize,
    ) {
        let mut sums = [[[T::splat(simd, T::default()); P]; R]; G];
        for (i, y) in self.y.chunks(self.columns).enumerate() {
            let x = offsets.map(|offset| &self.tile[offset + i * self.width..][..self.columns]);
            sums = row::<T, S, G, P, R>(simd, sums, x, &y[..self.columns], part, first);
        }
        for (to, sums) in self.sums[g * LANES..].chunks_mut(LANES).zip(&sums) {
            for (to, sums) in to[first..].iter_mut().zip(sums) {
                for (to, &sum) in T::vectors_mut::<S>(&mut to.0)[part..].iter_mut().zip(sums) {
                    *to = T::plus(simd, *to, sum);
                }
            }
        }
    }
}

/// Returns the sums after one more row. They go in and out as values: then they stay in registers from row to row.
#[inline(always)]
fn row<T: Lanes, S: Simd, const G: usize, const P: usize, const R: usize>(
    simd: S,
    mut sums: [[[T::Vector<S>; P]; R]; G],
    x: [&[Block<T>]; G],
    y: &[Block<T>],
    part: usize,
    first: usize,
) -> [[[T::Vector<S>; P]; R]; G] {
    for j in 0..y.len() {
        let mut w = [[T::splat(simd, T::default()); P]; G];
        for g in 0..G {
            w[g].copy_from_slice(&T::vectors::<S>(&x[g][j].0)[part..part + P]);
        }
        let y = &y[j].0[first..first + R];
        for r in 0..R {
            let y = T::splat(simd, y[r]);
            for g in 0..G {
                for p in 0..P {
                    sums[g][r][p] = T::multiply_add(simd, w[g][p], y, sums[g][r][p]);
                }
            }
        }
    }
    sums
}
