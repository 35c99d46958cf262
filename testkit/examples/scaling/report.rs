//! Exponents, as a table and as JSON.

use std::path::Path;

use dahlquist::{Error, Result, io};
use serde::Serialize;

use crate::subject::{Pass, Quantity, Size, Times};

/// All times and what was fitted to them.
#[derive(Debug, Serialize)]
pub struct Report {
    base: Size,
    points: Vec<(Size, Times)>,
    curves: Vec<Curve>,
}

/// The time of a pass as a power of a quantity.
#[derive(Debug, Serialize)]
pub struct Curve {
    pub quantity: Quantity,
    pub pass: Pass,
    theory: i32,
    /// The slope through the medians, and the least and the largest of a single turn.
    pub exponent: f64,
    least: f64,
    largest: f64,
    /// The sizes and the median seconds.
    pub medians: Vec<(f64, f64)>,
}

impl Report {
    pub fn new(points: Vec<(Size, Times)>) -> Self {
        let curve = |quantity| Pass::ALL.map(|pass| Curve::new(&points, quantity, pass));
        let curves = Quantity::ALL.into_iter().flat_map(curve).collect();
        Self { base: Size::base(), points, curves }
    }

    pub fn curves(&self, quantity: Quantity) -> impl Iterator<Item = &Curve> {
        self.curves.iter().filter(move |curve| curve.quantity == quantity)
    }

    /// The table of `benches/RESULTS.md`.
    pub fn table(&self) -> String {
        let Size { batch, channels, side, depth, threads } = self.base;
        let mut text = format!(
            "{batch} images of {side}², {channels} channels, {depth} blocks, {threads} threads, unless they grow; \
             fitted exponent, in brackets least and largest of a turn, then what is expected\n\n| pass |"
        );
        for quantity in Quantity::ALL {
            let sizes: Vec<String> = quantity.sizes().iter().map(|&size| quantity.of(size).to_string()).collect();
            text += &format!(" {} {} |", quantity.name(), sizes.join(", "));
        }
        text += &format!("\n|---|{}\n", "---|".repeat(Quantity::ALL.len()));
        for pass in Pass::ALL {
            text += &format!("| {} |", pass.name());
            for Curve { exponent, least, largest, theory, .. } in self.curves.iter().filter(|c| c.pass == pass) {
                text += &format!(" {exponent:.2} ({least:.2} to {largest:.2}), {theory} |");
            }
            text.push('\n');
        }
        text
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::file(path, e))?;
        io::write(path, text.as_bytes())
    }
}

impl Curve {
    fn new(points: &[(Size, Times)], quantity: Quantity, pass: Pass) -> Self {
        let sizes = quantity.sizes();
        let found = points.iter().filter(|(size, _)| sizes.contains(size));
        let lines: Vec<(f64, &[f64])> =
            found.map(|(size, times)| (quantity.of(*size) as f64, &times[&pass][..])).collect();
        let along = |time: &dyn Fn(&[f64]) -> f64| lines.iter().map(|(x, times)| (*x, time(times))).collect::<Vec<_>>();
        let medians = along(&median);
        let turns: Vec<f64> = (0..lines[0].1.len()).map(|turn| slope(&along(&|times| times[turn]))).collect();
        Self {
            quantity,
            pass,
            theory: quantity.theory(pass),
            exponent: slope(&medians),
            least: turns.iter().copied().fold(f64::INFINITY, f64::min),
            largest: turns.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            medians,
        }
    }
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}

/// The slope of the least-squares line through the logarithms.
fn slope(points: &[(f64, f64)]) -> f64 {
    let logarithms: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logarithms.len() as f64;
    let (x, y) = logarithms.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x / count, b + y / count));
    let (up, down) =
        logarithms.iter().fold((0.0, 0.0), |(a, b), (s, t)| (a + (s - x) * (t - y), b + (s - x) * (s - x)));
    up / down
}
