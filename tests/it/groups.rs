//! Layers that are certified as one map: the bound holds exactly, is better than the product where it can be, and does
//! not depend on how weights are shifted between layers.

use dahlquist::{
    Network, Sealed,
    activation::Activation,
    certificate::{Certificate, Rule},
    layer::{ActivationLayer, AffineLayer, Layer, Normalize, Reshape},
    operator::{Affine, Conv2d, Dense, Geometry, MeanPool},
    rigor::{Upper, torus::PaddingMode},
    tensor::{Batch, Shape},
};
use num_rational::BigRational;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

type Layers = Vec<Box<dyn Layer<f64>>>;

fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(11)
}

/// Multiples of 1/16 up to 1: sums of their products with short numbers are exact in `f64`.
fn short(rng: &mut ChaCha8Rng, n: usize) -> Vec<f64> {
    (0..n).map(|_| f64::from(rng.random_range(-16i32..=16)) / 16.0).collect()
}

fn dense(outputs: usize, inputs: usize, weight: Vec<f64>) -> Box<dyn Layer<f64>> {
    let w = Dense::new(outputs, inputs, weight).expect("a matrix");
    Box::new(AffineLayer::new(Affine::new(w, None).expect("a map")))
}

fn conv(input: Shape, outputs: usize, mode: PaddingMode, stride: usize, weight: Vec<f64>) -> Box<dyn Layer<f64>> {
    let geometry = Geometry { input, outputs, kernel: (3, 3), stride, padding: 1, mode };
    let conv = Conv2d::new(geometry, weight).expect("a convolution");
    Box::new(AffineLayer::new(Affine::new(conv, None).expect("a map")))
}

fn pool(pool: MeanPool) -> Box<dyn Layer<f64>> {
    Box::new(AffineLayer::new(Affine::new(pool, None).expect("a map")))
}

fn relu(n: usize) -> Box<dyn Layer<f64>> {
    Box::new(ActivationLayer::new::<f64>(Activation::Relu {}, Shape::Features(n)).expect("an activation"))
}

/// The network with a head behind the layers.
fn seal(input: Shape, mut layers: Layers) -> Sealed<f64> {
    let output = layers.last().map_or(input, |layer| layer.output());
    let flat = Reshape::flatten(output);
    layers.push(Box::new(flat));
    layers.push(dense(2, output.len(), vec![1.0; 2 * output.len()]));
    Network::new(input, layers).expect("a network").seal().expect("a proof")
}

fn product(certificate: &Certificate) -> f64 {
    let features = certificate.layers().count() - 1;
    certificate.layers().take(features).map(Certificate::bound).product::<Upper>().get()
}

/// The runs of layers that are proved as one: the place of each, how many layers it is, and its rule.
fn runs(certificate: &Certificate) -> Vec<(String, usize, Rule)> {
    let runs = certificate.premises().iter().filter(|part| part.span() > 1);
    runs.map(|part| (part.path().into(), part.span(), part.rule())).collect()
}

fn squared(x: &[f64]) -> BigRational {
    x.iter().map(|&x| BigRational::from_float(x).expect("finite")).map(|x| &x * &x).sum()
}

/// The largest ratio `‖Wx‖/‖x‖` over short `x`, found by the power method, as a square; every evaluation is exact.
///
/// `unit` are the steps in which each number of the input is counted.
fn attained(sealed: &Sealed<f64>, unit: impl Fn(usize) -> f64, bound: f64) -> f64 {
    let input = sealed.network().input();
    let mut layers = sealed.network().layers().len() - 1;
    let squared_bound = BigRational::from_float(bound).map(|b| &b * &b).expect("finite");
    let apply = |x: Vec<f64>, layers: usize| {
        let x = Batch::new(input, x).expect("finite");
        let mut tape = dahlquist::tape::Tape::recording();
        sealed.network().layers().take(layers).fold(x, |x, layer| tape.part(|tape| layer.forward(x, tape)))
    };
    layers = layers.max(1);
    let mut direction: Vec<f64> = (0..input.len()).map(|i| 1.0 + 0.3 * ((5 * i % 7) as f64)).collect();
    let mut best = 0.0f64;
    for round in 0..60 {
        let largest = direction.iter().fold(0.0f64, |a, x| a.max(x.abs()));
        let x: Vec<f64> =
            direction.iter().enumerate().map(|(i, d)| (d / largest * 512.0 / unit(i)).round() * unit(i)).collect();
        let y = apply(x.clone(), layers);
        let (moved, apart) = (squared(y.data()), squared(&x));
        assert!(moved <= &squared_bound * &apart, "round {round}: taken further than {bound}");
        best = best.max(num_traits::ToPrimitive::to_f64(&(moved / apart)).expect("finite").sqrt());
        // WᵀWx, column by column.
        let columns: Vec<Batch<f64>> = (0..input.len())
            .map(|i| apply((0..input.len()).map(|j| if i == j { unit(i) } else { 0.0 }).collect(), layers))
            .collect();
        let pull = |(i, column): (usize, &Batch<f64>)| {
            column.data().iter().zip(y.data()).map(|(c, y)| c * y).sum::<f64>() / unit(i)
        };
        direction = columns.iter().enumerate().map(pull).collect();
    }
    best
}

/// The only group, which must be of linear maps and better than the product, but not below what is attained.
fn check(name: &str, sealed: &Sealed<f64>, unit: impl Fn(usize) -> f64, tight: f64) {
    let runs = runs(sealed.certificate());
    assert_eq!(runs.len(), 1, "{name}: {runs:?}");
    assert_eq!(runs[0].2, Rule::OperatorNorm);
    let (bound, product) = (sealed.features().get(), product(sealed.certificate()));
    let attained = attained(sealed, unit, bound);
    println!("{name}: product {product:.5}, proved {bound:.5}, attained {attained:.5}");
    assert!(bound < 0.99 * product, "{name}: {bound} is not below {product}");
    assert!(attained > tight * bound, "{name}: {bound} is far above {attained}");
}

#[test]
fn normalisation_is_folded_into_the_first_operator() {
    let image = Shape::image(3, 5, 5);
    let std = [0.3f32 as f64, 1.5, 2.0];
    let normalize = || Box::new(Normalize::new(image, vec![0.0; 3], std.to_vec()).expect("a normalisation"));
    let unit = |i: usize| std[i / 25 % 3];
    for mode in [PaddingMode::Circular, PaddingMode::Zeros] {
        let layers: Layers = vec![normalize(), conv(image, 4, mode, 1, short(&mut rng(), 4 * 3 * 9))];
        check("normalisation and convolution", &seal(image, layers), unit, 0.8);
    }
    let layers: Layers = vec![normalize(), Box::new(Reshape::flatten(image)), dense(6, 75, short(&mut rng(), 6 * 75))];
    check("normalisation and matrix", &seal(image, layers), unit, 0.99);

    let image = Shape::image(3, 4, 4);
    let normalize = Normalize::new(image, vec![0.0; 3], std.to_vec()).expect("a normalisation");
    let blocks = Reshape::space_to_depth(image, 2).expect("blocks");
    let conv = conv(Shape::image(12, 2, 2), 4, PaddingMode::Zeros, 1, short(&mut rng(), 4 * 12 * 9));
    let layers: Layers = vec![Box::new(normalize), Box::new(blocks), conv];
    check("normalisation, blocks, convolution", &seal(image, layers), |i| std[i / 16 % 3], 0.5);

    let normalize = Normalize::new(image, vec![0.0; 3], std.to_vec()).expect("a normalisation");
    let pad = Reshape::pad_channels(image, 5).expect("more channels");
    let conv = self::conv(Shape::image(5, 4, 4), 4, PaddingMode::Zeros, 1, short(&mut rng(), 4 * 5 * 9));
    let layers: Layers = vec![Box::new(normalize), Box::new(pad), conv];
    check("normalisation, more channels, convolution", &seal(image, layers), |i| std[i / 16 % 3], 0.5);
}

#[test]
fn means_are_folded_into_a_convolution() {
    for mode in [PaddingMode::Circular, PaddingMode::Zeros] {
        for stride in [1, 2] {
            // What is left over at the border is dropped by the means, as in 9 = 4·2 + 1.
            let size = if mode == PaddingMode::Circular { 8 } else { 9 };
            let image = Shape::image(2, size, size);
            let first = conv(image, 3, mode, stride, short(&mut rng(), 3 * 2 * 9));
            let means = pool(MeanPool::new(first.output(), 2).expect("means"));
            check("convolution and means", &seal(image, vec![first, means]), |_| 1.0, 0.8);

            let first = conv(image, 3, mode, stride, short(&mut rng(), 3 * 2 * 9));
            let means = pool(MeanPool::global(first.output()).expect("means"));
            check("convolution and the mean of each channel", &seal(image, vec![first, means]), |_| 1.0, 0.99);
        }
    }
}

#[test]
fn matrices_are_multiplied() {
    let rng = &mut rng();
    let layers = || vec![(7, 10), (9, 7), (4, 9)];
    let weights: Vec<Vec<f64>> = layers().iter().map(|(o, i)| short(rng, o * i)).collect();
    let build = |exponents: [i32; 3]| -> Sealed<f64> {
        let scaled = |(w, e): (&Vec<f64>, i32)| w.iter().map(|w| libm::scalbn(*w, e)).collect::<Vec<f64>>();
        let weights = weights.iter().zip(exponents).map(scaled);
        let layers = layers().into_iter().zip(weights).map(|((o, i), w)| dense(o, i, w)).collect();
        seal(Shape::Features(10), layers)
    };
    let plain = build([0, 0, 0]);
    check("three matrices", &plain, |_| 1.0, 0.999);
    for exponents in [[-126, 126, 0], [800, -400, -400], [-1000, 500, 500]] {
        assert_eq!(build(exponents).features(), plain.features(), "{exponents:?}");
    }
    // A matrix that undoes another: the product of the norms is far off.
    let shear = dense(2, 2, vec![1.0, 16.0, 0.0, 1.0]);
    let back = dense(2, 2, vec![1.0, -16.0, 0.0, 1.0]);
    let sealed = seal(Shape::Features(2), vec![shear, back]);
    assert!((1.0..1.0 + 1e-9).contains(&sealed.features().get()));
    assert!(product(sealed.certificate()) > 250.0);
}

#[test]
fn the_certificate_is_the_product_over_groups() {
    let rng = &mut rng();
    let layers: Layers = vec![
        dense(12, 6, short(rng, 72)),
        relu(12),
        dense(10, 12, short(rng, 120)),
        relu(10),
        dense(8, 10, short(rng, 80)),
        dense(9, 8, short(rng, 72)),
        relu(9),
    ];
    let sealed = seal(Shape::Features(6), layers);
    let (loose, before) = (sealed.certificate().clone(), sealed.features());
    assert_eq!(runs(&loose), [("4".into(), 2, Rule::OperatorNorm)]);
    let sealed = sealed.tighten(64).expect("a proof");
    let (tight, features) = (sealed.certificate(), sealed.features());
    println!("product {:.4}, linear runs {before:.4}, stacks {features:.4}", product(&loose));
    assert!(features < before);
    assert_eq!(runs(tight)[0].2, Rule::QuadraticConstraint);
    assert!(tight.layers().eq(loose.layers()));
    let (head, rest) = tight.premises().split_last().expect("a head");
    assert_eq!(head.span(), 1, "the head is in a run");
    assert_eq!(rest.iter().map(Certificate::bound).product::<Upper>(), features);
    assert_eq!(tight.premises().iter().map(Certificate::bound).product::<Upper>(), tight.bound());
    // Pairs, in arithmetic that is exact: short inputs, short weights.
    let bound = BigRational::from_float(features.get()).map(|b| &b * &b).expect("finite");
    for _ in 0..2000 {
        let mut x = short(rng, 12);
        let (y, scale) = (x.split_off(6), [1.0, 1.0 / 16.0, 1.0 / 256.0][rng.random_range(0..3)]);
        let y: Vec<f64> = x.iter().zip(y).map(|(x, y)| x + scale * y).collect();
        let batch = Batch::new(Shape::Features(6), [x.clone(), y.clone()].concat()).expect("finite");
        let features = sealed
            .network()
            .layers()
            .take(7)
            .fold(batch, |x, layer| layer.forward(x, &mut dahlquist::tape::Tape::idle()));
        let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>();
        let moved = squared(&difference(features.sample(0), features.sample(1)));
        assert!(moved <= &bound * squared(&difference(&x, &y)));
    }
}

#[test]
fn stacks_of_more_neurons_than_allowed_are_left_alone() {
    let rng = &mut rng();
    let layers: Layers = vec![dense(12, 6, short(rng, 72)), relu(12), dense(10, 12, short(rng, 120)), relu(10)];
    let sealed = seal(Shape::Features(6), layers);
    let loose = sealed.certificate().clone();
    let sealed = sealed.tighten(11).expect("a proof");
    assert_eq!(sealed.certificate(), &loose);
    let sealed = sealed.tighten(12).expect("a proof");
    assert_eq!(runs(sealed.certificate())[0].1, 3);
    let looser = sealed.features();
    let sealed = sealed.tighten(22).expect("a proof");
    assert!(sealed.features() < looser);
    // No bound gets worse.
    let best = sealed.certificate().clone();
    assert_eq!(sealed.tighten(0).expect("a proof").certificate(), &best);
}

/// A dense residual block takes the smaller bound, says by which rule, and its witness proves it again.
#[test]
fn residual_blocks_take_the_smaller_bound() {
    use dahlquist::{
        certificate::Evidence,
        field::ResidualField,
        layer::{Flow, Step},
        rigor::quadratic_constraint::{Chain, Proposal, Stage},
        tableau::Tableau,
    };
    let rng = &mut rng();
    let (inner, outer) = (short(rng, 9 * 6), short(rng, 6 * 9));
    let map = |o, i, w: &[f64]| Affine::new(Dense::new(o, i, w.to_vec()).expect("a matrix"), None).expect("a map");
    let field = ResidualField::new(map(9, 6, &inner), Activation::Relu {}, map(6, 9, &outer)).expect("a field");
    let flow = Flow::new(field, Tableau::euler(), Step::Fixed(0.25), 3).expect("a flow");
    let sealed = seal(Shape::Features(6), vec![Box::new(flow)]);
    let flow = sealed.certificate().layers().next().expect("a flow");
    let step = &flow.premises()[0];
    assert_eq!(step.rule(), Rule::QuadraticConstraint);
    let Evidence::Multipliers(multipliers) = step.evidence() else { panic!("{:?}", step.evidence()) };
    let factor = step.bound();
    let matrix = |o, i, w: &[f64]| faer::Mat::from_fn(o, i, |r, c| w[r * i + c]);
    let norm = |m: faer::Mat<f64>| dahlquist::rigor::matrix::norm(m.as_ref()).expect("a norm").get();
    assert!(factor.get() < 1.0 + 0.25 * norm(matrix(9, 6, &inner)) * norm(matrix(6, 9, &outer)));
    assert_eq!(flow.bound(), factor.powi(3));
    let stage = Stage { weight: matrix(9, 6, &inner), slopes: [0.0, 1.0] };
    let chain = Chain::residual(stage, matrix(6, 9, &outer), 0.25).expect("a chain");
    let proposal = Proposal { bound: factor.get(), multipliers: multipliers.clone() };
    assert_eq!(chain.prove(&proposal), Ok(factor));
    let bound = BigRational::from_float(flow.bound().get()).map(|b| &b * &b).expect("finite");
    for _ in 0..500 {
        let (x, y) = (short(rng, 6), short(rng, 6));
        let batch = Batch::new(Shape::Features(6), [x.clone(), y.clone()].concat()).expect("finite");
        let z = sealed
            .network()
            .layers()
            .take(1)
            .fold(batch, |x, layer| layer.forward(x, &mut dahlquist::tape::Tape::idle()));
        let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>();
        assert!(squared(&difference(z.sample(0), z.sample(1))) <= &bound * squared(&difference(&x, &y)));
    }
}
