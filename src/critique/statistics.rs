//! Statistics over all frames of a run.
//!
//! In: frames and their generation settings. Out: for each axis a histogram and percentiles, over
//! all frames and over those of each model and sampler; groups with their best frame; numbered
//! frames with how much their scores flicker. Promises: a function of these alone, in the order of
//! names.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Serialize;
use thiserror::Error;

use super::frame::Frame;
use super::gate::Verdict;
use super::rubric::Rubric;
use crate::record::{Measures, Record, plain_model, plain_sampler, to_four_decimals};
use crate::source::clip_of;

/// Bars of a histogram over 0..1.
pub const BARS: usize = 20;
/// The least number of numbered frames in a row that make a sequence.
const SHORTEST_SEQUENCE: usize = 3;

/// How values are spread.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spread {
    /// How many frames have a value.
    pub frames: usize,
    /// Their mean.
    pub mean: f64,
    /// The 5th, 25th, 50th, 75th and 95th percentile, between ranks linearly.
    pub percentiles: [f64; 5],
    /// How many fall into each of [`BARS`] bars of the same width over 0..1; 1 belongs to the last.
    pub histogram: [usize; BARS],
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let percentile = |share: f64| {
            let place = share * last as f64;
            let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
            to_four_decimals(below + (above - below) * place.fract())
        };
        let mut histogram = [0; BARS];
        for value in &values {
            histogram[((value * BARS as f64) as usize).min(BARS - 1)] += 1;
        }
        let mean = to_four_decimals(values.iter().sum::<f64>() / values.len() as f64);
        Some(Self {
            frames: values.len(),
            mean,
            percentiles: [0.05, 0.25, 0.5, 0.75, 0.95].map(percentile),
            histogram,
        })
    }
}

/// Frames that have something in common.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Together {
    /// How many they are.
    pub frames: usize,
    /// How many have each verdict.
    pub verdicts: BTreeMap<Verdict, usize>,
    /// For each axis and `overall`, in the rubric's order; axes without a value are missing.
    pub axes: Vec<(String, Spread)>,
}

impl Together {
    fn of(frames: &[(&Frame, Verdict)]) -> Self {
        let mut names: Vec<&str> = Vec::new();
        for figures in frames.iter().flat_map(|(frame, _)| &frame.axes) {
            if !names.contains(&figures.axis.as_str()) {
                names.push(&figures.axis);
            }
        }
        let axis = |name: &&str| {
            let values = frames.iter().filter_map(|(frame, _)| frame.axis(name)?.value).collect();
            Some(((*name).to_owned(), Spread::of(values)?))
        };
        let mut axes: Vec<_> = names.iter().filter_map(axis).collect();
        let overall = Spread::of(frames.iter().filter_map(|(frame, _)| frame.overall).collect());
        axes.extend(overall.map(|spread| ("overall".to_owned(), spread)));
        let mut verdicts = BTreeMap::new();
        for (_, verdict) in frames {
            *verdicts.entry(*verdict).or_default() += 1;
        }
        Self { frames: frames.len(), verdicts, axes }
    }
}

/// All of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Statistics {
    /// All frames.
    pub all: Together,
    /// For each model, if models are known.
    pub by_model: BTreeMap<String, Together>,
    /// For each sampler, if samplers are known.
    pub by_sampler: BTreeMap<String, Together>,
    /// Numbered frames.
    pub sequences: Vec<Sequence>,
}

impl Statistics {
    /// Of `records`, which are sorted by image, with their frames and verdicts.
    pub fn of(records: &[Record], frames: &[Frame], verdicts: &[Verdict]) -> Self {
        let all: Vec<_> = frames.iter().zip(verdicts.iter().copied()).collect();
        let by = |key: &dyn Fn(&Record) -> Option<String>| {
            let mut groups: BTreeMap<String, Vec<(&Frame, Verdict)>> = BTreeMap::new();
            for (record, one) in records.iter().zip(&all) {
                if let Some(key) = key(record) {
                    groups.entry(key).or_default().push(*one);
                }
            }
            groups
                .into_iter()
                .map(|(key, frames)| (key, Together::of(&frames)))
                .collect::<BTreeMap<_, _>>()
        };
        Self {
            all: Together::of(&all),
            by_model: by(&|record| Some(plain_model(record.generation.as_ref()?.model.as_ref()?))),
            by_sampler: by(&|record| {
                Some(plain_sampler(record.generation.as_ref()?.sampler.as_ref()?))
            }),
            sequences: sequences(records, frames),
        }
    }
}

/// For each frame, the axes on which the model and the classical measure that the rubric names for
/// it disagree: the difference of the frame's ranks among all frames, -1..1; above 0 the model
/// ranks the frame higher than the measure. Only differences of at least [`DISAGREEMENT`].
pub fn disagreements(
    records: &[Record],
    frames: &[Frame],
    rubric: &Rubric,
) -> Vec<Vec<(String, f64)>> {
    let mut found: Vec<Vec<(String, f64)>> = frames.iter().map(|_| Vec::new()).collect();
    for axis in &rubric.axes {
        let Some(measure) = &axis.measure else { continue };
        let sign = if Measures::BAD_WHEN_HIGH.contains(&measure.as_str()) { -1.0 } else { 1.0 };
        let mut both: Vec<(usize, f64, f64)> = Vec::new();
        for (place, (record, frame)) in records.iter().zip(frames).enumerate() {
            let value = frame.axis(&axis.name).and_then(|figures| figures.value);
            let measured = record.measures.and_then(|measures| measures.by_name(measure));
            if let Some((value, measured)) = value.zip(measured) {
                both.push((place, value, sign * measured));
            }
        }
        if both.len() < FEWEST_RANKED {
            continue;
        }
        let by_model = ranks(&both.iter().map(|one| one.1).collect::<Vec<_>>());
        let by_measure = ranks(&both.iter().map(|one| one.2).collect::<Vec<_>>());
        for ((place, ..), (model, measure)) in both.iter().zip(by_model.into_iter().zip(by_measure))
        {
            if (model - measure).abs() >= DISAGREEMENT {
                found[*place].push((axis.name.clone(), to_four_decimals(model - measure)));
            }
        }
    }
    found
}

/// With fewer frames, ranks say little.
const FEWEST_RANKED: usize = 20;
/// Ranks that lie half of all frames apart are a disagreement.
pub const DISAGREEMENT: f64 = 0.5;

/// The rank of each value among all, 0 for the least and 1 for the greatest; equal values share the
/// mean of their ranks.
pub(super) fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let same = order[start..]
            .iter()
            .take_while(|&&place| values[place] <= values[order[start]])
            .count();
        let mean = (2 * start + same - 1) as f64 / 2.0;
        for &place in &order[start..start + same] {
            ranks[place] = mean / (values.len() - 1).max(1) as f64;
        }
        start += same;
    }
    ranks
}

/// Frames of one name that are numbered in a row: a video's, perhaps.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sequence {
    /// The name with `#` in place of its number.
    pub name: String,
    /// The frames, by their place among the records, in the order of their numbers.
    pub frames: Vec<usize>,
    /// For each axis, how much its value changes from one frame to the next, on average.
    pub flicker: Vec<(String, f64)>,
    /// The largest change of any axis: the axis, the frame after it by its place among the records,
    /// and by how much.
    pub jump: Option<(String, usize, f64)>,
}

fn sequences(records: &[Record], frames: &[Frame]) -> Vec<Sequence> {
    let mut by_name: BTreeMap<String, Vec<(u64, usize)>> = BTreeMap::new();
    for (place, record) in records.iter().enumerate() {
        if let Some((name, number)) = numbered(&record.image) {
            by_name.entry(name).or_default().push((number, place));
        }
    }
    let mut found = Vec::new();
    for (name, mut places) in by_name {
        places.sort_unstable();
        let mut start = 0;
        for end in 1..=places.len() {
            if end < places.len() && places[end].0 == places[end - 1].0 + 1 {
                continue;
            }
            if end - start >= SHORTEST_SEQUENCE {
                let places: Vec<usize> =
                    places[start..end].iter().map(|(_, place)| *place).collect();
                found.push(sequence(name.clone(), places, frames));
            }
            start = end;
        }
    }
    found
}

fn sequence(name: String, places: Vec<usize>, frames: &[Frame]) -> Sequence {
    let mut changes: Vec<(String, Vec<(usize, f64)>)> = Vec::new();
    for pair in places.windows(2) {
        let [before, after] = [pair[0], pair[1]].map(|place| &frames[place]);
        for figures in &after.axes {
            let values =
                figures.value.zip(before.axis(&figures.axis).and_then(|figures| figures.value));
            let Some((now, then)) = values else { continue };
            let change = (pair[1], (now - then).abs());
            match changes.iter_mut().find(|(axis, _)| *axis == figures.axis) {
                Some((_, changes)) => changes.push(change),
                None => changes.push((figures.axis.clone(), vec![change])),
            }
        }
    }
    let mean = |changes: &[(usize, f64)]| {
        changes.iter().map(|(_, change)| change).sum::<f64>() / changes.len() as f64
    };
    let flicker = changes
        .iter()
        .map(|(axis, changes)| (axis.clone(), to_four_decimals(mean(changes))))
        .collect();
    let each = changes.iter().flat_map(|(axis, changes)| {
        changes.iter().map(move |(place, change)| (axis, *place, *change))
    });
    let jump = each
        .max_by(|a, b| a.2.total_cmp(&b.2))
        .map(|(axis, place, change)| (axis.clone(), place, to_four_decimals(change)));
    Sequence { name, frames: places, flicker, jump }
}

/// `shots/frame_0012.png` is `shots/frame_#.png` and 12; `None` if there is no number. The last
/// number of the file's stem counts.
fn numbered(name: &str) -> Option<(String, u64)> {
    let file = name.rfind('/').map_or(0, |slash| slash + 1);
    let stem_end = name[file..].rfind('.').map_or(name.len(), |dot| file + dot);
    let end = file + name[file..stem_end].rfind(|c: char| c.is_ascii_digit())? + 1;
    let start = file
        + name[file..end].rfind(|c: char| !c.is_ascii_digit()).map_or(0, |before| {
            before + name[file + before..].chars().next().map_or(1, char::len_utf8)
        });
    let number = name[start..end].parse().ok()?;
    Some((format!("{}#{}", &name[..start], &name[end..]), number))
}

/// The keys that frames are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupBy {
    /// The seed: the same noise under several prompts or settings.
    Seed,
    /// The prompt: several tries of one picture.
    Prompt,
    /// The folder that they lie in.
    Folder,
    /// The video that they are frames of.
    Clip,
}

/// Not a [`GroupBy`].
#[derive(Debug, Error)]
#[error("{0:?}: frames can be grouped by seed, prompt, folder or clip")]
pub struct UnknownGroup(String);

impl FromStr for GroupBy {
    type Err = UnknownGroup;

    fn from_str(text: &str) -> Result<Self, UnknownGroup> {
        match text {
            "seed" => Ok(Self::Seed),
            "prompt" => Ok(Self::Prompt),
            "folder" => Ok(Self::Folder),
            "clip" => Ok(Self::Clip),
            _ => Err(UnknownGroup(text.to_owned())),
        }
    }
}

/// Frames of one group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// The seed, the prompt, the folder or the video.
    pub key: String,
    /// By their places among the records.
    pub frames: Vec<usize>,
    /// The frame with the best overall score of those that are not rejected, else of all; of
    /// equals, the first by name. `None` if none was read.
    pub best: Option<usize>,
}

/// The folder of a frame. One that was moved into the folder of its verdict is in that of before.
fn folder(record: &Record) -> &str {
    let image = record.image.as_str();
    let of_verdict = |(folder, _): &(&str, &str)| {
        record.moved_from.is_some()
            && Verdict::ALL.iter().any(|verdict| verdict.as_str() == *folder)
    };
    let image = image.split_once('/').filter(of_verdict).map_or(image, |(_, rest)| rest);
    image.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl GroupBy {
    /// What the frame of `record` has in common with those of its group, if it is known.
    pub(super) fn key(self, record: &Record) -> Option<String> {
        let made = record.generation.as_ref();
        match self {
            Self::Seed => made.and_then(|made| made.seed).map(|seed| seed.to_string()),
            Self::Prompt => made.and_then(|made| made.prompt.clone()),
            Self::Folder => Some(folder(record).to_owned()),
            Self::Clip => clip_of(&record.image).map(|(clip, _)| clip.to_owned()),
        }
    }
}

/// The groups of `records`; a frame whose key is not known is in none.
pub fn groups(
    records: &[Record],
    frames: &[Frame],
    verdicts: &[Verdict],
    by: GroupBy,
) -> Vec<Group> {
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (place, record) in records.iter().enumerate() {
        if let Some(key) = by.key(record) {
            groups.entry(key).or_default().push(place);
        }
    }
    let best = |places: &[usize]| {
        let rank = |place: &usize| {
            let frame = &frames[*place];
            let overall = frame.overall.filter(|_| frame.unread.is_none())?;
            Some((verdicts[*place] != Verdict::Reject, overall))
        };
        let mut best: Option<(usize, (bool, f64))> = None;
        for place in places {
            if let Some(rank) = rank(place)
                && best.is_none_or(|(_, known)| rank > known)
            {
                best = Some((*place, rank));
            }
        }
        best.map(|(place, _)| place)
    };
    groups.into_iter().map(|(key, frames)| Group { best: best(&frames), key, frames }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::frame::tests::{LEVELS, record};
    use super::*;
    use crate::record::GenerationSettings;

    fn run(values: &[(&str, f64, u64)]) -> (Vec<Record>, Vec<Frame>) {
        let rubric = Rubric::read(
            "name = \"r\"\n[[axis]]\nname = \"hands\"\nkind = \"level\"\nquestion = \"q\"",
        )
        .unwrap();
        let records: Vec<Record> = values
            .iter()
            .map(|(name, value, seed)| {
                let mut record =
                    record(&[("hands", LEVELS, &[1.0 - value, 0.0, 0.0, 0.0, *value])]);
                record.image = (*name).to_owned();
                let (seed, model) = (Some(*seed), Some(format!("m{seed}")));
                record.generation = Some(Box::new(GenerationSettings {
                    model,
                    seed,
                    ..GenerationSettings::default()
                }));
                record
            })
            .collect();
        let frames = records.iter().map(|record| Frame::of(record, &rubric)).collect();
        (records, frames)
    }

    #[test]
    fn spreads_by_model_and_over_all() {
        let (records, frames) = run(&[("a.png", 0.0, 1), ("b.png", 0.5, 1), ("c.png", 1.0, 2)]);
        let statistics =
            Statistics::of(&records, &frames, &[Verdict::Reject, Verdict::Keep, Verdict::Keep]);
        let (name, spread) = &statistics.all.axes[0];
        assert_eq!((name.as_str(), spread.frames, spread.mean), ("hands", 3, 0.5));
        assert_eq!(format!("{:?}", spread.percentiles), "[0.05, 0.25, 0.5, 0.75, 0.95]");
        assert_eq!((spread.histogram[0], spread.histogram[10], spread.histogram[19]), (1, 1, 1));
        assert_eq!(statistics.by_model["m1"].frames, 2);
        assert_eq!(statistics.by_model["m2"].verdicts[&Verdict::Keep], 1);
        assert!(statistics.by_sampler.is_empty());
    }

    #[test]
    fn numbered_frames_flicker() {
        let names = ["v/f_08.png", "v/f_09.png", "v/f_10.png", "v/f_20.png", "x.png"];
        let values = [0.5, 0.7, 0.2, 0.9, 0.1];
        let all: Vec<_> = names.iter().zip(values).map(|(name, value)| (*name, value, 1)).collect();
        let (records, frames) = run(&all);
        let found = sequences(&records, &frames);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), &found[0].frames), ("v/f_#.png", &vec![0, 1, 2]));
        assert_eq!(found[0].flicker, [("hands".to_owned(), 0.35)]);
        assert_eq!(found[0].jump, Some(("hands".to_owned(), 2, 0.5)));
    }

    #[test]
    fn where_model_and_measure_disagree() {
        let rubric = Rubric::read(
            "name = \"r\"\n[[axis]]\nname = \"hands\"\nkind = \"level\"\nquestion = \"q\"\n\
             measure = \"noise\"",
        )
        .unwrap();
        let names: Vec<String> = (0..21).map(|place| format!("{place:02}.png")).collect();
        let values: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(place, name)| (name.as_str(), place as f64 / 20.0, 1))
            .collect();
        let (mut records, frames) = run(&values);
        for (place, record) in records.iter_mut().enumerate() {
            let noise = 20.0 - place as f64;
            record.measures = Some(Measures { noise, ..crate::image::measure(4, 4, &[0; 48]) });
        }
        assert!(
            disagreements(&records, &frames, &rubric).iter().all(Vec::is_empty),
            "less noise is better"
        );
        records[20].measures =
            Some(Measures { noise: 100.0, ..crate::image::measure(4, 4, &[0; 48]) });
        let found = disagreements(&records, &frames, &rubric);
        assert_eq!(found[20], [("hands".to_owned(), 1.0)], "the model alone likes it");
        assert!(found[..20].iter().all(Vec::is_empty));
        assert_eq!(ranks(&[3.0, 1.0, 3.0]), [0.75, 0.0, 0.75]);
    }

    #[test]
    fn numbers_in_names() {
        for (name, is) in [
            ("a/frame0012.png", Some(("a/frame#.png", 12))),
            ("12.png", Some(("#.png", 12))),
            ("shot 3 take 7.webp", Some(("shot 3 take #.webp", 7))),
            ("é7é.png", Some(("é#é.png", 7))),
            ("v2/a.png", None),
            ("99999999999999999999999.png", None),
        ] {
            assert_eq!(
                numbered(name),
                is.map(|(name, number)| (name.to_owned(), number)),
                "{name}"
            );
        }
    }

    #[test]
    fn the_best_of_a_group_is_not_a_reject_where_there_is_another() {
        let (records, mut frames) =
            run(&[("a.png", 0.9, 1), ("b.png", 0.5, 1), ("c.png", 1.0, 2), ("d.png", 1.0, 3)]);
        frames[3].unread = Some("failed".to_owned());
        let verdicts = [Verdict::Reject, Verdict::Review, Verdict::Reject, Verdict::Review];
        let found = groups(&records, &frames, &verdicts, GroupBy::Seed);
        let best: Vec<_> = found.iter().map(|group| (group.key.as_str(), group.best)).collect();
        assert_eq!(best, [("1", Some(1)), ("2", Some(2)), ("3", None)]);
        assert_eq!(groups(&records, &frames, &verdicts, GroupBy::Folder).len(), 1);
        assert!(groups(&records, &frames, &verdicts, GroupBy::Prompt).is_empty());
        assert!(groups(&records, &frames, &verdicts, GroupBy::Clip).is_empty());
        let (records, frames) = run(&[
            ("a.mp4#t=00:00:01.000", 0.5, 1),
            ("a.mp4#t=00:00:02.000", 0.9, 2),
            ("a.png", 1.0, 3),
            ("in/b.mp4#t=00:00:01.000", 0.2, 4),
        ]);
        let found = groups(&records, &frames, &[Verdict::Keep; 4], GroupBy::Clip);
        let best: Vec<_> = found.iter().map(|group| (group.key.as_str(), group.best)).collect();
        assert_eq!(best, [("a.mp4", Some(1)), ("in/b.mp4", Some(3))]);
    }
}
