//! A log of JSON lines that outlives a crash.
//!
//! In: entries, one after the other. Out: a file with an entry a line. Promises: synced entries
//! survive a crash; a line that a crash tore is cut off; a damaged line costs its own entry only
//! and is reported by its number; an entry of a later version is refused by its number.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::files;
use crate::record::SCHEMA;

/// Why a journal cannot be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The system's reason.
    #[error("{}: {error}", path.display())]
    Io {
        /// The journal.
        path: PathBuf,
        /// The reason.
        error: std::io::Error,
    },
    /// A record of a later version.
    #[error("{}:{line}: schema {schema}; this version of gemscope reads up to {SCHEMA}",
        path.display())]
    LaterSchema {
        /// The journal.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Its schema.
        schema: u32,
    },
}

impl JournalError {
    /// Makes the system's reason the error of the journal at `path`.
    pub(super) fn io(path: &Path) -> impl Fn(std::io::Error) -> Self {
        move |error| Self::Io { path: path.to_owned(), error }
    }

    /// Whether the disk is full.
    pub(crate) fn is_full_disk(&self) -> bool {
        matches!(self, Self::Io { error, .. } if error.kind() == ErrorKind::StorageFull)
    }
}

/// A line that is not a record. Whatever it was about is asked again by the next run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DamagedLine {
    /// The name of the file.
    #[serde(skip)]
    file: String,
    /// Counted from 1.
    pub line: usize,
    /// The problem.
    pub reason: String,
}

impl fmt::Display for DamagedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: not a record, left out: {}", self.file, self.line, self.reason)
    }
}

/// The lines of a log, beside their entries.
#[derive(Debug)]
pub(super) struct Lines {
    /// Bytes of all lines that have their end.
    pub(super) whole: u64,
    /// Bytes of a last line without its end.
    pub(super) torn: u64,
    /// Lines that are no entries.
    pub(super) damaged: Vec<DamagedLine>,
}

/// A log that is being written.
pub(super) struct JsonLog {
    file: File,
    path: PathBuf,
}

impl JsonLog {
    /// Opens the log at `path` for appending, and reads it as [`read_entries`] does. A last line
    /// without its end (the process was killed while it wrote) is cut off.
    pub(super) fn open<T: DeserializeOwned>(
        path: PathBuf,
        each: impl FnMut(T, u64) -> Result<(), String>,
    ) -> Result<(Self, Lines), JournalError> {
        let io = |error| JournalError::Io { path: path.clone(), error };
        // Not in append mode: on Windows, a file cannot be shortened in it.
        let mut file = files::open_to_write(&path).map_err(io)?;
        let lines = read_entries(&path, &file, each)?;
        if lines.torn > 0 {
            file.set_len(lines.whole).and_then(|()| file.sync_all()).map_err(io)?;
        }
        file.seek(SeekFrom::End(0)).map_err(io)?;
        // The log's own entry in the directory must outlive a crash too.
        files::sync_folder(files::folder_of(&path)).map_err(io)?;
        Ok((Self { file, path }, lines))
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends an entry as one line; returns the bytes of the line.
    pub(super) fn append(&mut self, entry: &impl Serialize) -> Result<u64, JournalError> {
        let line = serde_json::to_vec(entry).map_err(std::io::Error::other);
        let written = line.and_then(|mut line| {
            line.push(b'\n');
            self.file.write_all(&line)?;
            Ok(line.len() as u64)
        });
        written.map_err(JournalError::io(&self.path))
    }

    /// Waits until all that was appended is on disk.
    pub(crate) fn sync(&mut self) -> Result<(), JournalError> {
        self.file.sync_data().map_err(JournalError::io(&self.path))
    }
}

/// Calls `each` with every entry of the log at `path` and the byte where it begins; if it returns a
/// reason, the line is damaged. Blank lines and a line without its end are skipped.
pub(super) fn read_entries<T: DeserializeOwned>(
    path: &Path,
    log: &File,
    mut each: impl FnMut(T, u64) -> Result<(), String>,
) -> Result<Lines, JournalError> {
    let mut reader = BufReader::new(log);
    let mut lines = Lines { whole: 0, torn: 0, damaged: Vec::new() };
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let at = lines.whole;
        let length = reader.read_until(b'\n', &mut line).map_err(JournalError::io(path))? as u64;
        if !line.ends_with(b"\n") {
            lines.torn = length;
            break;
        }
        lines.whole += length;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let entry = serde_json::from_slice(&line).map_err(|error| error.to_string());
        let Err(reason) = entry.and_then(|entry| each(entry, at)) else { continue };
        // A later version may have other fields and statuses: its number is looked at before the
        // error is believed.
        if let Some(schema) = schema_of(&line).filter(|schema| *schema > SCHEMA) {
            return Err(JournalError::LaterSchema { path: path.to_owned(), line: number, schema });
        }
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        lines.damaged.push(DamagedLine { file, line: number, reason });
    }
    Ok(lines)
}

fn schema_of(line: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct Schema {
        schema: u32,
    }
    serde_json::from_slice(line).ok().map(|Schema { schema }| schema)
}
