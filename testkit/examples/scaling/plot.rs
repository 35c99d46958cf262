//! The plot: for each quantity, the time of every pass, both logarithmic.

use std::path::Path;

use dahlquist::Result;
use plotters::prelude::*;

use crate::{
    chart::{self, Area, Failure},
    report::Report,
    subject::Quantity,
};

/// One for each pass.
const COLORS: [RGBColor; 6] = [
    RGBColor(0x1f, 0x5f, 0xa8),
    RGBColor(0x2a, 0x9d, 0x8f),
    RGBColor(0x6a, 0x4c, 0x93),
    RGBColor(0xe0, 0x9f, 0x1f),
    RGBColor(0xc0, 0x3a, 0x2b),
    RGBColor(0x40, 0x40, 0x40),
];

/// Draws one panel for each quantity.
pub fn draw(report: &Report, path: &Path) -> Result<()> {
    chart::write(path, (1380, 1000), |root| {
        let panels = root.split_evenly((2, 3));
        Quantity::ALL.into_iter().zip(&panels).try_for_each(|(quantity, area)| panel(report, quantity, area))
    })
}

fn panel(report: &Report, quantity: Quantity, area: &Area<'_>) -> std::result::Result<(), Failure> {
    let points = || report.curves(quantity).flat_map(|curve| &curve.medians);
    let ((left, right), (low, high)) = (range(points().map(|p| p.0)), range(points().map(|p| p.1)));
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(64)
        // Above the lines there is room for the legend.
        .build_cartesian_2d(
            (left..right).log_scale().base(2.0),
            (low / 1.5..high * (high / low).powf(0.7).max(5.0)).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc(quantity.name())
        .y_desc("seconds")
        .x_label_formatter(&|x| if (x - x.round()).abs() < 1e-9 { format!("{x:.0}") } else { String::new() })
        .y_label_formatter(&|y| format!("{}", (y * 1e6).round() / 1e6))
        .label_style(("sans-serif", 14))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (curve, color) in report.curves(quantity).zip(COLORS) {
        chart
            .draw_series(LineSeries::new(curve.medians.iter().copied(), color.stroke_width(2)).point_size(3))?
            .label(format!("{}: {:.2}", curve.pass.name(), curve.exponent))
            .legend(chart::stroke(color));
    }
    chart::legend(&mut chart, SeriesLabelPosition::UpperLeft, 13)
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, 0.0), |(low, high), x| (low.min(x), high.max(x)))
}
