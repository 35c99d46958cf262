//! Largest and smallest singular values of a matrix, proved by a residual.
//!
//! For a symmetric `G`, any number `α` and any matrix `R`, let `E = αI − G − RRᵀ`. Then
//!
//! $$ xᵀGx = αxᵀx − \|Rᵀx\|² − xᵀEx \le (α + \max_i \textstyle\sum_j |E_{ij}|)\,xᵀx, $$
//!
//! so `λ_max(G)` is at most that number, *whatever* `R` is: an approximate Cholesky factor of `αI − G` makes the bound
//! good, and no error theory of Cholesky makes it true. `G` is the Gram matrix `WᵀW` or `WWᵀ`, whichever is smaller,
//! and `|E|` is bounded from its floating-point image by the errors of the two products (`γ_k |A||A|ᵀ + kη`, any order
//! of summation) and of the two subtractions. With `G − αI = RRᵀ + E` the same gives `λ_min(G)` from below.
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
    propose,
};
use crate::{
    error::{Error, Result},
    scalar::{Structure, cholesky_estimate, eigenvalue_estimates, gemm, gemm_transposed, solve_estimate},
};

/// A proved upper bound of the spectral norm `‖W‖₂`: at most about `1 + 10⁻⁹` times it, `1 + 10⁻⁶` where the largest
/// singular values crowd.
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
    let gram = |w: &MatRef<'_, f64>| Gram::new(scaled(*w, exponent));
    let grams: Vec<Gram> = family.par_iter().map(gram).collect();
    let estimate = grams.par_iter().map(Gram::largest_estimate).reduce(|| 0.0, f64::max);
    let squared = grams.par_iter().map(|gram| gram.largest_up(estimate, gap)).reduce(|| 0.0, f64::max);
    let lost = family.iter().map(|w| lost_by_scaling(*w)).fold(0.0, f64::max);
    Upper::proved(scale_up(add_up(sqrt_up(squared), lost), exponent)).finite("a spectral norm")
}

/// A proved lower bound of `min ‖Wx‖/‖x‖`: of the smallest singular value of `W` if `W` is injective, else 0.
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

/// A proposal for the norm of one matrix: the shift and the factor with which [`sharp_sup_norm`] proves it.
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

/// An estimate of the largest eigenvalue of `n` Gram matrices, `None` if it exceeds `cap`: for choosing what to prove.
///
/// An eigenvalue is computed only where the largest so far is exceeded, which a factorisation tells cheaply. In an
/// order without structure that happens about as often as a random sequence reaches a new maximum.
pub(super) fn largest_within(cap: f64, n: usize, gram: impl Fn(usize) -> Gram) -> Option<f64> {
    // Steps of a number that has no divisor in common with n visit every number once.
    let step = (n * 5 / 8..).find(|&step| step > 0 && greatest_common_divisor(step, n) == 1)?;
    let mut largest = 0.0;
    for i in (0..n).map(|i| i * step % n) {
        let gram = gram(i);
        if largest == 0.0 || !gram.seems_below(largest) {
            largest = gram.largest_estimate().max(largest);
            if largest > cap {
                return None;
            }
        }
    }
    Some(largest)
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
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
fn scaled(w: MatRef<'_, f64>, exponent: i32) -> Mat<f64> {
    Mat::from_fn(w.nrows(), w.ncols(), |i, j| libm::scalbn(w[(i, j)], -exponent))
}

/// A bound of the norm of what scaling rounded away: at most `η` for each entry that became subnormal.
fn lost_by_scaling(w: MatRef<'_, f64>) -> f64 {
    mul_up((w.nrows() * w.ncols()) as f64, ETA)
}

/// A Gram matrix `AAᵀ` and its floating-point image, for an `A` whose entries are neither huge nor all tiny.
pub(super) struct Gram {
    a: Mat<f64>,
    image: Mat<f64>,
}

impl Gram {
    /// `WᵀW` or `WWᵀ`, whichever is smaller: they share their largest eigenvalue.
    pub(super) fn new(w: Mat<f64>) -> Self {
        Self::of_rows(if w.nrows() <= w.ncols() { w } else { w.transpose().to_owned() })
    }

    /// `AAᵀ`: its lower triangle is computed, and copied to the upper one.
    fn of_rows(a: Mat<f64>) -> Self {
        let mut image = Mat::zeros(a.nrows(), a.nrows());
        let full = (a.as_ref(), Structure::Full);
        gemm_transposed((image.as_mut(), Structure::Lower), full, full);
        for j in 0..image.ncols() {
            for i in 0..j {
                image[(i, j)] = image[(j, i)];
            }
        }
        Self { a, image }
    }

    fn len(&self) -> usize {
        self.image.nrows()
    }

    fn largest_estimate(&self) -> f64 {
        if self.len() > DIRECT {
            let apply = |x: &[f64]| {
                let mut y = vec![0.0; x.len()];
                let target = faer::MatMut::from_column_major_slice_mut(&mut y, x.len(), 1);
                gemm(target, Accum::Add, self.image.as_ref(), MatRef::from_column_major_slice(x, x.len(), 1));
                y
            };
            return propose::largest_eigenvalue(self.len(), 1e-10, apply);
        }
        let gershgorin = || (0..self.len()).map(|j| self.image.col(j).norm_l1()).fold(0.0, f64::max);
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

    /// The relative gaps above or below an estimate at which a factorisation is tried, in order: `first` times the
    /// dimension times `ε`, doubled up to [`GAP`], then ever larger ones, for an estimate that was not good.
    fn gaps(&self, first: f64) -> impl Iterator<Item = f64> {
        let unit = self.len() as f64 * f64::EPSILON;
        let fine = std::iter::successors(Some(first), |gap| (2.0 * gap <= GAP).then_some(2.0 * gap));
        let coarse = std::iter::successors(Some((8.0 * GAP * unit).max(LEAST_SECOND_GAP)), |gap| Some(8.0 * gap));
        fine.map(move |gap| gap * unit).chain(coarse.take_while(|gap| *gap < 1.0))
    }

    /// Whether the largest eigenvalue seems not to exceed `estimate`.
    fn seems_below(&self, estimate: f64) -> bool {
        self.factor_at(estimate * (1.0 + GAP * self.len() as f64 * f64::EPSILON)).is_some()
    }

    /// `R` with `αI − G ≈ RRᵀ`, if `α` is above the largest eigenvalue.
    fn factor_at(&self, alpha: f64) -> Option<Mat<f64>> {
        let shifted = Mat::from_fn(self.len(), self.len(), |i, j| diagonal(alpha, i, j) - self.image[(i, j)]);
        cholesky_estimate(shifted.as_ref())
    }

    /// Shifts `α` above `estimate`, ascending, for which `αI − G` has a factor.
    fn shifts(&self, estimate: f64, gap: f64) -> impl Iterator<Item = (f64, Mat<f64>)> {
        self.gaps(gap).filter_map(move |gap| {
            let alpha = estimate * (1.0 + gap);
            Some((alpha, self.factor_at(alpha)?))
        })
    }

    /// An upper bound of the largest eigenvalue, good if `estimate` is not far above it; `gap` is [`GAP`] or
    /// [`SHARP_GAP`].
    pub(super) fn largest_up(&self, estimate: f64, gap: f64) -> f64 {
        if let Some((alpha, factor)) = self.shifts(estimate, gap).next() {
            return add_up(alpha, self.residual(alpha, -1.0, factor.as_ref()));
        }
        // With α = 0 and R = 0 this is Gershgorin's bound.
        self.residual(0.0, -1.0, Mat::zeros(self.len(), self.len()).as_ref())
    }

    /// A lower bound of the smallest eigenvalue, 0 if nothing better is found.
    fn smallest_down(&self, gap: f64) -> f64 {
        let Some(estimate) = self.smallest_estimate() else { return 0.0 };
        let largest = self.largest_estimate();
        for gap in self.gaps(gap).map(|gap| gap * largest).take_while(|gap| *gap < estimate) {
            let alpha = estimate - gap;
            let shifted = Mat::from_fn(self.len(), self.len(), |i, j| self.image[(i, j)] - diagonal(alpha, i, j));
            if let Some(factor) = cholesky_estimate(shifted.as_ref()) {
                return sub_down(alpha, self.residual(alpha, 1.0, factor.as_ref())).max(0.0);
            }
        }
        0.0
    }

    /// A bound of `max_i Σ_j |E_ij|` for `E = ±(G − αI) − RRᵀ`, the sign being `sign` and `R` a lower triangle.
    fn residual(&self, alpha: f64, sign: f64, r: MatRef<'_, f64>) -> f64 {
        let n = self.len();
        let mut square = Mat::zeros(n, n);
        gemm_transposed((square.as_mut(), Structure::Lower), (r, Structure::Lower), (r, Structure::Lower));
        let (error, square_error) = (product_error(self.a.as_ref()), product_error(r));
        // Subtractions are off by at most u times their result, and never underflow: |E − e| ≤ u|t| + u|e|.
        let (mut differences, mut residuals) = (vec![0.0; n], vec![0.0; n]);
        for j in 0..n {
            for i in j..n {
                let t = sign * (self.image[(i, j)] - diagonal(alpha, i, j));
                let e = (t - square[(i, j)]).abs();
                differences[i] += t.abs();
                residuals[i] += e;
                if i != j {
                    differences[j] += t.abs();
                    residuals[j] += e;
                }
            }
        }
        let row = |i: usize| {
            let residual = enlarge_sum(residuals[i], n);
            let rounding = mul_up(U, add_up(enlarge_sum(differences[i], n), residual));
            add_up(add_up(residual, rounding), add_up(error[i], square_error[i]))
        };
        // `f64::max` would drop a NaN; infinity survives it, and `add_up` has turned every NaN into infinity.
        (0..n).map(row).fold(0.0, f64::max)
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

fn diagonal(alpha: f64, i: usize, j: usize) -> f64 {
    if i == j { alpha } else { 0.0 }
}

/// For each row of the computed `AAᵀ`, a bound of the sum of its errors: `γ_k |A|(|A|ᵀ1) + n k η`, `n` rows, `k`
/// columns.
fn product_error(a: MatRef<'_, f64>) -> Vec<f64> {
    let (n, k) = (a.nrows(), a.ncols());
    let mut weighted = vec![0.0; n];
    for j in 0..k {
        let column_sum = enlarge_sum((0..n).map(|i| a[(i, j)].abs()).sum(), n);
        for (i, weighted) in weighted.iter_mut().enumerate() {
            *weighted += a[(i, j)].abs() * column_sum;
        }
    }
    let underflow = mul_up((n * k) as f64, ETA);
    let bound = |&weighted: &f64| {
        let weighted = add_up(enlarge_sum(weighted, k + 1), mul_up(k as f64, ETA));
        add_up(mul_up(gamma(k, U), weighted), underflow)
    };
    weighted.iter().map(bound).collect()
}
