//! References for tanh, sigmoid and softplus at numbers of `f32`, in `f64`, with a proved error, and the comparison of the
//! library with them.
//!
//! Let `u = 2⁻⁵³`. Every function below is off by at most `2⁻⁴⁸` of its value, [`RELATIVE`], and where its argument is
//! beyond ±[`FAR`] also by [`ABSOLUTE`]. A unit of `f32` is `2²⁹ u`, so the comparison loses a millionth of a unit.
use dahlquist::activation::Activation;

/// The proved relative error of a reference.
pub const RELATIVE: f64 = 1.0 / (1u64 << 48) as f64;
/// Beyond this, `e⁻ᵗ` is taken to be 0.
pub const FAR: f64 = 110.0;
/// An upper bound of `e^(−FAR)`, `2⁻¹⁵⁸`.
pub const ABSOLUTE: f64 = f64::from_bits((1023 - 158) << 52);

/// `1/j!`, each off by at most `u` of it: quotients of two exact numbers.
const INVERSE_FACTORIALS: [f64; 20] = {
    let mut c = [1.0; 20];
    let (mut j, mut factorial) = (1, 1u64);
    while j < 20 {
        factorial *= j as u64;
        // 18! is the last one below 2⁵³ after its powers of two are taken out; 19! = 2¹⁶·3⁸·5³·7²·11·13·17·19 is too.
        c[j] = 1.0 / factorial as f64;
        j += 1;
    }
    c
};

/// The first 32 bits of ln 2, and the rest to within `2⁻⁸⁶`.
const LN_2: [f64; 2] = {
    let high = f64::from_bits(0x3FE6_2E42_FEE0_0000);
    // ln 2 = 0.693147180559945309417232121458176568…
    [high, 1.908_214_929_270_587_7e-10]
};

/// `e⁻ᵗ` for a number `t ≥ 0` of `f32`, or twice one: off by at most `8u` of it, or for `t > FAR` by [`ABSOLUTE`].
///
/// With `t = k ln 2 − r`, `|r| ≤ 0.35`, it is `2⁻ᵏeʳ`. For `k ≥ 1` it is `t > 0.34`, so `t` and `k·LN_2[0]` are multiples of
/// `2⁻³²` (the last bit of the latter) below `2⁷`: their difference is exact. `r` is then off by the rounding of `k·LN_2[1]`
/// and of the sum, and by the error of the constant, together less than `u/2`; for `k = 0` it is exact. The series up to
/// `r¹³` leaves `0.35¹⁴/14!·e^0.35 < u/8`. In Horner's scheme the coefficient, the product and the sum at `j` are off by at
/// most `u(1 + 0.5 + 1.42)/j!`, which the later steps multiply by `0.35ʲ`: together at most `2.92u·e^0.35 < 4.2u`. Of
/// `eʳ ≥ 0.7`, all of that is less than `8u`. The product with `2⁻ᵏ` is exact.
pub fn exp_minus(t: f64) -> f64 {
    if t > FAR {
        return 0.0;
    }
    let k = (t * std::f64::consts::LOG2_E).round();
    let r = (k * LN_2[0] - t) + k * LN_2[1];
    let series = INVERSE_FACTORIALS[..14].iter().rev().fold(0.0, |p, c| p * r + c);
    series * f64::from_bits((1023 - k as u64) << 52)
}

/// `1/(1 + e⁻ˣ)`: off by at most `11u` of it. `e = e^(−|x|)`, off by `8u`, moves it by at most as much, relatively, and a
/// sum and a quotient are rounded.
pub fn sigmoid(x: f64) -> f64 {
    let e = exp_minus(x.abs());
    if x < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) }
}

/// `ln(1 + eˣ)`: off by at most `20u` of it.
///
/// `ln(1 + e) = 2 artanh s` with `s = e/(2 + e) ≤ 1/3`, off by `10.1u`, is `2s Σ zⁱ/(2i + 1)`, `z = s²`, off by `21.3u`. What
/// is left out behind `z¹⁶` is less than `u/8` of the sum. All terms are positive, and in Horner's scheme the part that is
/// carried over is at most 1/8 of each partial sum: its error `ε` obeys `ε ≤ (21.3u + ε + u)/8 + 2u`, so it is at most `5.5u`.
/// Together `10.1 + 5.5 + 1` and the rest, less than `17u`, and one sum more for `x > 0`.
pub fn softplus(x: f64) -> f64 {
    let e = exp_minus(x.abs());
    let s = e / (2.0 + e);
    let z = s * s;
    let series = (0..17).rev().fold(0.0, |p, i| p * z + 1.0 / f64::from(2 * i + 1));
    let tail = 2.0 * s * series;
    if x > 0.0 { x + tail } else { tail }
}

/// `tanh x`: off by at most `10u` of it.
///
/// For `y = 2|x| ≤ 1` it is `m/(2 + m)` with `m = eʸ − 1 = y Σ yʲ/(j + 1)!`; what is left out behind `y¹⁷` is less than `u/8`
/// of the sum. All terms are positive, at most half of a partial sum is carried over, and the error `ε` of Horner's scheme
/// obeys `ε ≤ (ε + u)/2 + 2u`: it is at most `5u`. One product, a sum and a quotient are rounded, and `m` moves the quotient
/// by at most as much as it moves itself: less than `9u`. For `y > 1` it is `(1 − E)/(1 + E)` with `E = e⁻ʸ < 0.368`: the
/// numerator, at least 0.632, is off by `(0.368·8/0.632 + 1)u`, the denominator by `(0.269·8 + 1)u`, and a quotient is
/// rounded: less than `10u`.
pub fn tanh(x: f64) -> f64 {
    let y = 2.0 * x.abs();
    let size = if y <= 1.0 {
        let m = y * INVERSE_FACTORIALS[1..19].iter().rev().fold(0.0, |p, c| p * y + c);
        m / (2.0 + m)
    } else {
        let e = exp_minus(y);
        (1.0 - e) / (1.0 + e)
    };
    size.copysign(x)
}

/// What an activation is compared with.
pub type Reference = fn(f64) -> f64;

/// The smooth functions with their references.
pub const FUNCTIONS: [(Activation, Reference); 3] =
    [(Activation::Tanh {}, tanh), (Activation::Sigmoid {}, sigmoid), (Activation::Softplus {}, softplus)];

/// The largest errors that were met, proved from above, and where.
#[derive(Debug, Clone, Copy, Default)]
pub struct Worst {
    /// Of normal values: the error in units `u` of `f32` times the value.
    pub relative: (f64, f32),
    /// Of subnormal values, and of values that are 0: the error in units of the smallest number of `f32`.
    pub absolute: (f64, f32),
    /// How many numbers were looked at.
    pub count: u64,
}

impl Worst {
    pub fn and(self, other: Self) -> Self {
        let larger = |a: (f64, f32), b: (f64, f32)| if b.0 > a.0 { b } else { a };
        Self {
            relative: larger(self.relative, other.relative),
            absolute: larger(self.absolute, other.absolute),
            count: self.count + other.count,
        }
    }

    /// Compares the library with the reference at the numbers with these bits, those that are finite.
    pub fn over(function: Activation, reference: fn(f64) -> f64, bits: impl Iterator<Item = u32>) -> Self {
        let mut worst = Self::default();
        for x in bits.map(f32::from_bits).filter(|x| x.is_finite()) {
            let (found, meant) = (f64::from(function.value(x)), reference(f64::from(x)));
            // The difference is rounded once, and the reference is off; a NaN is an infinite error.
            let far = if f64::from(x.abs()) > FAR / 2.0 { ABSOLUTE } else { 0.0 };
            let off = (found - meant).abs() * (1.0 + RELATIVE) + 2.0 * RELATIVE * meant.abs() + far;
            let off = if off.is_nan() { f64::INFINITY } else { off };
            // The smallest value is a little below what the reference says.
            let least = meant.abs() * (1.0 - 2.0 * RELATIVE);
            if least >= f64::from(f32::MIN_POSITIVE) {
                let relative = off / (least * f64::from(f32::EPSILON / 2.0));
                if relative > worst.relative.0 {
                    worst.relative = (relative, x);
                }
            } else {
                let absolute = off / f64::from(f32::from_bits(1));
                if absolute > worst.absolute.0 {
                    worst.absolute = (absolute, x);
                }
            }
            worst.count += 1;
        }
        worst
    }
}
