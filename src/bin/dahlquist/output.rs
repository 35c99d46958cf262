//! What commands write: files, notes, progress bars, columns.

use std::{
    ffi::OsString,
    io::Write,
    ops::Deref,
    path::{Path, PathBuf},
};

use dahlquist::{Error, Result, io};
use indicatif::{ProgressBar, ProgressStyle};

/// Where a result is written: a path, or `-` for the standard output.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Out(PathBuf);

impl From<OsString> for Out {
    fn from(path: OsString) -> Self {
        Self(if path == "-" { "/dev/stdout".into() } else { path.into() })
    }
}

impl Deref for Out {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Out {
    /// Writes JSON.
    pub(super) fn json(&self, value: &serde_json::Value) -> Result<()> {
        let mut bytes = serde_json::to_vec_pretty(value).map_err(|e| Error::file(&self.0, e))?;
        bytes.push(b'\n');
        io::write(self, &bytes)
    }
}

/// Prints a line on the standard error about something that is easily overlooked.
pub(super) fn note(text: &str) {
    say(&format!("note: {text}"));
}

/// Prints one line on the standard error, whatever a file has put into it.
pub(super) fn say(text: &str) {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = match line.char_indices().nth(1000) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None => line,
    };
    let _ = writeln!(std::io::stderr(), "dahlquist: {line}");
}

/// Returns a progress bar on the standard error; it stays hidden where that is no terminal.
pub(super) fn progress(what: &'static str, length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:10} {wide_bar} {percent:>3} %  {msg}  {eta} left");
    let bar = ProgressBar::new(length as u64).with_prefix(what);
    style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
}

/// Rows of text in columns, two spaces between them.
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

/// Returns a fraction as a percentage.
pub(super) fn percent(fraction: f64) -> String {
    format!("{:.2} %", 100.0 * fraction)
}
