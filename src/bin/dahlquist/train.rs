//! `dahlquist train`: the recipe of the CIFAR-10 example.

use std::path::PathBuf;

use clap::Args;
use dahlquist::{
    Result,
    data::cifar10,
    network,
    train::{MarginCrossEntropy, OneCycle, Optimiser, Recipe, train},
};
use serde_json::json;

use super::{
    Outcome, Run, networks,
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
    /// Images of one step of the optimizer
    #[arg(long, default_value_t = 256)]
    batch: usize,
    /// Largest learning rate
    #[arg(long, default_value_t = 0.01)]
    rate: f64,
    /// Temperature of the loss: the lower, the more weight for images near a boundary
    #[arg(long, default_value_t = 0.25)]
    temperature: f64,
    /// ℓ2 radius that the loss asks for, in units of the pixels in [0, 1]
    #[arg(long, default_value_t = 0.2)]
    offset: f64,
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

impl Run for Train {
    fn outputs(&self) -> Vec<&Out> {
        [Some(&self.out), self.json.as_ref()].into_iter().flatten().collect()
    }

    fn run(&self) -> Result<Outcome> {
        for (name, value) in [("rate", self.rate), ("temperature", self.temperature)] {
            if !(value.is_finite() && value > 0.0) {
                let reason = "it must be a positive number".into();
                return Err(dahlquist::Error::Parameter { name, value: value.to_string(), reason });
            }
        }
        if !(self.offset.is_finite() && self.offset >= 0.0) {
            let reason = "it must be a number that is not negative".into();
            return Err(dahlquist::Error::Parameter { name: "offset", value: self.offset.to_string(), reason });
        }
        let (mut data, _) = cifar10::load(&self.data)?;
        if let Some(limit) = self.limit.filter(|&limit| limit < data.len()) {
            data = data.subset(&(0..limit).collect::<Vec<_>>())?;
        }
        let recipe = Recipe {
            epochs: self.epochs,
            batch: self.batch,
            optimiser: Optimiser::ADAM,
            schedule: OneCycle { peak: self.rate, rise: 0.25 },
            loss: MarginCrossEntropy { temperature: self.temperature, offset: self.offset },
            flip: true,
            crop: self.crop,
            seed: self.seed,
        };
        let mut network = networks::stable(self.seed)?;
        let steps = data.len().div_ceil(self.batch.max(1)).saturating_mul(self.epochs);
        let bar = output::progress("train", steps);
        let (mut loss, mut accuracy) = (0.0, 0.0);
        train(&mut network, &data, &recipe, |progress| {
            // Means over about the last hundred steps.
            let weight = (1.0 / progress.step as f64).max(0.01);
            loss += weight * (progress.loss - loss);
            accuracy += weight * (progress.accuracy - accuracy);
            bar.set_message(format!("loss {loss:.3}  accuracy {}", percent(accuracy)));
            bar.inc(1);
        })?;
        bar.finish_and_clear();
        let seconds = bar.elapsed().as_secs_f64();
        let sealed = network.seal()?;
        network::save(sealed.network(), &self.out)?;
        if let Some(out) = &self.json {
            out.json(&json!({
                "images": data.len(), "epochs": self.epochs, "batch": self.batch, "rate": self.rate, "seed": self.seed,
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
