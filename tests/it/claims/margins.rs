//! Margins: what they are charged with, and what sealing a network with many outputs costs.

use dahlquist::{
    Network, Semantics,
    activation::Activation,
    certificate::ClaimedSamples,
    certify::{Refusal, SealOptions, Summation},
    field::GradientField,
    integrate::Tableau,
    io::Digest,
    layer::{AffineLayer, Flow, Layer, Step},
    operator::{Affine, Conv2d, Dense, Geometry},
    rigor::{
        Rounding,
        directed::{distance_up, sub_down},
        torus::PaddingMode,
    },
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape, argmax},
};
use num_rational::BigRational;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn head<T: Scalar>(rows: usize, weight: Vec<T>, bias: Option<Vec<T>>) -> AffineLayer<T> {
    let columns = weight.len() / rows;
    AffineLayer::new(Affine::new(Dense::new(rows, columns, weight).unwrap(), bias).unwrap())
}

fn numbers<T: Scalar>(rng: &mut ChaCha8Rng, n: usize) -> Vec<T> {
    (0..n).map(|_| T::of(rng.random_range(-1.0..1.0))).collect()
}

/// A margin between two small rows is not charged with what a large third one rounds.
#[test]
fn only_the_two_logits_compared_are_charged() {
    let large = 1e4f32;
    let radius = |third: f32, class: usize| {
        let weight = vec![1.0, 0.5, 0.25, 0.125, third, third];
        let network = Network::new(Shape::Features(2), vec![Box::new(head(3, weight, Some(vec![0.0, 0.0, -3e9])))]);
        let sealed = network.unwrap().seal().unwrap();
        let claim = sealed.certify(&Batch::new(Shape::Features(2), vec![1.0f32, 1.0]).unwrap(), Semantics::Executed);
        let claim = claim.unwrap()[0];
        assert_eq!(claim.prediction, Some(class));
        claim.radius.get()
    };
    // The third logit is far below in either case: that its rounding exceeds the margin is of no concern to the others.
    assert!(radius(0.0, 0) > 1.0 && radius(large, 0) > 1.0);
}

/// Each coordinate is charged enough, by its own row, for a point anywhere in a ball: against `f64`, which rounds 2²⁹ times
/// less.
fn coordinates_are_charged<T: Scalar>(summation: Summation) {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for round in 0..200 {
        let (m, n) = (rng.random_range(1..6), rng.random_range(1..200));
        let spread = |rng: &mut ChaCha8Rng, x: Vec<T>| -> Vec<T> {
            x.into_iter().map(|x| T::of(x.wide() * 2f64.powi(rng.random_range(-20..20)))).collect()
        };
        let w = numbers(&mut rng, m * n);
        let w = spread(&mut rng, w);
        let bias = numbers(&mut rng, m);
        let mut layer = head(m, w, Some(spread(&mut rng, bias)).filter(|_| round % 2 == 0));
        layer.set_summation(summation);
        let x: Vec<T> = numbers(&mut rng, n);
        let y: Vec<T> = x.iter().map(|x| T::of(x.wide() + rng.random_range(-0.1..0.1))).collect();
        let reach = distance_up(&x, &y);
        let (x, y) = (Batch::new(layer.input(), x).unwrap(), Batch::new(layer.input(), y).unwrap());
        let (wide, proof) = (layer.widen(), dahlquist_testkit::models::proof(&layer).unwrap());
        let errors = |x: &Batch<T>, reach: f64| {
            let mut tape = Tape::recording();
            wide.forward(x.cast(), &mut tape);
            let rounding = |r: &Rounding| layer.rounding_by_coordinate(&proof, r, &tape, &[reach]).unwrap()[0].clone();
            (rounding(&Rounding::of::<T>()), layer.rounding(&proof, &Rounding::of::<T>(), &tape, &[reach]).unwrap()[0])
        };
        let (each, norm) = errors(&x, reach);
        let mut tape = Tape::recording();
        let meant = wide.forward(y.cast(), &mut tape);
        let own = wide.rounding_by_coordinate(&proof, &Rounding::of::<f64>(), &tape, &[0.0]).unwrap()[0].clone();
        let found = layer.forward(y, &mut Tape::idle());
        for i in 0..m {
            let (found, meant) = (found.data()[i].wide(), meant.data()[i]);
            let off = sub_down(sub_down(found, meant).max(sub_down(meant, found)), own[i]);
            assert!(off <= each[i], "round {round}, coordinate {i} of {m}: {off:e} > {:e}", each[i]);
            assert!(each[i] <= norm * 1.01, "a coordinate is charged with more than all of them");
        }
    }
}

#[test]
fn coordinates_are_charged_in_f32() {
    coordinates_are_charged::<f32>(Summation::Any);
    coordinates_are_charged::<f32>(Summation::Declared);
}

#[test]
fn coordinates_are_charged_in_f64() {
    coordinates_are_charged::<f64>(Summation::Any);
}

/// A network from images to images, as large ones: sealed, run and certified in memory that grows with an image.
#[test]
fn a_denoiser_seals() {
    let shape = Shape::image(3, 128, 128);
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mode = PaddingMode::Zeros;
    let geometry = |input, outputs| Geometry { input, outputs, kernel: (3, 3), stride: 1, padding: 1, mode };
    let w = Conv2d::new(geometry(shape, 3), numbers::<f32>(&mut rng, 81)).unwrap();
    let field = GradientField::new(Affine::new(w, None).unwrap(), Activation::Relu {}).unwrap();
    let flow = Flow::new(field, Tableau::euler(), Step::Relative(0.5), 1).unwrap();
    let last = Conv2d::new(geometry(shape, 3), numbers::<f32>(&mut rng, 81)).unwrap();
    let last = AffineLayer::new(Affine::new(last, Some(vec![0.1, 0.2, 0.3])).unwrap());
    let flow: Box<dyn Layer<f32>> = Box::new(flow);
    let denoisers = [vec![flow], vec![Box::new(last) as Box<dyn Layer<f32>>]];
    for layers in denoisers {
        let sealed = Network::new(shape, layers).unwrap().seal().unwrap();
        assert!(sealed.certificate().bound().get() > 0.0);
        // The brightest number of the output, and by how much it may move: two samples with different ones.
        let mut x = Batch::zeros(shape, 2);
        (x.data_mut()[77], x.data_mut()[shape.len() + 4711]) = (1e3, 1e3);
        let claims = sealed.certify(&x, Semantics::Executed).unwrap();
        let y = sealed.forward(&x).unwrap();
        for (s, claim) in claims.iter().enumerate() {
            assert_eq!(claim.prediction, Some(argmax(y.sample(s))));
            assert_eq!(claim.radius.get() > 0.0, claim.refusal.is_none());
        }
        assert!(sealed.gaps(&x).unwrap().iter().all(|gaps| gaps.prediction < shape.len()));
    }
}

/// A logit that is NaN is of no class, and a class that rounding alone leads to is none that is proved: neither is counted as right.
#[test]
fn what_has_no_class_is_not_counted_as_right() {
    type Found = (Option<usize>, Option<Refusal>, Option<f64>);
    fn claims<T: Scalar>(network: Network<T>, x: &[f64], semantics: Semantics) -> Found {
        let x = Batch::new(network.input(), x.to_vec()).unwrap();
        let claims = network.seal().unwrap().certify(&x, semantics).unwrap();
        let claimed = ClaimedSamples::new(Digest::of(b""), (semantics, false), &claims, &[0], &[]).unwrap();
        (claims[0].prediction, claims[0].refusal, claimed.clean_accuracy)
    }
    // Two infinities of f32, and their differences, which are NaN.
    let dense = |o, w: &[f32]| Box::new(head(o, w.to_vec(), None)) as Box<dyn Layer<f32>>;
    let layers = vec![dense(2, &[3e38, 3e38]), dense(2, &[1.0, -1.0, -1.0, 1.0])];
    let huge = Network::new(Shape::Features(1), layers).unwrap();
    assert_eq!(claims(huge, &[10.0], Semantics::Executed), (None, Some(Refusal::Overflow), Some(0.0)));
    // The logits 1/2 and 1 of x = (1, 1, 1): class 1, but 1 + 1e16 - 1e16 comes out as 0.
    let lost = || {
        let w = [0.0, 0.0, 0.0, 1.0, 1e16, -1e16];
        Network::new(Shape::Features(3), vec![Box::new(head(2, w.to_vec(), Some(vec![0.5, 0.0]))) as _]).unwrap()
    };
    let x = [1.0; 3];
    assert_eq!(claims(lost(), &x, Semantics::Exact), (None, Some(Refusal::Tie), Some(0.0)));
    let executed = lost().forward(&Batch::new(Shape::Features(3), x.to_vec()).unwrap()).unwrap();
    let class = argmax(executed.data());
    let right = if class == 0 { 1.0 } else { 0.0 };
    assert_eq!(claims(lost(), &x, Semantics::Executed), (Some(class), Some(Refusal::Tie), Some(right)));
}

/// A head with many classes: distances are those of the predicted class, as wide as they are, and sealing computes none.
#[test]
fn a_head_of_a_thousand_classes_seals() {
    let (classes, features) = (1000, 2048);
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let w = numbers::<f32>(&mut rng, classes * features);
    let mut x = numbers::<f32>(&mut rng, features);
    // Class 321 leads.
    x.iter_mut().zip(&w[321 * features..]).for_each(|(x, w)| *x = *w);
    let sealed = Network::new(Shape::Features(features), vec![Box::new(head(classes, w.clone(), None))]).unwrap();
    let sealed = sealed.seal_with(SealOptions { summation: Summation::Declared, ..Default::default() }).unwrap();
    let x = Batch::new(Shape::Features(features), x).unwrap();
    let claim = sealed.certify(&x, Semantics::Exact).unwrap()[0];
    let gaps = sealed.gaps(&x).unwrap()[0].gaps.clone().unwrap();
    let row = |i: usize| &w[i * features..][..features];
    let least = (0..classes).filter(|&j| j != 321).map(|j| gaps[j] / distance_up(row(321), row(j)));
    let least = least.fold(f64::INFINITY, f64::min);
    assert_eq!(claim.prediction, Some(321));
    assert!((claim.radius.get() / least - 1.0).abs() < 1e-12, "{claim:?}, {least}");
    assert!(sealed.certify(&x, Semantics::Executed).unwrap()[0].radius.get() > 0.99 * claim.radius.get());
}

/// Distances are never below the exact ones, whatever the exponents, and exact where nothing is rounded.
#[test]
fn distances_are_not_below_the_exact_ones() {
    let rational = |x: f64| BigRational::from_float(x).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    for round in 0..3000 {
        let n = rng.random_range(1..40);
        let spread = [0, 2, 60, 500][round % 4];
        let mut draw = || -> Vec<f64> {
            (0..n).map(|_| rng.random_range(-1.0..1.0) * 2f64.powi(rng.random_range(-spread..=spread))).collect()
        };
        let (x, y) = (draw(), draw());
        let squares = x.iter().zip(&y).fold(BigRational::from_integer(0.into()), |sum, (&x, &y)| {
            let d = rational(x) - rational(y);
            sum + &d * &d
        });
        let found = rational(distance_up(&x, &y));
        assert!(squares <= &found * &found, "{x:?} and {y:?}");
        let slack = rational(1.0 + 1e-13);
        assert!(&found * &found <= squares * slack, "{x:?} and {y:?}");
    }
    assert_eq!(distance_up(&[f64::MAX], &[f64::MIN]), f64::INFINITY);
    assert_eq!(distance_up(&[f64::NAN], &[0.0f32]), f64::INFINITY);
    assert_eq!(distance_up(&[1.5f32], &[1.5f64]), 0.0);
}
