//! One task over one set of images into one directory.
//!
//! In: settings, a source, a model. Out: a directory with `run.json` (what was asked),
//! `journal.jsonl` (one record an image) and the exports. Promises: a record is on disk before its
//! image counts as done; a run that was stopped goes on where it was; of an image that is done only
//! its name and hash stay in memory; a bad image is a failed record, a bad model or a full disk
//! stops the run.

mod control;
mod error;
mod frames;
mod inference;
mod moves;
mod observer;
mod pairs;
mod pipeline;
mod plan;
mod questions;
mod rubric_questions;
mod writer;

pub use control::{Control, MIN_ROWS};
pub use error::RunError;
pub use frames::FrameQuestions;
pub use observer::Observer;
pub use pairs::{Pair, PairQuestion, compare_pairs};
pub use pipeline::{Outcome, execute};
pub use plan::Plan;
pub use questions::{Asks, Questions};
pub use rubric_questions::RubricQuestions;
