//! Verdicts to files.
//!
//! In: the records of a critique, the rubric, the verdicts on them. Out: tables, lists, sorted
//! folders, statistics and a contact sheet in the run's directory. Promises: all of it is a
//! function of the journal and the rubric, so that changed rules cost no inference.

mod by_hand;
mod moving;
mod sheet;
mod tables;
mod training;
mod xmp;

use std::collections::BTreeSet;
use std::str::FromStr;

pub use by_hand::{add_overrules, kept_overrules, read_overrules};
pub use moving::{MovedFrames, bring_along, move_frames};
pub use tables::write_pairs;
pub use xmp::{RatedFrames, rate_in_files, rate_in_xmp};

use super::options::SortBy;
use super::sorted;
use super::{ExportError, Exported, Run};
use crate::critique::{
    Frame, Gates, Group, Grouping, Judged, Overrules, Rubric, Statistics, Verdict, groups,
    near_copies,
};
use crate::ownership::OutputDirectory;
use crate::record::{AnswerStatus, CritiqueSettings, Record};

/// A file that verdicts are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum VerdictFormat {
    /// `verdicts.jsonl`: one line a frame.
    Jsonl,
    /// `verdicts.csv`: one row a frame.
    Csv,
    /// `keep.txt`, `review.txt`, `reject.txt`: one name a line.
    Lists,
    /// `statistics.json`: how the axes are spread, by model and sampler too.
    Statistics,
    /// `sheet/`: a contact sheet for a browser.
    Sheet,
    /// `training/`: the kept frames with captions.
    Training,
}

impl VerdictFormat {
    /// Every format.
    pub const ALL: [Self; 6] =
        [Self::Jsonl, Self::Csv, Self::Lists, Self::Statistics, Self::Sheet, Self::Training];
    /// Those that are written unless others are asked for.
    pub const USUAL: [Self; 5] =
        [Self::Jsonl, Self::Csv, Self::Lists, Self::Statistics, Self::Sheet];

    /// The format's name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Lists => "lists",
            Self::Statistics => "statistics",
            Self::Sheet => "sheet",
            Self::Training => "training",
        }
    }
}

impl FromStr for VerdictFormat {
    type Err = ExportError;

    fn from_str(name: &str) -> Result<Self, ExportError> {
        let known = Self::ALL.into_iter().find(|format| format.as_str() == name);
        known.ok_or_else(|| ExportError::UnknownVerdictFormat { name: name.to_owned() })
    }
}

/// A judged run.
pub struct Critique<'r> {
    /// Sorted by image.
    pub records: &'r [Record],
    /// The rubric that judged them.
    pub rubric: &'r Rubric,
    /// The figures of each record.
    pub frames: Vec<Frame>,
    /// The verdict on each record.
    pub judged: Vec<Judged>,
    /// Empty unless groups were asked for.
    pub groups: Option<Vec<Group>>,
    /// How many verdicts by hand are of no frame here.
    pub overrules_of_no_frame: usize,
}

impl<'r> Critique<'r> {
    /// Judges `records`, which are sorted by image; what a person said counts before the rules. Near
    /// copies are looked for among the frames that belong together by `grouping`.
    pub fn of(
        records: &'r [Record],
        rubric: &'r Rubric,
        gates: &Gates,
        overrules: &Overrules,
        grouping: impl Into<Grouping>,
    ) -> Self {
        let grouping = grouping.into();
        let marks = CritiqueSettings::of(rubric).marks();
        let of = |record| Frame::of_asked(record, rubric, &marks);
        let mut frames: Vec<Frame> = records.iter().map(of).collect();
        let (by_hand, overrules_of_no_frame) = overrules.of(records);
        let judge = |((frame, record), by_hand): ((&Frame, &Record), Option<Verdict>)| {
            let judged = gates.judge(frame, record);
            by_hand.map_or_else(|| judged.clone(), |verdict| judged.clone().overruled(verdict))
        };
        let all = |frames: &[Frame]| -> Vec<Judged> {
            frames.iter().zip(records).zip(by_hand.iter().copied()).map(judge).collect()
        };
        let mut judged = all(&frames);
        // A frame that is rejected for itself is not the best of its copies.
        let verdicts: Vec<Verdict> = judged.iter().map(|one| one.verdict).collect();
        for (place, best) in
            near_copies(records, &frames, &verdicts, grouping).into_iter().enumerate()
        {
            frames[place].duplicate_of = best.map(|best| records[best].image.clone());
        }
        if gates.name_near_copies() {
            judged = all(&frames);
        }
        let mut critique =
            Self { records, rubric, frames, judged, groups: None, overrules_of_no_frame };
        critique.groups =
            grouping.by.map(|by| groups(records, &critique.frames, &critique.verdicts(), by));
        critique
    }

    /// The verdict on each record.
    pub fn verdicts(&self) -> Vec<Verdict> {
        self.judged.iter().map(|judged| judged.verdict).collect()
    }

    /// How many frames were read, but have no hash of how they look.
    pub fn without_look(&self) -> usize {
        let lacks =
            |record: &&Record| record.look.is_none() && record.status != AnswerStatus::Failed;
        self.records.iter().filter(lacks).count()
    }

    /// Statistics over all frames.
    pub fn statistics(&self) -> Statistics {
        Statistics::of(self.records, &self.frames, &self.verdicts())
    }
}

/// Writes `formats` into `out`, and folders of frames: by their verdict as `sort` says, of the best
/// of each group as `best` says. `run` has the images' folder.
///
/// A format that fails is among the failures and keeps no other from being written; an image that
/// can no longer be read is a remark.
pub fn export_verdicts(
    critique: &Critique<'_>,
    run: &Run,
    formats: &[VerdictFormat],
    sort: Option<SortBy>,
    best: Option<SortBy>,
    out: &OutputDirectory,
) -> Exported {
    let mut exported = Exported::default();
    for format in formats {
        let written = match format {
            VerdictFormat::Jsonl => tables::jsonl(critique, out, &mut exported),
            VerdictFormat::Csv => tables::csv(critique, out, &mut exported),
            VerdictFormat::Lists => tables::lists(critique, out, &mut exported),
            VerdictFormat::Statistics => {
                super::write_json(out, "statistics.json", &critique.statistics(), &mut exported)
            }
            VerdictFormat::Sheet => sheet::write(critique, run, out, &mut exported),
            VerdictFormat::Training => training::write(critique, run, out, &mut exported),
        };
        exported.keep(format.as_str(), written);
    }
    if critique.groups.is_some() {
        let written = tables::groups(critique, out, &mut exported);
        exported.keep("groups", written);
        let written = tables::best(critique, out, &mut exported);
        exported.keep("best", written);
    }
    if let Some(sort) = sort {
        let folders = Verdict::ALL.map(|verdict| verdict.as_str().to_owned());
        let verdict = |place: usize| [critique.judged[place].verdict.as_str().to_owned()].into();
        let records = critique.records;
        let written =
            sorted::write(run, records, "sorted", &folders, verdict, sort, out, &mut exported);
        exported.keep("sorted", written);
    }
    if let (Some(groups), Some(best)) = (&critique.groups, best) {
        let places: BTreeSet<usize> = groups.iter().filter_map(|group| group.best).collect();
        let records: Vec<Record> =
            places.iter().map(|place| critique.records[*place].clone()).collect();
        let here = |_: usize| [String::new()].into();
        let written = sorted::write(run, &records, "best", &[], here, best, out, &mut exported);
        exported.keep("best", written);
    }
    exported
}
