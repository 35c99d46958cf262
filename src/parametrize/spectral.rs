//! `W = M/σ` with `σ = ‖Mv‖`, `v` being about the right singular vector of the largest singular value.
//!
//! With `u = Mv/σ` and a fixed `v`, `dσ = uᵀdM v`.

use faer::{Col, ColRef, Mat, MatRef};

/// Steps of the power iteration each time.
const STEPS: usize = 4;

/// Returns a vector to start from: no singular vector of a matrix that people write is orthogonal to it.
pub(super) fn start(columns: usize) -> Vec<f64> {
    (0..columns).map(|j| 1.0 + (j as f64 * 0.618_033_988_749_895).fract()).collect()
}

/// Returns a better `v`, of norm 1; the same one for a matrix of zeros.
pub(super) fn improved(m: MatRef<'_, f64>, v: &[f64]) -> Vec<f64> {
    let mut v = ColRef::from_slice(v).to_owned();
    for _ in 0..STEPS {
        let w: Col<f64> = m.transpose() * (m * &v);
        let norm = w.norm_l2();
        if !(norm > 0.0 && norm.is_finite()) {
            break;
        }
        v = w * faer::Scale(1.0 / norm);
    }
    v.iter().copied().collect()
}

/// Returns `Mv` and `σ`, 1 for a matrix of zeros.
fn stretched(m: MatRef<'_, f64>, v: &[f64]) -> (Col<f64>, f64) {
    let image: Col<f64> = m * ColRef::from_slice(v);
    let size = image.norm_l2();
    (image, if size > 0.0 { size } else { 1.0 })
}

pub(super) fn explicit(m: MatRef<'_, f64>, v: &[f64]) -> Mat<f64> {
    let (_, size) = stretched(m, v);
    m * faer::Scale(1.0 / size)
}

pub(super) fn pull_back(m: MatRef<'_, f64>, g: MatRef<'_, f64>, v: &[f64]) -> Mat<f64> {
    let (image, size) = stretched(m, v);
    let along = super::inner(g, m) / (size * size);
    Mat::from_fn(m.nrows(), m.ncols(), |i, j| g[(i, j)] / size - along * image[i] / size * v[j])
}
