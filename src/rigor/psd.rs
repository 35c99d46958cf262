//! Positive semidefinite matrices, proved by a residual.
//!
//! For a symmetric `G`, any number `α` and any matrix `R`, let `E = G − αI − RᵀR`. Then
//!
//! $$ xᵀGx = αxᵀx + \|Rx\|² + xᵀEx \ge (α - \max_i \textstyle\sum_j |E_{ij}|)\,xᵀx, $$
//!
//! so `G ⪰ 0` if no row of `|E|` has a sum above `α`, *whatever* `R` is. An approximate Cholesky factor of `G − αI`
//! proposes; see [`super::matrix`] for the same with the largest eigenvalue.

use faer::{Accum, Mat, MatRef};

use super::directed::{ETA, U, add_up, enlarge_sum, gamma, mul_up};
use crate::scalar::{cholesky_estimate, gemm};

/// The largest multiple of the identity that is given away.
const LARGEST_GAP: f64 = 0.125;

/// Whether every symmetric `G` with `Σ_j |G_ij − Ĝ_ij| ≤ error_i` for all `i` is proved positive semidefinite.
///
/// `Ĝ` is symmetric with a diagonal of about 1: scale it first, by powers of two. `false` says nothing.
pub fn is_positive_semidefinite(image: MatRef<'_, f64>, error: &[f64]) -> bool {
    let n = image.nrows();
    if n == 0 || image.ncols() != n || error.len() != n {
        return false;
    }
    let given = error.iter().fold(0.0, |a: f64, &e| if e.is_nan() { f64::INFINITY } else { a.max(e) });
    let mut alpha = add_up(mul_up(2.0, given), n as f64 * 8.0 * f64::EPSILON);
    while alpha <= LARGEST_GAP {
        let shifted = Mat::from_fn(n, n, |i, j| image[(i, j)] - diagonal(alpha, i, j));
        let Some(factor) = cholesky_estimate(shifted.as_ref()) else { return false };
        if (residual(image, error, alpha, factor.transpose())).is_some_and(|e| e <= alpha) {
            return true;
        }
        alpha *= 8.0;
    }
    false
}

fn diagonal(alpha: f64, i: usize, j: usize) -> f64 {
    if i == j { alpha } else { 0.0 }
}

/// A bound of `max_i Σ_j |E_ij|` for `E = G − αI − RᵀR`; none if the image is not symmetric.
fn residual(image: MatRef<'_, f64>, error: &[f64], alpha: f64, r: MatRef<'_, f64>) -> Option<f64> {
    let n = image.nrows();
    let mut square = Mat::zeros(n, n);
    gemm(square.as_mut(), Accum::Replace, r.transpose(), r);
    let square_error = product_error(r);
    let mut worst = 0.0f64;
    for i in 0..n {
        // Two subtractions, each off by at most u times its result: |E − e| ≤ u|t| + u|e|.
        let (mut differences, mut residuals) = (0.0, 0.0);
        for j in 0..n {
            // The rows are read down the columns, where they are contiguous; a kernel may return a product that is not
            // symmetric to the last bit, and column i is then as good an image of row i as row i is.
            if image[(i, j)] != image[(j, i)] {
                return None;
            }
            let t = image[(j, i)] - diagonal(alpha, i, j);
            differences += t.abs();
            residuals += (t - square[(j, i)]).abs();
        }
        let rounding = mul_up(U, add_up(enlarge_sum(differences, n), enlarge_sum(residuals, n)));
        let inherited = add_up(error[i], square_error[i]);
        let row = add_up(add_up(enlarge_sum(residuals, n), rounding), inherited);
        worst = worst.max(row);
    }
    Some(worst)
}

/// For each column of the computed `RᵀR`, a bound of the sum of its errors: `γ_k |R|ᵀ(|R|1) + n k η`.
fn product_error(r: MatRef<'_, f64>) -> Vec<f64> {
    let (k, n) = (r.nrows(), r.ncols());
    let row_sums: Vec<f64> = (0..k).map(|i| enlarge_sum((0..n).map(|j| r[(i, j)].abs()).sum(), n)).collect();
    let underflow = mul_up((n * k) as f64, ETA);
    (0..n)
        .map(|j| {
            let weighted: f64 = (0..k).map(|i| r[(i, j)].abs() * row_sums[i]).sum();
            let weighted = add_up(enlarge_sum(weighted, k + 1), mul_up(k as f64, ETA));
            add_up(mul_up(gamma(k, U), weighted), underflow)
        })
        .collect()
}
