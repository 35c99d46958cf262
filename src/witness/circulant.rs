//! The proof of the norm of a convolution on a torus, in integers: the residual of two convolutions is one, too, and its
//! coefficients are those of products of polynomials, each computed as one product of integers, as the checker does.

use num_bigint::{BigInt, BigUint, Sign};
use num_rational::BigRational;
use num_traits::Zero;
use rayon::prelude::*;

use super::{
    FACTOR_BITS, Proved,
    integer::{floor, scale_of, scaled},
    line,
};
use crate::{
    error::Result,
    rigor::torus::{CirculantProposal, Convolution, Torus},
};

/// The kernels of a column, an output after the other; later ones are zero.
type Column = Vec<Vec<BigInt>>;

/// Returns the proof of the norm on the best torus. `bias` is what the checker reads over the same scale as the weights.
///
/// # Errors
/// As [`Convolution::propose_circulant`].
pub(super) fn prove(conv: &Convolution<'_>, bias: &[f64]) -> Result<Proved> {
    let CirculantProposal { torus, alpha, columns, exponent } = conv.propose_circulant()?;
    let enough = (FACTOR_BITS - i64::from(exponent)).max(0) as u32;
    let least = scale_of(conv.weight.iter().chain(bias));
    let scale = least.max(enough);
    let e = i64::from(scale) + i64::from(exponent);
    let integers = |kernel: &Vec<f64>| kernel.iter().map(|&x| scaled(x, e)).collect();
    let factor: Vec<Column> = columns.iter().map(|column| column.iter().map(integers).collect()).collect();
    let alpha = floor(alpha, 2 * e);
    let beta = largest_row_sum(torus, &alpha, &phase_columns(conv, torus, scale), &factor);

    let Torus { points: [n1, n2], twisted } = torus;
    let [y, x] = twisted.map(|twisted| if twisted { "twisted" } else { "periodic" });
    let (fine, k) = (scale - least, factor.len());
    let mut text = format!("torus {n1} {n2} {y} {x} fine {fine} alpha {alpha} beta {beta}\nfactor {k}\n");
    for column in &factor {
        line(&mut text, column.iter().flatten());
    }
    Ok(Proved { text, squared: BigRational::new(alpha + beta, BigInt::from(1) << (2 * scale)) })
}

/// Returns the weights over `2^scale` as columns of kernels on the torus: for each channel its phases.
fn phase_columns(conv: &Convolution<'_>, torus: Torus, scale: u32) -> Vec<Column> {
    let ([ay, ax], (outputs, inputs), [n1, n2]) = (conv.axes, conv.channels, torus.points);
    let kernel = |column: usize, output: usize| {
        let (channel, phase) = (column / (ay.stride * ax.stride), column % (ay.stride * ax.stride));
        let (r1, r2) = (phase / ax.stride, phase % ax.stride);
        let entry = |index: usize| {
            let (u, v) = (index / n2 * ay.stride + r1, index % n2 * ax.stride + r2);
            if u >= ay.kernel || v >= ax.kernel {
                return BigInt::zero();
            }
            scaled(conv.weight[((output * inputs + channel) * ay.kernel + u) * ax.kernel + v], scale.into())
        };
        (0..n1 * n2).map(entry).collect()
    };
    (0..inputs * ay.stride * ax.stride).map(|c| (0..outputs).map(|o| kernel(c, o)).collect()).collect()
}

/// Returns `max_a Σ_b ‖α[a = b] − v_a* v_b − r_a* r_b‖₁`, with the products of polynomials on the torus.
fn largest_row_sum(torus: Torus, alpha: &BigInt, v: &[Column], r: &[Column]) -> BigInt {
    let [n1, n2] = torus.points;
    let (rows, columns) = (2 * n1 - 1, 2 * n2 - 1);
    let bits = alpha.bits().max(product_bits(v)).max(product_bits(r)) + 3;
    let words = bits.div_ceil(64) as usize;
    // The digit of a place of a kernel, and, reversed, of the opposite one.
    let forward = |place: usize| place / n2 * columns + place % n2;
    let backward = |place: usize| forward(n1 * n2 - 1 - place);
    let encode = |w: &[Column], digit: &(dyn Fn(usize) -> usize + Sync)| -> Vec<Vec<BigInt>> {
        let column = |column: &Column| column.iter().map(|kernel| encode(kernel, words, digit)).collect();
        w.par_iter().map(column).collect()
    };
    let [(v0, v1), (r0, r1)] = [v, r].map(|w| (encode(w, &backward), encode(w, &forward)));
    let base = 64 * words;
    // Half the base is added to every digit, which makes all of them positive.
    let half = BigInt::from(1) << (base - 1);
    let lift = (0..rows * columns).fold(BigInt::zero(), |sum, _| (sum << base) + &half);
    let middle = ((n1 - 1) * columns + n2 - 1) * base;
    let weight = |a: usize, b: usize| {
        let dot = |x: &[BigInt], y: &[BigInt]| -> BigInt { x.iter().zip(y).map(|(x, y)| x * y).sum() };
        let mut sum = &lift - dot(&v0[a], &v1[b]) - dot(&r0[a], &r1[b]);
        if a == b {
            sum += alpha << middle;
        }
        let digits = sum.magnitude().to_u64_digits();
        let mut folded = vec![BigInt::zero(); n1 * n2];
        for (index, digit) in digits.chunks(words).enumerate() {
            let halves = digit.iter().flat_map(|&word| [word as u32, (word >> 32) as u32]).collect();
            let digit = BigInt::from_biguint(Sign::Plus, BigUint::new(halves)) - &half;
            // What leaves the torus comes in at the other end.
            let (k, y) = ((index / columns + 1) % n1, index / columns + 1 < n1);
            let (l, x) = ((index % columns + 1) % n2, index % columns + 1 < n2);
            let negative = (y && torus.twisted[0]) != (x && torus.twisted[1]);
            folded[k * n2 + l] += if negative { -digit } else { digit };
        }
        BigInt::from(folded.iter().map(|x| x.magnitude()).sum::<BigUint>())
    };
    let n = v.len();
    let table: Vec<Vec<BigInt>> = (0..n).into_par_iter().map(|a| (a..n).map(|b| weight(a, b)).collect()).collect();
    let row = |a: usize| -> BigInt { (0..n).map(|b| &table[a.min(b)][a.max(b) - a.min(b)]).sum() };
    (0..n).map(row).max().unwrap_or_default()
}

/// Returns a bound of the number of bits of a coefficient of a sum of products.
fn product_bits(columns: &[Column]) -> u64 {
    let largest = columns.iter().flatten().flatten().map(BigInt::bits).max().unwrap_or(0);
    let longest = columns.iter().map(|column| column.iter().map(Vec::len).sum::<usize>()).max().unwrap_or(0);
    2 * largest + u64::from(longest.checked_ilog2().map_or(0, |log| log + 1))
}

/// Returns the sum of the numbers of a kernel, each at the digit of its place.
fn encode(kernel: &[BigInt], words: usize, digit: &dyn Fn(usize) -> usize) -> BigInt {
    let last = (0..kernel.len()).map(digit).max().unwrap_or(0);
    let mut parts = [(); 2].map(|()| vec![0u32; 2 * words * (last + 1)]);
    for (place, number) in kernel.iter().enumerate() {
        let at = 2 * words * digit(place);
        let part = &mut parts[usize::from(number.sign() == Sign::Minus)];
        for (word, digit) in part[at..].iter_mut().zip(number.magnitude().iter_u32_digits()) {
            *word = digit;
        }
    }
    let [plus, minus] = parts.map(|part| BigInt::from(BigUint::new(part)));
    plus - minus
}

#[cfg(test)]
mod tests {
    use num_traits::ToPrimitive;

    use super::*;
    use crate::rigor::torus::{Axis, PaddingMode};

    /// Numbers without a pattern, over 256.
    fn weights(count: usize) -> Vec<f64> {
        (0..count as u64).map(|i| ((i * i * 7919 + i * 104_729) % 511) as f64 / 256.0 - 1.0).collect()
    }

    #[test]
    fn row_sums_are_those_of_the_definition() {
        for twisted in [[false, false], [false, true], [true, false], [true, true]] {
            let (n1, n2) = (2, 3);
            let torus = Torus { points: [n1, n2], twisted };
            let numbers: Vec<BigInt> = weights(72).iter().map(|x| scaled(*x, 40)).collect();
            let kernel = |k: usize| numbers[6 * k..6 * k + 6].to_vec();
            let v: Vec<Column> =
                vec![vec![kernel(0), kernel(1)], vec![kernel(2), kernel(3)], vec![kernel(4), kernel(5)]];
            let r: Vec<Column> =
                vec![vec![kernel(6)], vec![kernel(7), kernel(8)], vec![kernel(9), kernel(10), kernel(11)]];
            let alpha: BigInt = BigInt::from(9) << 80;
            let weight = |a: usize, b: usize| -> BigInt {
                let mut e = vec![BigInt::zero(); n1 * n2];
                if a == b {
                    e[0] = alpha.clone();
                }
                for (x, y) in v[a].iter().zip(&v[b]).chain(r[a].iter().zip(&r[b])) {
                    for (place, x) in x.iter().enumerate() {
                        for (other, y) in y.iter().enumerate() {
                            let (i, j, s, t) = (place / n2, place % n2, other / n2, other % n2);
                            let at = (s + n1 - i) % n1 * n2 + (t + n2 - j) % n2;
                            if (twisted[0] && s < i) == (twisted[1] && t < j) {
                                e[at] -= x * y;
                            } else {
                                e[at] += x * y;
                            }
                        }
                    }
                }
                BigInt::from(e.iter().map(|x| x.magnitude()).sum::<BigUint>())
            };
            let expected = (0..3).map(|a| (0..3).map(|b| weight(a, b)).sum::<BigInt>()).max();
            assert_eq!(Some(largest_row_sum(torus, &alpha, &v, &r)), expected, "{twisted:?}");
        }
    }

    #[test]
    fn the_bound_is_that_of_the_best_torus() {
        for (stride, padding) in [(1, 1), (2, 1), (3, 0)] {
            let axis = Axis { input: 6, kernel: 3, stride, padding };
            let weight = weights(4 * 3 * 9);
            let conv = Convolution { weight: &weight, channels: (4, 3), axes: [axis; 2], mode: PaddingMode::Zeros };
            let proved = prove(&conv, &[0.125]).unwrap();
            let (squared, norm) = (proved.squared.to_f64().unwrap(), conv.norm().unwrap().bound.get());
            assert!((squared / (norm * norm) - 1.0).abs() < 1e-9, "{squared} {norm}");
            assert!(proved.text.starts_with("torus "));
        }
    }
}
