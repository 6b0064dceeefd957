//! One detection: label, box, score, and the probabilities that the score is made of.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::BBox;
use super::decimals::{is_near_rounding, to_four_decimals};

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Detection {
    /// The answer's word for it.
    pub label: String,
    /// Its box, in pixels of the upright image.
    pub bbox: BBox,
    /// The model's certainty, 0..1; `null` if the answer came without token probabilities. In a
    /// record it is [`ScoreKind::Joint`] of `probabilities` (in one of schema 1, the kind that the
    /// settings of its run named); an export computes it again by its filters.
    pub score: Option<f64>,
    /// The decoder's probabilities of the box's tokens; absent if the answer came without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probabilities: Option<Probabilities>,
    /// How sure the model says that it is, as it wrote it: a word of the answer like the label, and
    /// no probability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated_confidence: Option<f64>,
    /// The model's sentence about it, if it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentence: Option<String>,
}

impl Detection {
    /// A detection without a score.
    pub fn new(label: String, bbox: BBox) -> Self {
        Self {
            label,
            bbox,
            score: None,
            probabilities: None,
            stated_confidence: None,
            sentence: None,
        }
    }
}

/// Probabilities that the decoder gave to the tokens of a box, before any sampling setting:
/// geometric means, so that neither long labels nor large numbers are punished.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Probabilities {
    /// Over the tokens that hold the digits of the four coordinates.
    pub coordinates: f64,
    /// Over the tokens of the label; `null` if the box came without a label.
    pub label: Option<f64>,
}

impl Probabilities {
    /// As a record keeps them: with four decimals. Further digits differ from run to run.
    #[must_use]
    pub fn rounded(self) -> Self {
        Self {
            coordinates: to_four_decimals(self.coordinates),
            label: self.label.map(to_four_decimals),
        }
    }

    /// Whether a little more or less would round to something else.
    pub fn is_near_rounding(self) -> bool {
        is_near_rounding(self.coordinates) || self.label.is_some_and(is_near_rounding)
    }
}

/// The kinds of a detection's score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreKind {
    /// [`Probabilities::coordinates`].
    Coordinates,
    /// [`Probabilities::label`].
    Label,
    /// The product of both; of the coordinates alone if there is no label.
    #[default]
    Joint,
    /// [`Detection::stated_confidence`], if it lies within 0..1: the model's own word, and no
    /// probability of its decoder.
    Stated,
}

impl ScoreKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Coordinates, Self::Label, Self::Joint, Self::Stated];

    /// The kind's name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Coordinates => "coordinates",
            Self::Label => "label",
            Self::Joint => "joint",
            Self::Stated => "stated",
        }
    }

    /// The default for the least score of boxes that are exported.
    ///
    /// Chosen on held-out scenes of the demo model: of the steps 0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5
    /// the lowest whose F1 is within 0.01 of the best one (`python/checks/min_score.py` measures it
    /// again). Coordinates do not tell right from wrong there, and have no least score. Nor have
    /// stated confidences, which mean something else with every model.
    pub fn default_min_score(self) -> f64 {
        match self {
            Self::Coordinates | Self::Stated => 0.0,
            Self::Label => 0.2,
            Self::Joint => 0.05,
        }
    }

    /// The score of a detection; if it came without token probabilities, that of its record.
    pub fn of(self, detection: &Detection) -> Option<f64> {
        match (self, detection.probabilities) {
            (Self::Stated, _) => {
                detection.stated_confidence.filter(|stated| (0.0..=1.0).contains(stated))
            }
            (kind, Some(probabilities)) => kind.score(probabilities),
            (_, None) => detection.score,
        }
    }

    /// The score of a box with these probabilities; none if it is not made of probabilities.
    pub fn score(self, probabilities: Probabilities) -> Option<f64> {
        let Probabilities { coordinates, label } = probabilities;
        match self {
            Self::Coordinates => Some(coordinates),
            Self::Label => label,
            // With the decimals that a product of four and four has.
            Self::Joint => Some((coordinates * label.unwrap_or(1.0) * 1e8).round() / 1e8),
            Self::Stated => None,
        }
    }
}

impl FromStr for ScoreKind {
    type Err = UnknownScore;

    fn from_str(name: &str) -> Result<Self, UnknownScore> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == name)
            .ok_or_else(|| UnknownScore(name.to_owned()))
    }
}

/// Not a [`ScoreKind`].
#[derive(Debug, Error)]
#[error("{0:?} is no score; there are: coordinates, label, joint, stated")]
pub struct UnknownScore(String);
