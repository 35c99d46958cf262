//! The falsifier finds what is wrong, and nothing in what is proved.

use dahlquist::{
    Error, Network, Result,
    activation::Activation,
    attack::Falsifier,
    certificate::Certificate,
    certify::SealOptions,
    field::GradientField,
    integrate::Tableau,
    layer::{ActivationLayer, AffineLayer, Flow, Layer, Step},
    model::{Map, Opaque},
    operator::{Affine, Conv2d, Dense, Geometry},
    rigor::{Rounding, Summation, torus::PaddingMode},
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

fn gaussian<T: Scalar>(rng: &mut ChaCha8Rng, n: usize, scale: f64) -> Vec<T> {
    (0..n).map(|_| T::of(scale * rng.sample::<f64, _>(StandardNormal))).collect()
}

fn dense<T: Scalar>(rng: &mut ChaCha8Rng, outputs: usize, inputs: usize) -> AffineLayer<T> {
    let weight = gaussian(rng, outputs * inputs, 1.5 / (inputs as f64).sqrt());
    let bias = gaussian(rng, outputs, 0.1);
    AffineLayer::new(Affine::new(Dense::new(outputs, inputs, weight).unwrap(), Some(bias)).unwrap())
}

fn mlp<T: Scalar>(rng: &mut ChaCha8Rng, activation: Activation) -> Network<T> {
    let layers: Vec<Box<dyn Layer<T>>> = vec![
        Box::new(dense(rng, 12, 9)),
        Box::new(ActivationLayer::new::<T>(activation, Shape::Features(12)).unwrap()),
        Box::new(dense(rng, 4, 12)),
    ];
    Network::new(Shape::Features(9), layers).unwrap()
}

fn convolutional<T: Scalar>(rng: &mut ChaCha8Rng) -> Network<T> {
    let input = Shape::image(2, 4, 4);
    let geometry = |outputs, stride| {
        let (kernel, padding, mode) = ((3, 3), 1, PaddingMode::Zeros);
        Geometry { input, outputs, kernel, stride, padding, mode }
    };
    let field = Affine::new(Conv2d::new(geometry(3, 1), gaussian(rng, 54, 0.5)).unwrap(), None).unwrap();
    let field = GradientField::new(field, Activation::Relu {}).unwrap();
    let strided = Affine::new(Conv2d::new(geometry(3, 2), gaussian(rng, 54, 0.5)).unwrap(), None).unwrap();
    let layers: Vec<Box<dyn Layer<T>>> = vec![
        Box::new(Flow::new(field, Tableau::heun(), Step::Relative(1.0), 2).unwrap()),
        Box::new(AffineLayer::new(strided)),
    ];
    Network::new(input, layers).unwrap()
}

/// Sums of more terms than one chunk of the declared order.
fn long<T: Scalar>(rng: &mut ChaCha8Rng) -> Network<T> {
    let layers: Vec<Box<dyn Layer<T>>> = vec![Box::new(dense(rng, 70, 300)), Box::new(dense(rng, 4, 70))];
    Network::new(Shape::Features(300), layers).unwrap()
}

#[test]
fn no_proved_bound_is_exceeded() {
    fn run<T: Scalar>(summation: Summation) {
        let falsifier = Falsifier { seconds: 1e6, rounds: Some(3), ..Falsifier::default() };
        for seed in 0..3 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let networks = [
                mlp::<T>(&mut rng, Activation::Relu {}),
                mlp(&mut rng, Activation::Abs {}),
                mlp(&mut rng, Activation::Sigmoid {}),
                convolutional(&mut rng),
                long::<T>(&mut rng),
            ];
            for network in networks {
                let sealed = network.seal_with(SealOptions { summation, ..SealOptions::default() }).unwrap();
                let report = Falsifier { seed, ..falsifier.clone() }.run(&sealed, None).unwrap();
                assert!(!report.refuted(), "{report:#?}");
                for ratio in report.layers.iter().chain(&report.features).chain([&report.network]) {
                    // The claim itself, with no tolerance; and a search that found nothing would be no test.
                    assert!(ratio.lower.unwrap().get() <= ratio.bound, "{ratio:?}");
                    assert!(ratio.lower.unwrap().get() > 0.2 * ratio.bound, "{ratio:?}");
                    assert!(ratio.rounding.is_none_or(|r| r <= 1.0), "{ratio:?}");
                    if ratio.kind == "dense" || ratio.kind == "activation" {
                        assert!(ratio.looseness() < 1.02, "{ratio:?}");
                    }
                }
                assert!(report.flips.closest.is_none_or(|c| c >= 1.0));
                assert!(report.flips.skipped.is_none());
            }
        }
    }
    for summation in [Summation::Any, Summation::Declared] {
        run::<f32>(summation);
        run::<f64>(summation);
    }
}

#[test]
fn flips_are_found_where_the_boundary_of_a_linear_network_is() {
    fn run<T: Scalar>(closest: f64) {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let network = Network::<T>::new(Shape::Features(9), vec![Box::new(dense(&mut rng, 4, 9))]).unwrap();
        let sealed = network.seal().unwrap();
        let falsifier = Falsifier { seconds: 1e6, rounds: Some(2), ..Falsifier::default() };
        let flips = falsifier.run(&sealed, None).unwrap().flips;
        assert!(flips.bisections >= 100 && flips.samples > 50, "{flips:?}");
        assert!((1.0..closest).contains(&flips.closest.unwrap()), "{flips:?}");
    }
    run::<f32>(1.0001);
    run::<f64>(1.0 + 1e-12);
}

/// `x ↦ 4x`, or `x ↦ x/3`, with claims that are free.
#[derive(Debug, Clone)]
struct Scale {
    divide: bool,
    lipschitz: f64,
    exact: bool,
}

impl Scale {
    fn scaled<T: Scalar>(&self, mut x: Batch<T>) -> Batch<T> {
        x.data_mut().iter_mut().for_each(|x| *x = if self.divide { *x / T::of(3.0) } else { *x * T::of(4.0) });
        x
    }
}

impl<T: Scalar> Layer<T> for Scale {
    fn describe(&self) -> Map {
        let (input, output) = (Shape::Features(9), Shape::Features(9));
        Map::Opaque(Opaque { kind: "scale".into(), input, output, lipschitz: self.lipschitz })
    }
    fn input(&self) -> Shape {
        Shape::Features(9)
    }
    fn output(&self) -> Shape {
        Shape::Features(9)
    }
    fn forward(&self, x: Batch<T>, _tape: &mut Tape<T>) -> Batch<T> {
        self.scaled(x)
    }
    fn vjp(&self, _tape: &Tape<T>, g: Batch<T>, _gradient: Option<&mut [Vec<T>]>) -> Batch<T> {
        self.scaled(g)
    }
    fn jvp(&self, _tape: &Tape<T>, v: Batch<T>) -> Batch<T> {
        self.scaled(v)
    }
    fn rounding(&self, _: &Certificate, _: &Rounding, _tape: &Tape<f64>, reach: &[f64]) -> Result<Vec<f64>> {
        if self.exact {
            Ok(vec![0.0; reach.len()])
        } else {
            Err(Error::NotProved { what: "rounding".into(), reason: "undeclared".into() })
        }
    }
    fn widen(&self) -> Box<dyn Layer<f64>> {
        Box::new(self.clone())
    }
}

fn report<T: Scalar>(scale: Scale) -> dahlquist::attack::Falsification {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let layers: Vec<Box<dyn Layer<T>>> = vec![Box::new(scale), Box::new(dense(&mut rng, 4, 9))];
    let sealed = Network::new(Shape::Features(9), layers).unwrap().seal().unwrap();
    Falsifier { seconds: 0.0, ..Falsifier::default() }.run(&sealed, None).unwrap()
}

#[test]
fn an_understated_bound_is_refuted_and_so_are_the_radii_that_rest_on_it() {
    fn run<T: Scalar>() {
        let found = report::<T>(Scale { divide: false, lipschitz: 3.9, exact: true });
        assert!(found.layers[0].refuted && found.refuted(), "{found:#?}");
        let [x, y] = found.layers[0].pair.as_ref().unwrap();
        assert!(x.len() == 9 && x != y);
        assert!(found.flips.violations > 0 && found.flips.closest.unwrap() < 0.98, "{:?}", found.flips);
        let flip = found.flips.example.unwrap();
        assert!(flip.distance < flip.radius);
        // The other layers are what they say.
        assert!(!found.layers[1].refuted);
        // A true claim of the same layer passes.
        let found = report::<T>(Scale { divide: false, lipschitz: 4.0, exact: true });
        assert!(!found.refuted() && found.flips.violations == 0, "{found:#?}");
    }
    run::<f32>();
    run::<f64>();
}

#[test]
fn a_layer_that_declares_no_rounding_is_refuted_by_an_estimate() {
    let found = report::<f32>(Scale { divide: false, lipschitz: 3.9, exact: false });
    assert!(found.layers[0].refuted && found.layers[0].lower.is_none(), "{found:#?}");
    assert!(found.flips.skipped.is_some());
    let found = report::<f32>(Scale { divide: false, lipschitz: 4.0, exact: false });
    assert!(!found.refuted(), "{found:#?}");
}

#[test]
fn an_understated_rounding_error_is_refuted() {
    // x/3 is rounded, whatever is declared.
    let found = report::<f32>(Scale { divide: true, lipschitz: 0.34, exact: true });
    assert!(!found.layers[0].refuted);
    assert!(found.layers[0].rounding.unwrap() > 1.0 && found.refuted(), "{found:#?}");
}

#[test]
fn a_number_of_rounds_and_a_seed_repeat() {
    let run = |threads: usize, seed: u64| {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let sealed = mlp::<f32>(&mut rng, Activation::Relu {}).seal().unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let falsifier = Falsifier { seconds: 1e6, rounds: Some(2), seed, batch: 8 };
        let mut found = pool.install(|| falsifier.run(&sealed, None).unwrap());
        found.seconds = 0.0;
        found
    };
    assert_eq!(run(1, 3), run(2, 3));
    assert_ne!(run(1, 3).network, run(1, 4).network);
    // The report is data.
    let json = serde_json::to_value(run(1, 3)).unwrap();
    assert!(json["network"]["bound"].as_f64().unwrap() > 0.0 && json["layers"].as_array().unwrap().len() == 3);
}

#[test]
fn senseless_searches_are_refused() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let sealed = mlp::<f32>(&mut rng, Activation::Relu {}).seal().unwrap();
    let falsifier = Falsifier { seconds: 0.0, ..Falsifier::default() };
    let other = Batch::zeros(Shape::Features(8), 3);
    assert!(falsifier.run(&sealed, Some(&other)).is_err());
    assert!(falsifier.run(&sealed, Some(&Batch::zeros(Shape::Features(9), 0))).is_err());
    assert!(Falsifier { batch: 0, ..falsifier.clone() }.run(&sealed, None).is_err());
    assert!(Falsifier { seconds: f64::NAN, ..falsifier.clone() }.run(&sealed, None).is_err());
    // Samples of zeros, of which no pair of logits is certified to differ, are searched all the same.
    assert!(!falsifier.run(&sealed, Some(&Batch::zeros(Shape::Features(9), 3))).unwrap().refuted());
}
