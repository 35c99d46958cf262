//! The products of matrices of Winograd's method.

use pulp::{Simd, WithSimd};

use super::{super::kernel::first, PRODUCTS};
use crate::{
    lanes::{Block, LANES, vectors_in_block},
    scalar::Scalar,
};

/// For each of the products, the product of the matrix of weights with that of the transformed input.
pub(super) struct Products<'a, T> {
    /// For each product and each block of input channels, `stride` squares.
    pub x: &'a [Block<T>],
    /// The number of input channels.
    pub terms: usize,
    pub weights: &'a [Block<T>],
    /// For each product and each block of output channels, `stride` squares.
    pub y: &'a mut [Block<T>],
    /// The number of blocks of output channels.
    pub outputs: usize,
    pub squares: usize,
    pub stride: usize,
}

impl<T: Scalar> WithSimd for Products<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // Sixteen accumulators, or eight where there are few registers. All conditions are constants.
        if const { vectors_in_block::<T, S>() == 1 && S::REGISTER_COUNT >= 32 } {
            match self.outputs {
                1 => self.all::<S, 1, 1, 8>(simd),
                2 => self.all::<S, 2, 1, 8>(simd),
                _ => self.all::<S, 4, 1, 4>(simd),
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

impl<T: Scalar> Products<'_, T> {
    /// `G` blocks of output channels, `P` vectors of each and `R` squares at a time, as long as there are enough of them.
    #[inline(always)]
    fn all<S: Simd, const G: usize, const P: usize, const R: usize>(&mut self, simd: S) {
        for product in 0..PRODUCTS {
            let mut block = 0;
            while block + G <= self.outputs {
                self.squares::<S, G, P, R>(simd, product, block);
                block += G;
            }
            while block < self.outputs {
                self.squares::<S, 1, P, R>(simd, product, block);
                block += 1;
            }
        }
    }

    #[inline(always)]
    fn squares<S: Simd, const G: usize, const P: usize, const R: usize>(
        &mut self,
        simd: S,
        product: usize,
        block: usize,
    ) {
        for part in (0..const { vectors_in_block::<T, S>() }).step_by(P) {
            let mut square = 0;
            while square + R <= self.squares {
                self.tile::<S, G, P, R>(simd, product, block, part, square);
                square += R;
            }
            while square < self.squares {
                self.tile::<S, G, P, 1>(simd, product, block, part, square);
                square += 1;
            }
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const G: usize, const P: usize, const R: usize>(
        &mut self,
        simd: S,
        product: usize,
        block: usize,
        part: usize,
        square: usize,
    ) {
        let mut sums = [[[T::splat(simd, T::zero()); P]; R]; G];
        let mut weights = [&self.weights[..0]; G];
        for (g, weights) in weights.iter_mut().enumerate() {
            *weights = &self.weights[(product * self.outputs + block + g) * self.terms..][..self.terms];
        }
        let inputs = self.terms.div_ceil(LANES);
        for input in 0..inputs {
            let x = first::<_, R>(&self.x[(product * inputs + input) * self.stride + square..]);
            for k in 0..LANES.min(self.terms - input * LANES) {
                let mut w = [[T::splat(simd, T::zero()); P]; G];
                for (w, weights) in w.iter_mut().zip(&weights) {
                    w.copy_from_slice(&T::vectors::<S>(&weights[input * LANES + k].0)[part..part + P]);
                }
                for r in 0..R {
                    let x = T::splat(simd, x[r].0[k % LANES]);
                    for g in 0..G {
                        for p in 0..P {
                            sums[g][r][p] = T::multiply_add(simd, w[g][p], x, sums[g][r][p]);
                        }
                    }
                }
            }
        }
        for (g, sums) in sums.iter().enumerate() {
            let y = &mut self.y[(product * self.outputs + block + g) * self.stride + square..][..R];
            for (y, sums) in y.iter_mut().zip(sums) {
                T::vectors_mut::<S>(&mut y.0)[part..part + P].copy_from_slice(sums);
            }
        }
    }
}
