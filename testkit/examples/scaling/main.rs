//! How the cost of every pass grows with one quantity while the others stay: the exponents, measured.
//!
//! ```text
//! cargo run --release -p dahlquist-testkit --example scaling    two to three minutes on 2 idle cores
//! cargo run --release -p dahlquist-testkit --example scaling -- --help
//! ```
//!
//! The network is one stage of the reference classifier of the benchmarks: blocks `x − hWᵀ relu(Wx + b)` of one number
//! of channels at one side of the image. An exponent is the slope of the least-squares line through the logarithms of
//! the medians; in brackets are the least and the largest slope of a single turn. A turn times every size once, so that
//! a busy moment of the machine does not hit one size alone.
//!
//! What to expect: multiplications are `batch · depth · channels² · side²` in every pass, and
//! `depth · channels³ · side²` in the proof of the norms, which sees no samples. Exponents lie below these as long as
//! what does not grow has a share: the first layer and the head, and in a step of training the renewal of the norms.

#[path = "../../../examples/chart/mod.rs"]
mod chart;
mod plot;
#[path = "../../../benches/reference/mod.rs"]
#[allow(dead_code)]
mod reference;
mod report;
mod subject;

use std::path::PathBuf;

use clap::Parser;
use dahlquist::{Error, Result};

use crate::{
    report::Report,
    subject::{Pass, Quantity, Size, Subject, Times},
};

/// Measured exponents of cost.
#[derive(Debug, Parser)]
struct Options {
    /// How often every size is timed.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    turns: u32,
    /// Where `scaling.json` and `scaling.svg` are written.
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
}

fn main() -> Result<()> {
    let options = Options::parse();
    std::fs::create_dir_all(&options.out).map_err(|e| Error::file(&options.out, e))?;
    let report = Report::new(measure(options.turns)?);
    print!("{}", report.table());
    report.write(&options.out.join("scaling.json"))?;
    plot::draw(&report, &options.out.join("scaling.svg"))
}

/// Times every pass at every size, turn by turn.
fn measure(turns: u32) -> Result<Vec<(Size, Times)>> {
    let mut sizes: Vec<Size> = Quantity::ALL.into_iter().flat_map(Quantity::sizes).collect();
    sizes.sort();
    sizes.dedup();
    let mut subjects = sizes.into_iter().map(Subject::new).collect::<Result<Vec<_>>>()?;
    let mut times = vec![Times::new(); subjects.len()];
    for turn in 1..=turns {
        eprintln!("turn {turn} of {turns}");
        for (subject, times) in subjects.iter_mut().zip(&mut times) {
            for pass in Pass::ALL {
                times.entry(pass).or_default().push(subject.time(pass)?);
            }
        }
    }
    Ok(subjects.iter().map(|subject| subject.size).zip(times).collect())
}
