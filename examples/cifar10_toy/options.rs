//! The command line, and what a preset stands for.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use dahlquist::{
    Error, Result,
    train::{MarginCrossEntropy, OneCycle, Optimiser, Recipe},
    zoo::Size,
};

/// Certified against empirical robustness of a stable and a plain network.
#[derive(Debug, Parser)]
pub struct Options {
    /// A directory with CIFAR-10 in its binary layout; without it, synthetic images are drawn.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// How much to do.
    #[arg(long, value_enum, default_value_t = Preset::Default)]
    pub preset: Preset,
    /// The seed of everything random.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The number of threads; all cores if absent. The same seed and number of threads give the same result.
    #[arg(long)]
    pub threads: Option<usize>,
    /// Where the table, the curves and the networks are written.
    #[arg(long, value_name = "DIR", default_value = "out")]
    pub out: PathBuf,
    /// Where the table is written as JSON, if not to `table.json` in the folder of the rest.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// How much to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// Seconds: does everything work?
    Smoke,
    /// Minutes.
    Default,
    /// An hour, for the best figures.
    Long,
}

/// What a preset stands for, on the data that were chosen.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub train_images: usize,
    pub test_images: usize,
    /// Passes over the training images for the stable network.
    pub epochs: usize,
    /// Passes for the plain network: it learns its images by heart sooner.
    pub plain_epochs: usize,
    pub size: Size,
    /// Orthogonalized momentum learns most in a few passes, Adam in many.
    has_many_passes: bool,
    pub attack_steps: usize,
    pub attack_starts: usize,
    crop: usize,
}

/// A training of this many passes, or more, takes Adam: it certifies more images then than orthogonalized momentum does.
const MANY_PASSES: usize = 30;

impl Options {
    /// Limits the number of threads, if that was asked for.
    pub fn use_threads(&self) -> Result<()> {
        let Some(threads) = self.threads else { return Ok(()) };
        let refuse = |reason: String| Error::Parameter { name: "threads", value: threads.to_string(), reason };
        if threads == 0 {
            return Err(refuse("at least one thread is needed".into()));
        }
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().map_err(|e| refuse(e.to_string()))
    }

    /// `"cifar10"` or `"synthetic"`.
    pub fn data_name(&self) -> &'static str {
        if self.data.is_some() { "cifar10" } else { "synthetic" }
    }

    /// What the preset stands for.
    pub fn settings(&self) -> Settings {
        let settings = |size, images: [usize; 2], epochs: [usize; 2], attack: [usize; 2], crop| Settings {
            size,
            has_many_passes: epochs[0] >= MANY_PASSES,
            train_images: images[0],
            test_images: images[1],
            epochs: epochs[0],
            plain_epochs: epochs[1],
            attack_steps: attack[0],
            attack_starts: attack[1],
            crop,
        };
        match (self.preset, self.data.is_some()) {
            (Preset::Smoke, _) => settings(Size::SMALL, [512, 64], [1, 1], [5, 1], 0),
            (Preset::Default, false) => settings(Size::SMALL, [8_000, 1_000], [5, 5], [20, 1], 0),
            (Preset::Default, true) => settings(Size::SMALL, [50_000, 1_000], [14, 4], [20, 1], 1),
            (Preset::Long, false) => settings(Size::LARGE, [50_000, 4_000], [10, 10], [50, 2], 0),
            (Preset::Long, true) => settings(Size::LARGE, [50_000, 10_000], [40, 10], [40, 1], 2),
        }
    }
}

impl Settings {
    /// How the stable network is trained: its loss asks for margins.
    pub fn stable(&self, seed: u64) -> Recipe {
        let (optimiser, peak, rise, offset) =
            if self.has_many_passes { (Optimiser::ADAM, 0.01, 0.25, 0.25) } else { (Optimiser::MUON, 0.1, 0.1, 0.3) };
        Recipe {
            epochs: self.epochs,
            optimiser,
            schedule: OneCycle { peak, rise },
            loss: MarginCrossEntropy { temperature: 0.25, offset }.into(),
            ..self.plain(seed)
        }
    }

    /// How the plain network is trained: for accuracy, on the same images.
    pub fn plain(&self, seed: u64) -> Recipe {
        Recipe {
            epochs: self.plain_epochs,
            batch: 256,
            optimiser: Optimiser::ADAM,
            schedule: OneCycle { peak: 0.001, rise: 0.25 },
            loss: MarginCrossEntropy::PLAIN.into(),
            average: None,
            flip: true,
            crop: self.crop,
            seed,
        }
    }
}
