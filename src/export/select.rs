//! Which records and boxes an export is about.
//!
//! In: the records of a run, its [`Filters`], and the [`Options`](super::Options) of an export.
//! Out: first a [`Selection`], the filtered records, which summaries, verdicts and all formats
//! share; then, for one export, the records and boxes of its statuses and categories. Promises:
//! everything that is left out is counted; an image has no boxes in a data set only if its whole
//! answer says that there are none, or if all its boxes were left out by request.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::filter::{Filtered, Names};
use super::{Category, Exported, Options};
use crate::answer::counts::Counts;
use crate::dataset::counted;
use crate::record::{AnswerStatus, Detection, Filters, Manifest, MinScore, NoteKind, Record};

/// The records of a run, as filters show them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selection {
    /// Sorted by image. Their boxes are those that stay, under the names and scores of the filters;
    /// their notes count those that are left out as well.
    pub records: Vec<Record>,
    /// The boxes that were left out of each record.
    pub left_out: Vec<LeftOut>,
    /// The labels that the run was asked for, under the names of the filters; in their order.
    pub labels: Vec<String>,
    /// How many boxes were left out of all, by kind.
    pub counts: BTreeMap<NoteKind, usize>,
    /// The least score; `None` if the records are those of runs with different ones.
    pub min_score: Option<MinScore>,
    /// Those of single labels.
    pub min_scores: BTreeMap<String, f64>,
    /// Of these labels, those that were neither asked for nor answered.
    pub unknown_labels: Vec<String>,
    /// Boxes without token probabilities, whose scores a calibration could not change.
    pub uncalibrated: usize,
}

/// The boxes that the filters left out of one record.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LeftOut {
    /// The boxes, under the names and scores of the filters.
    pub boxes: Vec<Detection>,
    /// Whether one of them may well be right: it was left out by the default least score, or for
    /// having no score.
    pub unsure: bool,
}

/// The kinds of notes that say that filters left a box out.
const LEAVES_OUT: [NoteKind; 6] = [
    NoteKind::Filtered,
    NoteKind::LowScoreDropped,
    NoteKind::UnscoredDropped,
    NoteKind::UnaskedDropped,
    NoteKind::DuplicateDropped,
    NoteKind::Suppressed,
];

impl Selection {
    /// The `records` of the run that `manifest` describes, as `filters` show them.
    pub fn of(records: Vec<Record>, manifest: &Manifest, filters: &Filters) -> Self {
        let mut selection = Self {
            min_score: Some(filters.min_score),
            min_scores: filters.min_scores.clone(),
            ..Self::default()
        };
        let usual = Names::new(manifest.labels_of_every_image(), &filters.labels_map);
        // Records of earlier versions bear the names of the map of then: applied again, it could
        // rename them once more.
        let (applied, no_map) =
            (manifest.filtered_when_asked.as_ref().map(|then| &then.labels_map), BTreeMap::new());
        let map = if applied == Some(&filters.labels_map) { &no_map } else { &filters.labels_map };
        let of_filtered = Names::new(manifest.labels(), map);
        for mut record in records {
            let own = record.asked.take();
            let of_own = own.as_deref().map(|asked| Names::new(asked, &filters.labels_map));
            let names =
                of_own.as_ref().unwrap_or(if record.is_filtered() { &of_filtered } else { &usual });
            let mut counts = Counts::default();
            let detections = std::mem::take(&mut record.detections);
            let Filtered { kept, left_out, unsure, uncalibrated } =
                filters.apply(detections, names, (record.width, record.height), &mut counts);
            record.points.retain_mut(|point| match names.of(&point.label) {
                Some(name) => {
                    point.label = name;
                    true
                }
                None => false,
            });
            record.asked = own;
            record.detections = kept;
            let counted = counts.into_notes();
            for note in counted.iter().filter(|note| LEAVES_OUT.contains(&note.kind)) {
                *selection.counts.entry(note.kind).or_default() += note.count;
            }
            if !counted.is_empty() {
                let mut notes = Counts::default();
                record.notes.drain(..).chain(counted).for_each(|note| notes.add_note(note));
                record.notes = notes.into_notes();
            }
            selection.uncalibrated += uncalibrated;
            selection.records.push(record);
            selection.left_out.push(LeftOut { boxes: left_out, unsure });
        }
        for label in manifest.labels() {
            let name = usual.of_asked(label);
            if let Some(name) =
                name.filter(|name| !selection.labels.iter().any(|known| known == name))
            {
                selection.labels.push(name.to_owned());
            }
        }
        selection.unknown_labels = selection.unknown_labels();
        selection
    }

    /// The labels with a least score of their own that no box has, and that were not asked for.
    fn unknown_labels(&self) -> Vec<String> {
        if self.min_scores.is_empty() {
            return Vec::new();
        }
        let kept = self.records.iter().flat_map(|record| &record.detections);
        let boxes = kept.chain(self.left_out.iter().flat_map(|left_out| &left_out.boxes));
        let labels = boxes.map(|detection| &detection.label).chain(&self.labels);
        let known: BTreeSet<String> = labels.map(|label| label.to_lowercase()).collect();
        let unknown = self.min_scores.keys().filter(|label| !known.contains(&label.to_lowercase()));
        unknown.cloned().collect()
    }

    /// How many boxes were left out for a score that is too low, or for having none.
    pub fn left_out_by_score(&self) -> usize {
        let of = |kind| self.counts.get(&kind).copied().unwrap_or(0);
        of(NoteKind::LowScoreDropped) + of(NoteKind::UnscoredDropped)
    }

    /// Labels that have a least score and are nowhere, one a line: they may be misspelt.
    pub fn remarks_of_labels(&self) -> impl Iterator<Item = String> {
        self.unknown_labels.iter().map(|label| {
            format!("no box has the label {label:?}, which has a least score of its own")
        })
    }

    /// Remarks about the filters for readers of an export, one a line.
    pub fn remarks(&self) -> Vec<String> {
        let least = match self.min_score {
            Some(MinScore::Default(least)) => {
                format!("whose scores are below {least}, the default least score")
            }
            Some(MinScore::Asked(least)) => format!("whose scores are below {least}"),
            None => "whose scores are below the least score of their run".to_owned(),
        };
        let labels = self.min_scores.iter().map(|(label, least)| format!("{label}: {least}"));
        let labels: Vec<String> = labels.collect();
        let least = match labels.as_slice() {
            [] => least,
            labels => format!("{least} ({})", labels.join(", ")),
        };
        let kinds = [
            (NoteKind::LowScoreDropped, least.as_str()),
            (NoteKind::UnscoredDropped, "which have no score that could reach the least score"),
            (NoteKind::UnaskedDropped, "whose labels were not asked for"),
            (NoteKind::Filtered, "by area, aspect, edge, or a map that drops their labels"),
            (NoteKind::DuplicateDropped, "which repeat another one of their label"),
            (NoteKind::Suppressed, "which overlap a better one"),
        ];
        let left_out = kinds.iter().filter_map(|(kind, why)| {
            let count = self.counts.get(kind)?;
            Some(format!("{} left out, {why}", counted(*count, "box is", "boxes are")))
        });
        let mut remarks: Vec<String> = left_out.collect();
        remarks.extend(self.remarks_of_labels());
        if self.uncalibrated > 0 {
            let count = self.uncalibrated;
            remarks.push(format!(
                "{count} boxes have no token probabilities to calibrate: their \
                               scores stay as they are"
            ));
        }
        remarks
    }
}

/// The part of a selection for one export.
pub(super) struct Chosen<'r> {
    /// Sorted by image, as before.
    pub(super) records: Cow<'r, [Record]>,
    /// The boxes that the filters left out of each record; empty if there are none.
    pub(super) left_out: Vec<&'r [Detection]>,
    /// For each record, whether its answer is about the image: not if it failed, was refused or cut
    /// off before its first box.
    pub(super) answered: Vec<bool>,
    /// In the order of class indices.
    pub(super) categories: Vec<Category>,
}

pub(super) fn choose<'r>(
    selection: &'r Selection,
    options: &Options,
    exported: &mut Exported,
) -> Chosen<'r> {
    let nothing = LeftOut::default();
    let included = |record: &Record| {
        options.include_status.as_ref().is_none_or(|all| all.contains(&record.status))
    };
    let places: Vec<usize> =
        (0..selection.records.len()).filter(|place| included(&selection.records[*place])).collect();
    let unsure = |place: usize| selection.left_out.get(place).unwrap_or(&nothing).unsure;
    let left_out =
        |place: &usize| selection.left_out.get(*place).map_or(&[][..], |left_out| &left_out.boxes);
    let left_out: Vec<&[Detection]> = places.iter().map(left_out).collect();
    let records = match &options.categories {
        None if places.len() == selection.records.len() => {
            Cow::Borrowed(selection.records.as_slice())
        }
        None => Cow::Owned(places.iter().map(|place| selection.records[*place].clone()).collect()),
        Some(categories) => {
            let known = categories.iter().map(|category| category.name.as_str()).collect();
            let records = places.iter().map(|place| selection.records[*place].clone());
            Cow::Owned(of_categories(records, &known, exported))
        }
    };
    let answered =
        places.iter().zip(records.iter()).zip(&left_out).map(|((place, record), left_out)| {
            let left = !record.detections.is_empty() && record.status != AnswerStatus::Text;
            left || says_that_nothing_is_there(
                &selection.records[*place],
                left_out.len(),
                unsure(*place),
            )
        });
    let answered = answered.collect();
    let other_status = selection.records.len() - places.len();
    if other_status > 0 {
        exported.remarks.push(format!(
            "{other_status} images are left out, whose status is not in `include_status`"
        ));
    }
    let categories =
        options.categories.clone().unwrap_or_else(|| categories(&selection.labels, &records));
    Chosen { records, left_out, answered, categories }
}

/// Whether a record without remaining boxes is an example of an image with nothing in it: the whole
/// answer said "nothing", or all its boxes were left out by request, and none since it may be
/// wrong.
fn says_that_nothing_is_there(record: &Record, left_out: usize, unsure: bool) -> bool {
    match record.status {
        AnswerStatus::Empty => true,
        AnswerStatus::Ok => !unsure && (left_out > 0 || !record.detections.is_empty()),
        _ => false,
    }
}

/// The records with the boxes whose labels are `known`; the others are counted in a remark.
fn of_categories(
    records: impl Iterator<Item = Record>,
    known: &BTreeSet<&str>,
    exported: &mut Exported,
) -> Vec<Record> {
    const NAMED: usize = 10;
    let mut outside: BTreeMap<String, usize> = BTreeMap::new();
    let mut what = ["box is", "boxes are"];
    let of_known = records.map(|mut record| {
        let is_known = |detection: &Detection| known.contains(detection.label.as_str());
        for detection in record.detections.iter().filter(|detection| !is_known(detection)) {
            *outside.entry(detection.label.clone()).or_default() += 1;
        }
        record.detections.retain(is_known);
        for point in record.points.extract_if(.., |point| !known.contains(point.label.as_str())) {
            *outside.entry(point.label).or_default() += 1;
            what = ["box or point is", "boxes and points are"];
        }
        record
    });
    let of_known: Vec<Record> = of_known.collect();
    if !outside.is_empty() {
        let mut named: Vec<String> = outside
            .iter()
            .take(NAMED)
            .map(|(label, count)| format!("{label:?} ({count})"))
            .collect();
        if outside.len() > NAMED {
            named.push(format!("{} more", outside.len() - NAMED));
        }
        let (count, named) = (outside.values().sum::<usize>(), named.join(", "));
        let left_out = counted(count, what[0], what[1]);
        exported
            .remarks
            .push(format!("{left_out} left out, whose labels are not in `categories`: {named}"));
    }
    of_known
}

/// The labels that were asked for, in that order, then the others by name; ids from 1.
fn categories(asked: &[String], records: &[Record]) -> Vec<Category> {
    let mut names: Vec<&str> = Vec::new();
    for label in asked {
        if !names.contains(&label.as_str()) {
            names.push(label);
        }
    }
    let found = records.iter().flat_map(|record| {
        let boxes = record.detections.iter().map(|detection| detection.label.as_str());
        boxes.chain(record.points.iter().map(|point| point.label.as_str()))
    });
    let others: BTreeSet<&str> = found.filter(|label| !names.contains(label)).collect();
    names.extend(others);
    let category = |(id, name): (u64, &str)| Category {
        id,
        name: name.to_owned(),
        supercategory: String::new(),
    };
    (1..).zip(names).map(category).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BBox, ExternalAnswers, Note, Platt, Rules};

    fn record(status: AnswerStatus, boxes: &[(&str, Option<f64>)]) -> Record {
        let mut record = Record::failed("a.png".into(), String::new());
        (record.status, record.width, record.height) = (status, 100, 100);
        // Each in a place of its own, so that none repeats another.
        let detection = |(place, &(label, score)): (usize, &(&str, Option<f64>))| Detection {
            label: label.to_owned(),
            bbox: BBox {
                x0: 1.0,
                y0: place as f64 * 10.0 + 1.0,
                x1: 50.0,
                y1: place as f64 * 10.0 + 9.0,
            },
            score,
            probabilities: None,
            stated_confidence: None,
            sentence: None,
        };
        record.detections = boxes.iter().enumerate().map(detection).collect();
        record
    }

    /// A run that every image of was asked for these labels.
    fn selection(records: &[Record], asked: &[&str], filters: &Filters) -> Selection {
        let asked: Vec<String> = asked.iter().map(|label| (*label).to_owned()).collect();
        let mut records = records.to_vec();
        for record in &mut records {
            record.asked = Some(asked.clone());
        }
        let mut selection = Selection::of(records, &Manifest::new(None, None), filters);
        selection.labels = asked
            .iter()
            .map(|label| filters.labels_map.get(label).unwrap_or(label).clone())
            .collect();
        selection.labels.retain(|label| !label.is_empty());
        selection
    }

    /// Categories, answered, and remarks of the export.
    fn chosen(selection: &Selection, options: &Options) -> (Vec<String>, Vec<bool>, Vec<String>) {
        let mut exported = Exported::default();
        let chosen = choose(selection, options, &mut exported);
        let names = chosen.categories.iter().map(|category| category.name.clone()).collect();
        (names, chosen.answered, exported.remarks)
    }

    fn at_least(score: f64) -> Filters {
        Filters { min_score: MinScore::Asked(score), ..Filters::default() }
    }

    #[test]
    fn only_a_whole_answer_makes_an_image_without_boxes() {
        use AnswerStatus::{Empty, Failed, Looped, Ok, Refused, Salvaged, Truncated};
        let dog = [("dog", Some(0.5))];
        let records: Vec<Record> = [Ok, Empty, Salvaged, Truncated, Looped, Refused, Failed]
            .into_iter()
            .flat_map(|status| [record(status, &[]), record(status, &dog)])
            .collect();
        let (_, answered, _) =
            chosen(&selection(&records, &[], &Filters::default()), &Options::default());
        let without_boxes: Vec<bool> = answered.iter().step_by(2).copied().collect();
        assert_eq!(without_boxes, [false, true, false, false, false, false, false]);
        assert!(answered.iter().skip(1).step_by(2).all(|answered| *answered));
        // If the user leaves boxes out, the image still says that nothing else is there, provided
        // that its answer is whole.
        let filtered = selection(&records, &[], &at_least(0.9));
        let (_, answered, _) = chosen(&filtered, &Options::default());
        assert_eq!(answered.iter().skip(1).step_by(2).filter(|answered| **answered).count(), 2);
        assert_eq!(filtered.remarks(), ["7 boxes are left out, whose scores are below 0.9"]);
        // A box without a score may well be right.
        let unscored = selection(&[record(Ok, &[("dog", None)])], &[], &at_least(0.9));
        assert_eq!(chosen(&unscored, &Options::default()).1, [false]);
    }

    #[test]
    fn an_image_that_the_default_score_empties_is_no_negative() {
        let low = record(AnswerStatus::Ok, &[("dog", Some(0.01))]);
        let filtered = selection(&[low], &[], &Filters::default());
        assert_eq!(chosen(&filtered, &Options::default()).1, [false]);
        assert_eq!(filtered.left_out_by_score(), 1);
        assert_eq!(
            filtered.remarks(),
            ["1 box is left out, whose scores are below 0.05, the default least score"]
        );
        assert_eq!(filtered.left_out[0].boxes.len(), 1, "they are still there for an evaluation");
        // By request, it is one; and one whose box goes for its shape was not emptied by the
        // default.
        let low = record(AnswerStatus::Ok, &[("dog", Some(0.01))]);
        assert_eq!(
            chosen(
                &selection(std::slice::from_ref(&low), &[], &at_least(0.05)),
                &Options::default()
            )
            .1,
            [true]
        );
        let small =
            Filters { max_area: Some(crate::record::Area::Pixels(1.0)), ..Filters::default() };
        assert_eq!(chosen(&selection(&[low], &[], &small), &Options::default()).1, [true]);
        // The default drops no box for want of a score.
        let unscored =
            selection(&[record(AnswerStatus::Ok, &[("dog", None)])], &[], &Filters::default());
        assert_eq!((unscored.records[0].detections.len(), unscored.left_out_by_score()), (1, 0));
    }

    #[test]
    fn labels_are_mapped_then_held_against_the_categories() {
        let boxes =
            [("red car", Some(0.9)), ("car", None), ("blur", Some(0.9)), ("dog", Some(0.1))];
        let records = [record(AnswerStatus::Ok, &boxes)];
        let map = [("red car", "car"), ("blur", ""), ("asked", "dog")];
        let labels_map =
            map.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
        let mut filters = Filters { labels_map, ..Filters::default() };
        let mapped = selection(&records, &["asked", "blur"], &filters);
        assert_eq!(chosen(&mapped, &Options::default()).0, ["dog", "car"]);
        assert_eq!(
            mapped.remarks(),
            ["1 box is left out, by area, aspect, edge, or a map that drops their labels"]
        );
        let category = Category { id: 3, name: "car".into(), supercategory: String::new() };
        let options = Options { categories: Some(vec![category]), ..Options::default() };
        filters.min_score = MinScore::Asked(0.0);
        let mapped = selection(&records, &["asked"], &filters);
        let (names, _, remarks) = chosen(&mapped, &options);
        assert_eq!(names, ["car"]);
        assert_eq!(
            remarks,
            ["1 box is left out, whose labels are not in `categories`: \"dog\" (1)"]
        );
        assert_eq!(
            mapped.remarks()[0],
            "1 box is left out, which have no score that could reach the least score"
        );
    }

    #[test]
    fn a_map_is_not_applied_twice_to_records_of_earlier_versions() {
        let labels_map = BTreeMap::from([
            ("left".to_owned(), "right".to_owned()),
            ("right".to_owned(), "left".to_owned()),
        ]);
        let filters = Filters { labels_map, ..Filters::default() };
        let then =
            Manifest { filtered_when_asked: Some(filters.clone()), ..Manifest::new(None, None) };
        let [mut old, new] = [(); 2].map(|()| record(AnswerStatus::Ok, &[("left", None)]));
        old.schema = 1;
        let named = Selection::of(vec![old, new], &then, &filters);
        let labels: Vec<&str> =
            named.records.iter().map(|record| record.detections[0].label.as_str()).collect();
        assert_eq!(labels, ["left", "right"]);
    }

    #[test]
    fn statuses_that_are_not_asked_for_are_left_out() {
        let records =
            [record(AnswerStatus::Ok, &[("dog", None)]), record(AnswerStatus::Failed, &[])];
        let options = Options {
            include_status: Some(BTreeSet::from([AnswerStatus::Failed])),
            ..Options::default()
        };
        let (_, answered, remarks) =
            chosen(&selection(&records, &[], &Filters::default()), &options);
        assert_eq!(answered, [false]);
        assert_eq!(remarks, ["1 images are left out, whose status is not in `include_status`"]);
    }

    #[test]
    fn every_box_that_may_be_right_keeps_an_image_from_being_a_negative() {
        let low = [("dog", Some(0.01)), ("cat", Some(0.02)), ("dog", Some(0.03))];
        for number in 1..=low.len() {
            let filtered =
                selection(&[record(AnswerStatus::Ok, &low[..number])], &[], &Filters::default());
            assert!(filtered.left_out[0].unsure, "{number}");
        }
        // One was left out by request, the other one may be right.
        let map = [("dog".to_owned(), String::new())].into();
        let filtered = selection(
            &[record(AnswerStatus::Ok, &low[..2])],
            &[],
            &Filters { labels_map: map, ..Filters::default() },
        );
        assert_eq!(chosen(&filtered, &Options::default()).1, [false]);
    }

    #[test]
    fn text_is_never_an_example() {
        let boxes = [("dog", Some(0.5))];
        let records = [record(AnswerStatus::Text, &boxes), record(AnswerStatus::Text, &[])];
        let (_, answered, _) =
            chosen(&selection(&records, &[], &Filters::default()), &Options::default());
        assert_eq!(answered, [false, false]);
    }

    #[test]
    fn boxes_outside_of_the_categories_leave_an_image_that_was_answered() {
        let category = Category { id: 3, name: "car".into(), supercategory: String::new() };
        let options = Options { categories: Some(vec![category]), ..Options::default() };
        let one = record(AnswerStatus::Ok, &[("car", Some(0.5)), ("dog", Some(0.5))]);
        let records = [
            one,
            record(AnswerStatus::Ok, &[("dog", Some(0.5))]),
            record(AnswerStatus::Salvaged, &[("dog", Some(0.5))]),
        ];
        let mapped = selection(&records, &[], &Filters::default());
        let mut exported = Exported::default();
        let chosen = choose(&mapped, &options, &mut exported);
        let labels = |record: &Record| {
            record.detections.iter().map(|one| one.label.clone()).collect::<Vec<_>>()
        };
        let kept: Vec<Vec<String>> = chosen.records.iter().map(labels).collect();
        assert_eq!(kept, [vec!["car".to_owned()], vec![], vec![]]);
        assert_eq!(chosen.answered, [true, true, false]);
        assert_eq!(
            exported.remarks,
            ["3 boxes are left out, whose labels are not in `categories`: \"dog\" (3)"]
        );
    }

    #[test]
    fn of_many_labels_outside_of_the_categories_ten_are_named() {
        let labels: Vec<String> = (0..12).map(|number| format!("label {number:02}")).collect();
        let remark = |number: usize| {
            let boxes: Vec<(&str, Option<f64>)> =
                labels[..number].iter().map(|one| (one.as_str(), None)).collect();
            let options = Options { categories: Some(Vec::new()), ..Options::default() };
            let all = selection(&[record(AnswerStatus::Ok, &boxes)], &[], &Filters::default());
            chosen(&all, &options).2.remove(0)
        };
        assert!(remark(10).ends_with("\"label 09\" (1)"), "{}", remark(10));
        let twelve = remark(12);
        assert!(
            twelve.starts_with("12 boxes") && twelve.ends_with("\"label 09\" (1), 2 more"),
            "{twelve}"
        );
    }

    #[test]
    fn what_the_filters_did_is_added_to_what_the_record_says() {
        let mut one = record(
            AnswerStatus::Ok,
            &[("dog", Some(0.01)), ("dog", Some(0.5)), ("Cats", Some(0.5))],
        );
        one.notes = vec![Note::new(NoteKind::Clamped, 2)];
        let two =
            Record { notes: one.notes.clone(), ..record(AnswerStatus::Ok, &[("dog", Some(0.5))]) };
        let all = selection(&[one.clone(), one, two], &["cat", "dog"], &Filters::default());
        let notes: Vec<(NoteKind, usize)> =
            all.records[0].notes.iter().map(|note| (note.kind, note.count)).collect();
        let expected = [
            (NoteKind::Clamped, 2),
            (NoteKind::LabelNormalised, 1),
            (NoteKind::LowScoreDropped, 1),
        ];
        assert_eq!(BTreeMap::from_iter(notes), BTreeMap::from(expected));
        assert_eq!(all.records[2].notes.len(), 1);
        assert_eq!(
            all.records[0].asked.as_deref(),
            Some(&["cat".to_owned(), "dog".to_owned()][..])
        );
        // A name that was written otherwise is no box that was left out.
        assert_eq!(all.counts, BTreeMap::from([(NoteKind::LowScoreDropped, 2)]));
        assert_eq!(all.uncalibrated, 0);
    }

    #[test]
    fn a_reader_hears_of_scores_that_were_not_calibrated_and_of_runs_with_other_least_scores() {
        let calibration = Some(Platt { a: 1.0, b: 0.0 });
        let filters = Filters { calibration, ..Filters::default() };
        let one = record(AnswerStatus::Ok, &[("dog", Some(0.5)), ("cat", None)]);
        let mut all = selection(&[one.clone(), one], &[], &filters);
        assert_eq!(
            all.remarks(),
            ["4 boxes have no token probabilities to calibrate: their scores stay as they are"]
        );
        (all.uncalibrated, all.min_score) = (0, None);
        assert!(all.remarks().is_empty());
        all.counts =
            BTreeMap::from([(NoteKind::LowScoreDropped, 2), (NoteKind::UnscoredDropped, 3)]);
        assert_eq!(all.left_out_by_score(), 5);
        assert_eq!(
            all.remarks()[0],
            "2 boxes are left out, whose scores are below the least score of their run"
        );
    }

    #[test]
    fn labels_are_named_once_and_in_the_order_in_which_they_were_asked_for() {
        let elsewhere = ExternalAnswers {
            labels: ["cat", "dog", "puppy"].map(str::to_owned).to_vec(),
            answer: None,
            rules: Rules::default(),
            coordinates_because: String::new(),
            apply_orientation: true,
        };
        let manifest = Manifest::of_external(None, elsewhere);
        let filters = Filters {
            labels_map: [("puppy".to_owned(), "dog".to_owned())].into(),
            ..Filters::default()
        };
        assert_eq!(Selection::of(Vec::new(), &manifest, &filters).labels, ["cat", "dog"]);
        let (names, _, _) = chosen(
            &selection(
                &[record(AnswerStatus::Ok, &[("owl", None), ("ant", None)])],
                &["dog", "dog"],
                &Filters::default(),
            ),
            &Options::default(),
        );
        assert_eq!(names, ["dog", "ant", "owl"]);
    }
}
