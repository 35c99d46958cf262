//! Multipliers of a stack, found layer by layer, in a time that grows with the depth. Nothing here is trusted.
//!
//! Without its output the matrix of a stack is block tridiagonal: for `ρ = 1` it is `N(t)` with the blocks `I`, `2T₁`, …,
//! `2T_k` on its diagonal and `−(m+L)T_jW_j` beside it. Where it is positive definite, `ρ² = ‖B P Bᵀ‖` is the least bound that
//! `ρ²t` proves, `P` being the last block of its inverse. Elimination from the first block on gives the pivots
//!
//! ```math
//! X_0 = I, \qquad Y_{j-1} = X_{j-1} + 2mL\,W_jᵀT_jW_j, \qquad X_j = 2T_j − (m+L)²\,T_jW_jY_{j-1}^{-1}W_jᵀT_j, \qquad P = X_k^{-1}:
//! ```
//!
//! what is known of a layer is an ellipsoid, and the next one follows from it. The multipliers begin in closed form, one
//! number a layer, `T_j = t_jI` with `t_j = 1/(2r(r + |c|)‖W_jX_{j-1}^{-1}W_jᵀ‖)`, `c` and `r` being the middle and half the
//! length of `[m, L]`: that maximises the pivot in its worst direction. From there `ρ²`, smoothed, descends in the
//! logarithms of all multipliers, along directions of the L-BFGS method.
//!
//! Source of the closed form: Xu, Sivaranjani, *ECLipsE: efficient compositional Lipschitz constant estimation for deep
//! neural networks*, NeurIPS 2024 (ECLipsE-Fast).

use faer::{Accum, Mat, MatRef};

use super::{Chain, Proposal, multipliers::squared_norm};
use crate::scalar::{
    back_substitute_estimate, cholesky_estimate, eigenvalue_estimates, gemm, solve_transposed_estimate,
};

/// How often the matrix of the outputs is squared: the smoothed norm is that of its power.
const SQUARINGS: [u32; 3] = [2, 4, 7];
/// The most steps with one power.
const STEPS: usize = 40;
/// Steps of the method that are remembered.
const MEMORY: usize = 8;
/// A relative decrease below which a power has done what it can.
const ENOUGH: f64 = 1e-4;

/// The factor of `N(t)`: `N = FFᵀ` with lower triangles on the diagonal of `F` and `beside` below it.
pub(super) struct Pivots {
    /// Factors of `Y_0`, …, `Y_{k−1}`, and of `X_k`.
    diagonal: Vec<Mat<f64>>,
    /// `−(m+L)T_jW_jF_{j−1}^{−ᵀ}` for each stage.
    beside: Vec<Mat<f64>>,
}

/// One step of the elimination: the factor of `Y_{j−1}`, what stands beside it, and the next pivot `X_j`.
struct Eliminated {
    factor: Mat<f64>,
    beside: Mat<f64>,
    next: Mat<f64>,
}

impl Chain {
    /// Returns multipliers and the bound that they seem to prove, if there are any; for a stack.
    pub(super) fn propose_by_layers(&self) -> Option<Proposal> {
        if self.supply.has_input() {
            return None;
        }
        let chain = self.reduced();
        let mut t = chain.closed_form()?;
        SQUARINGS.iter().for_each(|&squarings| chain.descend(&mut t, squarings));
        let squared = chain.image_of_output(&chain.pivots(&t)?).largest()?;
        let scale = |t: &Vec<f64>| t.iter().map(|t| squared * t).collect();
        let multipliers: Vec<Vec<f64>> = t.iter().map(scale).collect();
        let bound = libm::scalbn(squared.sqrt(), self.exponent) * (1.0 + 1e-12);
        bound.is_finite().then_some(Proposal { bound, multipliers })
    }

    /// Returns the factor of the last pivot for multipliers that are meant for `ρ = 1`.
    pub(super) fn last_pivot(&self, t: &[Vec<f64>]) -> Option<Mat<f64>> {
        self.reduced().pivots(t)?.diagonal.pop()
    }

    /// Returns one number for each layer, as for all of its neurons.
    fn closed_form(&self) -> Option<Vec<Vec<f64>>> {
        let mut t: Vec<Vec<f64>> = Vec::new();
        let mut x: Mat<f64> = Mat::identity(self.input(), self.input());
        for (j, stage) in self.stages.iter().enumerate() {
            let [m, l] = stage.slopes;
            let (c, r) = ((m + l) / 2.0, (l - m) / 2.0);
            let mut image = stage.weight.clone();
            solve_transposed_estimate(cholesky_estimate(x.as_ref())?.as_ref(), image.as_mut());
            let one = 1.0 / (2.0 * r * (r + c.abs()) * squared_norm(&image));
            if !(one.is_finite() && one > 0.0) {
                return None;
            }
            t.push(vec![one; stage.weight.nrows()]);
            x = self.eliminate(j, &x, &t[j])?.next;
        }
        Some(t)
    }

    /// Returns one step of the elimination, from the pivot `X_{j−1}`.
    fn eliminate(&self, j: usize, x: &Mat<f64>, t: &[f64]) -> Option<Eliminated> {
        let (w, [m, l]) = (&self.stages[j].weight, self.stages[j].slopes);
        let weighted = Mat::from_fn(w.nrows(), w.ncols(), |i, c| t[i] * w[(i, c)]);
        let mut y = x.clone();
        if m * l != 0.0 {
            let mut square: Mat<f64> = Mat::zeros(w.ncols(), w.ncols());
            gemm(square.as_mut(), Accum::Replace, w.transpose(), weighted.as_ref());
            y += faer::Scale(2.0 * m * l) * &square;
        }
        let factor = cholesky_estimate(y.as_ref())?;
        let mut beside = weighted * faer::Scale(-(m + l));
        solve_transposed_estimate(factor.as_ref(), beside.as_mut());
        let mut next: Mat<f64> = Mat::zeros(w.nrows(), w.nrows());
        gemm(next.as_mut(), Accum::Replace, beside.as_ref(), beside.transpose());
        let next = Mat::from_fn(w.nrows(), w.nrows(), |a, b| if a == b { 2.0 * t[a] } else { 0.0 } - next[(a, b)]);
        Some(Eliminated { factor, beside, next })
    }

    /// Returns the factor of `N(t)`; none where it is not positive definite.
    fn pivots(&self, t: &[Vec<f64>]) -> Option<Pivots> {
        let mut pivots = Pivots { diagonal: Vec::new(), beside: Vec::new() };
        let mut x: Mat<f64> = Mat::identity(self.input(), self.input());
        for (j, t) in t.iter().enumerate() {
            let Eliminated { factor, beside, next } = self.eliminate(j, &x, t)?;
            pivots.diagonal.push(factor);
            pivots.beside.push(beside);
            x = next;
        }
        pivots.diagonal.push(cholesky_estimate(x.as_ref())?);
        Some(pivots)
    }

    /// Returns `B P Bᵀ`.
    fn image_of_output(&self, pivots: &Pivots) -> Output {
        let last = pivots.last();
        let mut b = match &self.outer {
            Some(b) => b.clone(),
            None => Mat::identity(last.nrows(), last.nrows()),
        };
        solve_transposed_estimate(last, b.as_mut());
        let mut m: Mat<f64> = Mat::zeros(b.nrows(), b.nrows());
        gemm(m.as_mut(), Accum::Replace, b.as_ref(), b.transpose());
        Output { m, b }
    }

    /// Returns the smoothed logarithm of `ρ²`, and its derivatives by the logarithms of the multipliers.
    fn objective(&self, t: &[Vec<f64>], squarings: u32) -> Option<(f64, Vec<f64>)> {
        let pivots = self.pivots(t)?;
        let output = self.image_of_output(&pivots);
        let (value, h) = output.smoothed(squarings)?;
        // Z = N⁻¹EBᵀ, block by block from the last one on.
        let mut z = output.b.transpose().to_owned();
        back_substitute_estimate(pivots.last(), z.as_mut());
        let mut gradient: Vec<Vec<f64>> = Vec::new();
        for (j, stage) in self.stages.iter().enumerate().rev() {
            let mut before: Mat<f64> = Mat::zeros(stage.weight.ncols(), z.ncols());
            gemm(before.as_mut(), Accum::Replace, pivots.beside[j].transpose(), z.as_ref());
            before *= faer::Scale(-1.0);
            back_substitute_estimate(pivots.diagonal[j].as_ref(), before.as_mut());
            let mut image: Mat<f64> = Mat::zeros(stage.weight.nrows(), z.ncols());
            gemm(image.as_mut(), Accum::Replace, stage.weight.as_ref(), before.as_ref());
            let [m, l] = stage.slopes;
            let (p, q) = (&z - faer::Scale(m) * &image, &z - faer::Scale(l) * &image);
            let mut weighed: Mat<f64> = Mat::zeros(q.nrows(), q.ncols());
            gemm(weighed.as_mut(), Accum::Replace, q.as_ref(), h.as_ref());
            let inner = |i: usize| (0..p.ncols()).map(|c| p[(i, c)] * weighed[(i, c)]).sum::<f64>();
            gradient.push((0..p.nrows()).map(|i| -2.0 * t[j][i] * inner(i)).collect());
            z = before;
        }
        let gradient: Vec<f64> = gradient.into_iter().rev().flatten().collect();
        (value.is_finite() && gradient.iter().all(|g| g.is_finite())).then_some((value, gradient))
    }

    /// Improves multipliers, by steps of the L-BFGS method in their logarithms.
    fn descend(&self, t: &mut Vec<Vec<f64>>, squarings: u32) {
        let Some((mut value, mut gradient)) = self.objective(t, squarings) else { return };
        let mut memory: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
        for step in 0..STEPS {
            let mut direction = direction(&memory, &gradient);
            let mut along = dot(&direction, &gradient);
            if along.is_nan() || along >= 0.0 {
                memory.clear();
                direction = gradient.iter().map(|g| -g).collect();
                along = dot(&direction, &gradient);
            }
            // No multiplier changes by more than a factor of e at first.
            let largest = direction.iter().fold(0.0f64, |a, d| a.max(d.abs()));
            let mut length = if step == 0 { (0.5 / largest).min(1.0) } else { (1.0 / largest).min(1.0) };
            let accepted = loop {
                if length * largest < 1e-9 || length.is_nan() {
                    break None;
                }
                let moved = moved(t, &direction, length);
                match self.objective(&moved, squarings) {
                    Some((v, g)) if v <= value + 1e-4 * length * along => break Some((moved, v, g)),
                    _ => length *= 0.4,
                }
            };
            let Some((next, v, g)) = accepted else { return };
            let change: Vec<f64> = direction.iter().map(|d| length * d).collect();
            let difference: Vec<f64> = g.iter().zip(&gradient).map(|(a, b)| a - b).collect();
            if dot(&change, &difference) > 0.0 {
                memory.push((change, difference));
                if memory.len() > MEMORY {
                    memory.remove(0);
                }
            }
            let gained = value - v;
            (*t, value, gradient) = (next, v, g);
            if gained < ENOUGH && step > 4 {
                return;
            }
        }
    }
}

impl Pivots {
    fn last(&self) -> MatRef<'_, f64> {
        self.diagonal[self.diagonal.len() - 1].as_ref()
    }
}

/// `M = BPBᵀ`, and `b = BF_k^{−ᵀ}`, so that `M = bbᵀ`.
struct Output {
    m: Mat<f64>,
    b: Mat<f64>,
}

impl Output {
    /// Returns the largest eigenvalue.
    fn largest(&self) -> Option<f64> {
        eigenvalue_estimates(self.m.as_ref())?.last().copied().filter(|x| x.is_finite() && *x > 0.0)
    }

    /// Returns `log tr(Mᵖ)/p` for `p = 2^squarings`, and its derivative by `M`, which is `Mᵖ⁻¹/tr(Mᵖ)`.
    fn smoothed(&self, squarings: u32) -> Option<(f64, Mat<f64>)> {
        let n = self.m.nrows();
        let trace = |m: &Mat<f64>| (0..n).map(|i| m[(i, i)]).sum::<f64>();
        let scale = trace(&self.m);
        if !(scale.is_finite() && scale > 0.0) {
            return None;
        }
        let mut power = &self.m * faer::Scale(1.0 / scale);
        let mut below: Mat<f64> = Mat::identity(n, n);
        // Logarithms of the factors that are taken out of the power, and out of what is one power below it.
        let (mut of_power, mut of_below) = (scale.ln(), 0.0);
        for _ in 0..squarings {
            (below, of_below) = (&below * &power, of_below + of_power);
            power = &power * &power;
            let size = trace(&power);
            power *= faer::Scale(1.0 / size);
            of_power = 2.0 * of_power + size.ln();
        }
        let whole = of_power + trace(&power).ln();
        let value = whole / f64::from(1u32 << squarings);
        Some((value, below * faer::Scale((of_below - whole).exp())))
    }
}

fn moved(t: &[Vec<f64>], direction: &[f64], length: f64) -> Vec<Vec<f64>> {
    let mut rest = direction.iter();
    t.iter().map(|t| t.iter().zip(&mut rest).map(|(t, d)| t * (length * d).exp()).collect()).collect()
}

/// Returns the direction of the L-BFGS method.
fn direction(memory: &[(Vec<f64>, Vec<f64>)], gradient: &[f64]) -> Vec<f64> {
    let mut d: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut weights = Vec::new();
    for (change, difference) in memory.iter().rev() {
        let weight = dot(change, &d) / dot(change, difference);
        d.iter_mut().zip(difference).for_each(|(d, y)| *d -= weight * y);
        weights.push(weight);
    }
    if let Some((change, difference)) = memory.last() {
        let scale = dot(change, difference) / dot(difference, difference);
        d.iter_mut().for_each(|d| *d *= scale);
    }
    for ((change, difference), weight) in memory.iter().zip(weights.into_iter().rev()) {
        let correction = weight - dot(difference, &d) / dot(change, difference);
        d.iter_mut().zip(change).for_each(|(d, s)| *d += correction * s);
    }
    d
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}
