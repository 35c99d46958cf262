//! What rounding costs: certified radii of networks as executed against those over the real numbers, and the time of
//! each.
//!
//! ```text
//! cargo run --release -p dahlquist-testkit --example rounding_cost    synthetic images, a few seconds of training
//! cargo run --release -p dahlquist-testkit --example rounding_cost -- --data DIR    CIFAR-10 from its binary layout
//! cargo run --release -p dahlquist-testkit --example rounding_cost -- --help
//! ```
//!
//! Two networks: the flow network of the `cifar10_toy` example, with sums of 432 to 3072 terms, and a dense ReLU
//! network 784–128×8–10 with orthogonal matrices. *kept* is the median over the certified test images of the executed
//! radius divided by the exact one; *certified* counts images of any label, executed of exact; *passes* is the time of
//! certification over that of a plain forward pass of the same network.

use std::path::PathBuf;

use clap::Parser;
use dahlquist::{
    Error, Network, Result, Sealed, Semantics,
    activation::Activation,
    certify::{SealOptions, Summation},
    data::{
        Dataset, cifar10,
        synthetic::{self, Difficulty},
    },
    field::GradientField,
    layer::{ActivationLayer, AffineLayer, Flow, Layer, Reshape, Step},
    network::{self, AnyNetwork},
    operator::{Affine, Conv2d, Dense, Geometry},
    rigor::torus::PaddingMode,
    scalar::Scalar,
    tableau::Tableau,
    tensor::{Batch, Shape},
    train::{MarginCrossEntropy, OneCycle, Optimiser, Recipe, train},
};
use faer::{Mat, Scale};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

#[derive(Parser)]
struct Options {
    /// The directory of CIFAR-10 in its binary layout; synthetic images without it.
    #[arg(long)]
    data: Option<PathBuf>,
    /// The number of images that each network is trained on.
    #[arg(long, default_value_t = 4000)]
    train: usize,
    /// The number of images that are certified.
    #[arg(long, default_value_t = 1000)]
    test: usize,
    /// Passes over the training images.
    #[arg(long, default_value_t = 2)]
    epochs: usize,
    /// How often the dense network is trained on 256 images, and made orthogonal again.
    #[arg(long, default_value_t = 100)]
    rounds: usize,
    /// Only the dense network.
    #[arg(long)]
    dense_only: bool,
    /// Only this trained model, in f32.
    #[arg(long, requires = "data")]
    model: Option<PathBuf>,
    /// The seed of weights, images and training.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let (images, tests) = match &options.data {
        Some(dir) => cifar10::load(dir)?,
        None => synthetic::generate(options.seed, options.train, options.test)?,
    };
    if let Some(model) = &options.model {
        let tests = tests.subset(&(0..options.test.min(tests.len())).collect::<Vec<_>>())?;
        println!("{}, {} images", model.display(), tests.len());
        let (AnyNetwork::F32(network), AnyNetwork::F32(other)) = (network::load(model)?, network::load(model)?) else {
            return Err(Error::Parameter { name: "model", value: "f64".into(), reason: "f32 is wanted".into() });
        };
        return report(network, other, &tests);
    }
    let images = images.subset(&(0..options.train.min(images.len())).collect::<Vec<_>>())?;
    let tests = tests.subset(&(0..options.test.min(tests.len())).collect::<Vec<_>>())?;
    let weights = || Weights(ChaCha8Rng::seed_from_u64(options.seed));
    let recipe = Recipe {
        epochs: options.epochs,
        batch: 64,
        optimiser: Optimiser::ADAM,
        schedule: OneCycle { peak: 0.003, rise: 0.3 },
        loss: MarginCrossEntropy { temperature: 0.25, offset: 0.15 }.into(),
        average: None,
        flip: true,
        crop: 0,
        seed: options.seed,
    };

    if !options.dense_only {
        println!("flow network, {} images", tests.len());
        let mut network = flows(&mut weights())?;
        train(&mut network, &images, &recipe, |_| ())?;
        report(network, flows(&mut weights())?, &tests)?;
    }

    let mut ink = Difficulty::default();
    (ink.position_jitter, ink.rotation, ink.clutter, ink.background) = (1.0, 0.05, 0, 0.02);
    (ink.saturation, ink.hue_jitter, ink.cue_norm) = (0.4, 0.2, 0.0);
    let (images, tests) = synthetic::generate_with(&ink, options.seed, options.train, 10_000)?;
    let (images, tests) = (small(&images)?, small(&tests)?);
    println!("dense network 784–128×8–10, {} images", tests.len());
    let few = |round: usize| (0..256).map(|i| (256 * round + i) % images.len()).collect::<Vec<_>>();
    let mut network = dense(&mut weights())?;
    for round in 0..options.rounds {
        orthogonalise(&mut network);
        let peak = 0.004 * (1.0 - round as f64 / options.rounds as f64);
        let recipe = Recipe { epochs: 1, schedule: OneCycle { peak, rise: 0.0 }, seed: round as u64, ..recipe.clone() };
        train(&mut network, &images.subset(&few(round))?, &recipe, |_| ())?;
    }
    orthogonalise(&mut network);
    report(network, dense(&mut weights())?, &tests)
}

/// Certifies a trained network, and a copy of it in `other`, in both orders of summation and both formats.
fn report(mut network: Network<f32>, mut other: Network<f32>, tests: &Dataset) -> Result<()> {
    let images: Batch<f32> = tests.batch(&(0..tests.len()).collect::<Vec<_>>())?;
    for (to, from) in other.parameters_mut().into_iter().flatten().zip(network.parameters_mut().into_iter().flatten()) {
        to.copy_from_slice(from);
    }
    other.prepare();
    let start = clock();
    let any = network.seal()?;
    let norms = clock() - start;
    println!("  accuracy {:.3}", accuracy(&any, &images, tests.labels())?);
    println!("  norms {:.2} s, Lipschitz constant {:.4}", norms, any.certificate().bound());
    let declared = other.seal_with(SealOptions { summation: Summation::Declared, ..SealOptions::default() })?;
    // In turns, and the best of several: other programs disturb less.
    let mut forward = [f64::INFINITY; 2];
    for _ in 0..10 {
        forward[0] = forward[0].min(time(|| any.forward(&images))?);
        forward[1] = forward[1].min(time(|| declared.forward(&images))?);
    }
    println!(
        "  a forward pass of f32: any {:.3} s, declared {:.3} s: {:.2} times",
        forward[0],
        forward[1],
        forward[1] / forward[0]
    );
    compare("f32, any", &any, &images)?;
    compare("f32, declared", &declared, &images)?;
    compare("f64, any", &any.network().widen().seal()?, &images.cast())
}

fn accuracy(sealed: &Sealed<f32>, images: &Batch<f32>, labels: &[usize]) -> Result<f64> {
    let claims = sealed.certify(images, Semantics::Executed)?;
    let correct = claims.iter().zip(labels).filter(|(claim, label)| claim.prediction == Some(**label)).count();
    Ok(correct as f64 / labels.len() as f64)
}

fn compare<T: Scalar>(name: &str, sealed: &Sealed<T>, images: &Batch<T>) -> Result<()> {
    let semantics = [Semantics::Exact, Semantics::Executed];
    let [exact, executed] = semantics.map(|semantics| -> Result<Vec<f64>> {
        Ok(sealed.certify(images, semantics)?.iter().map(|claim| claim.radius.get()).collect())
    });
    let (exact, executed) = (exact?, executed?);
    // In turns, and the best of several.
    let mut times = [f64::INFINITY; 3];
    for _ in 0..5 {
        times[0] = times[0].min(time(|| sealed.forward(images))?);
        for (best, semantics) in times[1..].iter_mut().zip(semantics) {
            *best = best.min(time(|| sealed.certify(images, semantics))?);
        }
    }
    let pairs = exact.iter().zip(&executed).filter(|(exact, _)| **exact > 0.0);
    let mut kept: Vec<f64> = pairs.map(|(exact, run)| run / exact).collect();
    kept.sort_by(f64::total_cmp);
    let at = |radii: &[f64], eps: f64| radii.iter().filter(|radius| **radius > eps).count();
    println!(
        "  {name:14} kept {:.7} (worst tenth {:.7}); certified {} of {}, at 36/255 {} of {}; passes: exact {:.2}, executed {:.2}",
        kept[kept.len() / 2],
        kept[kept.len() / 10],
        at(&executed, 0.0),
        at(&exact, 0.0),
        at(&executed, 36.0 / 255.0),
        at(&exact, 36.0 / 255.0),
        times[1] / times[0],
        times[2] / times[0],
    );
    Ok(())
}

fn time<R>(run: impl FnOnce() -> Result<R>) -> Result<f64> {
    let start = clock();
    run()?;
    Ok(clock() - start)
}

/// Seconds of processor time of all threads, where the system tells them; else seconds.
fn clock() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let spent = threads.filter_map(|thread| {
        let line = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        line.split(' ').next()?.parse::<f64>().ok()
    });
    let spent: f64 = spent.sum();
    if spent > 0.0 { spent * 1e-9 } else { std::time::UNIX_EPOCH.elapsed().map_or(0.0, |t| t.as_secs_f64()) }
}

/// Replaces every matrix by the orthogonal one next to it (Newton's iteration `W ← W(3I − WᵀW)/2`).
fn orthogonalise(network: &mut Network<f32>) {
    let shapes: Vec<(usize, usize)> = network.layers().map(|l| (l.output().len(), l.input().len())).collect();
    for (slots, (rows, columns)) in network.parameters_mut().into_iter().zip(shapes) {
        let Some(weight) = slots.into_iter().next() else { continue };
        let mut w = Mat::from_fn(rows, columns, |i, j| f64::from(weight[i * columns + j]));
        let gram = &w * w.transpose();
        w = &w * Scale((0..rows).map(|i| (0..rows).map(|j| gram[(i, j)].abs()).sum()).fold(0.0, f64::max).powf(-0.5));
        for _ in 0..20 {
            w = &w * Scale(1.5) - (&w * w.transpose()) * &w * Scale(0.5);
        }
        for (i, weight) in weight.iter_mut().enumerate() {
            *weight = w[(i / columns, i % columns)] as f32;
        }
    }
}

/// Normally distributed weights.
struct Weights(ChaCha8Rng);

impl Weights {
    fn draw(&mut self, count: usize, deviation: f64) -> Vec<f32> {
        let normal = StandardNormal.sample_iter(&mut self.0);
        normal.take(count).map(|x: f64| (deviation * x) as f32).collect()
    }

    fn dense(&mut self, inputs: usize, outputs: usize, gain: f64) -> Result<Affine<f32>> {
        let weight = self.draw(outputs * inputs, gain / (inputs as f64).sqrt());
        Affine::new(Dense::new(outputs, inputs, weight)?, Some(vec![0.0; outputs]))
    }
}

/// Blocks of 4 × 4 pixels, three convolutional and three dense Euler steps of gradient fields, a head with unit rows.
fn flows(weights: &mut Weights) -> Result<Network<f32>> {
    let (image, blocks) = (Shape::image(3, 32, 32), Shape::image(48, 8, 8));
    let flow = |map| -> Result<Box<dyn Layer<f32>>> {
        let field = GradientField::new(map, Activation::Relu {})?;
        Ok(Box::new(Flow::new(field, Tableau::euler(), Step::Relative(1.0), 1)?))
    };
    let mut layers: Vec<Box<dyn Layer<f32>>> = vec![Box::new(Reshape::space_to_depth(image, 4)?)];
    for _ in 0..3 {
        let geometry =
            Geometry { input: blocks, outputs: 48, kernel: (3, 3), stride: 1, padding: 1, mode: PaddingMode::Zeros };
        let weight = weights.draw(48 * 48 * 9, 1.0 / (48.0f64 * 9.0).sqrt());
        layers.push(flow(Affine::new(Conv2d::new(geometry, weight)?, Some(vec![0.0; 48]))?)?);
    }
    layers.push(Box::new(Reshape::flatten(blocks)));
    for _ in 0..3 {
        layers.push(flow(weights.dense(blocks.len(), 512, 1.0)?)?);
    }
    layers.push(Box::new(AffineLayer::with_unit_rows(weights.dense(blocks.len(), 10, 1.0)?)?));
    Network::new(image, layers)
}

/// Eight hidden layers of 128 ReLUs on 784 features.
fn dense(weights: &mut Weights) -> Result<Network<f32>> {
    let image = Shape::image(1, 28, 28);
    let mut layers: Vec<Box<dyn Layer<f32>>> = vec![Box::new(Reshape::flatten(image))];
    for inputs in [784, 128, 128, 128, 128, 128, 128, 128] {
        layers.push(Box::new(AffineLayer::new(weights.dense(inputs, 128, 1.4)?)));
        layers.push(Box::new(ActivationLayer::new::<f32>(Activation::Relu {}, Shape::Features(128))?));
    }
    layers.push(Box::new(AffineLayer::new(weights.dense(128, 10, 1.0)?)));
    Network::new(image, layers)
}

/// The middle 28 × 28 pixels of the images, as ink: twice the largest distance of a colour from grey.
fn small(data: &Dataset) -> Result<Dataset> {
    let images: Batch<f32> = data.batch(&(0..data.len()).collect::<Vec<_>>())?;
    let mut ink = Vec::with_capacity(784 * data.len());
    for s in 0..data.len() {
        let colour = |p: usize, c: usize| 2.0 * (images.sample(s)[c * 1024 + p] - 0.5).abs();
        let pixel = |p: usize| (0..3).map(|c| colour(p, c)).fold(0.0, f32::max).min(1.0);
        ink.extend((0..784).map(|i| pixel((i / 28 + 2) * 32 + i % 28 + 2)));
    }
    let names = data.class_names().to_vec();
    Dataset::from_samples(&Batch::new(Shape::image(1, 28, 28), ink)?, data.labels().to_vec(), names)
}
