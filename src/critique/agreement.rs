//! How far verdicts and axes agree with what people said.
//!
//! In: a CSV with the column `image`, and any of `verdict` and names of axes: words of the axis, or
//! numbers from 0 to 1. Out: for each a confusion matrix with Cohen's kappa, or a rank correlation.
//! Promises: a label that means nothing is an error with its line; rows of no frame are counted.
//!
//! Kappa is Cohen's (1960), weighted by the squared distance of the words of a level (Cohen 1968).

use std::collections::HashMap;

use serde::Serialize;
use thiserror::Error;

use super::frame::Frame;
use super::gate::{Judged, Verdict};
use super::rubric::{Kind, Rubric};
use super::statistics::ranks;
use crate::record::{Record, to_four_decimals};

/// Why labels cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LabelsError {
    /// No CSV.
    #[error("{0}")]
    Csv(#[from] csv::Error),
    /// A column is missing.
    #[error(
        "the first line must name the column image, and verdict or an axis ({axes}); it is: {there}"
    )]
    Columns {
        /// The axes of the rubric.
        axes: String,
        /// The first line.
        there: String,
    },
    /// A label that the column cannot have.
    #[error("line {line}: {column} cannot be {label:?}; it can be: {can}")]
    Label {
        /// Counted from 1.
        line: u64,
        /// The column.
        column: String,
        /// As it is written.
        label: String,
        /// The labels that there are.
        can: String,
    },
}

/// Two opinions, word by word.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Confusion {
    /// The words.
    pub words: Vec<String>,
    /// How many frames people gave the word of the row, and the run that of the column.
    pub counts: Vec<Vec<usize>>,
    /// The share of frames with the same word.
    pub same: f64,
    /// Cohen's kappa: 1 is full agreement, 0 that of chance; `None` if all frames have one word.
    pub kappa: Option<f64>,
    /// Of words that have an order, kappa weighted by the squared distance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weighted_kappa: Option<f64>,
}

/// Two opinions in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Numbers {
    /// How many frames have both.
    pub frames: usize,
    /// Spearman's rank correlation; `None` if one opinion is the same of all.
    pub spearman: Option<f64>,
    /// The mean of the absolute difference.
    pub mean_difference: f64,
}

/// How a column agrees.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ColumnAgreement {
    /// Words.
    Words(Confusion),
    /// Numbers.
    Numbers(Numbers),
}

/// How a run agrees with labels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agreement {
    /// Frames with a label.
    pub frames: usize,
    /// Rows of no frame.
    pub rows_of_no_frame: usize,
    /// By column, in their order.
    pub columns: Vec<(String, ColumnAgreement)>,
}

impl Agreement {
    /// How `judged` and `frames`, which are those of `records`, agree with the labels in `text`.
    ///
    /// # Errors
    /// [`LabelsError`].
    pub fn of(
        text: &str,
        records: &[Record],
        frames: &[Frame],
        judged: &[Judged],
        rubric: &Rubric,
    ) -> Result<Self, LabelsError> {
        let mut table = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
        let header = table.headers()?.clone();
        let name = |column: &str| column.trim_start_matches('\u{feff}').trim().to_lowercase();
        let image = header.iter().position(|column| name(column) == "image");
        let columns: Vec<(usize, String)> = header
            .iter()
            .map(name)
            .enumerate()
            .filter(|(_, name)| name == "verdict" || rubric.axis(name).is_some())
            .collect();
        let Some(image) = image.filter(|_| !columns.is_empty()) else {
            let axes: Vec<&str> = rubric.axes.iter().map(|axis| axis.name.as_str()).collect();
            let there = header.iter().collect::<Vec<_>>().join(",");
            return Err(LabelsError::Columns { axes: axes.join(", "), there });
        };
        let places: HashMap<&str, usize> =
            records.iter().enumerate().map(|(at, record)| (record.image.as_str(), at)).collect();
        let mut labels: Vec<Vec<(usize, Label)>> = columns.iter().map(|_| Vec::new()).collect();
        let mut agreement = Self { frames: 0, rows_of_no_frame: 0, columns: Vec::new() };
        for row in table.records() {
            let row = row?;
            let Some(&at) = places.get(row.get(image).unwrap_or_default().trim()) else {
                agreement.rows_of_no_frame += 1;
                continue;
            };
            agreement.frames += 1;
            for ((column, name), labels) in columns.iter().zip(&mut labels) {
                let written = row.get(*column).unwrap_or_default().trim();
                if written.is_empty() {
                    continue;
                }
                let line = row.position().map_or(0, csv::Position::line);
                labels.push((at, Label::read(written, name, rubric, line)?));
            }
        }
        for ((_, name), labels) in columns.into_iter().zip(labels) {
            let column = of_column(&name, &labels, frames, judged, rubric);
            agreement.columns.extend(column.map(|column| (name, column)));
        }
        Ok(agreement)
    }
}

/// What a person said.
enum Label {
    Word(usize),
    Number(f64),
}

impl Label {
    fn read(written: &str, column: &str, rubric: &Rubric, line: u64) -> Result<Self, LabelsError> {
        let words = words_of(column, rubric);
        let place = words.iter().position(|word| word.eq_ignore_ascii_case(written));
        if let Some(place) = place {
            return Ok(Self::Word(place));
        }
        let number = written.parse::<f64>().ok().filter(|number| (0.0..=1.0).contains(number));
        if let Some(number) = number.filter(|_| column != "verdict") {
            return Ok(Self::Number(number));
        }
        let mut can = words.join(", ");
        if column != "verdict" {
            can.push_str(", or a number from 0 to 1");
        }
        let (column, label) = (column.to_owned(), written.to_owned());
        Err(LabelsError::Label { line, column, label, can })
    }
}

fn words_of(column: &str, rubric: &Rubric) -> Vec<String> {
    match rubric.axis(column) {
        Some(axis) => axis.words(),
        None => Verdict::ALL.iter().map(|verdict| verdict.as_str().to_owned()).collect(),
    }
}

fn of_column(
    name: &str,
    labels: &[(usize, Label)],
    frames: &[Frame],
    judged: &[Judged],
    rubric: &Rubric,
) -> Option<ColumnAgreement> {
    let words = words_of(name, rubric);
    let axis = rubric.axis(name);
    let mut numbers: Vec<(f64, f64)> = Vec::new();
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for (at, label) in labels {
        let figures = frames[*at].axis(name);
        match label {
            Label::Number(number) => {
                let value = figures.and_then(|figures| figures.value);
                numbers.extend(value.map(|value| (*number, value)));
            }
            Label::Word(word) => {
                let said = match axis {
                    Some(_) => figures.and_then(|figures| figures.word.clone()),
                    None => Some(judged[*at].verdict.as_str().to_owned()),
                };
                let said = said.and_then(|said| words.iter().position(|word| *word == said));
                pairs.extend(said.map(|said| (*word, said)));
            }
        }
    }
    if !numbers.is_empty() {
        return Some(ColumnAgreement::Numbers(of_numbers(&numbers)));
    }
    let has_order = match axis {
        Some(axis) => matches!(axis.kind, Kind::Level { .. }) && axis.not_applicable.is_none(),
        None => true,
    };
    (!pairs.is_empty()).then(|| ColumnAgreement::Words(of_words(words, &pairs, has_order)))
}

fn of_words(words: Vec<String>, pairs: &[(usize, usize)], has_order: bool) -> Confusion {
    let mut counts = vec![vec![0; words.len()]; words.len()];
    for (person, run) in pairs {
        counts[*person][*run] += 1;
    }
    let same = pairs.iter().filter(|(person, run)| person == run).count();
    let squared = |one: usize, other: usize| (one.abs_diff(other) as f64).powi(2);
    Confusion {
        same: to_four_decimals(same as f64 / pairs.len() as f64),
        kappa: kappa(&counts, |one, other| f64::from(u8::from(one != other))),
        weighted_kappa: has_order.then(|| kappa(&counts, squared)).flatten(),
        words,
        counts,
    }
}

/// 1 - the disagreement that there is, through that of chance, each weighted.
fn kappa(counts: &[Vec<usize>], weight: impl Fn(usize, usize) -> f64) -> Option<f64> {
    let all: usize = counts.iter().flatten().sum();
    let rows: Vec<usize> = counts.iter().map(|row| row.iter().sum()).collect();
    let columns: Vec<usize> =
        (0..counts.len()).map(|column| counts.iter().map(|row| row[column]).sum()).collect();
    let (mut there, mut chance) = (0.0, 0.0);
    for (one, row) in counts.iter().enumerate() {
        for (other, count) in row.iter().enumerate() {
            there += weight(one, other) * *count as f64;
            chance += weight(one, other) * (rows[one] * columns[other]) as f64 / all as f64;
        }
    }
    (chance > 0.0).then(|| to_four_decimals(1.0 - there / chance))
}

fn of_numbers(pairs: &[(f64, f64)]) -> Numbers {
    let of = |which: fn(&(f64, f64)) -> f64| ranks(&pairs.iter().map(which).collect::<Vec<_>>());
    let (people, run) = (of(|pair| pair.0), of(|pair| pair.1));
    let mean = |ranks: &[f64]| ranks.iter().sum::<f64>() / ranks.len() as f64;
    let (mean_people, mean_run) = (mean(&people), mean(&run));
    let (mut both, mut one, mut other) = (0.0, 0.0, 0.0);
    for (person, run) in people.iter().zip(&run) {
        let (person, run) = (person - mean_people, run - mean_run);
        both += person * run;
        one += person * person;
        other += run * run;
    }
    let difference = pairs.iter().map(|(person, run)| (person - run).abs()).sum::<f64>();
    Numbers {
        frames: pairs.len(),
        spearman: (one > 0.0 && other > 0.0).then(|| to_four_decimals(both / (one * other).sqrt())),
        mean_difference: to_four_decimals(difference / pairs.len() as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Gates;
    use super::super::frame::tests::{LEVELS, record};
    use super::*;

    #[test]
    fn kappas_are_those_of_the_literature() {
        // Cohen's example of two raters; the others by hand, by the same formula.
        let kappa_of = |counts: &[Vec<usize>]| kappa(counts, |a, b| f64::from(u8::from(a != b)));
        assert_eq!(kappa_of(&[vec![20, 5], vec![10, 15]]), Some(0.4));
        let three = [vec![10, 2, 0], vec![1, 8, 3], vec![0, 2, 4]];
        assert_eq!(kappa_of(&three), Some(0.5876));
        assert_eq!(kappa(&three, |a, b| (a.abs_diff(b) as f64).powi(2)), Some(0.7674));
        assert_eq!(kappa_of(&[vec![5, 0], vec![0, 0]]), None, "one word says nothing");
    }

    #[test]
    fn labels_of_people() {
        let rubric = Rubric::read(
            "name = \"r\"\n[[axis]]\nname = \"hands\"\nkind = \"level\"\nquestion = \"q\"\n[gate]\n\
             rules = [\"reject if hands < 0.5\", \"keep otherwise\"]",
        )
        .unwrap();
        let of = |image: &str, place: usize| {
            let mut p = [0.0; 5];
            p[place] = 1.0;
            let mut record = record(&[("hands", LEVELS, &p)]);
            record.image = image.to_owned();
            record
        };
        let records = [of("a.png", 0), of("b.png", 4), of("c.png", 3)];
        let frames: Vec<Frame> = records.iter().map(|one| Frame::of(one, &rubric)).collect();
        let gates = Gates::new(&rubric).unwrap();
        let both = frames.iter().zip(&records);
        let judged: Vec<Judged> = both.map(|(frame, record)| gates.judge(frame, record)).collect();
        let agreement = |text: &str| Agreement::of(text, &records, &frames, &judged, &rubric);
        let words = agreement(
            "image,verdict,hands\na.png,reject,bad\nb.png,reject,excellent\nx.png,keep,\nc.png,,poor\n",
        )
        .unwrap();
        assert_eq!((words.frames, words.rows_of_no_frame), (3, 1));
        let ColumnAgreement::Words(verdicts) = &words.columns[0].1 else { panic!() };
        assert_eq!((verdicts.same, verdicts.counts[2][0], verdicts.counts[2][2]), (0.5, 1, 1));
        let ColumnAgreement::Words(hands) = &words.columns[1].1 else { panic!() };
        assert!(hands.weighted_kappa > hands.kappa && hands.kappa > Some(0.0), "{hands:?}");
        let numbers = agreement("image,hands\na.png,0.1\nb.png,0.9\nc.png,0.8\n").unwrap();
        let ColumnAgreement::Numbers(numbers) = &numbers.columns[0].1 else { panic!() };
        assert_eq!((numbers.frames, numbers.spearman), (3, Some(1.0)));
        let error = |text: &str| agreement(text).unwrap_err().to_string();
        assert!(error("image,hands\na.png,great\n").contains("line 2: hands cannot be \"great\""));
        assert!(error("image,verdict\na.png,good\n").contains("it can be: keep, review, reject"));
        assert!(error("name,hands\n").contains("must name the column image"));
    }
}
