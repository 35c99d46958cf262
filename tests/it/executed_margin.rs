//! Rounding errors of a margin are charged for both of its logits, at the sample and around it. Here every one of these
//! four errors is as large as it can be, so that a claim which leaves out one of them is false.
//!
//! The logits are `b + x` and `b − x` for a large `b`, so that both are rounded to multiples of 8. At `x = 4 + δ` one is
//! rounded up and the other down, and the computed margin is 16 where the exact one is 8 + 2δ; at `x' = 4 − δ` it is the
//! other way, and two logits that differ by 8 − 2δ are computed to be equal.

use dahlquist::{
    Network, Semantics,
    activation::Activation,
    certify::SealOptions,
    layer::{ActivationLayer, AffineLayer, Layer},
    operator::{Affine, Dense},
    rigor::Summation,
    scalar::Scalar,
    tensor::{Batch, Shape},
};

const DELTA: f64 = 1.0 / 64.0;

/// Class 1 has the logit `b + x`, and class 0, which wins a tie, `b − x`: computed by the head, or by the features.
fn network<T: Scalar>(b: f64, in_features: bool) -> Network<T> {
    let map = |weight: [f64; 2], bias: f64| {
        let dense = Dense::new(2, 1, weight.map(T::of).to_vec()).unwrap();
        Box::new(AffineLayer::new(Affine::new(dense, Some(vec![T::of(bias); 2])).unwrap()))
    };
    let mut layers: Vec<Box<dyn Layer<T>>> = vec![map([-1.0, 1.0], b)];
    if in_features {
        layers.push(Box::new(ActivationLayer::new::<T>(Activation::Relu {}, Shape::Features(2)).unwrap()));
        let identity = [1.0, 0.0, 0.0, 1.0].map(T::of).to_vec();
        layers.push(Box::new(AffineLayer::new(Affine::new(Dense::new(2, 2, identity).unwrap(), None).unwrap())));
    }
    Network::new(Shape::Features(1), layers).unwrap()
}

fn both_errors_are_charged<T: Scalar>(b: f64) {
    for (in_features, summation) in
        [false, true].into_iter().flat_map(|f| [(f, Summation::Any), (f, Summation::Declared)])
    {
        let options = SealOptions { summation, ..Default::default() };
        let sealed = network::<T>(b, in_features).seal_with(options).unwrap();
        let at = |x: f64| Batch::new(Shape::Features(1), vec![T::of(x)]).unwrap();
        let computed = |x: f64| {
            let logits = sealed.network().forward(&at(x)).unwrap();
            [0, 1].map(|i| logits.data()[i].wide() - b)
        };
        let (x, near) = (4.0 + DELTA, 4.0 - DELTA);
        // The rounding is as said above, and so the program's class changes from 1 to 0 within 2δ.
        assert_eq!((computed(x), computed(near)), ([-8.0, 8.0], [0.0, 0.0]));
        let claim = sealed.certify(&at(x), Semantics::Executed).unwrap()[0];
        assert!(!claim.holds_at(x - near), "{}: executed radius {}", T::NAME, claim.radius);
        // The exact logits are equal at x = 0.
        let claim = sealed.certify(&at(x), Semantics::Exact).unwrap()[0];
        assert!(!claim.holds_at(x), "{}: exact radius {}", T::NAME, claim.radius);
        // Far from the boundary there is something left.
        let claim = sealed.certify(&at(1000.0), Semantics::Executed).unwrap()[0];
        assert!(claim.prediction == Some(1) && claim.holds_at(950.0), "{}: {}", T::NAME, claim.radius);
    }
}

#[test]
fn in_f32() {
    both_errors_are_charged::<f32>(2f64.powi(26) + 2f64.powi(20));
}

#[test]
fn in_f64() {
    both_errors_are_charged::<f64>(2f64.powi(55) + 2f64.powi(20));
}

/// Sums in which every addition loses all that it can, one logit's downwards and the other's upwards, in an order that a claim
/// for any order covers. Half of the charge is then less than what is lost.
fn no_half_of_the_charge_is_enough<T: Scalar>() {
    // Above this number, numbers of the format are 2 apart.
    let (large, terms) = (1.0 / T::UNIT_ROUNDOFF, 32);
    // The last feature is 0, and makes the ball small: rounding around the sample is hardly more than at it.
    let row = |first: f64, each: f64, last: f64| -> Vec<T> {
        [vec![first], vec![each; terms], vec![last]].concat().into_iter().map(T::of).collect()
    };
    let rows = [row(large, 1.01, large), row(large + 48.0, 0.99, -large)];
    let x: Vec<T> = (0..terms + 2).map(|i| if i <= terms { T::one() } else { T::zero() }).collect();
    let in_order = |row: &Vec<T>| row.iter().zip(&x).fold(T::zero(), |sum, (&w, &x)| sum + w * x).wide() - large;
    assert_eq!((in_order(&rows[0]), in_order(&rows[1])), (64.0, 48.0));
    let exactly = |row: &Vec<T>| row[1..=terms].iter().map(|w| w.wide()).sum::<f64>();
    assert!(48.0 + exactly(&rows[1]) > exactly(&rows[0]) + 47.0);
    let input = Shape::Features(terms + 2);
    let head = Affine::new(Dense::new(2, terms + 2, rows.concat()).unwrap(), None).unwrap();
    let network = Network::new(input, vec![Box::new(AffineLayer::new(head))]).unwrap();
    let sealed = network.seal_with(SealOptions { summation: Summation::Any, ..Default::default() }).unwrap();
    let claim = sealed.certify(&Batch::new(input, x).unwrap(), Semantics::Executed).unwrap()[0];
    assert!(claim.refusal.is_some(), "{}: {claim:?}, and summed in order it is class 0", T::NAME);
}

#[test]
fn both_logits_are_charged() {
    no_half_of_the_charge_is_enough::<f32>();
    no_half_of_the_charge_is_enough::<f64>();
}
