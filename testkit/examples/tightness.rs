//! How tight are the proved constants? A few networks, random and trained: the product of the layers' bounds, the bound
//! with linear maps in a row taken together, the bound with stacks proved by quadratic constraints, and the largest
//! ratio `‖Δy‖/‖Δx‖` that a search finds. For trained ones also the median radius of held-out samples: by the product,
//! with stacks, and locally, where neurons that cannot switch within the ball are fixed.
//!
//! `cargo run --release -p dahlquist-testkit --example tightness -- [SEED]`

use dahlquist::{
    Network, Result, Semantics,
    activation::Activation,
    attack::Falsifier,
    certificate::Certificate,
    certify::SampleCertificate,
    data::synthetic,
    field::ResidualField,
    layer::{ActivationLayer, AffineLayer, Flow, Layer, Normalize, Reshape, Step},
    operator::{Affine, Conv2d, Dense, Geometry, MeanPool},
    rigor::{Upper, torus::PaddingMode},
    tableau::Tableau,
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
    println!("seed {seed}; no network has a head");
    println!(
        "{:<36} {:>9} {:>9} {:>9} {:>9} {:>8} {:>7}",
        "network", "product", "linear", "stacks", "found", "ratio", "seconds"
    );
    let features = Shape::Features(32);
    report("random 32-64-64-32, relu", mlp(rng, 32, &[64, 64, 32], Activation::Relu {}, 1.4)?, features, seed)?;
    report("random 32-64×6, relu", mlp(rng, 32, &[64; 6], Activation::Relu {}, 1.4)?, features, seed)?;
    let leaky = Activation::LeakyRelu { slope: 0.125 };
    report("random 32-64-64-32, leaky_relu", mlp(rng, 32, &[64, 64, 32], leaky, 1.4)?, features, seed)?;
    report("random 32-64-64-32, tanh", mlp(rng, 32, &[64, 64, 32], Activation::Tanh {}, 1.4)?, features, seed)?;
    report("random, 3 residual blocks of 32", residual(rng, 3)?, features, seed)?;
    let image = Shape::image(3, 16, 16);
    report("random, convolutions and means", convolutions(rng, image)?, image, seed)?;
    for (name, epochs) in [("trained 192-64-64-64-10, 1 epoch", 1), ("trained 192-64-64-64-10, 12 epochs", 12)] {
        let (network, held_out) = trained(rng, seed, epochs)?;
        radii(name, network, &held_out)?;
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

/// Means over 4 × 4 windows of synthetic images, three matrices with ReLU and a head, trained for accuracy; and images
/// that it has not seen.
fn trained(rng: &mut ChaCha8Rng, seed: u64, epochs: usize) -> Result<(Network<f64>, Batch<f64>)> {
    let (data, held_out) = synthetic::generate(seed, 2000, 100)?;
    let pooled = AffineLayer::new(Affine::<f64>::new(MeanPool::new(data.shape(), 4)?, None)?);
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
        loss: MarginCrossEntropy::PLAIN.into(),
        average: None,
        flip: false,
        crop: 0,
        seed,
    };
    train(&mut network, &data, &recipe, |_| {})?;
    let all: Vec<usize> = (0..held_out.len()).collect();
    Ok((network, held_out.batch(&all)?))
}

fn radii(name: &str, network: Network<f64>, x: &Batch<f64>) -> Result<()> {
    let sealed = network.seal()?;
    let median = |claims: Vec<SampleCertificate>| {
        let mut radii: Vec<f64> = claims.iter().map(|claim| claim.radius.get()).collect();
        radii.sort_by(f64::total_cmp);
        radii[radii.len() / 2]
    };
    let product = median(sealed.certify(x, Semantics::Exact)?);
    let sealed = sealed.tighten(512)?;
    let stacks = median(sealed.certify(x, Semantics::Exact)?);
    let start = std::time::Instant::now();
    let local = median(sealed.certify_locally(x, Semantics::Exact)?);
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{name:<36} median radius {product:.4}, with stacks {stacks:.4}, local {local:.4} in {seconds:.2} s for {} samples",
        x.samples()
    );
    Ok(())
}

fn report(name: &str, layers: Layers, input: Shape, seed: u64) -> Result<()> {
    let sealed = Network::new(input, layers)?.seal()?;
    let linear = sealed.certificate().bound();
    let start = std::time::Instant::now();
    let sealed = sealed.tighten(512)?;
    let seconds = start.elapsed().as_secs_f64();
    let tight = sealed.certificate();
    let product = tight.layers().map(Certificate::bound).product::<Upper>();
    let falsifier = Falsifier { rounds: Some(20), seed, ..Falsifier::default() };
    let found = falsifier.run(&sealed, None)?.network.estimate;
    let [product, linear, stacks] = [product, linear, tight.bound()].map(|bound| bound.get());
    println!(
        "{name:<36} {product:>9.3} {linear:>9.3} {stacks:>9.3} {found:>9.3} {:>8.3} {seconds:>7.2}",
        stacks / found
    );
    Ok(())
}
