//! `dahlquist falsify`.

use std::{
    path::{Path, PathBuf},
    sync::mpsc,
    time::{Duration, Instant},
};

use clap::Args;
use dahlquist::{
    Error, Network, Result,
    attack::{Falsifier, RatioReport},
    scalar::Scalar,
};

use indicatif::ProgressBar;

use super::{
    Outcome, Run, Status,
    input::{self, OptionalData, Proofs, with_network},
    output::{self, Out, columns},
};

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  dahlquist falsify model.safetensors --budget 60\n\nBounds are ℓ2 Lipschitz constants."
)]
pub(super) struct Falsify {
    /// Model file
    model: PathBuf,
    #[command(flatten)]
    data: OptionalData,
    #[command(flatten)]
    proofs: Proofs,
    /// Time for the search; no round begins after it
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, allow_negative_numbers = true)]
    budget: f64,
    /// Seed of the search
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write what was found as JSON (`-`: standard output)
    #[arg(long, value_name = "OUT")]
    json: Option<Out>,
}

impl Run for Falsify {
    fn run(&self) -> Result<Outcome> {
        if !(self.budget.is_finite() && self.budget >= 0.0) {
            let reason = "a budget is a number of seconds that is not negative".into();
            return Err(Error::Parameter { name: "budget", value: self.budget.to_string(), reason });
        }
        let (_, network) = input::model(&self.model)?;
        with_network!(network, network => self.falsify(network))
    }

    fn inputs(&self) -> Vec<&Path> {
        std::iter::once(&*self.model).chain(self.data.path()).collect()
    }

    fn outputs(&self) -> Vec<&Out> {
        self.json.iter().collect()
    }
}

impl Falsify {
    fn falsify<T: Scalar>(&self, network: Network<T>) -> Result<Outcome> {
        let dataset = self.data.load(&network)?;
        let samples = dataset.map(|d| d.batch::<T>(&(0..d.len()).collect::<Vec<_>>())).transpose()?;
        let sealed = input::seal(&self.model, network, self.proofs.options())?;
        input::note_expansive(sealed.map(), sealed.certificate());
        let falsifier = Falsifier { seconds: self.budget, seed: self.seed, ..Falsifier::default() };
        let found = timed(self.budget, || falsifier.run(&sealed, samples.as_ref()))?;

        if let Some(out) = &self.json {
            let mut value = serde_json::to_value(&found).map_err(|e| Error::file(&**out, e))?;
            value["norm"] = "l2".into();
            value["summation"] = serde_json::json!(sealed.options().summation);
            value["refuted"] = found.refuted().into();
            // JSON has no infinity: null where nothing was found.
            value["network"]["looseness"] = found.network.looseness().into();
            for (i, layer) in found.layers.iter().enumerate() {
                value["layers"][i]["looseness"] = layer.looseness().into();
            }
            if let Some(features) = &found.features {
                value["features"]["looseness"] = features.looseness().into();
            }
            out.json(&value)?;
        }
        let title = ["", "kind", "ℓ2 bound", "found", "bound/found", ""].map(String::from).to_vec();
        let reports = found.layers.iter().chain(&found.features).chain([&found.network]);
        let rows: Vec<Vec<String>> = std::iter::once(title).chain(reports.map(row)).collect();
        let mut text = columns(&rows);
        let flips = &found.flips;
        text += &format!("{} rounds in {:.1} s, {} bisections of radii", found.rounds, found.seconds, flips.bisections);
        if let Some(closest) = flips.closest {
            text += &format!(", the closest flip at {closest:.4} times the radius");
        }
        text += &format!(", {} within a radius\n", flips.violations);
        if flips.unsolved > 0 {
            text += &format!("{} inputs whose equations were not solved: no claim is about them\n", flips.unsolved);
        }
        text += &format!("executed in {}, {}\n", T::NAME, input::order(sealed.options().summation));
        text += if found.refuted() { "REFUTED\n" } else { "nothing refuted\n" };
        let status = if found.refuted() { Status::Failed } else { Status::Done };
        Ok(Outcome { text, status })
    }
}

/// Runs a search under a bar that shows the part of the budget that is used up.
fn timed<T>(budget: f64, search: impl FnOnce() -> T) -> T {
    let bar = output::progress("falsify", TICKS as usize);
    let start = Instant::now();
    let (end, ended) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let bar = &bar;
        scope.spawn(move || {
            // The search has ended as soon as the other end is dropped.
            while ended.recv_timeout(Duration::from_millis(100)) == Err(mpsc::RecvTimeoutError::Timeout) {
                advance(bar, start.elapsed().as_secs_f64(), budget);
            }
        });
        let found = search();
        drop(end);
        bar.finish_and_clear();
        found
    })
}

fn advance(bar: &ProgressBar, elapsed: f64, budget: f64) {
    let part = if budget > 0.0 { (elapsed / budget).min(1.0) } else { 0.0 };
    bar.set_position((part * TICKS as f64) as u64);
}

/// The length of the bar.
const TICKS: u64 = 1000;

/// Returns a constant with six digits behind the point, where they say something.
fn short(x: f64) -> String {
    if x == 0.0 || (1e-3..1e9).contains(&x) { format!("{x:.6}") } else { format!("{x:e}") }
}

fn row(report: &RatioReport) -> Vec<String> {
    let found = report.lower.map_or(report.estimate, |lower| lower.get());
    let verdict = if report.refuted { "REFUTED" } else { "" };
    vec![
        report.path.clone(),
        report.kind.clone(),
        format!("{:?}", report.bound),
        short(found),
        format!("{:.4}", report.looseness()),
        verdict.into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_follows_the_time() {
        let bar = ProgressBar::hidden();
        bar.set_length(TICKS);
        for (elapsed, budget, position) in [(0.0, 10.0, 0), (2.5, 10.0, 250), (10.0, 10.0, 1000), (11.0, 10.0, 1000)] {
            advance(&bar, elapsed, budget);
            assert_eq!(bar.position(), position);
        }
        advance(&bar, 0.0, 0.0);
        assert_eq!(bar.position(), 0);
        assert_eq!(timed(1e-3, || 7), 7);
    }
}
