//! What commands write: JSON files, progress bars, columns.

use std::path::Path;

use dahlquist::{Error, Result, io};
use indicatif::{ProgressBar, ProgressStyle};

/// A progress bar on stderr; it stays hidden where stderr is no terminal.
pub(super) fn progress(what: &'static str, length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:10} {wide_bar} {percent:>3} %  {msg}  {eta} left");
    let bar = ProgressBar::new(length as u64).with_prefix(what);
    style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
}

/// Writes JSON to a file, whole or not at all.
pub(super) fn json(path: &Path, value: &serde_json::Value) -> Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|e| Error::file(path, e))?;
    bytes.push(b'\n');
    io::write(path, &bytes)
}

/// Rows of text in columns, the first line above them underlined by nothing: two spaces between columns.
pub(super) fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |j: usize| rows.iter().filter_map(|row| row.get(j)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let line: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A fraction as a percentage.
pub(super) fn percent(fraction: f64) -> String {
    format!("{:.2} %", 100.0 * fraction)
}
