//! The journal: the only truth about a run.
//!
//! In: records, in any order. Out: `journal.jsonl`, one record a line, and the records sorted by image. Promises: what was synced is there
//! after a crash; a line that a crash tore is cut off; a record of a later version is refused by its number.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use crate::record::{AnswerStatus, Record, SCHEMA};

/// The journal's name in a run's directory.
pub(super) const FILE: &str = "journal.jsonl";

/// Bytes of an answer that went wrong, for exports.
const KEPT_TEXT: usize = 2000;

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

/// What a journal knows of the images that it has records of: enough to go on, whatever the number.
pub type Known = HashMap<String, KnownImage>;

/// What a journal knows of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownImage {
    /// Hash of the content that was answered.
    pub sha256: Option<String>,
    /// Whether it has an answer.
    pub answered: bool,
}

/// A journal that is being written.
pub struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// Opens the journal of `directory` for appending, with what it holds already. A last line without its end (the process was killed
    /// while it wrote) is cut off.
    pub(super) fn open(directory: &Path) -> Result<(Self, Known), JournalError> {
        let path = directory.join(FILE);
        let io = |error| JournalError::Io { path: path.clone(), error };
        // Not in append mode, in which a file cannot be shortened on Windows.
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        let mut known = Known::new();
        let whole = for_each_record(&path, &file, |record| {
            let answered = record.status != AnswerStatus::Failed;
            known.insert(record.image, KnownImage { sha256: record.sha256, answered });
        })?;
        file.set_len(whole).and_then(|()| file.seek(SeekFrom::End(0))).map_err(io)?;
        Ok((Self { file, path }, known))
    }

    /// Appends a record as one line.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        let line = serde_json::to_vec(record).map_err(std::io::Error::other);
        let written = line.and_then(|mut line| {
            line.push(b'\n');
            self.file.write_all(&line)
        });
        written.map_err(|error| JournalError::Io { path: self.path.clone(), error })
    }

    /// Waits until all that was appended is on disk.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.file.sync_data().map_err(|error| JournalError::Io { path: self.path.clone(), error })
    }
}

/// The records of a run, sorted by image, without the raw texts, which are most of a journal; only of an answer that went wrong the
/// beginning is kept, for a reader to see why. Where an image has several records (a failed one was tried again), the last counts.
///
/// # Errors
/// [`JournalError`] that names the line.
pub fn read_journal(directory: &Path) -> Result<Vec<Record>, JournalError> {
    let path = directory.join(FILE);
    let file = File::open(&path).map_err(|error| JournalError::Io { path: path.clone(), error })?;
    let mut records = BTreeMap::new();
    for_each_record(&path, &file, |mut record| {
        let went_well = matches!(record.status, AnswerStatus::Ok | AnswerStatus::Empty);
        for answer in &mut record.answers {
            answer.text.truncate(if went_well { 0 } else { answer.text.floor_char_boundary(KEPT_TEXT) });
            answer.text.shrink_to_fit();
            answer.prompt = String::new();
        }
        records.insert(record.image.clone(), record);
    })?;
    Ok(records.into_values().collect())
}

/// Calls `each` with every record, and gives the length of the whole lines in bytes.
fn for_each_record(path: &Path, file: &File, mut each: impl FnMut(Record)) -> Result<u64, JournalError> {
    #[derive(Deserialize)]
    struct Schema {
        schema: u32,
    }
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    let mut whole = 0;
    for number in 1.. {
        line.clear();
        let read = reader.read_until(b'\n', &mut line);
        whole += match read.map_err(|error| JournalError::Io { path: path.to_owned(), error })? {
            length if line.ends_with(b"\n") => length as u64,
            _ => break,
        };
        if line.trim_ascii().is_empty() {
            continue;
        }
        let not_a_record = |error| JournalError::NotARecord { path: path.to_owned(), line: number, error };
        match serde_json::from_slice::<Record>(&line) {
            Ok(record) if record.schema <= SCHEMA => each(record),
            // A later version may have other fields and statuses: its number is looked at before the error is believed.
            parsed => {
                let Schema { schema } = serde_json::from_slice(&line).map_err(not_a_record)?;
                if schema > SCHEMA {
                    return Err(JournalError::LaterSchema { path: path.to_owned(), line: number, schema });
                }
                parsed.map_err(not_a_record)?;
            }
        }
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(journal: &mut Journal, image: &str, reason: &str) {
        journal.append(&Record::failed(image.into(), reason.into())).unwrap();
    }

    #[test]
    fn a_torn_line_is_cut_off_and_the_last_record_of_an_image_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, known) = Journal::open(dir.path()).unwrap();
        assert!(known.is_empty());
        for (image, reason) in [("b.png", "first"), ("a.png", "first"), ("b.png", "second")] {
            append(&mut journal, image, reason);
        }
        journal.sync().unwrap();
        drop(journal);
        let path = dir.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [whole.as_slice(), br#"{"schema":1,"image":"c.p"#].concat()).unwrap();
        let read = || {
            let records = read_journal(dir.path()).unwrap();
            records.into_iter().map(|record| (record.image, record.reason.unwrap())).collect::<Vec<_>>()
        };
        let expected =
            [("a.png", "first"), ("b.png", "second")].map(|(image, reason)| (image.to_owned(), reason.to_owned()));
        assert_eq!(read(), expected, "a reader passes the torn line over");
        let (mut journal, known) = Journal::open(dir.path()).unwrap();
        assert_eq!(known.len(), 2);
        assert!(!known["a.png"].answered);
        append(&mut journal, "c.png", "third");
        assert_eq!(read().len(), 3);
        assert!(std::fs::read(&path).unwrap().starts_with(&whole));
    }

    #[test]
    fn a_broken_line_is_named_and_a_later_schema_is_known_as_one() {
        let dir = tempfile::tempdir().unwrap();
        let error = |text: &str| {
            std::fs::write(dir.path().join(FILE), text).unwrap();
            read_journal(dir.path()).unwrap_err().to_string()
        };
        assert!(error("\nnonsense\n").contains("journal.jsonl:2: not a record"));
        assert!(error("{\"schema\":1,\"image\":3}\n").contains("journal.jsonl:1: not a record"));
        assert!(error("{\"schema\":2,\"image\":\"a\",\"status\":\"dreamt\"}\n").contains("schema 2"));
    }
}
