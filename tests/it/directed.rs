//! Outward operations against exact rational arithmetic, over random bit patterns: never on the wrong side.

use dahlquist::{
    laws::{Verdict, search},
    rigor::{
        Lower, Upper,
        directed::{
            ETA, U, add_down, add_up, div_down, div_up, enlarge_sum, gamma, mul_add_over, mul_down, mul_up, norm_down,
            norm_up, scale_down, scale_up, sqrt_down, sqrt_up, sub_down, sub_up, sum_up,
        },
        roots_of_unity::{ERROR, roots_of_unity},
    },
    scalar::Scalar,
};
use dahlquist_testkit::oracle::{Num, Real};
use num_rational::BigRational;
use num_traits::{Signed, Zero};
use proptest::{collection::vec, prelude::*, test_runner::TestCaseError};

fn exact(x: f64) -> BigRational {
    BigRational::from_float(x).unwrap()
}

/// Random bits: every magnitude, with short significands among them, so that exact results are met; and the edges.
fn number() -> impl Strategy<Value = f64> {
    let edges = [0.0, 5e-324, f64::MIN_POSITIVE, f64::MAX, 1.0, 1.0 + f64::EPSILON, 2f64.powi(-537), 2f64.powi(511)];
    prop_oneof![
        4 => any::<u64>().prop_map(f64::from_bits),
        2 => any::<u64>().prop_map(|b| f64::from_bits(b & !((1 << 40) - 1))),
        1 => any::<u64>().prop_map(|b| f64::from_bits(b & !(0x7fe << 52))),
        1 => any::<u64>().prop_map(|b| f64::from_bits(b & !(0x7ff << 52) | 1023 << 52)),
        1 => proptest::sample::select(edges.to_vec()),
        1 => proptest::sample::select(edges.map(|x| -x).to_vec()),
    ]
    .prop_filter("finite", |x| x.is_finite())
}

/// `low ≤ value ≤ high`, infinities being bounds of everything, and both within one unit where nothing is lost.
fn encloses(what: &str, low: f64, value: &BigRational, high: f64) -> Verdict {
    let below = low == f64::NEG_INFINITY || low.is_finite() && exact(low) <= *value;
    let above = high == f64::INFINITY || high.is_finite() && *value <= exact(high);
    let tight = !low.is_finite()
        || !high.is_finite()
        || low == high
        || low.next_up() >= high
        || low.next_up().next_up() >= high;
    if below && above && tight {
        return Ok(());
    }
    Err(TestCaseError::fail(format!("{what}: [{low:e}, {high:e}] does not enclose the exact result tightly")))
}

fn hold<S: Strategy>(numbers: S, law: impl Fn(&S::Value, u64) -> Verdict) {
    if let Err(e) = search(4000, numbers, law) {
        panic!("{e}");
    }
}

#[test]
fn sums_and_differences() {
    hold((number(), number()), |&(a, b), _| {
        encloses("+", add_down(a, b), &(exact(a) + exact(b)), add_up(a, b))?;
        encloses("-", sub_down(a, b), &(exact(a) - exact(b)), sub_up(a, b))
    });
}

#[test]
fn products_and_quotients() {
    hold((number(), number()), |&(a, b), _| {
        encloses("·", mul_down(a, b), &(exact(a) * exact(b)), mul_up(a, b))?;
        if b > 0.0 { encloses("/", div_down(a, b), &(exact(a) / exact(b)), div_up(a, b)) } else { Ok(()) }
    });
}

#[test]
fn quick_bounds() {
    let law = |&(a, b, c): &(f64, f64, f64), _| {
        let (a, b, c) = (a.abs(), b.abs(), c.abs());
        let (value, over) = (exact(a) * exact(b) + exact(c), mul_add_over(a, b, c));
        let most = (&value + &value * exact(8.0 * U)) + exact(2.0 * ETA);
        let far = most > exact(f64::MAX) && over == f64::INFINITY;
        if far || over.is_finite() && value <= exact(over) && exact(over) <= most {
            return Ok(());
        }
        Err(TestCaseError::fail(format!("{a:e}·{b:e} + {c:e} ≤ {over:e}")))
    };
    hold((number(), number(), number()), law);
    // All roundings lose something, and about as much.
    hold((1.0..1.001f64, 1.0..1.001f64, 0.0..0.001f64), law);
    for (a, b, c) in [(0.0, f64::INFINITY, 0.0), (f64::NAN, 1.0, 1.0), (1.0, f64::INFINITY, 0.0), (1.0, 1.0, f64::NAN)]
    {
        assert_eq!(mul_add_over(a, b, c), f64::INFINITY);
    }
}

#[test]
fn roots() {
    hold(number(), |a, _| {
        let a = a.abs();
        let (low, high) = (exact(sqrt_down(a)), exact(sqrt_up(a)));
        if &low * &low <= exact(a) && exact(a) <= &high * &high {
            return Ok(());
        }
        Err(TestCaseError::fail(format!("√{a:e}: [{:e}, {:e}]", sqrt_down(a), sqrt_up(a))))
    });
}

#[test]
fn exact_results_stay_exact() {
    assert_eq!((add_up(1.0, 2.0), add_down(1.0, 2.0)), (3.0, 3.0));
    assert_eq!((mul_up(1.5, 2.0), mul_down(1.5, 2.0)), (3.0, 3.0));
    assert_eq!((div_up(3.0, 2.0), sqrt_up(9.0), sqrt_down(9.0)), (1.5, 3.0, 3.0));
    assert_eq!(Upper::ONE.powi(1000).get(), 1.0);
    assert_eq!(Upper::trust(f64::NAN).get(), f64::INFINITY);
    assert_eq!(Lower::trust(f64::NAN).get(), f64::NEG_INFINITY);
}

#[test]
fn infinities_and_nan_never_become_small() {
    let odd = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 0.0, 1.0, -1.0, f64::MAX];
    for (a, b) in odd.into_iter().flat_map(|a| odd.map(|b| (a, b))) {
        for (plain, up, down) in [
            (a + b, add_up(a, b), add_down(a, b)),
            (a * b, mul_up(a, b), mul_down(a, b)),
            (a - b, sub_up(a, b), sub_down(a, b)),
        ] {
            assert!(!up.is_nan() && !down.is_nan(), "{a} {b}");
            assert!(plain.is_nan() && up == f64::INFINITY || plain == f64::NEG_INFINITY || up >= plain, "{a} {b} {up}");
            assert!(
                plain.is_nan() && down == f64::NEG_INFINITY || plain == f64::INFINITY || down <= plain,
                "{a} {b} {down}"
            );
        }
    }
    assert_eq!(
        (div_up(1.0, 0.0), div_up(1.0, -1.0), div_up(1.0, f64::NAN)),
        (f64::INFINITY, f64::INFINITY, f64::INFINITY)
    );
    assert_eq!((norm_up(&[f64::NAN, 1.0]), norm_down(&[f64::NAN, 1.0])), (f64::INFINITY, 0.0));
    assert_eq!((sqrt_up(f64::NAN).is_infinite(), sqrt_down(f64::NAN)), (true, 0.0));
}

#[test]
fn norms_and_sums_of_vectors() {
    hold(vec(number(), 1..6), |x, _| {
        let squares: BigRational = x.iter().map(|&x| exact(x) * exact(x)).sum();
        let (low, high) = (norm_down(x), norm_up(x));
        let below = exact(low) * exact(low) <= squares;
        let above = high.is_infinite() || squares <= exact(high) * exact(high);
        // Tight to 10⁻¹² above the smallest numbers.
        let tight = high.is_infinite() || high < 1e-300 || low >= high * (1.0 - 1e-12);
        if !(below && above && tight) {
            return Err(TestCaseError::fail(format!("the norm: [{low:e}, {high:e}]")));
        }
        let absolute: Vec<f64> = x.iter().map(|x| x.abs()).collect();
        let (sum, bound) = (absolute.iter().map(|&x| exact(x)).sum::<BigRational>(), sum_up(&absolute));
        if bound.is_infinite() || sum <= exact(bound) {
            Ok(())
        } else {
            Err(TestCaseError::fail(format!("the sum: {bound:e}")))
        }
    });
}

#[test]
fn scaling_by_powers_of_two() {
    hold((number(), -2200..2200i32), |&(x, e), _| {
        let x = x.abs();
        let two = BigRational::from_integer(2.into());
        let value = exact(x) * two.pow(e);
        let (low, high) = (scale_down(x, e), scale_up(x, e));
        if exact(low) <= value && (high.is_infinite() || value <= exact(high)) {
            return Ok(());
        }
        Err(TestCaseError::fail(format!("{x:e}·2^{e}: [{low:e}, {high:e}]")))
    });
}

#[test]
fn gamma_and_the_enlargement_of_sums() {
    for n in [0usize, 1, 2, 7, 1000, 1 << 20, 1 << 22, 1 << 40] {
        for u in [f32::UNIT_ROUNDOFF, f64::UNIT_ROUNDOFF] {
            let nu = exact(n as f64) * exact(u);
            let one = BigRational::from_integer(1.into());
            let bound = gamma(n, u);
            assert!(bound.is_infinite() || nu.clone() / (one.clone() - nu) <= exact(bound), "{n} {u}");
        }
        // (1 − γₙ)·exact ≤ computed: the enlargement undoes the worst case.
        let worst = BigRational::from_integer(1.into()) - exact(gamma(n, f64::UNIT_ROUNDOFF));
        assert!(worst.is_positive() && exact(enlarge_sum(1.0, n)) * worst >= BigRational::from_integer(1.into()));
    }
    assert!(gamma(1 << 25, f32::UNIT_ROUNDOFF).is_infinite());
}

/// The numbers of the two formats: rounding down is never above, for every magnitude.
#[test]
fn rounding_down_into_a_format() {
    assert_eq!(f32::round_down(1e300), f32::MAX);
    hold(number(), |&x, _| {
        let down = f32::round_down(x);
        let next = down.next_up();
        let is_largest = f64::from(next) > x || next.is_infinite();
        if (down == f32::NEG_INFINITY || f64::from(down) <= x) && is_largest && f64::round_down(x) == x {
            return Ok(());
        }
        Err(TestCaseError::fail(format!("{x:e} becomes {down:e}")))
    });
}

/// Cosines and sines against the addition theorem in 300 bits, started from the half-angle formulas: no series, no
/// library.
#[test]
fn roots_of_unity_are_within_their_error() {
    // cos and sin of 2π/N solve no radicals in general; Newton's method for z^N = 1 finds them from the f64 values.
    for n in [1usize, 2, 3, 5, 7, 8, 12, 34, 36, 97, 256] {
        let computed = roots_of_unity(n);
        for (k, &(c, s)) in computed.iter().enumerate() {
            let (mut x, mut y) = (Real::of(c), Real::of(s));
            for _ in 0..7 {
                // z ← z − (z^N − 1)/(N z^{N−1}) = z − z (1 − z̄^N/|z|^{2N})/N, with |z| ≈ 1.
                let (mut p, mut q) = (Real::of(1.0), Real::of(0.0));
                for _ in 0..n {
                    (p, q) = (&p * &x - &q * &y, &p * &y + &q * &x);
                }
                let size = &p * &p + &q * &q;
                // (z^N − 1)/z^N = 1 − conj(z^N)/|z^N|².
                let (u, v) = (Real::of(1.0) - &p / &size, &q / &size);
                let count = Real::of(n as f64);
                (x, y) = (&x - (&x * &u - &y * &v) / &count, &y - (&x * &v + &y * &u) / &count);
            }
            let off = |a: f64, b: &Real| {
                let d = Real::of(a) - b;
                if d < Real::of(0.0) { -d } else { d }
            };
            let most = Real::of(ERROR);
            assert!(off(c, &x) <= most && off(s, &y) <= most, "{k}/{n}");
            // It is the k-th root and no other: f64 has the same to 10⁻¹⁰.
            let angle = std::f64::consts::TAU * k as f64 / n as f64;
            assert!((c - angle.cos()).abs() < 1e-10 && (s - angle.sin()).abs() < 1e-10, "{k}/{n}");
        }
    }
    assert!(BigRational::zero() < exact(ERROR));
}
