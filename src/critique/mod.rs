//! How good a generated frame is: rubrics, levels, gates.
//!
//! In: a rubric that a user wrote ([`Rubric`]), a frame's bytes and pixels, and the model's
//! probabilities for a few words an axis. Out: a rating an axis, figures of the frame ([`Frame`]),
//! and a verdict by the user's own rules ([`Gates`]); besides, facts about a frame that need no
//! model: its generation settings, the clauses of its prompt, and classical measures of its pixels.
//! Promises: no level is sampled from text; a frame that was not read is never kept; nothing here
//! fails because a frame is odd; verdicts are a function of the record and the rules alone, so that
//! rules can be changed without asking a model again.
//!
//! ```
//! use gemscope::critique::{Gates, Rubric};
//!
//! let rubric = Rubric::read(Rubric::SDXL)?;
//! let gates = Gates::new(&rubric)?;
//! assert!(rubric.axes.iter().any(|axis| axis.name == "hands"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod agreement;
pub mod clauses;
mod condition;
mod frame;
mod gate;
mod near;
mod overrules;
mod rubric;
mod settings;
mod statistics;

pub use agreement::{Agreement, ColumnAgreement, Confusion, LabelsError, Numbers};
pub use frame::{AxisFigures, Frame};
pub use gate::{GateError, Gates, Judged, Verdict};
pub use near::{Grouping, near_copies};
pub use overrules::{Overrules, OverrulesError};
pub use rubric::{Axis, Kind, Rubric, RubricError};
pub use settings::{OtherQuestions, complete, looks, rate_into, unanswered};
pub use statistics::{
    BARS, DISAGREEMENT, Group, GroupBy, Sequence, Spread, Statistics, Together, UnknownGroup,
    disagreements, groups,
};
