//! `dahlquist predict`.

use std::path::PathBuf;

use clap::Args;
use dahlquist::{Network, Result, scalar::Scalar, tensor::argmax};
use serde_json::json;

use super::{
    Outcome,
    input::{self, Data, with_network},
    output::{self, percent},
};

#[derive(Debug, Args)]
pub(super) struct Predict {
    /// A model file.
    model: PathBuf,
    #[command(flatten)]
    data: Data,
    /// Write the logits as JSON, one list a sample.
    #[arg(long, value_name = "OUT")]
    json: Option<PathBuf>,
}

impl Predict {
    pub(super) fn run(&self) -> Result<Outcome> {
        let (_, network) = input::model(&self.model)?;
        with_network!(network, network => self.predict(&network))
    }

    fn predict<T: Scalar>(&self, network: &Network<T>) -> Result<Outcome> {
        let dataset = self.data.load(network)?;
        let mut logits: Vec<Vec<f64>> = Vec::with_capacity(dataset.len());
        input::in_groups("predict", &dataset, |x| {
            let y = network.forward(&x)?;
            logits.extend((0..y.samples()).map(|s| y.sample(s).iter().map(|logit| logit.wide()).collect::<Vec<_>>()));
            Ok(())
        })?;
        let predictions: Vec<usize> = logits.iter().map(|logits| argmax(logits)).collect();
        let correct = predictions.iter().zip(dataset.labels()).filter(|(p, label)| p == label).count();
        let accuracy = correct as f64 / dataset.len() as f64;
        if let Some(path) = &self.json {
            // A number that overflowed is written as null: JSON has no infinity.
            let value = json!({
                "scalar": T::NAME, "logits": logits, "predictions": predictions, "labels": dataset.labels(),
                "accuracy": accuracy,
            });
            output::json(path, &value)?;
        }
        Ok(Outcome::done(format!("{} samples, accuracy {}\n", dataset.len(), percent(accuracy))))
    }
}
