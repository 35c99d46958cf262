//! A residual network against a non-expansive one with a horizon `T`, under attack: the experiment of the chapter.
//!
//! ```text
//! cargo run --release --example chapter_toy -- --data DIR      Fashion-MNIST from the four IDX files in DIR: 30,000 training and
//!                                                              1,000 test images, some minutes on 2 cores
//! cargo run --release --example chapter_toy                    synthetic images, about two minutes
//! cargo run --release --example chapter_toy -- --smoke         seconds
//! ```
//!
//! Both see the pixels as a vector. The non-expansive network integrates three gradient fields, each over a time `T` by as many
//! Euler steps as are *proved* to be needed for a Lipschitz constant of 1; the other one has residual blocks with as many
//! parameters. Both are attacked by ℓ2 PGD with 100 iterations at 8 radii: an upper bound of their robust accuracy. The certified
//! accuracy, proved, is a lower bound; the residual network has one as well, which its Lipschitz constant makes useless.
//!
//! Source: Ehrhardt, Murari, Sherry, arXiv:2510.22299, whose exact widths and learning rates are not documented: these are ours.

#[path = "../chart/mod.rs"]
mod chart;
#[path = "../chart/lines.rs"]
mod lines;
mod networks;

use std::path::{Path, PathBuf};

use clap::Parser;
use dahlquist::{
    Error, Result, Semantics,
    attack::Attack,
    data::{Dataset, idx, synthetic},
    model::Map,
    tensor::Batch,
    train::{MarginCrossEntropy, OneCycle, Optimiser, Recipe, train},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::{
    lines::Line,
    networks::{CLASSES, network},
};

/// A residual network against a non-expansive one, under attack.
#[derive(Parser)]
struct Options {
    /// A directory with the IDX files of Fashion-MNIST or MNIST; without it, synthetic images are drawn.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The horizon of each of the three flows.
    #[arg(long, default_value_t = 2.0)]
    horizon: f64,
    /// Passes over the training images.
    #[arg(long, default_value_t = 5)]
    epochs: usize,
    /// The iterations of PGD.
    #[arg(long, default_value_t = 100)]
    iterations: usize,
    /// Where the picture is written.
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
    /// Seconds: does everything work?
    #[arg(long)]
    smoke: bool,
}

/// The radii: ℓ2, pixels in `[0, 1]`.
const EPS: [f64; 8] = [0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0];

fn load(options: &Options) -> Result<(Dataset, Dataset)> {
    let Some(dir) = &options.data else {
        let (train, test) = if options.smoke { (400, 60) } else { (8_000, 500) };
        return synthetic::generate(1, train, test);
    };
    let part = |name: &str, count: usize| -> Result<Dataset> {
        let set = idx::load(&Path::join(dir, format!("{name}-images-idx3-ubyte")), Some(CLASSES))?;
        let count = if options.smoke { count / 50 } else { count };
        set.subset(&(0..count.min(set.len())).collect::<Vec<_>>())
    };
    Ok((part("train", 30_000)?, part("t10k", 1_000)?))
}

fn main() -> Result<()> {
    let options = Options::parse();
    std::fs::create_dir_all(&options.out).map_err(|e| Error::file(&options.out, e))?;
    let (train_set, test_set) = load(&options)?;
    let images: Batch<f32> = test_set.batch(&(0..test_set.len()).collect::<Vec<_>>())?;
    println!("{} training and {} test images of {}", train_set.len(), test_set.len(), test_set.shape());
    let epochs = if options.smoke { 1 } else { options.epochs };
    let mut drawn = Vec::new();
    for (k, (name, stable)) in [("non-expansive", true), ("residual", false)].into_iter().enumerate() {
        let start = std::time::Instant::now();
        let mut network = network(stable, test_set.shape(), options.horizon, &mut ChaCha8Rng::seed_from_u64(1))?;
        let recipe = Recipe {
            epochs,
            batch: 128,
            optimiser: Optimiser::ADAM,
            schedule: OneCycle { peak: if stable { 0.005 } else { 0.001 }, rise: 0.25 },
            loss: if stable { MarginCrossEntropy { temperature: 0.1, offset: 0.2 } } else { MarginCrossEntropy::PLAIN }
                .into(),
            average: None,
            flip: false,
            crop: 0,
            seed: 1,
        };
        train(&mut network, &train_set, &recipe, |_| ())?;
        let sealed = network.seal()?;
        let steps = sealed.map().layers().iter().filter_map(|map| match map {
            Map::Flow(flow) => Some(flow.steps),
            _ => None,
        });
        println!(
            "{name}: {} parameters, {:?} steps in its flows, features proved to be {:.4}-Lipschitz",
            sealed.network().parameter_count(),
            steps.collect::<Vec<_>>(),
            sealed.features().get()
        );
        let iterations = if options.smoke { 5 } else { options.iterations };
        let attack = Attack { steps: iterations, starts: 1, ..Attack::default() };
        let found = attack.robust_accuracy(sealed.network(), &images, test_set.labels(), &EPS)?;
        let claims = sealed.certify(&images, Semantics::Exact)?;
        let certified = |eps: f64| {
            let holds =
                claims.iter().zip(test_set.labels()).filter(|(c, y)| c.prediction == Some(**y) && c.holds_at(eps));
            100.0 * holds.count() as f64 / claims.len() as f64
        };
        println!("{:>8} {:>8} {:>10}", "ε", "PGD", "certified");
        println!("{:>8} {:>8.1} {:>10.1}", 0, 100.0 * found.clean(), certified(0.0));
        let attacked: Vec<f64> = found.accuracy().iter().map(|a| 100.0 * a).collect();
        for (eps, pgd) in EPS.iter().zip(&attacked) {
            println!("{eps:>8} {pgd:>8.1} {:>10.1}", certified(*eps));
            if certified(*eps) > *pgd {
                return Err(Error::NotProved {
                    what: format!("{name} at ε = {eps}"),
                    reason: "an attack broke a certified image".into(),
                });
            }
        }
        println!("{:.0} s\n", start.elapsed().as_secs_f64());
        let curve = std::iter::once((0.0, 100.0 * found.clean())).chain(EPS.into_iter().zip(attacked));
        drawn.push(Line::new(format!("{name}, under PGD"), curve.collect(), k));
        let proved = (0..=200).map(|i| f64::from(i) / 100.0).map(|eps| (eps, certified(eps)));
        drawn.push(Line::new(format!("{name}, certified"), proved.collect(), k + 2));
    }
    let path = options.out.join("chapter_toy.svg");
    chart::write(&path, (760, 460), |root| {
        lines::draw(root, "accuracy under attack", ["ε (ℓ2, pixels in [0, 1])", "accuracy (%)"], &drawn)
    })?;
    println!("written: {}", path.display());
    Ok(())
}
