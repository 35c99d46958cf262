//! The families of stable networks side by side: the same data, budget and nearly the same number of parameters.
//!
//! ```text
//! cargo run --release --example compare_architectures                 synthetic images; each family says how long it took
//! cargo run --release --example compare_architectures -- --data DIR   CIFAR-10 from its binary layout
//! cargo run --release --example compare_architectures -- --smoke      a few images: does everything work?
//! ```
//!
//! Each network is three flows of its family on 48 × 8 × 8 features (an isometry of the image), two Euler-like steps each, and a head
//! with rows of norm 1. For each: accuracy, clean, under PGD and certified at 36/255; the proved Lipschitz constant of the features
//! and how much of it a search found; the range of `‖Jᵀg‖` for unit `g`, the gradients that reach the input.
//!
//! Steps of the gradient flow follow the proved norm, so that only the direction of its weights counts: as a second family it is
//! trained by orthogonalized momentum, which moves every direction by the same length, and as a third one its weights vary from
//! step to step besides. All others are trained by Adam. They have a fixed length and no constraint in training: their constant is
//! what it turns out to be, and the table shows the price.

#[path = "../chart/mod.rs"]
mod chart;
#[path = "../chart/lines.rs"]
mod lines;
mod networks;

use std::path::PathBuf;

use clap::Parser;
use dahlquist::{
    Error, Result, Sealed, Semantics,
    attack::{Attack, Falsifier},
    data::{Dataset, cifar10, synthetic},
    tensor::Batch,
    train::{MarginCrossEntropy, OneCycle, Optimiser, Recipe, train},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::{
    lines::Line,
    networks::{Family, SPACE, Weights, network},
};

/// The families side by side.
#[derive(Parser)]
struct Options {
    /// A directory with CIFAR-10 in its binary layout; without it, synthetic images are drawn.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Passes over the training images.
    #[arg(long, default_value_t = 3)]
    epochs: usize,
    /// Where the picture is written.
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
    /// A few images: does everything work?
    #[arg(long)]
    smoke: bool,
}

const EPS: f64 = 36.0 / 255.0;

/// The least and the largest `‖Jᵀg‖` at the images, for unit `g` before the head.
fn gradients(sealed: &Sealed<f32>, images: &Batch<f32>, weights: &mut Weights) -> Result<[f64; 2]> {
    let network = sealed.network();
    let count = network.layers().len() - 2;
    let (_, tape) = network.forward_recording(images.clone())?;
    let mut g = Batch::new(SPACE, weights.draw(images.samples() * SPACE.len(), 1.0))?;
    let before = g.norms_up();
    for (i, layer) in network.layers().enumerate().take(count).collect::<Vec<_>>().into_iter().rev() {
        g = layer.vjp(tape.inner(i), g, None);
    }
    let ratios = g.norms_up().into_iter().zip(before).map(|(a, b)| a / b);
    Ok(ratios.fold([f64::INFINITY, 0.0], |[low, high], r| [low.min(r), high.max(r)]))
}

fn main() -> Result<()> {
    let options = Options::parse();
    std::fs::create_dir_all(&options.out).map_err(|e| Error::file(&options.out, e))?;
    let (train_count, test_count) = if options.smoke { (128, 16) } else { (6_000, 400) };
    let (train_set, test_set) = match &options.data {
        Some(dir) => {
            let (train, test) = cifar10::load(dir)?;
            let first = |set: &Dataset, n: usize| set.subset(&(0..n.min(set.len())).collect::<Vec<_>>());
            (
                first(&train, if options.smoke { 256 } else { 50_000 })?,
                first(&test, if options.smoke { 40 } else { 1_000 })?,
            )
        }
        None => synthetic::generate(1, train_count, test_count)?,
    };
    let images: Batch<f32> = test_set.batch(&(0..test_set.len()).collect::<Vec<_>>())?;
    let few = images.slice(0..images.samples().min(if options.smoke { 4 } else { 64 }));
    println!(
        "{:14} {:>8} {:>6} {:>6} {:>9} {:>11} {:>8} {:>17} {:>5}",
        "family", "params", "clean", "PGD", "certified", "Lipschitz ≤", "found ≥", "gradients", "s"
    );
    let mut drawn = Vec::new();
    for (k, family) in Family::ALL.into_iter().enumerate() {
        let start = std::time::Instant::now();
        let mut network = network(family)?;
        let (optimiser, peak, rise) = match family {
            Family::Orthogonalized | Family::Varying => (Optimiser::MUON, 0.2, 0.1),
            _ => (Optimiser::Adam { betas: (0.9, 0.99), weight_decay: 0.05 }, 0.005, 0.25),
        };
        let recipe = Recipe {
            epochs: if options.smoke { 1 } else { options.epochs },
            batch: 128,
            optimiser,
            schedule: OneCycle { peak, rise },
            loss: MarginCrossEntropy { temperature: 0.25, offset: 0.3 }.into(),
            average: None,
            flip: true,
            crop: 0,
            seed: 1,
        };
        train(&mut network, &train_set, &recipe, |_| ())?;
        let sealed = network.seal()?;
        let attack = Attack { steps: if options.smoke { 5 } else { 20 }, starts: 1, ..Attack::default() };
        let found = attack.robust_accuracy(sealed.network(), &images, test_set.labels(), &[EPS])?;
        let claims = sealed.certify(&images, Semantics::Exact)?;
        let certified = |eps: f64| {
            let holds =
                claims.iter().zip(test_set.labels()).filter(|(c, y)| c.prediction == Some(**y) && c.holds_at(eps));
            100.0 * holds.count() as f64 / claims.len() as f64
        };
        let (rounds, batch) = if options.smoke { (1, 2) } else { (4, 32) };
        let falsifier = Falsifier { seconds: 0.0, rounds: Some(rounds), batch, ..Falsifier::default() };
        let search = falsifier.run(&sealed, Some(&few))?;
        let ratio = search.features.as_ref().map_or(f64::NAN, |features| features.estimate);
        let [low, high] = gradients(&sealed, &few, &mut Weights(ChaCha8Rng::seed_from_u64(2)))?;
        println!(
            "{:14} {:>8} {:>6.1} {:>6.1} {:>9.1} {:>11.4} {ratio:>8.4} {:>17} {:>5.0}",
            family.name(),
            sealed.network().parameter_count(),
            100.0 * found.clean(),
            100.0 * found.accuracy()[0],
            certified(EPS),
            sealed.features().get(),
            format!("{low:.1e} … {high:.1e}"),
            start.elapsed().as_secs_f64()
        );
        if search.refuted() || certified(EPS) > 100.0 * found.accuracy()[0] {
            return Err(Error::NotProved { what: family.name(), reason: "a claim was refuted".into() });
        }
        let curve = (0..=100).map(|i| f64::from(i) / 200.0).map(|eps| (eps, certified(eps)));
        drawn.push(Line::new(family.name(), curve.collect(), k));
    }
    let path = options.out.join("compare_architectures.svg");
    chart::write(&path, (760, 460), |root| {
        lines::draw(root, "certified accuracy", ["ε (ℓ2, pixels in [0, 1])", "accuracy (%)"], &drawn)
    })?;
    println!("written: {}", path.display());
    Ok(())
}
