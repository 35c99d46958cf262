//! Forged certificates, models, samples and witnesses: none of them may be accepted while it is false.
//!
//! ```text
//! cargo run --release -p dahlquist-testkit --example forgeries -- --count 10000 --seed 1
//! cargo run --release -p dahlquist-testkit --example forgeries -- --checker proofs/checker/check-witness
//! ```
//!
//! Each forgery changes what the crate issues about small networks of every kind, in one of its ways (exact, executed;
//! global, local; any order of sums, the declared one; samples in `f32` and in `f64`): a number of the proof, a place, a rule, evidence,
//! premises, a claim about a sample; or the model, or the samples. Hashes are repaired, so that only the mathematics can
//! refuse. What is refused is counted, and what is accepted is judged (`judge.rs`). The program fails if something is accepted
//! that is false; what is accepted and cannot be decided is printed and counted apart.

mod accept;
mod certificates;
mod draft;
mod judge;
mod models;
mod refute;
mod samples;
mod subject;
mod witnesses;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use clap::Parser;
use dahlquist::{Result, io};
use draft::{Draft, pick};
use judge::{Fate, judge};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;
use serde_json::json;
use subject::Subject;
use witnesses::Witnesses;

#[derive(Parser)]
struct Options {
    /// The seed: what is forged depends on it and on the count alone.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The number of forgeries.
    #[arg(long, default_value_t = 10_000)]
    count: usize,
    /// The verified checker: one forgery in ten is then one of a witness, or of what it is about.
    #[arg(long)]
    checker: Option<PathBuf>,
    /// Where the counts are written as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// A way to forge: it leaves the draft alone where there is nothing to forge.
type Forge = fn(&mut Draft, &[Subject], &Subject, &mut ChaCha8Rng);

const KINDS: [(&str, Forge); 17] = [
    ("a number", |d, _, _, rng| certificates::number(d, rng)),
    ("bounds, all alike", |d, _, _, rng| certificates::consistent(d, rng)),
    ("a place", |d, _, _, rng| certificates::place(d, rng)),
    ("a rule", |d, _, _, rng| certificates::rule(d, rng)),
    ("premises", |d, _, _, rng| certificates::premises(d, rng)),
    ("a subtree", |d, _, _, rng| certificates::subtree(d, rng)),
    ("evidence", |d, _, _, rng| certificates::evidence(d, rng)),
    ("a claim more", |d, _, _, rng| certificates::claim(d, rng)),
    ("the header", |d, _, _, rng| certificates::header(d, rng)),
    ("radii", |d, _, _, rng| samples::radius(d, rng)),
    ("predictions", |d, _, _, rng| samples::prediction(d, rng)),
    ("lists of samples", |d, _, _, rng| if rng.random() { samples::lists(d, rng) } else { samples::anything(d, rng) }),
    ("meaning of radii", |d, _, s, rng| samples::meaning(d, s, rng)),
    ("labels and accuracies", |d, _, _, rng| samples::accuracy(d, rng)),
    ("other samples", |d, _, _, rng| samples::data(d, rng)),
    ("tensors", |d, _, _, rng| models::tensor(d, rng)),
    ("architecture or model", |d, all, _, rng| {
        if rng.random_range(0..3) > 0 { models::architecture(d, rng) } else { models::another(d, all, rng) }
    }),
];

/// After this many forgeries a line says how far the program is.
const REPORT: usize = 500;

/// How often each fate was met.
#[derive(Debug, Default, Clone, Serialize)]
struct Counts {
    refused: usize,
    accepted_true: usize,
    undecided: usize,
    accepted_false: usize,
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let start = Instant::now();
    let subjects = Subject::all()?;
    let witnesses = options.checker.as_ref().map(|checker| Witnesses::new(checker, &subjects)).transpose()?;
    let one = |i: usize| -> Result<(&'static str, String, Fate)> {
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        rng.set_stream(i as u64);
        if let Some(witnesses) = witnesses.as_ref().filter(|_| i.is_multiple_of(10)) {
            let (name, fate) = witnesses.forge(&mut rng)?;
            return Ok(("a witness", name, fate));
        }
        loop {
            let subject = pick(&mut rng, &subjects);
            let original = Draft::of(subject, &mut rng);
            let (kind, forge) = pick(&mut rng, &KINDS);
            let mut draft = original.clone();
            forge(&mut draft, &subjects, subject, &mut rng);
            if draft != original {
                draft.settle(&mut rng);
                return Ok((kind, subject.name.clone(), judge(&draft, subject)));
            }
        }
    };
    let done = AtomicUsize::new(0);
    let reported = |i: usize| {
        let fate = one(i);
        let number = done.fetch_add(1, Ordering::Relaxed) + 1;
        if number.is_multiple_of(REPORT) {
            eprintln!("{number} of {} after {:.0} s", options.count, start.elapsed().as_secs_f64());
        }
        fate
    };
    let fates: Vec<_> = (0..options.count).into_par_iter().map(reported).collect::<Result<_>>()?;
    let (mut kinds, mut all): (BTreeMap<&str, Counts>, _) = (BTreeMap::new(), Counts::default());
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, (kind, name, fate)) in fates.iter().enumerate() {
        for counts in [kinds.entry(kind).or_default(), &mut all] {
            match fate {
                Fate::Refused => counts.refused += 1,
                Fate::True(_) => counts.accepted_true += 1,
                Fate::Undecided(_) => counts.undecided += 1,
                Fate::False(_) => counts.accepted_false += 1,
            }
        }
        match fate {
            Fate::Refused => {}
            Fate::True(reason) => *reasons.entry(reason).or_default() += 1,
            Fate::Undecided(what) => eprintln!("forgery {i}, {kind} of {name}: accepted, UNDECIDED: {what}"),
            Fate::False(what) => eprintln!("forgery {i}, {kind} of {name}: ACCEPTED AND FALSE: {what}"),
        }
    }
    let value = json!({
        "seed": options.seed, "count": options.count, "seconds": start.elapsed().as_secs_f64(),
        "subjects": subjects.iter().map(|subject| &subject.name).collect::<Vec<_>>(),
        "kinds": kinds, "all": all, "accepted_because": reasons,
    });
    let text = format!("{value:#}\n");
    print!("{text}");
    if let Some(path) = &options.json {
        io::write(path, text.as_bytes())?;
    }
    Ok(if all.accepted_false == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
