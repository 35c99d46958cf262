//! The residual of a proof, `E = ±(G − αI) − RRᵀ`, bounded from its floating-point image.
//!
//! `G` is known by an image `Ĝ` and a bound of the row sums of `|G − Ĝ|`; `RRᵀ` is computed here. Both products may come
//! from a kernel, so the image `Ê` is verified against `±(G − αI)v − R(Rᵀv)` for a random `v` ([`super::freivalds`]): if a
//! kernel did not multiply, the bound is infinite.

use faer::{Mat, MatRef};

use super::{
    directed::{ETA, U, add_up, enlarge_sum, gamma, mul_up},
    freivalds::{agree, axpy, column, multiply},
    propose::dot,
};
use crate::scalar::{Structure, gemm_transposed};

/// What is known of a symmetric matrix `G` beside its image `Ĝ`.
pub(super) struct Known {
    /// A bound of the row sums of `|G|`, and of those of the magnitudes of its products.
    pub magnitude: f64,
    /// A bound of the row sums of `|G − Ĝ|`, if a kernel computed `Ĝ` as it should.
    pub error: f64,
    /// What the probe `v` is taken to, not by way of a kernel.
    applied: Vec<f64>,
    /// A bound of how far `applied` is from `Ĝv`, under the same condition.
    apart: f64,
}

impl Known {
    /// Returns what is known of `AAᵀ`, whose image a kernel computed as sums of products in some order.
    ///
    /// The error of a row of the image is at most `γ_k |A|(|A|ᵀ1) + nkη`, for `n` rows and `k` columns. A column sum of
    /// `|A|` is at most `1 + 2nu` times the computed one, and so is every sum of their multiples: all are enlarged at once,
    /// after the sum over the columns.
    pub fn square(a: MatRef<'_, f64>, structure: Structure, v: &[f64]) -> Self {
        let (n, k) = (a.nrows(), a.ncols());
        let (mut weighted, mut applied, mut magnitudes) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        for j in 0..k {
            let first = structure.first(j);
            let (a, v) = (&column(a, j)[first..], &v[first..]);
            let magnitudes = &mut magnitudes[first..];
            magnitudes.iter_mut().zip(a).for_each(|(magnitude, entry)| *magnitude = entry.abs());
            axpy(sum(magnitudes), magnitudes, &mut weighted[first..]);
            axpy(dot(a, v), a, &mut applied[first..]);
        }
        let weighted = add_up(enlarge_sum(largest(&weighted), k + 1), mul_up(k as f64, ETA));
        let magnitude = enlarge_sum(weighted, n);
        let error = add_up(mul_up(gamma(k, U), magnitude), mul_up((n * k) as f64, ETA));
        // |v| ≤ 1, so Aᵀv is off by γₙ|A|ᵀ1 + nη, and A(Aᵀv) by γₙ₊ₖ|A|(|A|ᵀ1) + nη|A|1 + kη; the sum of a row of |A| is at
        // most k(1 + |A|(|A|ᵀ1)), since that is at least the square of each entry.
        let underflow = mul_up(((n + 1) * k) as f64, mul_up(2.0 * ETA, add_up(1.0, magnitude)));
        let apart = add_up(add_up(error, mul_up(gamma(n + k, U), magnitude)), underflow);
        Self { magnitude, error, applied, apart }
    }

    /// Returns what is known of a symmetric `G` with an image and a bound of the row sums of `|G − Ĝ|`.
    pub fn image(image: MatRef<'_, f64>, error: f64, v: &[f64]) -> Self {
        let n = image.nrows();
        let row_sum = |j| enlarge_sum(column(image, j).iter().map(|x| x.abs()).sum(), n);
        let computed = largest(&(0..n).map(row_sum).collect::<Vec<f64>>());
        let mut applied = vec![0.0; n];
        multiply((image, Structure::Full), v, &mut applied);
        let apart = add_up(mul_up(gamma(n, U), computed), mul_up(n as f64, ETA));
        Self { magnitude: add_up(computed, error), error, applied, apart }
    }
}

/// Returns a bound of `max_i Σ_j |E_ij|` for `E = sign·(G − αI) − RRᵀ`, `R` being a lower triangle and `sign` 1 or −1.
/// Infinite if a product is not what it should be.
///
/// `image` is `Ĝ`, of which the lower triangle is read, and `known` is for the probe `v`.
pub(super) fn residual(
    (image, known): (MatRef<'_, f64>, &Known),
    alpha: f64,
    sign: f64,
    r: MatRef<'_, f64>,
    v: &[f64],
) -> f64 {
    let n = image.nrows();
    let mut square = Mat::zeros(n, n);
    gemm_transposed((square.as_mut(), Structure::Lower), (r, Structure::Lower), (r, Structure::Lower));
    let of_square = Known::square(r, Structure::Lower, v);
    let (mut rows, mut computed) = (vec![0.0; n], vec![0.0; n]);
    let (mut entries, mut magnitudes) = (vec![0.0; n], vec![0.0; n]);
    for j in 0..n {
        let (image, square) = (&column(image, j)[j..], &column(square.as_ref(), j)[j..]);
        let (entries, magnitudes) = (&mut entries[j..], &mut magnitudes[j..]);
        entries.iter_mut().zip(image).zip(square).for_each(|((e, image), square)| *e = sign * image - square);
        entries[0] = sign * (image[0] - alpha) - square[0];
        magnitudes.iter_mut().zip(&*entries).for_each(|(magnitude, e)| *magnitude = e.abs());
        rows[j..].iter_mut().zip(&*magnitudes).for_each(|(row, magnitude)| *row += magnitude);
        rows[j] += sum(&magnitudes[1..]);
        axpy(v[j], entries, &mut computed[j..]);
        computed[j] += dot(&entries[1..], &v[j + 1..]);
    }
    let residual = enlarge_sum(largest(&rows), n);
    // A subtraction is off by at most u times its result, and never underflows. That of α is only on the diagonal.
    let size = add_up(add_up(known.magnitude, known.error), alpha.abs());
    let subtractions = mul_up(U, add_up(size, residual));
    let bound = add_up(add_up(residual, subtractions), add_up(known.error, of_square.error));
    // Each component of Êv, and of what it should be, is off by this much.
    let sums = add_up(mul_up(gamma(n + 1, U), residual), mul_up(n as f64, ETA));
    let combined = mul_up(8.0 * U, add_up(add_up(size, of_square.magnitude), add_up(known.apart, of_square.apart)));
    let apart = add_up(add_up(known.apart, of_square.apart), add_up(subtractions, add_up(sums, combined)));
    let expected: Vec<f64> = (0..n).map(|i| sign * (known.applied[i] - alpha * v[i]) - of_square.applied[i]).collect();
    if agree(&computed, &expected, apart) { bound } else { f64::INFINITY }
}

/// Returns the largest number, or NaN if there is one: `f64::max` would drop it. [`enlarge_sum`] turns it into
/// infinity.
pub(super) fn largest(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |largest: f64, &x| if largest.is_nan() || x <= largest { largest } else { x })
}

/// Returns a sum in an order that vector units like.
fn sum(x: &[f64]) -> f64 {
    let (blocks, rest) = x.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for block in blocks {
        sums.iter_mut().zip(block).for_each(|(sum, x)| *sum += x);
    }
    sums.iter().sum::<f64>() + rest.iter().sum::<f64>()
}

#[cfg(test)]
mod tests {
    use num_rational::BigRational;
    use num_traits::Signed;

    use super::*;
    use crate::rigor::freivalds::probe;

    fn exact(x: f64) -> BigRational {
        BigRational::from_float(x).expect("finite")
    }

    /// Rows of which computed sums lose all of the small terms: what is lost is in the bounds.
    #[test]
    fn what_sums_lose_is_in_the_magnitude() {
        for (n, k) in [(200, 3), (3, 200), (200, 200)] {
            // Every lane of a sum begins with ones, to which less than half a unit is added each time.
            let a = Mat::from_fn(n, k, |i, j| if i < 8 && j < 8 { 1.0 } else { 0.99 * U });
            let known = Known::square(a.as_ref(), Structure::Full, &probe(n));
            let entry = |i: usize, j: usize| exact(a[(i, j)]).abs();
            let columns: Vec<BigRational> = (0..k).map(|j| (0..n).map(|i| entry(i, j)).sum()).collect();
            let row = |i: usize| (0..k).map(|j| entry(i, j) * &columns[j]).sum::<BigRational>();
            let largest = (0..n).map(row).max().expect("a row");
            assert!(largest <= exact(known.magnitude), "{n} × {k}: {}", known.magnitude);
            let charged = exact(gamma(k, U)) * &largest;
            assert!(charged <= exact(known.error) && exact(known.error) <= charged * exact(1.0 + 1e-9), "{n} × {k}");
        }
    }

    /// The same of an image, whose errors are given.
    #[test]
    fn what_is_known_of_an_image_is_in_its_magnitude() {
        let n = 100;
        let image = Mat::from_fn(n, n, |i, j| if i.min(j) == 0 { 1.0 - 0.99 * U * (i + j) as f64 } else { 0.99 * U });
        let known = Known::image(image.as_ref(), 0.5, &probe(n));
        let row = |i: usize| (0..n).map(|j| exact(image[(i, j)]).abs()).sum::<BigRational>();
        let largest = (0..n).map(row).max().expect("a row") + exact(0.5);
        assert!(largest <= exact(known.magnitude) && known.error == 0.5, "{}", known.magnitude);
    }

    #[test]
    fn the_largest_number_is_a_nan_if_there_is_one() {
        assert!(largest(&[1.0, f64::NAN, 2.0]).is_nan() && largest(&[f64::NAN]).is_nan());
        assert_eq!((largest(&[1.0, 3.0, 2.0]), largest(&[])), (3.0, 0.0));
    }
}
