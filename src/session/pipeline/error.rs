//! Why a pipeline cannot be used.

use std::path::PathBuf;

use thiserror::Error;

use crate::answer::calibration::CalibrationError;
use crate::export::ExportError;
use crate::record::{ScoreKind, UnknownBudget};

/// Why a pipeline, or flags, cannot be used. A setting stands in backticks by its key; text from a
/// file stands in quotes, as it is written there.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// A file cannot be read.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
    /// The text is no TOML.
    #[error("{0}")]
    Toml(String),
    /// There is no such section.
    #[error("line {line}: unknown section [{section}]{}", meant(*meant_name))]
    Section {
        /// Counted from 1.
        line: usize,
        /// The section.
        section: String,
        /// The name that may have been meant.
        meant_name: Option<&'static str>,
    },
    /// A setting in the place of a section.
    #[error("line {line}: {section} must be a section: [{section}]")]
    NoSection {
        /// Counted from 1.
        line: usize,
        /// The section.
        section: String,
    },
    /// There is no such key in the section.
    #[error("line {line}: {}", unknown(section, key, *right, *meant_name))]
    Key {
        /// Counted from 1.
        line: usize,
        /// The section that it is in.
        section: String,
        /// The key.
        key: String,
        /// The section that has it.
        right: Option<&'static str>,
        /// The name that may have been meant.
        meant_name: Option<&'static str>,
    },
    /// A key has a value that it cannot have.
    #[error("line {line}: [{section}] {key}: {problem}")]
    Value {
        /// Counted from 1.
        line: usize,
        /// The section.
        section: String,
        /// The key.
        key: String,
        /// The problem.
        problem: String,
    },
    /// There is no such setting, of settings that stand under no section.
    #[error("unknown setting `{setting}`{}", meant_setting(*meant_name))]
    Setting {
        /// The setting.
        setting: String,
        /// What may have been meant.
        meant_name: Option<&'static str>,
    },
    /// The same with a value that it cannot have.
    #[error("{setting}: {problem}")]
    SettingValue {
        /// The setting.
        setting: String,
        /// What is wrong.
        problem: String,
    },
    /// Two settings exclude each other.
    #[error("`{one}` cannot be used with `{other}`")]
    Excluded {
        /// A setting.
        one: &'static str,
        /// The other.
        other: &'static str,
    },
    /// A setting means nothing without another.
    #[error("`{setting}` goes with {with}")]
    GoesWith {
        /// The setting.
        setting: &'static str,
        /// The setting that it needs, in backticks.
        with: &'static str,
    },
    /// A file that is no schema of answers, or one that is not supported.
    #[error("{}: {problem}", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// The problem, with its place.
        problem: String,
    },
    /// No such budget.
    #[error("`budget` takes one of them, or auto: {0}")]
    Budget(UnknownBudget),
    /// An environment variable cannot be used.
    #[error("{name}: {problem}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// The problem.
        problem: String,
    },
    /// Labels are given, and none is there.
    #[error("`labels` names nothing")]
    NoLabels,
    /// A phrase of white space.
    #[error("`phrase` is empty")]
    NoPhrase,
    /// A calibration was learned of another score.
    #[error(
        "the calibration is of the score {:?}, not {:?}: leave out `score`",
        calibrated.as_str(),
        asked.as_str()
    )]
    OtherScore {
        /// The score of the calibration.
        calibrated: ScoreKind,
        /// The one that is asked for.
        asked: ScoreKind,
    },
    /// A calibration cannot be read.
    #[error(transparent)]
    Calibration(#[from] CalibrationError),
    /// There is no such format, or a map of labels cannot be read.
    #[error(transparent)]
    Export(#[from] ExportError),
}

fn meant(name: Option<&'static str>) -> String {
    name.map_or_else(String::new, |name| format!("; did you mean {name:?}?"))
}

/// A setting that a caller named, unlike a key of a file.
fn meant_setting(name: Option<&'static str>) -> String {
    name.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

fn unknown(
    section: &str,
    key: &str,
    right: Option<&str>,
    meant_name: Option<&'static str>,
) -> String {
    match right {
        Some(right) => format!("{key:?} belongs under [{right}], not [{section}]"),
        None => format!("unknown key {key:?} under [{section}]{}", meant(meant_name)),
    }
}

/// The known name that is close to `given`.
pub(super) fn nearest(
    given: &str,
    known: impl Iterator<Item = &'static str>,
) -> Option<&'static str> {
    let given = given.to_lowercase().replace('-', "_");
    let nearest = known.map(|name| (strsim::levenshtein(&given, name), name)).min();
    nearest.filter(|(distance, name)| *distance <= 1 + name.len() / 4).map(|(_, name)| name)
}
