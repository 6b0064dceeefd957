//! One task over one set of images into one directory.
//!
//! In: settings, a source, a model. Out: a directory with `run.json` (what was asked), `journal.jsonl` (one record an image) and the
//! exports. Promises: a record is on disk before its image counts as done; a run that was stopped goes on where it was; of an image that
//! is done only its name and hash stay in memory; a bad image is a failed record, a bad model or a full disk stops the run.

mod directory;
mod gate;
mod journal;
mod manifest;
mod pipeline;
mod progress;
mod questions;
mod summary;

pub use directory::RunDirectory;
pub(crate) use gate::ByteGate;
pub use journal::{Journal, JournalError, Known, KnownImage, read_journal};
pub use manifest::{Manifest, ManifestError, ModelIdentity, Settings};
pub use pipeline::{Engine, Outcome, RunError, ShownView, execute};
pub use progress::Progress;
pub use questions::{Asked, ImagePrompts, Question, Questions};
pub use summary::{Failure, Summary};
