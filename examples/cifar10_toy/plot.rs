//! The curves: accuracy against the radius of the attack.

use std::path::Path;

use dahlquist::Result;
use plotters::prelude::*;

use crate::{
    chart::{self, Area, Failure},
    report::{Evaluation, Report},
};

/// The certified curve runs through this many radii.
const POINTS: usize = 400;

/// Draws certified and attacked accuracy of both networks against `ε`.
pub fn curves(report: &Report, path: &Path) -> Result<()> {
    chart::write(path, (760, 460), |root| draw(report, root))
}

fn draw(report: &Report, root: &Area<'_>) -> std::result::Result<(), Failure> {
    let mut chart = ChartBuilder::on(root)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..1.0, 0.0..100.0)?;
    chart
        .configure_mesh()
        .x_desc("radius ε of the perturbation (ℓ2, pixels in [0, 1])")
        .y_desc("accuracy (%)")
        .label_style(("sans-serif", 14))
        .light_line_style(TRANSPARENT)
        .draw()?;
    let (stable, plain) = (&report.networks["stable"], &report.networks["plain"]);
    let (blue, red) = (RGBColor(0x1f, 0x5f, 0xa8), RGBColor(0xc0, 0x3a, 0x2b));
    for (evaluation, color) in [(plain, red), (stable, blue)] {
        let attacked = evaluation.by_eps.iter().map(|row| (row.eps, 100.0 * row.pgd));
        chart
            .draw_series(LineSeries::new(attacked.clone(), color.stroke_width(2)).point_size(4))?
            .label(format!("{} network, under PGD", evaluation.name))
            .legend(chart::stroke(color));
    }
    let fill = blue.mix(0.18);
    chart
        .draw_series(
            AreaSeries::new(certified(stable, report.test_images()), 0.0, fill).border_style(blue.stroke_width(1)),
        )?
        .label("stable network, certified")
        .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 22, y + 5)], fill.filled()));
    chart::legend(&mut chart, SeriesLabelPosition::UpperRight, 14)
}

/// The percentage of the images that are certified at each radius.
fn certified(evaluation: &Evaluation, images: usize) -> Vec<(f64, f64)> {
    (0..=POINTS)
        .map(|i| i as f64 / POINTS as f64)
        .map(|eps| {
            let below = evaluation.radii.partition_point(|&radius| radius <= eps);
            (eps, 100.0 * (evaluation.radii.len() - below) as f64 / images as f64)
        })
        .collect()
}
