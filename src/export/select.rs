//! Which records and boxes an export is about.
//!
//! In: the records of a run and the [`Options`]. Out: records with the boxes that are left, under the labels that they are to have, and
//! the categories. Promises: whatever is left out is counted in a remark; an image stands without boxes in a data set only where its
//! whole answer says that there are none.

use std::collections::{BTreeMap, BTreeSet};

use super::options::{Category, Options};
use super::{Exported, Input};
use crate::record::{AnswerStatus, Detection, Record};

/// What is exported.
pub(super) struct Selection {
    /// Sorted by image, as before.
    pub(super) records: Vec<Record>,
    /// Of each record, whether its answer says what is in the image: not where it failed, was refused or cut off before its first box.
    pub(super) answered: Vec<bool>,
    /// In the order of class indices.
    pub(super) categories: Vec<Category>,
}

pub(super) fn select(input: &Input<'_>, exported: &mut Exported) -> Selection {
    let options = input.options;
    let mut selector = Selector::new(options);
    let (mut records, mut answered) = (Vec::new(), Vec::new());
    let mut other_status = 0;
    for record in input.records {
        if options.include_status.as_ref().is_some_and(|included| !included.contains(&record.status)) {
            other_status += 1;
            continue;
        }
        let unscored = selector.unscored;
        let mut selected = record.clone();
        selected.detections = record.detections.iter().filter_map(|detection| selector.pass(detection)).collect();
        answered.push(says_what_is_there(record, &selected.detections, selector.unscored > unscored));
        records.push(selected);
    }
    selector.remark(exported);
    if other_status > 0 {
        exported.remarks.push(format!("{other_status} images are left out, whose status is not in --include-status"));
    }
    let categories = options.categories.clone().unwrap_or_else(|| categories(input, &records));
    Selection { records, answered, categories }
}

/// Whether a record is an example of what is in its image. One without boxes is only where the whole answer is known: it said
/// "nothing", or all that it said was left out on request, none of it for want of a score.
fn says_what_is_there(record: &Record, left: &[Detection], some_unscored: bool) -> bool {
    let whole = match record.status {
        AnswerStatus::Empty => true,
        AnswerStatus::Ok => !record.detections.is_empty() && !some_unscored,
        _ => false,
    };
    whole || !left.is_empty()
}

/// The labels that were asked for, in that order, then the others by name; ids from 1.
fn categories(input: &Input<'_>, records: &[Record]) -> Vec<Category> {
    let mut names: Vec<&str> = Vec::new();
    for label in input.asked {
        let name = input.options.labels_map.get(label).unwrap_or(label);
        if !name.is_empty() && !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let found = records.iter().flat_map(|record| &record.detections).map(|detection| detection.label.as_str());
    let others: BTreeSet<&str> = found.filter(|label| !names.contains(label)).collect();
    names.extend(others);
    let category = |(id, name): (u64, &str)| Category { id, name: name.to_owned(), supercategory: String::new() };
    (1..).zip(names).map(category).collect()
}

/// Lets boxes pass and counts those that do not.
struct Selector<'o> {
    options: &'o Options,
    known: Option<BTreeSet<&'o str>>,
    dropped_by_map: usize,
    outside: BTreeMap<String, usize>,
    unscored: usize,
    low: usize,
    uncalibrated: usize,
}

impl<'o> Selector<'o> {
    fn new(options: &'o Options) -> Self {
        let names = |categories: &'o Vec<Category>| categories.iter().map(|category| category.name.as_str()).collect();
        let known = options.categories.as_ref().map(names);
        Self { options, known, dropped_by_map: 0, outside: BTreeMap::new(), unscored: 0, low: 0, uncalibrated: 0 }
    }

    fn pass(&mut self, detection: &Detection) -> Option<Detection> {
        let label = self.options.labels_map.get(&detection.label).unwrap_or(&detection.label);
        if label.is_empty() && !detection.label.is_empty() {
            self.dropped_by_map += 1;
            return None;
        }
        if self.known.as_ref().is_some_and(|known| !known.contains(label.as_str())) {
            *self.outside.entry(label.clone()).or_default() += 1;
            return None;
        }
        let calibrated = self
            .options
            .calibration
            .zip(detection.probabilities)
            .and_then(|((kind, platt), probabilities)| Some(platt.apply(kind.score(probabilities)?)));
        self.uncalibrated += usize::from(self.options.calibration.is_some() && calibrated.is_none());
        let score = calibrated.or(detection.score);
        match (self.options.min_score, score) {
            (Some(_), None) => self.unscored += 1,
            (Some(least), Some(score)) if score < least => self.low += 1,
            _ => return Some(Detection { label: label.clone(), score, ..detection.clone() }),
        }
        None
    }

    fn remark(&self, exported: &mut Exported) {
        const NAMED: usize = 10;
        let mut remark = |count: usize, what: &str| {
            if count > 0 {
                exported.remarks.push(format!("{count} boxes are left out, {what}"));
            }
        };
        remark(self.dropped_by_map, "whose labels the map maps to \"\"");
        let mut named: Vec<String> =
            self.outside.iter().take(NAMED).map(|(label, count)| format!("{label:?} ({count})")).collect();
        if self.outside.len() > NAMED {
            named.push(format!("{} more", self.outside.len() - NAMED));
        }
        let labels = format!("whose labels are not in --categories: {}", named.join(", "));
        remark(self.outside.values().sum(), &labels);
        remark(self.low, "whose scores are below --min-score");
        remark(self.unscored, "which have no score that could reach --min-score");
        if self.uncalibrated > 0 {
            let count = self.uncalibrated;
            exported
                .remarks
                .push(format!("{count} boxes have no token probabilities to calibrate: their scores stay as they are"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::BBox;

    fn record(status: AnswerStatus, boxes: &[(&str, Option<f64>)]) -> Record {
        let mut record = Record::failed("a.png".into(), String::new());
        record.status = status;
        let detection = |&(label, score): &(&str, Option<f64>)| Detection {
            label: label.to_owned(),
            bbox: BBox::whole(10, 10),
            score,
            probabilities: None,
            sentence: None,
        };
        record.detections = boxes.iter().map(detection).collect();
        record
    }

    fn selected(records: &[Record], asked: &[&str], options: &Options) -> (Selection, Vec<String>) {
        let asked: Vec<String> = asked.iter().map(|label| (*label).to_owned()).collect();
        let mut exported = Exported::default();
        let input = Input { records, asked: &asked, images: None, apply_orientation: true, manifest: None, options };
        (select(&input, &mut exported), exported.remarks)
    }

    fn names(selection: &Selection) -> Vec<&str> {
        selection.categories.iter().map(|category| category.name.as_str()).collect()
    }

    #[test]
    fn only_a_whole_answer_makes_an_image_without_boxes() {
        use AnswerStatus::{Empty, Failed, Looped, Ok, Refused, Salvaged, Truncated};
        let dog = [("dog", Some(0.5))];
        let records: Vec<Record> = [Ok, Empty, Salvaged, Truncated, Looped, Refused, Failed]
            .into_iter()
            .flat_map(|status| [record(status, &[]), record(status, &dog)])
            .collect();
        let (selection, _) = selected(&records, &[], &Options::default());
        let without_boxes: Vec<bool> = selection.answered.iter().step_by(2).copied().collect();
        assert_eq!(without_boxes, [false, true, false, false, false, false, false]);
        assert!(selection.answered.iter().skip(1).step_by(2).all(|answered| *answered));
        // Where the user leaves out what was found, the image still says that nothing else is there: if its answer is whole.
        let options = Options { min_score: Some(0.9), ..Options::default() };
        let (selection, remarks) = selected(&records, &[], &options);
        assert_eq!(selection.answered.iter().skip(1).step_by(2).filter(|answered| **answered).count(), 2);
        assert_eq!(remarks, ["7 boxes are left out, whose scores are below --min-score"]);
        // A box without a score may well be right.
        let (selection, _) = selected(&[record(Ok, &[("dog", None)])], &[], &options);
        assert_eq!(selection.answered, [false]);
    }

    #[test]
    fn labels_are_mapped_then_held_against_the_categories() {
        let boxes = [("red car", Some(0.9)), ("car", None), ("blur", Some(0.9)), ("dog", Some(0.1))];
        let records = [record(AnswerStatus::Ok, &boxes)];
        let map = [("red car", "car"), ("blur", ""), ("asked", "dog")];
        let labels_map = map.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
        let mut options = Options { labels_map, ..Options::default() };
        let (selection, remarks) = selected(&records, &["asked", "blur"], &options);
        assert_eq!(names(&selection), ["dog", "car"]);
        assert_eq!(remarks, ["1 boxes are left out, whose labels the map maps to \"\""]);
        options.categories = Some(vec![Category { id: 3, name: "car".into(), supercategory: String::new() }]);
        options.min_score = Some(0.0);
        let (selection, remarks) = selected(&records, &["asked"], &options);
        assert_eq!(names(&selection), ["car"]);
        assert_eq!(selection.records[0].detections.len(), 1);
        assert_eq!(
            remarks[1..],
            [
                "1 boxes are left out, whose labels are not in --categories: \"dog\" (1)",
                "1 boxes are left out, which have no score that could reach --min-score"
            ]
        );
    }

    #[test]
    fn statuses_that_are_not_asked_for_are_left_out() {
        let records = [record(AnswerStatus::Ok, &[("dog", None)]), record(AnswerStatus::Failed, &[])];
        let options = Options { include_status: Some(BTreeSet::from([AnswerStatus::Failed])), ..Options::default() };
        let (selection, remarks) = selected(&records, &[], &options);
        assert_eq!((selection.records.len(), selection.answered), (1, vec![false]));
        assert_eq!(remarks, ["1 images are left out, whose status is not in --include-status"]);
    }
}
