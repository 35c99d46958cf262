//! `dahlquist train`: the recipe of the CIFAR-10 example.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use dahlquist::{
    Result,
    data::cifar10,
    network,
    train::{Emma, Loss, MarginCrossEntropy, OneCycle, Optimiser, Recipe, train},
    zoo::{self, Size},
};
use serde_json::json;

use super::{
    Outcome, Run,
    output::{self, Out, percent},
};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  dahlquist train --data cifar-10-batches-bin --out model.safetensors --epochs 8")]
pub(super) struct Train {
    /// Directory with the binary files of CIFAR-10
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Write the trained model
    #[arg(long, value_name = "MODEL")]
    out: Out,
    /// Passes over the data
    #[arg(long, default_value_t = 8)]
    epochs: usize,
    /// Images in each step of the optimizer
    #[arg(long, default_value_t = 256)]
    batch: usize,
    /// Rule by which weights move
    #[arg(long, value_enum, default_value_t = Rule::Muon)]
    optimizer: Rule,
    /// Largest learning rate; by default 0.1 for muon and 0.01 for adam
    #[arg(long)]
    rate: Option<f64>,
    /// Fraction of the steps over which the rate rises; then it falls to 0 along half a cosine
    #[arg(long, default_value_t = 0.1)]
    rise: f64,
    /// Keep an exponential moving average of the weights with this decay per step, such as 0.99
    #[arg(long, value_name = "DECAY")]
    average: Option<f64>,
    /// Loss: it asks the same margin of every image, or of each image the margin that suits it
    #[arg(long, value_enum, default_value_t = Kind::Margin)]
    loss: Kind,
    /// Temperature of the loss: the lower, the more weight for images near a boundary
    #[arg(long, default_value_t = 0.25)]
    temperature: f64,
    /// ℓ2 radius that the loss `margin` asks for, in units of the pixels in [0, 1]
    #[arg(long, default_value_t = 0.3)]
    offset: f64,
    /// ℓ2 radius that the loss `emma` asks for at most, in the same units
    #[arg(long, default_value_t = 0.2)]
    radius: f64,
    /// Write a model that averages over an image and its mirror image: more accurate, at twice the cost
    #[arg(long)]
    mirror_mean: bool,
    /// Largest random shift of an image, in pixels
    #[arg(long, default_value_t = 1)]
    crop: usize,
    /// Seed of everything random: the same seed and number of threads give the same model
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Use only the first N images
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Write a record of the training as JSON (`-`: standard output)
    #[arg(long, value_name = "OUT")]
    json: Option<Out>,
}

/// How weights move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Rule {
    /// Adam
    Adam,
    /// Orthogonalized momentum for matrices and kernels, Adam for biases and the head
    Muon,
}

/// What is made small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Cross-entropy with a margin
    Margin,
    /// EMMA: cross-entropy with a margin for each image
    Emma,
}

impl Train {
    /// Returns the largest learning rate.
    fn peak(&self) -> f64 {
        self.rate.unwrap_or(match self.optimizer {
            Rule::Adam => 0.01,
            Rule::Muon => 0.1,
        })
    }

    fn recipe(&self) -> Recipe {
        let temperature = self.temperature;
        Recipe {
            epochs: self.epochs,
            batch: self.batch,
            optimiser: match self.optimizer {
                Rule::Adam => Optimiser::ADAM,
                Rule::Muon => Optimiser::MUON,
            },
            schedule: OneCycle { peak: self.peak(), rise: self.rise },
            loss: match self.loss {
                Kind::Margin => Loss::Margin(MarginCrossEntropy { temperature, offset: self.offset }),
                Kind::Emma => Loss::Emma(Emma { temperature, radius: self.radius }),
            },
            average: self.average,
            flip: true,
            crop: self.crop,
            seed: self.seed,
        }
    }

    /// Refuses numbers that no training can have.
    fn check(&self) -> Result<()> {
        let refuse = |name, value: f64, reason: &str| {
            Err(dahlquist::Error::Parameter { name, value: value.to_string(), reason: reason.into() })
        };
        for (name, value) in [("rate", self.peak()), ("temperature", self.temperature), ("radius", self.radius)] {
            if !(value.is_finite() && value > 0.0) {
                return refuse(name, value, "it must be a positive number");
            }
        }
        if !(self.offset.is_finite() && self.offset >= 0.0) {
            return refuse("offset", self.offset, "it must be a number that is not negative");
        }
        for (name, value) in [("rise", Some(self.rise)), ("average", self.average)] {
            if let Some(value) = value.filter(|value| !(0.0..1.0).contains(value)) {
                return refuse(name, value, "it must lie in [0, 1)");
            }
        }
        Ok(())
    }
}

impl Run for Train {
    fn inputs(&self) -> Vec<&Path> {
        vec![&self.data]
    }

    fn outputs(&self) -> Vec<&Out> {
        [Some(&self.out), self.json.as_ref()].into_iter().flatten().collect()
    }

    fn run(&self) -> Result<Outcome> {
        self.check()?;
        let (mut data, _) = cifar10::load(&self.data)?;
        if let Some(limit) = self.limit.filter(|&limit| limit < data.len()) {
            data = data.subset(&(0..limit).collect::<Vec<_>>())?;
        }
        let mut network = zoo::stable(Size::SMALL, self.seed)?;
        let steps = data.len().div_ceil(self.batch.max(1)).saturating_mul(self.epochs);
        let bar = output::progress("train", steps);
        let (mut loss, mut accuracy) = (0.0, 0.0);
        train(&mut network, &data, &self.recipe(), |progress| {
            // Means over about the last hundred steps.
            let weight = (1.0 / progress.step as f64).max(0.01);
            loss += weight * (progress.loss - loss);
            accuracy += weight * (progress.accuracy - accuracy);
            bar.set_message(format!("loss {loss:.3}  accuracy {}", percent(accuracy)));
            bar.inc(1);
        })?;
        bar.finish_and_clear();
        let seconds = bar.elapsed().as_secs_f64();
        let mut sealed = network.seal()?;
        if self.mirror_mean {
            sealed = sealed.network().mirror_mean()?.seal()?;
        }
        network::save(sealed.network(), &self.out)?;
        if let Some(out) = &self.json {
            out.json(&json!({
                "images": data.len(), "epochs": self.epochs, "batch": self.batch, "rate": self.peak(), "seed": self.seed,
                "seconds": seconds, "loss": loss, "accuracy": accuracy, "lipschitz": sealed.certificate().bound(),
            }))?;
        }
        Ok(Outcome::done(format!(
            "{} images, {} epochs in {seconds:.0} s, loss {loss:.3}, training accuracy {}; written to {}\n",
            data.len(),
            self.epochs,
            percent(accuracy),
            self.out.display()
        )))
    }
}
