//! Verdicts as text: JSON lines, a table, lists of names.
//!
//! In: a judged run. Out: files of one line a frame. Promises: every frame has its line; text is
//! escaped for its file's format.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use super::super::csv::cell;
use super::super::{ExportError, Exported, write_file};
use super::Critique;
use crate::critique::{AxisFigures, Judged, Verdict};
use crate::ownership::OutputDirectory;
use crate::record::{
    AnswerStatus, Detection, GenerationSettings, Measures, Note, PairRecord, Record, plain_model,
    plain_sampler,
};

/// One line of `verdicts.jsonl`.
#[derive(Serialize)]
struct Line<'c> {
    image: &'c str,
    #[serde(flatten)]
    judged: &'c Judged,
    overall: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate_of: Option<&'c str>,
    status: AnswerStatus,
    axes: &'c [AxisFigures],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    defects: &'c [Detection],
    #[serde(skip_serializing_if = "Option::is_none")]
    measures: Option<Measures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<&'c GenerationSettings>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    notes: &'c [Note],
}

impl<'c> Line<'c> {
    /// That of the frame at `place`, if there is one.
    fn of(critique: &'c Critique<'_>, place: usize) -> Option<Self> {
        let (record, frame) = (critique.records.get(place)?, critique.frames.get(place)?);
        Some(Self {
            image: &record.image,
            judged: critique.judged.get(place)?,
            overall: frame.overall,
            duplicate_of: frame.duplicate_of.as_deref(),
            status: record.status,
            axes: &frame.axes,
            defects: &record.detections,
            measures: record.measures,
            generation: record.generation.as_deref(),
            notes: &record.notes,
        })
    }
}

impl Critique<'_> {
    /// The frame at `place` as its line of `verdicts.jsonl`, without the end of the line; `None` if
    /// there is no such frame.
    ///
    /// # Errors
    /// If a number in it is no number in JSON.
    pub fn line(&self, place: usize) -> serde_json::Result<Option<String>> {
        Line::of(self, place).map(|line| serde_json::to_string(&line)).transpose()
    }
}

pub(super) fn jsonl(
    critique: &Critique<'_>,
    out: &OutputDirectory,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    const FILE: &str = "verdicts.jsonl";
    let mut lines = Vec::new();
    for line in (0..critique.records.len()).filter_map(|place| Line::of(critique, place)) {
        serde_json::to_writer(&mut lines, &line)
            .map_err(|error| ExportError::Write { path: out.join(FILE), error: error.into() })?;
        lines.push(b'\n');
    }
    write_file(out, FILE, &lines, exported)
}

/// A row a frame: verdict and rule, value and entropy of each axis, measures, and what the frame
/// was made with.
pub(super) fn csv(
    critique: &Critique<'_>,
    out: &OutputDirectory,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    let axes: Vec<&str> = critique.rubric.axes.iter().map(|axis| axis.name.as_str()).collect();
    let mut header: Vec<String> =
        ["image", "verdict", "reason", "rule", "not_asked", "overall", "duplicate_of"]
            .map(str::to_owned)
            .to_vec();
    header.extend(axes.iter().flat_map(|axis| [(*axis).to_owned(), format!("{axis}_entropy")]));
    header.extend(Measures::NAMES.iter().map(|name| format!("measured_{name}")));
    header.extend(["model", "seed", "sampler", "steps", "prompt"].map(str::to_owned));
    let rows = critique.records.iter().zip(&critique.frames).zip(&critique.judged).map(
        |((record, frame), judged)| {
            let number =
                |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
            let mut row = vec![
                cell(&record.image),
                judged.verdict.to_string(),
                cell(judged.decided_by()),
                cell(&judged.rule),
                judged.not_asked.join(" "),
                number(frame.overall),
                cell(frame.duplicate_of.as_deref().unwrap_or_default()),
            ];
            for axis in &axes {
                let figures = frame.axis(axis);
                row.push(number(figures.and_then(|figures| figures.value)));
                row.push(number(figures.map(|figures| figures.entropy)));
            }
            let measure =
                |name: &&str| number(record.measures.and_then(|measures| measures.by_name(name)));
            row.extend(Measures::NAMES.iter().map(measure));
            let made = record.generation.as_deref().cloned().unwrap_or_default();
            let text = |text: Option<String>| cell(&text.unwrap_or_default());
            row.extend([
                text(made.model.as_deref().map(plain_model)),
                text(made.seed.map(|seed| seed.to_string())),
                text(made.sampler.as_deref().map(plain_sampler)),
                text(made.steps.map(|steps| steps.to_string())),
                text(made.prompt),
            ]);
            row
        },
    );
    table("verdicts.csv", header, rows, out, exported)
}

/// A row a frame of a group: the group, the frame, its overall score, and whether it is the best.
pub(super) fn groups(
    critique: &Critique<'_>,
    out: &OutputDirectory,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    let header = ["group", "image", "verdict", "overall", "best"].map(str::to_owned).to_vec();
    let rows = critique.groups.iter().flatten().flat_map(|group| {
        group.frames.iter().map(move |&place| {
            let overall = critique.frames[place].overall;
            vec![
                cell(&group.key),
                cell(&critique.records[place].image),
                critique.judged[place].verdict.to_string(),
                overall.map(|value| value.to_string()).unwrap_or_default(),
                if group.best == Some(place) { "best".to_owned() } else { String::new() },
            ]
        })
    });
    table("groups.csv", header, rows, out, exported)
}

/// `best.txt`: the name of the best frame of each group, one a line.
pub(super) fn best(
    critique: &Critique<'_>,
    out: &OutputDirectory,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    let best: BTreeSet<usize> =
        critique.groups.iter().flatten().filter_map(|group| group.best).collect();
    list("best.txt", best.iter().map(|place| &critique.records[*place]), out, exported)
}

/// Writes `pairs.csv`, a row a pair, and returns its path.
///
/// # Errors
/// [`ExportError::Write`].
pub fn write_pairs(records: &[PairRecord], out: &OutputDirectory) -> Result<PathBuf, ExportError> {
    let header = [
        "name",
        "better",
        "first_better_shown_first",
        "first_better_shown_second",
        "mass",
        "reason",
    ];
    let rows = records.iter().map(|record| {
        let [one, other] = record.first_better.map_or([None; 2], |both| both.map(Some));
        let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        vec![
            cell(&record.name),
            record.preference.as_str().to_owned(),
            number(one),
            number(other),
            number(record.mass.map(|[one, other]| one.min(other))),
            cell(record.reason.as_deref().unwrap_or_default()),
        ]
    });
    let mut exported = Exported::default();
    table("pairs.csv", header.map(str::to_owned).to_vec(), rows, out, &mut exported)?;
    Ok(out.join("pairs.csv"))
}

fn table(
    name: &str,
    header: Vec<String>,
    rows: impl Iterator<Item = Vec<String>>,
    out: &OutputDirectory,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    let failed = |error: std::io::Error| ExportError::Write { path: out.join(name), error };
    let mut table = ::csv::Writer::from_writer(Vec::new());
    for row in std::iter::once(header).chain(rows) {
        table.write_record(row).map_err(|error| failed(error.into()))?;
    }
    let bytes = table.into_inner().map_err(|error| failed(error.into_error()))?;
    write_file(out, name, &bytes, exported)
}

/// `keep.txt`, `review.txt` and `reject.txt`: the names of the frames, as they are relative to the
/// run's folder, one a line.
pub(super) fn lists(
    critique: &Critique<'_>,
    out: &OutputDirectory,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    for verdict in Verdict::ALL {
        let both = critique.records.iter().zip(&critique.judged);
        let records = both.filter(|(_, judged)| judged.verdict == verdict);
        list(&format!("{verdict}.txt"), records.map(|(record, _)| record), out, exported)?;
    }
    Ok(())
}

/// The names of `records`, one a line.
fn list<'r>(
    name: &str,
    records: impl Iterator<Item = &'r Record>,
    out: &OutputDirectory,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    let mut list = String::new();
    let mut broken = 0;
    for record in records {
        // A name of two lines would be read as two names.
        if record.image.contains(['\n', '\r']) {
            broken += 1;
        } else {
            let _ = writeln!(list, "{}", record.image);
        }
    }
    if broken > 0 {
        exported.remarks.push(format!(
            "lists: {broken} names with a line break are left out of {name}; verdicts.jsonl has \
             them"
        ));
    }
    write_file(out, name, list.as_bytes(), exported)
}
