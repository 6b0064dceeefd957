//! Which boxes of a record are exported, and under which labels and scores.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Platt, ScoreKind};

/// A threshold of area.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Area {
    /// Square pixels.
    Pixels(f64),
    /// Share of the image, 0..1.
    Share(f64),
}

/// Not an area.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no area: write square pixels (400) or a share of the image (0.5%)")]
pub struct AreaError(String);

impl FromStr for Area {
    type Err = AreaError;

    fn from_str(text: &str) -> Result<Self, AreaError> {
        let (number, share) = match text.strip_suffix('%') {
            Some(percent) => (percent, true),
            None => (text, false),
        };
        let value: f64 = number.trim().parse().map_err(|_| AreaError(text.to_owned()))?;
        match (value.is_finite() && value >= 0.0, share) {
            (true, true) if value <= 100.0 => Ok(Self::Share(value / 100.0)),
            (true, false) => Ok(Self::Pixels(value)),
            _ => Err(AreaError(text.to_owned())),
        }
    }
}

impl From<Area> for String {
    fn from(area: Area) -> Self {
        match area {
            Area::Pixels(pixels) => pixels.to_string(),
            Area::Share(share) => format!("{}%", share * 100.0),
        }
    }
}

impl TryFrom<String> for Area {
    type Error = AreaError;

    fn try_from(text: String) -> Result<Self, AreaError> {
        text.parse()
    }
}

/// The least score of a box.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MinScore {
    /// The default number of the kind of score. Boxes without a score stay, and an image that it
    /// empties is not known to be empty. It is compared with the score before calibration, so that
    /// a calibration does not change which boxes stay.
    Default(f64),
    /// A number that was asked for, held against the score as it is exported. Boxes without a score
    /// go.
    Asked(f64),
}

impl MinScore {
    /// The default of a kind of score.
    pub fn of(kind: ScoreKind) -> Self {
        Self::Default(kind.default_min_score())
    }

    /// The number.
    pub fn least(self) -> f64 {
        match self {
            Self::Default(least) | Self::Asked(least) => least,
        }
    }
}

/// Which boxes are exported, and under which labels and scores. They are applied in the order of
/// the fields, except for the least score, which comes after the shapes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filters {
    /// The kind of a box's score.
    pub score: ScoreKind,
    /// Turns the score into a probability; `None` leaves it as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Platt>,
    /// Other words for labels: from, to. Compared without regard to case; an empty word drops the
    /// boxes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels_map: BTreeMap<String, String>,
    /// Whether boxes of labels that were not asked for are dropped.
    pub strict_labels: bool,
    /// The least score.
    pub min_score: MinScore,
    /// Of single labels, as they are exported and without regard to case, a least score that was
    /// asked for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub min_scores: BTreeMap<String, f64>,
    /// The least area.
    pub min_area: Option<Area>,
    /// The largest area.
    pub max_area: Option<Area>,
    /// The least width over height.
    pub min_aspect: Option<f64>,
    /// The largest width over height.
    pub max_aspect: Option<f64>,
    /// Whether boxes that touch the image's edge are dropped.
    pub drop_edge: bool,
    /// Boxes of one label with at least this intersection over union are one box.
    pub duplicates: Option<f64>,
    /// Non-maximum suppression: a box is dropped if a better one of its label has more intersection
    /// over union with it than this.
    pub nms: Option<f64>,
    /// Whether non-maximum suppression looks at all labels together.
    pub nms_agnostic: bool,
}

impl Default for Filters {
    /// The default least score, and near repeats, which are a model's slip and would be counted
    /// twice.
    fn default() -> Self {
        Self { duplicates: Some(0.95), ..Self::keep_all() }
    }
}

impl Filters {
    /// Every box, near repeats and the least scores too; under joint scores.
    pub fn keep_all() -> Self {
        Self {
            score: ScoreKind::default(),
            calibration: None,
            labels_map: BTreeMap::new(),
            strict_labels: false,
            min_score: MinScore::of(ScoreKind::default()),
            min_scores: BTreeMap::new(),
            min_area: None,
            max_area: None,
            min_aspect: None,
            max_aspect: None,
            drop_edge: false,
            duplicates: None,
            nms: None,
            nms_agnostic: false,
        }
    }

    /// The same labels and scores, and every box: for evaluation.
    #[must_use]
    pub fn keeping_all_boxes(&self) -> Self {
        let labels_map = self.labels_map.iter().filter(|(_, to)| !to.is_empty());
        Self {
            score: self.score,
            calibration: self.calibration,
            labels_map: labels_map.map(|(from, to)| (from.clone(), to.clone())).collect(),
            min_score: MinScore::Default(0.0),
            ..Self::keep_all()
        }
    }

    /// The least score of boxes with a label, as it is exported.
    pub fn min_score_of(&self, label: &str) -> MinScore {
        let same =
            || self.min_scores.iter().find(|(of, _)| of.to_lowercase() == label.to_lowercase());
        let asked = self.min_scores.get(label).or_else(|| same().map(|(_, least)| least));
        asked.map_or(self.min_score, |least| MinScore::Asked(*least))
    }

    /// The names of those of these filters that are weaker in `wanted`: a run of an earlier version
    /// applied them before it wrote its records, and cannot undo them.
    pub fn weaker_in(&self, wanted: &Self) -> Vec<&'static str> {
        let min_score = {
            let weakest =
                wanted.min_scores.values().copied().fold(wanted.min_score.least(), f64::min);
            matches!(self.min_score, MinScore::Asked(least) if weakest < least)
        };
        // Areas in pixels and as shares cannot be compared.
        let area = |ours: Option<Area>, theirs: Option<Area>, weaker: fn(f64, f64) -> bool| match (
            ours, theirs,
        ) {
            (None, _) => false,
            (Some(Area::Pixels(ours)), Some(Area::Pixels(theirs)))
            | (Some(Area::Share(ours)), Some(Area::Share(theirs))) => weaker(theirs, ours),
            _ => true,
        };
        let number = |ours: Option<f64>, theirs: Option<f64>, weaker: fn(f64, f64) -> bool| {
            ours.is_some_and(|ours| theirs.is_none_or(|theirs| weaker(theirs, ours)))
        };
        let (less, more) = (|a: f64, b: f64| a < b, |a: f64, b: f64| a > b);
        let weaker = [
            ("min_score", min_score),
            ("strict_labels", self.strict_labels && !wanted.strict_labels),
            ("min_area", area(self.min_area, wanted.min_area, less)),
            ("max_area", area(self.max_area, wanted.max_area, more)),
            ("min_aspect", number(self.min_aspect, wanted.min_aspect, less)),
            ("max_aspect", number(self.max_aspect, wanted.max_aspect, more)),
            ("drop_edge", self.drop_edge && !wanted.drop_edge),
            ("duplicates", number(self.duplicates, wanted.duplicates, more)),
            ("nms", number(self.nms, wanted.nms, more)),
            ("nms_agnostic", self.nms.is_some() && self.nms_agnostic && !wanted.nms_agnostic),
        ];
        weaker.into_iter().filter(|(_, weaker)| *weaker).map(|(name, _)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_area_is_written_as_it_is_read() {
        for (text, area) in [
            ("400", Area::Pixels(400.0)),
            ("0", Area::Pixels(0.0)),
            ("0.5%", Area::Share(0.005)),
            ("100 %", Area::Share(1.0)),
        ] {
            assert_eq!(text.parse(), Ok(area));
            let written = String::from(area);
            assert_eq!(written, text.replace(' ', ""));
            assert_eq!(Area::try_from(written), Ok(area));
        }
        for text in ["inf", "inf%", "NaN", "-1%", "-0.5", "100.1%", "big", ""] {
            assert_eq!(text.parse::<Area>(), Err(AreaError(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn an_evaluation_goes_by_the_scores_of_the_export() {
        let calibration = Some(Platt { a: 2.0, b: 1.0 });
        let filters = Filters { score: ScoreKind::Coordinates, calibration, ..Filters::default() };
        let all = filters.keeping_all_boxes();
        assert_eq!((all.score, all.calibration), (ScoreKind::Coordinates, calibration));
        assert_eq!(all.min_score, MinScore::Default(0.0));
    }

    #[test]
    fn suppression_that_was_not_done_is_not_weaker_with_labels_apart() {
        let old = Filters { nms_agnostic: true, ..Filters::keep_all() };
        assert!(old.weaker_in(&Filters::keep_all()).is_empty());
        let by_label = Filters { nms: Some(0.5), ..Filters::keep_all() };
        assert!(by_label.weaker_in(&by_label).is_empty());
        let agnostic = Filters { nms_agnostic: true, ..by_label.clone() };
        assert_eq!(agnostic.weaker_in(&by_label), ["nms_agnostic"]);
    }
}
