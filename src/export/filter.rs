//! Which of the boxes of a record are exported, and under which labels and scores.
//!
//! In: the boxes of one record, and the labels that its image was asked for. Out: the boxes that
//! stay, in their order, the boxes that are left out, and counts of what was done.
//! Promises: filters take away, rename and score, and never invent; of equal scores the earlier box
//! stays; the same filters over the same record give the same boxes, whenever they are applied.

use std::collections::{BTreeMap, BTreeSet};

use crate::answer::counts::Counts;
use crate::record::{Area, Detection, Filters, MinScore, NoteKind, ScoreKind};

impl Area {
    fn of(self, image: f64) -> f64 {
        match self {
            Self::Pixels(pixels) => pixels,
            Self::Share(share) => share * image,
        }
    }
}

/// A box's edge this close to the image's touches it: half of the answers' grid of a thousand.
const EDGE: f64 = 0.0005;

/// The boxes of one record, filtered.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Filtered {
    /// The boxes that stay, in their order.
    pub(super) kept: Vec<Detection>,
    /// The boxes that are left out, renamed and scored as well.
    pub(super) left_out: Vec<Detection>,
    /// Whether one was left out that may well be right: for the default least score, or for having
    /// no score.
    pub(super) unsure: bool,
    /// Boxes without token probabilities, which a calibration was to be applied to.
    pub(super) uncalibrated: usize,
}

impl Filters {
    /// Applies them to the boxes of an image of `size` (width, height) pixels.
    pub(super) fn apply(
        &self,
        detections: Vec<Detection>,
        names: &Names<'_>,
        size: (u32, u32),
        counts: &mut Counts,
    ) -> Filtered {
        let mut filtered = Filtered::default();
        for mut detection in detections {
            let raw = self.score.of(&detection);
            detection.score = raw;
            if let Some(platt) = self.calibration {
                // The score of a record without probabilities may have any value.
                let known = self.score == ScoreKind::Stated || detection.probabilities.is_some();
                match raw.filter(|_| known) {
                    Some(raw) => detection.score = Some(platt.apply(raw)),
                    None => filtered.uncalibrated += 1,
                }
            }
            let named = names.of(&detection.label);
            counts.note(
                NoteKind::LabelNormalised,
                named.as_ref().is_some_and(|name| *name != detection.label),
            );
            let Some(label) = named else {
                counts.note(NoteKind::Filtered, true);
                filtered.left_out.push(detection);
                continue;
            };
            detection.label = label;
            let min_score = self.min_score_of(&detection.label);
            let (low, unscored) = match (min_score, raw, detection.score) {
                (MinScore::Default(least), Some(raw), _) => (raw < least, false),
                (MinScore::Asked(least), _, Some(score)) => (score < least, false),
                (MinScore::Asked(_), _, None) => (false, true),
                (MinScore::Default(_), None, _) => (false, false),
            };
            if counts.note(
                NoteKind::UnaskedDropped,
                self.strict_labels && names.is_unasked(&detection.label),
            ) || counts.note(NoteKind::Filtered, !self.fits(&detection, size))
            {
                filtered.left_out.push(detection);
            } else if counts.note(NoteKind::LowScoreDropped, low)
                || counts.note(NoteKind::UnscoredDropped, unscored)
            {
                filtered.unsure |= unscored || matches!(min_score, MinScore::Default(_));
                filtered.left_out.push(detection);
            } else {
                filtered.kept.push(detection);
            }
        }
        if let Some(threshold) = self.duplicates {
            let same = |a: &Detection, b: &Detection| {
                a.label == b.label && a.bbox.iou(&b.bbox) >= threshold
            };
            counts.add(NoteKind::DuplicateDropped, filtered.suppress(threshold, same));
        }
        if let Some(threshold) = self.nms {
            let same = |a: &Detection, b: &Detection| {
                (self.nms_agnostic || a.label == b.label) && a.bbox.iou(&b.bbox) > threshold
            };
            counts.add(NoteKind::Suppressed, filtered.suppress(threshold, same));
        }
        filtered
    }

    /// Whether shape and place of a box are as they must be.
    fn fits(&self, detection: &Detection, (width, height): (u32, u32)) -> bool {
        let (width, height) = (f64::from(width), f64::from(height));
        let bbox = detection.bbox;
        let (area, aspect) = (bbox.area(), bbox.width() / bbox.height());
        let edge = bbox.x0 <= width * EDGE
            || bbox.y0 <= height * EDGE
            || bbox.x1 >= width * (1.0 - EDGE)
            || bbox.y1 >= height * (1.0 - EDGE);
        self.min_area.is_none_or(|least| area >= least.of(width * height))
            && self.max_area.is_none_or(|most| area <= most.of(width * height))
            && self.min_aspect.is_none_or(|least| aspect >= least)
            && self.max_aspect.is_none_or(|most| aspect <= most)
            && !(self.drop_edge && edge)
    }
}

impl Filtered {
    /// Leaves out every box that is the `same` as a better one, and returns their number. Better is
    /// a higher score, or the earlier one if the scores are equal or there are none. Boxes with
    /// less intersection over union than `iou` are never the same.
    fn suppress(&mut self, iou: f64, same: impl Fn(&Detection, &Detection) -> bool) -> usize {
        let detections = std::mem::take(&mut self.kept);
        let mut order: Vec<usize> = (0..detections.len()).collect();
        let score = |index: usize| detections[index].score.unwrap_or(0.0);
        order.sort_by(|&a, &b| score(b).total_cmp(&score(a)).then(a.cmp(&b)));
        // By their left edges (which are not negative, so that their bits are in their order): the
        // width in common is at least `iou` of either width, so only boxes that begin near by can
        // be the same.
        let mut stay: BTreeSet<(u64, usize)> = BTreeSet::new();
        let bits = |left: f64| left.max(0.0).to_bits();
        for index in order {
            let (bbox, slack) = (detections[index].bbox, detections[index].bbox.width() * 1e-9);
            let from = bits(bbox.x0 - bbox.width() * (1.0 / iou - 1.0) - slack);
            let to = bits(bbox.x0 + bbox.width() * (1.0 - iou) + slack);
            let near = stay.range((from, 0)..=(to, usize::MAX));
            if !near.into_iter().any(|&(_, better)| same(&detections[better], &detections[index])) {
                stay.insert((bits(bbox.x0), index));
            }
        }
        let stay: BTreeSet<usize> = stay.into_iter().map(|(_, index)| index).collect();
        let before = detections.len();
        for (index, detection) in detections.into_iter().enumerate() {
            if stay.contains(&index) { &mut self.kept } else { &mut self.left_out }.push(detection);
        }
        before - self.kept.len()
    }
}

/// The labels that were asked for, and their other forms.
pub(super) struct Names<'a> {
    asked: &'a [String],
    /// Each of them in the form in which labels are compared.
    forms: Vec<String>,
    /// As it is written.
    map: &'a BTreeMap<String, String>,
    /// In lower case.
    folded: BTreeMap<String, &'a str>,
}

impl<'a> Names<'a> {
    /// The names of an image that was asked for the labels `asked`, under a map of labels.
    pub(super) fn new(asked: &'a [String], map: &'a BTreeMap<String, String>) -> Self {
        let forms = asked.iter().map(|label| singular(label)).collect();
        Self {
            asked,
            forms,
            map,
            folded: map.iter().map(|(from, to)| (from.to_lowercase(), to.as_str())).collect(),
        }
    }

    /// The map's name for a label: as it is written, else without regard to case.
    fn mapped(&self, label: &str) -> Option<&'a str> {
        let exact = self.map.get(label).map(String::as_str);
        exact.or_else(|| self.folded.get(&label.to_lowercase()).copied())
    }

    /// The name of a label that was asked for; `None` if the map drops it.
    pub(super) fn of_asked(&self, label: &'a str) -> Option<&'a str> {
        let name = self.mapped(label).unwrap_or(label);
        (!name.is_empty() || label.is_empty()).then_some(name)
    }

    /// The name of the label of a box; `None` if the map drops it. A label that the map does not
    /// know is the one asked for that differs only by case, article or plural, under the name of
    /// that.
    pub(super) fn of(&self, label: &str) -> Option<String> {
        let name = match self.mapped(label) {
            Some("") if !label.is_empty() => return None,
            Some(name) => self.asked_form(name),
            None => {
                let asked = self.asked_form(label);
                match self.mapped(asked) {
                    Some("") if !asked.is_empty() => return None,
                    name => name.unwrap_or(asked),
                }
            }
        };
        Some(name.to_owned())
    }

    /// The label that was asked for of which `label` is another form; else `label`.
    fn asked_form<'l>(&self, label: &'l str) -> &'l str
    where
        'a: 'l,
    {
        if self.asked.iter().any(|asked| asked == label) {
            return label;
        }
        let form = singular(label);
        let same = self.forms.iter().position(|asked| *asked == form);
        same.map_or(label, |place| &self.asked[place])
    }

    /// Whether a box's name is that of none of the labels that were asked for; never if none was.
    fn is_unasked(&self, name: &str) -> bool {
        !self.asked.is_empty() && !self.asked.iter().any(|asked| self.of_asked(asked) == Some(name))
    }
}

/// Lower case, without an article, a number word, and punctuation at the end, the last word without
/// its English plural. Not a dictionary: what it does not know stays different.
fn singular(label: &str) -> String {
    const BEFORE: [&str; 12] = [
        "a ", "an ", "the ", "one ", "two ", "three ", "four ", "five ", "six ", "some ",
        "several ", "many ",
    ];
    let lower = label.trim().trim_end_matches(['.', ',', ';', '!']).to_lowercase();
    let bare = BEFORE.iter().find_map(|article| lower.strip_prefix(article)).unwrap_or(&lower);
    let known = [
        ("people", "person"),
        ("men", "man"),
        ("women", "woman"),
        ("children", "child"),
        ("mice", "mouse"),
        ("geese", "goose"),
    ];
    for (plural, one) in known {
        if let Some(before) =
            bare.strip_suffix(plural).filter(|before| before.is_empty() || before.ends_with(' '))
        {
            return format!("{before}{one}");
        }
    }
    let stem = |end: &str, letters: usize| {
        bare.strip_suffix(end).filter(|stem| stem.chars().count() >= letters)
    };
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
    use crate::record::{Platt, Probabilities};

    fn found(label: &str, bbox: [f64; 4], score: f64) -> Detection {
        Detection { score: Some(score), ..Detection::new(label.to_owned(), bbox.into()) }
    }

    /// Labels and scores of the boxes of an image of 100x100 pixels that stay, and the counts.
    fn apply(
        filters: &Filters,
        detections: Vec<Detection>,
        asked: &[&str],
    ) -> (Vec<(String, f64)>, BTreeMap<NoteKind, usize>) {
        let asked: Vec<String> = asked.iter().map(|&label| label.to_owned()).collect();
        let mut counts = Counts::default();
        let number = detections.len();
        let names = Names::new(&asked, &filters.labels_map);
        let filtered = filters.apply(detections, &names, (100, 100), &mut counts);
        assert_eq!(filtered.kept.len() + filtered.left_out.len(), number, "no box is lost");
        let counts = counts.into_notes().into_iter().map(|note| (note.kind, note.count)).collect();
        (
            filtered.kept.into_iter().map(|one| (one.label, one.score.unwrap_or(-1.0))).collect(),
            counts,
        )
    }

    /// Whether a box stays.
    fn stays(filters: &Filters, bbox: [f64; 4]) -> bool {
        let (kept, counts) = apply(filters, vec![found("a", bbox, 0.9)], &[]);
        assert_eq!(counts.get(&NoteKind::Filtered).copied(), kept.is_empty().then_some(1));
        !kept.is_empty()
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
            ("two dogs", "dog"),
            ("Dog.", "dog"),
            ("hot dog", "hot dog"),
        ];
        for (from, to) in forms {
            let (kept, _) =
                apply(&Filters::default(), vec![found(from, [0.0, 0.0, 9.0, 9.0], 0.5)], &asked);
            assert_eq!(kept[0].0, to, "{from}");
        }
    }

    #[test]
    fn the_map_and_what_was_not_asked_for() {
        let labels_map = BTreeMap::from([
            ("Puppy".to_owned(), "dog".to_owned()),
            ("shadow".to_owned(), String::new()),
        ]);
        let filters = Filters { labels_map, strict_labels: true, ..Filters::default() };
        let all = ["puppy", "Shadow", "tree", "dog"]
            .map(|label| found(label, [0.0, 0.0, label.len() as f64, 9.0], 0.5));
        let (kept, counts) = apply(&filters, all.to_vec(), &["dog"]);
        assert_eq!(kept.len(), 2);
        assert_eq!(counts.get(&NoteKind::UnaskedDropped), Some(&1));
        assert_eq!(counts.get(&NoteKind::Filtered), Some(&1));
        assert_eq!(counts.get(&NoteKind::LabelNormalised), Some(&1));
        // Without labels that were asked for, no label is unasked.
        assert_eq!(apply(&filters, all.to_vec(), &[]).0.len(), 3);
    }

    #[test]
    fn the_map_renames_what_was_asked_for_in_all_its_forms() {
        let labels_map = ["dog", "Dog"].map(|from| (from.to_owned(), "canine".to_owned())).into();
        let filters = Filters { labels_map, strict_labels: true, ..Filters::default() };
        for from in ["dog", "DOG", "dogs", "a dog"] {
            let (kept, _) = apply(&filters, vec![found(from, [0.0, 0.0, 9.0, 9.0], 0.5)], &["dog"]);
            assert_eq!(kept, [("canine".to_owned(), 0.5)], "{from}");
        }
        // As it is written comes before the same without regard to case.
        let labels_map = [("US", "country"), ("us", "we")]
            .map(|(from, to)| (from.to_owned(), to.to_owned()))
            .into();
        let filters = Filters { labels_map, ..Filters::default() };
        let boxes = ["US", "us"].map(|label| found(label, [0.0, 0.0, 9.0, 9.0], 0.5));
        let labels: Vec<String> =
            apply(&filters, boxes.to_vec(), &[]).0.into_iter().map(|one| one.0).collect();
        assert_eq!(labels, ["country", "we"]);
        // A label without a word is dropped by no map of that to itself.
        let filters =
            Filters { labels_map: [(String::new(), String::new())].into(), ..Filters::default() };
        let nameless = vec![found("", [0.0, 0.0, 9.0, 9.0], 0.5)];
        assert_eq!(apply(&filters, nameless, &[]).0, [(String::new(), 0.5)]);
        // A map that drops what was asked for drops its forms.
        let filters = Filters {
            labels_map: [("dog".to_owned(), String::new())].into(),
            ..Filters::default()
        };
        assert!(
            apply(&filters, vec![found("Dogs", [0.0, 0.0, 9.0, 9.0], 0.5)], &["dog"]).0.is_empty()
        );
    }

    #[test]
    fn areas_are_from_and_to() {
        // 10x20 pixels, 2 % of the image.
        let bbox = [10.0, 10.0, 20.0, 30.0];
        let least = |area| Filters { min_area: Some(area), ..Filters::default() };
        let most = |area| Filters { max_area: Some(area), ..Filters::default() };
        assert!(stays(&least(Area::Pixels(200.0)), bbox) && stays(&least(Area::Share(0.02)), bbox));
        assert!(
            !stays(&least(Area::Pixels(200.1)), bbox)
                && !stays(&least("2.1%".parse().unwrap()), bbox)
        );
        assert!(stays(&most(Area::Pixels(200.0)), bbox) && stays(&most(Area::Share(0.02)), bbox));
        assert!(
            !stays(&most(Area::Pixels(199.9)), bbox)
                && !stays(&most("1.9%".parse().unwrap()), bbox)
        );
        assert!(
            "4%%".parse::<Area>().is_err()
                && "-1".parse::<Area>().is_err()
                && "101%".parse::<Area>().is_err()
        );
    }

    #[test]
    fn aspects_are_from_and_to() {
        let wide = [10.0, 10.0, 50.0, 30.0];
        let least = |ratio| Filters { min_aspect: Some(ratio), ..Filters::default() };
        let most = |ratio| Filters { max_aspect: Some(ratio), ..Filters::default() };
        assert!(stays(&least(2.0), wide) && !stays(&least(2.01), wide));
        assert!(stays(&most(2.0), wide) && !stays(&most(1.99), wide));
        let tall = [10.0, 10.0, 30.0, 50.0];
        assert!(
            stays(&least(0.5), tall) && !stays(&least(0.51), tall),
            "width over height, not the longer side"
        );
        assert!(stays(&most(0.5), tall) && !stays(&most(0.49), tall));
    }

    #[test]
    fn each_edge_of_the_image_counts() {
        let filters = Filters { drop_edge: true, ..Filters::default() };
        let inside = [10.0, 10.0, 90.0, 90.0];
        assert!(stays(&filters, inside));
        for (side, at, near) in
            [(0, 0.0, 0.05), (1, 0.0, 0.05), (2, 100.0, 99.95), (3, 100.0, 99.95)]
        {
            for edge in [at, near] {
                let mut bbox = inside;
                bbox[side] = edge;
                assert!(!stays(&filters, bbox), "side {side} at {edge}");
                assert!(stays(&Filters::default(), bbox));
            }
            let mut bbox = inside;
            bbox[side] = if at > 0.0 { 99.9 } else { 0.1 };
            assert!(stays(&filters, bbox), "side {side} near the edge");
        }
    }

    #[test]
    fn a_least_score_that_was_asked_for_drops_boxes_without_one() {
        let boxes = || {
            let unscored = Detection { score: None, ..found("a", [70.0, 70.0, 80.0, 80.0], 0.0) };
            vec![
                found("a", [10.0, 10.0, 20.0, 20.0], 0.5),
                found("a", [30.0, 30.0, 40.0, 40.0], 0.4),
                unscored,
            ]
        };
        let of = |min_score| {
            let (kept, counts) = apply(&Filters { min_score, ..Filters::default() }, boxes(), &[]);
            let count = |kind| counts.get(&kind).copied().unwrap_or(0);
            let scores: Vec<f64> = kept.into_iter().map(|one| one.1).collect();
            (scores, count(NoteKind::LowScoreDropped), count(NoteKind::UnscoredDropped))
        };
        assert_eq!(of(MinScore::Asked(0.5)), (vec![0.5], 1, 1));
        assert_eq!(
            of(MinScore::Asked(0.0)),
            (vec![0.5, 0.4], 0, 1),
            "no score is none that could be high enough"
        );
        assert_eq!(of(MinScore::Default(0.5)), (vec![0.5, -1.0], 1, 0));
        assert_eq!(of(MinScore::Default(0.51)), (vec![-1.0], 2, 0));
    }

    #[test]
    fn scores_are_computed_as_asked() {
        let probabilities = Some(Probabilities { coordinates: 0.5, label: Some(0.1) });
        let one = Detection { probabilities, ..found("a", [10.0, 10.0, 20.0, 20.0], 0.7) };
        let score = |filters: &Filters, detection: &Detection| {
            apply(filters, vec![detection.clone()], &[]).0.first().map(|kept| kept.1)
        };
        let of = |score: ScoreKind| Filters {
            score,
            min_score: MinScore::of(score),
            ..Filters::default()
        };
        assert_eq!(score(&of(ScoreKind::Joint), &one), Some(0.05));
        assert_eq!(score(&of(ScoreKind::Coordinates), &one), Some(0.5));
        assert_eq!(score(&of(ScoreKind::Label), &one), None, "0.1 is below the default of labels");
        // Without probabilities, the score stays.
        let plain = Detection { probabilities: None, ..one.clone() };
        assert_eq!(score(&of(ScoreKind::Label), &plain), Some(0.7));
        // A box without a label has no score of it.
        let unlabelled = Some(Probabilities { coordinates: 0.5, label: None });
        let unlabelled = Detection { probabilities: unlabelled, ..one.clone() };
        assert_eq!(score(&of(ScoreKind::Label), &unlabelled), Some(-1.0));
        // A stated confidence is asked for by name, and only a share is one.
        let stated = Detection { stated_confidence: Some(0.3), ..one.clone() };
        assert_eq!(score(&of(ScoreKind::Joint), &stated), Some(0.05));
        assert_eq!(score(&of(ScoreKind::Stated), &stated), Some(0.3));
        assert_eq!(score(&of(ScoreKind::Stated), &one), Some(-1.0));
        let percent = Detection { stated_confidence: Some(95.0), ..one.clone() };
        assert_eq!(score(&of(ScoreKind::Stated), &percent), Some(-1.0));
        // The default is held against the score before calibration, another one against what it
        // becomes.
        let calibration = Some(Platt { a: 1.0, b: 9.0 });
        let calibrated = |min_score| Filters { calibration, min_score, ..Filters::default() };
        assert!(score(&calibrated(MinScore::Default(0.06)), &one).is_none());
        assert!(score(&calibrated(MinScore::Asked(0.06)), &one).is_some_and(|score| score > 0.9));
        assert_eq!(score(&calibrated(MinScore::Default(0.06)), &plain), Some(0.7));
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
        assert_eq!(
            apply(&Filters { duplicates: None, ..Filters::default() }, all.clone(), &[]).0.len(),
            4
        );
        let by_label = Filters { nms: Some(0.5), ..Filters::default() };
        let (kept, counts) = apply(&by_label, all.clone(), &[]);
        assert_eq!((kept.len(), counts[&NoteKind::Suppressed]), (2, 1));
        let agnostic = Filters { nms: Some(0.5), nms_agnostic: true, ..Filters::default() };
        assert_eq!(apply(&agnostic, all, &[]).0, [("cat".to_owned(), 0.7)]);
        // Of boxes with equal scores, or none, the earlier one stays.
        let equal = [[0.0, 0.0, 50.0, 50.0], [0.0, 0.0, 50.0, 49.0]];
        for score in [Some(0.5), None] {
            let boxes = equal.map(|bbox| Detection { score, ..found("cat", bbox, 0.0) });
            let names = Names::new(&[], &agnostic.labels_map);
            let filtered =
                agnostic.apply(boxes.to_vec(), &names, (100, 100), &mut Counts::default());
            assert_eq!((&filtered.kept[..], &filtered.left_out[..]), (&boxes[..1], &boxes[1..]));
        }
    }

    #[test]
    fn repeats_are_from_their_share_on_and_suppression_is_above_it() {
        // One box is half of the other: an intersection over union of 0.5.
        let halves = [[0.0, 0.0, 40.0, 40.0], [0.0, 0.0, 40.0, 20.0]]
            .map(|bbox| found("a", bbox, 0.5))
            .to_vec();
        let left = |filters: Filters| apply(&filters, halves.clone(), &[]).0.len();
        let duplicates = |at| Filters { duplicates: Some(at), ..Filters::default() };
        assert_eq!((left(duplicates(0.5)), left(duplicates(0.501))), (1, 2));
        let nms = |at| Filters { nms: Some(at), ..Filters::default() };
        assert_eq!((left(nms(0.5)), left(nms(0.499))), (2, 1));
    }

    /// Looking only at boxes near by finds what looking at all would.
    #[test]
    fn suppression_is_that_of_all_pairs() {
        // Boxes that overlap in all ways, by a generator of Knuth's.
        let mut state = 1_u64;
        let mut draw = |most: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % most) as f64
        };
        let mut boxes = Vec::new();
        for index in 0..300 {
            let (x, y, width, height) = (draw(70), draw(70), draw(30) + 1.0, draw(30) + 1.0);
            boxes.push(found("a", [x, y, x + width, y + height], f64::from(index % 7) / 7.0));
        }
        for threshold in [0.0, 0.01, 0.3, 0.5, 0.9, 1.0] {
            let filters = Filters {
                nms: Some(threshold),
                min_score: MinScore::Default(0.0),
                ..Filters::keep_all()
            };
            let names = Names::new(&[], &filters.labels_map);
            let filtered = filters.apply(boxes.clone(), &names, (100, 100), &mut Counts::default());
            let mut order: Vec<usize> = (0..boxes.len()).collect();
            order.sort_by(|&a, &b| {
                boxes[b].score.partial_cmp(&boxes[a].score).unwrap().then(a.cmp(&b))
            });
            let mut stay: Vec<usize> = Vec::new();
            for index in order {
                if stay
                    .iter()
                    .all(|&better| boxes[better].bbox.iou(&boxes[index].bbox) <= threshold)
                {
                    stay.push(index);
                }
            }
            stay.sort_unstable();
            let expected: Vec<Detection> =
                stay.into_iter().map(|index| boxes[index].clone()).collect();
            assert_eq!(filtered.kept, expected, "{threshold}");
        }
    }

    #[test]
    fn filters_that_were_applied_can_only_become_stricter() {
        let all = Filters {
            strict_labels: true,
            min_score: MinScore::Asked(0.3),
            min_area: Some(Area::Pixels(100.0)),
            max_area: Some(Area::Share(0.5)),
            min_aspect: Some(0.5),
            max_aspect: Some(2.0),
            drop_edge: true,
            duplicates: Some(0.9),
            nms: Some(0.5),
            nms_agnostic: true,
            ..Filters::default()
        };
        let stricter = Filters {
            min_score: MinScore::Asked(0.4),
            min_area: Some(Area::Pixels(101.0)),
            max_area: Some(Area::Share(0.4)),
            min_aspect: Some(0.6),
            max_aspect: Some(1.9),
            duplicates: Some(0.8),
            nms: Some(0.4),
            ..all.clone()
        };
        assert!(all.weaker_in(&all).is_empty() && all.weaker_in(&stricter).is_empty());
        assert!(
            Filters::keep_all().weaker_in(&all).is_empty()
                && Filters::keep_all().weaker_in(&Filters::default()).is_empty()
        );
        let names = [
            "min_score",
            "strict_labels",
            "min_area",
            "max_area",
            "min_aspect",
            "max_aspect",
            "drop_edge",
            "duplicates",
            "nms",
            "nms_agnostic",
        ];
        assert_eq!(all.weaker_in(&Filters::keep_all()), names);
        let back = stricter.weaker_in(&all);
        assert_eq!(
            back,
            ["min_score", "min_area", "max_area", "min_aspect", "max_aspect", "duplicates", "nms"]
        );
        let other_unit = Filters { min_area: Some(Area::Share(0.9)), ..all.clone() };
        assert_eq!(all.weaker_in(&other_unit), ["min_area"], "they cannot be compared");
    }

    #[test]
    fn an_evaluation_sees_every_box_under_its_name() {
        let labels_map = [("puppy", "dog"), ("blur", "")]
            .map(|(from, to)| (from.to_owned(), to.to_owned()))
            .into();
        let filters = Filters {
            labels_map,
            nms: Some(0.1),
            strict_labels: true,
            drop_edge: true,
            ..Filters::default()
        };
        let boxes = ["puppy", "puppy", "blur", "Dogs"]
            .map(|label| found(label, [0.0, 0.0, 9.0, 9.0], 0.001));
        let (kept, _) = apply(&filters.keeping_all_boxes(), boxes.to_vec(), &["dog"]);
        let labels: Vec<&str> = kept.iter().map(|one| one.0.as_str()).collect();
        assert_eq!(labels, ["dog", "dog", "blur", "dog"]);
    }

    #[test]
    fn plurals_that_are_none_stay_as_they_are() {
        for (asked, label, same) in [
            ("tie", "ties", true),
            ("box", "boxes", true),
            ("brush", "brushes", true),
            ("watch", "watches", true),
            ("woman", "young women", false),
            ("young woman", "Young Women", true),
            ("speciman", "specimen", false),
            ("child", "children", true),
            ("bu", "bus", false),
            ("cactu", "cactus", false),
            ("chassi", "chassis", false),
            ("glas", "glass", false),
            ("a", "as", false),
            ("ox", "oxs", true),
            ("dog", "Dogs!", true),
            ("dog", "several dogs", true),
            ("dog", "adog", false),
        ] {
            let (kept, _) =
                apply(&Filters::default(), vec![found(label, [0.0, 0.0, 9.0, 9.0], 0.5)], &[asked]);
            assert_eq!(kept[0].0, if same { asked } else { label }, "{asked}");
        }
    }

    #[test]
    fn a_calibration_is_applied_to_what_it_was_made_of() {
        let probabilities = Some(Probabilities { coordinates: 0.5, label: Some(0.5) });
        let bbox = |x0: f64| [x0, 10.0, x0 + 5.0, 20.0];
        let boxes = || {
            let known = Detection { probabilities, ..found("a", bbox(10.0), 0.25) };
            let stated =
                Detection { stated_confidence: Some(0.25), ..found("a", bbox(40.0), 0.25) };
            vec![known, found("a", bbox(20.0), 0.25), found("a", bbox(30.0), 0.25), stated]
        };
        let calibration = Some(Platt { a: 1.0, b: 5.0 });
        let of = |score: ScoreKind| {
            let filters = Filters {
                calibration,
                score,
                min_score: MinScore::Default(0.0),
                ..Filters::default()
            };
            let names = Names::new(&[], &filters.labels_map);
            let filtered = filters.apply(boxes(), &names, (100, 100), &mut Counts::default());
            let changed = filtered
                .kept
                .iter()
                .map(|one| one.score.is_some_and(|score| score > 0.9))
                .collect();
            (filtered.uncalibrated, changed)
        };
        let (uncalibrated, changed): (usize, Vec<bool>) = of(ScoreKind::Joint);
        assert_eq!((uncalibrated, changed), (3, vec![true, false, false, false]));
        let (uncalibrated, changed) = of(ScoreKind::Stated);
        assert_eq!((uncalibrated, changed), (3, vec![false, false, false, true]));
    }

    #[test]
    fn repeats_beside_each_other_are_found_whichever_is_better() {
        // One is the right or the left half of the other: exactly half of it is in common.
        for half in [[20.0, 0.0, 40.0, 40.0], [0.0, 0.0, 20.0, 40.0]] {
            for (whole_score, half_score) in [(0.5, 0.6), (0.6, 0.5)] {
                let all = vec![
                    found("a", [0.0, 0.0, 40.0, 40.0], whole_score),
                    found("a", half, half_score),
                ];
                let filters = Filters { duplicates: Some(0.5), ..Filters::default() };
                assert_eq!(apply(&filters, all, &[]).0, [("a".to_owned(), 0.6)], "{half:?}");
            }
        }
    }

    #[test]
    fn every_box_that_is_left_out_is_counted() {
        let same = |score: f64| found("a", [0.0, 0.0, 50.0, 50.0], score);
        let all = [0.5, 0.6, 0.7, 0.8, 0.9].map(same).to_vec();
        let (kept, counts) = apply(&Filters::default(), all.clone(), &[]);
        assert_eq!((kept.len(), counts[&NoteKind::DuplicateDropped]), (1, 4));
        let nms = Filters { duplicates: None, nms: Some(0.5), ..Filters::default() };
        assert_eq!(apply(&nms, all, &[]).1[&NoteKind::Suppressed], 4);
    }
}
