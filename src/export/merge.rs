//! Several runs as one.
//!
//! In: the records of runs, each as its filters show them, and the folders that their images' names
//! are relative to. Out: one list of records, sorted by image, with names relative to the deepest
//! folder that holds all images. Promises: a file is one image however many runs answered about it,
//! with the boxes of all; files of different folders stay apart; the order of completion plays no
//! part.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::ExportError;
use super::select::{LeftOut, Selection};
use crate::record::{AnswerStatus, Detection, Filters, Manifest, Record};

/// A run, as far as exports are made from it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    /// Its records, as its filters show them.
    pub selection: Selection,
    /// The folder that the images' names are relative to, where it is known.
    pub images: Option<PathBuf>,
    /// Whether EXIF orientation was applied to the images.
    pub apply_orientation: bool,
    /// What it was asked to do; nothing where several runs are one.
    pub manifest: Option<Manifest>,
    /// What readers know its models by.
    pub models: Vec<String>,
}

impl Run {
    /// What `filters` show of the run that `manifest` describes, whose images lie in `images`.
    pub fn of(
        records: Vec<Record>,
        manifest: Manifest,
        filters: &Filters,
        images: Option<PathBuf>,
    ) -> Self {
        Self {
            selection: Selection::of(records, &manifest, filters),
            images,
            apply_orientation: manifest.apply_orientation(),
            models: vec![manifest.model_name().to_owned()],
            manifest: Some(manifest),
        }
    }
}

/// One run with the records of all, and what is to be said about it.
///
/// # Errors
/// [`ExportError::UnlikeRuns`] where they do not go together.
pub fn merge(mut runs: Vec<Run>) -> Result<(Run, Vec<String>), ExportError> {
    if runs.len() <= 1 {
        return Ok((runs.pop().unwrap_or_default(), Vec::new()));
    }
    let apply_orientation = runs[0].apply_orientation; // there are two at least
    if runs.iter().any(|run| run.apply_orientation != apply_orientation) {
        return Err(ExportError::UnlikeRuns {
            reason: "some of the runs were made with --no-exif, others without",
        });
    }
    let roots: Vec<PathBuf> =
        runs.iter().filter_map(|run| run.images.as_deref().map(resolved)).collect();
    if !roots.is_empty() && roots.len() < runs.len() {
        let reason =
            "of some it is known where the images are, of others not: give each its --images DIR";
        return Err(ExportError::UnlikeRuns { reason });
    }
    let common = roots.iter().cloned().reduce(|a, b| shared(&a, &b));
    let mut remarks = Vec::new();
    if let Some(common) = common.as_deref().filter(|common| roots.iter().any(|root| root != common))
    {
        remarks.push(format!(
            "the runs' images lie in different folders: names are relative to {}",
            common.display()
        ));
    }
    let mut images: BTreeMap<String, (Record, LeftOut)> = BTreeMap::new();
    let mut merged = Selection { min_score: runs[0].selection.min_score, ..Selection::default() };
    let mut models: Vec<String> = Vec::new();
    let (mut repeated, mut replaced) = (0, 0);
    for (index, run) in runs.into_iter().enumerate() {
        let Selection { records, left_out, labels, counts, min_score, uncalibrated } =
            run.selection;
        merged.labels.extend(labels);
        for (kind, count) in counts {
            *merged.counts.entry(kind).or_default() += count;
        }
        merged.min_score = merged.min_score.filter(|least| Some(*least) == min_score);
        merged.uncalibrated += uncalibrated;
        for model in run.models {
            if !models.contains(&model) {
                models.push(model);
            }
        }
        let prefix =
            common.as_deref().map(|common| prefix(common, &roots[index])).unwrap_or_default();
        for (mut record, left_out) in records.into_iter().zip(left_out) {
            record.image.insert_str(0, &prefix);
            match images.get_mut(&record.image) {
                None => {
                    images.insert(record.image.clone(), (record, left_out));
                }
                Some(known) if other_content(&known.0, &record) => {
                    replaced += 1;
                    *known = (record, left_out);
                }
                Some(known) => repeated += join(known, record, left_out),
            }
        }
    }
    if repeated > 0 {
        remarks.push(format!(
            "{repeated} boxes are in several runs, with the same label: each counts once"
        ));
    }
    if replaced > 0 {
        remarks.push(format!(
            "{replaced} images were changed between the runs: the last run that is named counts"
        ));
    }
    (merged.records, merged.left_out) = images.into_values().unzip();
    Ok((
        Run { selection: merged, images: common, apply_orientation, manifest: None, models },
        remarks,
    ))
}

/// The folder itself, whatever links lead to it.
fn resolved(folder: &Path) -> PathBuf {
    let absolute = || std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    std::fs::canonicalize(folder).unwrap_or_else(|_| absolute())
}

/// The deepest folder that holds both.
fn shared(a: &Path, b: &Path) -> PathBuf {
    a.components().zip(b.components()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
}

/// What goes in front of names that are relative to `root`, for them to be relative to `common`.
fn prefix(common: &Path, root: &Path) -> String {
    let folders = root.strip_prefix(common).unwrap_or(root).components();
    let named = folders.filter(|folder| !matches!(folder, Component::RootDir));
    named.map(|folder| folder.as_os_str().to_string_lossy().into_owned() + "/").collect()
}

/// Whether two records of one name are about different pictures.
fn other_content(known: &Record, record: &Record) -> bool {
    match (&known.sha256, &record.sha256) {
        (Some(known), Some(other)) => known != other,
        // Answers of elsewhere come without a hash, unread files without a size.
        _ => {
            record.width != 0
                && known.width != 0
                && (known.width, known.height) != (record.width, record.height)
        }
    }
}

/// Adds what another run says of the same image; gives the number of boxes that were there already.
fn join(
    (known, known_left_out): &mut (Record, LeftOut),
    mut other: Record,
    left_out: LeftOut,
) -> usize {
    // Boxes that stand in text are no examples of what is in the image.
    match [&*known, &other].map(|record| record.status == AnswerStatus::Text) {
        [true, false] => known.detections.clear(),
        [false, true] => other.detections.clear(),
        _ => {}
    }
    let same = |a: &Detection, b: &Detection| a.label == b.label && a.bbox == b.bbox;
    let add = |known: &mut Vec<Detection>, detections: Vec<Detection>| {
        let mut repeated = 0;
        for detection in detections {
            match known.iter_mut().find(|there| same(there, &detection)) {
                Some(there) => {
                    repeated += 1;
                    if there.score < detection.score {
                        *there = detection;
                    }
                }
                None => known.push(detection),
            }
        }
        repeated
    };
    let repeated = add(&mut known.detections, other.detections);
    add(&mut known_left_out.boxes, left_out.boxes);
    // A box that one of the runs shows is not left out.
    known_left_out
        .boxes
        .retain(|detection| !known.detections.iter().any(|there| same(there, detection)));
    known_left_out.unsure |= left_out.unsure;
    if known.width == 0 {
        (known.width, known.height, known.orientation) =
            (other.width, other.height, other.orientation);
    }
    known.sha256 = known.sha256.take().or(other.sha256);
    known.reason = known.reason.take().or(other.reason);
    // What one answer leaves open, the others do not say either.
    known.status = [known.status, other.status]
        .into_iter()
        .max_by_key(|status| status.severity())
        .unwrap_or(known.status);
    known.notes.extend(other.notes);
    known.answers.extend(other.answers);
    repeated
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::BBox;

    fn record(
        image: &str,
        sha256: &str,
        status: AnswerStatus,
        boxes: &[(&str, f64, f64)],
    ) -> Record {
        let mut record = Record::failed(image.into(), String::new());
        (record.reason, record.status, record.width, record.height) = (None, status, 10, 10);
        record.sha256 = Some(sha256.into());
        let detection = |&(label, x1, score): &(&str, f64, f64)| Detection {
            label: label.into(),
            bbox: BBox { x0: 0.0, y0: 0.0, x1, y1: 1.0 },
            score: Some(score),
            probabilities: None,
            stated_confidence: None,
            sentence: None,
        };
        record.detections = boxes.iter().map(detection).collect();
        record
    }

    fn run(images: Option<&str>, asked: &str, records: Vec<Record>) -> Run {
        let left_out = vec![LeftOut::default(); records.len()];
        let selection =
            Selection { records, left_out, labels: vec![asked.to_owned()], ..Selection::default() };
        let models = vec!["one".to_owned()];
        Run {
            selection,
            images: images.map(PathBuf::from),
            apply_orientation: true,
            manifest: None,
            models,
        }
    }

    #[test]
    fn a_file_is_one_image_with_the_boxes_of_all_runs() {
        use AnswerStatus::{Empty, Failed, Ok};
        let first = run(
            Some("/r"),
            "dog",
            vec![
                record("a.png", "1", Ok, &[("dog", 1.0, 0.2), ("dog", 2.0, 0.2)]),
                record("b.png", "2", Empty, &[]),
                record("c.png", "3", Empty, &[]),
                record("d.png", "4", Ok, &[("dog", 1.0, 0.2)]),
            ],
        );
        let second = run(
            Some("/r"),
            "cat",
            vec![
                record("a.png", "1", Ok, &[("dog", 1.0, 0.7), ("cat", 1.0, 0.1)]),
                record("b.png", "2", Ok, &[("cat", 1.0, 0.1)]),
                record("c.png", "3", Failed, &[]),
                record("d.png", "changed", Empty, &[]),
            ],
        );
        let (merged, remarks) = merge(vec![first, second]).unwrap();
        let boxes: Vec<usize> =
            merged.selection.records.iter().map(|record| record.detections.len()).collect();
        assert_eq!(boxes, [3, 1, 0, 0]);
        assert_eq!(merged.selection.records[0].detections[0].score, Some(0.7));
        let statuses: Vec<AnswerStatus> =
            merged.selection.records.iter().map(|record| record.status).collect();
        assert_eq!(
            statuses,
            [Ok, Ok, Failed, Empty],
            "an image that one run failed at is no image without objects"
        );
        assert_eq!(
            (merged.selection.labels, merged.images),
            (vec!["dog".into(), "cat".into()], Some("/r".into()))
        );
        assert_eq!(merged.models, ["one"]);
        assert_eq!(remarks.len(), 2);
    }

    #[test]
    fn files_of_different_folders_stay_apart() {
        let records = || vec![record("x.png", "1", AnswerStatus::Ok, &[])];
        let inner = vec![record("one/x.png", "1", AnswerStatus::Ok, &[])];
        let runs = vec![
            run(Some("/r/one"), "", records()),
            run(Some("/r/two"), "", records()),
            run(Some("/r"), "", inner),
        ];
        let names = |runs: Vec<Run>| {
            let (merged, remarks) = merge(runs).unwrap();
            assert!(remarks[0].contains("names are relative to"), "{remarks:?}");
            merged.selection.records.into_iter().map(|record| record.image).collect::<Vec<_>>()
        };
        assert_eq!(names(runs.clone()), ["one/x.png", "two/x.png"]);
        assert_eq!(names(runs.into_iter().rev().collect()), ["one/x.png", "two/x.png"]);
    }

    #[test]
    fn unlike_runs_are_refused() {
        let known = run(Some("/r"), "", Vec::new());
        let unknown = run(None, "", Vec::new());
        assert!(merge(vec![known.clone(), unknown.clone()]).is_err());
        assert!(merge(vec![unknown.clone(), unknown]).is_ok());
        let stored = Run { apply_orientation: false, ..known.clone() };
        assert!(merge(vec![known, stored]).is_err());
    }
}
