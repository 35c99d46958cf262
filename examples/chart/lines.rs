//! Lines in one chart.

use plotters::prelude::*;

use crate::chart::{self, Area, Failure};

/// Colours that tell lines apart.
pub const COLORS: [RGBColor; 6] = [
    RGBColor(0x1f, 0x5f, 0xa8),
    RGBColor(0xc0, 0x3a, 0x2b),
    RGBColor(0x2e, 0x8b, 0x57),
    RGBColor(0x8e, 0x44, 0xad),
    RGBColor(0xd3, 0x84, 0x1c),
    RGBColor(0x55, 0x5f, 0x6b),
];

/// A line; without a name it is not in the legend.
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
    pub color: RGBColor,
}

impl Line {
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>, color: usize) -> Self {
        Self { name: name.into(), points, color: COLORS[color % COLORS.len()] }
    }
}

/// Draws lines with axes that fit them. Points that are not finite are left out.
pub fn draw(area: &Area<'_>, title: &str, axes: [&str; 2], lines: &[Line]) -> std::result::Result<(), Failure> {
    let finite = |line: &Line| -> Vec<(f64, f64)> {
        line.points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect()
    };
    let points: Vec<(f64, f64)> = lines.iter().flat_map(finite).collect();
    let range = |of: fn(&(f64, f64)) -> f64| {
        let (low, high) =
            points.iter().map(of).fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
        let margin = 0.04 * (high - low).max(1e-9);
        low - margin..high + margin
    };
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .caption(title, ("sans-serif", 16))
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(range(|p| p.0), range(|p| p.1))?;
    chart
        .configure_mesh()
        .x_desc(axes[0])
        .y_desc(axes[1])
        .label_style(("sans-serif", 13))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for line in lines {
        let series = chart.draw_series(LineSeries::new(finite(line), line.color.stroke_width(2)))?;
        if !line.name.is_empty() {
            series.label(&line.name).legend(chart::stroke(line.color));
        }
    }
    if lines.iter().all(|line| line.name.is_empty()) {
        return Ok(());
    }
    chart::legend(&mut chart, SeriesLabelPosition::UpperRight, 13)
}
