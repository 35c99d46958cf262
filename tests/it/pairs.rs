//! Groups that hold the head: the bound of the network and the constants of pairs of logits hold exactly, are better than
//! what the features give, are written and checked, and are found for stacks of any depth.

use dahlquist::{
    Network, Sealed, Semantics,
    activation::Activation,
    certificate::{Certificate, NormProof, Rule, file::CertificateFile},
    certify::SealOptions,
    check::check,
    layer::{ActivationLayer, AffineLayer, Layer, Normalize},
    model::Model,
    network::AnyNetwork,
    operator::{Affine, Dense},
    rigor::Summation,
    tensor::{Batch, Shape},
};
use num_rational::BigRational;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// Multiples of 1/16 up to 1: sums of their products with short numbers are exact in `f64`.
fn short(rng: &mut ChaCha8Rng, n: usize) -> Vec<f64> {
    (0..n).map(|_| f64::from(rng.random_range(-16i32..=16)) / 16.0).collect()
}

fn gaussian(rng: &mut ChaCha8Rng, n: usize, scale: f64) -> Vec<f64> {
    (0..n).map(|_| scale * rng.sample::<f64, _>(StandardNormal)).collect()
}

/// A stack of dense layers with a function between them.
fn stack(sizes: &[usize], function: Activation, mut weights: impl FnMut(usize, usize) -> Vec<f64>) -> Network<f64> {
    let mut layers: Vec<Box<dyn Layer<f64>>> = Vec::new();
    for (i, pair) in sizes.windows(2).enumerate() {
        if i > 0 {
            layers.push(Box::new(ActivationLayer::new::<f64>(function, Shape::Features(pair[0])).unwrap()));
        }
        let dense = Dense::new(pair[1], pair[0], weights(pair[1], pair[0])).unwrap();
        layers.push(Box::new(AffineLayer::new(Affine::new(dense, None).unwrap())));
    }
    Network::new(Shape::Features(sizes[0]), layers).unwrap()
}

fn exact(x: f64) -> BigRational {
    BigRational::from_float(x).unwrap()
}

/// The product of the bounds of all layers.
fn product(certificate: &Certificate) -> f64 {
    certificate.layers().map(|layer| layer.bound().get()).product()
}

/// A constant of pairs is claimed for every pair, and no pair of short inputs refutes it.
fn pairs_hold(sealed: &Sealed<f64>, rng: &mut ChaCha8Rng, rounds: usize) {
    let (input, classes) = (sealed.network().input(), sealed.network().output().len());
    let n = input.len();
    for _ in 0..rounds {
        let (x, move_by) = (short(rng, n), short(rng, n));
        let scale = [1.0, 1.0 / 16.0, 1.0 / 256.0][rng.random_range(0..3)];
        let y: Vec<f64> = x.iter().zip(move_by).map(|(x, y)| x + scale * y).collect();
        let apart: BigRational = x.iter().zip(&y).map(|(&a, &b)| exact(a) - exact(b)).map(|d| &d * &d).sum();
        let logits = sealed.forward(&Batch::new(input, [x, y].concat()).unwrap()).unwrap();
        let moved = |i: usize| exact(logits.sample(0)[i]) - exact(logits.sample(1)[i]);
        let squared = |x: BigRational| &x * &x;
        for i in 0..classes {
            for j in 0..i {
                let bound = sealed.pair_bound(i, j).unwrap();
                let change = squared(moved(i) - moved(j));
                assert!(change <= squared(exact(bound.get())) * &apart, "classes {i} and {j}");
            }
        }
        let whole: BigRational = (0..classes).map(|i| squared(moved(i))).sum();
        assert!(whole <= squared(exact(sealed.certificate().bound().get())) * &apart);
    }
}

#[test]
fn the_head_is_in_the_group_and_its_pairs_hold_exactly() {
    let rng = &mut ChaCha8Rng::seed_from_u64(3);
    for (function, sizes) in [
        (Activation::Relu {}, &[6, 14, 12, 4][..]),
        (Activation::Abs {}, &[5, 10, 8, 3]),
        (Activation::LeakyRelu { slope: 0.25 }, &[6, 9, 4]),
        (Activation::Relu {}, &[20, 9, 3]),
    ] {
        let sealed = stack(sizes, function, |o, i| short(rng, o * i)).seal().unwrap();
        let (before, features) = (sealed.certificate().bound().get(), sealed.features());
        let x = Batch::new(sealed.network().input(), short(rng, 30 * sizes[0])).unwrap();
        let loose = sealed.certify(&x, Semantics::Executed).unwrap();
        let sealed = sealed.tighten(64).unwrap();
        let run = sealed.certificate().premises().last().unwrap();
        assert_eq!(
            (run.rule(), run.span()),
            (Rule::QuadraticConstraint, 2 * sizes.len() - 3),
            "{function:?} {sizes:?}"
        );
        let after = sealed.certificate().bound().get();
        let least = if sizes.len() > 3 { 0.9 } else { 0.99 };
        assert!(after < least * before, "{function:?} {sizes:?}: {after} is not below {before}");
        // The features keep what is proved of them alone.
        assert!(sealed.features() <= features);
        pairs_hold(&sealed, rng, 60);
        // Radii use the constants: none is smaller, and they grow together by more than a tenth.
        let tight = sealed.certify(&x, Semantics::Executed).unwrap();
        let sum = |claims: &[dahlquist::certify::SampleCertificate]| claims.iter().map(|c| c.radius.get()).sum::<f64>();
        assert!(loose.iter().zip(&tight).all(|(a, b)| b.radius >= a.radius));
        assert!(sum(&tight) > (2.0 - least) * sum(&loose), "{function:?} {sizes:?}: {} {}", sum(&tight), sum(&loose));
    }
}

#[test]
fn a_group_with_the_head_is_written_and_checked() {
    let rng = &mut ChaCha8Rng::seed_from_u64(4);
    let net = stack(&[6, 12, 12, 10, 4], Activation::Relu {}, |o, i| short(rng, o * i));
    let model = Model::new(net.input(), net.describe(), "f64").unwrap();
    let sealed = net.seal().unwrap().tighten(64).unwrap();
    let runs = sealed.certificate().runs();
    let spans: Vec<usize> = runs.iter().map(|run| run.span()).collect();
    assert_eq!(spans, [7, 6], "the features have no group of their own");
    assert_eq!(sealed.certificate().layers().count(), 7);
    let file = CertificateFile::new(sealed.certificate(), &model, NormProof::Torus, Summation::Any);
    let claimed = CertificateFile::parse(&file.bytes().unwrap()).unwrap();
    let verified = check(&claimed, &model).verified.expect("it is true");
    let AnyNetwork::F64(net) = model.network().unwrap() else { panic!("it was f64") };
    let by = net.seal_by(&verified, SealOptions::default()).unwrap();
    let x = Batch::new(by.network().input(), short(rng, 40 * 6)).unwrap();
    assert_eq!(by.certify(&x, Semantics::Exact).unwrap(), sealed.certify(&x, Semantics::Exact).unwrap());
    for (i, j) in [(0, 1), (2, 3)] {
        assert_eq!(by.pair_bound(i, j), sealed.pair_bound(i, j));
    }
    // Less than what the multipliers prove is refused, inside and outside.
    for (place, factor) in [("bound", 0.99), ("bound", 0.5)] {
        let text = String::from_utf8(file.bytes().unwrap()).unwrap();
        let bound = runs[0].bound().get();
        let (old, new) = (format!("\"{place}\": {bound:?}"), format!("\"{place}\": {:?}", factor * bound));
        assert!(text.contains(&old));
        let forged = CertificateFile::parse(text.replace(&old, &new).as_bytes()).unwrap();
        assert!(check(&forged, &model).verified.is_none());
    }
}

/// With slopes in [1023/1024, 1] a network is nearly linear, and so the constant of a pair is nearly attained, along the
/// image of the difference of two rows of the head under the transposed matrices.
#[test]
fn the_constant_of_a_pair_is_nearly_attained() {
    let rng = &mut ChaCha8Rng::seed_from_u64(6);
    let (inputs, hidden, classes) = (5, 6, 4);
    let (first, head) = (short(rng, hidden * inputs), short(rng, classes * hidden));
    let map = |o, i, w: &[f64]| -> Box<dyn Layer<f64>> {
        Box::new(AffineLayer::new(Affine::new(Dense::new(o, i, w.to_vec()).unwrap(), None).unwrap()))
    };
    let function = Activation::LeakyRelu { slope: 1023.0 / 1024.0 };
    // Something before the group, which doubles every difference.
    let layers: Vec<Box<dyn Layer<f64>>> = vec![
        Box::new(Normalize::new(Shape::Features(inputs), vec![0.0; inputs], vec![0.5; inputs]).unwrap()),
        map(hidden, inputs, &first),
        Box::new(ActivationLayer::new::<f64>(function, Shape::Features(hidden)).unwrap()),
        map(classes, hidden, &head),
    ];
    let sealed = Network::new(Shape::Features(inputs), layers).unwrap().seal().unwrap().tighten(64).unwrap();
    for i in 0..classes {
        for j in 0..i {
            let bound = sealed.pair_bound(i, j).unwrap().get();
            let u: Vec<f64> = (0..hidden).map(|k| head[i * hidden + k] - head[j * hidden + k]).collect();
            let along: Vec<f64> =
                (0..inputs).map(|c| (0..hidden).map(|k| u[k] * first[k * inputs + c]).sum()).collect();
            let largest = along.iter().fold(0.0f64, |a, x| a.max(x.abs()));
            let x: Vec<f64> = along.iter().map(|x| (x / largest * 512.0).round() / 16.0).collect();
            let apart: BigRational = x.iter().map(|&x| exact(x)).map(|x| &x * &x).sum();
            let logits = sealed.forward(&Batch::new(Shape::Features(inputs), x).unwrap()).unwrap();
            let moved = exact(logits.data()[i]) - exact(logits.data()[j]);
            let (moved, square) = (&moved * &moved, |x: f64| exact(x) * exact(x));
            assert!(moved <= square(bound) * &apart, "classes {i} and {j}: further than {bound}");
            assert!(moved > square(0.99 * bound) * &apart, "classes {i} and {j}: far from {bound}");
        }
    }
}

/// Where the whole is too much, multipliers are found layer by layer.
#[test]
fn deep_stacks_gain() {
    let rng = &mut ChaCha8Rng::seed_from_u64(5);
    let sizes: Vec<usize> = std::iter::repeat_n(16, 21).chain([5]).collect();
    let weights = |o: usize, i: usize| gaussian(rng, o * i, 1.0 / (i as f64).sqrt());
    let sealed = stack(&sizes, Activation::Relu {}, weights).seal().unwrap();
    let before = product(sealed.certificate());
    let sealed = sealed.tighten(100_000).unwrap();
    let after = sealed.certificate().bound().get();
    println!("20 layers of 16: {before:.4e} became {after:.4e}");
    assert!(100.0 * after < before, "{before} became {after}");
}
