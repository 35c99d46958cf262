//! Training: every rule makes the loss smaller, a seed determines the result, and matrices move as their rule says.

use dahlquist::{
    Error, Network,
    activation::Activation,
    data::{Dataset, synthetic},
    field::GradientField,
    integrate::Tableau,
    layer::{AffineLayer, Flow, Layer, Reshape, Step},
    network::Gradient,
    operator::{Affine, Conv2d, Dense, Geometry},
    rigor::torus::PaddingMode,
    tensor::Shape,
    train::{Average, Emma, Loss, MarginCrossEntropy, OneCycle, Optimiser, Recipe, State, train},
};
use faer::Mat;
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;

const IMAGE: Shape = Shape::image(3, 32, 32);
const BLOCKS: Shape = Shape::image(48, 8, 8);
const FEATURES: usize = 3072;

fn normal(n: usize, scale: f64, seed: u64) -> Vec<f32> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| (scale * rng.sample::<f64, _>(StandardNormal)) as f32).collect()
}

fn dense(outputs: usize, seed: u64) -> Affine<f32> {
    let weight = normal(outputs * FEATURES, 0.018, seed);
    Affine::new(Dense::new(outputs, FEATURES, weight).unwrap(), Some(vec![0.0; outputs])).unwrap()
}

fn convolution() -> Affine<f32> {
    let mode = PaddingMode::Zeros;
    let geometry = Geometry { input: BLOCKS, outputs: 8, kernel: (3, 3), stride: 1, padding: 1, mode };
    Affine::new(Conv2d::new(geometry, normal(8 * 48 * 9, 0.05, 1)).unwrap(), Some(vec![0.0; 8])).unwrap()
}

fn flow(map: Affine<f32>) -> Box<dyn Layer<f32>> {
    let field = GradientField::new(map, Activation::Relu {}).unwrap();
    Box::new(Flow::new(field, Tableau::euler(), Step::Relative(1.0), 1).unwrap())
}

/// Layers: blocks, a convolution, flat, a matrix, a head with unit rows.
fn network() -> Network<f32> {
    let layers: Vec<Box<dyn Layer<f32>>> = vec![
        Box::new(Reshape::space_to_depth(IMAGE, 4).unwrap()),
        flow(convolution()),
        Box::new(Reshape::flatten(BLOCKS)),
        flow(dense(12, 2)),
        Box::new(AffineLayer::with_unit_rows(dense(10, 3)).unwrap()),
    ];
    Network::new(IMAGE, layers).unwrap()
}

fn recipe(optimiser: Optimiser, peak: f64) -> Recipe {
    Recipe {
        epochs: 6,
        batch: 16,
        optimiser,
        schedule: OneCycle { peak, rise: 0.2 },
        loss: MarginCrossEntropy { temperature: 0.25, offset: 0.1 }.into(),
        average: None,
        flip: true,
        crop: 1,
        seed: 7,
    }
}

/// The losses of the steps and the parameters afterwards, on one thread.
fn learn(data: &Dataset, recipe: &Recipe) -> (Vec<f64>, Vec<f32>) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        let (mut network, mut losses) = (network(), Vec::new());
        train(&mut network, data, recipe, |progress| losses.push(progress.loss)).unwrap();
        let parameters = network.layers().flat_map(|layer| layer.parameters().concat()).collect();
        (losses, parameters)
    })
}

#[test]
fn every_rule_makes_the_loss_smaller() {
    let (data, _) = synthetic::generate(1, 64, 1).unwrap();
    let sgd = Optimiser::Sgd { momentum: 0.9, weight_decay: 0.0 };
    let emma = Loss::Emma(Emma { temperature: 0.25, radius: 0.1 });
    for (recipe, name) in [
        (recipe(sgd, 0.001), "sgd"),
        (recipe(Optimiser::ADAM, 0.01), "adam"),
        (recipe(Optimiser::MUON, 0.1), "muon"),
        (Recipe { loss: emma, ..recipe(Optimiser::MUON, 0.1) }, "muon, emma"),
    ] {
        let losses = learn(&data, &recipe).0;
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let (first, last) = (mean(&losses[..4]), mean(&losses[losses.len() - 4..]));
        assert!(last < 0.85 * first, "{name}: {first} to {last}");
    }
}

#[test]
fn a_seed_determines_the_result() {
    let (data, _) = synthetic::generate(1, 32, 1).unwrap();
    let recipe = Recipe { epochs: 2, average: Some(0.9), ..recipe(Optimiser::MUON, 0.1) };
    let bits = |recipe: &Recipe| learn(&data, recipe).1.iter().map(|w| w.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&recipe), bits(&recipe));
    assert_ne!(bits(&recipe), bits(&Recipe { seed: 8, ..recipe.clone() }));
}

#[test]
fn averaged_weights_are_kept_in_the_end() {
    let (data, _) = synthetic::generate(1, 32, 1).unwrap();
    let of = |average: Option<f64>| learn(&data, &Recipe { epochs: 2, average, ..recipe(Optimiser::MUON, 0.1) });
    let (last, trivial, averaged) = (of(None), of(Some(0.0)), of(Some(0.9)));
    // With β = 0 the average is the last weights, and no average changes the training.
    let near = last.1.iter().zip(&trivial.1).all(|(a, b)| (a - b).abs() <= 1e-6 * a.abs().max(1.0));
    assert!(near && last.1 != averaged.1);
    assert_eq!(last.0, averaged.0);
}

#[test]
fn matrices_move_along_orthogonal_ones_and_vectors_by_adam() {
    let mut network = network();
    let parameters = |network: &Network<f32>| -> Vec<Vec<Vec<f32>>> {
        network.layers().map(|layer| layer.parameters().iter().map(|p| p.to_vec()).collect()).collect()
    };
    let before = parameters(&network);
    let slots = before
        .iter()
        .enumerate()
        .map(|(i, layer)| layer.iter().enumerate().map(|(j, p)| normal(p.len(), 1.0, (10 * i + j) as u64)).collect());
    let gradient = Gradient(slots.collect());
    let rule = Optimiser::Muon { momentum: 0.9, weight_decay: 0.0, betas: (0.9, 0.99), vector_rate: 0.5 };
    State::new(&network).step(&mut network, &gradient, &rule, 0.1, 1.0);
    let after = parameters(&network);
    for (i, j, rows) in [(1, 0, 8), (1, 1, 1), (3, 0, 12), (3, 1, 1), (4, 0, 1), (4, 1, 1)] {
        let moved: Vec<f64> =
            before[i][j].iter().zip(&after[i][j]).map(|(a, b)| (f64::from(*a) - f64::from(*b)) / 0.1).collect();
        if rows == 1 {
            // The first step of Adam is the sign of the gradient, times its rate.
            let signs = moved.iter().zip(&gradient.0[i][j]).map(|(moved, g)| moved - 0.5 * f64::from(g.signum()));
            assert!(signs.map(f64::abs).fold(0.0, f64::max) < 1e-2, "layer {i}, parameter {j}");
        } else {
            let columns = moved.len() / rows;
            let values = Mat::from_fn(rows, columns, |r, c| moved[r * columns + c]).singular_values().unwrap();
            assert!(values.iter().all(|v| (0.65..1.25).contains(v)), "layer {i}: {values:?}");
        }
    }
}

#[test]
fn emma_needs_a_head_with_rows() {
    let (data, _) = synthetic::generate(1, 16, 1).unwrap();
    let layers: Vec<Box<dyn Layer<f32>>> = vec![Box::new(Reshape::flatten(IMAGE)), flow(dense(4, 1))];
    let mut headless = Network::new(IMAGE, layers).unwrap();
    let loss = Emma { temperature: 0.25, radius: 0.1 }.into();
    let found = train(&mut headless, &data, &Recipe { loss, ..recipe(Optimiser::MUON, 0.1) }, |_| ());
    assert!(matches!(found, Err(Error::NotProved { .. })), "{found:?}");
}

#[test]
fn averages_are_those_of_the_recursion() {
    let dense = Dense::new(1, 2, vec![1.0, -1.0]).unwrap();
    let layer = AffineLayer::new(Affine::new(dense, Some(vec![0.0])).unwrap());
    let mut network = Network::<f64>::new(Shape::Features(2), vec![Box::new(layer)]).unwrap();
    let (mut average, mut expected) = (Average::new(0.5), [0.0; 3]);
    for k in 1..=30_i32 {
        let w = [f64::from(k), f64::from(k * k), 1.0 / f64::from(k)];
        let mut parameters = network.parameters_mut().remove(0);
        parameters[0].copy_from_slice(&w[..2]);
        parameters[1].copy_from_slice(&w[2..]);
        average.add(&network);
        // β is reached at k = 10, where (k − 1)/(k + 8) = 1/2.
        let beta = if k < 10 { f64::from(k - 1) / f64::from(k + 8) } else { 0.5 };
        for (a, w) in expected.iter_mut().zip(w) {
            *a = beta * *a + (1.0 - beta) * w;
        }
    }
    average.install(&mut network);
    let found: Vec<f64> = network.layers().flat_map(|layer| layer.parameters().concat()).collect();
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-12 * expected.abs(), "{found} for {expected}");
    }
}
