//! A stable network and a plain one of the same size, each trained by the rule that suits it, attacked alike; the stable one
//! is certified.
//!
//! ```text
//! cargo run --release --example cifar10_toy                        synthetic images, about 5 minutes on 2 cores
//! cargo run --release --example cifar10_toy -- --data DIR          CIFAR-10 from its binary layout
//! cargo run --release --example cifar10_toy -- --help
//! ```
//!
//! What to look for: *certified ≤ under PGD ≤ clean* in every row. The attack bounds the true robust accuracy of a
//! network from above, the certificate from below. The plain network is the more accurate one until somebody looks for
//! its mistakes.

#[path = "../chart/mod.rs"]
mod chart;
mod options;
mod plot;
mod report;

use std::time::Instant;

use clap::Parser;
use dahlquist::{
    Error, Network, Result, Sealed, Semantics,
    attack::Attack,
    certify::SealOptions,
    data::{Dataset, cifar10, synthetic},
    network,
    rigor::Summation,
    tensor::Batch,
    train::{Recipe, train},
    zoo,
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    options::{Options, Settings},
    report::{EPS, Evaluation, Report},
};

fn main() -> std::process::ExitCode {
    match run(&Options::parse()) {
        Ok(report) if report.is_consistent() => std::process::ExitCode::SUCCESS,
        Ok(_) => {
            eprintln!("the inequality certified ≤ PGD ≤ clean is violated: see the table");
            std::process::ExitCode::from(1)
        }
        Err(error) => {
            eprintln!("cifar10_toy: {error}");
            std::process::ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<Report> {
    let start = Instant::now();
    options.use_threads()?;
    let settings = options.settings();
    std::fs::create_dir_all(&options.out).map_err(|e| Error::file(&options.out, e))?;
    let (train_set, test_set) = load(options, &settings)?;
    let images: Batch<f32> = test_set.batch(&(0..test_set.len()).collect::<Vec<_>>())?;
    println!(
        "{}: {} training and {} test images, {} and {} epochs, {} threads",
        options.data_name(),
        train_set.len(),
        test_set.len(),
        settings.epochs,
        settings.plain_epochs,
        rayon::current_num_threads()
    );

    let declared = SealOptions { summation: Summation::Declared, ..SealOptions::default() };
    let mut evaluations = Vec::new();
    for (name, network, recipe, is_stable) in [
        ("stable", zoo::stable(settings.size, options.seed)?, settings.stable(options.seed), true),
        ("plain", zoo::plain(settings.size, options.seed)?, settings.plain(options.seed), false),
    ] {
        let parameters = network.parameter_count();
        // What is attacked and certified runs in an order of summation that the kernels declare: few roundings in a row.
        let mut sealed = learn(name, network, &train_set, &recipe)?.seal_with(declared)?;
        if is_stable {
            report::print_certificate(&sealed);
            // It sees every image twice, once in the mirror, and loses nothing of its certificate.
            sealed = sealed.network().mirror_mean()?.seal_with(declared)?;
        }
        network::save(sealed.network(), &options.out.join(format!("{name}.safetensors")))?;
        evaluations.push(evaluate((name, parameters), &sealed, &images, test_set.labels(), &settings)?);
    }

    let report = Report::new(options, train_set.len(), test_set.len(), evaluations, start.elapsed().as_secs_f64());
    report.print();
    report.write(options)?;
    plot::curves(&report, &options.out.join("curves.svg"))?;
    Ok(report)
}

fn load(options: &Options, settings: &Settings) -> Result<(Dataset, Dataset)> {
    let Some(dir) = &options.data else {
        return synthetic::generate(options.seed, settings.train_images, settings.test_images);
    };
    let (train, test) = cifar10::load(dir)?;
    let first = |set: Dataset, count: usize| {
        if count < set.len() { set.subset(&(0..count).collect::<Vec<_>>()) } else { Ok(set) }
    };
    Ok((first(train, settings.train_images)?, first(test, settings.test_images)?))
}

/// Trains a network under a progress bar.
fn learn(name: &str, mut network: Network<f32>, data: &Dataset, recipe: &Recipe) -> Result<Network<f32>> {
    let steps = recipe.epochs * data.len().div_ceil(recipe.batch);
    let bar = progress_bar(&format!("train {name}"), steps);
    let (mut loss, mut accuracy) = (0.0, 0.0);
    train(&mut network, data, recipe, |progress| {
        // Means over about the last hundred steps.
        let weight = (1.0 / progress.step as f64).max(0.01);
        loss += weight * (progress.loss - loss);
        accuracy += weight * (progress.accuracy - accuracy);
        bar.set_message(format!("loss {loss:.3}  accuracy {:.1} %", 100.0 * accuracy));
        bar.inc(1);
    })?;
    bar.finish_and_clear();
    println!(
        "{name}: {} parameters, trained in {:.0} s, loss {loss:.3}, training accuracy {:.1} %",
        network.parameter_count(),
        bar.elapsed().as_secs_f64(),
        100.0 * accuracy
    );
    Ok(network)
}

/// Certifies every image in both semantics, and attacks it.
fn evaluate(
    (name, parameters): (&'static str, usize),
    sealed: &Sealed<f32>,
    images: &Batch<f32>,
    labels: &[usize],
    settings: &Settings,
) -> Result<Evaluation> {
    let exact = sealed.certify(images, Semantics::Exact)?;
    let executed = sealed.certify(images, Semantics::Executed)?;
    let attack = Attack { steps: settings.attack_steps, starts: settings.attack_starts, ..Attack::default() };
    let bar = progress_bar(&format!("attack {name}"), images.samples() * settings.attack_starts * EPS.len());
    let positive = &EPS[1..];
    let found =
        attack.robust_accuracy_observed(sealed.network(), images, labels, positive, &|ended| bar.inc(ended as u64))?;
    bar.finish_and_clear();
    Ok(Evaluation::new((name, parameters), sealed, labels, &exact, &executed, &found))
}

fn progress_bar(what: &str, length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:14} {wide_bar} {percent:>3} %  {msg}  {eta} left");
    let bar = ProgressBar::new(length as u64).with_prefix(what.to_string());
    style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
}
