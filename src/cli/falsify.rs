//! `dahlquist falsify`.

use std::path::PathBuf;

use clap::Args;
use dahlquist::{
    Error, Network, Result,
    attack::{Falsifier, RatioReport},
    scalar::Scalar,
};

use super::{
    Outcome,
    input::{self, OptionalData, Proofs, with_network},
    output::{self, columns},
};

#[derive(Debug, Args)]
pub(super) struct Falsify {
    /// A model file.
    model: PathBuf,
    #[command(flatten)]
    data: OptionalData,
    #[command(flatten)]
    proofs: Proofs,
    /// The time after which no round begins.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, allow_negative_numbers = true)]
    budget: f64,
    /// The seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write what was found as JSON.
    #[arg(long, value_name = "OUT")]
    json: Option<PathBuf>,
}

impl Falsify {
    pub(super) fn run(&self) -> Result<Outcome> {
        if !(self.budget.is_finite() && self.budget >= 0.0) {
            let reason = "a budget is a number of seconds that is not negative".into();
            return Err(Error::Parameter { name: "budget", value: self.budget.to_string(), reason });
        }
        let (_, network) = input::model(&self.model)?;
        with_network!(network, network => self.falsify(network))
    }

    fn falsify<T: Scalar>(&self, network: Network<T>) -> Result<Outcome> {
        let dataset = self.data.load(&network)?;
        let samples = dataset.map(|d| d.batch::<T>(&(0..d.len()).collect::<Vec<_>>())).transpose()?;
        let sealed = input::seal(&self.model, network, self.proofs.options())?;
        let bar = output::progress("falsify", 0);
        bar.enable_steady_tick(std::time::Duration::from_millis(200));
        let falsifier = Falsifier { seconds: self.budget, seed: self.seed, ..Falsifier::default() };
        let found = falsifier.run(&sealed, samples.as_ref())?;
        bar.finish_and_clear();

        if let Some(path) = &self.json {
            let mut value = serde_json::to_value(&found).map_err(|e| Error::file(path, e))?;
            value["refuted"] = found.refuted().into();
            // JSON has no infinity: null where nothing was found.
            value["network"]["looseness"] = found.network.looseness().into();
            for (i, layer) in found.layers.iter().enumerate() {
                value["layers"][i]["looseness"] = layer.looseness().into();
            }
            if let Some(features) = &found.features {
                value["features"]["looseness"] = features.looseness().into();
            }
            output::json(path, &value)?;
        }
        let title = ["", "kind", "bound", "found", "bound/found", ""].map(String::from).to_vec();
        let reports = found.layers.iter().chain(&found.features).chain([&found.network]);
        let rows: Vec<Vec<String>> = std::iter::once(title).chain(reports.map(row)).collect();
        let mut text = columns(&rows);
        let flips = &found.flips;
        text += &format!("{} rounds in {:.1} s, {} bisections of radii", found.rounds, found.seconds, flips.bisections);
        if let Some(closest) = flips.closest {
            text += &format!(", the closest flip at {closest:.4} times the radius");
        }
        text += &format!(", {} within a radius\n", flips.violations);
        text += if found.refuted() { "REFUTED\n" } else { "nothing refuted\n" };
        Ok(Outcome { text, failed: found.refuted() })
    }
}

fn row(report: &RatioReport) -> Vec<String> {
    let found = report.lower.map_or(report.estimate, |lower| lower.get());
    let verdict = if report.refuted { "REFUTED" } else { "" };
    vec![
        report.path.clone(),
        report.kind.clone(),
        format!("{:.6}", report.bound),
        format!("{found:.6}"),
        format!("{:.4}", report.looseness()),
        verdict.into(),
    ]
}
