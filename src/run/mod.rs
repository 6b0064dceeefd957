//! One task over one set of images into one directory.
//!
//! In: settings, a source, a model. Out: a directory with `run.json` (what was asked), `journal.jsonl` (one record an image) and the
//! exports. Promises: a record is on disk before its image counts as done; a run that was stopped goes on where it was; of an image that
//! is done only its name and hash stay in memory; a bad image is a failed record, a bad model or a full disk stops the run.

mod control;
mod difference;
mod directory;
mod engine;
mod frames;
mod gate;
mod history;
mod inference;
mod journal;
mod json_log;
mod manifest;
mod moves;
mod observer;
mod pairs;
mod pipeline;
mod placement;
mod questions;
mod summary;
mod writer;

pub use crate::ownership::Holder;
pub use control::{Control, MIN_ROWS};
pub use difference::Difference;
pub use directory::RunDirectory;
pub use engine::{AnswerOptions, Engine, Learned, ShownView};
pub use frames::FrameQuestions;
pub(crate) use gate::ByteGate;
pub use history::{History, Retried, Slow, Stretch};
pub use inference::Effort;
pub use journal::{Journal, JournalRecords, Known, KnownImage, read_journal};
pub use json_log::{DamagedLine, JournalError};
pub use manifest::{Elsewhere, Manifest, ManifestError, ModelIdentity, Renamed, Settings};
pub use observer::Observer;
pub use pairs::{Pair, PairJournal, PairQuestion, compare_pairs};
pub use pipeline::{Outcome, Plan, RunError, execute};
pub use placement::{Placement, place};
pub use questions::{Asked, Asks, Explain, FindQuestion, ImagePrompts, Question, Questions};
pub use summary::{Failure, Summary};

/// The files that make a directory a run: without one of them its answers are lost.
pub const FILES: [&str; 3] = [manifest::FILE, journal::FILE, pairs::FILE];
