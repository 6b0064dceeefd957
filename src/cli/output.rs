//! What is printed on stdout.

use std::borrow::Cow;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use super::plain;

/// Prints text, which nothing in it makes the terminal act on.
///
/// # Errors
/// Whatever stdout says; a closed pipe among it.
pub(crate) fn text(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(plain::block(text).as_bytes())?;
    stdout.flush()
}

/// Prints one value as one line of JSON.
pub(crate) fn json_line<T: Serialize>(value: &T) -> io::Result<()> {
    let mut line = serde_json::to_string(value)?;
    line.push('\n');
    text(&line)
}

/// Prints one value as indented JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> io::Result<()> {
    let mut pretty = serde_json::to_string_pretty(value)?;
    pretty.push('\n');
    text(&pretty)
}

/// Writes one value as indented JSON into a file.
///
/// # Errors
/// Where it cannot be written, with its name.
pub(crate) fn json_file<T: Serialize>(file: &Path, value: &T) -> anyhow::Result<()> {
    let pretty = serde_json::to_string_pretty(value)? + "\n";
    std::fs::write(file, pretty).with_context(|| file.display().to_string())
}

/// Columns as wide as their widest cell; the first is aligned left, the others right. A cell is one line, whatever is in it.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<Cow<'_, str>>> =
        rows.iter().map(|row| row.iter().map(|cell| plain::line(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let padding = " ".repeat(widths[column].saturating_sub(cell.chars().count()));
            let cell = if column == 0 { format!("{cell}{padding}") } else { format!("  {padding}{cell}") };
            line.push_str(&cell);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
