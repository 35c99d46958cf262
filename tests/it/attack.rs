//! Attacks: what they return is what they say, and they do not find what is proved not to be there.

use dahlquist::{
    Network, Sealed, Semantics,
    activation::Activation,
    attack::{AT_ONCE, Attack, Loss, Norm, Start, StepSize, pixel_range, predictions},
    data::Dataset,
    field::GradientField,
    integrate::Tableau,
    layer::{ActivationLayer, AffineLayer, Flow, Layer, Normalize, Reshape, Step},
    operator::{Affine, Conv2d, Dense, Geometry},
    rigor::torus::PaddingMode,
    scalar::Scalar,
    tensor::{Batch, Shape},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

fn gaussian<T: Scalar>(rng: &mut ChaCha8Rng, n: usize, scale: f64) -> Vec<T> {
    (0..n).map(|_| T::of(scale * rng.sample::<f64, _>(StandardNormal))).collect()
}

fn uniform<T: Scalar>(rng: &mut ChaCha8Rng, shape: Shape, samples: usize, [lo, hi]: [f64; 2]) -> Batch<T> {
    let data = (0..samples * shape.len()).map(|_| T::of(rng.random_range(lo..=hi))).collect();
    Batch::new(shape, data).unwrap()
}

fn linear<T: Scalar>(rng: &mut ChaCha8Rng, inputs: usize, classes: usize) -> Network<T> {
    let dense = Dense::new(classes, inputs, gaussian(rng, classes * inputs, 1.0)).unwrap();
    let head = Affine::new(dense, Some(gaussian(rng, classes, 0.1))).unwrap();
    Network::new(Shape::Features(inputs), vec![Box::new(AffineLayer::new(head))]).unwrap()
}

/// A stack of dense layers with an activation between them.
fn mlp<T: Scalar>(rng: &mut ChaCha8Rng, sizes: &[usize], activation: Activation) -> Network<T> {
    let mut layers: Vec<Box<dyn Layer<T>>> = Vec::new();
    for (i, pair) in sizes.windows(2).enumerate() {
        if i > 0 {
            layers.push(Box::new(ActivationLayer::new::<T>(activation, Shape::Features(pair[0])).unwrap()));
        }
        let scale = 1.5 / (pair[0] as f64).sqrt();
        let dense = Dense::new(pair[1], pair[0], gaussian(rng, pair[0] * pair[1], scale)).unwrap();
        layers.push(Box::new(AffineLayer::new(Affine::new(dense, Some(gaussian(rng, pair[1], 0.1))).unwrap())));
    }
    Network::new(Shape::Features(sizes[0]), layers).unwrap()
}

/// A small network of gradient flows on images.
fn flows<T: Scalar>(rng: &mut ChaCha8Rng) -> Network<T> {
    let input = Shape::image(1, 6, 6);
    let depth = Shape::image(4, 3, 3);
    let geometry =
        Geometry { input: depth, outputs: 5, kernel: (3, 3), stride: 1, padding: 1, mode: PaddingMode::Zeros };
    let conv = Affine::new(Conv2d::new(geometry, gaussian(rng, 5 * 4 * 9, 0.5)).unwrap(), None).unwrap();
    let conv = GradientField::new(conv, Activation::Relu {}).unwrap();
    let dense = Dense::new(20, 36, gaussian(rng, 20 * 36, 0.3)).unwrap();
    let dense = Affine::new(dense, Some(gaussian(rng, 20, 0.3))).unwrap();
    let dense = GradientField::new(dense, Activation::LeakyRelu { slope: 0.1 }).unwrap();
    let head = Affine::new(Dense::new(4, 36, gaussian(rng, 4 * 36, 1.0)).unwrap(), None).unwrap();
    let layers: Vec<Box<dyn Layer<T>>> = vec![
        Box::new(Normalize::new(input, vec![T::of(0.5)], vec![T::of(0.25)]).unwrap()),
        Box::new(Reshape::space_to_depth(input, 2).unwrap()),
        Box::new(Flow::new(conv, Tableau::euler(), Step::Relative(1.0), 2).unwrap()),
        Box::new(Reshape::flatten(depth)),
        Box::new(Flow::new(dense, Tableau::rk4(), Step::Relative(0.9), 1).unwrap()),
        Box::new(AffineLayer::new(head)),
    ];
    Network::new(input, layers).unwrap()
}

/// The distance of `x` from the nearest decision boundary of a linear classifier over the whole space.
fn linear_margin(network: &Network<f64>, x: &[f64], norm: Norm) -> f64 {
    let shape = network.input();
    let at = |x: &[f64]| network.forward(&Batch::new(shape, x.to_vec()).unwrap()).unwrap().data().to_vec();
    let logits = at(x);
    let zero = at(&vec![0.0; shape.len()]);
    let columns: Vec<Vec<f64>> = (0..shape.len())
        .map(|i| {
            let mut unit = vec![0.0; shape.len()];
            unit[i] = 1.0;
            at(&unit).iter().zip(&zero).map(|(a, b)| a - b).collect()
        })
        .collect();
    let best = (0..logits.len()).fold(0, |b, j| if logits[j] > logits[b] { j } else { b });
    let distance = |j: usize| {
        let w = columns.iter().map(|c| c[best] - c[j]);
        // The dual norm of the difference of the rows.
        let size = if norm == Norm::L2 { w.map(|w| w * w).sum::<f64>().sqrt() } else { w.map(f64::abs).sum() };
        (logits[best] - logits[j]) / size
    };
    (0..logits.len()).filter(|&j| j != best).map(distance).fold(f64::INFINITY, f64::min)
}

#[test]
fn the_margin_of_a_linear_classifier_is_found_within_one_percent() {
    // Of more than two classes, the cross-entropy descends towards a mixture, and a margin can be caught between two.
    for (loss, classes) in [(Loss::Targeted, 5), (Loss::Margin, 2), (Loss::CrossEntropy, 2)] {
        for seed in 0..6 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let network = linear::<f64>(&mut rng, 30, classes);
            let x = uniform(&mut rng, network.input(), 8, [-1.0, 1.0]);
            let labels = predictions(&network, &x).unwrap();
            for norm in [Norm::L2, Norm::Linf] {
                for step_size in [StepSize::Constant(5.0), StepSize::Cosine(4.0)] {
                    for s in 0..x.samples() {
                        let exact = linear_margin(&network, x.sample(s), norm);
                        let attack =
                            Attack { norm, loss, step_size, starts: classes - 1, range: None, ..Attack::default() };
                        let eps = [0.999999 * exact, 1.01 * exact];
                        let found = attack.robust_accuracy(&network, &x.slice(s..s + 1), &labels[s..=s], &eps).unwrap();
                        assert_eq!(found.broken_at(), [Some(1)], "{norm:?} {loss:?} {step_size:?} seed {seed} {s}");
                    }
                }
            }
        }
    }
}

/// Nine classes lead the tenth, whose boundary alone is within reach: a margin follows the leaders wherever it starts.
#[test]
fn a_class_that_is_nearer_than_the_runners_up_is_found() {
    const INPUTS: usize = 200;
    for (classes, wide) in [(3, 10.0), (10, 10.0)] {
        let (mut rows, mut bias) = (vec![0.0; classes * INPUTS], vec![0.0; classes]);
        for j in 1..classes {
            // The boundary to the last class is at a distance of 0.1, all others are at 50 and more.
            let last = j == classes - 1;
            rows[j * INPUTS + j] = if last { wide } else { 0.01 };
            bias[j] = -0.5 * rows[j * INPUTS + j] - if last { 1.0 } else { 0.5 + 0.01 * j as f64 };
        }
        let head = Affine::new(Dense::new(classes, INPUTS, rows).unwrap(), Some(bias)).unwrap();
        let network = Network::<f64>::new(Shape::Features(INPUTS), vec![Box::new(AffineLayer::new(head))]).unwrap();
        let x = Batch::new(network.input(), vec![0.5; INPUTS]).unwrap();
        let found = |attack: Attack| attack.robust_accuracy(&network, &x, &[0], &[0.099, 0.15]).unwrap().accuracy();
        assert_eq!(found(Attack::default()), [1.0, 0.0], "{classes} classes");
        assert_eq!(found(Attack { starts: 1, ..Attack::default() }), [1.0, 0.0]);
        let margin = Attack { loss: Loss::Margin, starts: 10, steps: 200, ..Attack::default() };
        assert_eq!(found(margin), [1.0, 1.0], "the case is an easy one");
    }
}

/// Pixels that were normalized and taken back lie outside by a rounding error: they go no further.
#[test]
fn a_pixel_outside_by_a_rounding_error_keeps_the_range() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let network = mlp::<f32>(&mut rng, &[40, 30, 6], Activation::Relu {});
    let mut x = uniform::<f32>(&mut rng, network.input(), 40, [0.0, 1.0]);
    for s in 0..40 {
        (x.sample_mut(s)[s], x.sample_mut(s)[(s + 1) % 40]) = (-3e-8, 1.0 + f32::EPSILON);
    }
    let labels = predictions(&network, &x).unwrap();
    let attack = Attack { keep_inputs: true, ..Attack::default() };
    let found = attack.robust_accuracy(&network, &x, &labels, &[0.5, 2.0]).unwrap();
    assert!(found.broken().iter().flatten().count() > 20);
    for (s, broken) in found.broken().iter().enumerate() {
        for (&y, &x) in broken.iter().flat_map(|broken| broken.input.as_ref().unwrap()).zip(x.sample(s)) {
            assert!((x.min(0.0)..=x.max(1.0)).contains(&y), "sample {s}: {x} became {y}");
        }
    }
    assert_eq!(pixel_range([-3e-8, 1.0]), Some([0.0, 1.0]));
    for extent in [[-0.01, 1.0], [0.0, 1.01], [0.0, f64::NAN], [-1.0, 1.0]] {
        assert_eq!(pixel_range(extent), None);
    }
    x.data_mut()[7] = -0.01;
    assert!(attack.robust_accuracy(&network, &x, &labels, &[0.5]).is_err());
}

#[test]
fn adversarial_inputs_lie_in_the_ball_and_in_the_range_exactly() {
    fn check<T: Scalar>(seed: u64, norm: Norm, scale: f64) -> usize {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let network = mlp::<T>(&mut rng, &[40, 30, 6], Activation::Relu {});
        // A third of the pixels lie on the limits of the range.
        let mut x = uniform::<T>(&mut rng, network.input(), 70, [-0.25, 1.25]);
        x.data_mut().iter_mut().for_each(|x| *x = T::of(x.wide().clamp(0.0, 1.0)));
        let labels = predictions(&network, &x).unwrap();
        let eps = [0.003, 0.1, 1.0 / 3.0, 1.5].map(|e| e * scale);
        let attack = Attack { norm, keep_inputs: true, seed, first: Start::Random, ..Attack::default() };
        let found = attack.robust_accuracy(&network, &x, &labels, &eps).unwrap();
        for (s, broken) in found.broken().iter().enumerate() {
            let Some(broken) = broken else { continue };
            let input = broken.input.as_ref().unwrap();
            assert!(input.iter().all(|&v| (0.0..=1.0).contains(&v.wide())));
            // Exactly: entries are k·2⁻¹⁴⁹ or coarser in the range, so rationals decide.
            let exact = |x: T| num_rational::BigRational::from_float(x.wide()).unwrap();
            let differences = input.iter().zip(x.sample(s)).map(|(&a, &b)| exact(a) - exact(b));
            let eps = num_rational::BigRational::from_float(eps[found.broken_at()[s].unwrap()]).unwrap();
            match norm {
                Norm::L2 => {
                    let squares: num_rational::BigRational = differences.map(|d| &d * &d).sum();
                    assert!(squares <= &eps * &eps, "sample {s} lies outside of the ball");
                }
                Norm::Linf => differences.for_each(|d| assert!(d <= eps && -d <= eps, "sample {s}")),
            }
            let again = network.forward(&Batch::new(network.input(), input.clone()).unwrap()).unwrap();
            assert_eq!(predictions_of(&again), [broken.prediction]);
            assert_ne!(broken.prediction, labels[s]);
        }
        found.broken().iter().flatten().count()
    }
    for seed in 0..4 {
        for (norm, scale) in [(Norm::L2, 1.0), (Norm::Linf, 0.2)] {
            assert!(check::<f32>(seed, norm, scale) > 10);
            assert!(check::<f64>(seed, norm, scale) > 10);
        }
    }
}

fn predictions_of<T: Scalar>(logits: &Batch<T>) -> Vec<usize> {
    let largest = |l: &[T]| (0..l.len()).fold(0, |b, j| if l[j] > l[b] { j } else { b });
    (0..logits.samples()).map(|s| largest(logits.sample(s))).collect()
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let run = |threads: usize| {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let network = flows::<f32>(&mut rng);
        let x = uniform(&mut rng, network.input(), 200, [0.0, 1.0]);
        let labels = predictions(&network, &x).unwrap();
        let attack = Attack { keep_inputs: true, seed: 5, ..Attack::default() };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| attack.robust_accuracy(&network, &x, &labels, &[0.05, 0.1, 0.2]).unwrap())
    };
    let one = run(1);
    assert!(one.broken().iter().flatten().count() > 20);
    assert_eq!(one, run(2));
    assert_eq!(one, run(3));
}

#[test]
fn a_data_set_is_attacked_as_a_batch_is() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let network = mlp::<f64>(&mut rng, &[3, 8, 4], Activation::Relu {});
    let x = uniform(&mut rng, network.input(), AT_ONCE + 70, [0.0, 1.0]);
    let labels = predictions(&network, &x).unwrap();
    let classes = (0..4).map(|class| class.to_string()).collect();
    let dataset = Dataset::from_pixels(&x, labels.clone(), classes).unwrap();
    // Few steps from random starts: what is found depends on them.
    let attack = Attack { first: Start::Random, steps: 2, starts: 2, ..Attack::default() };
    let eps = [0.4, 1.7];
    let found = attack.robust_accuracy_of(&network, &dataset, &eps, &|_| ()).unwrap();
    assert_eq!(found.broken_at(), attack.robust_accuracy(&network, &x, &labels, &eps).unwrap().broken_at());
    let late = found.broken()[AT_ONCE..].iter().flatten().count();
    assert!(late > 5, "{late} of 70, {:?}", found.accuracy());
}

/// What the program reads lies beside the sample: balls and distances are those of the sample.
#[test]
fn a_sample_that_the_program_rounds_is_the_centre_of_the_ball() {
    // The margin x − 1000 + 1.6 ulp, and a sample that is read as 1000: a number that breaks it is 2 ulp below that.
    let ulp = 2f64.powi(-14);
    let shape = Shape::Features(1);
    let head = Affine::new(Dense::new(2, 1, vec![1.0f32, 0.0]).unwrap(), Some(vec![(1.6 * ulp) as f32, 0.0])).unwrap();
    let layers: Vec<Box<dyn Layer<f32>>> =
        vec![Box::new(Normalize::new(shape, vec![1000.0], vec![1.0]).unwrap()), Box::new(AffineLayer::new(head))];
    let network = Network::new(shape, layers).unwrap();
    let x = Batch::new(shape, vec![1000.0 + 0.475 * ulp]).unwrap();
    let labelled = Dataset::from_samples(&x, vec![0], vec!["a".into(), "b".into()]).unwrap();
    for dataset in [labelled.clone().without_labels(), labelled] {
        let attack = Attack { range: None, ..Attack::default() };
        let broken = |eps: f64| {
            let found = attack.robust_accuracy_of(&network, &dataset, &[eps], &|_| ()).unwrap();
            found.broken()[0].as_ref().map(|broken| broken.distance)
        };
        assert_eq!((broken(0.1 * ulp), broken(2.05 * ulp)), (None, None));
        let (distance, least) = (broken(2.6 * ulp).unwrap(), x.data()[0] - (1000.0 - 2.0 * ulp));
        assert!((least..=2.6 * ulp).contains(&distance), "{} of {}", distance / ulp, least / ulp);
    }
}

#[test]
fn the_seed_matters_and_repeats() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let network = flows::<f64>(&mut rng);
    let x = uniform(&mut rng, network.input(), 50, [0.0, 1.0]);
    let labels = predictions(&network, &x).unwrap();
    let run = |seed: u64| {
        let attack = Attack { keep_inputs: true, seed, first: Start::Random, ..Attack::default() };
        attack.robust_accuracy(&network, &x, &labels, &[0.3]).unwrap()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn mistakes_are_broken_at_every_radius_and_accuracy_descends() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let network = mlp::<f32>(&mut rng, &[20, 30, 5], Activation::Tanh {});
    let x = uniform(&mut rng, network.input(), 100, [0.0, 1.0]);
    let mut labels = predictions(&network, &x).unwrap();
    labels[..10].iter_mut().for_each(|label| *label = (*label + 1) % 5);
    let found = Attack::default().robust_accuracy(&network, &x, &labels, &[0.0, 0.05, 0.1, 0.4]).unwrap();
    assert_eq!(found.clean(), 0.9);
    let accuracy = found.accuracy();
    assert_eq!(accuracy[0], 0.9);
    assert!(accuracy.windows(2).all(|pair| pair[0] >= pair[1]) && accuracy[3] < 0.5, "{accuracy:?}");
    // At ε = 0 nothing is attacked, and mistakes are mistakes.
    let still = Attack::default().robust_accuracy(&network, &x, &labels, &[0.0]).unwrap();
    assert_eq!((still.clean(), still.accuracy()), (0.9, vec![0.9]));
    assert!(found.broken_at()[..10].iter().all(|&at| at == Some(0)));
}

/// Attacks the predictions at radii just below the certified ones, sample by sample.
fn nothing_certified_is_broken<T: Scalar>(sealed: &Sealed<T>, x: &Batch<T>, semantics: Semantics) -> usize {
    let network = sealed.network();
    let labels = predictions(network, x).unwrap();
    let mut certified = 0;
    for (s, sample) in sealed.certify(x, semantics).unwrap().iter().enumerate() {
        let radius = sample.radius.get();
        if radius <= 0.0 {
            continue;
        }
        assert_eq!(sample.prediction, Some(labels[s]));
        certified += 1;
        // Just below the radius; executed logits may differ from the exact ones by a little more than that.
        let below = if semantics == Semantics::Exact { radius * (1.0 - 1e-5) } else { radius.next_down() };
        let eps = [0.5 * radius, below, 1.5 * radius, 50.0 * radius];
        let attack = Attack { range: None, starts: 1, seed: s as u64, ..Attack::default() };
        let found = attack.robust_accuracy(network, &x.slice(s..s + 1), &labels[s..=s], &eps).unwrap();
        for broken in found.broken().iter().flatten() {
            assert!(broken.distance >= below, "broken at {}, certified to {radius}", broken.distance);
        }
        assert!(found.broken_at()[0].is_none_or(|k| k >= 2), "broken within a certified {radius}");
    }
    certified
}

#[test]
fn nothing_certified_is_ever_broken() {
    fn run<T: Scalar>(semantics: Semantics) {
        let mut certified = 0;
        for seed in 0..6 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let networks = [
                linear::<T>(&mut rng, 12, 4),
                mlp(&mut rng, &[10, 12, 8, 4], Activation::Relu {}),
                mlp(&mut rng, &[10, 12, 3], Activation::Softplus {}),
                flows(&mut rng),
            ];
            for network in networks {
                let sealed = network.seal().unwrap();
                let x = uniform(&mut rng, sealed.network().input(), 12, [0.0, 1.0]);
                certified += nothing_certified_is_broken(&sealed, &x, semantics);
            }
        }
        assert!(certified > 200, "{certified}");
    }
    run::<f32>(Semantics::Exact);
    run::<f32>(Semantics::Executed);
    run::<f64>(Semantics::Exact);
    run::<f64>(Semantics::Executed);
}

#[test]
fn senseless_attacks_are_refused() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let network = linear::<f32>(&mut rng, 4, 3);
    let x = uniform(&mut rng, network.input(), 2, [0.0, 1.0]);
    let attack = Attack::default();
    let refused = |attack: &Attack, x: &Batch<f32>, labels: &[usize], eps: &[f64]| {
        attack.robust_accuracy(&network, x, labels, eps).is_err()
    };
    assert!(!refused(&attack, &x, &[0, 1], &[0.1]));
    assert!(refused(&attack, &x, &[0, 3], &[0.1]));
    assert!(refused(&attack, &x, &[0], &[0.1]));
    assert!(refused(&attack, &x, &[0, 1], &[]));
    assert!(refused(&attack, &x, &[0, 1], &[0.2, 0.1]));
    for eps in [-0.1, f64::NAN, f64::INFINITY] {
        assert!(refused(&attack, &x, &[0, 1], &[eps]));
    }
    assert!(refused(&attack, &uniform(&mut rng, Shape::Features(5), 2, [0.0, 1.0]), &[0, 1], &[0.1]));
    assert!(refused(&attack, &uniform(&mut rng, network.input(), 2, [1.5, 2.0]), &[0, 1], &[0.1]));
    let mut nan = x.clone();
    nan.data_mut()[3] = f32::NAN;
    assert!(refused(&Attack { range: None, ..attack.clone() }, &nan, &[0, 1], &[0.1]));
    for broken in [
        Attack { steps: 0, ..attack.clone() },
        Attack { starts: 0, ..attack.clone() },
        Attack { step_size: StepSize::Constant(f64::NAN), ..attack.clone() },
        Attack { step_size: StepSize::Cosine(0.0), ..attack.clone() },
        Attack { range: Some([1.0, 0.0]), ..attack.clone() },
        Attack { range: Some([f64::NAN, 1.0]), ..attack.clone() },
    ] {
        assert!(refused(&broken, &x, &[0, 1], &[0.1]));
    }
}
