//! What makes the equations of implicit stages solvable, in exact arithmetic.
//!
//! The stages of a method fall into blocks of stages that follow each other: `a_ij = 0` where `j` belongs to a later block than
//! `i`. Each block is solved by itself, once those before it are known: a stage at a time of a diagonally implicit method,
//! all stages at once of Gauss or Radau.
//!
//! Let `C` be the inverse of the block of `A`, and `δ > 0`. With `α` such that `Σ δᵢ²C_ij zᵢzⱼ ≥ α Σ δᵢ²zᵢ²`, the equations
//! `X = r + hAF(X)` of a field with `⟨Δf, Δx⟩ ≤ μ‖Δx‖²` have one solution while `hμ < α`, and an `X` with the residual `ρ`
//! is off from it by at most `‖Cρ‖_D/(α − hμ)` in the norm `‖X‖_D² = Σ δᵢ²‖Xᵢ‖²`.
//!
//! Sources: Hairer, Wanner, *Solving ordinary differential equations II* (1996), IV.14; Crouzeix, Hundsdorfer, Spijker,
//! *On the existence of solutions to the algebraic equations in implicit Runge–Kutta methods*, BIT 23 (1983).

use std::ops::Range;

use faer::Mat;

use super::{
    circle::is_positive_semidefinite,
    coefficients::Tableau,
    exact::{Surd, largest},
};
use crate::{
    error::{Error, Result},
    rigor::{
        Lower, Upper,
        directed::{add_up, mul_up, sqrt_up},
    },
    scalar::eigenvalue_estimates,
};

/// The blocks of stages of a method, and its end as a combination of them.
#[derive(Debug, Clone)]
pub struct Stages {
    /// The blocks, in order.
    pub blocks: Vec<StageBlock>,
    /// `d` with `x₁ = x + Σ dᵢ(Xᵢ − x)`: a solution of `Aᵀd = b`.
    pub end: Vec<Surd>,
}

/// Stages that are solved together.
#[derive(Debug, Clone)]
pub struct StageBlock {
    /// Which.
    pub stages: Range<usize>,
    /// What makes them solvable; none for one explicit stage.
    pub solvable: Option<Solvable>,
}

/// The constants of a block.
#[derive(Debug, Clone)]
pub struct Solvable {
    /// A lower bound of the largest `α` for these weights.
    pub alpha: Lower,
    /// An upper bound of `‖diag(δ) C diag(δ)⁻¹‖`.
    pub inverse: Upper,
    /// `δ`, the largest 1.
    pub weights: Vec<f64>,
}

impl Tableau {
    /// Returns the blocks of stages of the method.
    ///
    /// # Errors
    /// [`Error::Tableau`] if the block of `A` for stages that have to be solved together is singular, or if the end of the
    /// step is no combination of its stages.
    pub fn stage_blocks(&self) -> Result<Stages> {
        let refuse = |reason: &str| Error::Tableau { name: self.name.clone(), reason: reason.into() };
        let s = self.stages();
        let zero = Surd::default();
        let (mut blocks, mut first) = (Vec::new(), 0);
        while first < s {
            // The least block that no stage of it leaves.
            let last_used = |i: usize| (0..s).rev().find(|&j| self.a[i][j] != zero).unwrap_or(i).max(i);
            let mut end = last_used(first) + 1;
            let mut i = first;
            while i < end {
                end = end.max(last_used(i) + 1);
                i += 1;
            }
            let stages = first..end;
            let explicit = stages.len() == 1 && self.a[first][first] == zero;
            let solvable = if explicit {
                None
            } else {
                Some(
                    self.solvable(&stages)
                        .ok_or_else(|| refuse("the matrix of stages that are solved together is singular"))?,
                )
            };
            blocks.push(StageBlock { stages, solvable });
            first = end;
        }
        let transposed: Vec<Vec<Surd>> = (0..s).map(|j| (0..s).map(|i| self.a[i][j].clone()).collect()).collect();
        let right = self.b.iter().map(|b| vec![b.clone()]).collect();
        let end =
            solve(transposed, right).ok_or_else(|| refuse("the end of a step is no combination of its stages"))?;
        Ok(Stages { blocks, end: end.into_iter().flatten().collect() })
    }

    /// Returns the constants of a block, unless it is singular.
    fn solvable(&self, stages: &Range<usize>) -> Option<Solvable> {
        let n = stages.len();
        let block: Vec<Vec<Surd>> = stages.clone().map(|i| self.a[i][stages.clone()].to_vec()).collect();
        let unit = |i: usize| (0..n).map(|j| Surd::from(i64::from(i == j))).collect::<Vec<Surd>>();
        let identity: Vec<Vec<Surd>> = (0..n).map(unit).collect();
        let inverse = solve(block, identity)?;
        let about: Vec<Vec<f64>> = inverse.iter().map(|row| row.iter().map(Surd::lower).collect()).collect();
        let weights = weights(&about);
        let exact: Vec<Surd> = weights.iter().map(|&w| Surd::from_f64(w).ok()).collect::<Option<_>>()?;
        let scaled = |i: usize, j: usize| Some(&(&exact[i] * &inverse[i][j]) * &exact[j].recip()?);
        let scaled: Vec<Vec<Surd>> =
            (0..n).map(|i| (0..n).map(|j| scaled(i, j)).collect::<Option<_>>()).collect::<Option<_>>()?;
        let half = Surd::ratio(1, 2).ok()?;
        let form: Vec<Vec<Surd>> =
            (0..n).map(|i| (0..n).map(|j| &half * &(&scaled[i][j] + &scaled[j][i])).collect()).collect();
        let holds = |alpha: f64| {
            let Ok(alpha) = Surd::from_f64(alpha) else { return alpha == f64::NEG_INFINITY };
            let mut shifted = form.clone();
            (0..n).for_each(|i| shifted[i][i] = &shifted[i][i] - &alpha);
            is_positive_semidefinite(shifted)
        };
        let alpha = largest(estimate(&about, &weights), holds);
        let squares = scaled.iter().flatten().map(|x| x.abs().upper()).map(|x| mul_up(x, x)).fold(0.0, add_up);
        // One number is its own norm.
        let norm = if n == 1 { scaled[0][0].abs().upper() } else { sqrt_up(squares) };
        Some(Solvable { alpha: Lower::proved(alpha), inverse: Upper::proved(norm), weights })
    }
}

/// About the largest `α` for weights: an eigenvalue.
fn estimate(inverse: &[Vec<f64>], weights: &[f64]) -> f64 {
    let n = weights.len();
    let c = |i: usize, j: usize| weights[i] * inverse[i][j] / weights[j];
    let form = Mat::from_fn(n, n, |i, j| 0.5 * (c(i, j) + c(j, i)));
    let least = eigenvalue_estimates(form.as_ref()).and_then(|values| values.first().copied());
    least.filter(|x| x.is_finite()).unwrap_or(0.0)
}

/// Weights that make `α` large, found by a search in each direction; short numbers, the largest 1.
fn weights(inverse: &[Vec<f64>]) -> Vec<f64> {
    let n = inverse.len();
    let (mut logs, mut step) = (vec![0.0f64; n], 2.0f64);
    let value = |logs: &[f64]| estimate(inverse, &logs.iter().map(|x| x.exp2()).collect::<Vec<_>>());
    let mut best = value(&logs);
    while step > 1e-7 {
        let mut improved = false;
        for i in 1..n {
            for sign in [1.0, -1.0] {
                let mut moved = logs.clone();
                moved[i] += sign * step;
                let found = value(&moved);
                if moved[i].abs() < 40.0 && found > best {
                    (logs, best, improved) = (moved, found, true);
                }
            }
        }
        if !improved {
            step *= 0.5;
        }
    }
    let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logs.iter().map(|x| f64::from((x - top).exp2() as f32)).collect()
}

/// Returns a solution `X` of `MX = R`, exactly; none if there is none. Variables that are not determined are 0.
fn solve(mut m: Vec<Vec<Surd>>, mut right: Vec<Vec<Surd>>) -> Option<Vec<Vec<Surd>>> {
    let (n, columns) = (m.len(), right.first().map_or(0, Vec::len));
    let zero = Surd::default();
    let (mut pivots, mut row) = (Vec::new(), 0);
    for column in 0..n {
        let Some(found) = (row..n).find(|&i| m[i][column] != zero) else { continue };
        m.swap(row, found);
        right.swap(row, found);
        let inverse = m[row][column].recip()?;
        m[row].iter_mut().for_each(|x| *x = &*x * &inverse);
        right[row].iter_mut().for_each(|x| *x = &*x * &inverse);
        let (pivot, target) = (m[row].clone(), right[row].clone());
        for i in (0..n).filter(|&i| i != row) {
            let factor = m[i][column].clone();
            if factor != zero {
                m[i].iter_mut().zip(&pivot).for_each(|(x, p)| *x = &*x - &(&factor * p));
                right[i].iter_mut().zip(&target).for_each(|(x, p)| *x = &*x - &(&factor * p));
            }
        }
        pivots.push(column);
        row += 1;
    }
    if right[row..].iter().flatten().any(|x| *x != zero) {
        return None;
    }
    let mut solution = vec![vec![zero; columns]; n];
    pivots.into_iter().zip(right).for_each(|(column, found)| solution[column] = found);
    Some(solution)
}
