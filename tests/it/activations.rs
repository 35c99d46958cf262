//! The slopes of the activations, and the error of their implementation against 300 bits.

use dahlquist::{
    activation::Activation,
    laws::{Verdict, search, strategies as s},
    rigor::Rounding,
    scalar::Scalar,
};
use dahlquist_testkit::{
    oracle::{Num, Real},
    smooth,
};
use proptest::{prelude::*, test_runner::TestCaseError};
use rayon::prelude::*;

fn hold<S: Strategy>(cases: u32, numbers: S, law: impl Fn(&S::Value, u64) -> Verdict) {
    if let Err(e) = search(cases, numbers, law) {
        panic!("{e}");
    }
}

fn absolute(x: Real) -> Real {
    if x < Real::of(0.0) { -x } else { x }
}

/// `m(a − c) ≤ σ(a) − σ(c) ≤ L(a − c)` for `a > c`, in 300 bits.
#[test]
fn slopes_lie_in_their_interval() {
    let numbers = prop_oneof![s::moderate::<f64>(), -40.0..40.0f64];
    hold(2000, (s::activation(), numbers, prop_oneof![-1e-3..1e-3f64, -40.0..40.0f64]), |&(a, x, by), _| {
        let (low, high) = (x.min(x + by), x.max(x + by));
        let sigma = dahlquist_testkit::oracle::real(a);
        let (dx, dy) = (Real::of(high) - Real::of(low), sigma(&Real::of(high)) - sigma(&Real::of(low)));
        let [m, l] = a.slopes().map(Real::of);
        let slack = Real::of(2f64.powi(-250));
        if dy >= &m * &dx - &slack && dy <= &l * &dx + &slack {
            return Ok(());
        }
        Err(TestCaseError::fail(format!("the slope between {low} and {high} is outside of {:?}", a.slopes())))
    });
}

/// The interval is exact: both ends are attained or approached.
#[test]
fn slope_intervals_are_tight() {
    const H: f64 = 1e-6;
    for a in Activation::ALL {
        let [m, l] = a.slopes();
        // On both sides of a point: a slope may be attained on one side of a kink.
        let sides = (-4000..4000).map(|k| f64::from(k) * 0.01).flat_map(|x| [x, x + H]);
        let slopes: Vec<f64> = sides.map(|x| (a.value(x) - a.value(x - H)) / H).collect();
        let (least, most) = slopes.iter().fold((f64::MAX, f64::MIN), |(lo, hi), &s| (lo.min(s), hi.max(s)));
        assert!((least - m).abs() < 1e-4 && (most - l).abs() < 1e-4, "{}: [{least}, {most}]", a.name());
    }
}

/// `|fl(σ(x)) − σ(x)| ≤ e·|σ(x)| + a` with the declared `(e, a)`, over the whole range of the format.
fn errors_are_as_declared<T: Scalar>() {
    let rounding = Rounding::of::<T>();
    let x = prop_oneof![
        3 => (-30.0..30.0f64).prop_map(T::of),
        2 => (-120.0..120.0f64).prop_map(T::of),
        1 => (-800.0..800.0f64).prop_map(T::of),
        2 => s::wide::<T>(),
        1 => s::special::<T>(),
        1 => s::subnormal::<T>(),
    ];
    for a in Activation::ALL {
        let a = a.in_format::<T>().unwrap();
        let (relative, bottom) = a.error(&rounding);
        let sigma = dahlquist_testkit::oracle::real(a);
        // What is seen leaves a wide margin.
        hold(3000, &x, |&x, _| {
            let (computed, exact) = (a.value(x), sigma(&Real::of(x.wide())));
            let off = absolute(Real::of(computed.wide()) - &exact);
            let most = Real::of(relative) * absolute(exact) + Real::of(bottom);
            if off <= most {
                return Ok(());
            }
            Err(TestCaseError::fail(format!("{}({x}) in {} is {computed}: off by {off} > {most}", a.name(), T::NAME)))
        });
    }
}

#[test]
fn errors_are_as_declared_in_f32() {
    errors_are_as_declared::<f32>();
}

#[test]
fn errors_are_as_declared_in_f64() {
    errors_are_as_declared::<f64>();
}

/// The references with a proved error are as near as is said, by 300 bits.
#[test]
fn references_are_as_near_as_is_proved() {
    let numbers =
        prop_oneof![4 => s::moderate::<f32>(), 4 => -120.0..120.0f32, 1 => s::wide::<f32>(), 1 => s::subnormal()];
    for (a, reference) in smooth::FUNCTIONS {
        let sigma = dahlquist_testkit::oracle::real(a);
        hold(1500, &numbers, |&x, _| {
            let (found, exact) = (Real::of(reference(x.into())), sigma(&Real::of(x.into())));
            let far = if f64::from(x.abs()) > smooth::FAR / 2.0 { smooth::ABSOLUTE } else { 0.0 };
            let most = Real::of(smooth::RELATIVE) * absolute(exact.clone()) + Real::of(far);
            let off = absolute(found - exact);
            if off <= most { Ok(()) } else { Err(TestCaseError::fail(format!("{}({x}) is off by {off}", a.name()))) }
        });
    }
}

/// The error of smooth functions in `f32` at one number of 257, of every sign and exponent; `examples/smooth_functions.rs`
/// tries them all.
#[test]
fn smooth_functions_are_within_their_constant() {
    let rounding = Rounding::of::<f32>();
    for (a, reference) in smooth::FUNCTIONS {
        let piece = |i: u32| smooth::Worst::over(a, reference, (i << 22..=(i << 22) + ((1 << 22) - 1)).step_by(257));
        let worst = (0..1 << 10).into_par_iter().map(piece).reduce(Default::default, smooth::Worst::and);
        let (relative, absolute) = a.error(&rounding);
        assert!(worst.count > 16_000_000, "{worst:?}");
        assert!(worst.relative.0 <= relative / rounding.unit(), "{}: {worst:?}", a.name());
        assert!(worst.absolute.0 <= absolute / rounding.underflow(1), "{}: {worst:?}", a.name());
    }
}

/// A NaN goes through every activation, so that an overflow upstream is never hidden.
#[test]
fn nan_is_never_hidden() {
    for a in Activation::ALL {
        assert!(a.value(f32::NAN).is_nan() && a.value(f64::NAN).is_nan(), "{}", a.name());
    }
}

/// Declared slopes that have no end in binary lie outside of the true ones by less than the last bit.
#[test]
fn slopes_without_an_end_are_rounded_up() {
    let last = Real::of(f64::EPSILON);
    // SiLU: x/(1 + e⁻ˣ) has its largest slope 1/2 + t/4 at t tanh(t/2) = 2, by bisection.
    let product = |t: &Real| t * (dahlquist_testkit::oracle::real(Activation::Tanh {}))(&(t * Real::of(0.5)));
    let (mut low, mut high) = (Real::of(2.0), Real::of(3.0));
    for _ in 0..120 {
        let middle = (&low + &high) * Real::of(0.5);
        if product(&middle) < Real::of(2.0) { low = middle } else { high = middle }
    }
    let [m, l] = Activation::Silu {}.slopes();
    let slope = Real::of(0.5) + Real::of(0.25) * &high;
    assert!(Real::of(l) >= slope && Real::of(l) - &slope < last, "{slope}");
    assert_eq!(m, 1.0 - l);
    // Of the others the place is where the slope ends to grow or to fall, and the slope there one from differences on both sides, which
    // differ by h² of it. A place that is off by 10⁻¹⁶ moves it by about 10⁻³³.
    let differences = |a: Activation, t: &Real| {
        let sigma = dahlquist_testkit::oracle::real(a);
        let h = Real::of(2f64.powi(-70));
        (sigma(&(t + &h)) - sigma(&(t - &h))) / (&h + &h)
    };
    for (a, t) in [(Activation::Gelu {}, std::f64::consts::SQRT_2), (Activation::GeluTanh {}, 1.418_504_008_790_821)] {
        let slope = differences(a, &Real::of(t));
        let [m, l] = a.slopes();
        assert!(Real::of(l) >= slope && Real::of(l) - &slope < last, "{slope}");
        assert_eq!(m, 1.0 - l);
    }
    let mish = Activation::Mish {};
    let [m, l] = mish.slopes();
    let slope = differences(mish, &Real::of(1.490_571_179_485_428_5));
    assert!(Real::of(l) >= slope && Real::of(l) - &slope < last, "{slope}");
    let slope = differences(mish, &Real::of(-2.256_376_396_360_793));
    assert!(Real::of(m) <= slope && &slope - Real::of(m) < last, "{slope}");
}

#[test]
fn negative_slopes_are_refused() {
    for slope in [-0.1, -1e-300, f64::NAN, f64::INFINITY, 1e300] {
        assert!(Activation::LeakyRelu { slope }.in_format::<f32>().is_err(), "{slope}");
        assert!(Activation::Elu { alpha: slope }.in_format::<f32>().is_err(), "{slope}");
        assert!(Activation::Hardtanh { min: 1e-310, max: slope }.in_format::<f32>().is_err(), "{slope}");
    }
    assert_eq!(Activation::LeakyRelu { slope: 2.0 }.slopes(), [1.0, 2.0]);
}
