//! The Cayley transform: for `M = [U; V]` with a square `U` and `A = U − Uᵀ + VᵀV`, `W = [(I + A)⁻¹(I − A); −2V(I + A)⁻¹]` has
//! orthonormal columns. The symmetric part of `I + A` is `I + VᵀV`, so it has an inverse `B`, and `W = [2B − I; −2VB]`.
//!
//! `dB = −B dA B` with `dA = dU − dUᵀ + dVᵀV + VᵀdV`.

use faer::{Mat, MatRef, linalg::solvers::DenseSolveCore};

/// Returns `V` and `B` of a tall matrix.
fn parts(m: MatRef<'_, f64>) -> (MatRef<'_, f64>, Mat<f64>) {
    let n = m.ncols();
    let (u, v) = m.split_at_row(n);
    let square = v.transpose() * v;
    let shifted = Mat::from_fn(n, n, |i, j| u[(i, j)] - u[(j, i)] + square[(i, j)] + if i == j { 1.0 } else { 0.0 });
    (v, shifted.partial_piv_lu().inverse())
}

/// Runs a map of tall matrices on a wide one, by its transpose.
fn tall(m: MatRef<'_, f64>, run: impl FnOnce(MatRef<'_, f64>) -> Mat<f64>) -> Mat<f64> {
    if m.nrows() >= m.ncols() { run(m) } else { run(m.transpose()).transpose().to_owned() }
}

pub(super) fn explicit(m: MatRef<'_, f64>) -> Mat<f64> {
    tall(m, |m| {
        let ((v, b), n) = (parts(m), m.ncols());
        let below = v * &b;
        Mat::from_fn(m.nrows(), n, |i, j| {
            if i < n { 2.0 * b[(i, j)] - if i == j { 1.0 } else { 0.0 } } else { -2.0 * below[(i - n, j)] }
        })
    })
}

pub(super) fn pull_back(m: MatRef<'_, f64>, g: MatRef<'_, f64>) -> Mat<f64> {
    let g = if m.nrows() < m.ncols() { g.transpose() } else { g };
    tall(m, |m| {
        let ((v, b), n) = (parts(m), m.ncols());
        let (top, bottom) = g.split_at_row(n);
        // The gradient by B, over 2; then by A, over −2; the factors are put back at the end.
        let by_b = top - v.transpose() * bottom;
        let by_a = b.transpose() * by_b * b.transpose();
        let by_v = v * (&by_a + by_a.transpose()) + bottom * b.transpose();
        Mat::from_fn(m.nrows(), n, |i, j| -2.0 * if i < n { by_a[(i, j)] - by_a[(j, i)] } else { by_v[(i - n, j)] })
    })
}
