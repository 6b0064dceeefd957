//! Output on stdout.
//!
//! In: text, and values for JSON. Out: text that no terminal acts on; JSON that stays JSON.
//! Promises: a stdout that cannot be written changes no exit code. A closed pipe is a reader that
//! has seen enough, so nothing is said of it; any other reason is said on stderr, once.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, bail};
use gemscope::journal;
use gemscope::ownership::OutputDirectory;
use gemscope::record::Manifest;
use serde::Serialize;

use super::{messages, plain};

/// Whether stdout has failed: text that follows would have a gap before it.
static GONE: AtomicBool = AtomicBool::new(false);

/// Whether it failed otherwise than by a closed pipe.
static LOST: AtomicBool = AtomicBool::new(false);

/// Prints text, which nothing in it makes the terminal act on.
pub(crate) fn text(text: &str) {
    print(&plain::block(text));
}

/// Prints a script as it is.
pub(crate) fn script(bytes: &[u8]) {
    print(&String::from_utf8_lossy(bytes));
}

/// Prints one value as one line of JSON.
///
/// # Errors
/// If the value cannot be JSON.
pub(crate) fn json_line<T: Serialize>(value: &T) -> serde_json::Result<()> {
    print(&(plain::json(&serde_json::to_string(value)?).into_owned() + "\n"));
    Ok(())
}

/// Prints one value as indented JSON.
///
/// # Errors
/// If the value cannot be JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> serde_json::Result<()> {
    print(&(plain::json(&serde_json::to_string_pretty(value)?).into_owned() + "\n"));
    Ok(())
}

/// Whether stdout is complete. A closed pipe counts as complete: nobody reads it.
pub(crate) fn is_whole() -> bool {
    !LOST.load(Ordering::Relaxed)
}

fn print(text: &str) {
    if GONE.load(Ordering::Relaxed) {
        return;
    }
    let mut stdout = io::stdout().lock();
    if let Err(error) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        GONE.store(true, Ordering::Relaxed);
        if error.kind() != ErrorKind::BrokenPipe {
            LOST.store(true, Ordering::Relaxed);
            messages::error(&format!("stdout: {error}; what is printed is not whole"));
        }
    }
}

/// Writes one value as indented JSON into a file, as [`file`] does.
///
/// # Errors
/// If it cannot be written, with its name.
pub(crate) fn json_file<T: Serialize>(path: &Path, value: &T, adopt: bool) -> anyhow::Result<()> {
    file(path, (serde_json::to_string_pretty(value)? + "\n").as_bytes(), adopt)
}

/// Puts a file in its place, if nothing of the user's is there. Its folder may be that of a run, so
/// it is taken while that is done.
///
/// # Errors
/// If it cannot be written, with its name.
pub(crate) fn file(path: &Path, bytes: &[u8], adopt: bool) -> anyhow::Result<()> {
    let name = path.file_name().and_then(OsStr::to_str);
    let name = name.with_context(|| format!("{}: no name for a file", path.display()))?;
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if journal::FILES.contains(&name) && Manifest::is_there(folder)? {
        bail!(
            "{} belongs to a run, whose answers would be lost: choose another name",
            path.display()
        );
    }
    OutputDirectory::open(folder)?.adopting(adopt).write(name, bytes)?;
    Ok(())
}

/// The most images with one reason that have a line each.
const MAX_LINES_OF_A_REASON: usize = 5;
/// How many are named of those that are counted.
const NAMED: usize = 3;

/// Lines about images that failed: one an image, or one a reason where many share it.
pub(crate) fn failures<'f>(
    failures: impl IntoIterator<Item = (&'f String, &'f String)>,
) -> Vec<String> {
    let mut by_reason: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut places = HashMap::new();
    for (image, reason) in failures {
        let place = *places.entry(reason).or_insert_with(|| {
            by_reason.push((reason, Vec::new()));
            by_reason.len() - 1
        });
        by_reason[place].1.push(image);
    }
    let mut lines = Vec::new();
    for (reason, images) in by_reason {
        let reason = messages::in_flags(reason);
        if images.len() <= MAX_LINES_OF_A_REASON {
            lines.extend(images.iter().map(|image| format!("{image}: {reason}")));
        } else {
            let (named, others) = images.split_at(NAMED);
            lines.push(format!(
                "{} images: {reason} ({} and {} more)",
                images.len(),
                named.join(", "),
                others.len()
            ));
        }
    }
    lines.iter().map(|line| plain::line(line).into_owned()).collect()
}

/// Columns as wide as their widest cell; the first is aligned left, the others right. A cell is one
/// line, whatever is in it.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<Cow<'_, str>>> =
        rows.iter().map(|row| row.iter().map(|cell| plain::line(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let padding = " ".repeat(widths[column].saturating_sub(cell.chars().count()));
            let cell =
                if column == 0 { format!("{cell}{padding}") } else { format!("  {padding}{cell}") };
            line.push_str(&cell);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
