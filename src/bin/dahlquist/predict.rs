//! `dahlquist predict`.

use std::path::{Path, PathBuf};

use clap::Args;
use dahlquist::{Network, Result, scalar::Scalar, tensor::class};
use serde_json::json;

use super::{
    Outcome, Run,
    input::{self, Data, Order, with_network},
    output::{Out, percent},
};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  dahlquist predict model.safetensors --data test.safetensors --json -")]
pub(super) struct Predict {
    /// Model file
    model: PathBuf,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    order: Order,
    /// Write the logits as JSON, one list for each sample (`-`: standard output)
    #[arg(long, value_name = "OUT")]
    json: Option<Out>,
}

impl Run for Predict {
    fn run(&self) -> Result<Outcome> {
        let (_, network) = input::model(&self.model)?;
        with_network!(network, network => self.predict(network))
    }

    fn inputs(&self) -> Vec<&Path> {
        vec![&self.model, self.data.path()]
    }

    fn outputs(&self) -> Vec<&Out> {
        self.json.iter().collect()
    }
}

impl Predict {
    fn predict<T: Scalar>(&self, network: Network<T>) -> Result<Outcome> {
        let summation = self.order.summation();
        let network = network.with_summation(summation);
        let dataset = self.data.load(&network)?;
        let mut logits: Vec<Vec<f64>> = Vec::with_capacity(dataset.len());
        input::in_groups("predict", &dataset, |x| {
            let y = network.forward(&x)?;
            logits.extend((0..y.samples()).map(|s| y.sample(s).iter().map(|logit| logit.wide()).collect::<Vec<_>>()));
            Ok(())
        })?;
        let predictions: Vec<Option<usize>> = logits.iter().map(|logits| class(logits)).collect();
        let unsolved = predictions.iter().filter(|prediction| prediction.is_none()).count();
        let correct = predictions.iter().zip(dataset.labels()).filter(|(p, label)| **p == Some(**label)).count();
        let accuracy = dataset.is_labelled().then_some(correct as f64 / dataset.len() as f64);
        if let Some(out) = &self.json {
            // A number that overflowed is written as null: JSON has no infinity.
            out.json(&json!({
                "scalar": T::NAME, "summation": summation, "logits": logits, "predictions": predictions,
                "labels": dataset.is_labelled().then(|| dataset.labels()), "accuracy": accuracy,
            }))?;
        }
        Ok(Outcome::done(format!(
            "{} samples, executed in {}, {}: {}{}\n",
            dataset.len(),
            T::NAME,
            input::order(summation),
            accuracy.map_or("no labels".into(), |accuracy| format!("accuracy {}", percent(accuracy))),
            if unsolved > 0 {
                format!("; no prediction for {unsolved}, which overflow or are not solved")
            } else {
                String::new()
            }
        )))
    }
}
