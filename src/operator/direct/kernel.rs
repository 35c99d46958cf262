//! The inner loop: sums of products for sixteen output channels at a time, in registers.

use pulp::{Simd, WithSimd};

use crate::lanes::{Block, LANES, Lanes, vectors_in_block};

/// The products of one tap with one block of input channels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Group {
    /// Where the tap reads, in blocks from the place in the tile that stands for the output point.
    pub offset: usize,
    /// The number of input channels, at most [`LANES`].
    pub terms: usize,
}

/// `y_p = Σ_g Σ_k w_{g,k} x_{p + offset(g), k}` for the points `p` of some rows and one or two blocks of output channels.
///
/// The groups are summed chunk by chunk: each chunk in registers, one multiply-add after the other, and then added to
/// the sum of those before it. If `c` chunks have at most `m` terms each, a product passes through at most `m + c − 1`
/// roundings.
#[derive(Clone, Copy)]
pub(super) struct Sum<'a, T> {
    /// The input from the first of the rows on, each row `width` blocks long.
    pub tile: &'a [Block<T>],
    pub width: usize,
    pub groups: &'a [Group],
    /// The number of groups of a chunk.
    pub chunk: usize,
    /// Whether three groups in a row, in each chunk from the first on, read at neighbouring places in the tile.
    pub neighbours: bool,
    /// For each of the blocks of output channels, one block of weights for each term.
    pub weights: &'a [Block<T>],
    /// The number of output points in a row.
    pub columns: usize,
}

/// A sum, and where it goes for the first and for the second block of output channels, if there is one.
pub(super) struct SumInto<'a, T> {
    pub sum: Sum<'a, T>,
    pub out: [&'a mut [Block<T>]; 2],
}

impl<T: Lanes> WithSimd for SumInto<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { sum, out: [first, second] } = self;
        let terms = sum.groups.iter().map(|group| group.terms).sum();
        let (here, there) = sum.weights.split_at(terms);
        // Sixteen accumulators, or eight where there are few registers: enough to hide the latency of a multiply-add.
        // All conditions are constants, so that only what an instruction set needs is compiled for it.
        if const { vectors_in_block::<T, S>() == 1 && S::REGISTER_COUNT >= 32 } {
            match second.is_empty() {
                true => sum.rows::<S, 1, 1, 16, 18>(simd, [here], 0, [first]),
                false => sum.rows::<S, 2, 1, 8, 10>(simd, [here, there], 0, [first, second]),
            }
            return;
        }
        for (weights, out) in [(here, first), (there, second)] {
            if const { vectors_in_block::<T, S>() == 1 } {
                sum.rows::<S, 1, 1, 8, 10>(simd, [weights], 0, [&mut *out]);
                continue;
            }
            for part in (0..const { vectors_in_block::<T, S>() }).step_by(2) {
                if const { S::REGISTER_COUNT >= 32 } {
                    sum.rows::<S, 1, 2, 8, 10>(simd, [weights], part, [&mut *out]);
                } else {
                    sum.rows::<S, 1, 2, 4, 6>(simd, [weights], part, [&mut *out]);
                }
            }
        }
    }
}

impl<T: Lanes> Sum<'_, T> {
    /// The sums of `G` blocks of output channels, `P` vectors of each from the vector `part` on, `R` points at a time;
    /// `X = R + 2`.
    #[inline(always)]
    fn rows<S: Simd, const G: usize, const P: usize, const R: usize, const X: usize>(
        &self,
        simd: S,
        weights: [&[Block<T>]; G],
        part: usize,
        out: [&mut [Block<T>]; G],
    ) {
        match self.neighbours {
            true => self.tiles::<S, G, P, R, 3, X>(simd, weights, part, out),
            false => self.tiles::<S, G, P, R, 1, R>(simd, weights, part, out),
        }
    }

    #[inline(always)]
    fn tiles<S: Simd, const G: usize, const P: usize, const R: usize, const W: usize, const X: usize>(
        &self,
        simd: S,
        mut weights: [&[Block<T>]; G],
        part: usize,
        mut out: [&mut [Block<T>]; G],
    ) {
        if out[0].is_empty() {
            return;
        }
        let mut is_first = true;
        for groups in self.groups.chunks(self.chunk) {
            let terms = groups.iter().map(|group| group.terms).sum();
            let chunk = Chunk { groups, weights: weights.map(|w| &w[..terms]), part, is_first };
            for i in 0..out[0].len() / self.columns {
                let tile = &self.tile[i * self.width..];
                let mut row = out.each_mut().map(|out| &mut out[i * self.columns..][..self.columns]);
                let mut j = 0;
                while j + R <= self.columns {
                    chunk.add::<S, P, R, W, X>(simd, &tile[j..], row.each_mut().map(|row| &mut row[j..]));
                    j += R;
                }
                while j + 4 <= self.columns {
                    let row = row.each_mut().map(|row| &mut row[j..]);
                    match W {
                        3 => chunk.add::<S, P, 4, 3, 6>(simd, &tile[j..], row),
                        _ => chunk.add::<S, P, 4, 1, 4>(simd, &tile[j..], row),
                    }
                    j += 4;
                }
                while j < self.columns {
                    chunk.add::<S, P, 1, 1, 1>(simd, &tile[j..], row.each_mut().map(|row| &mut row[j..]));
                    j += 1;
                }
            }
            weights = weights.map(|w| &w[terms..]);
            is_first = false;
        }
    }
}

/// Some groups with their weights, for `G` blocks of output channels.
struct Chunk<'a, T, const G: usize> {
    groups: &'a [Group],
    weights: [&'a [Block<T>]; G],
    part: usize,
    is_first: bool,
}

impl<T: Lanes, const G: usize> Chunk<'_, T, G> {
    /// Adds the sum of the chunk for `R` neighbouring points to `out`.
    ///
    /// `W` groups at a time read at places that are neighbours, so that one number of the input, once it is everywhere
    /// in a vector, serves `W` points. Together they read `X = R + W − 1` points.
    #[inline(always)]
    fn add<S: Simd, const P: usize, const R: usize, const W: usize, const X: usize>(
        &self,
        simd: S,
        x: &[Block<T>],
        out: [&mut [Block<T>]; G],
    ) {
        let zero = T::splat(simd, T::default());
        let mut sums = [[[zero; R]; P]; G];
        let mut start = 0;
        for groups in self.groups.chunks_exact(W) {
            let Group { offset, terms } = groups[0];
            let window = first::<_, X>(&x[offset..]);
            let weights: [[&[Block<T>]; W]; G] =
                self.weights.map(|w| std::array::from_fn(|t| &w[start + t * terms..start + (t + 1) * terms]));
            start += W * terms;
            for k in 0..terms {
                let mut w = [[[zero; P]; W]; G];
                for (w, weights) in w.iter_mut().zip(&weights) {
                    for (w, weights) in w.iter_mut().zip(weights) {
                        w.copy_from_slice(&T::vectors::<S>(&weights[k].0)[self.part..self.part + P]);
                    }
                }
                for r in 0..R {
                    for t in 0..W {
                        let x = T::splat(simd, window[r + t].0[k % LANES]);
                        for (sums, w) in sums.iter_mut().zip(&w) {
                            for (sums, &w) in sums.iter_mut().zip(&w[t]) {
                                sums[r] = T::multiply_add(simd, w, x, sums[r]);
                            }
                        }
                    }
                }
            }
        }
        for (out, sums) in out.into_iter().zip(&sums) {
            for (r, out) in out[..R].iter_mut().enumerate() {
                let out = T::vectors_mut::<S>(&mut out.0);
                for (p, sums) in sums.iter().enumerate() {
                    let out = &mut out[self.part + p];
                    *out = if self.is_first { sums[r] } else { T::plus(simd, *out, sums[r]) };
                }
            }
        }
    }
}

#[inline(always)]
pub(super) fn first<T, const R: usize>(x: &[T]) -> &[T; R] {
    match x.first_chunk() {
        Some(x) => x,
        None => unreachable!("the tile ends before its rows do"),
    }
}
