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
use crate::source::{RemotePlaces, is_address};

/// A run, as far as exports are made from it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    /// Its records, as its filters show them.
    pub selection: Selection,
    /// The folder that the images' names are relative to, if it is known.
    pub images: Option<PathBuf>,
    /// Whether EXIF orientation was applied to the images.
    pub apply_orientation: bool,
    /// Its settings; `None` if several runs were merged.
    pub manifest: Option<Manifest>,
    /// The names of its models.
    pub models: Vec<String>,
    /// Those of its images that lie on the web, and may be fetched for what is exported.
    pub remote: RemotePlaces,
}

impl Run {
    /// The run that `manifest` describes, as `filters` show it; its images lie in `images`.
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
            remote: RemotePlaces::default(),
            manifest: Some(manifest),
        }
    }
}

/// One run with the records of all, and what is to be said about it.
///
/// # Errors
/// [`ExportError::UnlikeRuns`] if they cannot be merged.
pub fn merge(mut runs: Vec<Run>) -> Result<(Run, Vec<String>), ExportError> {
    if runs.len() <= 1 {
        return Ok((runs.pop().unwrap_or_default(), Vec::new()));
    }
    let apply_orientation = runs[0].apply_orientation; // there are two at least
    if runs.iter().any(|run| run.apply_orientation != apply_orientation) {
        return Err(ExportError::UnlikeRuns {
            reason: "some of the runs were made with `no_exif`, others without",
        });
    }
    let roots: Vec<PathBuf> =
        runs.iter().filter_map(|run| run.images.as_deref().map(resolved)).collect();
    if !roots.is_empty() && roots.len() < runs.len() {
        let reason = "it is known of some runs where their images are, of others not: say it of \
                      each with `images`";
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
    let mut merged = Selection {
        min_score: runs[0].selection.min_score,
        min_scores: runs[0].selection.min_scores.clone(),
        ..Selection::default()
    };
    let mut models: Vec<String> = Vec::new();
    let (mut repeated, mut replaced) = (0, 0);
    let mut remote = RemotePlaces::default();
    for (index, run) in runs.into_iter().enumerate() {
        let Selection { records, left_out, labels, counts, min_score, .. } = run.selection;
        merged.labels.extend(labels);
        for (kind, count) in counts {
            *merged.counts.entry(kind).or_default() += count;
        }
        merged.min_score = merged.min_score.filter(|least| Some(*least) == min_score);
        if merged.min_scores != run.selection.min_scores {
            (merged.min_score, merged.min_scores) = (None, BTreeMap::new());
        }
        merged.uncalibrated += run.selection.uncalibrated;
        for model in run.models {
            if !models.contains(&model) {
                models.push(model);
            }
        }
        remote.add(&run.remote);
        let prefix =
            common.as_deref().map(|common| prefix(common, &roots[index])).unwrap_or_default();
        for (mut record, left_out) in records.into_iter().zip(left_out) {
            if !is_address(&record.image) {
                record.image.insert_str(0, &prefix);
            }
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
        Run {
            selection: merged,
            images: common,
            apply_orientation,
            manifest: None,
            models,
            remote,
        },
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

/// The prefix that makes names relative to `root` relative to `common`.
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
    // If one answer is open-ended, the others cannot fill the gap.
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
    use crate::record::{BBox, MinScore, NoteKind};

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
            remote: RemotePlaces::default(),
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

    #[test]
    fn one_run_is_left_as_it_is() {
        let one = run(
            Some("/r"),
            "dog",
            vec![record("a.png", "1", AnswerStatus::Ok, &[("dog", 1.0, 0.2)])],
        );
        assert_eq!(merge(vec![one.clone()]).unwrap(), (one, Vec::new()));
        assert_eq!(merge(Vec::new()).unwrap(), (Run::default(), Vec::new()));
    }

    #[test]
    fn remarks_count_what_was_repeated_and_what_was_replaced() {
        use AnswerStatus::{Empty, Ok};
        let boxes = [("dog", 1.0, 0.2), ("dog", 2.0, 0.2), ("dog", 3.0, 0.2)];
        let changed = |sha256: &str| {
            [record("a.png", sha256, Empty, &[]), record("b.png", sha256, Empty, &[])]
        };
        let first = [record("c.png", "1", Ok, &boxes)].into_iter().chain(changed("1")).collect();
        let second =
            [record("c.png", "1", Ok, &boxes[..2])].into_iter().chain(changed("2")).collect();
        let third = vec![record("c.png", "1", Ok, &boxes[2..])];
        let (merged, remarks) = merge(vec![
            run(Some("/r"), "", first),
            run(Some("/r"), "", second),
            run(Some("/r"), "", third),
        ])
        .unwrap();
        assert_eq!(
            remarks,
            [
                "3 boxes are in several runs, with the same label: each counts once",
                "2 images were changed between the runs: the last run that is named counts",
            ]
        );
        assert_eq!(merged.selection.records.len(), 3);
        let apart =
            merge(vec![run(Some("/r"), "", Vec::new()), run(Some("/r"), "", Vec::new())]).unwrap();
        assert!(apart.1.is_empty());
    }

    #[test]
    fn what_the_filters_did_is_summed_up() {
        let with = |count: usize, uncalibrated: usize, min_score, model: &str| {
            let mut one = run(None, "", Vec::new());
            one.selection.counts = [(NoteKind::LowScoreDropped, count)].into();
            (one.selection.uncalibrated, one.selection.min_score) = (uncalibrated, Some(min_score));
            one.models = vec![model.to_owned()];
            one
        };
        let (low, high) = (MinScore::Default(0.05), MinScore::Asked(0.5));
        let runs =
            |last| vec![with(3, 2, low, "one"), with(4, 5, low, "two"), with(1, 1, last, "one")];
        let merged = merge(runs(low)).unwrap().0;
        assert_eq!(merged.selection.counts, [(NoteKind::LowScoreDropped, 8)].into());
        assert_eq!((merged.selection.uncalibrated, merged.selection.min_score), (8, Some(low)));
        assert_eq!(merged.models, ["one", "two"]);
        assert_eq!(
            merge(runs(high)).unwrap().0.selection.min_score,
            None,
            "there is no one least score"
        );
    }

    #[test]
    fn without_a_hash_an_image_is_known_by_its_size() {
        let answered = |size: (u32, u32), sha256: Option<&str>| {
            let mut one = record("a.png", "", AnswerStatus::Empty, &[]);
            ((one.width, one.height), one.sha256) = (size, sha256.map(str::to_owned));
            one
        };
        let is_other = |one: &Record, other: &Record| {
            let runs = [one, other].map(|one| run(None, "", vec![one.clone()]));
            let (merged, remarks) = merge(runs.to_vec()).unwrap();
            (!remarks.is_empty(), merged.selection.records[0].clone())
        };
        let known = answered((10, 20), Some("1"));
        assert!(!is_other(&known, &answered((10, 20), None)).0);
        assert!(is_other(&known, &answered((10, 21), None)).0);
        assert!(is_other(&answered((10, 20), None), &answered((11, 20), Some("1"))).0);
        assert!(is_other(&known, &answered((10, 20), Some("2"))).0);
        assert!(!is_other(&known, &answered((11, 20), Some("1"))).0, "the hash decides");
        // An image that could not be decoded has no size; it takes that of the run that could.
        for (one, other) in [((0, 0), (10, 20)), ((10, 20), (0, 0))] {
            let (is_other, merged) = is_other(&answered(one, None), &answered(other, Some("1")));
            assert!(!is_other);
            assert_eq!(
                (merged.width, merged.height, merged.sha256.as_deref()),
                (10, 20, Some("1"))
            );
        }
    }

    #[test]
    fn boxes_in_a_text_do_not_stand_beside_those_of_an_answer() {
        use AnswerStatus::{Ok, Text};
        let text = record("a.png", "1", Text, &[("dog", 1.0, 0.2)]);
        let answer = record("a.png", "1", Ok, &[("cat", 2.0, 0.2)]);
        let merged = |one: &Record, other: &Record| {
            let runs = [one, other].map(|one| run(None, "", vec![one.clone()]));
            let record = merge(runs.to_vec()).unwrap().0.selection.records.remove(0);
            (record.status, record.detections.into_iter().map(|one| one.label).collect::<Vec<_>>())
        };
        assert_eq!(merged(&text, &answer), (Ok, vec!["cat".to_owned()]));
        assert_eq!(merged(&answer, &text), (Ok, vec!["cat".to_owned()]));
        let other = record("a.png", "1", Text, &[("cat", 2.0, 0.2)]);
        assert_eq!(merged(&text, &other), (Text, vec!["dog".to_owned(), "cat".to_owned()]));
    }

    #[test]
    fn a_box_that_one_run_shows_is_not_left_out() {
        let of = |shown: &[(&str, f64, f64)], left_out: &[(&str, f64, f64)], unsure: bool| {
            let mut one = run(None, "", vec![record("a.png", "1", AnswerStatus::Ok, shown)]);
            let boxes = record("a.png", "1", AnswerStatus::Ok, left_out).detections;
            one.selection.left_out = vec![LeftOut { boxes, unsure }];
            one
        };
        let (dog, cat, owl) = (("dog", 1.0, 0.2), ("cat", 1.0, 0.1), ("owl", 3.0, 0.1));
        for (first, second) in [(true, false), (false, true)] {
            let runs = vec![of(&[dog], &[cat, owl], first), of(&[cat], &[owl, dog], second)];
            let mut merged = merge(runs).unwrap().0.selection;
            let left_out = merged.left_out.remove(0);
            let labels: Vec<&str> = left_out.boxes.iter().map(|one| one.label.as_str()).collect();
            assert_eq!((labels, left_out.unsure), (vec!["owl"], true));
            assert_eq!(merged.records[0].detections.len(), 2);
        }
    }

    #[test]
    fn of_equal_scores_the_box_of_the_first_run_stays() {
        let of = |stated: f64| {
            let mut one = record("a.png", "1", AnswerStatus::Ok, &[("dog", 1.0, 0.2)]);
            one.detections[0].stated_confidence = Some(stated);
            run(None, "", vec![one])
        };
        let merged = merge(vec![of(0.1), of(0.9)]).unwrap().0.selection;
        assert_eq!(merged.records[0].detections[0].stated_confidence, Some(0.1));
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_and_a_link_to_it_are_one() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, link) = (dir.path().join("images"), dir.path().join("link"));
        std::fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        let of =
            |root: &Path| run(root.to_str(), "", vec![record("a.png", "1", AnswerStatus::Ok, &[])]);
        let (merged, remarks) = merge(vec![of(&folder), of(&link)]).unwrap();
        assert_eq!((merged.selection.records.len(), remarks.len()), (1, 0));
        assert_eq!(merged.images, Some(folder.canonicalize().unwrap()));
    }
}
