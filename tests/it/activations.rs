//! The slopes of the activations, and the error of their implementation against 300 bits.

use dahlquist::{
    activation::Activation,
    laws::{Verdict, search, strategies as s},
    rigor::Rounding,
    scalar::Scalar,
};
use dahlquist_testkit::oracle::{Num, Real};
use proptest::{prelude::*, test_runner::TestCaseError};

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
    for a in Activation::ALL {
        let [m, l] = a.slopes();
        let slopes: Vec<f64> =
            (-4000..4000).map(|k| f64::from(k) * 0.01).map(|x| (a.value(x + 0.01) - a.value(x)) / 0.01).collect();
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

/// The stated multiple of `u` is not reached by a factor of 3, on many points of the format `f32`.
#[test]
fn smooth_functions_leave_a_margin() {
    for a in [Activation::Tanh {}, Activation::Sigmoid {}, Activation::Softplus {}] {
        let sigma = dahlquist_testkit::oracle::real(a);
        let mut worst = 0.0f64;
        for k in -4000..4000 {
            let x = k as f32 * 0.0123 + 1e-4;
            let exact = sigma(&Real::of(x.into()));
            let off = absolute(Real::of(a.value(x).into()) - &exact) / absolute(exact);
            worst = worst.max(off.to_f64().value() / f32::UNIT_ROUNDOFF);
        }
        println!("{}: {worst:.2} u", a.name());
        assert!(worst < 16.0 / 3.0, "{}: {worst} u", a.name());
    }
}

/// A NaN goes through every activation, so that an overflow upstream is never hidden.
#[test]
fn nan_is_never_hidden() {
    for a in Activation::ALL {
        assert!(a.value(f32::NAN).is_nan() && a.value(f64::NAN).is_nan(), "{}", a.name());
    }
}

#[test]
fn negative_slopes_are_refused() {
    for slope in [-0.1, -1e-300, f64::NAN, f64::INFINITY, 1e300] {
        assert!(Activation::LeakyRelu { slope }.in_format::<f32>().is_err(), "{slope}");
    }
    assert_eq!(Activation::LeakyRelu { slope: 2.0 }.slopes(), [1.0, 2.0]);
}
