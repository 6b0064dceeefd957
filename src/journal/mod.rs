//! The files of a run: `run.json` says what was asked, `journal.jsonl` has a record an image.
//!
//! In: a directory, records one after the other. Out: the manifest and the records of the run in it, and how it went.
//! Promises: what was synced is there after a crash; a damaged line costs its own record only and is named; a file of a
//! later version is refused by its number.

mod difference;
mod history;
mod json_log;
mod manifest;
mod records;

pub use difference::Difference;
pub use history::{History, Retried, Slow, Stretch};
pub(crate) use json_log::JsonLog;
pub use json_log::{DamagedLine, JournalError};
pub use manifest::ManifestError;
pub use records::{Journal, JournalRecords, Known, KnownImage, read_journal};
pub(crate) use records::{RecordReader, each_record, whole_bytes};

/// Names of the files: the manifest, the journal.
pub(crate) const FILES: [&str; 2] = [manifest::FILE, records::FILE];
