//! A frame's figures.
//!
//! In: its record, a rubric. Out: for each axis its value, entropy and other figures of rules and
//! tables, and one overall score. Promises: a function of these two alone; an axis that could not
//! be read has no value, and says so.

use std::collections::HashMap;

use serde::Serialize;

use super::rubric::{Axis, Kind, Rubric};
use super::settings::{answers, boxes_were_not_read};
use crate::record::{
    AnswerStatus, AxisMarks, CritiqueSettings, Rating, Record, index_of_greatest, to_four_decimals,
};

/// One axis of a frame.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AxisFigures {
    /// The axis.
    pub axis: String,
    /// The frame's quality on it, 0..1: the expected value of the words' values under their
    /// probabilities; over clauses, the mean; of defects, 1 / (1 + their number). `None` if words
    /// have no values, or if the axis is not applicable to the frame.
    pub value: Option<f64>,
    /// The most probable word; none for defects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub word: Option<String>,
    /// How undecided the model was: the entropy of the distribution in bits, from 0 to log2 of the
    /// number of words; over clauses, the mean.
    pub entropy: f64,
    /// The words' share of the whole probability; over clauses, the least.
    pub mass: f64,
    /// The words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// How probable each word is; over clauses, the mean.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub probabilities: Vec<f64>,
    /// Over clauses, the value of the worst one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst: Option<f64>,
    /// The number of defects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
    /// Each clause and its value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clauses: Vec<(String, Option<f64>)>,
    /// Why, in the model's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A frame on all axes that it was asked about.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Frame {
    /// In the rubric's order; an axis about the frame's prompt is missing if that is not known.
    pub axes: Vec<AxisFigures>,
    /// The mean of the values, by the axes' weights; `None` if no axis has both a weight and a
    /// value.
    pub overall: Option<f64>,
    /// Why the frame must not be kept, whatever the figures: it failed, or an axis could not be
    /// read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
    /// The name of the better frame that this one is a near copy of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<String>,
}

impl Frame {
    /// The figures of `record` by `rubric`.
    pub fn of(record: &Record, rubric: &Rubric) -> Self {
        Self::of_asked(record, rubric, &CritiqueSettings::of(rubric).marks())
    }

    /// The same, with the marks of the rubric's axes.
    pub(crate) fn of_asked(record: &Record, rubric: &Rubric, marks: &AxisMarks) -> Self {
        let mut by_axis: HashMap<&str, Vec<&Rating>> = HashMap::new();
        for rating in &record.ratings {
            by_axis.entry(&rating.axis).or_default().push(rating);
        }
        let mut frame = Self { axes: Vec::new(), overall: None, unread: None, duplicate_of: None };
        if record.status == AnswerStatus::Failed {
            frame.unread = Some(record.reason.clone().unwrap_or_else(|| "it failed".to_owned()));
            return frame;
        }
        let (mut sum, mut weights) = (0.0, 0.0);
        let finding =
            rubric.axes.iter().filter(|axis| matches!(axis.kind, Kind::Defects { .. })).count();
        for axis in &rubric.axes {
            let figures = if !record.axes.is_empty()
                && let Err(reason) = is_answered(axis, record, marks)
            {
                Err(reason)
            } else if let Kind::Defects { labels } = &axis.kind {
                Ok(Some(defects(axis, labels, finding == 1, record)))
            } else {
                rated(
                    axis,
                    by_axis.get(axis.name.as_str()).map_or(&[][..], Vec::as_slice),
                    rubric.min_mass,
                )
            };
            match figures {
                Ok(Some(figures)) => {
                    if let Some(value) = figures.value {
                        sum += axis.weight * value;
                        weights += axis.weight;
                    }
                    frame.axes.push(figures);
                }
                Ok(None) => {}
                Err(reason) => frame.unread = frame.unread.take().or(Some(reason)),
            }
        }
        if finding > 0 && boxes_were_not_read(record) {
            let reason =
                format!("its defects were not listed to the end ({})", record.status.as_str());
            frame.unread = frame.unread.take().or(Some(reason));
        }
        frame.overall = (weights > 0.0).then(|| to_four_decimals(sum / weights));
        frame
    }

    /// The figures of an axis.
    pub fn axis(&self, name: &str) -> Option<&AxisFigures> {
        self.axes.iter().find(|figures| figures.axis == name)
    }
}

/// Whether the frame was asked what the rubric asks.
fn is_answered(axis: &Axis, record: &Record, marks: &AxisMarks) -> Result<(), String> {
    match answers(record, &axis.name, marks) {
        Some(true) => Ok(()),
        Some(false) => Err(format!("{} was asked about in other words", axis.name)),
        None => Err(format!("{} was not asked about", axis.name)),
    }
}

/// The figures of an axis that looks for `labels`. If no other axis looks for anything, all boxes
/// are its but those that were looked for by an axis of earlier; else the boxes with one of its
/// labels.
fn defects(axis: &Axis, labels: &[String], alone: bool, record: &Record) -> AxisFigures {
    let asked = record.asked.as_deref().unwrap_or_default();
    let of_it = |label: &String| labels.contains(label) || alone && !asked.contains(label);
    let count = record.detections.iter().filter(|detection| of_it(&detection.label)).count();
    AxisFigures {
        axis: axis.name.clone(),
        value: Some(to_four_decimals(1.0 / (1.0 + count as f64))),
        word: None,
        entropy: 0.0,
        mass: 1.0,
        words: Vec::new(),
        probabilities: Vec::new(),
        worst: None,
        count: Some(count),
        clauses: Vec::new(),
        reason: None,
    }
}

/// The figures of an axis that words answer; `None` if it was not asked, since the frame's prompt
/// is not known.
fn rated(axis: &Axis, ratings: &[&Rating], min_mass: f64) -> Result<Option<AxisFigures>, String> {
    let Some(first) = ratings.first() else {
        return if axis.needs_prompt() {
            Ok(None)
        } else {
            Err(format!("{} was not asked about", axis.name))
        };
    };
    let words = axis.words();
    if ratings
        .iter()
        .any(|rating| rating.words != words || rating.probabilities.len() != words.len())
    {
        return Err(format!(
            "{} was asked about with other words ({})",
            axis.name,
            first.words.join(", ")
        ));
    }
    let mean = |of: &dyn Fn(&Rating) -> f64| {
        ratings.iter().map(|rating| of(rating)).sum::<f64>() / ratings.len() as f64
    };
    let probabilities: Vec<f64> =
        (0..words.len()).map(|word| mean(&|rating| rating.probabilities[word])).collect();
    let values = axis.kind.values();
    let value_of = |probabilities: &[f64]| {
        let values = values.as_ref()?;
        // Rounded probabilities do not quite sum to 1, and the last may be of the word that says
        // that nothing is there to be rated.
        let whole: f64 = probabilities.iter().take(values.len()).sum();
        if axis.not_applicable.is_some()
            && index_of_greatest(probabilities) == Some(words.len() - 1)
        {
            return None;
        }
        Some(to_four_decimals(
            values.iter().zip(probabilities).map(|(value, p)| value * p).sum::<f64>() / whole,
        ))
    };
    let each: Vec<Option<f64>> =
        ratings.iter().map(|rating| value_of(&rating.probabilities)).collect();
    let by_clause =
        |(rating, value): (&&Rating, &Option<f64>)| Some((rating.clause.clone()?, *value));
    let clauses: Vec<_> = ratings.iter().zip(&each).filter_map(by_clause).collect();
    // Clauses that are not applicable are left out of the mean, as axes are.
    let rated: Vec<f64> = each.iter().flatten().copied().collect();
    let value = if axis.not_applicable.is_some() {
        (!rated.is_empty())
            .then(|| to_four_decimals(rated.iter().sum::<f64>() / rated.len() as f64))
    } else {
        value_of(&probabilities)
    };
    let figures = AxisFigures {
        axis: axis.name.clone(),
        value,
        word: index_of_greatest(&probabilities).map(|word| words[word].clone()),
        entropy: to_four_decimals(mean(&|rating| entropy(&rating.probabilities))),
        mass: ratings.iter().map(|rating| rating.mass).fold(f64::INFINITY, f64::min),
        worst: (!clauses.is_empty())
            .then(|| each.iter().flatten().copied().reduce(f64::min))
            .flatten(),
        probabilities: probabilities.into_iter().map(to_four_decimals).collect(),
        words,
        count: None,
        clauses,
        reason: first.reason.clone(),
    };
    if figures.mass < min_mass {
        return Err(format!(
            "the model wanted to say something else about {} (mass {})",
            axis.name, figures.mass
        ));
    }
    Ok(Some(figures))
}

/// In bits.
fn entropy(probabilities: &[f64]) -> f64 {
    -probabilities.iter().filter(|&&p| p > 0.0).map(|p| p * p.log2()).sum::<f64>()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::record::{BBox, Detection};

    /// A record with these ratings: axis, words, probabilities.
    pub(in crate::critique) fn record(ratings: &[(&str, &[&str], &[f64])]) -> Record {
        let mut record = Record::failed("a.png".to_owned(), String::new());
        (record.status, record.reason) = (AnswerStatus::Ok, None);
        let rating = |(axis, words, probabilities): &(&str, &[&str], &[f64])| Rating {
            axis: (*axis).to_owned(),
            clause: None,
            words: words.iter().map(|&word| word.to_owned()).collect(),
            probabilities: probabilities.to_vec(),
            mass: 0.9,
            reason: None,
        };
        record.ratings = ratings.iter().map(rating).collect();
        record
    }

    pub(in crate::critique) const LEVELS: &[&str] = &["bad", "poor", "fair", "good", "excellent"];

    const RUBRIC: &str = r#"
        name = "r"
        [[axis]]
        name = "hands"
        kind = "level"
        question = "q"
        weight = 3
        [[axis]]
        name = "text"
        kind = "yes_no"
        question = "q"
        good = "no"
        [[axis]]
        name = "style"
        kind = "choice"
        words = ["photo", "drawing"]
        question = "q"
        [[axis]]
        name = "adherence"
        kind = "yes_no"
        question = "{clause}?"
        weight = 0
        [[axis]]
        name = "flaws"
        kind = "defects"
        labels = ["extra limb"]
        [[axis]]
        name = "animals"
        kind = "defects"
        labels = ["cat", "dog"]
    "#;

    #[test]
    fn values_entropies_and_the_overall_score() {
        let rubric = Rubric::read(RUBRIC).unwrap();
        let mut record = record(&[
            ("hands", LEVELS, &[0.5, 0.0, 0.0, 0.0, 0.5]),
            ("text", &["yes", "no"], &[0.2, 0.8]),
            ("style", &["photo", "drawing"], &[0.75, 0.25]),
        ]);
        let whole = BBox::whole(10, 10);
        record.detections = vec![
            Detection::new("extra limb".to_owned(), whole),
            Detection::new("cat".to_owned(), whole),
        ];
        let frame = Frame::of(&record, &rubric);
        let of = |name| frame.axis(name).unwrap();
        assert_eq!((of("hands").value, of("hands").entropy), (Some(0.5), 1.0));
        assert_eq!((of("text").value, of("text").word.as_deref()), (Some(0.8), Some("no")));
        assert_eq!((of("style").value, of("style").word.as_deref()), (None, Some("photo")));
        assert_eq!((of("flaws").count, of("flaws").value), (Some(1), Some(0.5)));
        assert!(frame.axis("adherence").is_none() && frame.unread.is_none());
        assert_eq!(
            frame.overall,
            Some(0.575),
            "(3 * 0.5 + 0.8) / 4: what has no value or no weight does not count"
        );
    }

    #[test]
    fn an_axis_that_is_not_applicable_is_left_out_of_the_mean() {
        let rubric = Rubric::read(
            "name = \"r\"\n[[axis]]\nname = \"hands\"\nkind = \"level\"\nquestion = \"q\"\n\
             words = [\"bad\", \"good\"]\nnot_applicable = \"none\"\n\
             [[axis]]\nname = \"text\"\nkind = \"yes_no\"\nquestion = \"q\"",
        )
        .unwrap();
        let words: &[&str] = &["bad", "good", "none"];
        let text: (&str, &[&str], &[f64]) = ("text", &["yes", "no"], &[0.8, 0.2]);
        let frame = Frame::of(&record(&[("hands", words, &[0.2, 0.1, 0.7]), text]), &rubric);
        let hands = frame.axis("hands").unwrap();
        assert_eq!((hands.value, hands.word.as_deref()), (None, Some("none")));
        assert_eq!((frame.overall, frame.unread), (Some(0.8), None));
        let frame = Frame::of(&record(&[("hands", words, &[0.45, 0.15, 0.4]), text]), &rubric);
        assert_eq!(frame.axis("hands").unwrap().value, Some(0.25), "of the words that rate");
    }

    #[test]
    fn clauses_are_one_axis() {
        let rubric = Rubric::read(RUBRIC).unwrap();
        let yes_no: &[&str] = &["yes", "no"];
        let mut record = record(&[
            ("hands", LEVELS, &[0.0, 0.0, 0.0, 0.0, 1.0]),
            ("text", yes_no, &[0.0, 1.0]),
            ("style", &["photo", "drawing"], &[1.0, 0.0]),
            ("adherence", yes_no, &[0.9, 0.1]),
            ("adherence", yes_no, &[0.1, 0.9]),
        ]);
        record.ratings[3].clause = Some("a red hat".to_owned());
        record.ratings[4].clause = Some("rain".to_owned());
        let frame = Frame::of(&record, &rubric);
        let adherence = frame.axis("adherence").unwrap();
        assert_eq!((adherence.value, adherence.worst), (Some(0.5), Some(0.1)));
        assert_eq!(adherence.clauses[1], ("rain".to_owned(), Some(0.1)));
    }

    #[test]
    fn what_was_not_read_says_so() {
        let rubric = Rubric::read(RUBRIC).unwrap();
        let unread = |record: &Record| Frame::of(record, &rubric).unread.unwrap();
        let failed = Record::failed("a.png".to_owned(), "cannot decode".to_owned());
        assert_eq!(unread(&failed), "cannot decode");
        let whole: &[(&str, &[&str], &[f64])] = &[
            ("hands", LEVELS, &[0.0, 0.0, 0.0, 0.0, 1.0]),
            ("text", &["yes", "no"], &[0.0, 1.0]),
            ("style", &["photo", "drawing"], &[1.0, 0.0]),
        ];
        assert!(unread(&record(&whole[1..])).contains("hands was not asked"));
        let mut other_words = record(whole);
        other_words.ratings[1].words[0] = "ja".to_owned();
        assert!(unread(&other_words).contains("other words (ja, no)"));
        let mut rambling = record(whole);
        rambling.ratings[0].mass = 0.01;
        assert!(unread(&rambling).contains("something else about hands"));
        let mut cut = record(whole);
        cut.status = AnswerStatus::Truncated;
        assert!(unread(&cut).contains("truncated"));
    }
}
