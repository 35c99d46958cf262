//! `dahlquist attack`.

use std::path::PathBuf;

use clap::Args;
use dahlquist::{Network, Result, attack::Attack, scalar::Scalar};
use serde_json::json;

use super::{
    Outcome, Run,
    input::{self, Data, Eps, EpsList, Order, with_network},
    output::{self, Out, columns, percent},
};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  dahlquist attack model.safetensors --data test.safetensors --eps 36/255 0.5")]
pub(super) struct AttackArguments {
    /// Model file
    model: PathBuf,
    #[command(flatten)]
    data: Data,
    /// ℓ2 radii of the balls that are searched, in units of the input, separated by spaces or commas
    #[arg(long, value_name = "EPS", num_args = 1.., required = true)]
    eps: Vec<EpsList>,
    #[command(flatten)]
    order: Order,
    /// Gradient steps of one descent
    #[arg(long, default_value_t = 20)]
    steps: usize,
    /// Descents for each ε
    #[arg(long, default_value_t = 2)]
    starts: usize,
    /// Seed of the random starts
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write the results as JSON (`-`: standard output)
    #[arg(long, value_name = "OUT")]
    json: Option<Out>,
}

impl Run for AttackArguments {
    fn run(&self) -> Result<Outcome> {
        let (_, network) = input::model(&self.model)?;
        with_network!(network, network => self.attack(network))
    }

    fn outputs(&self) -> Vec<&Out> {
        self.json.iter().collect()
    }
}

impl AttackArguments {
    fn attack<T: Scalar>(&self, network: Network<T>) -> Result<Outcome> {
        let summation = self.order.summation();
        let network = network.with_summation(summation);
        let dataset = self.data.load(&network)?;
        if !dataset.is_labelled() {
            return Err(self.data.refuse("its samples have no labels, and an attack is against labels"));
        }
        let written: Vec<Eps> = input::ascending(&self.eps);
        let eps: Vec<f64> = written.iter().map(|eps| eps.value).collect();
        // Pixels stay pixels; samples of any other numbers have no range.
        let range = dataset.in_unit_range().then_some([0.0, 1.0]);
        let attack = Attack { steps: self.steps, starts: self.starts, seed: self.seed, range, ..Attack::default() };
        let bar = output::progress("attack", dataset.len().saturating_mul(self.starts).saturating_mul(eps.len()));
        let observe = |ended: usize| bar.inc(ended as u64);
        let found = attack.robust_accuracy_of(&network, &dataset, &eps, &observe)?;
        bar.finish_and_clear();

        let (clean, accuracy) = (found.clean(), found.accuracy());
        let within = match range {
            Some(_) => "pixels stay in [0, 1]",
            None => "coordinates have no range",
        };
        let mut text = format!(
            "{} samples, executed in {}, {}\nε is an ℓ2 distance in units of the input; {within}\n",
            dataset.len(),
            T::NAME,
            input::order(summation)
        );
        let title = vec!["clean accuracy".into(), percent(clean)];
        let attacked = written.iter().zip(&accuracy);
        let attacked = attacked.map(|(eps, accuracy)| vec![format!("under attack at ε = {eps}"), percent(*accuracy)]);
        text += &columns(&std::iter::once(title).chain(attacked).collect::<Vec<_>>());
        if let Some(out) = &self.json {
            let robust: Vec<_> = eps.iter().zip(&accuracy).map(|(e, a)| json!({"eps": e, "accuracy": a})).collect();
            let broken = found.broken().iter().map(|broken| broken.as_ref().map(|broken| broken.distance));
            let distances: Vec<Option<f64>> = broken.collect();
            out.json(&json!({
                "scalar": T::NAME, "summation": summation, "norm": attack.norm, "range": range, "steps": self.steps,
                "starts": self.starts, "seed": self.seed, "clean_accuracy": clean, "robust_accuracy": robust,
                "distances": distances,
            }))?;
        }
        Ok(Outcome::done(text))
    }
}
