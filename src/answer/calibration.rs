//! Scores to probabilities, as learned from a truth.
//!
//! In: a file that `gemscope eval --calibrate` wrote. Out: `p = sigmoid(a * logit(score) + b)` of
//! the score of a detection. Promises: a higher score never gets a lower probability (`a >= 0`); a
//! score that was learned from one kind is never applied to another.
//!
//! Platt scaling (J. Platt, "Probabilistic Outputs for Support Vector Machines", 1999) on the logit
//! of the score, so that `a = 1, b = 0` changes nothing. `src/eval` learns it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::files;
use crate::record::{Platt, ScoreKind};

/// Version of the file. A reader refuses a later one.
pub const SCHEMA: u32 = 1;

/// Why a calibration cannot be read, written or applied.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CalibrationError {
    /// The system's reason.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: std::io::Error,
    },
    /// Not a calibration.
    #[error("{}: not a calibration: {problem}", path.display())]
    NotOne {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: String,
    },
    /// Learned from scores that are not those of boxes that a model answered.
    #[error(
        "the calibration is of {score:?}: it was learned from a results file, whose scores are \
         not those of a run"
    )]
    OfResults {
        /// The data that it was learned from.
        score: String,
    },
}

/// `p = sigmoid(a * logit(score) + b)`, and what it was learned from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The version of gemscope that made it.
    pub gemscope: String,
    /// Slope and offset.
    #[serde(flatten)]
    pub platt: Platt,
    /// The kind of its scores: a [`ScoreKind`], or `results` (those of a COCO results file).
    pub score: String,
    /// From which IoU on a detection was right.
    pub iou: f64,
    /// The data that it was learned from.
    pub made_from: MadeFrom,
    /// The expected calibration error.
    pub ece: Ece,
}

/// The data that a calibration was learned from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MadeFrom {
    /// The truth file.
    pub truth: String,
    /// The run or the results file.
    pub predictions: String,
    /// Detections with a score that count.
    pub detections: usize,
    /// The detections that are right.
    pub right: usize,
}

/// The expected calibration error, before and after.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ece {
    /// Bins of equal width.
    pub bins: usize,
    /// Calibration error of the raw scores.
    pub before: f64,
    /// Calibration error of the probabilities, over the detections that they were learned from:
    /// optimistic by nature.
    pub after: f64,
    /// Calibration error of probabilities that were learned from the other half of the images;
    /// `null` if a half has only one outcome.
    pub cross_validated: Option<f64>,
}

impl Calibration {
    /// The score of a detection that it takes.
    ///
    /// # Errors
    /// [`CalibrationError::OfResults`].
    pub fn score_kind(&self) -> Result<ScoreKind, CalibrationError> {
        self.score.parse().map_err(|_| CalibrationError::OfResults { score: self.score.clone() })
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`CalibrationError::Io`], [`CalibrationError::NotOne`].
    pub fn read(path: &Path) -> Result<Self, CalibrationError> {
        #[derive(Deserialize)]
        struct Schema {
            schema: u32,
        }
        let not_one = |problem: String| CalibrationError::NotOne { path: path.to_owned(), problem };
        let text = files::read_text(path)
            .map_err(|error| CalibrationError::Io { path: path.to_owned(), error })?;
        // The version first: a later one may have other fields.
        let Schema { schema } =
            serde_json::from_str(&text).map_err(|error| not_one(error.to_string()))?;
        if schema > SCHEMA {
            return Err(not_one(format!(
                "schema {schema}; this version of gemscope reads up to {SCHEMA}"
            )));
        }
        let calibration: Self =
            serde_json::from_str(&text).map_err(|error| not_one(error.to_string()))?;
        let Platt { a, b } = calibration.platt;
        if !(a.is_finite() && b.is_finite() && a >= 0.0) {
            return Err(not_one(format!("a = {a}, b = {b}")));
        }
        Ok(calibration)
    }

    /// The text of a file that [`Self::read`] reads.
    pub fn to_json(&self) -> String {
        // Numbers and texts alone: nothing of it can fail.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calibration(a: f64, b: f64) -> Calibration {
        let made_from =
            MadeFrom { truth: String::new(), predictions: String::new(), detections: 2, right: 1 };
        let ece = Ece { bins: 15, before: 0.0, after: 0.0, cross_validated: None };
        Calibration {
            schema: SCHEMA,
            gemscope: String::new(),
            platt: Platt { a, b },
            score: "joint".into(),
            iou: 0.5,
            made_from,
            ece,
        }
    }

    #[test]
    fn scores_of_results_files_are_no_scores_of_runs() {
        assert_eq!(calibration(1.0, 0.0).score_kind().unwrap(), ScoreKind::Joint);
        let of_results = Calibration { score: "results".into(), ..calibration(1.0, 0.0) };
        assert!(matches!(of_results.score_kind(), Err(CalibrationError::OfResults { .. })));
    }

    #[test]
    fn a_file_comes_back_and_others_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("calibration.json");
        let written = calibration(0.5, -1.25);
        std::fs::write(&path, written.to_json()).unwrap();
        assert_eq!(Calibration::read(&path).unwrap(), written);
        for (text, reason) in [
            ("{}", "missing field `schema`"),
            ("{\"schema\": 2, \"a\": \"?\"}", "schema 2"),
            (&serde_json::to_string(&calibration(-1.0, 0.0)).unwrap(), "a = -1"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Calibration::read(&path).unwrap_err().to_string();
            assert!(
                error.contains("calibration.json: not a calibration") && error.contains(reason),
                "{error}"
            );
        }
    }
}
