//! `W = L⁻¹M` with the Cholesky decomposition `MMᵀ = LLᵀ`: then `WWᵀ = L⁻¹MMᵀL⁻ᵀ = I`.
//!
//! With `S = MMᵀ` and `Φ`, which takes the lower triangle and half of the diagonal, `dL = LΦ(L⁻¹dS L⁻ᵀ)` (Murray,
//! arXiv:1602.07527), and `dW = L⁻¹dM − L⁻¹dL W`.

use faer::{
    Mat, MatRef, Side,
    linalg::solvers::{DenseSolveCore, Llt},
};

use super::{inner, wide};

/// Returns `L⁻¹` for a matrix of full rank.
fn inverse_factor(m: MatRef<'_, f64>) -> Option<Mat<f64>> {
    let factor = Llt::new((m * m.transpose()).as_ref(), Side::Lower).ok()?;
    let inverse = factor.L().partial_piv_lu().inverse();
    inverse.norm_max().is_finite().then_some(inverse)
}

pub(super) fn explicit(m: MatRef<'_, f64>) -> Mat<f64> {
    wide(m, |m| match inverse_factor(m) {
        Some(inverse) => inverse * m,
        None => m * faer::Scale(1.0 / size(m)),
    })
}

pub(super) fn pull_back(m: MatRef<'_, f64>, g: MatRef<'_, f64>) -> Mat<f64> {
    let tall = m.nrows() > m.ncols();
    let g = if tall { g.transpose() } else { g };
    wide(m, |m| {
        let Some(inverse) = inverse_factor(m) else {
            // d(M/‖M‖) = (dM − W⟨W, dM⟩)/‖M‖.
            let size = size(m);
            let along = inner(g, m) / (size * size);
            return Mat::from_fn(m.nrows(), m.ncols(), |i, j| (g[(i, j)] - along * m[(i, j)]) / size);
        };
        let w = &inverse * m;
        let direct = inverse.transpose() * g;
        // L̄ = −L⁻ᵀGWᵀ, so LᵀL̄ = −GWᵀ, of which Φ takes the lower triangle.
        let y = g * w.transpose();
        let n = y.nrows();
        let phi = Mat::from_fn(n, n, |i, j| match i.cmp(&j) {
            std::cmp::Ordering::Less => 0.0,
            std::cmp::Ordering::Equal => -y[(i, j)] / 2.0,
            std::cmp::Ordering::Greater => -y[(i, j)],
        });
        // The gradient by S, symmetric, and by M in S = MMᵀ.
        let twice = inverse.transpose() * (&phi + phi.transpose()) * &inverse;
        direct + twice * m
    })
}

/// Returns the Frobenius norm, or 1 for a matrix of zeros, which stays as it is.
fn size(m: MatRef<'_, f64>) -> f64 {
    let norm = m.norm_l2();
    if norm > 0.0 { norm } else { 1.0 }
}
