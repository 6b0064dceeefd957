//! One task over one set of images into one directory.
//!
//! In: settings, a source, an engine. Out: a directory with `run.json` (the settings),
//! `journal.jsonl` (one record an image) and the exports. Promises: a record is on disk before its
//! image counts as done; a stopped run resumes; only the name and hash of a finished image stay in
//! memory; a bad image is a failed record; a bad model or a full disk stops the run.
//!
//! [`Session::run`](crate::session::Session::run) makes the input of [`execute`] from a
//! configuration. A caller follows a run with an [`Observer`]:
//!
//! ```
//! use std::sync::atomic::{AtomicUsize, Ordering};
//!
//! use gemscope::record::AnswerStatus;
//! use gemscope::run::Observer;
//!
//! /// Counts the images that failed.
//! #[derive(Default)]
//! struct Failures(AtomicUsize);
//!
//! impl Observer for Failures {
//!     fn done(&self, status: AnswerStatus) {
//!         if status == AnswerStatus::Failed {
//!             self.0.fetch_add(1, Ordering::Relaxed);
//!         }
//!     }
//! }
//! ```

mod animation;
mod batch;
mod clip;
mod control;
mod error;
mod frames;
mod inference;
mod moves;
mod observer;
mod pairs;
mod pipeline;
mod plan;
mod prepare;
mod questions;
mod rubric_questions;
mod writer;

pub use batch::{Batch, BatchContent, BatchImage, answer_batch};
pub use control::{Control, MIN_ROWS};
pub use error::RunError;
pub use frames::FrameQuestions;
pub use observer::Observer;
pub use pairs::{Pair, PairQuestion, compare_pairs};
pub use pipeline::{Outcome, execute};
pub use plan::Plan;
pub use questions::{QuestionSource, Questions};
pub use rubric_questions::RubricQuestions;
