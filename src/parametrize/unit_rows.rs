//! `wᵢ = mᵢ/‖mᵢ‖`: the logits of a head with such rows are distances, which a margin loss needs.

use faer::{Mat, MatRef};

/// Returns the norm of a row, or 1 for a row of zeros, which stays as it is.
fn norm(m: MatRef<'_, f64>, i: usize) -> f64 {
    let norm = m.row(i).norm_l2();
    if norm > 0.0 { norm } else { 1.0 }
}

pub(super) fn explicit(m: MatRef<'_, f64>) -> Mat<f64> {
    let norms: Vec<f64> = (0..m.nrows()).map(|i| norm(m, i)).collect();
    Mat::from_fn(m.nrows(), m.ncols(), |i, j| m[(i, j)] / norms[i])
}

/// Turns the gradient by `W` into the one by `M`: `d(m/‖m‖) = (I − wwᵀ)/‖m‖ dm` with `w = m/‖m‖`.
pub(super) fn pull_back(m: MatRef<'_, f64>, g: MatRef<'_, f64>) -> Mat<f64> {
    let rows: Vec<(f64, f64)> = (0..m.nrows())
        .map(|i| {
            let norm = norm(m, i);
            let along = (0..m.ncols()).map(|j| g[(i, j)] * m[(i, j)] / norm).sum();
            (norm, along)
        })
        .collect();
    Mat::from_fn(m.nrows(), m.ncols(), |i, j| {
        let (norm, along) = rows[i];
        (g[(i, j)] - along * m[(i, j)] / norm) / norm
    })
}
