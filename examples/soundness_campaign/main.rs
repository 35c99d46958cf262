//! A search for a counterexample to any claim of the crate, over many small networks.
//!
//! ```text
//! cargo run --release --example soundness_campaign                                    a million pairs
//! cargo run --release --example soundness_campaign -- --pairs 10000 --bisections 500  a minute
//! cargo run --release --example soundness_campaign -- --understate 0.99999            must find violations
//! ```
//!
//! Networks of fourteen kinds, drawn at random or trained, run in `f32`, on samples in `f32` or `f64`, or in `f64`, in any
//! order of summation or in the declared one. Flows are by every explicit method, and of every field, that is certified. Of two networks in
//! five, weights, biases, steps and slopes are stretched over the range of exponents, from subnormal numbers to the largest
//! ones. Around each sample, points `x'` within its certified radii, global and local, are drawn and pulled towards other
//! classes. Over the real numbers, `‖f(x) − f(x')‖ ≤ L‖x − x'‖` and the class of `x'` are decided without any tolerance: in
//! intervals, by the formulas of the network alone, and in exact integers where intervals overlap. As executed, the
//! program's class at `x'` must be the certified one, strictly. Then distances of executed flips are bisected, and pairs
//! with large ratios sought, by `dahlquist falsify`. The program fails if a claim is refuted. Radii of linear networks are
//! sharp, and local ones of others often are: that is why claims of slightly more are found to be false.

mod counts;
mod draw;
mod examine;
mod interval;
mod points;
mod reference;
mod stretch;
mod subject;

use std::{path::PathBuf, process::ExitCode, time::Instant};

use clap::Parser;
use counts::Counts;
use dahlquist::{
    Result,
    attack::Falsifier,
    certify::{SealOptions, Summation},
    data::cifar10,
    io,
    network::{self, AnyNetwork},
};
use draw::KINDS;
use examine::{Draw, examine};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde_json::json;

#[derive(Parser)]
struct Options {
    /// The seed: the counts depend on it and on the numbers of pairs and bisections alone.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Pairs within a certified radius that are tested at least.
    #[arg(long, default_value_t = 1_000_000)]
    pairs: usize,
    /// Distances of executed flips that are bisected at least.
    #[arg(long, default_value_t = 10_000)]
    bisections: usize,
    /// Seconds after which no network is begun.
    #[arg(long, default_value_t = 3600.0)]
    budget: f64,
    /// The number of the first network: networks before it are left out.
    #[arg(long, default_value_t = 0)]
    first: usize,
    /// Every Lipschitz bound is multiplied by this and every radius divided: below 1, violations must be found.
    #[arg(long, default_value_t = 1.0)]
    understate: f64,
    /// A trained network of CIFAR-10's images in f32, whose executed radii are attacked as well.
    #[arg(long, requires = "data")]
    model: Option<PathBuf>,
    /// The directory of CIFAR-10 in its binary layout.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Rounds of 32 images of that network, in each order of summation.
    #[arg(long, default_value_t = 4)]
    rounds: usize,
    /// Where the counts are written as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Networks that are tested at a time.
const GROUP: usize = 24;

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let start = Instant::now();
    let mut counts = Counts::default();
    let mut next = options.first;
    while (counts.pairs < options.pairs || counts.bisections < options.bisections)
        && start.elapsed().as_secs_f64() < options.budget
    {
        let group: Vec<Counts> =
            (next..next + GROUP).into_par_iter().map(|i| one(&options, i)).collect::<Result<_>>()?;
        for (i, found) in group.iter().enumerate() {
            counts.add(found);
            if found.violations.total() > 0 {
                eprintln!("network {}, {}: {:?}", next + i, KINDS[(next + i) % KINDS.len()], found.violations);
            }
        }
        next += GROUP;
        let (pairs, bisections, violations) = (counts.pairs, counts.bisections, counts.violations.total());
        eprintln!("{next} networks, {pairs} pairs, {bisections} bisections, {violations} violations");
    }
    let mut value = json!({
        "seed": options.seed, "seconds": start.elapsed().as_secs_f64(), "understate": options.understate,
        "networks": KINDS.iter().zip(&counts.networks).map(|(kind, n)| (kind.to_string(), json!(n))).collect::<serde_json::Map<_, _>>(),
        "counts": counts,
    });
    let mut violations = counts.violations.total();
    if let (Some(model), Some(data)) = (&options.model, &options.data) {
        for summation in [Summation::Any, Summation::Declared] {
            let AnyNetwork::F32(network) = network::load(model)? else { continue };
            let sealed = network.seal_with(SealOptions { summation, ..SealOptions::default() })?;
            let (_, tests) = cifar10::load(data)?;
            let images = tests.batch(&(0..tests.len()).collect::<Vec<_>>())?;
            let falsifier = Falsifier {
                seconds: options.budget,
                rounds: Some(options.rounds),
                seed: options.seed,
                ..Falsifier::default()
            };
            let found = falsifier.run(&sealed, Some(&images))?;
            violations += usize::from(found.refuted());
            let loosest = |found: &dahlquist::attack::RatioReport| found.looseness();
            value["model"][format!("{summation:?}").to_lowercase()] = json!({
                "seconds": found.seconds, "flips": found.flips, "looseness": loosest(&found.network), "refuted": found.refuted(),
            });
        }
    }
    value["violations"] = json!(violations);
    let text = format!("{value:#}\n");
    print!("{text}");
    if let Some(path) = &options.json {
        io::write(path, text.as_bytes())?;
    }
    Ok(if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The `i`-th network: kinds in turn, formats in turn, two of five trained, others stretched.
fn one(options: &Options, i: usize) -> Result<Counts> {
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    rng.set_stream(i as u64);
    let (kind, trained) = (i % KINDS.len(), i % 5 < 2);
    let draw = Draw { kind, trained, stretched: i % 5 > 2, understate: options.understate };
    match i / KINDS.len() % 3 {
        0 => examine::<f32, f32>(draw, &mut rng),
        1 => examine::<f32, f64>(draw, &mut rng),
        _ => examine::<f64, f64>(draw, &mut rng),
    }
}
