//! The claims, rule by rule, against exact arithmetic: no tolerance anywhere.
//!
//! Flows run in the oracle's exact numbers with the exact coefficients of the method, and `‖Δ⁺‖² ≤ L²‖Δ‖²` is decided
//! exactly for the `L` that the crate claims. Smooth activations run in 300 bits, where a relative error of 2⁻²⁰⁰ is
//! allowed: it hides no violation that exceeds that.
mod fields;
mod flows;
mod implicit;
mod layers;
mod networks;

use dahlquist::{
    certificate::Rule,
    laws::{Verdict, search, strategies as s},
    layer::Layer,
    scalar::Scalar,
    tape::Tape,
    tensor::Batch,
};
use dahlquist_testkit::oracle::{Exact, Num, dot, square};
use proptest::{prelude::Strategy, test_runner::TestCaseError};
use rand::{Rng, RngExt, SeedableRng};
use rand_distr::StandardNormal;

/// Each rule has the property test of its name in this folder, so a new rule needs a new test.
#[test]
fn every_rule_has_its_test() {
    let source = [
        include_str!("fields.rs"),
        include_str!("flows.rs"),
        include_str!("implicit.rs"),
        include_str!("layers.rs"),
        include_str!("networks.rs"),
    ]
    .concat();
    for rule in Rule::ALL {
        let test = format!("#[test]\nfn {}() {{", rule.name());
        assert!(source.contains(&test), "the rule {rule} has no property test");
    }
}

/// As `laws::hold`, with more cases.
fn hold<S: Strategy>(subjects: S, law: impl Fn(&S::Value, u64) -> Verdict) {
    if let Err(counterexample) = search(200, subjects, law) {
        panic!("{counterexample}");
    }
}

fn generator(seed: u64) -> rand_chacha::ChaCha8Rng {
    rand_chacha::ChaCha8Rng::seed_from_u64(seed)
}

fn normal<T: Scalar>(n: usize, scale: f64, rng: &mut impl Rng) -> Vec<T> {
    (0..n).map(|_| T::of(scale * rng.sample::<f64, _>(StandardNormal))).collect()
}

/// Pairs of points: at random, and apart along the direction in which the layer stretches most.
fn pairs<T: Scalar>(layer: &dyn Layer<T>, count: usize, rng: &mut impl Rng) -> Vec<[Vec<T>; 2]> {
    let wide = layer.widen();
    let n = layer.input().len();
    let pair = |k: usize| {
        let x: Vec<T> = normal(n, [1.0, 8.0, 0.1][k % 3], rng);
        let mut v: Vec<f64> = normal(n, 1.0, rng);
        if k.is_multiple_of(2) {
            let mut tape = Tape::recording();
            wide.forward(Batch::new(layer.input(), row64(&x)).unwrap(), &mut tape);
            for _ in 0..30 {
                let along = Batch::new(layer.input(), v.clone()).unwrap();
                let image = wide.vjp(&tape, wide.jvp(&tape, along), None).data().to_vec();
                let size = image.iter().fold(0.0f64, |a, x| a.max(x.abs()));
                if !(size > 1e-200 && image.iter().all(|x| x.is_finite())) {
                    break;
                }
                v = image.iter().map(|x| x / size).collect();
            }
        }
        let length = 2f64.powi([0, -6, 3, -20][k % 4]);
        let other = x.iter().zip(&v).map(|(x, v)| T::of(x.wide() + length * v)).collect();
        [x, other]
    };
    (0..count).map(pair).collect()
}

fn row64<T: Scalar>(x: &[T]) -> Vec<f64> {
    x.iter().map(|x| x.wide()).collect()
}

fn fail(what: impl Into<String>) -> Verdict {
    Err(TestCaseError::fail(what.into()))
}

/// `‖Δy‖² ≤ (1 + slack) L²‖Δx‖²`.
fn within<N: Num>(what: &str, l: f64, slack: f64, dx: &[N], dy: &[N]) -> Verdict {
    if !l.is_finite() {
        return Ok(());
    }
    let most = N::of(l).times(&N::of(l)).times(&square(dx)).times(&N::of(1.0).plus(&N::of(slack)));
    if square(dy).at_most(&most) { Ok(()) } else { fail(format!("{what} is not {l}-Lipschitz")) }
}

/// The oracle itself, against rationals.
#[test]
fn the_oracle_is_exact() {
    use num_rational::BigRational;
    let numbers =
        (s::wide::<f64>(), s::wide::<f64>(), -20..20i64, proptest::sample::select(vec![1i64, 2, 3, 9, 12, 20, 36]));
    let found = search(200, numbers, |&(a, b, p, q), _| {
        let rational = |x: f64| BigRational::from_float(x).unwrap();
        let third = || BigRational::new(p.into(), q.into());
        let left =
            Exact::of(a).times(&Exact::of(b)).plus(&Exact::ratio(p, q).times(&Exact::of(b))).minus(&Exact::of(a));
        let right = rational(a) * rational(b) + third() * rational(b) - rational(a);
        let signs = [left.positive(), Exact::of(0.0).minus(&left).positive()];
        let zero = BigRational::from_integer(0.into());
        if signs == [right > zero, right < zero] { Ok(()) } else { fail("the oracle is wrong") }
    });
    assert!(found.is_ok(), "{found:?}");
    assert!(!dot(&[Exact::ratio(1, 3)], &[Exact::of(3.0)]).minus(&Exact::of(1.0)).positive());
}
