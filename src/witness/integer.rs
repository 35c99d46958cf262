//! Binary numbers as integers over a power of two, and sums of products of them, exactly.

use num_bigint::{BigInt, BigUint, Sign};
use num_traits::Zero;
use rayon::prelude::*;

/// Returns `m · 2ᵉ` for a finite `x`, with an odd `m` unless `x = 0`.
fn decode(x: f64) -> (i64, i32) {
    let (mantissa, exponent, sign) = num_traits::Float::integer_decode(x);
    if mantissa == 0 {
        return (0, 0);
    }
    let zeros = mantissa.trailing_zeros();
    (i64::from(sign) * (mantissa >> zeros) as i64, i32::from(exponent) + zeros as i32)
}

/// Returns the least scale `s ≥ 0` for which every `2ˢx` is an integer.
pub(super) fn scale_of<'a>(numbers: impl IntoIterator<Item = &'a f64>) -> u32 {
    numbers.into_iter().map(|&x| (-decode(x).1).max(0) as u32).max().unwrap_or(0)
}

/// Returns the integer nearest to `2ˢx`; `2ˢx` itself if the scale of `x` is at most `s`.
pub(super) fn scaled(x: f64, scale: i64) -> BigInt {
    let (mantissa, exponent) = decode(x);
    match i64::from(exponent) + scale {
        up @ 0.. => BigInt::from(mantissa) << up,
        // Shifts to the right round down.
        down => (BigInt::from(mantissa) + (BigInt::from(1) << (-down - 1))) >> -down,
    }
}

/// Returns the largest integer that is not above `2ˢx`.
pub(super) fn floor(x: f64, scale: i64) -> BigInt {
    let (mantissa, exponent) = decode(x);
    match i64::from(exponent) + scale {
        up @ 0.. => BigInt::from(mantissa) << up,
        down => BigInt::from(mantissa) >> -down,
    }
}

/// Returns `max_i Σ_j |α[i = j] − Σ_l w_il w_jl − Σ_l r_il r_jl|`, the largest row sum of a residual, for two matrices
/// that are given by their rows; those of `r` may end early, in zeros.
///
/// All numbers at one place `l` of the rows are the digits of one large integer in a base `2ᵗ`, so a product with it
/// multiplies as many pairs as there are rows, and a row of the residual is read off the digits of one sum. The verified
/// checker counts in the same way.
pub(super) fn largest_row_sum(alpha: &BigInt, w: &[Vec<BigInt>], r: &[Vec<BigInt>]) -> BigInt {
    largest_sum(alpha, w, r, r)
}

/// As [`largest_row_sum`], of `|α[i = j] − Σ_l w_il w_jl + Σ_l r_il r_jl|`.
pub(super) fn largest_row_sum_below(alpha: &BigInt, w: &[Vec<BigInt>], r: &[Vec<BigInt>]) -> BigInt {
    let opposite: Vec<Vec<BigInt>> = r.iter().map(|row| row.iter().map(|x| -x).collect()).collect();
    largest_sum(alpha, w, &opposite, r)
}

/// As [`largest_row_sum`], with `Σ_l s_il r_jl`, where `s` is `r` but for signs.
fn largest_sum(alpha: &BigInt, w: &[Vec<BigInt>], s: &[Vec<BigInt>], r: &[Vec<BigInt>]) -> BigInt {
    let bits = alpha.bits().max(product_bits(w)).max(product_bits(r)) + 3;
    let words = bits.div_ceil(64) as usize;
    let base = 64 * words;
    let (packed_w, packed_r) = rayon::join(|| pack(w, base), || pack(r, base));
    // Half the base is added to every digit, which makes all of them positive.
    let half = BigInt::from(1) << (base - 1);
    let lift = w.iter().fold(BigInt::zero(), |sum, _| (sum << base) + &half);
    let row_sum = |i: usize| {
        let dot = |row: &[BigInt], packed: &[BigInt]| -> BigInt { row.iter().zip(packed).map(|(x, p)| x * p).sum() };
        let row = (alpha << (base * i)) - dot(&w[i], &packed_w) - dot(&s[i], &packed_r) + &lift;
        let digits = row.magnitude().to_u64_digits();
        let entry = |digit: &[u64]| {
            let words = digit.iter().flat_map(|&word| [word as u32, (word >> 32) as u32]).collect();
            (BigInt::from_biguint(Sign::Plus, BigUint::new(words)) - &half).magnitude().clone()
        };
        // No entry is as large as half the base, so no digit is 0 and none is missing.
        BigInt::from(digits.chunks(words).map(entry).sum::<BigUint>())
    };
    (0..w.len()).into_par_iter().map(row_sum).max().unwrap_or_default()
}

/// Returns a bound of the number of bits of a product of two of the rows.
fn product_bits(rows: &[Vec<BigInt>]) -> u64 {
    let largest = rows.iter().flatten().map(BigInt::bits).max().unwrap_or(0);
    let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
    2 * largest + u64::from(longest.checked_ilog2().map_or(0, |log| log + 1))
}

/// Returns `Σ_i 2^(base·i) row_i`, place by place.
fn pack(rows: &[Vec<BigInt>], base: usize) -> Vec<BigInt> {
    let places = rows.iter().map(Vec::len).max().unwrap_or(0);
    let pack = |place: usize| {
        let digit = |sum: BigInt, row: &Vec<BigInt>| (sum << base) + row.get(place).cloned().unwrap_or_default();
        rows.iter().rev().fold(BigInt::zero(), digit)
    };
    (0..places).into_par_iter().map(pack).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_or_nearest() {
        assert_eq!(scale_of(&[0.5, -0.375, 4.0, 0.0]), 3);
        assert_eq!(scale_of(&[f64::from_bits(1)]), 1074);
        assert_eq!(scaled(f64::from_bits(1), 1074), BigInt::from(1));
        assert_eq!(scaled(-0.375, 3), BigInt::from(-3));
        assert_eq!((scaled(0.3, 0), scaled(0.7, 0), scaled(-0.7, 0)), (0.into(), 1.into(), (-1).into()));
        assert_eq!((floor(0.7, 0), floor(-0.3, 0), floor(0.75, 2)), (0.into(), (-1).into(), 3.into()));
        assert_eq!((scaled(1e-300, 3), floor(1e-300, 3), floor(-1e-300, 3)), (0.into(), 0.into(), (-1).into()));
        assert_eq!(scaled(1.5, 100), BigInt::from(3) << 99);
    }

    #[test]
    fn row_sums_are_those_of_the_definition() {
        let rows = |numbers: &[&[i64]]| -> Vec<Vec<BigInt>> {
            numbers.iter().map(|row| row.iter().map(|&x| BigInt::from(x) << 40).collect()).collect()
        };
        let (w, r) = (rows(&[&[3, -4, 9], &[7, 0, -2], &[-1, 8, 5]]), rows(&[&[6], &[1, -7], &[2, 3, 4]]));
        let alpha: BigInt = BigInt::from(150) << 80;
        let dot = |a: &[BigInt], b: &[BigInt]| -> BigInt { a.iter().zip(b).map(|(x, y)| x * y).sum() };
        let entry = |i: usize, j: usize, sign: i32| {
            let diagonal = if i == j { alpha.clone() } else { BigInt::zero() };
            BigInt::from((diagonal - dot(&w[i], &w[j]) - dot(&r[i], &r[j]) * sign).magnitude().clone())
        };
        let expected = |sign| (0..3).map(|i| (0..3).map(|j| entry(i, j, sign)).sum::<BigInt>()).max();
        assert_eq!(Some(largest_row_sum(&alpha, &w, &r)), expected(1));
        assert_eq!(Some(largest_row_sum_below(&alpha, &w, &r)), expected(-1));
        assert_ne!(expected(1), expected(-1));
    }
}
