//! Largest and smallest singular values of a matrix, proved by a residual.
//!
//! For a symmetric `G`, any number `α` and any matrix `R`, let `E = αI − G − RRᵀ`. Then
//!
//! ```math
//! xᵀGx = αxᵀx − \|Rᵀx\|² − xᵀEx \le (α + \max_i \textstyle\sum_j |E_{ij}|)\,xᵀx,
//! ```
//!
//! so `λ_max(G)` is at most that number, *whatever* `R` is: an approximate Cholesky factor of `αI − G` makes the bound
//! good, and no error theory of Cholesky makes it true. `G` is the Gram matrix `WᵀW` or `WWᵀ`, whichever is smaller,
//! and `|E|` is bounded from its floating-point image by the errors of the two products (`γ_k |A||A|ᵀ + kη`, any order
//! of summation) and of the two subtractions (`rigor/residual.rs`); the products themselves are verified. With
//! `G − αI = RRᵀ + E` the same gives `λ_min(G)` from below.
//!
//! Source: Rump, *Verification of positive definiteness*, BIT 46 (2006), whose idea this is, with the error analysis
//! of the factorisation replaced by the residual.

use faer::{Accum, Mat, MatRef};
use rayon::prelude::*;

use super::{
    bound::{Lower, Upper},
    directed::{ETA, add_up, exponent, mul_up, scale_down, scale_up, sqrt_down, sqrt_up, sub_down},
    environment,
    freivalds::probe,
    propose,
    residual::{Known, residual},
};
use crate::{
    error::{Error, Result},
    scalar::{Structure, cholesky_estimate, eigenvalue_estimates, gemm, gemm_transposed, solve_estimate},
};

/// Returns a proved upper bound of the spectral norm `‖W‖₂`: at most about `1 + 10⁻⁹` times it, `1 + 10⁻⁶` where the
/// largest singular values crowd.
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

/// Returns a proved upper bound of the largest spectral norm among several matrices.
///
/// # Errors
/// As [`norm`].
pub fn sup_norm(family: &[MatRef<'_, f64>]) -> Result<Upper> {
    sup_norm_from(family, GAP)
}

/// As [`sup_norm`], trying smaller shifts first: what a checker uses, so that a bound that was proved on another
/// machine, whose last bits differ, is not missed by a hair.
///
/// # Errors
/// As [`norm`].
pub fn sharp_sup_norm(family: &[MatRef<'_, f64>]) -> Result<Upper> {
    sup_norm_from(family, SHARP_GAP)
}

fn sup_norm_from(family: &[MatRef<'_, f64>], gap: f64) -> Result<Upper> {
    let Some(exponent) = largest_exponent(family)? else { return Ok(Upper::ZERO) };
    if family.iter().copied().all(is_monomial) {
        let entries = family.iter().flat_map(|w| w.col_iter().flat_map(|column| column.iter().copied()));
        return Ok(Upper::proved(entries.fold(0.0, |largest: f64, x| largest.max(x.abs()))));
    }
    // The workers of a pool are other threads than the one that asks, and may have other flags.
    let gram = |w: &MatRef<'_, f64>| environment::check().map(|()| Gram::new(scaled(*w, exponent)));
    let grams: Vec<Gram> = family.par_iter().map(gram).collect::<Result<_>>()?;
    let estimate = grams.par_iter().map(Gram::largest_estimate).reduce(|| 0.0, f64::max);
    let largest = |gram: &Gram| environment::bounded(|| gram.largest_up(estimate, gap));
    let squared = grams.par_iter().map(largest).reduce(|| 0.0, f64::max);
    let lost = family.iter().map(|w| lost_by_scaling(*w)).fold(0.0, f64::max);
    Upper::proved(scale_up(add_up(sqrt_up(squared), lost), exponent)).finite("a spectral norm")
}

/// Returns a proved lower bound of `min ‖Wx‖/‖x‖`: of the smallest singular value of `W` if `W` is injective, else 0.
///
/// # Errors
/// [`Error::NotFinite`] if `W` holds a NaN or an infinity.
pub fn smallest_singular_value(w: MatRef<'_, f64>) -> Result<Lower> {
    smallest_singular_value_from(w, GAP)
}

/// As [`smallest_singular_value`], trying smaller shifts first, as [`sharp_sup_norm`].
///
/// # Errors
/// As [`smallest_singular_value`].
pub fn sharp_smallest_singular_value(w: MatRef<'_, f64>) -> Result<Lower> {
    smallest_singular_value_from(w, SHARP_GAP)
}

fn smallest_singular_value_from(w: MatRef<'_, f64>, gap: f64) -> Result<Lower> {
    let exponent = largest_exponent(std::slice::from_ref(&w))?;
    let (Some(exponent), true) = (exponent, w.nrows() >= w.ncols()) else { return Ok(Lower::ZERO) };
    let squared = Gram::of_rows(scaled(w.transpose(), exponent)).smallest_down(gap);
    Ok(Lower::proved(scale_down(sub_down(sqrt_down(squared), lost_by_scaling(w)).max(0.0), exponent)))
}

/// What proposes an exact proof of `‖W‖² ≤ α + β`: `α` and a lower triangle `L` with `αI − G ≈ LLᵀ`, both of
/// `W · 2⁻ᵉ`, where `G` is `WWᵀ` if `W` has no more rows than columns, else `WᵀW`. Nothing about it is trusted.
#[derive(Debug)]
pub(crate) struct Proposal {
    /// `α`, a little above the largest eigenvalue of `G` if all went well.
    pub alpha: f64,
    /// `L`; zero if no factor was found.
    pub factor: Mat<f64>,
    /// `e`.
    pub exponent: i32,
}

/// Returns a proposal for the norm of one matrix: the shift and the factor with which [`sharp_sup_norm`] proves it.
///
/// # Errors
/// [`Error::NotFinite`] if `W` holds a NaN or an infinity.
pub(crate) fn propose_norm(w: MatRef<'_, f64>) -> Result<Proposal> {
    let size = w.nrows().min(w.ncols());
    let nothing = |exponent| Proposal { alpha: 0.0, factor: Mat::zeros(size, size), exponent };
    let Some(exponent) = largest_exponent(std::slice::from_ref(&w))? else { return Ok(nothing(0)) };
    let gram = Gram::new(scaled(w, exponent));
    let found = gram.shifts(gram.largest_estimate(), SHARP_GAP).next();
    Ok(found.map_or_else(|| nothing(exponent), |(alpha, factor)| Proposal { alpha, factor, exponent }))
}

/// Returns a proposal for an exact proof of `‖Wx‖² ≥ (α − β)‖x‖²`: `WᵀW − αI ≈ LLᵀ`, as [`propose_norm`]; none where no `α > 0` is found.
///
/// # Errors
/// [`Error::NotFinite`] if `W` holds a NaN or an infinity.
pub(crate) fn propose_below(w: MatRef<'_, f64>) -> Result<Option<Proposal>> {
    let exponent = largest_exponent(std::slice::from_ref(&w))?;
    let (Some(exponent), true) = (exponent, w.nrows() >= w.ncols()) else { return Ok(None) };
    let found = Gram::of_rows(scaled(w.transpose(), exponent)).shift_below(SHARP_GAP);
    Ok(found.map(|(alpha, factor)| Proposal { alpha, factor, exponent }))
}

/// Returns the numbers below `n` in an order without structure, the same for every run.
///
/// Whoever looks for the largest of a smooth sequence in it meets a new maximum only about as often as in a random one.
pub(super) fn without_structure(n: usize) -> impl Iterator<Item = usize> {
    // Steps of a number that has no divisor in common with n visit every number once.
    let step = (n * 5 / 8..).find(|&step| step > 0 && greatest_common_divisor(step, n) == 1).unwrap_or(1);
    (0..n).map(move |i| i * step % n)
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Returns the exponent of the largest entry of all matrices; `None` if all are zero.
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

/// Returns whether no row and no column holds more than one number but 0, as in a permutation: then the norm is the
/// largest entry.
fn is_monomial(w: MatRef<'_, f64>) -> bool {
    let mut taken = vec![false; w.nrows()];
    w.col_iter().all(|column| {
        let mut rows = (0..w.nrows()).filter(|&i| column[i] != 0.0);
        let first = rows.next();
        rows.next().is_none() && first.is_none_or(|i| !std::mem::replace(&mut taken[i], true))
    })
}

/// Returns `W · 2⁻ᵉ`, whose largest entry lies in `[1, 2)` if `e` is the largest exponent of the family.
fn scaled(w: MatRef<'_, f64>, exponent: i32) -> Mat<f64> {
    Mat::from_fn(w.nrows(), w.ncols(), |i, j| libm::scalbn(w[(i, j)], -exponent))
}

/// Returns a bound of the norm of what scaling rounded away: at most `η` for each entry that became subnormal.
fn lost_by_scaling(w: MatRef<'_, f64>) -> f64 {
    mul_up((w.nrows() * w.ncols()) as f64, ETA)
}

/// A Gram matrix `AAᵀ` and its floating-point image, for an `A` whose entries are neither huge nor all tiny.
pub(super) struct Gram {
    a: Mat<f64>,
    /// Its lower triangle.
    image: Mat<f64>,
}

impl Gram {
    /// Returns `WᵀW` or `WWᵀ`, whichever is smaller: they share their largest eigenvalue.
    pub(super) fn new(w: Mat<f64>) -> Self {
        Self::of_rows(if w.nrows() <= w.ncols() { w } else { w.transpose().to_owned() })
    }

    /// As [`Self::new`] for a `W = [[P, −Q], [Q, P]]`, as complex matrices `P + iQ` are written as real ones.
    ///
    /// `WWᵀ = [[S, −T], [T, S]]` with a symmetric `S = PPᵀ + QQᵀ` and a skew `T = QPᵀ − PQᵀ`: half of the products suffice,
    /// and every entry is still a sum of the same products.
    pub(super) fn of_complex(w: Mat<f64>) -> Self {
        let a = if w.nrows() <= w.ncols() { w } else { w.transpose().to_owned() };
        let n = a.nrows() / 2;
        let mut image = Mat::zeros(2 * n, 2 * n);
        let [upper, lower] = [a.subrows(0, n), a.subrows(n, n)].map(|half| (half, Structure::Full));
        gemm_transposed((image.as_mut().submatrix_mut(0, 0, n, n), Structure::Lower), upper, upper);
        gemm_transposed((image.as_mut().submatrix_mut(n, 0, n, n), Structure::Lower), lower, upper);
        for j in 0..n {
            for i in j..n {
                image[(n + i, n + j)] = image[(i, j)];
                image[(n + j, i)] = -image[(n + i, j)];
            }
        }
        Self { a, image }
    }

    /// Returns `AAᵀ`.
    fn of_rows(a: Mat<f64>) -> Self {
        let mut image = Mat::zeros(a.nrows(), a.nrows());
        let full = (a.as_ref(), Structure::Full);
        gemm_transposed((image.as_mut(), Structure::Lower), full, full);
        Self { a, image }
    }

    /// Returns the image with its upper triangle.
    fn full(&self) -> Mat<f64> {
        Mat::from_fn(self.len(), self.len(), |i, j| self.image[(i.max(j), i.min(j))])
    }

    fn len(&self) -> usize {
        self.image.nrows()
    }

    /// Returns an estimate of the largest eigenvalue.
    pub(super) fn largest_estimate(&self) -> f64 {
        if self.len() > DIRECT {
            let full = self.full();
            let apply = |x: &[f64]| {
                let mut y = vec![0.0; x.len()];
                let target = faer::MatMut::from_column_major_slice_mut(&mut y, x.len(), 1);
                gemm(target, Accum::Add, full.as_ref(), MatRef::from_column_major_slice(x, x.len(), 1));
                y
            };
            return propose::largest_eigenvalue(self.len(), 1e-10, apply);
        }
        let gershgorin = || self.full().col_iter().map(|column| column.norm_l1()).fold(0.0, f64::max);
        eigenvalue_estimates(self.image.as_ref()).and_then(|e| e.last().copied()).unwrap_or_else(gershgorin).max(0.0)
    }

    fn smallest_estimate(&self) -> Option<f64> {
        if self.len() <= DIRECT {
            return eigenvalue_estimates(self.image.as_ref()).and_then(|e| e.first().copied());
        }
        let factor = cholesky_estimate(self.image.as_ref())?;
        let solve = |x: &[f64]| {
            let mut y = x.to_vec();
            solve_estimate(factor.as_ref(), &mut y);
            y
        };
        Some(propose::largest_eigenvalue(self.len(), 1e-10, solve).recip())
    }

    /// Returns the relative gaps above or below an estimate at which a factorisation is tried, in order: `first` times
    /// the dimension times `ε`, doubled up to [`GAP`], then ever larger ones, for an estimate that was not good.
    fn gaps(&self, first: f64) -> impl Iterator<Item = f64> {
        let least = (8.0 * GAP * self.unit()).max(LEAST_SECOND_GAP);
        let coarse = std::iter::successors(Some(least), |gap| Some(8.0 * gap));
        self.fine_gaps(first).chain(coarse.take_while(|gap| *gap < 1.0))
    }

    /// Returns those up to [`GAP`].
    fn fine_gaps(&self, first: f64) -> impl Iterator<Item = f64> {
        let unit = self.unit();
        std::iter::successors(Some(first), |gap| (2.0 * gap <= GAP).then_some(2.0 * gap)).map(move |gap| gap * unit)
    }

    fn unit(&self) -> f64 {
        self.len() as f64 * f64::EPSILON
    }

    /// Returns `R` with `αI − G ≈ RRᵀ`, if `α` is above the largest eigenvalue.
    fn factor_at(&self, alpha: f64) -> Option<Mat<f64>> {
        let mut shifted = -&self.image;
        for i in 0..self.len() {
            shifted[(i, i)] += alpha;
        }
        cholesky_estimate(shifted.as_ref())
    }

    /// Shifts `α` above `estimate`, ascending, for which `αI − G` has a factor.
    fn shifts(&self, estimate: f64, gap: f64) -> impl Iterator<Item = (f64, Mat<f64>)> {
        self.shifts_by(self.gaps(gap), estimate)
    }

    fn shifts_by(&self, gaps: impl Iterator<Item = f64>, estimate: f64) -> impl Iterator<Item = (f64, Mat<f64>)> {
        gaps.filter_map(move |gap| {
            let alpha = estimate * (1.0 + gap);
            Some((alpha, self.factor_at(alpha)?))
        })
    }

    /// Returns an upper bound of the largest eigenvalue, good if `estimate` is not far above it; `gap` is [`GAP`] or
    /// [`SHARP_GAP`].
    pub(super) fn largest_up(&self, estimate: f64, gap: f64) -> f64 {
        if let Some((alpha, factor)) = self.shifts(estimate, gap).next() {
            return add_up(alpha, self.residual(alpha, -1.0, factor.as_ref()));
        }
        // With α = 0 and R = 0 this is Gershgorin's bound.
        self.residual(0.0, -1.0, Mat::zeros(self.len(), self.len()).as_ref())
    }

    /// As [`Self::largest_up`], but only with a shift that is as near to `estimate` as [`GAP`] says.
    pub(super) fn largest_near(&self, estimate: f64, gap: f64) -> Option<f64> {
        let gaps = self.fine_gaps(gap);
        let (alpha, factor) = self.shifts_by(gaps, estimate).next()?;
        Some(add_up(alpha, self.residual(alpha, -1.0, factor.as_ref())))
    }

    /// Returns a lower bound of the smallest eigenvalue, 0 if nothing better is found.
    fn smallest_down(&self, gap: f64) -> f64 {
        let bound = |(alpha, factor): (f64, Mat<f64>)| sub_down(alpha, self.residual(alpha, 1.0, factor.as_ref()));
        self.shift_below(gap).map_or(0.0, bound).max(0.0)
    }

    /// Returns a shift `α > 0` below the smallest eigenvalue, and `R` with `G − αI ≈ RRᵀ`.
    fn shift_below(&self, gap: f64) -> Option<(f64, Mat<f64>)> {
        let (estimate, largest) = (self.smallest_estimate()?, self.largest_estimate());
        let mut shifts = self.gaps(gap).map(|gap| estimate - gap * largest).take_while(|alpha| *alpha > 0.0);
        shifts.find_map(|alpha| {
            let mut shifted = self.image.clone();
            for i in 0..self.len() {
                shifted[(i, i)] -= alpha;
            }
            Some((alpha, cholesky_estimate(shifted.as_ref())?))
        })
    }

    /// Returns a bound of `max_i Σ_j |E_ij|` for `E = ±(G − αI) − RRᵀ`, the sign being `sign` and `R` a lower triangle;
    /// infinite if a product is not what it should be.
    fn residual(&self, alpha: f64, sign: f64, r: MatRef<'_, f64>) -> f64 {
        let v = probe(self.len());
        let known = Known::square(self.a.as_ref(), Structure::Full, &v);
        residual((self.image.as_ref(), &known), alpha, sign, r, &v)
    }
}

/// Up to this size all eigenvalues are computed to propose one; Lanczos' method proposes those of larger matrices.
const DIRECT: usize = 160;

/// The gap above the estimate of an eigenvalue at which a bound is tried first, in units of the dimension times `ε`.
pub(super) const GAP: f64 = 8.0;

/// The same where a bound is checked.
pub(super) const SHARP_GAP: f64 = 0.25;

/// The least gap that is tried after those, relatively, after an estimate that was too low.
const LEAST_SECOND_GAP: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    /// Small integers, so that every product and sum is exact.
    fn integers(rows: usize, columns: usize, seed: usize) -> Mat<f64> {
        Mat::from_fn(rows, columns, |i, j| ((i * 7 + j * 5 + i * j + seed) % 9) as f64 - 4.0)
    }

    /// Sums of integers are exact, whatever the order: both images are the Gram matrix itself.
    #[test]
    fn half_of_the_products_of_a_complex_matrix_give_all_of_its_image() {
        for (rows, columns) in [(1, 1), (3, 5), (5, 3), (8, 8), (20, 33)] {
            let (p, q) = (integers(rows, columns, 1), integers(rows, columns, 5));
            let w = Mat::from_fn(2 * rows, 2 * columns, |i, j| match (i < rows, j < columns) {
                (true, true) => p[(i, j)],
                (true, false) => -q[(i, j - columns)],
                (false, true) => q[(i - rows, j)],
                (false, false) => p[(i - rows, j - columns)],
            });
            let (whole, half) = (Gram::new(w.clone()).full(), Gram::of_complex(w).full());
            assert_eq!(whole, half, "{rows} × {columns}");
        }
    }

    #[test]
    fn the_residual_is_the_largest_row_sum() {
        for n in [1, 2, 5, 9, 16, 33] {
            let (a, r) = (integers(n, n + 3, 1), integers(n, n, n));
            let r = Mat::from_fn(n, n, |i, j| if i >= j { r[(i, j)] } else { 0.0 });
            let (gram, alpha) = (&a * a.transpose(), 17.0);
            let shifted = Mat::from_fn(n, n, |i, j| gram[(i, j)] - if i == j { alpha } else { 0.0 });
            for sign in [-1.0, 1.0] {
                let e = Mat::from_fn(n, n, |i, j| sign * shifted[(i, j)]) - &r * r.transpose();
                let expected = (0..n).map(|i| e.row(i).iter().map(|x| x.abs()).sum()).fold(0.0, f64::max);
                let found = Gram::new(a.clone()).residual(alpha, sign, r.as_ref());
                assert!(
                    expected <= found && found <= expected + 1e-9 * (1.0 + expected),
                    "{n}: {found} for {expected}"
                );
            }
        }
    }

    #[test]
    fn a_nan_is_no_bound() {
        let mut r = Mat::zeros(3, 3);
        r[(1, 0)] = f64::NAN;
        assert_eq!(Gram::new(integers(3, 4, 1)).residual(1.0, -1.0, r.as_ref()), f64::INFINITY);
    }
}
