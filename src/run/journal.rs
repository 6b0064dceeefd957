//! The journal: the only truth about a run.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::record::{Record, SCHEMA};

/// The journal's name in a run's directory.
pub(super) const FILE: &str = "journal.jsonl";

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
    /// Another process writes it.
    #[error("{}: another process is writing this run", .0.display())]
    InUse(PathBuf),
    /// A line that is not a record.
    #[error("{}:{line}: not a record: {error}", path.display())]
    NotARecord {
        /// The journal.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// A record of a later version.
    #[error("{}:{line}: schema {schema}; this version of gemscope reads up to {SCHEMA}", path.display())]
    LaterSchema {
        /// The journal.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Its schema.
        schema: u32,
    },
}

/// A journal that is being written. One process at a time: the file is locked.
pub struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// Opens the journal of `directory` for appending, with the records that it holds already. A last line without its end (the
    /// process was killed while it wrote) is cut off.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(directory: &Path) -> Result<(Self, Vec<Record>), JournalError> {
        let path = directory.join(FILE);
        let io = |error| JournalError::Io { path: path.clone(), error };
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::InUse(path)),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(io)?;
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            file.set_len(whole as u64).map_err(io)?;
            file.seek(SeekFrom::End(0)).map_err(io)?;
        }
        let records = parse(&path, &text[..whole])?;
        Ok((Self { file, path }, records))
    }

    /// Appends a record as one line and waits until it is on disk.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        let mut append = || -> std::io::Result<()> {
            let mut line = serde_json::to_vec(record)?;
            line.push(b'\n');
            self.file.write_all(&line)?;
            self.file.sync_data()
        };
        append().map_err(|error| JournalError::Io { path: self.path.clone(), error })
    }
}

/// The records of a run, sorted by image. Where an image has several (a failed one was tried again), the last counts.
///
/// # Errors
/// [`JournalError`] that names the line.
pub fn read_journal(directory: &Path) -> Result<Vec<Record>, JournalError> {
    let path = directory.join(FILE);
    let text = std::fs::read(&path).map_err(|error| JournalError::Io { path: path.clone(), error })?;
    let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    parse(&path, &text[..whole])
}

fn parse(path: &Path, text: &[u8]) -> Result<Vec<Record>, JournalError> {
    let mut records = BTreeMap::new();
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let line_number = index + 1;
        let record: Record = serde_json::from_slice(line).map_err(|error| JournalError::NotARecord {
            path: path.to_owned(),
            line: line_number,
            error,
        })?;
        if record.schema > SCHEMA {
            return Err(JournalError::LaterSchema { path: path.to_owned(), line: line_number, schema: record.schema });
        }
        records.insert(record.image.clone(), record);
    }
    Ok(records.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_cut_off_and_the_last_record_of_an_image_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, records) = Journal::open(dir.path()).unwrap();
        assert!(records.is_empty());
        assert!(matches!(Journal::open(dir.path()), Err(JournalError::InUse(_))));
        for (image, reason) in [("b.png", "first"), ("a.png", "first"), ("b.png", "second")] {
            journal.append(&Record::failed(image.into(), reason.into())).unwrap();
        }
        drop(journal);
        let path = dir.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [whole.as_slice(), br#"{"schema":1,"image":"c.p"#].concat()).unwrap();
        let (mut journal, records) = Journal::open(dir.path()).unwrap();
        let read: Vec<_> =
            records.iter().map(|record| (record.image.as_str(), record.reason.as_deref().unwrap())).collect();
        assert_eq!(read, [("a.png", "first"), ("b.png", "second")]);
        journal.append(&Record::failed("c.png".into(), "third".into())).unwrap();
        assert_eq!(read_journal(dir.path()).unwrap().len(), 3);
    }

    #[test]
    fn a_broken_line_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "\nnonsense\n").unwrap();
        let error = read_journal(dir.path()).unwrap_err().to_string();
        assert!(error.contains("journal.jsonl:2"), "{error}");
    }
}
