//! The number that was found.
//!
//! In: the records of a run, or a COCO results file. Out: detections with their indices in the
//! truth. Promises: an image is matched by its whole relative path, else by its file name if that
//! is unique on both sides; a label by its name; images and labels without a match, or with
//! several, are counted and named.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::Read as _;
use std::path::Path;
use std::str::FromStr;

use super::{EvalError, Truth};
use crate::dataset::coco::{RawResult, checked_bbox, parse_json};
use crate::dataset::{self, Format, ReadOptions};
use crate::files;
use crate::record::{AnswerStatus, Detection, Record, ScoreKind, UnknownScore};

/// One detection of an image and a category of the truth.
#[derive(Debug, Clone)]
pub struct Prediction {
    /// Place of its image in the truth.
    pub image: usize,
    /// Place of its category in the truth.
    pub category: usize,
    /// `[x, y, width, height]` in pixels.
    pub bbox: [f64; 4],
    /// `None` if it came without one.
    pub score: Option<f64>,
}

/// All detections that the truth can say something about.
#[derive(Debug, Default)]
pub struct Predictions {
    /// Their source: the run or the file.
    pub source: String,
    /// The kind of its scores, for a calibration.
    pub score_kind: String,
    /// In the order of the source.
    pub detections: Vec<Prediction>,
    /// Images of the truth without an answer: not among the predictions, or failed.
    pub images_without_answer: usize,
    /// Remarks about the matching for the reader.
    pub remarks: Vec<String>,
}

/// Which score ranks the detections of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scoring {
    /// From the token probabilities, or the recorded score if there are none; or the model's stated
    /// confidence.
    Kind(ScoreKind),
    /// None: the order of the answers is all there is.
    Nothing,
}

impl Scoring {
    /// Its name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kind(kind) => kind.as_str(),
            Self::Nothing => "none",
        }
    }

    fn score(self, detection: &Detection) -> Option<f64> {
        match self {
            Self::Kind(kind) => kind.of(detection),
            Self::Nothing => None,
        }
    }
}

impl FromStr for Scoring {
    type Err = UnknownScore;

    fn from_str(name: &str) -> Result<Self, UnknownScore> {
        if name == "none" { Ok(Self::Nothing) } else { name.parse().map(Self::Kind) }
    }
}

impl Predictions {
    /// Those in the file or folder at `path`: COCO's results, or a dataset of any format, whose
    /// images are matched by their names.
    ///
    /// # Errors
    /// As [`Self::of_results`] and [`Self::of_records`], and [`EvalError::Dataset`].
    pub fn read(path: &Path, images: Option<&Path>, truth: &Truth) -> Result<Self, EvalError> {
        if path.is_file() && begins_as_list(path) && Format::of(path)? == Format::Coco {
            return Self::of_results(path, truth);
        }
        let (mut remarks, options) = (Vec::new(), ReadOptions { images, ..ReadOptions::default() });
        let mut dataset = dataset::read(path, Format::of(path)?, &options, &mut remarks)?;
        dataset.leave_out_unboxed(None, &mut remarks);
        let record = |image: &dataset::Image| {
            let mut record = Record::failed(image.name.clone(), String::new());
            (record.status, record.reason) = (AnswerStatus::Ok, None);
            (record.width, record.height) = (image.width, image.height);
            let objects = image.objects.iter().filter(|object| !object.crowd);
            record.detections.extend(objects.map(|object| Detection {
                label: dataset.categories[object.category].clone(),
                bbox: object.bbox,
                score: object.score,
                probabilities: None,
                stated_confidence: None,
                sentence: None,
            }));
            record
        };
        let records: Vec<Record> = dataset.images.iter().map(record).collect();
        let scoring = Scoring::Kind(ScoreKind::default());
        let mut these = Self::of_records(&records, &[], scoring, path, truth)?;
        these.score_kind = "results".into();
        these.remarks.splice(0..0, remarks);
        Ok(these)
    }

    /// Those of a COCO results file.
    ///
    /// # Errors
    /// [`EvalError::Dataset`] that names the line or the result, [`EvalError::NothingInCommon`].
    pub fn of_results(path: &Path, truth: &Truth) -> Result<Self, EvalError> {
        let results: Vec<RawResult> = parse_json(path)?;
        let (images, categories) = truth.instances.places();
        let problem = |problem: String| {
            EvalError::Dataset(dataset::DatasetError::File { path: path.to_owned(), problem })
        };
        let mut these = Self {
            source: path.display().to_string(),
            score_kind: "results".into(),
            ..Self::default()
        };
        let total = results.len();
        let (mut no_image, mut no_category) = (Unmatched::default(), Unmatched::default());
        let mut answered = HashSet::new();
        for (result, number) in results.into_iter().zip(1_usize..) {
            let what = format!("the result in place {number}");
            let image_id =
                result.image_id.ok_or_else(|| problem(format!("{what} has no image_id")))?;
            let category_id =
                result.category_id.ok_or_else(|| problem(format!("{what} has no category_id")))?;
            let bbox =
                checked_bbox(result.bbox).map_err(|wrong| problem(format!("{what} {wrong}")))?;
            let Some(&image) = images.get(&image_id) else {
                no_image.add(&image_id.to_string());
                continue;
            };
            answered.insert(image);
            let Some(&category) = categories.get(&category_id) else {
                no_category.add(&category_id.to_string());
                continue;
            };
            if truth.wanted[category] {
                these.detections.push(Prediction { image, category, bbox, score: result.score });
            }
        }
        if total > 0 && no_image.count == total {
            let known = truth
                .instances
                .images
                .first()
                .map_or_else(String::new, |image| image.id.to_string());
            let hint = format!(
                "its image_ids begin with {}, those of the truth with {known}",
                no_image.names()
            );
            return Err(these.nothing_in_common(truth, hint));
        }
        these.remarks.extend(no_image.remark(
            "detections are of images that the truth does not have; they are left out",
            "ids",
        ));
        these.remarks.extend(no_category.remark(
            "detections are of categories that the truth does not have; they are left out",
            "ids",
        ));
        // A results file cannot say that an image was looked at and nothing found.
        these.images_without_answer = truth.instances.images.len() - answered.len();
        Ok(these)
    }

    /// The predictions of a run's `records`; `asked` are the labels that it was asked for. Scores
    /// are of the kind `scoring`, and as recorded if the record has no token probabilities.
    ///
    /// # Errors
    /// [`EvalError::NothingInCommon`].
    pub fn of_records(
        records: &[Record],
        asked: &[String],
        scoring: Scoring,
        run: &Path,
        truth: &Truth,
    ) -> Result<Self, EvalError> {
        let mut these = Self {
            source: run.display().to_string(),
            score_kind: scoring.as_str().into(),
            ..Self::default()
        };
        let images = match_images(records, truth, &mut these.remarks);
        if !records.is_empty() && images.iter().all(Option::is_none) {
            let theirs = truth.instances.images.iter().find_map(|image| image.file_name.as_deref());
            let hint = format!(
                "the run has {:?}, the truth {}",
                records[0].image,
                theirs.map_or("no file_name".to_owned(), |name| format!("{name:?}"))
            );
            return Err(these.nothing_in_common(truth, hint));
        }
        let mut labels = Labels::new(truth);
        let (mut unknown, mut failed, mut other_size) =
            (Unmatched::default(), Unmatched::default(), Unmatched::default());
        let mut answered = 0;
        for (record, image) in records.iter().zip(images) {
            let Some(image) = image else { continue };
            if record.status == AnswerStatus::Failed {
                failed.add(&record.image);
                continue;
            }
            answered += 1;
            if truth.instances.images[image]
                .size
                .is_some_and(|size| size != (record.width, record.height))
            {
                other_size.add(&record.image);
            }
            for detection in &record.detections {
                let Some(category) = labels.place(&detection.label) else {
                    unknown.add(&detection.label);
                    continue;
                };
                if truth.wanted[category] {
                    let b = detection.bbox;
                    let bbox = [b.x0, b.y0, b.width(), b.height()];
                    these.detections.push(Prediction {
                        image,
                        category,
                        bbox,
                        score: scoring.score(detection),
                    });
                }
            }
        }
        these.images_without_answer = truth.instances.images.len() - answered;
        let without_record = these.images_without_answer - failed.count;
        if without_record > 0 {
            these.remarks.push(format!(
                "{without_record} of {} images of the truth are not in the run: they count as \
                 images where nothing was found",
                truth.instances.images.len()
            ));
        }
        these.remarks.extend(
            failed.remark("images failed: they count as images where nothing was found", "named"),
        );
        these.remarks.extend(
            other_size.remark("images have another size in the truth than in the run", "named"),
        );
        these.remarks.extend(unknown.remark(
            "detections have labels that the truth does not have; they are left out",
            "labelled",
        ));
        these.remarks.extend(labels.remarks());
        these.remarks.extend(not_asked(asked, truth, &mut labels));
        Ok(these)
    }

    fn nothing_in_common(self, truth: &Truth, hint: String) -> EvalError {
        let truth = truth.instances.path.display().to_string();
        EvalError::NothingInCommon { predictions: self.source, truth, hint }
    }
}

/// Whether the file is a list of JSON, as COCO's results are.
fn begins_as_list(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = files::open(path).and_then(|file| file.take(64).read_to_end(&mut head));
    let head = read.ok().and_then(|_| files::without_mark(head).ok()).unwrap_or_default();
    head.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[')
}

/// A remark where the run was asked for fewer labels than are evaluated.
fn not_asked(asked: &[String], truth: &Truth, labels: &mut Labels<'_>) -> Option<String> {
    if asked.is_empty() {
        return None;
    }
    let asked: HashSet<usize> = asked.iter().filter_map(|label| labels.place(label)).collect();
    let evaluated: BTreeSet<usize> =
        truth.evaluated().map(|annotation| annotation.category).collect();
    let missing = evaluated.iter().filter(|category| !asked.contains(category)).count();
    (missing > 0).then(|| {
        format!(
            "the run was not asked for {missing} of the {} labels that are evaluated: they count \
             as not found (`labels` evaluates only some)",
            evaluated.len()
        )
    })
}

/// The place in the truth of every record's image.
fn match_images(
    records: &[Record],
    truth: &Truth,
    remarks: &mut Vec<String>,
) -> Vec<Option<usize>> {
    let base = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    let mut by_path: HashMap<&str, Option<usize>> = HashMap::new();
    let mut by_name: HashMap<String, Option<usize>> = HashMap::new();
    let mut nameless = 0;
    for (place, image) in truth.instances.images.iter().enumerate() {
        let Some(name) = image.file_name.as_deref() else {
            nameless += 1;
            continue;
        };
        // `None` if several have it.
        by_path.entry(name).and_modify(|place| *place = None).or_insert(Some(place));
        by_name.entry(base(name)).and_modify(|place| *place = None).or_insert(Some(place));
    }
    let mut ours: HashMap<String, usize> = HashMap::new();
    for record in records {
        *ours.entry(base(&record.image)).or_default() += 1;
    }
    let mut places: Vec<Option<usize>> = Vec::with_capacity(records.len());
    let (mut ambiguous, mut unmatched) = (Unmatched::default(), Unmatched::default());
    let exact: HashSet<usize> = records
        .iter()
        .filter_map(|record| by_path.get(record.image.as_str()).copied().flatten())
        .collect();
    for record in records {
        let name = base(&record.image);
        let place = match (by_path.get(record.image.as_str()), by_name.get(&name)) {
            (Some(Some(place)), _) => Some(*place),
            (None, Some(Some(place))) if ours[&name] == 1 && !exact.contains(place) => Some(*place),
            (None, None) => {
                unmatched.add(&record.image);
                None
            }
            _ => {
                ambiguous.add(&record.image);
                None
            }
        };
        places.push(place);
    }
    if nameless > 0 {
        remarks.push(format!("{nameless} images of the truth have no file_name and match nothing"));
    }
    remarks.extend(
        unmatched.remark("images of the run are not in the truth; they are left out", "named"),
    );
    remarks.extend(ambiguous.remark(
        "images of the run could be several of the truth by their file name, or share one; they \
         are left out",
        "named",
    ));
    places
}

/// Labels of a run to categories of the truth.
struct Labels<'t> {
    exact: HashMap<&'t str, Option<usize>>,
    folded: HashMap<String, Option<usize>>,
    truth: &'t Truth,
    /// Label and category whose names differ only in case.
    inexact: BTreeMap<String, usize>,
}

impl<'t> Labels<'t> {
    fn new(truth: &'t Truth) -> Self {
        let (mut exact, mut folded) = (HashMap::new(), HashMap::new());
        for (place, category) in truth.instances.categories.iter().enumerate() {
            exact
                .entry(category.name.as_str())
                .and_modify(|place| *place = None)
                .or_insert(Some(place));
            folded
                .entry(fold(&category.name))
                .and_modify(|place| *place = None)
                .or_insert(Some(place));
        }
        Self { exact, folded, truth, inexact: BTreeMap::new() }
    }

    fn place(&mut self, label: &str) -> Option<usize> {
        if let Some(place) = self.exact.get(label) {
            return *place;
        }
        let place = self.folded.get(&fold(label)).copied().flatten()?;
        self.inexact.insert(label.to_owned(), place);
        Some(place)
    }

    fn remarks(&self) -> Option<String> {
        let pairs: Vec<String> = self
            .inexact
            .iter()
            .map(|(label, &place)| format!("{label:?} as {:?}", self.truth.label(place)))
            .collect();
        (!pairs.is_empty())
            .then(|| format!("labels were matched without regard to case: {}", pairs.join(", ")))
    }
}

fn fold(label: &str) -> String {
    label.trim().to_lowercase()
}

/// How many things matched nothing, and which.
#[derive(Default)]
struct Unmatched {
    count: usize,
    names: BTreeSet<String>,
}

impl Unmatched {
    const NAMED: usize = 5;

    fn add(&mut self, name: &str) {
        self.count += 1;
        self.names.insert(name.to_owned());
    }

    fn names(&self) -> String {
        let named: Vec<&str> = self.names.iter().take(Self::NAMED).map(String::as_str).collect();
        let more = self.names.len() - named.len();
        let dots = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{dots}", named.join(", "))
    }

    fn remark(&self, what: &str, how: &str) -> Option<String> {
        (self.count > 0).then(|| format!("{} {what} ({how} {})", self.count, self.names()))
    }
}
