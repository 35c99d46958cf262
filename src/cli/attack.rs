//! `dahlquist attack`.

use std::path::PathBuf;

use clap::Args;
use dahlquist::{Network, Result, attack::Attack, scalar::Scalar};
use serde_json::json;

use super::{
    Outcome,
    input::{self, Data, with_network},
    output::{self, percent},
};

#[derive(Debug, Args)]
pub(super) struct AttackArguments {
    /// A model file.
    model: PathBuf,
    #[command(flatten)]
    data: Data,
    /// Radii of the balls that are searched, in units of the input.
    #[arg(long, value_delimiter = ',', value_parser = input::radius, required = true)]
    eps: Vec<f64>,
    /// Gradient steps of one descent.
    #[arg(long, default_value_t = 20)]
    steps: usize,
    /// Descents for each radius.
    #[arg(long, default_value_t = 2)]
    starts: usize,
    /// The seed of the random starts.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write the results as JSON.
    #[arg(long, value_name = "OUT")]
    json: Option<PathBuf>,
}

impl AttackArguments {
    pub(super) fn run(&self) -> Result<Outcome> {
        let (_, network) = input::model(&self.model)?;
        with_network!(network, network => self.attack(&network))
    }

    fn attack<T: Scalar>(&self, network: &Network<T>) -> Result<Outcome> {
        let dataset = self.data.load(network)?;
        let mut eps = self.eps.clone();
        eps.sort_by(f64::total_cmp);
        // Pixels stay pixels; samples of any other numbers have no range.
        let range = dataset.in_unit_range().then_some([0.0, 1.0]);
        let attack = Attack { steps: self.steps, starts: self.starts, seed: self.seed, range, ..Attack::default() };
        let bar = output::progress("attack", dataset.len().saturating_mul(self.starts).saturating_mul(eps.len()));
        let observe = |ended: usize| bar.inc(ended as u64);
        let found = attack.robust_accuracy_of(network, &dataset, &eps, &observe)?;
        bar.finish_and_clear();

        let (clean, accuracy) = (found.clean(), found.accuracy());
        let mut text = format!("{} samples, clean accuracy {}\n", dataset.len(), percent(clean));
        for (eps, accuracy) in eps.iter().zip(&accuracy) {
            text += &format!("under attack at ε = {eps:.4}: {}\n", percent(*accuracy));
        }
        if let Some(path) = &self.json {
            let robust: Vec<_> = eps.iter().zip(&accuracy).map(|(e, a)| json!({"eps": e, "accuracy": a})).collect();
            let broken = found.broken().iter().map(|broken| broken.as_ref().map(|broken| broken.distance));
            let distances: Vec<Option<f64>> = broken.collect();
            let value = json!({
                "scalar": T::NAME, "norm": attack.norm, "steps": self.steps, "starts": self.starts, "seed": self.seed,
                "clean_accuracy": clean, "robust_accuracy": robust, "distances": distances,
            });
            output::json(path, &value)?;
        }
        Ok(Outcome::done(text))
    }
}
