//! How tight are the proved constants? The features of a few networks, random and trained: the product of the layers'
//! bounds, the bound with linear maps in a row taken together, the bound with stacks proved by quadratic constraints,
//! and the largest ratio `‖Δy‖/‖Δx‖` that a search finds.
//!
//! `cargo run --release --example tightness -- [SEED]`

use dahlquist::{
    Network, Result, Sealed,
    activation::Activation,
    certificate::Certificate,
    data::synthetic,
    field::ResidualField,
    integrate::Tableau,
    layer::{ActivationLayer, AffineLayer, Flow, Layer, Normalize, Reshape, Step},
    operator::{Affine, Conv2d, Dense, Geometry, MeanPool},
    rigor::torus::PaddingMode,
    tape::Tape,
    tensor::{Batch, Shape},
    train::{MarginCrossEntropy, OneCycle, Optimiser, Recipe, train},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

type Layers = Vec<Box<dyn Layer<f64>>>;

fn main() -> Result<()> {
    let seed = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(1);
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    println!("seed {seed}; every constant is of the features, the layers before the head");
    println!(
        "{:<34} {:>9} {:>9} {:>9} {:>9} {:>8} {:>7}",
        "network", "product", "linear", "stacks", "found", "ratio", "seconds"
    );
    let features = Shape::Features(32);
    report("random 32-64-64-32, relu", mlp(rng, 32, &[64, 64, 32], Activation::Relu {}, 1.4)?, features, rng)?;
    report("random 32-64×6, relu", mlp(rng, 32, &[64; 6], Activation::Relu {}, 1.4)?, features, rng)?;
    let leaky = Activation::LeakyRelu { slope: 0.125 };
    report("random 32-64-64-32, leaky_relu", mlp(rng, 32, &[64, 64, 32], leaky, 1.4)?, features, rng)?;
    report("random 32-64-64-32, tanh", mlp(rng, 32, &[64, 64, 32], Activation::Tanh {}, 1.4)?, features, rng)?;
    report("random, 3 residual blocks of 32", residual(rng, 3)?, features, rng)?;
    let image = Shape::image(3, 16, 16);
    report("random, convolutions and means", convolutions(rng, image)?, image, rng)?;
    for (name, epochs) in [("trained 192-64-64-64, 1 epoch", 1), ("trained 192-64-64-64, 12 epochs", 12)] {
        let (layers, shape) = trained(rng, seed, epochs)?;
        report(name, layers, shape, rng)?;
    }
    Ok(())
}

fn dense(rng: &mut ChaCha8Rng, outputs: usize, inputs: usize, gain: f64) -> Result<Affine<f64>> {
    let scale = gain / (inputs as f64).sqrt();
    let mut draw = |n: usize, scale: f64| (0..n).map(|_| scale * rng.sample::<f64, _>(StandardNormal)).collect();
    Affine::new(Dense::new(outputs, inputs, draw(outputs * inputs, scale))?, Some(draw(outputs, 0.3)))
}

fn mlp(rng: &mut ChaCha8Rng, inputs: usize, widths: &[usize], function: Activation, gain: f64) -> Result<Layers> {
    let (mut layers, mut width): (Layers, _) = (Vec::new(), inputs);
    for &next in widths {
        layers.push(Box::new(AffineLayer::new(dense(rng, next, width, gain)?)));
        layers.push(Box::new(ActivationLayer::new::<f64>(function, Shape::Features(next))?));
        width = next;
    }
    Ok(layers)
}

fn residual(rng: &mut ChaCha8Rng, blocks: usize) -> Result<Layers> {
    let mut layers: Layers = Vec::new();
    for _ in 0..blocks {
        let field = ResidualField::new(dense(rng, 48, 32, 1.0)?, Activation::Relu {}, dense(rng, 32, 48, 1.0)?)?;
        layers.push(Box::new(Flow::new(field, Tableau::euler(), Step::Fixed(0.5), 1)?));
    }
    Ok(layers)
}

fn convolutions(rng: &mut ChaCha8Rng, image: Shape) -> Result<Layers> {
    let mut conv = |input: Shape, outputs: usize| -> Result<Box<dyn Layer<f64>>> {
        let (channels, ..) = input.as_image("a convolution")?;
        let weight = (0..outputs * channels * 9).map(|_| 0.2 * rng.sample::<f64, _>(StandardNormal)).collect();
        let mode = PaddingMode::Zeros;
        let geometry = Geometry { input, outputs, kernel: (3, 3), stride: 1, padding: 1, mode };
        Ok(Box::new(AffineLayer::new(Affine::new(Conv2d::new(geometry, weight)?, None)?)))
    };
    let mut layers: Layers = vec![Box::new(Normalize::new(image, vec![0.5; 3], vec![0.2, 0.3, 0.4])?)];
    let mut pool = |layers: &mut Layers, outputs: usize, size: usize| -> Result<()> {
        let first = conv(layers[layers.len() - 1].output(), outputs)?;
        let means = AffineLayer::new(Affine::new(MeanPool::new(first.output(), size)?, None)?);
        let shape = Layer::<f64>::output(&means);
        layers.extend([first, Box::new(means)]);
        layers.push(Box::new(ActivationLayer::new::<f64>(Activation::Relu {}, shape)?));
        Ok(())
    };
    pool(&mut layers, 8, 2)?;
    pool(&mut layers, 16, 2)?;
    Ok(layers)
}

/// Means over 4 × 4 windows of synthetic images, three matrices with ReLU and a head, trained for accuracy.
fn trained(rng: &mut ChaCha8Rng, seed: u64, epochs: usize) -> Result<(Layers, Shape)> {
    let (data, _) = synthetic::generate(seed, 2000, 1)?;
    let means = MeanPool::new(data.shape(), 4)?;
    let pooled = AffineLayer::new(Affine::<f64>::new(means, None)?);
    let flat = Reshape::flatten(Layer::<f64>::output(&pooled));
    let mut layers: Layers = vec![Box::new(pooled), Box::new(flat)];
    layers.extend(mlp(rng, 192, &[64, 64, 64], Activation::Relu {}, 1.4)?);
    layers.push(Box::new(AffineLayer::new(dense(rng, 10, 64, 1.0)?)));
    let mut network = Network::new(data.shape(), layers)?;
    let recipe = Recipe {
        epochs,
        batch: 100,
        optimiser: Optimiser::ADAM,
        schedule: OneCycle { peak: 0.003, rise: 0.25 },
        loss: MarginCrossEntropy::PLAIN,
        flip: false,
        crop: 0,
        seed,
    };
    train(&mut network, &data, &recipe, |_| {})?;
    let mut layers: Layers = network.layers().map(|layer| layer.widen()).collect();
    layers.pop();
    Ok((layers, data.shape()))
}

fn report(name: &str, layers: Layers, input: Shape, rng: &mut ChaCha8Rng) -> Result<()> {
    let sealed = Network::new(input, layers)?.seal()?;
    let loose = sealed.certificate().clone();
    let start = std::time::Instant::now();
    let sealed = sealed.tighten(512)?;
    let seconds = start.elapsed().as_secs_f64();
    let tight = sealed.certificate();
    let product = Certificate::product(&tight.layers, &[], tight.layers.len());
    let found = found(&sealed, rng);
    let [product, linear, stacks] = [product, loose.lipschitz, tight.lipschitz].map(|bound| bound.get());
    println!(
        "{name:<34} {product:>9.3} {linear:>9.3} {stacks:>9.3} {found:>9.3} {:>8.3} {seconds:>7.2}",
        stacks / found
    );
    Ok(())
}

/// The largest norm of a Jacobian that is found: power iterations at random points, which then wander uphill.
fn found(sealed: &Sealed<f64>, rng: &mut ChaCha8Rng) -> f64 {
    let (layers, input): (Vec<_>, _) = (sealed.network().layers().collect(), sealed.network().input());
    let record = |mut x: Batch<f64>| {
        let mut tapes = Vec::new();
        for layer in &layers {
            let mut tape = Tape::recording();
            x = layer.forward(x, &mut tape);
            tapes.push(tape);
        }
        tapes
    };
    let norm = |x: &Batch<f64>| x.data().iter().map(|x| x * x).sum::<f64>().sqrt();
    let stretch = |x: &Batch<f64>, v: &mut Batch<f64>, rounds: usize| {
        let tapes = record(x.clone());
        let mut ratio = 0.0;
        for _ in 0..rounds {
            let size = norm(v);
            v.data_mut().iter_mut().for_each(|v| *v /= size);
            let y = layers.iter().zip(&tapes).fold(v.clone(), |v, (layer, tape)| layer.jvp(tape, v));
            ratio = norm(&y);
            let w = layers.iter().zip(&tapes).rev().fold(y, |g, (layer, tape)| layer.vjp(tape, g, None));
            if norm(&w) > 0.0 {
                *v = w;
            }
        }
        ratio
    };
    let draw = |rng: &mut ChaCha8Rng, scale: f64| {
        let data = (0..input.len()).map(|_| scale * rng.sample::<f64, _>(StandardNormal)).collect();
        Batch::new(input, data).expect("finite numbers")
    };
    let mut best = 0.0f64;
    for _ in 0..8 {
        let size = [0.3, 1.0, 3.0, 10.0][rng.random_range(0..4)];
        let (mut x, mut v) = (draw(rng, size), draw(rng, 1.0));
        let mut ratio = stretch(&x, &mut v, 20);
        let mut step = size;
        for _ in 0..150 {
            let (mut y, mut w) = (x.clone(), v.clone());
            y.axpy(step, &draw(rng, 1.0));
            let next = stretch(&y, &mut w, 4);
            if next > ratio {
                (x, v, ratio, step) = (y, w, next, 1.2 * step);
            } else {
                step = (0.93 * step).max(1e-3 * size);
            }
        }
        best = best.max(ratio);
    }
    best
}
