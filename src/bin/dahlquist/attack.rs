//! `dahlquist attack`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use dahlquist::{
    Network, Result,
    attack::{Attack, Loss, pixel_range},
    scalar::Scalar,
};
use serde_json::json;

use super::{
    Outcome, Run,
    input::{self, Data, Eps, EpsList, NormName, Order, with_network},
    output::{self, Out, columns, percent},
};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  dahlquist attack model.safetensors --data test.safetensors --eps 36/255 0.5")]
pub(super) struct AttackArguments {
    /// Model file
    model: PathBuf,
    #[command(flatten)]
    data: Data,
    /// Radii of the balls, ℓ2 unless `--norm` says otherwise, in units of the input, separated by spaces or commas
    #[arg(long, value_name = "EPS", num_args = 1.., required = true)]
    eps: Vec<EpsList>,
    /// Norm of the balls
    #[arg(long, value_enum, default_value_t = NormName::L2)]
    norm: NormName,
    #[command(flatten)]
    order: Order,
    /// Gradient steps of one descent
    #[arg(long, default_value_t = 20)]
    steps: usize,
    /// Descents for each ε. With `--loss targeted` each aims at another class, the nearest first: one less than there are
    /// classes tries all
    #[arg(long, default_value_t = 2)]
    starts: usize,
    /// What a descent decreases. `targeted`: the lead over one class. `margin`: the lead over whichever class is second.
    /// `cross-entropy`: minus the cross-entropy
    #[arg(long, value_enum, default_value_t = Decreased::Targeted)]
    loss: Decreased,
    /// Range of every coordinate of an input [default: 0 1 if the samples are pixels in it, else none]
    #[arg(long, value_names = ["LOW", "HIGH"], num_args = 2, allow_negative_numbers = true)]
    range: Option<Vec<f64>>,
    /// Let coordinates take any value
    #[arg(long, conflicts_with = "range")]
    no_range: bool,
    /// Seed of the random starts
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write the results as JSON (`-`: standard output)
    #[arg(long, value_name = "OUT")]
    json: Option<Out>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Decreased {
    Targeted,
    Margin,
    CrossEntropy,
}

impl Decreased {
    fn loss(self) -> Loss {
        match self {
            Self::Targeted => Loss::Targeted,
            Self::Margin => Loss::Margin,
            Self::CrossEntropy => Loss::CrossEntropy,
        }
    }
}

impl Run for AttackArguments {
    fn run(&self) -> Result<Outcome> {
        let (_, network) = input::model(&self.model)?;
        with_network!(network, network => self.attack(network))
    }

    fn inputs(&self) -> Vec<&Path> {
        vec![&self.model, self.data.path()]
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
        let extent = dataset.extent();
        let range = match &self.range {
            Some(ends) => input::range(ends),
            None => pixel_range(extent).filter(|_| !self.no_range),
        };
        let (steps, starts, seed, loss) = (self.steps, self.starts, self.seed, self.loss.loss());
        let norm = self.norm.norm();
        let attack = Attack { norm, steps, starts, seed, loss, range, ..Attack::default() };
        let bar = output::progress("attack", dataset.len().saturating_mul(self.starts).saturating_mul(eps.len()));
        let observe = |ended: usize| bar.inc(ended as u64);
        let found = attack.robust_accuracy_of(&network, &dataset, &eps, &observe)?;
        bar.finish_and_clear();

        let (clean, accuracy) = (found.clean(), found.accuracy());
        let mut text = format!(
            "{} samples, executed in {}, {}\nε is an {} distance in units of the input; {}\n",
            dataset.len(),
            T::NAME,
            input::order(summation),
            input::norm(norm),
            within(range, extent)
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
                "scalar": T::NAME, "summation": summation, "norm": norm, "loss": loss, "range": range,
                "samples_within": extent, "steps": steps, "starts": starts, "seed": seed, "clean_accuracy": clean,
                "robust_accuracy": robust, "distances": distances,
            }))?;
        }
        Ok(Outcome::done(text))
    }
}

/// Says where coordinates stay, and what that is for samples that lie outside.
fn within(range: Option<[f64; 2]>, [least, largest]: [f64; 2]) -> String {
    match range {
        None => format!("coordinates have no range; those of the samples are in [{least:?}, {largest:?}]"),
        Some([low, high]) if low <= least && largest <= high => format!("coordinates stay in [{low}, {high}]"),
        Some([low, high]) => format!(
            "coordinates stay in [{low}, {high}]; those of samples outside of it, which are in [{least:?}, {largest:?}], stay \
             between their value and the range"
        ),
    }
}
