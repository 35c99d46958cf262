//! The two numbers of an exponential Euler step, as the numbers of `f64` nearest to them.
//!
//! `E = e^{−γh}` and `Φ = (1 − E)/γ` are then the same on every machine, and whoever reads a model finds them from `γ` and `h`. Rational
//! numbers enclose each of them, more and more closely, until both ends round to the same number of `f64`. This comes to an end, as
//! neither is rational.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

/// The bits with which the search for an enclosure begins.
const BITS: u64 = 128;
/// Below this power of two, `e^x − 1` is taken from the first terms of its series.
const SMALL: i32 = -40;
/// Beyond this, `e^x` is no number of `f64`; below its negative, nearest to 0.
const LARGE: f64 = 800.0;

/// Two numbers between which a third one lies.
type Enclosure = [BigRational; 2];

/// Returns the numbers of `f64` nearest to `e^{−γh}` and to `(1 − e^{−γh})/γ`, or `h` for `γ = 0`; infinite where they overflow.
pub(super) fn exponentials(damping: f64, h: f64) -> (f64, f64) {
    let (Some(gamma), Some(length)) = (BigRational::from_float(damping), BigRational::from_float(h)) else {
        return (f64::NAN, f64::NAN);
    };
    let x = -(&gamma * &length);
    if x.is_zero() {
        return (1.0, h);
    }
    if -damping * h > LARGE {
        return (f64::INFINITY, f64::NEG_INFINITY / damping);
    }
    let e = nearest(|bits| exponential(&x, bits));
    let one = BigRational::one();
    let is_small = x.abs() < BigRational::from_float(libm::ldexp(1.0, SMALL)).unwrap_or_else(BigRational::zero);
    let phi = match is_small {
        // (1 − e^x)/γ = h (1 + x/2 + x²/6 + ⋯), and what is left out is less than the last term.
        true => nearest(|bits| {
            let (mut sum, mut term) = (one.clone(), one.clone());
            for k in 2..=i64::try_from(bits / 32).unwrap_or(2) {
                term = term * &x / BigRational::from_integer(k.into());
                sum += &term;
            }
            sorted([&length * (&sum - term.abs()), &length * (&sum + term.abs())])
        }),
        false => nearest(|bits| {
            let [low, high] = exponential(&x, bits);
            sorted([(&one - low) / &gamma, (&one - high) / &gamma])
        }),
    };
    (e, phi)
}

/// Returns the number of `f64` nearest to one that is enclosed, with more bits as long as it is not decided.
fn nearest(enclose: impl Fn(u64) -> Enclosure) -> f64 {
    let mut bits = BITS;
    loop {
        let [low, high] = enclose(bits).map(|end| end.to_f64().unwrap_or(f64::NAN));
        if low == high || low.is_nan() || high.is_nan() {
            return low;
        }
        bits *= 2;
    }
}

/// Encloses `e^x` for `x ≠ 0`, to about `bits` bits. A series gives `e^{|x|/2^j}` in fixed point, `j` squarings give `e^{|x|}`, and for
/// a negative `x` the result is inverted.
fn exponential(x: &BigRational, bits: u64) -> Enclosure {
    if x.to_f64().is_some_and(|x| x < -LARGE) {
        return [BigRational::zero(), BigRational::new(1.into(), BigInt::one() << 1150)];
    }
    let halvings = x.to_f64().map_or(0, |x| libm::ilogb(x).max(-8) + 9) as u64;
    let places = bits + 2 * halvings + 16;
    let argument = (x.abs() * BigRational::from_integer(BigInt::one() << places))
        / BigRational::from_integer(BigInt::one() << halvings);
    let argument = argument.floor().to_integer();
    let above: BigInt = &argument + 1;
    let times = |a: &BigInt, b: &BigInt| (a * b) >> places;
    let unit = BigInt::one() << places;
    let (mut low, mut high) = (unit.clone(), unit.clone());
    let (mut term, mut larger) = (unit.clone(), unit.clone());
    for k in 1..places {
        term = times(&term, &argument) / k;
        larger = times(&larger, &above) / k + 1;
        low += &term;
        high += &larger;
        if term.is_zero() {
            break;
        }
    }
    // The terms that are left out are less than the last one: the argument is below 1.
    high += larger;
    for _ in 0..halvings {
        low = times(&low, &low);
        high = times(&high, &high) + 1;
    }
    match x.is_positive() {
        true => [BigRational::new(low, unit.clone()), BigRational::new(high, unit)],
        false => [BigRational::new(unit.clone(), high), BigRational::new(unit, low)],
    }
}

fn sorted([a, b]: Enclosure) -> Enclosure {
    if a <= b { [a, b] } else { [b, a] }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a library returns is off by an ulp at most, over the range of exponents.
    #[test]
    fn they_are_next_to_what_a_library_returns() {
        let near = |a: f64, b: f64| a == b || a == b.next_up() || a == b.next_down();
        for gamma in [1e-300, 1e-20, 1e-9, 0.1, 1.0, 7.3, -0.5, -1e-15, 300.0, 1e5] {
            for h in [1e-200, 1e-12, 0.01, 0.3, 1.0, 2.4, 100.0, -0.2] {
                let ((e, phi), x) = (exponentials(gamma, h), -gamma * h);
                if !x.is_normal() {
                    // A library loses digits there, and all of them in the end.
                    assert_eq!((e, phi), (1.0, h), "{gamma} {h}");
                    continue;
                }
                // The exponent of the library is rounded.
                let close = |a: f64, b: f64| near(a, b) || (a / b - 1.0).abs() < 4.0 * f64::EPSILON * x.abs();
                let library = (libm::exp(x), -libm::expm1(x) / gamma);
                assert!(close(e, library.0) && close(phi, library.1), "{gamma} {h}: {e}, {phi} and {library:?}");
            }
        }
        assert_eq!(exponentials(0.0, 0.25), (1.0, 0.25));
        assert_eq!(exponentials(2.0, 1e6), (0.0, 0.5));
        assert_eq!(exponentials(-1.0, 1e6).0, f64::INFINITY);
    }

    /// e and 1 − 1/e, to the last bit.
    #[test]
    fn they_are_the_nearest() {
        assert_eq!(exponentials(-1.0, 1.0).0, std::f64::consts::E);
        // 0.63212055882855767840447622983853913255418886896823…
        assert_eq!(exponentials(1.0, 1.0).1, 0.632_120_558_828_557_7);
        assert_eq!(exponentials(-std::f64::consts::LN_2, 1.0).0, 2.0);
    }
}
