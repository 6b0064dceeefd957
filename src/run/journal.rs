//! The journal: the only truth about a run.
//!
//! In: records, in any order. Out: `journal.jsonl`, one record a line, and the records sorted by image. Promises: what was synced is there
//! after a crash; a line that a crash tore is cut off; a damaged line costs its own record only and is reported by its number; a record of a
//! later version is refused by its number.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::files;
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

/// A line that is not a record. Whatever it was about is asked again by the next run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DamagedLine {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for DamagedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FILE}:{}: not a record, left out: {}", self.line, self.reason)
    }
}

/// What a journal knows of the images that it has records of: enough to go on, whatever the number.
#[derive(Debug, Default)]
pub struct Known {
    images: HashMap<String, KnownImage>,
    /// Lines that are no records.
    pub damaged: Vec<DamagedLine>,
    /// Bytes of a last line that was not written to its end, and was cut off.
    pub torn: u64,
}

impl Known {
    /// What is known of the image of that name.
    pub fn get(&self, image: &str) -> Option<&KnownImage> {
        self.images.get(image)
    }

    /// Whether there is no record at all.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }
}

/// What a journal knows of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownImage {
    /// Hash of the content that was answered.
    pub sha256: Option<String>,
    /// Whether it has an answer.
    pub answered: bool,
}

/// The records of a journal.
#[derive(Debug)]
pub struct JournalRecords {
    /// One an image, sorted by image.
    pub records: Vec<Record>,
    /// Lines that are no records.
    pub damaged: Vec<DamagedLine>,
}

/// A journal that is being written.
pub struct Journal {
    file: File,
    path: PathBuf,
    sync_every: Duration,
    synced: Instant,
    unsynced: bool,
    /// How often it was synced.
    #[cfg(test)]
    pub(super) syncs: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl Journal {
    /// Opens the journal of `directory` for appending, with what it holds already. A last line without its end (the process was killed
    /// while it wrote) is cut off. Appended records are to be on disk after `sync_every`.
    pub(super) fn open(directory: &Path, sync_every: Duration) -> Result<(Self, Known), JournalError> {
        let path = directory.join(FILE);
        let io = |error| JournalError::Io { path: path.clone(), error };
        // Not in append mode, in which a file cannot be shortened on Windows.
        let mut file = files::open_to_write(&path).map_err(io)?;
        let mut known = Known::default();
        let lines = for_each_record(&path, BufReader::new(&file), |record| {
            let answered = record.status != AnswerStatus::Failed;
            known.images.insert(record.image, KnownImage { sha256: record.sha256, answered });
        })?;
        let length = file.metadata().map_err(io)?.len();
        (known.damaged, known.torn) = (lines.damaged, length.saturating_sub(lines.whole));
        if known.torn > 0 {
            file.set_len(lines.whole).and_then(|()| file.sync_all()).map_err(io)?;
        }
        file.seek(SeekFrom::End(0)).map_err(io)?;
        // The journal's own entry in the directory must outlive a crash too.
        files::sync_folder(directory).map_err(io)?;
        let journal = Self {
            file,
            path,
            sync_every,
            synced: Instant::now(),
            unsynced: false,
            #[cfg(test)]
            syncs: std::sync::Arc::default(),
        };
        Ok((journal, known))
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
        self.unsynced = true;
        written.map_err(|error| JournalError::Io { path: self.path.clone(), error })
    }

    /// When what was appended is to be synced; nothing where it is. Of records that come slowly, each is due at once; of many, all that came
    /// since the last time.
    pub fn due(&self) -> Option<Instant> {
        self.unsynced.then(|| self.synced + self.sync_every)
    }

    /// Waits until all that was appended is on disk.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.file.sync_data().map_err(|error| JournalError::Io { path: self.path.clone(), error })?;
        (self.synced, self.unsynced) = (Instant::now(), false);
        #[cfg(test)]
        self.syncs.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }
}

/// The records of a run, sorted by image, without the raw texts, which are most of a journal; only of an answer that went wrong the
/// beginning is kept, for a reader to see why. Where an image has several records (a failed one was tried again), the last counts.
///
/// # Errors
/// [`JournalError`].
pub fn read_journal(directory: &Path) -> Result<JournalRecords, JournalError> {
    let mut records = BTreeMap::new();
    let damaged = each_record(directory, |mut record| {
        let went_well = matches!(record.status, AnswerStatus::Ok | AnswerStatus::Empty);
        for answer in &mut record.answers {
            answer.text.truncate(if went_well { 0 } else { answer.text.floor_char_boundary(KEPT_TEXT) });
            answer.text.shrink_to_fit();
            answer.prompt = String::new();
        }
        // Lists are read into room for several; a million records have one answer each.
        record.answers.shrink_to_fit();
        record.detections.shrink_to_fit();
        record.notes.shrink_to_fit();
        records.insert(record.image.clone(), record);
    })?;
    Ok(JournalRecords { records: records.into_values().collect(), damaged })
}

/// Calls `each` with every record of a run, in the order of writing; the lines that are none come back.
///
/// # Errors
/// [`JournalError`].
pub(super) fn each_record(directory: &Path, each: impl FnMut(Record)) -> Result<Vec<DamagedLine>, JournalError> {
    let path = directory.join(FILE);
    let file = File::open(&path).map_err(|error| JournalError::Io { path: path.clone(), error })?;
    Ok(for_each_record(&path, BufReader::new(file), each)?.damaged)
}

/// What the lines of a journal came to, beside their records.
struct Lines {
    /// Bytes of all lines that have their end.
    whole: u64,
    damaged: Vec<DamagedLine>,
}

/// Calls `each` with every record. A line without its end is passed over.
fn for_each_record(path: &Path, mut reader: impl BufRead, mut each: impl FnMut(Record)) -> Result<Lines, JournalError> {
    let mut lines = Lines { whole: 0, damaged: Vec::new() };
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = reader.read_until(b'\n', &mut line);
        lines.whole += match read.map_err(|error| JournalError::Io { path: path.to_owned(), error })? {
            length if line.ends_with(b"\n") => length as u64,
            _ => break,
        };
        if line.trim_ascii().is_empty() {
            continue;
        }
        let reason = match serde_json::from_slice::<Record>(&line) {
            Ok(record) if record.schema <= SCHEMA => match record.fault() {
                None => {
                    each(record);
                    continue;
                }
                Some(fault) => fault.to_owned(),
            },
            Ok(_) => String::new(), // its number says why
            Err(error) => error.to_string(),
        };
        // A later version may have other fields and statuses: its number is looked at before the error is believed.
        if let Some(schema) = schema_of(&line).filter(|schema| *schema > SCHEMA) {
            return Err(JournalError::LaterSchema { path: path.to_owned(), line: number, schema });
        }
        lines.damaged.push(DamagedLine { line: number, reason });
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

#[cfg(test)]
mod tests {
    use super::*;

    fn open(directory: &Path) -> (Journal, Known) {
        Journal::open(directory, Duration::ZERO).unwrap()
    }

    fn append(journal: &mut Journal, image: &str, reason: &str) {
        journal.append(&Record::failed(image.into(), reason.into())).unwrap();
    }

    #[test]
    fn a_torn_line_is_cut_off_and_the_last_record_of_an_image_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, known) = open(dir.path());
        assert!(known.is_empty());
        for (image, reason) in [("b.png", "first"), ("a.png", "first"), ("b.png", "second")] {
            append(&mut journal, image, reason);
        }
        journal.sync().unwrap();
        drop(journal);
        let path = dir.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        let torn = br#"{"schema":1,"image":"c.p"#;
        std::fs::write(&path, [whole.as_slice(), torn].concat()).unwrap();
        let read = || {
            let records = read_journal(dir.path()).unwrap().records;
            records.into_iter().map(|record| (record.image, record.reason.unwrap())).collect::<Vec<_>>()
        };
        let expected =
            [("a.png", "first"), ("b.png", "second")].map(|(image, reason)| (image.to_owned(), reason.to_owned()));
        assert_eq!(read(), expected, "a reader passes the torn line over");
        let (mut journal, known) = open(dir.path());
        assert_eq!((known.images.len(), known.torn), (2, torn.len() as u64));
        assert!(!known.get("a.png").unwrap().answered);
        append(&mut journal, "c.png", "third");
        assert_eq!(read().len(), 3);
        assert!(std::fs::read(&path).unwrap().starts_with(&whole));
    }

    #[test]
    fn a_damaged_line_costs_its_own_record_and_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(dir.path());
        append(&mut journal, "a.png", "first");
        append(&mut journal, "b.png", "first");
        drop(journal);
        let path = dir.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        let [first, second] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
        // A box outside of its image would be a wrong crop, so it is no record either.
        let outside =
            second.replace(r#""detections":[]"#, r#""detections":[{"label":"x","bbox":[0,0,1,1],"score":null}]"#);
        std::fs::write(&path, format!("{first}\n\nnonsense\n{{\"schema\":1,\"image\":3}}\n{outside}\n{second}\n"))
            .unwrap();
        let read = read_journal(dir.path()).unwrap();
        assert_eq!(read.records.iter().map(|record| record.image.as_str()).collect::<Vec<_>>(), ["a.png", "b.png"]);
        assert_eq!(read.damaged.iter().map(|damaged| damaged.line).collect::<Vec<_>>(), [3, 4, 5]);
        assert!(read.damaged[0].to_string().contains("journal.jsonl:3: not a record"));
        let (_, known) = open(dir.path());
        assert_eq!(known.damaged, read.damaged);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 6, "nothing is thrown away");
    }

    #[test]
    fn a_later_schema_is_known_as_one() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "{\"schema\":3,\"image\":\"a\",\"status\":\"dreamt\"}\n").unwrap();
        assert!(read_journal(dir.path()).unwrap_err().to_string().contains("journal.jsonl:1: schema 3"));
        assert!(Journal::open(dir.path(), Duration::ZERO).is_err());
    }
}
