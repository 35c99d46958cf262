//! Local radii: never below the global ones, and no input within one changes the prediction, in exact arithmetic.

use dahlquist::{
    Network, Sealed, Semantics,
    activation::Activation,
    layer::{ActivationLayer, AffineLayer, Layer},
    operator::{Affine, Dense},
    scalar::Scalar,
    tensor::{Batch, Shape},
};
use dahlquist_testkit::oracle::{Exact, Matrix, Num};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// A dense network and what the oracle needs of it.
struct Case<T: Scalar> {
    sealed: Sealed<T>,
    maps: Vec<Matrix<Exact>>,
    function: Activation,
}

/// A network of these widths, with weights and biases at random.
fn case<T: Scalar>(widths: &[usize], function: Activation, rng: &mut ChaCha8Rng) -> Case<T> {
    let mut draw = |n: usize, scale: f64| -> Vec<T> {
        (0..n).map(|_| T::of(scale * rng.sample::<f64, _>(StandardNormal))).collect()
    };
    let (mut layers, mut maps): (Vec<Box<dyn Layer<T>>>, Vec<_>) = Default::default();
    for (i, pair) in widths.windows(2).enumerate() {
        let (n, m) = (pair[0], pair[1]);
        let weight = draw(n * m, 1.0 / (n as f64).sqrt());
        let bias = draw(m, 0.5);
        let map = || Affine::new(Dense::new(m, n, weight.clone()).unwrap(), Some(bias.clone())).unwrap();
        maps.push(Matrix::of(&map()));
        layers.push(Box::new(AffineLayer::new(map())));
        if i + 2 < widths.len() {
            layers.push(Box::new(ActivationLayer::new::<T>(function, Shape::Features(m)).unwrap()));
        }
    }
    let function = function.in_format::<T>().unwrap();
    Case { sealed: Network::new(Shape::Features(widths[0]), layers).unwrap().seal().unwrap(), maps, function }
}

impl<T: Scalar> Case<T> {
    /// The exact logits.
    fn logits(&self, x: &[Exact]) -> Vec<Exact> {
        let sigma = dahlquist_testkit::oracle::piecewise::<Exact>(self.function).unwrap();
        let last = self.maps.len() - 1;
        self.maps.iter().enumerate().fold(x.to_vec(), |x, (i, map)| {
            let z = map.apply(&x);
            if i < last { z.iter().map(&sigma).collect() } else { z }
        })
    }

    /// Whether the class is the strict maximum at `x`.
    fn predicts(&self, x: &[Exact], class: usize) -> bool {
        let logits = self.logits(x);
        (0..logits.len()).filter(|&j| j != class).all(|j| logits[class].minus(&logits[j]).positive())
    }
}

const FUNCTIONS: [Activation; 3] =
    [Activation::Relu {}, Activation::LeakyRelu { slope: 0.01 }, Activation::LeakyRelu { slope: 0.25 }];

fn sample<T: Scalar>(n: usize, rng: &mut ChaCha8Rng) -> Vec<T> {
    (0..n).map(|_| T::of(rng.sample::<f64, _>(StandardNormal))).collect()
}

/// Both ends of the interval around a number, where the bound is nearly attained, and points of the interior.
#[test]
fn no_input_within_a_local_radius_changes_the_prediction_of_a_function_of_one_number() {
    fn holds<T: Scalar>(seed: u64) -> (usize, usize) {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let (mut larger, mut nearly) = (0, 0);
        for round in 0..1000 {
            let widths = [[1, 2, 2, 2], [1, 1, 1, 2], [1, 1, 1, 3], [1, 6, 4, 3]][round % 4];
            let case = case::<T>(&widths, FUNCTIONS[round % 3], rng);
            for _ in 0..4 {
                let x = sample::<T>(1, rng);
                let batch = Batch::new(Shape::Features(1), x.clone()).unwrap();
                let global = case.sealed.certify(&batch, Semantics::Exact).unwrap()[0];
                let local = case.sealed.certify_locally(&batch, Semantics::Exact).unwrap()[0];
                let executed = case.sealed.certify_locally(&batch, Semantics::Executed).unwrap()[0];
                assert!(
                    global.radius <= local.radius && executed.radius <= local.radius,
                    "{global:?} {local:?} {executed:?}"
                );
                let r = local.radius.get();
                let Some(class) = local.prediction.filter(|_| r > 0.0 && r <= 1e5) else { continue };
                larger += usize::from(r > 1.001 * global.radius.get());
                let at = |t: f64| [Exact::of(x[0].wide()).plus(&Exact::of(t).times(&Exact::of(r)))];
                for t in [1.0f64.next_down(), 0.99, 0.75, 0.5, 0.25, 0.1] {
                    for t in [t, -t] {
                        assert!(case.predicts(&at(t), class), "{widths:?} at {x:?}, {t} of {r}");
                    }
                }
                nearly += usize::from([1.01, -1.01].iter().any(|&t| !case.predicts(&at(t), class)));
            }
        }
        (larger, nearly)
    }
    for (larger, nearly) in [holds::<f32>(1), holds::<f64>(2)] {
        // The test has teeth: many are larger than the global ones, and many would be wrong if they were 1 % larger.
        assert!(larger > 1000 && nearly > 200, "{larger} {nearly}");
    }
}

/// Directions at random, and the one in which the margin falls most.
#[test]
fn no_input_within_a_local_radius_changes_the_prediction() {
    fn holds<T: Scalar>(seed: u64) -> f64 {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let mut gain = 0.0f64;
        for round in 0..60 {
            let case = case::<T>(&[4, 12, 10, 8, 3], FUNCTIONS[round % 3], rng);
            let x = sample::<T>(4, rng);
            let batch = Batch::new(Shape::Features(4), x.clone()).unwrap();
            let global = case.sealed.certify(&batch, Semantics::Exact).unwrap()[0];
            let local = case.sealed.certify_locally(&batch, Semantics::Exact).unwrap()[0];
            assert!(global.radius <= local.radius);
            let Some(class) = local.prediction else { continue };
            gain = gain.max(local.radius.get() / global.radius.get());
            let network = case.sealed.network();
            let (logits, tape) = network.forward_recording(batch.clone()).unwrap();
            let mut directions: Vec<Vec<f64>> = (0..10).map(|_| sample::<f64>(4, rng)).collect();
            for j in (0..logits.data().len()).filter(|&j| j != class) {
                let mut g = vec![T::zero(); logits.data().len()];
                (g[class], g[j]) = (-T::one(), T::one());
                let g = network.vjp(&tape, Batch::new(logits.shape(), g).unwrap(), None).unwrap();
                directions.push(g.data().iter().map(|g| g.wide()).collect());
            }
            for v in directions {
                let norm = v.iter().map(|v| v * v).sum::<f64>().sqrt();
                for t in [1.0 - 1e-9, 0.9, 0.5] {
                    let step = t * local.radius.get() / norm;
                    let moved: Vec<Exact> = (x.iter().zip(&v))
                        .map(|(x, &v)| Exact::of(x.wide()).plus(&Exact::of(step).times(&Exact::of(v))))
                        .collect();
                    assert!(norm == 0.0 || case.predicts(&moved, class), "round {round}");
                }
            }
        }
        gain
    }
    assert!(holds::<f32>(3) > 1.5 && holds::<f64>(4) > 1.5);
}

#[test]
fn ties_and_overflows_stay_refused() {
    let dense = |w: &[f64]| -> Box<dyn Layer<f64>> {
        Box::new(AffineLayer::new(Affine::new(Dense::new(2, w.len() / 2, w.to_vec()).unwrap(), None).unwrap()))
    };
    let relu = || -> Box<dyn Layer<f64>> {
        Box::new(ActivationLayer::new::<f64>(Activation::Relu {}, Shape::Features(2)).unwrap())
    };
    let layers = || vec![dense(&[1.0, -1.0]), relu(), dense(&[1.0, 1.0, 1.0, 1.0])];
    let sealed = Network::new(Shape::Features(1), layers()).unwrap().seal().unwrap();
    let x = Batch::new(Shape::Features(1), vec![0.0, 1.0, 1e308]).unwrap();
    for semantics in [Semantics::Exact, Semantics::Executed] {
        let (global, local) = (sealed.certify(&x, semantics).unwrap(), sealed.certify_locally(&x, semantics).unwrap());
        assert_eq!(global, local);
        assert!(local.iter().all(|claim| claim.refusal.is_some() && claim.radius.get() == 0.0));
    }
}

/// `x ↦ (0, relu(relu(ax + B) − relu(bx + C) + c) − d)` with large `B`, `C`: nearly all of its error is made before the
/// head.
fn cancelling(rng: &mut ChaCha8Rng) -> Sealed<f32> {
    let [a, b, c, d] = [(); 4].map(|()| rng.random_range(0.5f32..1.5));
    let large = [1e4 * rng.random_range(1.0f32..2.0), 0.0];
    let large = [large[0], large[0] + rng.random_range(-1.0f32..1.0)];
    let dense = |o: usize, i: usize, w: &[f32], bias: &[f32]| -> Box<dyn Layer<f32>> {
        Box::new(AffineLayer::new(Affine::new(Dense::new(o, i, w.to_vec()).unwrap(), Some(bias.to_vec())).unwrap()))
    };
    let relu = |n: usize| -> Box<dyn Layer<f32>> {
        Box::new(ActivationLayer::new::<f32>(Activation::Relu {}, Shape::Features(n)).unwrap())
    };
    let layers = vec![
        dense(2, 1, &[a, -b], &large),
        relu(2),
        dense(1, 2, &[1.0, -1.0], &[c]),
        relu(1),
        dense(2, 1, &[0.0, 1.0], &[0.0, -d]),
    ];
    Network::new(Shape::Features(1), layers).unwrap().seal().unwrap()
}

/// Next to where the program changes its mind, no executed radius reaches that far.
#[test]
fn no_executed_radius_reaches_a_flip_of_the_program() {
    let rng = &mut ChaCha8Rng::seed_from_u64(5);
    let mut found = [(0, 0); 2];
    for round in 0..400 {
        let sealed = match round % 2 {
            0 => case::<f32>(&[1, 12, 12, 12, 12, 2], FUNCTIONS[round % 3], rng).sealed,
            _ => cancelling(rng),
        };
        let at = |x: f32| Batch::new(Shape::Features(1), vec![x]).unwrap();
        let class = |x: f32| {
            let logits = sealed.forward(&at(x)).unwrap();
            usize::from(logits.data()[1] > logits.data()[0])
        };
        let [mut a, mut b] = [-3.0f32, 3.0];
        let here = class(a);
        if class(b) == here {
            continue;
        }
        while a.next_up() < b {
            let middle = a / 2.0 + b / 2.0;
            if class(middle) == here { a = middle } else { b = middle }
        }
        let (flips, claimed) = &mut found[round % 2];
        *flips += 1;
        let mut x = a;
        for steps in 0..60 {
            let claim = sealed.certify_locally(&at(x), Semantics::Executed).unwrap()[0];
            let apart = f64::from(b) - f64::from(x);
            assert!(claim.radius.get() <= apart, "round {round}, {steps} steps from {b}: {claim:?} but {apart}");
            *claimed += usize::from(claim.radius.get() > 0.0);
            x -= x.abs() * f32::EPSILON * libm::exp2f(steps as f32 / 3.0);
        }
    }
    assert!(found.iter().all(|&(flips, claimed)| flips > 20 && claimed > 100), "{found:?}");
}
