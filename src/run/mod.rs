//! One task over one set of images into one directory.
//!
//! In: settings, a source, a model. Out: a directory with `run.json` (what was asked), `journal.jsonl` (one record an image) and the
//! exports. Promises: a record is on disk before its image counts as done; a run that was stopped goes on where it was; of an image that
//! is done only its name and hash stay in memory; a bad image is a failed record, a bad model or a full disk stops the run.

mod directory;
mod engine;
mod gate;
mod inference;
mod journal;
mod manifest;
mod pipeline;
mod progress;
mod questions;
mod summary;

pub use directory::RunDirectory;
pub use engine::{AnswerOptions, Engine, ShownView};
pub(crate) use gate::ByteGate;
pub use inference::Effort;
pub use journal::{Journal, JournalError, Known, KnownImage, read_journal};
pub use manifest::{Manifest, ManifestError, ModelIdentity, Settings};
pub use pipeline::{Outcome, RunError, execute};
pub use progress::Progress;
pub use questions::{Asked, ImagePrompts, Question, Questions};
pub use summary::{EffortFigures, Failure, Summary};
