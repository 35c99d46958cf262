//! Largest and smallest singular values of a matrix, proved by a residual.
//!
//! For a symmetric `G`, any number `α` and any matrix `R`, let `E = αI − G − RᵀR`. Then
//!
//! $$ xᵀGx = αxᵀx − \|Rx\|² − xᵀEx \le (α + \max_i \textstyle\sum_j |E_{ij}|)\,xᵀx, $$
//!
//! so `λ_max(G)` is at most that number, *whatever* `R` is: an approximate Cholesky factor of `αI − G` makes the bound
//! good, and no error theory of Cholesky makes it true. `G` is the Gram matrix `WᵀW` or `WWᵀ`, whichever is smaller,
//! and `|E|` is bounded from its floating-point image by the errors of the two products (`γ_k |A|ᵀ|A| + kη`, any order
//! of summation) and of the two subtractions. With `G − αI = RᵀR + E` the same gives `λ_min(G)` from below.
//!
//! Source: Rump, *Verification of positive definiteness*, BIT 46 (2006), whose idea this is, with the error analysis
//! of the factorisation replaced by the residual.

use faer::{Accum, Mat, MatRef};
use rayon::prelude::*;

use super::{
    bound::{Lower, Upper},
    directed::{
        ETA, U, add_up, enlarge_sum, exponent, gamma, mul_up, scale_down, scale_up, sqrt_down, sqrt_up, sub_down,
    },
};
use crate::{
    error::{Error, Result},
    scalar::{cholesky_estimate, eigenvalue_estimates, gemm},
};

/// A proved upper bound of the spectral norm `‖W‖₂`: at most about `1 + 10⁻⁹` times it.
///
/// # Errors
/// [`Error::NotFinite`] if `W` holds a NaN or an infinity, [`Error::NotProved`] if the bound overflows.
///
/// ```
/// use dahlquist::rigor::matrix;
/// let w = faer::mat![[3.0, 0.0], [4.0, 0.0]];
/// let norm = matrix::norm(w.as_ref())?;
/// assert!(norm.get() >= 5.0 && norm.get() < 5.0 + 1e-8);
/// # Ok::<(), dahlquist::Error>(())
/// ```
pub fn norm(w: MatRef<'_, f64>) -> Result<Upper> {
    sup_norm(std::slice::from_ref(&w))
}

/// A proved upper bound of the largest spectral norm among several matrices.
///
/// # Errors
/// As [`norm`].
pub fn sup_norm(family: &[MatRef<'_, f64>]) -> Result<Upper> {
    sup_norm_from(family, GAP)
}

/// As [`sup_norm`], trying a smaller shift first: what a checker uses, so that a bound that was proved on another
/// machine, whose last bits differ, is not missed by a hair.
///
/// # Errors
/// As [`norm`].
pub fn sharp_sup_norm(family: &[MatRef<'_, f64>]) -> Result<Upper> {
    sup_norm_from(family, SHARP_GAP)
}

/// The first shift above the estimate of an eigenvalue, in units of the dimension times `ε`.
const GAP: f64 = 8.0;
/// The same where a bound is checked.
const SHARP_GAP: f64 = 0.25;

fn sup_norm_from(family: &[MatRef<'_, f64>], gap: f64) -> Result<Upper> {
    let exponent = largest_exponent(family)?;
    let Some(exponent) = exponent else { return Ok(Upper::ZERO) };
    let grams: Vec<Gram> = family.par_iter().map(|w| Gram::new(&Scaled::new(*w, exponent), Side::Smaller)).collect();
    let estimate = grams.par_iter().map(Gram::largest_estimate).reduce(|| 0.0, f64::max);
    let squared = grams.par_iter().map(|gram| gram.largest_up(estimate, gap)).reduce(|| 0.0, f64::max);
    let lost = family.iter().map(|w| lost_by_scaling(*w)).fold(0.0, f64::max);
    Upper::proved(scale_up(add_up(sqrt_up(squared), lost), exponent)).finite("a spectral norm")
}

/// An estimate of the largest spectral norm among several matrices, for choosing what to prove.
pub(crate) fn sup_norm_estimate(family: &[MatRef<'_, f64>]) -> Result<f64> {
    let Some(exponent) = largest_exponent(family)? else { return Ok(0.0) };
    let squared = family
        .par_iter()
        .map(|w| Gram::new(&Scaled::new(*w, exponent), Side::Smaller).largest_estimate())
        .reduce(|| 0.0, f64::max);
    Ok(libm::scalbn(squared.sqrt(), exponent))
}

/// A proved lower bound of `min ‖Wx‖/‖x‖`: of the smallest singular value of `W` if `W` is injective, else 0.
///
/// # Errors
/// [`Error::NotFinite`] if `W` holds a NaN or an infinity.
pub fn smallest_singular_value(w: MatRef<'_, f64>) -> Result<Lower> {
    smallest_singular_value_from(w, GAP)
}

/// As [`smallest_singular_value`], trying a smaller shift first, as [`sharp_sup_norm`].
///
/// # Errors
/// As [`smallest_singular_value`].
pub fn sharp_smallest_singular_value(w: MatRef<'_, f64>) -> Result<Lower> {
    smallest_singular_value_from(w, SHARP_GAP)
}

fn smallest_singular_value_from(w: MatRef<'_, f64>, gap: f64) -> Result<Lower> {
    let exponent = largest_exponent(std::slice::from_ref(&w))?;
    let (Some(exponent), true) = (exponent, w.nrows() >= w.ncols()) else { return Ok(Lower::ZERO) };
    let squared = Gram::new(&Scaled::new(w, exponent), Side::Columns).smallest_down(gap);
    Ok(Lower::proved(scale_down(sub_down(sqrt_down(squared), lost_by_scaling(w)).max(0.0), exponent)))
}

/// The exponent of the largest entry of all matrices; `None` if all are zero.
fn largest_exponent(family: &[MatRef<'_, f64>]) -> Result<Option<i32>> {
    let mut largest = 0.0f64;
    for w in family {
        for j in 0..w.ncols() {
            for i in 0..w.nrows() {
                let value = w[(i, j)];
                if !value.is_finite() {
                    return Err(Error::NotFinite { what: "matrix".into(), index: i * w.ncols() + j, value });
                }
                largest = largest.max(value.abs());
            }
        }
    }
    Ok((largest > 0.0).then(|| exponent(largest)))
}

/// `W · 2⁻ᵉ`, whose largest entry lies in `[1, 2)` if `e` is the largest exponent of the family.
struct Scaled(Mat<f64>);

impl Scaled {
    fn new(w: MatRef<'_, f64>, exponent: i32) -> Self {
        Self(Mat::from_fn(w.nrows(), w.ncols(), |i, j| libm::scalbn(w[(i, j)], -exponent)))
    }
}

/// A bound of the norm of what scaling rounded away: at most `η` for each entry that became subnormal.
fn lost_by_scaling(w: MatRef<'_, f64>) -> f64 {
    mul_up((w.nrows() * w.ncols()) as f64, ETA)
}

enum Side {
    /// `WᵀW` or `WWᵀ`, whichever is smaller: they share their largest eigenvalue.
    Smaller,
    /// `WᵀW`.
    Columns,
}

/// The floating-point image of a Gram matrix, and a bound of each row sum of its error.
struct Gram {
    image: Mat<f64>,
    error: Vec<f64>,
}

impl Gram {
    fn new(Scaled(w): &Scaled, side: Side) -> Self {
        match side {
            Side::Smaller if w.nrows() < w.ncols() => Self::of_columns(w.transpose()),
            _ => Self::of_columns(w.as_ref()),
        }
    }

    /// `AᵀA`.
    fn of_columns(a: MatRef<'_, f64>) -> Self {
        let mut image = Mat::zeros(a.ncols(), a.ncols());
        gemm(image.as_mut(), Accum::Replace, a.transpose(), a);
        Self { image, error: product_error(a) }
    }

    fn len(&self) -> usize {
        self.image.nrows()
    }

    fn largest_estimate(&self) -> f64 {
        let gershgorin = || (0..self.len()).map(|j| self.image.col(j).norm_l1()).fold(0.0, f64::max);
        eigenvalue_estimates(self.image.as_ref()).and_then(|e| e.last().copied()).unwrap_or_else(gershgorin).max(0.0)
    }

    /// An upper bound of the largest eigenvalue, good if `estimate` is not far above it.
    fn largest_up(&self, estimate: f64, gap: f64) -> f64 {
        let mut gap = self.len() as f64 * gap * f64::EPSILON;
        while gap < 1.0 {
            let alpha = estimate * (1.0 + gap);
            let shifted = Mat::from_fn(self.len(), self.len(), |i, j| diagonal(alpha, i, j) - self.image[(i, j)]);
            if let Some(factor) = cholesky_estimate(shifted.as_ref()) {
                return add_up(alpha, self.residual(alpha, -1.0, factor.transpose()));
            }
            gap *= 8.0;
        }
        // With α = 0 and R = 0 this is Gershgorin's bound.
        self.residual(0.0, -1.0, Mat::zeros(0, self.len()).as_ref())
    }

    /// A lower bound of the smallest eigenvalue, 0 if nothing better is found.
    fn smallest_down(&self, gap: f64) -> f64 {
        let Some(estimate) = eigenvalue_estimates(self.image.as_ref()).and_then(|e| e.first().copied()) else {
            return 0.0;
        };
        let mut gap = self.len() as f64 * gap * f64::EPSILON * self.largest_estimate();
        while gap < estimate {
            let alpha = estimate - gap;
            let shifted = Mat::from_fn(self.len(), self.len(), |i, j| self.image[(i, j)] - diagonal(alpha, i, j));
            if let Some(factor) = cholesky_estimate(shifted.as_ref()) {
                return sub_down(alpha, self.residual(alpha, 1.0, factor.transpose())).max(0.0);
            }
            gap *= 8.0;
        }
        0.0
    }

    /// A bound of `max_i Σ_j |E_ij|` for `E = ±(G − αI) − RᵀR`, the sign being `sign`.
    fn residual(&self, alpha: f64, sign: f64, r: MatRef<'_, f64>) -> f64 {
        let n = self.len();
        let mut square = Mat::zeros(n, n);
        gemm(square.as_mut(), Accum::Replace, r.transpose(), r);
        let square_error = product_error(r);
        // Subtractions are off by at most u times their result, and never underflow: |E − e| ≤ u|t| + u|e|.
        let row = |i: usize| {
            let (mut differences, mut residuals) = (0.0, 0.0);
            for j in 0..n {
                // Both products are symmetric, so row i may be read down column i, where it is contiguous.
                let t = sign * (self.image[(j, i)] - diagonal(alpha, i, j));
                differences += t.abs();
                residuals += (t - square[(j, i)]).abs();
            }
            let rounding = mul_up(U, add_up(enlarge_sum(differences, n), enlarge_sum(residuals, n)));
            let products = add_up(self.error[i], square_error[i]);
            add_up(add_up(enlarge_sum(residuals, n), rounding), products)
        };
        // `f64::max` would drop a NaN; infinity survives it, and `add_up` has turned every NaN into infinity.
        (0..n).map(row).fold(0.0, f64::max)
    }
}

fn diagonal(alpha: f64, i: usize, j: usize) -> f64 {
    if i == j { alpha } else { 0.0 }
}

/// For each row of the computed `AᵀA`, a bound of the sum of its errors: `γ_k |A|ᵀ(|A|1) + n k η`, `k` rows, `n`
/// columns.
fn product_error(a: MatRef<'_, f64>) -> Vec<f64> {
    let (k, n) = (a.nrows(), a.ncols());
    let row_sums: Vec<f64> = (0..k).map(|i| enlarge_sum((0..n).map(|j| a[(i, j)].abs()).sum(), n)).collect();
    let underflow = mul_up((n * k) as f64, ETA);
    (0..n)
        .map(|j| {
            let weighted: f64 = (0..k).map(|i| a[(i, j)].abs() * row_sums[i]).sum();
            let weighted = add_up(enlarge_sum(weighted, k + 1), mul_up(k as f64, ETA));
            add_up(mul_up(gamma(k, U), weighted), underflow)
        })
        .collect()
}
