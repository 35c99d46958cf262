//! Derivatives of whole networks, and what training needs beyond the laws of single layers: gradients are accumulated,
//! and go back through relative steps and unit rows to the direct parameters.

use dahlquist::{
    Network,
    activation::Activation,
    field::{GradientField, ResidualField, VectorField},
    integrate::Tableau,
    laws::{hold, strategies as s},
    layer::{AffineLayer, Flow, Layer, Normalize, Reshape, Step},
    operator::{Affine, Conv2d, Dense, Geometry, MeanPool},
    rigor::torus::PaddingMode,
    tape::Tape,
    tensor::{Batch, Shape},
};
use proptest::test_runner::TestCaseError;
use rand::{Rng, RngExt, SeedableRng};
use rand_distr::StandardNormal;

type Generator = rand_chacha::ChaCha8Rng;

fn normal(n: usize, scale: f64, rng: &mut impl Rng) -> Vec<f64> {
    (0..n).map(|_| scale * rng.sample::<f64, _>(StandardNormal)).collect()
}

fn batch(shape: Shape, samples: usize, rng: &mut impl Rng) -> Batch<f64> {
    Batch::new(shape, normal(samples * shape.len(), 1.0, rng)).unwrap()
}

fn dot(a: &Batch<f64>, b: &Batch<f64>) -> f64 {
    a.data().iter().zip(b.data()).map(|(a, b)| a * b).sum()
}

/// Every kind of layer once: 3×8×8 in, 4 features out.
fn network(tableau: Tableau) -> Network<f64> {
    let mut rng = Generator::seed_from_u64(1);
    let input = Shape::image(3, 8, 8);
    let mut layers: Vec<Box<dyn Layer<f64>>> = vec![
        Box::new(Normalize::new(input, normal(3, 0.1, &mut rng), vec![0.5; 3]).unwrap()),
        Box::new(Reshape::space_to_depth(input, 2).unwrap()),
        Box::new(Reshape::pad_channels(Shape::image(12, 4, 4), 13).unwrap()),
    ];
    let image = Shape::image(13, 4, 4);
    for mode in [PaddingMode::Zeros, PaddingMode::Circular] {
        let geometry = Geometry { input: image, outputs: 2, kernel: (3, 3), stride: 1, padding: 1, mode };
        let conv = Conv2d::new(geometry, normal(2 * 13 * 9, 0.3, &mut rng)).unwrap();
        let map = Affine::new(conv, Some(normal(2, 0.3, &mut rng))).unwrap();
        let field = GradientField::new(map, Activation::Softplus {}).unwrap();
        layers.push(Box::new(Flow::new(field, tableau.clone(), Step::Relative(0.9), 2).unwrap()));
    }
    let geometry =
        Geometry { input: image, outputs: 6, kernel: (3, 2), stride: 2, padding: 1, mode: PaddingMode::Zeros };
    let conv = Conv2d::new(geometry, normal(6 * 13 * 6, 0.3, &mut rng)).unwrap();
    let conv = AffineLayer::new(Affine::new(conv, Some(normal(6, 0.3, &mut rng))).unwrap());
    let pooled = AffineLayer::new(Affine::new(MeanPool::new(conv.output(), 2).unwrap(), None).unwrap());
    let flat = Reshape::flatten(pooled.output());
    let n = pooled.output().len();
    layers.extend([Box::new(conv) as Box<dyn Layer<f64>>, Box::new(pooled), Box::new(flat)]);
    let mut dense = |m: usize, n: usize| {
        let w = Dense::new(m, n, normal(m * n, 0.3, &mut rng)).unwrap();
        Affine::new(w, Some(normal(m, 0.3, &mut rng))).unwrap()
    };
    let field = ResidualField::new(dense(7, n), Activation::Tanh {}, dense(n, 7)).unwrap();
    layers.push(Box::new(Flow::new(field, Tableau::euler(), Step::Fixed(1.0), 1).unwrap()));
    layers.push(Box::new(AffineLayer::with_unit_rows(dense(4, n)).unwrap()));
    let mut network = Network::new(input, layers).unwrap();
    // The estimates of the curvatures converge.
    (0..400).for_each(|_| network.prepare());
    network
}

#[test]
fn derivatives_of_networks() {
    for tableau in [Tableau::euler(), Tableau::rk4(), Tableau::ralston3()] {
        let name = tableau.name().to_string();
        let mut network = network(tableau);
        let mut rng = Generator::seed_from_u64(2);
        let (x, v, g) = (
            batch(network.input(), 2, &mut rng),
            batch(network.input(), 2, &mut rng),
            batch(network.output(), 2, &mut rng),
        );
        let (y, tape) = network.forward_recording(x.clone()).unwrap();
        let jv = network.jvp(&tape, v.clone()).unwrap();
        let mut gradient = network.gradient();
        let jg = network.vjp(&tape, g.clone(), Some(&mut gradient)).unwrap();
        // The adjoint, and the derivative along v.
        let scale = dot(&jv, &jv).sqrt() * dot(&g, &g).sqrt();
        assert!((dot(&jv, &g) - dot(&jg, &v)).abs() <= 1e-12 * scale, "{name}");
        let moved = |t: f64| {
            let mut x = x.clone();
            x.axpy(t, &v);
            dot(&network.forward(&x).unwrap(), &g)
        };
        let quotient = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        assert!((quotient - dot(&jv, &g)).abs() <= 1e-7 * scale, "{name}: {quotient} {}", dot(&jv, &g));
        assert_eq!(network.forward(&x).unwrap(), y);
        // The gradient by the direct parameters of each layer, through the step that follows the estimated curvature.
        network.pull_back(&mut gradient);
        let sizes: Vec<Vec<usize>> =
            network.parameters_mut().iter().map(|layer| layer.iter().map(|p| p.len()).collect()).collect();
        for (layer, sizes) in sizes.iter().enumerate().filter(|(_, sizes)| !sizes.is_empty()) {
            let along: Vec<Vec<f64>> = sizes.iter().map(|&n| normal(n, 1.0, &mut rng)).collect();
            let products = gradient.0[layer].iter().zip(&along).flat_map(|(g, d)| g.iter().zip(d)).map(|(g, d)| g * d);
            let expected: f64 = products.sum();
            let mut value = |t: f64| {
                for (p, d) in network.parameters_mut()[layer].iter_mut().zip(&along) {
                    p.iter_mut().zip(d).for_each(|(p, d)| *p += t * d);
                }
                (0..60).for_each(|_| network.prepare());
                dot(&network.forward(&x).unwrap(), &g)
            };
            let (plus, minus) = (value(1e-5), value(-2e-5));
            value(1e-5);
            let quotient = (plus - minus) / 2e-5;
            assert!(
                (quotient - expected).abs() <= 1e-5 * (1.0 + expected.abs()),
                "{name}, {layer}: {quotient} {expected}"
            );
        }
    }
}

#[test]
fn gradients_are_accumulated() {
    hold(s::residual_field::<f64>(), |field, seed| {
        let mut rng = Generator::seed_from_u64(seed);
        let (x, g) = (batch(field.shape(), 3, &mut rng), batch(field.shape(), 3, &mut rng));
        let mut tape = Tape::recording();
        field.eval(&x, &mut tape);
        let zeros = || field.parameters().iter().map(|p| vec![0.0; p.len()]).collect::<Vec<Vec<f64>>>();
        let (mut once, mut twice) = (zeros(), zeros());
        field.vjp(&x, &tape, &g, Some(&mut once));
        (0..2).for_each(|_| drop(field.vjp(&x, &tape, &g, Some(&mut twice))));
        let equal = |(a, b): (&f64, &f64)| !a.is_finite() || (b - 2.0 * a).abs() <= 1e-9 * (1.0 + a.abs() + b.abs());
        if once.iter().flatten().zip(twice.iter().flatten()).all(equal) {
            return Ok(());
        }
        Err(TestCaseError::fail("a gradient was overwritten"))
    });
}

/// The same sample alone, first or last in a batch larger than a chunk gives the same derivative.
#[test]
fn chunks_do_not_change_values() {
    let network = network(Tableau::heun());
    let mut rng = Generator::seed_from_u64(3);
    let x = batch(network.input(), 130, &mut rng);
    let y = network.forward(&x).unwrap();
    for s in [0, 63, 64, 129] {
        let alone = network.forward(&x.slice(s..s + 1)).unwrap();
        let far = alone.data().iter().zip(y.sample(s)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(far <= 1e-12, "{s}: {far}");
    }
}
