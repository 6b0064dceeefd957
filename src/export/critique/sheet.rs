//! `sheet/`: a contact sheet for a browser, the worst frames first, and the thumbnails beside it.
//!
//! In: a judged run and, if they are available, the images. Out: `index.html`, which loads nothing
//! but pictures, and `thumbnails/`. Promises: as `report/`: nothing that comes from a run can
//! become markup or script, and the page needs no network.

use serde::Serialize;

use super::super::draw::palette::colour;
use super::super::folder::Fresh;
use super::super::html::{draw_thumbnails, facts};
use super::super::{ExportError, Exported, Run};
use super::Critique;
use crate::critique::{Axis, AxisFigures, Group, Statistics, Verdict, disagreements};
use crate::ownership::OutputDirectory;
use crate::page::{RunPage, relative_link};
use crate::record::{
    GenerationSettings, Measures, Note, NoteKind, Record, plain_model, plain_sampler,
    to_four_decimals,
};

const PAGE: RunPage = RunPage {
    kind: "contact sheet",
    item: "frame",
    search: "search",
    template: include_str!("page/sheet.html"),
    style: include_str!("page/sheet.css"),
    choice: include_str!("page/choose.js"),
    scripts: &[
        include_str!("page/sheet.js"),
        include_str!("page/by_hand.js"),
        include_str!("page/frame.js"),
    ],
};

/// The page's facts about a run.
#[derive(Serialize)]
struct Data<'c> {
    title: &'c str,
    facts: Vec<(&'static str, String)>,
    /// Seconds since 1970.
    started: Option<u64>,
    /// Link to the folder of the images.
    folder: Option<String>,
    verdicts: [Verdict; 3],
    /// In order; what fired beside them (not read, no rule) is in the frames alone.
    rules: &'c [String],
    axes: &'c [Axis],
    /// Names of measures that are worse the higher they are.
    bad_when_high: &'static [&'static str],
    labels: Vec<Label<'c>>,
    statistics: Statistics,
    groups: Option<&'c [Group]>,
    /// The thumbnail of the frame at `i` is `thumbnails/` and `i + 1` in six digits.
    frames: Vec<FrameData<'c>>,
}

#[derive(Serialize)]
struct Label<'c> {
    name: &'c str,
    colour: String,
    /// The colour of text on it.
    ink: String,
}

#[derive(Serialize)]
struct FrameData<'c> {
    name: &'c str,
    width: u32,
    height: u32,
    /// Whether there is one.
    thumbnail: bool,
    /// Whether a browser shows the file the way the boxes were measured.
    original: bool,
    verdict: Verdict,
    rule: &'c str,
    /// What the rules say, if a person overruled them.
    #[serde(skip_serializing_if = "Option::is_none")]
    by_rules: Option<Verdict>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<&'c str>,
    overall: Option<f64>,
    /// The better frame that it is a near copy of.
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate_of: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unread: Option<&'c str>,
    /// Which frames of an animated file were judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    animated: Option<&'c str>,
    axes: &'c [AxisFigures],
    /// Axes on which model and measure disagree: the difference of the frame's ranks, above 0 if
    /// the model ranks the frame higher.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    disagrees: Vec<(String, f64)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    boxes: Vec<ShownBox<'c>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    measures: Option<Measures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    made: Option<&'c GenerationSettings>,
    /// Model and sampler as the statistics call them.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sampler: Option<String>,
}

#[derive(Serialize)]
struct ShownBox<'c> {
    label: usize,
    /// To a tenth of a pixel.
    bbox: [f64; 4],
    score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sentence: Option<&'c str>,
}

pub(super) fn write(
    critique: &Critique<'_>,
    run: &Run,
    out: &OutputDirectory,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    let folder = Fresh::begin(out, "sheet")?;
    let seen = draw_thumbnails(run, critique.records, "sheet", &folder, exported)?;
    let link = run.images.as_deref().and_then(|images| relative_link(&out.join("sheet"), images));
    let data = data(critique, run, &seen, link);
    let page = PAGE
        .whole(&data)
        .map_err(|error| ExportError::Write { path: out.join("sheet/index.html"), error })?;
    folder.write("index.html", page.as_bytes())?;
    folder.put(exported)
}

fn data<'c>(
    critique: &'c Critique<'c>,
    run: &Run,
    seen: &[bool],
    folder: Option<String>,
) -> Data<'c> {
    let mut names: Vec<&str> = Vec::new();
    for detection in critique.records.iter().flat_map(|record| &record.detections) {
        if !names.contains(&detection.label.as_str()) {
            names.push(&detection.label);
        }
    }
    let labels = names.iter().enumerate().map(|(place, &name)| {
        let colour = colour(place);
        Label { name, colour: colour.css(), ink: colour.ink().css() }
    });
    let disagrees = disagreements(critique.records, &critique.frames, critique.rubric);
    let both = critique.records.iter().zip(&critique.frames).zip(&critique.judged);
    let frames = both.zip(seen).zip(disagrees).map(
        |((((record, frame), judged), &thumbnail), disagrees)| FrameData {
            name: &record.image,
            width: record.width,
            height: record.height,
            thumbnail,
            original: thumbnail && (run.apply_orientation || record.orientation == 1),
            verdict: judged.verdict,
            rule: &judged.rule,
            by_rules: judged.by_rules,
            sha256: record.sha256.as_deref(),
            overall: frame.overall,
            duplicate_of: frame.duplicate_of.as_deref(),
            unread: frame.unread.as_deref(),
            animated: animated(record),
            axes: &frame.axes,
            disagrees,
            boxes: boxes(record, &names),
            measures: record.measures,
            made: record.generation.as_deref(),
            model: record
                .generation
                .as_ref()
                .and_then(|made| made.model.as_deref())
                .map(plain_model),
            sampler: record
                .generation
                .as_ref()
                .and_then(|made| made.sampler.as_deref())
                .map(plain_sampler),
        },
    );
    Data {
        title: &critique.rubric.name,
        facts: facts(run),
        started: run.manifest.as_ref().and_then(|manifest| manifest.started),
        folder,
        verdicts: Verdict::ALL,
        rules: &critique.rubric.rules,
        axes: &critique.rubric.axes,
        bad_when_high: Measures::BAD_WHEN_HIGH,
        frames: frames.collect(),
        labels: labels.collect(),
        statistics: critique.statistics(),
        groups: critique.groups.as_deref(),
    }
}

/// Which frames of an animated file were judged, in words.
fn animated(record: &Record) -> Option<&str> {
    let is_it = |note: &&Note| matches!(note.kind, NoteKind::Animated | NoteKind::AnimatedTogether);
    record.notes.iter().find(is_it)?.detail.as_deref()
}

fn boxes<'c>(record: &'c Record, names: &[&str]) -> Vec<ShownBox<'c>> {
    let boxes = record.detections.iter().filter_map(|detection| {
        Some(ShownBox {
            label: names.iter().position(|name| *name == detection.label)?,
            bbox: <[f64; 4]>::from(detection.bbox).map(|side| (side * 10.0).round() / 10.0),
            score: detection.score.map(to_four_decimals),
            sentence: detection.sentence.as_deref(),
        })
    });
    boxes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_safe() {
        PAGE.check();
    }
}
