//! Arithmetic of `f64` rounded outward: `*_up` is never below the exact result, `*_down` never above it.
//!
//! Each operation is rounded to nearest by the hardware; the sign of its error is then found exactly (2Sum, or Dekker's
//! product), and the result moves to the next number only if it lies on the wrong side. So `1·1` stays 1, and an
//! isometry has norm 1. Where the error term itself could underflow or overflow, the result moves without asking. A NaN,
//! which only arises from infinities here, becomes the infinity that is always a bound.
//!
//! Dekker's product is used, and no fused multiply-add: that one is a function call wherever a program is built for every
//! processor of its kind, and certification spends its time here.
//!
//! Source: Ogita, Rump, Oishi, *Accurate sum and dot product*, SIAM J. Sci. Comput. 26 (2005), algorithms 3.1 to 3.3.

/// Products of a size in this range have an exact error term: `2⁻⁹⁶⁸ = 2⁻¹⁰²² · 2⁵⁴` and `2⁹⁶⁸`.
const EXACT_ERROR: std::ops::Range<f64> = f64::from_bits((1023 - 968) << 52)..f64::from_bits((1023 + 968) << 52);

/// The unit roundoff of `f64`, `u = 2⁻⁵³`.
pub const U: f64 = f64::EPSILON / 2.0;

/// The smallest positive `f64`, `η = 2⁻¹⁰⁷⁴`.
pub const ETA: f64 = f64::from_bits(1);

/// Returns `result` if `error`, the exact result minus it, is not positive; else the next number above.
#[inline]
fn up(result: f64, error: f64) -> f64 {
    if result.is_nan() {
        f64::INFINITY
    } else if error <= 0.0 && result != f64::NEG_INFINITY {
        result
    } else {
        result.next_up()
    }
}

/// Returns `ab − p` for `p = fl(ab)`: exactly if `|p|` lies in [`EXACT_ERROR`], or NaN if a factor is too large to be
/// split.
#[inline]
fn product_error(a: f64, b: f64, p: f64) -> f64 {
    // Two halves of 26 bits each.
    let split = |x: f64| {
        let c = 134_217_729.0 * x;
        let high = c - (c - x);
        (high, x - high)
    };
    let ((a1, a0), (b1, b0)) = (split(a), split(b));
    (((a1 * b1 - p) + a1 * b0) + a0 * b1) + a0 * b0
}

/// Returns an upper bound of `a + b`.
#[inline]
pub fn add_up(a: f64, b: f64) -> f64 {
    let s = a + b;
    let t = s - a;
    up(s, (a - (s - t)) + (b - t))
}

/// Returns a lower bound of `a + b`.
#[inline]
pub fn add_down(a: f64, b: f64) -> f64 {
    -add_up(-a, -b)
}

/// Returns an upper bound of `a − b`.
#[inline]
pub fn sub_up(a: f64, b: f64) -> f64 {
    add_up(a, -b)
}

/// Returns a lower bound of `a − b`.
#[inline]
pub fn sub_down(a: f64, b: f64) -> f64 {
    add_down(a, -b)
}

/// Returns an upper bound of `a · b`.
#[inline]
pub fn mul_up(a: f64, b: f64) -> f64 {
    let p = a * b;
    if EXACT_ERROR.contains(&p.abs()) {
        up(p, product_error(a, b, p))
    } else if a == 0.0 && b.is_finite() || b == 0.0 && a.is_finite() {
        0.0
    } else {
        up(p, 1.0)
    }
}

/// Returns a lower bound of `a · b`.
#[inline]
pub fn mul_down(a: f64, b: f64) -> f64 {
    -mul_up(-a, b)
}

/// Returns an upper bound of `ab + c` for numbers `≥ 0`, infinite where one is NaN: at most three units in the last
/// place above it and `η`, but quick. For bounds of errors, whose last digits nobody sees.
///
/// *Proof.* Let `p = fl(ab)` and `s = fl(p + c)`. Since `p ≤ s`, both roundings together lose at most a unit in the last
/// place of `s`, or `η` where `s` is subnormal. The product `(1 + 2u)s` is at least the number next to `s`, and so is its
/// rounding; where `s` is subnormal, the last summand pays. ∎
#[inline]
pub fn mul_add_over(a: f64, b: f64, c: f64) -> f64 {
    let over = (a * b + c) * (1.0 + 2.0 * U) + ETA;
    if over > 0.0 { over } else { f64::INFINITY }
}

/// Returns an upper bound of `a / b` for `b > 0`; infinity for any other `b`.
#[inline]
pub fn div_up(a: f64, b: f64) -> f64 {
    if b.is_nan() || b <= 0.0 {
        return f64::INFINITY;
    }
    let q = a / b;
    if a == 0.0 {
        0.0
    } else if EXACT_ERROR.contains(&(q * b).abs()) && q.abs() >= f64::MIN_POSITIVE {
        // The product is so near to a that their difference is exact.
        up(q, (a - q * b) - product_error(q, b, q * b))
    } else {
        up(q, 1.0)
    }
}

/// Returns a lower bound of `a / b` for `b > 0`; minus infinity for any other `b`.
#[inline]
pub fn div_down(a: f64, b: f64) -> f64 {
    -div_up(-a, b)
}

/// Returns an upper bound of `√a`; of 0 for negative `a`, which is only ever the enclosure of a square.
#[inline]
pub fn sqrt_up(a: f64) -> f64 {
    if a <= 0.0 {
        return 0.0;
    }
    let s = a.sqrt();
    up(s, if EXACT_ERROR.contains(&(s * s)) { (a - s * s) - product_error(s, s, s * s) } else { 1.0 })
}

/// Returns a lower bound of `√a`; 0 for negative `a`, which is only ever the enclosure of a square.
pub fn sqrt_down(a: f64) -> f64 {
    if a.is_nan() || a <= 0.0 {
        return 0.0;
    }
    let s = a.sqrt();
    if a.is_infinite() {
        f64::MAX
    } else if EXACT_ERROR.contains(&(s * s)) && (a - s * s) - product_error(s, s, s * s) >= 0.0 {
        s
    } else {
        s.next_down()
    }
}

/// Returns `γₙ = nu / (1 − nu)` rounded up: `n` roundings in a row, or a sum of `n` products in any order, are off by
/// at most this factor. Infinite from `n = 2⁵²` on, where the bound says nothing.
pub fn gamma(n: usize, u: f64) -> f64 {
    let nu = mul_up(n as f64, u);
    if nu < 0.5 { div_up(nu, sub_down(1.0, nu)) } else { f64::INFINITY }
}

/// Returns an upper bound of the exact sum of `n` numbers `≥ 0` (infinite if one is NaN), from their sum in any order.
///
/// With `x = nu ≤ 1/4`, `sum ≥ (1 − γₙ)·exact`, and `1/(1 − γₙ) = (1 − x)/(1 − 2x) ≤ 1 + 2x`.
#[inline]
pub fn enlarge_sum(sum: f64, n: usize) -> f64 {
    // Exact: a product with a power of two. (A larger n than 2⁵³ is refused below, however it is rounded.)
    let x = n as f64 * U;
    if x <= 0.25 { mul_up(sum, add_up(1.0, 2.0 * x)) } else { f64::INFINITY }
}

/// Returns an upper bound of the sum of numbers `≥ 0`.
pub fn sum_up(terms: &[f64]) -> f64 {
    enlarge_sum(terms.iter().sum(), terms.len())
}

/// Returns an upper bound of the Euclidean norm of `x`, infinite if it holds a NaN; no square overflows or underflows.
pub fn norm_up<T: Copy + Into<f64>>(x: &[T]) -> f64 {
    let squares = sum_of_squares(x, 1.0);
    if (SAFE_SQUARES.0..SAFE_SQUARES.1).contains(&squares) {
        // One rounding more pays for all underflow, below nη.
        return sqrt_up(enlarge_sum(squares, x.len() + 2));
    }
    let size = |x: f64| if x.is_nan() { f64::INFINITY } else { x.abs() };
    let largest = x.iter().fold(0.0, |a: f64, &x| a.max(size(x.into())));
    if largest == 0.0 || largest.is_infinite() {
        return largest;
    }
    // Scaling by a power of two is exact but for entries that become subnormal, which η per square covers.
    let scale = power_of_two(exponent(largest).clamp(-1022, 1022));
    mul_up(sqrt_up(enlarge_squares(sum_of_squares(x, 1.0 / scale), x.len())), scale)
}

/// Returns an upper bound of the Euclidean distance of two points; infinite if one has a NaN or their difference
/// overflows.
pub fn distance_up<A: Copy + Into<f64>, B: Copy + Into<f64>>(x: &[A], y: &[B]) -> f64 {
    let mut inexact = false;
    let difference = |(&x, &y): (&A, &B)| -> f64 {
        let (x, y) = (x.into(), y.into());
        let d = x - y;
        let t = x - d;
        // 2Sum: 0 if and only if nothing was rounded. (A NaN, where something overflowed, is not 0.)
        inexact |= (x - (d + t)) + (t - y) != 0.0;
        d
    };
    let norm = norm_up(&x.iter().zip(y).map(difference).collect::<Vec<f64>>());
    // |fl(x − y)| ≥ (1 − u)|x − y|, and 1/(1 − u) ≤ 1 + 2u; a difference does not underflow.
    if inexact { mul_up(norm, 1.0 + 2.0 * U) } else { norm }
}

/// Sums of squares in this range need no scaling: `2⁻⁹⁰⁰` and `2⁹⁰⁰`.
const SAFE_SQUARES: (f64, f64) = (f64::from_bits((1023 - 900) << 52), f64::from_bits((1023 + 900) << 52));

/// Returns `Σ (x·scale)²`, in an order that vector units like.
#[inline]
fn sum_of_squares<T: Copy + Into<f64>>(x: &[T], scale: f64) -> f64 {
    let (blocks, rest) = x.as_chunks::<16>();
    let mut sums = [0.0; 16];
    for block in blocks {
        for (sum, &x) in sums.iter_mut().zip(block) {
            let x = x.into() * scale;
            *sum += x * x;
        }
    }
    rest.iter().map(|&x| (x.into() * scale) * (x.into() * scale)).sum::<f64>() + sums.iter().sum::<f64>()
}

/// Returns an upper bound of an exact sum of `n` squares from the computed one.
#[inline]
fn enlarge_squares(sum: f64, n: usize) -> f64 {
    add_up(enlarge_sum(sum, n + 1), mul_up(n as f64, 4.0 * ETA))
}

/// Returns a lower bound of the Euclidean norm of `x`.
pub fn norm_down(x: &[f64]) -> f64 {
    let largest = x.iter().fold(0.0, |a: f64, &x| if x.is_nan() { f64::INFINITY } else { a.max(x.abs()) });
    if largest == 0.0 || largest.is_infinite() {
        return 0.0;
    }
    let scale = power_of_two(exponent(largest).clamp(-1022, 1022));
    let squares: f64 = x.iter().map(|x| (x / scale) * (x / scale)).sum();
    // sum ≤ (1 + γₙ₊₁)·exact + nη, and 1/(1 + γ) ≥ 1 − γ.
    let squares = sub_down(squares, mul_up(x.len() as f64, 4.0 * ETA));
    mul_down(sqrt_down(mul_down(squares.max(0.0), sub_down(1.0, gamma(x.len() + 1, U)))), scale)
}

/// Returns the exponent `e` of a finite `x ≠ 0`: `2ᵉ ≤ |x| < 2ᵉ⁺¹`, subnormal numbers included.
pub fn exponent(x: f64) -> i32 {
    libm::ilogb(x)
}

/// Returns `2ᵉ` for `−1022 ≤ e ≤ 1023`.
pub fn power_of_two(e: i32) -> f64 {
    debug_assert!((-1022..=1023).contains(&e));
    f64::from_bits(((e + 1023) as u64) << 52)
}

/// Returns an upper bound of `x · 2ᵉ` for `x ≥ 0` and any `e`.
pub fn scale_up(x: f64, e: i32) -> f64 {
    let y = libm::scalbn(x, e);
    if x == 0.0 || y >= f64::MIN_POSITIVE { y } else { y.next_up() }
}

/// Returns a lower bound of `x · 2ᵉ` for `x ≥ 0` and any `e`.
pub fn scale_down(x: f64, e: i32) -> f64 {
    let y = libm::scalbn(x, e);
    if y.is_infinite() {
        f64::MAX
    } else if x == 0.0 || y > f64::MIN_POSITIVE {
        y
    } else {
        y.next_down().max(0.0)
    }
}
