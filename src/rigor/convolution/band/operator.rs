//! A convolution as a block Toeplitz matrix: its blocks, its products with vectors, and the blocks of its Gram matrix.

use std::collections::BTreeMap;

use faer::{Accum, Mat, MatRef};

use super::{Convolution, Plan};
use crate::{
    rigor::{
        directed::{enlarge_sum, mul_up},
        freivalds::{multiply, multiply_transposed},
    },
    scalar::{Structure, gemm},
};

/// An operator as a block Toeplitz matrix.
pub(super) struct Band {
    pub(super) plan: Plan,
    /// For each tap the block between a line and one of the other side: `B_a` or its transpose.
    pub(super) taps: Vec<Mat<f64>>,
    /// `g`.
    pub(super) schur: f64,
}

impl Band {
    pub(super) fn new(conv: &Convolution<'_>, plan: Plan) -> Self {
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

    /// Returns whether no tap that couples two lines has an entry but 0: the others only read what lies beyond the
    /// border.
    pub(super) fn is_zero(&self) -> bool {
        let Plan { lines, other_lines, .. } = self.plan;
        let used = |u: usize| (0..other_lines).filter_map(move |o| self.plan.tap(u, o));
        (0..lines).flat_map(used).all(|a| self.taps[a].norm_max() == 0.0)
    }

    /// Returns the order of the Gram matrix.
    pub(super) fn len(&self) -> usize {
        self.plan.lines * self.plan.line
    }

    /// Returns the Gram matrix times a vector: for proposals.
    pub(super) fn apply(&self, x: &[f64]) -> Vec<f64> {
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

    /// Returns the block of the Gram matrix between two lines `v ≤ u`; equal ones are computed once.
    pub(super) fn gram<'a>(&self, u: usize, v: usize, blocks: &'a mut Blocks) -> &'a Mat<f64> {
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

    /// Returns the Gram matrix times a vector, without a kernel for matrices.
    pub(super) fn apply_directly(&self, x: &[f64]) -> Vec<f64> {
        let (between, mut y) = (self.between(x), vec![0.0; x.len()]);
        for (u, o, a) in self.couplings() {
            let (line, other) = (self.plan.line, self.plan.other_line);
            let tap = (self.taps[a].as_ref(), Structure::Full);
            multiply(tap, &between[o * other..][..other], &mut y[u * line..][..line]);
        }
        y
    }

    /// Returns what the operator, or its transpose, makes of a vector on this side.
    pub(super) fn between(&self, x: &[f64]) -> Vec<f64> {
        let Plan { line, other_lines, other_line, .. } = self.plan;
        let mut between = vec![0.0; other_lines * other_line];
        for (u, o, a) in self.couplings() {
            let tap = (self.taps[a].as_ref(), Structure::Full);
            multiply_transposed(tap, &x[u * line..][..line], &mut between[o * other_line..][..other_line]);
        }
        between
    }

    /// Returns the lines of either side that are coupled, and the tap that couples them.
    fn couplings(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let Plan { lines, other_lines, .. } = self.plan;
        let pairs = (0..lines).flat_map(move |u| (0..other_lines).map(move |o| (u, o)));
        pairs.filter_map(|(u, o)| Some((u, o, self.plan.tap(u, o)?)))
    }
}

/// Blocks of the Gram matrix by the pairs of taps that they sum over.
#[derive(Default)]
pub(super) struct Blocks(BTreeMap<Vec<(usize, usize)>, Mat<f64>>);

/// Returns an upper bound of `Σ|x|`.
fn sum_of_absolutes(x: &[f64]) -> f64 {
    enlarge_sum(x.iter().map(|x| x.abs()).sum(), x.len())
}
