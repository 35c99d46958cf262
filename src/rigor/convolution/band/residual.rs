//! The residual `E = G − αI + LLᵀ` of a block-banded factor, line by line.

use std::collections::VecDeque;

use faer::{Mat, MatRef};

use super::{
    Plan,
    operator::{Band, Blocks},
};
use crate::{
    rigor::{
        directed::{ETA, U, add_up, enlarge_sum, gamma, mul_up},
        freivalds::{agree, axpy, column as column_of, multiply, multiply_transposed, probe},
        propose::dot,
    },
    scalar::{Structure, cholesky_estimate, gemm_transposed, solve_transposed_estimate},
};

impl Band {
    /// Returns `α + max_i Σ_j |E_ij|`, rounded up, for the blocks of `L` that `propose` makes; `None` if it makes none,
    /// infinite if a product is not what it should be.
    ///
    /// `propose` is given what a block times the transpose of its column's diagonal block should be, and that diagonal
    /// block, or none for the diagonal block itself. The bound holds whatever it returns.
    pub(super) fn largest_up_at(
        &self,
        alpha: f64,
        blocks: &mut Blocks,
        propose: impl Fn(Mat<f64>, Option<&Mat<f64>>) -> Option<Mat<f64>>,
    ) -> Option<f64> {
        let (n, width, line) = (self.len(), self.plan.width(), self.plan.line);
        let mut sums = Sums::new(probe(n));
        let mut largest_row_sum = 0.0f64;
        // Line u of L, from its first block L[u][u − width] on; the window ends with line u − 1.
        let mut window: VecDeque<Vec<Mat<f64>>> = VecDeque::new();
        for u in 0..self.plan.lines {
            let first = u.saturating_sub(width);
            let mut row: Vec<Mat<f64>> = Vec::with_capacity(width + 1);
            for v in first..=u {
                let structure = if v == u { Structure::Lower } else { Structure::Full };
                let mut e = self.gram(u, v, blocks).clone();
                if v == u {
                    (0..line).for_each(|i| e[(i, i)] -= alpha);
                }
                let above = (v < u).then(|| &window[v - first]);
                for k in first..v {
                    let of_v = above.map_or(&row[k - first], |above| &above[k - v.saturating_sub(width)]);
                    let full = Structure::Full;
                    gemm_transposed((e.as_mut(), structure), (row[k - first].as_ref(), full), (of_v.as_ref(), full));
                }
                let diagonal = above.and_then(|above| above.last());
                let factor = propose(Mat::from_fn(line, line, |i, j| -e[(i, j)]), diagonal)?;
                let right = (diagonal.unwrap_or(&factor).as_ref(), Structure::Lower);
                gemm_transposed((e.as_mut(), structure), (factor.as_ref(), structure), right);
                sums.add_residual((e.as_ref(), structure), [u, v].map(|line_of| line_of * line));
                row.push(factor);
            }
            largest_row_sum = largest_row_sum.max(sums.add_factor(&row, first * line));
            window.push_back(row);
            // What the transpose takes the probe to is complete up to line u − width.
            if window.len() > width {
                let row = window.pop_front().unwrap_or_default();
                sums.apply_factor(&row, first.saturating_sub(width) * line);
            }
        }
        for (u, row) in (self.plan.lines - window.len()..).zip(&window) {
            sums.apply_factor(row, u.saturating_sub(width) * line);
        }
        let largest = |sums: &[f64]| sums.iter().map(|&s| enlarge_sum(s, n)).fold(0.0, f64::max);
        let factor_schur = mul_up(largest_row_sum, largest(&sums.columns));
        let (residual, rounding) = (largest(&sums.residual), self.rounding(alpha, factor_schur));
        let expected = self.apply_directly(&sums.probe);
        let expected: Vec<f64> = (0..n).map(|i| expected[i] - alpha * sums.probe[i] + sums.factor_applied[i]).collect();
        if !agree(&sums.residual_applied, &expected, add_up(rounding, self.apart(alpha, factor_schur, residual))) {
            return Some(f64::INFINITY);
        }
        Some(add_up(alpha, add_up(residual, rounding)))
    }

    /// Returns a bound of the row sums of the error of `E` as computed; see the head of this file.
    fn rounding(&self, alpha: f64, factor_schur: f64) -> f64 {
        let gram_terms = self.taps.len() * self.plan.other_line;
        let factor_terms = (self.plan.width() + 1) * self.plan.line + 2;
        let gram = gamma(gram_terms, U);
        let terms = add_up(mul_up(add_up(1.0, gram), self.schur), add_up(alpha, factor_schur));
        // At most η for each product; those of G are carried on into E.
        let underflow = mul_up(3.0 * (gram_terms + factor_terms) as f64, mul_up(self.len() as f64, ETA));
        add_up(add_up(mul_up(gram, self.schur), mul_up(gamma(factor_terms, U), terms)), underflow)
    }

    /// Returns a bound of the rounding errors of `Êv`, and of `(G − αI + LLᵀ)v` from its factors, for `|v| ≤ 1`.
    fn apart(&self, alpha: f64, factor_schur: f64, residual: f64) -> f64 {
        let Plan { line, other_line, .. } = self.plan;
        let terms = self.taps.len() * (line + other_line) + 2 * (self.plan.width() + 1) * line + 8;
        let size = add_up(add_up(self.schur, alpha), add_up(factor_schur, residual));
        // The square of an entry, and so the entry, is below 1 + size.
        let count = mul_up((terms + self.len()) as f64, terms as f64);
        let underflow = mul_up(count, mul_up(4.0 * ETA, add_up(1.0, size)));
        add_up(add_up(mul_up(gamma(terms, U), size), mul_up(gamma(self.len() + 1, U), residual)), underflow)
    }
}

/// Sums over the blocks of `E` and of `L`, which are not kept.
struct Sums {
    /// A random vector, to verify the products; see `rigor/freivalds.rs`.
    probe: Vec<f64>,
    /// The sums of the absolute values of the rows of `E`, and `E` times the probe.
    residual: Vec<f64>,
    residual_applied: Vec<f64>,
    /// The sums of the absolute values of the columns of `L`, and `Lᵀ` and then `L` times the probe.
    columns: Vec<f64>,
    transpose_applied: Vec<f64>,
    factor_applied: Vec<f64>,
}

impl Sums {
    fn new(probe: Vec<f64>) -> Self {
        let zeros = || vec![0.0; probe.len()];
        Self {
            residual: zeros(),
            residual_applied: zeros(),
            columns: zeros(),
            transpose_applied: zeros(),
            factor_applied: zeros(),
            probe,
        }
    }

    /// Adds a block of `E` at `(row, column)` and its mirror image. On the diagonal only the lower triangle is read.
    fn add_residual(&mut self, (e, structure): (MatRef<'_, f64>, Structure), [row, column]: [usize; 2]) {
        for j in 0..e.ncols() {
            let mut first = structure.first(j);
            let entries = column_of(e, j);
            if structure == Structure::Lower {
                self.residual[row + j] += entries[j].abs();
                self.residual_applied[row + j] += entries[j] * self.probe[row + j];
                first += 1;
            }
            let (entries, rows) = (&entries[first..], row + first..row + e.nrows());
            let mut below = 0.0;
            for (sum, e) in self.residual[rows.clone()].iter_mut().zip(entries) {
                *sum += e.abs();
                below += e.abs();
            }
            self.residual[column + j] += below;
            axpy(self.probe[column + j], entries, &mut self.residual_applied[rows.clone()]);
            self.residual_applied[column + j] += dot(entries, &self.probe[rows]);
        }
    }

    /// Adds a line of `L`, whose first column is `column`, and bounds the largest sum of a row.
    fn add_factor(&mut self, row: &[Mat<f64>], column: usize) -> f64 {
        let line = row[0].nrows();
        let here = column + (row.len() - 1) * line;
        let mut sums = vec![0.0; line];
        for (k, block) in row.iter().enumerate() {
            for j in 0..line {
                for (sum, value) in sums.iter_mut().zip(column_of(block.as_ref(), j)) {
                    *sum += value.abs();
                    self.columns[column + k * line + j] += value.abs();
                }
            }
            let target = &mut self.transpose_applied[column + k * line..][..line];
            multiply_transposed((block.as_ref(), structure(k, row)), &self.probe[here..][..line], target);
        }
        sums.iter().map(|&s| enlarge_sum(s, row.len() * line)).fold(0.0, f64::max)
    }

    /// Applies a line of `L`, whose first column is `column`, to what `Lᵀ` takes the probe to.
    fn apply_factor(&mut self, row: &[Mat<f64>], column: usize) {
        let line = row[0].nrows();
        let target = &mut self.factor_applied[column + (row.len() - 1) * line..][..line];
        for (k, block) in row.iter().enumerate() {
            let source = &self.transpose_applied[column + k * line..][..line];
            multiply((block.as_ref(), structure(k, row)), source, target);
        }
    }
}

/// Of the blocks of a line of `L`, only the last is a triangle.
fn structure(k: usize, row: &[Mat<f64>]) -> Structure {
    if k + 1 == row.len() { Structure::Lower } else { Structure::Full }
}

/// Returns a block of an approximate Cholesky factor.
pub(super) fn cholesky_block(mut target: Mat<f64>, diagonal: Option<&Mat<f64>>) -> Option<Mat<f64>> {
    let Some(diagonal) = diagonal else { return cholesky_estimate(target.as_ref()) };
    solve_transposed_estimate(diagonal.as_ref(), target.as_mut());
    Some(target)
}

#[cfg(test)]
mod tests {
    use num_bigint::BigInt;
    use num_rational::BigRational;
    use num_traits::ToPrimitive;

    use super::*;
    use crate::rigor::{
        convolution::{Axis, Convolution, PaddingMode},
        propose::noise,
    };

    /// Returns what bad factors of several convolutions prove at several `α`, each decided against an integer vector
    /// exactly; returns the largest ratio of a bound to the eigenvalue, about.
    fn largest_ratio(propose: impl Fn(Mat<f64>, Option<&Mat<f64>>) -> Option<Mat<f64>>) -> f64 {
        let mut ratio = 0.0f64;
        for (stride, kernel) in [(1, 3), (1, 5), (2, 3)] {
            let axis = Axis { input: 9, kernel, stride, padding: 1 };
            // Multiples of 1/16 below 2: sums of 150 of their products with integers of 30 bits are exact.
            let short = |i: usize| (((i as f64 * 1.7).sin() + 0.2) * 16.0).round() / 16.0;
            let weight: Vec<f64> = (0..6 * kernel * kernel).map(short).collect();
            let mode = PaddingMode::Zeros;
            let conv = Convolution { weight: &weight, channels: (3, 2), axes: [axis, axis], mode };
            for inputs in [false, true] {
                let band = Band::new(&conv, Plan::new(&conv, false, inputs).unwrap());
                let mut x = noise(band.len());
                for _ in 0..200 {
                    x = band.apply_directly(&x);
                    let largest = x.iter().fold(0.0f64, |a, x| a.max(x.abs()));
                    x.iter_mut().for_each(|x| *x /= largest);
                }
                x.iter_mut().for_each(|x| *x = (*x * f64::from(1 << 30)).round());
                // xᵀGx = ‖Tx‖², in integers; in units of 1/16 for the convolution.
                let square = |x: &[f64], unit: f64| -> BigInt {
                    x.iter().map(|x| BigInt::from((x / unit) as i128).pow(2)).sum()
                };
                let (moved, apart) = (square(&band.between(&x), 1.0 / 16.0), square(&x, 1.0));
                let [moved, apart] = [BigRational::new(moved, 256.into()), apart.into()];
                let largest = (&moved / &apart).to_f64().unwrap();
                for part in [0.0, 0.1, 0.5, 0.9, 0.999, 1.0, 1.001] {
                    let bound = band.largest_up_at(part * largest, &mut Blocks::default(), &propose).unwrap();
                    let allowed = BigRational::from_float(bound).unwrap() * &apart;
                    assert!(moved <= allowed, "{bound} instead of {largest}");
                    ratio = ratio.max(bound / largest);
                }
            }
        }
        ratio
    }

    #[test]
    fn no_factor_at_all_still_gives_a_bound() {
        largest_ratio(|target, _| Some(Mat::zeros(target.nrows(), target.ncols())));
    }

    #[test]
    fn a_diagonal_factor_still_gives_a_bound() {
        largest_ratio(|target, diagonal| {
            let root = |i: usize| if diagonal.is_none() { target[(i, i)].max(0.0).sqrt() } else { 0.0 };
            Some(Mat::from_fn(target.nrows(), target.ncols(), |i, j| if i == j { root(i) } else { 0.0 }))
        });
    }

    #[test]
    fn a_perturbed_factor_still_gives_a_bound() {
        let ratio = largest_ratio(|target, diagonal| {
            let mut factor = cholesky_block(target.clone(), diagonal).unwrap_or_else(|| target.clone());
            factor[(0, 0)] *= 1.01;
            Some(factor)
        });
        assert!(ratio > 1.002, "the perturbation should show: {ratio}");
    }
}
