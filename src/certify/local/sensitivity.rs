//! Backward: how a margin depends on what happens before it, neuron by neuron.
//!
//! For two points in the ball, the difference of a margin is `⟨v, Δ⟩` with `v = (wᵢ − wⱼ)ᵀ D_k W_k ⋯ D₁ W₁` and diagonal
//! `D` of slopes of chords, each in the interval that is known for its neuron. The product is enclosed by a nominal row
//! `v̄`, with the middles of the intervals, and a bound `d` of `‖v − v̄‖`: passing an activation adds `‖v̄ ∘ (half widths)‖`,
//! passing a matrix what the sums may be off by rounding. Where every neuron is fixed, `d` is nothing but that.
//!
//! The errors of the program are such differences, one for each layer: what a layer adds, `δ`, moves the margin by at
//! most `(‖v̄‖ + d)‖δ‖`, with the `v̄` of what comes after it. The intervals hold for points that are off by all errors so
//! far, so they hold for every step from the exact network to the program.

use faer::Mat;

use super::{
    Local, Part,
    motion::{Motion, largest},
};
use crate::{
    rigor::directed::{ETA, U, add_up, div_up, gamma, mul_up, norm_up, sqrt_up, sub_up},
    scalar::Scalar,
};

/// What is known of the difference of two logits within a ball.
pub(super) struct Sensitivity {
    /// Its Lipschitz constant in the input.
    pub slope: f64,
    /// A bound of what the errors of the features as executed make of it.
    pub error: f64,
}

/// A row that is known up to an error: `‖v − v̄‖ ≤ d`.
struct Row {
    /// `v̄`; zero if it is empty.
    nominal: Vec<f64>,
    /// `d`.
    deviation: f64,
}

impl Row {
    /// Returns an upper bound of `‖v‖`.
    fn norm(&self) -> f64 {
        add_up(norm_up(&self.nominal), self.deviation)
    }

    /// The row behind a map of which only the norm is known.
    fn forget(&mut self, norm: f64) {
        *self = Self { nominal: Vec::new(), deviation: mul_up(self.norm(), norm) };
    }

    /// Returns `vD` for a diagonal `D` of slopes, as `v̄D̄ + d·c`: `cᵢ`, the largest slope of a neuron, is left out of
    /// the deviation, and is in the norm of [`super::motion::Passed`] that the deviation meets next. Returns a bound of
    /// `‖vD‖`.
    fn through_slopes(&mut self, slopes: &[[f64; 2]]) -> f64 {
        // |v̄ᵢ| (half the width)/cᵢ, nothing for neurons that are fixed.
        let spread = |(v, slope): (&f64, &[f64; 2])| {
            let [low, high] = *slope;
            if low < high { div_up(mul_up(v.abs(), sub_up(high, low) / 2.0), largest(slope)) } else { 0.0 }
        };
        let spread: Vec<f64> = self.nominal.iter().zip(slopes).map(spread).collect();
        // Three roundings of each product, and underflow of it.
        let largest_slope = slopes.iter().map(largest).fold(0.0, f64::max);
        let smallest_slope = slopes.iter().map(largest).filter(|c| *c > 0.0).fold(largest_slope, f64::min);
        let underflow = div_up(mul_up(4.0 * ETA, slopes.len() as f64), smallest_slope);
        let rounded =
            add_up(mul_up(8.0 * U, norm_up(&self.nominal)), if largest_slope > 0.0 { underflow } else { 0.0 });
        self.deviation = add_up(self.deviation, add_up(norm_up(&spread), rounded));
        for (v, [low, high]) in self.nominal.iter_mut().zip(slopes) {
            *v *= (low + high) / 2.0;
        }
        add_up(norm_up(&self.nominal), mul_up(largest_slope, self.deviation))
    }

    /// `vW` on the coordinates that move, for the rows of `W`; what is left out of the deviation is in `norm`.
    fn through_matrix(&mut self, rows: &Mat<f64>, moving: Option<&[usize]>, norm: f64, frobenius: f64) {
        self.deviation = mul_up(self.deviation, norm);
        if self.nominal.is_empty() {
            return;
        }
        let mut product = vec![0.0; rows.nrows()];
        let mut terms = 0;
        for (v, row) in self.nominal.iter().zip(rows.col_iter()).filter(|(v, _)| **v != 0.0) {
            row.iter().zip(&mut product).for_each(|(w, sum)| *sum += v * w);
            terms += 1;
        }
        if let Some(moving) = moving {
            let all = std::mem::replace(&mut product, vec![0.0; rows.nrows()]);
            moving.iter().for_each(|&j| product[j] = all[j]);
        }
        // γₙ‖|W|ᵀ|v̄|‖ ≤ γₙ‖W‖_F‖v̄‖
        let rounded = mul_up(mul_up(gamma(terms, U), frobenius), norm_up(&self.nominal));
        let underflow = mul_up(sqrt_up(rows.nrows() as f64), mul_up(terms as f64, ETA));
        self.deviation = add_up(self.deviation, add_up(rounded, underflow));
        self.nominal = product;
    }
}

impl<T: Scalar> Local<'_, T> {
    /// Returns the sensitivity of `fᵢ − fⱼ` within the ball that `motion` is about, their rows being at most `distance`
    /// apart.
    pub(super) fn sensitivity(&self, motion: &Motion, (i, j): (usize, usize), distance: f64) -> Sensitivity {
        let Some(head) = &self.head else {
            let times = |known: f64| mul_up(distance, known);
            return Sensitivity { slope: times(motion.lipschitz.get()), error: times(motion.error) };
        };
        let mut nominal = vec![0.0; head.ncols()];
        motion.coordinates(head.ncols()).for_each(|c| nominal[c] = head[(i, c)] - head[(j, c)]);
        let deviation = mul_up(2.0 * U, norm_up(&nominal));
        let mut row = Row { nominal, deviation };
        let (distance, mut error) = (row.norm(), 0.0);
        for ((part, &frobenius), passed) in self.parts.iter().zip(&self.frobenius).zip(&motion.passed).rev() {
            let [before, after] = passed.rounding;
            error = add_up(error, mul_up(row.norm(), after));
            match part {
                Part::Dense(rows, _) => {
                    error = add_up(error, mul_up(row.through_slopes(&passed.slopes), before));
                    row.through_matrix(rows, passed.moving.as_deref(), passed.norm.get(), frobenius);
                }
                Part::Flatten => error = add_up(error, mul_up(row.norm(), before)),
                Part::Other => {
                    error = add_up(error, mul_up(row.norm(), before));
                    row.forget(passed.norm.get());
                }
            }
        }
        // The norms alone are bounds as well.
        let known = |known: f64| mul_up(distance, known);
        Sensitivity { slope: row.norm().min(known(motion.lipschitz.get())), error: error.min(known(motion.error)) }
    }
}
