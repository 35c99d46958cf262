//! Trains a deep ReLU network, 784–128×8–10, on synthetic images, and writes its witness: the certificate in
//! exact integers that the verified checker reads.
//!
//! ```text
//! cargo run --release --example witness -- --out out
//! make -C proofs
//! proofs/checker/check-witness out/relu.txt out/relu.safetensors out/relu_samples.safetensors
//! ```
//!
//! Nothing makes this network stable: its Lipschitz bound is the product of nine norms. What is shown is that a
//! certificate of a network as it comes out of training can be validated by a program that was proved to be correct.

use std::path::PathBuf;

use clap::Parser;
use dahlquist::{
    Network, Result,
    activation::Activation,
    data::{
        Dataset, samples,
        synthetic::{self, Difficulty},
    },
    layer::{ActivationLayer, AffineLayer, Layer, Reshape},
    model::Model,
    network,
    operator::{Affine, Dense},
    tensor::{Batch, Shape},
    train::{MarginCrossEntropy, OneCycle, Optimiser, Recipe, train},
    witness::Witness,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Trains a ReLU network and writes its model, its samples and its witness.
#[derive(Debug, Parser)]
struct Options {
    /// Where the files are written.
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
    /// The number of images for training.
    #[arg(long, default_value_t = 4000)]
    images: usize,
    /// The number of passes over them.
    #[arg(long, default_value_t = 10)]
    epochs: usize,
    /// The number of test images whose margins are claimed.
    #[arg(long, default_value_t = 100)]
    claims: usize,
}

const SIDE: usize = 28;
const IMAGE: Shape = Shape::image(1, SIDE, SIDE);
const WIDTHS: [usize; 10] = [SIDE * SIDE, 128, 128, 128, 128, 128, 128, 128, 128, 10];

fn main() -> Result<()> {
    let options = Options::parse();
    std::fs::create_dir_all(&options.out).map_err(|e| dahlquist::Error::file(&options.out, e))?;
    // Plainer images than those of the other examples: dense layers know nothing of shapes that move.
    let plain = Difficulty { cue_norm: 2.0, clutter: 0, position_jitter: 1.0, ..Difficulty::default() };
    let (training, test) = synthetic::generate_with(&plain, 1, options.images, options.claims)?;
    let (training, test) = (red(&training)?, red(&test)?);

    let mut network = relu(1)?;
    let recipe = Recipe {
        epochs: options.epochs,
        batch: 100,
        optimiser: Optimiser::ADAM,
        schedule: OneCycle { peak: 1e-3, rise: 0.2 },
        loss: MarginCrossEntropy::PLAIN.into(),
        average: None,
        flip: false,
        crop: 0,
        seed: 1,
    };
    train(&mut network, &training, &recipe, |p| {
        if p.step % (p.steps / 5).max(1) == 0 {
            println!("step {} of {}: loss {:.3}, accuracy {:.2}", p.step, p.steps, p.loss, p.accuracy);
        }
    })?;

    let path = options.out.join("relu.safetensors");
    network::save(&network, &path)?;
    let samples_path = options.out.join("relu_samples.safetensors");
    samples::save::<f32>(&samples_path, &test)?;
    let test = samples::open(&samples_path, Some(WIDTHS[9]))?;

    // What the witness says is about the file.
    let model = Model::read(&path)?;
    let mut witness = Witness::new(&model, 0..model.map().layers().len(), true)?;
    let sealed = network.seal()?;
    witness.about_samples(&test)?;
    for (number, sample) in sealed.gaps(&test.batch::<f64>(&(0..test.len()).collect::<Vec<_>>())?)?.iter().enumerate() {
        witness.claim_margin(number, sample)?;
    }
    let path = options.out.join("relu.txt");
    witness.write(&path)?;
    println!("{}: Lipschitz constant of the features at most {},", path.display(), witness.lipschitz());
    println!("{} in the certificate; margins of {} samples", sealed.features(), witness.margins());
    Ok(())
}

/// Dense layers with ReLU between them, drawn as He et al. say.
fn relu(seed: u64) -> Result<Network<f32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut layers: Vec<Box<dyn Layer<f32>>> = vec![Box::new(Reshape::flatten(IMAGE))];
    for (i, pair) in WIDTHS.windows(2).enumerate() {
        let (inputs, outputs) = (pair[0], pair[1]);
        if i > 0 {
            layers.push(Box::new(ActivationLayer::new::<f32>(Activation::Relu {}, Shape::Features(inputs))?));
        }
        let deviation = (2.0 / inputs as f64).sqrt();
        let normal = StandardNormal.sample_iter(&mut rng).take(outputs * inputs);
        let weight = normal.map(|x: f64| (deviation * x) as f32).collect();
        let map = Affine::new(Dense::new(outputs, inputs, weight)?, Some(vec![0.0; outputs]))?;
        layers.push(Box::new(AffineLayer::new(map)));
    }
    Network::new(IMAGE, layers)
}

/// The middle 28 × 28 pixels of each image in red.
fn red(images: &Dataset) -> Result<Dataset> {
    let x: Batch<f32> = images.batch(&(0..images.len()).collect::<Vec<_>>())?;
    let (_, height, width) = x.shape().as_image("an image")?;
    let (top, left) = ((height - SIDE) / 2, (width - SIDE) / 2);
    let middle = |s: usize| (0..SIDE).flat_map(move |i| (0..SIDE).map(move |j| (s, (top + i) * width + left + j)));
    let data = (0..x.samples()).flat_map(middle).map(|(s, pixel)| x.sample(s)[pixel]).collect();
    Dataset::from_samples(&Batch::new(IMAGE, data)?, images.labels().to_vec(), images.class_names().to_vec())
}
