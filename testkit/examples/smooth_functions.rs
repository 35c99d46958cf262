//! The error of tanh, sigmoid and softplus at every number of `f32`.
//!
//! ```text
//! nice cargo run --release -p dahlquist-testkit --example smooth_functions    a few minutes on 2 cores
//! cargo run --release -p dahlquist-testkit --example smooth_functions -- --stride 1009    a second
//! ```
//!
//! Each value is compared with a reference in `f64` whose own error is proved (`testkit/src/smooth.rs`), for all 2³² bit
//! patterns but NaNs and infinities. What comes out is a proof of the constants of [`Activation::error`] in `f32` for the
//! library that this program is linked with; it fails if one of them is exceeded.
//!
//! [`Activation::error`]: dahlquist::activation::Activation::error

use std::{path::PathBuf, process::ExitCode, time::Instant};

use clap::Parser;
use dahlquist::{Result, io, rigor::Rounding};
use dahlquist_testkit::smooth::{FUNCTIONS, Worst};
use rayon::prelude::*;
use serde_json::json;

#[derive(Parser)]
struct Options {
    /// Only every so many bit patterns; those of all numbers if it is 1.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    stride: u32,
    /// Where the largest errors are written as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Bit patterns that are looked at in one piece.
const PIECE: u64 = 1 << 22;

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let (start, rounding) = (Instant::now(), Rounding::of::<f32>());
    let (mut holds, mut rows) = (true, Vec::new());
    for (function, reference) in FUNCTIONS {
        let patterns = (1u64 << 32).div_ceil(options.stride.into());
        let piece = |i: u64| {
            let bits = i * PIECE..patterns.min((i + 1) * PIECE);
            Worst::over(function, reference, bits.map(|k| (k * u64::from(options.stride)) as u32))
        };
        let worst = (0..patterns.div_ceil(PIECE)).into_par_iter().map(piece).reduce(Worst::default, Worst::and);
        let (relative, absolute) = function.error(&rounding);
        let charged = [relative / rounding.unit(), absolute / rounding.underflow(1)];
        holds &= worst.relative.0 <= charged[0] && worst.absolute.0 <= charged[1];
        rows.push(json!({
            "function": function.name(), "numbers": worst.count,
            "units": worst.relative.0, "at": worst.relative.1, "charged_units": charged[0],
            "smallest_numbers": worst.absolute.0, "at_subnormal": worst.absolute.1, "charged_smallest_numbers": charged[1],
        }));
    }
    let value =
        json!({"stride": options.stride, "seconds": start.elapsed().as_secs_f64(), "holds": holds, "functions": rows});
    let text = format!("{value:#}\n");
    print!("{text}");
    if let Some(path) = &options.json {
        io::write(path, text.as_bytes())?;
    }
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
