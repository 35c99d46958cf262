//! `dahlquist train`: the recipe of the CIFAR-10 example.

use std::path::PathBuf;

use clap::Args;
use dahlquist::{
    Result,
    data::cifar10,
    io,
    train::{MarginCrossEntropy, OneCycle, Optimiser, Recipe, train},
};
use serde_json::json;

use super::{
    Outcome, networks,
    output::{self, percent},
};

#[derive(Debug, Args)]
pub(super) struct Train {
    /// A directory with CIFAR-10 in its binary layout.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where the model is written.
    #[arg(long, value_name = "MODEL")]
    out: PathBuf,
    /// Passes over the data.
    #[arg(long, default_value_t = 8)]
    epochs: usize,
    /// Images of one step of the optimiser.
    #[arg(long, default_value_t = 256)]
    batch: usize,
    /// The largest learning rate.
    #[arg(long, default_value_t = 0.01)]
    rate: f64,
    /// The temperature of the loss: the lower, the more it cares for the images near a boundary.
    #[arg(long, default_value_t = 0.25)]
    temperature: f64,
    /// The radius that the loss asks for, in units of the pixels.
    #[arg(long, default_value_t = 0.2)]
    offset: f64,
    /// The largest shift of an image, in pixels.
    #[arg(long, default_value_t = 1)]
    crop: usize,
    /// The seed of everything random: the same seed and number of threads give the same model.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only the first so many images.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Write what was done as JSON.
    #[arg(long, value_name = "OUT")]
    json: Option<PathBuf>,
}

impl Train {
    pub(super) fn run(&self) -> Result<Outcome> {
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
        io::save(sealed.network(), &self.out)?;
        if let Some(path) = &self.json {
            let value = json!({
                "images": data.len(), "epochs": self.epochs, "batch": self.batch, "rate": self.rate, "seed": self.seed,
                "seconds": seconds, "loss": loss, "accuracy": accuracy, "lipschitz": sealed.certificate().lipschitz,
            });
            output::json(path, &value)?;
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
