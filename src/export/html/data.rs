//! The page's facts about a run.
//!
//! In: records and the manifest. Out: one JSON value. Promises: it holds the page's contents and no
//! more: no path of the machine except the link to the images, and of a raw answer only the
//! beginning, and only if the boxes do not say it all.

use std::collections::HashMap;

use serde::Serialize;

use super::super::draw::palette::colour;
use super::super::{Input, Run};
use crate::answer::text_of;
use crate::record::{AnswerStatus, BudgetChoice, Record, Sampling, to_four_decimals};

/// The most characters of an answer that went wrong.
const SHOWN_ANSWER: usize = 600;

#[derive(Debug, Serialize)]
pub(super) struct Data<'r> {
    title: String,
    facts: Vec<(&'static str, String)>,
    /// Seconds since 1970.
    started: Option<u64>,
    /// Link to the folder of the images.
    folder: Option<String>,
    statuses: [AnswerStatus; 8],
    labels: Vec<Label>,
    images: Vec<Image<'r>>,
}

#[derive(Debug, Serialize)]
struct Label {
    name: String,
    colour: String,
    /// The colour of text on it.
    ink: String,
}

#[derive(Debug, Serialize)]
struct Image<'r> {
    name: &'r str,
    width: u32,
    height: u32,
    status: AnswerStatus,
    /// Whether there is one.
    thumbnail: bool,
    /// Whether a browser shows the file the way the boxes were measured.
    original: bool,
    boxes: Vec<ShownBox>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
}

#[derive(Debug, Serialize)]
struct ShownBox {
    label: usize,
    /// To a tenth of a pixel.
    bbox: [f64; 4],
    score: Option<f64>,
}

/// The name of the thumbnail of the image at `index`; the page knows the same rule.
pub(super) fn thumbnail_name(index: usize) -> String {
    format!("{:06}.jpg", index + 1)
}

impl<'r> Data<'r> {
    /// `seen` says of each record whether it has a thumbnail.
    pub(super) fn of(input: &Input<'r>, seen: &[bool], folder: Option<String>) -> Self {
        let names = input.labels;
        let places: HashMap<&str, usize> =
            names.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
        let images = input.records.iter().zip(seen).map(|(record, &thumbnail)| Image {
            name: &record.image,
            width: record.width,
            height: record.height,
            status: record.status,
            thumbnail,
            original: thumbnail && (input.run.apply_orientation || record.orientation == 1),
            boxes: boxes(record, &places),
            reason: record.reason.as_deref(),
            notes: notes(record),
            answer: answer(record),
        });
        let images = images.collect();
        let labels = names.iter().enumerate().map(|(place, name)| {
            let colour = colour(place);
            Label { name: name.clone(), colour: colour.css(), ink: colour.ink().css() }
        });
        Self {
            title: title(input.run),
            facts: facts(input.run),
            started: input.run.manifest.as_ref().and_then(|manifest| manifest.started),
            folder,
            statuses: AnswerStatus::ALL,
            labels: labels.collect(),
            images,
        }
    }
}

fn title(run: &Run) -> String {
    match run.manifest.as_ref().map(|manifest| &manifest.settings) {
        Some(Some(settings)) if settings.critique.is_some() => {
            "Frames judged by a rubric".to_owned()
        }
        Some(Some(settings)) => match (&settings.task, &settings.image_prompts) {
            (Some(task), None) => task.text(),
            (Some(task), Some(_)) => {
                format!("{}; some images have prompts of their own", task.text())
            }
            (None, _) => "Every image has its own prompt".to_owned(),
        },
        Some(None) => "Answers that were made elsewhere".to_owned(),
        None => "Several runs".to_owned(),
    }
}

pub(in crate::export) fn facts(run: &Run) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if !run.models.is_empty() {
        facts.push(("Model", run.models.join(", ")));
    }
    let Some(manifest) = &run.manifest else { return facts };
    if let Some(settings) = &manifest.settings {
        let budget = match settings.budget {
            BudgetChoice::Fixed(budget) => format!("{budget} soft tokens"),
            BudgetChoice::Auto { max } => format!("auto, up to {max} soft tokens"),
        };
        facts.push(("Budget", budget));
        let sampling = match settings.sampling {
            Sampling::Greedy => "greedy".to_owned(),
            Sampling::Drawn { temperature, seed, .. } => {
                format!("temperature {temperature}, seed {seed}")
            }
        };
        facts.push(("Sampling", sampling));
    }
    facts.push(("Gemscope", manifest.gemscope.clone()));
    facts
}

fn boxes(record: &Record, places: &HashMap<&str, usize>) -> Vec<ShownBox> {
    let boxes = record.detections.iter().filter_map(|detection| {
        Some(ShownBox {
            label: *places.get(detection.label.as_str())?,
            bbox: <[f64; 4]>::from(detection.bbox).map(|side| (side * 10.0).round() / 10.0),
            score: detection.score.map(to_four_decimals),
        })
    });
    boxes.collect()
}

/// `clamped 2, malformed json`.
fn notes(record: &Record) -> Option<String> {
    let words = record.notes.iter().map(|note| {
        let kind = serde_json::to_value(note.kind).ok();
        let kind =
            kind.as_ref().and_then(|kind| kind.as_str()).unwrap_or_default().replace('_', " ");
        if note.count > 1 { format!("{kind} {}", note.count) } else { kind }
    });
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// The text that was asked for; the beginning of the raw answers, if the boxes do not say it all.
fn answer(record: &Record) -> Option<String> {
    if matches!(record.status, AnswerStatus::Ok | AnswerStatus::Empty) || record.answers.is_empty()
    {
        return None;
    }
    if let Some(text) = text_of(record) {
        return Some(text);
    }
    let texts: Vec<&str> = record.answers.iter().map(|answer| answer.text.as_str()).collect();
    let text = texts.join("\n\n");
    let end = text.char_indices().nth(SHOWN_ANSWER).map(|(end, _)| end);
    Some(end.map_or_else(|| text.clone(), |end| format!("{}…", &text[..end])))
}
