//! `W = MD` with `Dⱼⱼ = sⱼ^(−1/2)`, `sⱼ = Σ_k |MᵀM|ⱼₖ`: then `‖W‖ ≤ 1`, since `diag(s) − MᵀM` is diagonally dominant.

use faer::{Mat, MatRef};

/// Returns the row sums `s` of `|MᵀM|`, 1 for a column of zeros, and `MᵀM`.
fn sums(m: MatRef<'_, f64>) -> (Vec<f64>, Mat<f64>) {
    let square = m.transpose() * m;
    let sum = |j: usize| (0..m.ncols()).map(|k| square[(j, k)].abs()).sum::<f64>();
    let sums = (0..m.ncols()).map(sum).map(|s| if s > 0.0 { s } else { 1.0 }).collect();
    (sums, square)
}

pub(super) fn explicit(m: MatRef<'_, f64>) -> Mat<f64> {
    let (sums, _) = sums(m);
    Mat::from_fn(m.nrows(), m.ncols(), |i, j| m[(i, j)] / sums[j].sqrt())
}

/// Turns the gradient by `W` into the one by `M`: `∂sⱼ/∂M` is the derivative of `Σ_k sign(MᵀM)ⱼₖ (MᵀM)ⱼₖ`.
pub(super) fn pull_back(m: MatRef<'_, f64>, g: MatRef<'_, f64>) -> Mat<f64> {
    let (sums, square) = sums(m);
    let by_sum: Vec<f64> = (0..m.ncols())
        .map(|j| -0.5 * sums[j].powf(-1.5) * (0..m.nrows()).map(|i| g[(i, j)] * m[(i, j)]).sum::<f64>())
        .collect();
    let sign = |j: usize, k: usize| if square[(j, k)] == 0.0 { 0.0 } else { square[(j, k)].signum() };
    let weights = Mat::from_fn(m.ncols(), m.ncols(), |j, k| (by_sum[j] + by_sum[k]) * sign(j, k));
    let through = m * weights;
    Mat::from_fn(m.nrows(), m.ncols(), |i, j| g[(i, j)] / sums[j].sqrt() + through[(i, j)])
}
