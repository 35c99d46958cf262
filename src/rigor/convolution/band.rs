//! The norm of a zero-padded convolution itself, proved by a block-banded factor of its Gram matrix.
//!
//! Cut the image into lines along one axis. Tap `a` of the kernel along that axis maps input line `y = si + a − p` to
//! output line `i` by one matrix `B_a`, the convolution along the other axis: the operator `T` is a block Toeplitz
//! matrix of few blocks. So `G = TᵀT`, and `TTᵀ` too, couples only lines that are near each other; and for any `α` and
//! any block lower triangle `L` of the same band width, `E = G − αI + LLᵀ` gives
//!
//! $$ \|T\|² = λ_{\max}(G) \le α + \max_i \textstyle\sum_j |E_{ij}|, $$
//!
//! as in [`crate::rigor::matrix`]. `L` is the Cholesky factor of `αI − G` as computed; nothing about it is trusted. It is made
//! line by line, and only as many lines of it are kept as the band is wide.
//!
//! An entry of `E` is computed as one sum: of at most `K` products in `G`, then of `α` and of at most `K'` products in
//! `LLᵀ`. In any order, the row sums of its error are at most
//!
//! $$ γ_K\, g + γ_{K'+2}\,\bigl((1 + γ_K)\,g + α + \|L\|_∞\|L\|_1\bigr) + \mathrm{underflow}, \qquad
//!    g = \|T\|_∞\|T\|_1 \ge \max_i \textstyle\sum_j (|T|ᵀ|T|)_{ij}, $$
//!
//! where `‖·‖_∞` and `‖·‖_1` are the largest sums of absolute values of a row and of a column.

use std::collections::{BTreeMap, VecDeque};

use faer::{Accum, Mat, MatRef};

use super::{Axis, Convolution, PaddingMode};
use crate::{
    error::Result,
    rigor::{
        bound::Upper,
        directed::{ETA, U, add_up, enlarge_sum, gamma, mul_up, scale_up, sqrt_up},
        propose,
    },
    scalar::{Structure, cholesky_estimate, gemm, gemm_transposed, solve_transposed_estimate},
};

impl Convolution<'_> {
    /// A proved upper bound of the norm, at most about `1 + 10⁻⁴` times it; `None` for circular padding, where the
    /// torus is the better proof, and where a line of the image has more than [`LARGEST_LINE`] numbers.
    ///
    /// It takes about `10 · lines · line³` operations and the memory of `20 · line²` numbers, for `lines` of the image
    /// of `line` numbers, all channels together; whichever of `TᵀT` and `TTᵀ`, and of rows and columns, is cheapest.
    ///
    /// # Errors
    /// [`crate::Error::NotFinite`] for a weight that is not finite, [`crate::Error::NotProved`] if the bound overflows.
    pub fn tight_norm(&self) -> Result<Option<Upper>> {
        self.tight_norm_from(&GAPS)
    }

    /// As [`Self::tight_norm`], trying smaller shifts first, as [`crate::rigor::matrix::sharp_sup_norm`]: for a checker.
    ///
    /// # Errors
    /// As [`Self::tight_norm`].
    pub fn sharp_tight_norm(&self) -> Result<Option<Upper>> {
        let sharp: Vec<f64> = GAPS.iter().flat_map(|gap| [0.7 * gap, *gap]).collect();
        self.tight_norm_from(&sharp)
    }

    fn tight_norm_from(&self, gaps: &[f64]) -> Result<Option<Upper>> {
        if self.mode == PaddingMode::Circular {
            return Ok(None);
        }
        let Some((weight, exponent)) = self.scaled_weight()? else { return Ok(Some(Upper::ZERO)) };
        let plans = [false, true].map(|flip| [false, true].map(|inputs| Plan::new(self, flip, inputs)));
        let Some(plan) = plans.into_iter().flatten().flatten().min_by_key(Plan::cost) else { return Ok(None) };
        if plan.line > LARGEST_LINE {
            return Ok(None);
        }
        let band = Band::new(&Convolution { weight: &weight, ..*self }, plan);
        if band.is_zero() {
            return Ok(Some(Upper::ZERO));
        }
        let Some(squared) = band.largest_up(gaps) else { return Ok(None) };
        let bound = Upper::proved(scale_up(add_up(sqrt_up(squared), self.lost_by_scaling()), exponent));
        bound.finite("the norm of a convolution").map(Some)
    }
}

/// The largest number of entries of a line, all channels together: a block of the factor has its square.
pub const LARGEST_LINE: usize = 4096;

/// How the operator is cut into lines, and which Gram matrix is factored.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// Lines are columns, not rows.
    flip: bool,
    /// `TᵀT`, between input lines; else `TTᵀ`, between output lines.
    inputs: bool,
    /// The axis across lines, and the one along them.
    axes: [Axis; 2],
    /// The number of lines, and of entries of a line.
    lines: usize,
    line: usize,
    /// The same on the other side of `T`.
    other_lines: usize,
    other_line: usize,
}

impl Plan {
    fn new(conv: &Convolution<'_>, flip: bool, inputs: bool) -> Option<Self> {
        let [first, second] = conv.axes;
        let axes = if flip { [second, first] } else { [first, second] };
        let (outputs, channels) = conv.channels;
        let output = (axes[0].output()?, outputs * axes[1].output()?);
        let input = (axes[0].input, channels * axes[1].input);
        let ((lines, line), (other_lines, other_line)) = if inputs { (input, output) } else { (output, input) };
        Some(Self { flip, inputs, axes, lines, line, other_lines, other_line })
    }

    /// How far apart two lines are at most that a line of the other side couples.
    fn width(&self) -> usize {
        let reach = self.axes[0].kernel - 1;
        let reach = if self.inputs { reach } else { reach / self.axes[0].stride };
        reach.min(self.lines - 1)
    }

    fn cost(&self) -> u128 {
        let width = self.width() as u128 + 1;
        self.lines as u128 * (self.line as u128).pow(3) * width * width
    }

    /// The tap by which a line of this side is coupled to one of the other, if there is one.
    fn tap(&self, line: usize, other: usize) -> Option<usize> {
        let (input, output) = if self.inputs { (line, other) } else { (other, line) };
        (input + self.axes[0].padding).checked_sub(output * self.axes[0].stride).filter(|&a| a < self.axes[0].kernel)
    }
}

/// An operator as a block Toeplitz matrix.
struct Band {
    plan: Plan,
    /// For each tap the block between a line and one of the other side: `B_a` or its transpose.
    taps: Vec<Mat<f64>>,
    /// `g`.
    schur: f64,
}

impl Band {
    fn new(conv: &Convolution<'_>, plan: Plan) -> Self {
        let (outputs, channels) = conv.channels;
        let [across, along] = plan.axes;
        let points = along.output().unwrap_or(0);
        let block = |a: usize| {
            let mut block: Mat<f64> = Mat::zeros(plan.line, plan.other_line);
            for o in 0..outputs {
                for c in 0..channels {
                    for b in 0..along.kernel {
                        let (y, x) = if plan.flip { (b, a) } else { (a, b) };
                        let [height, width] = conv.axes.map(|axis| axis.kernel);
                        let value = conv.weight[((o * channels + c) * height + y) * width + x];
                        for i in 0..points {
                            let Some(j) = (i * along.stride + b).checked_sub(along.padding) else { continue };
                            if j < along.input {
                                let (output, input) = (o * points + i, c * along.input + j);
                                let (row, column) = if plan.inputs { (input, output) } else { (output, input) };
                                block[(row, column)] = value;
                            }
                        }
                    }
                }
            }
            block
        };
        let area = along.kernel * across.kernel;
        let kernels: Vec<f64> = conv.weight.chunks(area).map(sum_of_absolutes).collect();
        let rows = kernels.chunks(channels).map(sum_of_absolutes).fold(0.0, f64::max);
        let column = |c: usize| kernels.iter().skip(c).step_by(channels).copied().collect::<Vec<f64>>();
        let columns = (0..channels).map(|c| sum_of_absolutes(&column(c))).fold(0.0, f64::max);
        Self { plan, taps: (0..across.kernel).map(block).collect(), schur: mul_up(rows, columns) }
    }

    /// Whether no tap that couples two lines has an entry but 0: the others only read what lies beyond the border.
    fn is_zero(&self) -> bool {
        let Plan { lines, other_lines, .. } = self.plan;
        let used = |u: usize| (0..other_lines).filter_map(move |o| self.plan.tap(u, o));
        (0..lines).flat_map(used).all(|a| self.taps[a].norm_max() == 0.0)
    }

    /// The order of the Gram matrix.
    fn len(&self) -> usize {
        self.plan.lines * self.plan.line
    }

    /// An upper bound of the largest eigenvalue of the Gram matrix, `None` if no factor was found.
    fn largest_up(&self, gaps: &[f64]) -> Option<f64> {
        let estimate = propose::largest_eigenvalue(self.len(), 1e-6, |x| self.apply(x));
        let mut blocks = Blocks::default();
        gaps.iter().find_map(|gap| self.largest_up_at(estimate * (1.0 + gap), &mut blocks, cholesky_block))
    }

    /// The Gram matrix times a vector: for proposals.
    fn apply(&self, x: &[f64]) -> Vec<f64> {
        let Plan { line, other_lines, other_line, .. } = self.plan;
        let mut between = vec![0.0; other_lines * other_line];
        let mut y = vec![0.0; x.len()];
        self.couple(x, line, &mut between, other_line, false);
        self.couple(&between, other_line, &mut y, line, true);
        y
    }

    /// Adds to each line of one side what the lines of the other side send to it: to this side if `back`.
    fn couple(&self, from: &[f64], from_line: usize, to: &mut [f64], to_line: usize, back: bool) {
        for (a, tap) in self.taps.iter().enumerate() {
            let pairs: Vec<(usize, usize)> = (0..self.plan.lines)
                .flat_map(|u| (0..self.plan.other_lines).map(move |o| (u, o)))
                .filter(|&(u, o)| self.plan.tap(u, o) == Some(a))
                .map(|(u, o)| if back { (o, u) } else { (u, o) })
                .collect();
            let mut gathered = Vec::with_capacity(pairs.len() * from_line);
            for &(source, _) in &pairs {
                gathered.extend_from_slice(&from[source * from_line..][..from_line]);
            }
            let mut sent: Mat<f64> = Mat::zeros(to_line, pairs.len());
            let tap = if back { tap.as_ref() } else { tap.transpose() };
            let gathered = MatRef::from_column_major_slice(&gathered, from_line, pairs.len());
            gemm(sent.as_mut(), Accum::Replace, tap, gathered);
            for (k, &(_, target)) in pairs.iter().enumerate() {
                for (to, from) in to[target * to_line..][..to_line].iter_mut().zip(sent.col(k).iter()) {
                    *to += from;
                }
            }
        }
    }

    /// The block of the Gram matrix between two lines `v ≤ u`; equal ones are computed once.
    fn gram<'a>(&self, u: usize, v: usize, blocks: &'a mut Blocks) -> &'a Mat<f64> {
        let pair = |o| Some((self.plan.tap(u, o)?, self.plan.tap(v, o)?));
        let pairs: Vec<(usize, usize)> = (0..self.plan.other_lines).filter_map(pair).collect();
        blocks.0.entry(pairs.clone()).or_insert_with(|| {
            let mut block = Mat::zeros(self.plan.line, self.plan.line);
            for (a, b) in pairs {
                gemm(block.as_mut(), Accum::Add, self.taps[a].as_ref(), self.taps[b].transpose());
            }
            block
        })
    }

    /// `α + max_i Σ_j |E_ij|`, rounded up, for the blocks of `L` that `propose` makes; `None` if it makes none.
    ///
    /// `propose` is given what a block times the transpose of its column's diagonal block should be, and that diagonal
    /// block, or none for the diagonal block itself. The bound holds whatever it returns.
    fn largest_up_at(
        &self,
        alpha: f64,
        blocks: &mut Blocks,
        propose: impl Fn(Mat<f64>, Option<&Mat<f64>>) -> Option<Mat<f64>>,
    ) -> Option<f64> {
        let (n, width, line) = (self.len(), self.plan.width(), self.plan.line);
        let mut residual = vec![0.0; n];
        let mut column_sums = vec![0.0; n];
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
                add_row_sums(e.as_ref(), structure, [u, v].map(|line_of| line_of * line), &mut residual);
                row.push(factor);
            }
            largest_row_sum = largest_row_sum.max(sums_of_line(&row, first * line, &mut column_sums));
            window.push_back(row);
            if window.len() > width {
                window.pop_front();
            }
        }
        let largest = |sums: &[f64]| sums.iter().map(|&s| enlarge_sum(s, n)).fold(0.0, f64::max);
        let factor_schur = mul_up(largest_row_sum, largest(&column_sums));
        Some(add_up(alpha, add_up(largest(&residual), self.rounding(alpha, factor_schur))))
    }

    /// A bound of the row sums of the error of `E` as computed; see the head of this file.
    fn rounding(&self, alpha: f64, factor_schur: f64) -> f64 {
        let gram_terms = self.taps.len() * self.plan.other_line;
        let factor_terms = (self.plan.width() + 1) * self.plan.line + 2;
        let gram = gamma(gram_terms, U);
        let terms = add_up(mul_up(add_up(1.0, gram), self.schur), add_up(alpha, factor_schur));
        // At most η for each product; those of G are carried on into E.
        let underflow = mul_up(3.0 * (gram_terms + factor_terms) as f64, mul_up(self.len() as f64, ETA));
        add_up(add_up(mul_up(gram, self.schur), mul_up(gamma(factor_terms, U), terms)), underflow)
    }
}

/// A block of an approximate Cholesky factor.
fn cholesky_block(mut target: Mat<f64>, diagonal: Option<&Mat<f64>>) -> Option<Mat<f64>> {
    let Some(diagonal) = diagonal else { return cholesky_estimate(target.as_ref()) };
    solve_transposed_estimate(diagonal.as_ref(), target.as_mut());
    Some(target)
}

/// The distances above its estimate, relatively, at which the largest eigenvalue is tried.
const GAPS: [f64; 6] = [1e-4, 4e-4, 1.6e-3, 6.4e-3, 0.1, 1.0];

/// Blocks of the Gram matrix by the pairs of taps that they sum over.
#[derive(Default)]
struct Blocks(BTreeMap<Vec<(usize, usize)>, Mat<f64>>);

/// Adds the absolute values of a block at `(row, column)` of a symmetric matrix to the sums of its rows, those of the
/// block's mirror image included. On the diagonal only the lower triangle is read.
fn add_row_sums(e: MatRef<'_, f64>, structure: Structure, [row, column]: [usize; 2], sums: &mut [f64]) {
    for j in 0..e.ncols() {
        let mut below = 0.0;
        let first = match structure {
            Structure::Full => 0,
            Structure::Lower => {
                sums[row + j] += e[(j, j)].abs();
                j + 1
            }
        };
        for i in first..e.nrows() {
            let value = e[(i, j)].abs();
            sums[row + i] += value;
            below += value;
        }
        sums[column + j] += below;
    }
}

/// Adds the absolute values of a line of `L` to the sums of its columns, the first of which is `column`, and bounds the
/// largest sum of a row.
fn sums_of_line(row: &[Mat<f64>], column: usize, column_sums: &mut [f64]) -> f64 {
    let line = row[0].nrows();
    let mut sums = vec![0.0; line];
    for (k, block) in row.iter().enumerate() {
        for j in 0..line {
            for (sum, value) in sums.iter_mut().zip(block.col(j).iter()) {
                *sum += value.abs();
                column_sums[column + k * line + j] += value.abs();
            }
        }
    }
    sums.iter().map(|&s| enlarge_sum(s, row.len() * line)).fold(0.0, f64::max)
}

/// An upper bound of `Σ|x|`.
fn sum_of_absolutes(x: &[f64]) -> f64 {
    enlarge_sum(x.iter().map(|x| x.abs()).sum(), x.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bounds of the largest eigenvalue, relative to it, by bad factors of several convolutions at several `α`.
    fn bounds(propose: impl Fn(Mat<f64>, Option<&Mat<f64>>) -> Option<Mat<f64>>) -> Vec<f64> {
        let mut bounds = Vec::new();
        for (stride, kernel) in [(1, 3), (1, 5), (2, 3)] {
            let axis = Axis { input: 9, kernel, stride, padding: 1 };
            let weight: Vec<f64> = (0..6 * kernel * kernel).map(|i| (i as f64 * 1.7).sin() + 0.2).collect();
            let mode = PaddingMode::Zeros;
            let conv = Convolution { weight: &weight, channels: (3, 2), axes: [axis, axis], mode };
            for inputs in [false, true] {
                let band = Band::new(&conv, Plan::new(&conv, false, inputs).unwrap());
                let largest = propose::largest_eigenvalue(band.len(), 1e-14, |x| band.apply(x));
                for part in [0.0, 0.1, 0.5, 0.9, 0.999, 1.0, 1.001] {
                    let bound = band.largest_up_at(part * largest, &mut Blocks::default(), &propose).unwrap();
                    bounds.push(bound / largest);
                }
            }
        }
        bounds
    }

    #[test]
    fn no_factor_at_all_still_gives_a_bound() {
        let bounds = bounds(|target, _| Some(Mat::zeros(target.nrows(), target.ncols())));
        assert!(bounds.iter().all(|&b| b >= 1.0 - 1e-12), "{bounds:?}");
    }

    #[test]
    fn a_diagonal_factor_still_gives_a_bound() {
        let bounds = bounds(|target, diagonal| {
            let root = |i: usize| if diagonal.is_none() { target[(i, i)].max(0.0).sqrt() } else { 0.0 };
            Some(Mat::from_fn(target.nrows(), target.ncols(), |i, j| if i == j { root(i) } else { 0.0 }))
        });
        assert!(bounds.iter().all(|&b| b >= 1.0 - 1e-12), "{bounds:?}");
    }

    #[test]
    fn a_perturbed_factor_still_gives_a_bound() {
        let bounds = bounds(|target, diagonal| {
            let mut factor = cholesky_block(target.clone(), diagonal).unwrap_or_else(|| target.clone());
            factor[(0, 0)] *= 1.01;
            Some(factor)
        });
        assert!(bounds.iter().all(|&b| b >= 1.0 - 1e-12), "{bounds:?}");
        assert!(bounds.iter().any(|&b| b > 1.002), "the perturbation should show: {bounds:?}");
    }
}
