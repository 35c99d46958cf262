//! Verification of matrix products that a kernel computed, by random vectors.
//!
//! A proof charges the error of a product, but the bound of that error assumes that the kernel multiplies. Freivalds'
//! check does not: for a product `P` that should be `AB` and a random vector `v`, it compares `Pv` with `A(Bv)`, which
//! takes `O(n²)` operations and none of the kernel's. A product that fails proves nothing: the bound is infinite.
//!
//! The components of `v` are independent, and uniform on `2⁵⁴` equally spaced numbers in `[−1, 1)`. Let `D = P − AB`, and
//! let row `i` pass if `|(Dv)ᵢ| ≤ τ`. If an entry of that row is as large as `δ`, then, whatever the other components of
//! `v` are, its own lies in an interval of length `2τ/δ` if the row passes, so that
//!
//! ```math
//! P(\text{a wrong entry } δ \text{ passes}) \le τ/δ + 2^{-54}.
//! ```
//!
//! The tolerance `τ` is two to four times what the proof charges for the row anyway, plus the rounding of the check:
//! some `10⁻¹³` of the entries of a matrix with a thousand rows. So a kernel that drops a block, returns zeros or loses
//! half of the digits is found out with a probability above `1 − 10⁻⁶`, and an honest kernel always passes. What stays
//! trusted is that a kernel that passes is not wrong by a little more than rounding: by entries of the size of `τ`.
//!
//! (Signs `±1` in the place of uniform numbers would find each wrong entry with a probability of 1/2, large or small: twenty
//! vectors would be needed for what one does here.)
//!
//! Source: Freivalds, *Probabilistic machines can use less running time*, IFIP Congress 1977.

use std::hash::{BuildHasher, Hasher, RandomState};

use faer::MatRef;

use super::propose::dot;
use crate::scalar::Structure;

/// Returns `n` random components, drawn anew at every call from a seed of the operating system.
pub(super) fn probe(n: usize) -> Vec<f64> {
    let seed = RandomState::new().build_hasher().finish();
    // SplitMix64; the upper 54 bits are a multiple of 2⁻⁵³ in [−1, 1).
    let component = |i: u64| {
        let z = seed.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) as i64 >> 10) as f64 / (1u64 << 53) as f64
    };
    (1..=n as u64).map(component).collect()
}

/// Returns whether two vectors differ by at most `tolerance` in every component: not if one is NaN.
pub(super) fn agree(computed: &[f64], expected: &[f64], tolerance: f64) -> bool {
    computed.len() == expected.len() && computed.iter().zip(expected).all(|(x, y)| (x - y).abs() <= tolerance)
}

/// Adds `a·x` to `y`.
pub(super) fn axpy(a: f64, x: &[f64], y: &mut [f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += a * x);
}

/// Adds `Ax` to `y`, without a kernel for matrices.
pub(super) fn multiply((a, structure): (MatRef<'_, f64>, Structure), x: &[f64], y: &mut [f64]) {
    for (j, &x) in x.iter().enumerate() {
        let first = structure.first(j);
        axpy(x, &column(a, j)[first..], &mut y[first..]);
    }
}

/// Adds `Aᵀx` to `y`, without a kernel for matrices.
pub(super) fn multiply_transposed((a, structure): (MatRef<'_, f64>, Structure), x: &[f64], y: &mut [f64]) {
    for (j, y) in y.iter_mut().enumerate() {
        let first = structure.first(j);
        *y += dot(&column(a, j)[first..], &x[first..]);
    }
}

/// Returns a column as a slice: entries of it are read without the checks of an index.
pub(super) fn column(a: MatRef<'_, f64>, j: usize) -> &[f64] {
    a.col(j).try_as_col_major().expect("columns of an owned matrix are contiguous").as_slice()
}

#[cfg(test)]
mod tests {
    use faer::Mat;

    use super::*;
    use crate::{
        rigor::{
            Upper,
            composition::{self, Linear},
            convolution::{Axis, Convolution, PaddingMode, Torus},
            matrix,
            propose::noise,
            quadratic_constraint::{Chain, Stage},
        },
        scalar::fault::{self, Fault},
    };

    #[test]
    fn probes_differ_and_fill_their_range() {
        let (x, y) = (probe(4096), probe(4096));
        assert_ne!(x, y);
        assert!(x.iter().all(|x| (-1.0..1.0).contains(x)));
        let mean = x.iter().sum::<f64>() / 4096.0;
        let square = x.iter().map(|x| x * x).sum::<f64>() / 4096.0;
        // Six standard deviations of a uniform variable.
        assert!(mean.abs() < 0.06 && (square - 1.0 / 3.0).abs() < 0.03, "{mean}, {square}");
    }

    #[test]
    fn a_nan_agrees_with_nothing() {
        assert!(agree(&[1.0, 2.0], &[1.0, 2.5], 0.5));
        assert!(!agree(&[1.0, 2.0], &[1.0, 2.5], 0.499));
        assert!(!agree(&[f64::NAN], &[1.0], f64::INFINITY) && !agree(&[1.0], &[1.0], f64::NAN));
        assert!(!agree(&[1.0], &[], 1.0));
    }

    /// A proof that rests on products: an upper bound, or minus a lower one.
    type Proof = Box<dyn Fn() -> Option<f64> + Sync>;

    /// Returns a matrix of two blocks: `corner` and noise, with `shift` added to the diagonal of the latter.
    fn blocks<const R: usize, const C: usize>(
        corner: [[f64; C]; R],
        rows: usize,
        columns: usize,
        shift: f64,
    ) -> Mat<f64> {
        let noise = noise(rows * columns);
        Mat::from_fn(rows, columns, |i, j| match (i < R, j < C) {
            (true, true) => corner[i][j],
            (false, false) => 0.1 * noise[i * columns + j] + if i - R == j - C { shift } else { 0.0 },
            _ => 0.0,
        })
    }

    /// Proofs, each with the number that it bounds, exactly: that of the corner.
    fn proofs() -> Vec<(&'static str, f64, Proof)> {
        let five = [[3.0], [4.0]];
        let norm =
            move |rows, columns| move || Some(matrix::norm(blocks(five, rows, columns, 0.0).as_ref()).ok()?.get());
        let smallest = || {
            let bound = matrix::smallest_singular_value(blocks([[3.0]], 12, 8, 10.0).as_ref()).ok()?.get();
            (bound > 0.0).then_some(-bound)
        };
        let convolution = |tight: bool| {
            // Of the first channel only the middle taps to two outputs are not zero.
            let kernels = blocks(five, 4, 3, 0.0);
            let taps = noise(4 * 3 * 9);
            let weight = |i: usize| match (i / 27 < 2, i / 9 % 3 < 1) {
                (false, false) => 0.1 * taps[i],
                _ if i % 9 == 4 => kernels[(i / 27, i / 9 % 3)],
                _ => 0.0,
            };
            let weight: Vec<f64> = (0..taps.len()).map(weight).collect();
            let axis = Axis { input: 6, kernel: 3, stride: 1, padding: 1 };
            let torus = Torus { points: [7; 2], twisted: [false, true] };
            move || {
                let mode = PaddingMode::Zeros;
                let conv = Convolution { weight: &weight, channels: (4, 3), axes: [axis; 2], mode };
                if tight { conv.tight_norm().ok()?.map(Upper::get) } else { conv.norm_on(torus).ok().map(Upper::get) }
            }
        };
        // The first coordinate becomes x + relu(x)/2 · 2, twice as much where it is positive.
        let stage = Stage { weight: blocks([[1.0]], 7, 5, 0.0), slopes: [0.125, 1.0] };
        let chain = Chain::residual(stage, blocks([[2.0]], 5, 7, 0.0), 0.5).expect("a chain");
        let (_, proposal) = chain.search().expect("a proof");
        let maps = [blocks(five, 9, 8, 0.0), blocks([[2.0, 0.0], [0.0, 2.0]], 7, 9, 0.0)].map(Linear::Dense);
        vec![
            ("a small matrix", 5.0, Box::new(norm(8, 11))),
            ("a large matrix", 5.0, Box::new(norm(200, 170))),
            ("the smallest singular value", -3.0, Box::new(smallest)),
            ("a torus", 5.0, Box::new(convolution(false))),
            ("a band", 5.0, Box::new(convolution(true))),
            ("a quadratic constraint", 2.0, Box::new(move || chain.prove(&proposal).ok().map(Upper::get))),
            ("a composition", 10.0, Box::new(move || composition::norm(&maps).ok().map(Upper::get))),
        ]
    }

    /// Whichever product is wrong, either nothing is proved, or the product was only part of a proposal and what is proved
    /// holds.
    #[test]
    fn no_proof_survives_a_kernel_that_does_not_multiply() {
        for (what, truth, proof) in proofs() {
            assert!(proof().is_some_and(|bound| bound >= truth), "{what}");
            for fault in [Fault::Zeros, Fault::Entry] {
                let (_, products) = fault::with(fault, usize::MAX, &proof);
                let mut refused = 0;
                for at in 0..products {
                    match fault::with(fault, at, &proof).0 {
                        None => refused += 1,
                        Some(bound) => assert!(bound >= truth, "{what}, {fault:?} {at}: {bound}"),
                    }
                }
                println!("{what}, {fault:?}: {refused} of {products} products refused");
                assert!(refused >= 1, "{what}, {fault:?}: none of {products} was noticed");
            }
        }
    }
}
