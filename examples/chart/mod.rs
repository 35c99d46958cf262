//! What the plots of the examples have in common.

use std::path::Path;

use dahlquist::{Error, Result, io};
use plotters::{
    coord::{CoordTranslate, Shift},
    prelude::*,
};

/// An area to draw on that becomes an SVG.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// Why something could not be drawn.
pub type Failure = Box<dyn std::error::Error>;

/// Draws on a white background, whose size is in pixels. Writes the whole file, or none.
pub fn write(
    path: &Path,
    size: (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> std::result::Result<(), Failure>,
) -> Result<()> {
    let mut svg = String::new();
    let attempt = || {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE)?;
        draw(&root)?;
        root.present().map_err(Failure::from)
    };
    attempt().map_err(|e| Error::file(path, e))?;
    io::write(path, svg.as_bytes())
}

/// The piece of a line in the legend.
pub fn stroke(color: RGBColor) -> impl Fn((i32, i32)) -> PathElement<(i32, i32)> {
    move |(x, y)| PathElement::new([(x, y), (x + 22, y)], color.stroke_width(2))
}

/// Draws the legend. The size of its letters is in pixels.
pub fn legend<'a, 'b: 'a, C: CoordTranslate>(
    chart: &mut ChartContext<'a, SVGBackend<'b>, C>,
    position: SeriesLabelPosition,
    letters: u32,
) -> std::result::Result<(), Failure> {
    chart
        .configure_series_labels()
        .position(position)
        .background_style(WHITE.mix(0.85))
        .label_font(("sans-serif", letters))
        .margin(8)
        .draw()
        .map_err(|e| e.to_string().into())
}
