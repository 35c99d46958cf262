//! Positive semidefinite matrices, proved by a residual.
//!
//! For a symmetric `G`, any number `α` and any matrix `R`, let `E = G − αI − RRᵀ`. Then
//!
//! ```math
//! xᵀGx = αxᵀx + \|Rᵀx\|² + xᵀEx \ge (α - \max_i \textstyle\sum_j |E_{ij}|)\,xᵀx,
//! ```
//!
//! so `G ⪰ 0` if no row of `|E|` has a sum above `α`, *whatever* `R` is. An approximate Cholesky factor of `G − αI`
//! proposes; see [`super::matrix`] for the same with the largest eigenvalue.

use faer::{Mat, MatRef};

use super::{
    directed::{add_up, mul_up},
    freivalds::probe,
    residual::{Known, largest, residual},
};
use crate::scalar::cholesky_estimate;

/// The largest multiple of the identity that is given away.
const LARGEST_GAP: f64 = 0.125;

/// Returns whether every symmetric `G` with `Σ_j |G_ij − Ĝ_ij| ≤ error_i` for all `i` is proved positive semidefinite.
///
/// `Ĝ` is symmetric with a diagonal of about 1: scale it first, by powers of two. `false` says nothing.
pub fn is_positive_semidefinite(image: MatRef<'_, f64>, error: &[f64]) -> bool {
    let n = image.nrows();
    if n == 0 || image.ncols() != n || error.len() != n {
        return false;
    }
    let image = image.to_owned();
    let is_symmetric = (0..n).all(|j| (0..=j).all(|i| image[(i, j)] == image[(j, i)]));
    let v = probe(n);
    let known = Known::image(image.as_ref(), largest(error), &v);
    let mut alpha = add_up(mul_up(2.0, known.error), n as f64 * 8.0 * f64::EPSILON);
    while is_symmetric && alpha <= LARGEST_GAP {
        let shifted = Mat::from_fn(n, n, |i, j| if i == j { image[(i, j)] - alpha } else { image[(i, j)] });
        let Some(factor) = cholesky_estimate(shifted.as_ref()) else { return false };
        if residual((image.as_ref(), &known), alpha, 1.0, factor.as_ref(), &v) <= alpha {
            return true;
        }
        alpha *= 8.0;
    }
    false
}
