//! The directory of a run: `run.json` with its settings, `journal.jsonl` with a record an image.
//!
//! In: a directory, records one after the other. Out: the manifest and the records of the run in
//! it, and its history. Promises: one process writes a run; synced records survive a crash; a
//! damaged line costs its own record only and is named; a file of a later version is refused by its
//! number.
//!
//! ```
//! use gemscope::journal::{RunDirectoryError, read_journal};
//!
//! fn count(run: &std::path::Path) -> Result<usize, RunDirectoryError> {
//!     Ok(read_journal(run)?.records.len())
//! }
//! ```

mod answers;
mod difference;
mod directory;
mod error;
mod history;
mod json_log;
mod manifest;
mod moved_files;
mod pairs;
mod placement;
mod rated_files;
mod records;
mod shards;
mod unfinished;

pub use crate::ownership::Holder;
pub use answers::AnswerJournal;
pub use difference::Difference;
pub use directory::RunDirectory;
pub use error::RunDirectoryError;
pub use history::{History, RetriedImage, SlowImage, TimeBucket};
pub use json_log::{DamagedLine, JournalError};
pub use manifest::ManifestError;
pub use moved_files::{Move, MovedFiles, Undone, rename_records};
pub use pairs::PairJournal;
pub use placement::{Placement, place};
pub use rated_files::{FileChange, RatedFiles, SameFrames, Unrated};
pub(crate) use records::RecordReader;
pub use records::{Journal, JournalRecords, ResumeEntry, ResumeIndex, read_journal};
pub use shards::{JoinedShards, ShardRun, ShardsError, join as join_shards};
pub use unfinished::unfinished;

/// The files that make a directory a run: without one of them its answers are lost.
pub const FILES: [&str; 3] = [manifest::FILE, records::FILE, pairs::FILE];
