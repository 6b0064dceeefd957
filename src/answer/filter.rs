//! Which of the found boxes stay.
//!
//! In: detections of one image, and what was asked for. Out: those that stay, in their order, and how many were changed or dropped and why. Promises: filters only
//! take away or rename, never invent; with equal scores the earlier box stays.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::counts::Counts;
use crate::record::{Detection, NoteKind};

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

impl Area {
    fn of(self, image: f64) -> f64 {
        match self {
            Self::Pixels(pixels) => pixels,
            Self::Share(share) => share * image,
        }
    }
}

/// What is done with the boxes of an image, in the order of the fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filters {
    /// Other words for labels: from, to. Compared without regard to case; an empty word drops the boxes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels_map: BTreeMap<String, String>,
    /// Whether boxes of labels that were not asked for are dropped.
    pub strict_labels: bool,
    /// The least score; boxes without a score go.
    pub min_score: Option<f64>,
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
    /// Non-maximum suppression: boxes of one label with more intersection over union than this are suppressed by a better one.
    pub nms: Option<f64>,
    /// Whether non-maximum suppression looks at all labels together.
    pub nms_agnostic: bool,
}

impl Default for Filters {
    /// Nothing but near repeats, which are a model's slip and would be counted twice.
    fn default() -> Self {
        Self {
            labels_map: BTreeMap::new(),
            strict_labels: false,
            min_score: None,
            min_area: None,
            max_area: None,
            min_aspect: None,
            max_aspect: None,
            drop_edge: false,
            duplicates: Some(0.95),
            nms: None,
            nms_agnostic: false,
        }
    }
}

/// A box's edge this close to the image's touches it: half of the answers' grid of a thousand.
const EDGE: f64 = 0.0005;

impl Filters {
    /// Applies them to the detections of an image of `width` x `height` pixels that was asked about `asked`.
    pub(super) fn apply(
        &self,
        detections: Vec<Detection>,
        asked: &[String],
        width: u32,
        height: u32,
        counts: &mut Counts,
    ) -> Vec<Detection> {
        let names = Names::new(asked, &self.labels_map);
        let mut kept: Vec<Detection> = Vec::with_capacity(detections.len());
        for mut detection in detections {
            let named = names.of(&detection.label);
            counts.note(NoteKind::LabelNormalised, named.as_ref().is_some_and(|name| *name != detection.label));
            let Some(label) = named else {
                counts.note(NoteKind::Filtered, true);
                continue;
            };
            detection.label = label;
            let unasked = self.strict_labels && !asked.is_empty() && !asked.contains(&detection.label);
            if counts.note(NoteKind::UnaskedDropped, unasked)
                || counts.note(NoteKind::Filtered, !self.fits(&detection, width, height))
            {
                continue;
            }
            kept.push(detection);
        }
        let found = kept.len();
        if let Some(threshold) = self.duplicates {
            kept = suppress(kept, |a, b| a.label == b.label && a.bbox.iou(&b.bbox) >= threshold);
            counts.add(NoteKind::DuplicateDropped, found - kept.len());
        }
        let distinct = kept.len();
        if let Some(threshold) = self.nms {
            kept = suppress(kept, |a, b| (self.nms_agnostic || a.label == b.label) && a.bbox.iou(&b.bbox) > threshold);
            counts.add(NoteKind::Suppressed, distinct - kept.len());
        }
        kept
    }

    fn fits(&self, detection: &Detection, width: u32, height: u32) -> bool {
        let (width, height) = (f64::from(width), f64::from(height));
        let bbox = detection.bbox;
        let (area, aspect) = (bbox.area(), bbox.width() / bbox.height());
        let edge = bbox.x0 <= width * EDGE
            || bbox.y0 <= height * EDGE
            || bbox.x1 >= width * (1.0 - EDGE)
            || bbox.y1 >= height * (1.0 - EDGE);
        self.min_score.is_none_or(|least| detection.score.is_some_and(|score| score >= least))
            && self.min_area.is_none_or(|least| area >= least.of(width * height))
            && self.max_area.is_none_or(|most| area <= most.of(width * height))
            && self.min_aspect.is_none_or(|least| aspect >= least)
            && self.max_aspect.is_none_or(|most| aspect <= most)
            && !(self.drop_edge && edge)
    }
}

/// Drops every box that is the `same` as a better one: of a higher score, or earlier where the scores are equal or there are none.
fn suppress(detections: Vec<Detection>, same: impl Fn(&Detection, &Detection) -> bool) -> Vec<Detection> {
    let mut order: Vec<usize> = (0..detections.len()).collect();
    let score = |index: usize| detections[index].score.unwrap_or(0.0);
    order.sort_by(|&a, &b| score(b).total_cmp(&score(a)).then(a.cmp(&b)));
    let mut kept: BTreeSet<usize> = BTreeSet::new();
    for index in order {
        if !kept.iter().any(|&better| same(&detections[better], &detections[index])) {
            kept.insert(index);
        }
    }
    let stays = |(index, detection)| kept.contains(&index).then_some(detection);
    detections.into_iter().enumerate().filter_map(stays).collect()
}

/// The labels that were asked for, and their other forms.
struct Names<'a> {
    asked: &'a [String],
    map: BTreeMap<String, &'a str>,
}

impl<'a> Names<'a> {
    fn new(asked: &'a [String], map: &'a BTreeMap<String, String>) -> Self {
        Self { asked, map: map.iter().map(|(from, to)| (from.to_lowercase(), to.as_str())).collect() }
    }

    /// The label's name: by the map, then the one asked for that differs only by case, article or plural; else as it is. `None` where the
    /// map drops it.
    fn of(&self, label: &str) -> Option<String> {
        let label = match self.map.get(&label.to_lowercase()) {
            Some(&"") => return None,
            Some(&name) => name,
            None => label,
        };
        if self.asked.iter().any(|asked| asked == label) {
            return Some(label.to_owned());
        }
        let form = singular(label);
        Some(self.asked.iter().find(|asked| singular(asked) == form).map_or(label, String::as_str).to_owned())
    }
}

/// Lower case, without an article, the last word without its English plural. Not a dictionary: what it does not know stays different.
fn singular(label: &str) -> String {
    let lower = label.trim().to_lowercase();
    let bare = ["a ", "an ", "the "].iter().find_map(|article| lower.strip_prefix(article)).unwrap_or(&lower);
    let known = [
        ("people", "person"),
        ("men", "man"),
        ("women", "woman"),
        ("children", "child"),
        ("mice", "mouse"),
        ("geese", "goose"),
    ];
    for (plural, one) in known {
        if let Some(before) = bare.strip_suffix(plural).filter(|before| before.is_empty() || before.ends_with(' ')) {
            return format!("{before}{one}");
        }
    }
    let stem = |end: &str, letters: usize| bare.strip_suffix(end).filter(|stem| stem.chars().count() >= letters);
    if let Some(stem) = stem("ies", 2) {
        return format!("{stem}y");
    }
    for end in ["sses", "shes", "ches", "xes", "uses"] {
        if stem(end, 1).is_some() {
            return bare[..bare.len() - 2].to_owned();
        }
    }
    match stem("s", 2) {
        Some(stem) if !stem.ends_with(['s', 'u', 'i']) => stem.to_owned(),
        _ => bare.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(label: &str, bbox: [f64; 4], score: f64) -> Detection {
        Detection { score: Some(score), ..Detection::new(label.to_owned(), bbox.into()) }
    }

    fn apply(
        filters: &Filters,
        detections: Vec<Detection>,
        asked: &[&str],
    ) -> (Vec<(String, f64)>, BTreeMap<NoteKind, usize>) {
        let asked: Vec<String> = asked.iter().map(|&label| label.to_owned()).collect();
        let mut counts = Counts::default();
        let kept = filters.apply(detections, &asked, 100, 100, &mut counts);
        let counts = counts.into_notes().into_iter().map(|note| (note.kind, note.count)).collect();
        (kept.into_iter().map(|one| (one.label, one.score.unwrap_or(-1.0))).collect(), counts)
    }

    #[test]
    fn labels_find_their_names() {
        let asked = ["dog", "bus", "glass", "traffic light", "Person", "berry"];
        let forms = [
            ("Dogs", "dog"),
            ("a dog", "dog"),
            ("DOG", "dog"),
            ("buses", "bus"),
            ("glasses", "glass"),
            ("The traffic lights", "traffic light"),
            ("people", "Person"),
            ("berries", "berry"),
            ("hot dog", "hot dog"),
        ];
        for (from, to) in forms {
            let (kept, _) = apply(&Filters::default(), vec![found(from, [0.0, 0.0, 9.0, 9.0], 0.5)], &asked);
            assert_eq!(kept[0].0, to, "{from}");
        }
    }

    #[test]
    fn the_map_and_what_was_not_asked_for() {
        let labels_map = BTreeMap::from([("Puppy".to_owned(), "dog".to_owned()), ("shadow".to_owned(), String::new())]);
        let filters = Filters { labels_map, strict_labels: true, ..Filters::default() };
        let all =
            ["puppy", "Shadow", "tree", "dog"].map(|label| found(label, [0.0, 0.0, label.len() as f64, 9.0], 0.5));
        let (kept, counts) = apply(&filters, all.to_vec(), &["dog"]);
        assert_eq!(kept.len(), 2);
        assert_eq!(counts.get(&NoteKind::UnaskedDropped), Some(&1));
        assert_eq!(counts.get(&NoteKind::Filtered), Some(&1));
        assert_eq!(counts.get(&NoteKind::LabelNormalised), Some(&1));
    }

    #[test]
    fn geometry_and_score() {
        let small = found("a", [10.0, 10.0, 12.0, 12.0], 0.9);
        let wide = found("a", [10.0, 30.0, 90.0, 34.0], 0.9);
        let edge = found("a", [50.0, 50.0, 100.0, 99.0], 0.9);
        let unsure = found("a", [60.0, 10.0, 80.0, 30.0], 0.1);
        let all = vec![small, wide, edge, unsure];
        let kept = |filters: Filters| apply(&filters, all.clone(), &[]).0.len();
        assert_eq!(kept(Filters::default()), 4);
        assert_eq!(kept(Filters { min_area: Some(Area::Pixels(5.0)), ..Filters::default() }), 3);
        assert_eq!(kept(Filters { min_area: Some("4%".parse().unwrap()), ..Filters::default() }), 2);
        assert_eq!(kept(Filters { max_aspect: Some(2.0), ..Filters::default() }), 3);
        assert_eq!(kept(Filters { drop_edge: true, ..Filters::default() }), 3);
        assert_eq!(kept(Filters { min_score: Some(0.5), ..Filters::default() }), 3);
        let unscored = vec![Detection { score: None, ..found("a", [10.0, 10.0, 12.0, 12.0], 0.0) }];
        let kept = apply(&Filters { min_score: Some(0.0), ..Filters::default() }, unscored, &[]).0;
        assert!(kept.is_empty(), "no score is none that could be high enough");
        assert!("4%%".parse::<Area>().is_err() && "-1".parse::<Area>().is_err() && "101%".parse::<Area>().is_err());
    }

    #[test]
    fn the_better_box_stays() {
        let all = vec![
            found("cat", [0.0, 0.0, 50.0, 50.0], 0.5),
            found("cat", [0.0, 0.0, 50.0, 50.0], 0.7),
            found("dog", [0.0, 0.0, 50.0, 48.0], 0.6),
            found("cat", [5.0, 5.0, 50.0, 50.0], 0.4),
        ];
        let (kept, counts) = apply(&Filters::default(), all.clone(), &[]);
        assert_eq!(kept.iter().map(|one| one.1).collect::<Vec<_>>(), [0.7, 0.6, 0.4]);
        assert_eq!(counts[&NoteKind::DuplicateDropped], 1);
        let by_label = Filters { nms: Some(0.5), ..Filters::default() };
        assert_eq!(apply(&by_label, all.clone(), &[]).0.len(), 2);
        let agnostic = Filters { nms: Some(0.5), nms_agnostic: true, ..Filters::default() };
        assert_eq!(apply(&agnostic, all, &[]).0, [("cat".to_owned(), 0.7)]);
    }
}
