//! `detections.jsonl`: one line an image, without the raw answers.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{ExportError, Exported, Input, write_file};
use crate::answer::text_of;
use crate::ownership::OutputDirectory;
use crate::record::{AnswerStatus, Capture, Detection, FoundPoint, Note, Record, ShownClip};

/// One image, and what was found in it.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Line<'r> {
    /// The image's name: its path relative to the run's root, with `/`.
    image: &'r str,
    /// Width of the upright image in pixels; 0 if it could not be decoded.
    width: u32,
    /// Height of the upright image in pixels; 0 if it could not be decoded.
    height: u32,
    /// The frames that were shown, of a record about a whole video.
    #[serde(skip_serializing_if = "Option::is_none")]
    clip: Option<&'r ShownClip>,
    /// How it ended.
    status: AnswerStatus,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'r str>,
    /// Its boxes, as the export's filters leave them.
    detections: &'r [Detection],
    /// Its points, of an answer that points at things.
    #[serde(default, skip_serializing_if = "<[FoundPoint]>::is_empty")]
    points: &'r [FoundPoint],
    /// Repairs and omissions on the way.
    notes: &'r [Note],
    /// The answer to a question that asks for no boxes.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The values of a structured answer about the whole image.
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<&'r Map<String, Value>>,
    /// When, and with which camera, the image was taken.
    #[serde(flatten)]
    capture: Option<&'r Capture>,
}

/// A record as its line of `detections.jsonl`, without the end of the line.
///
/// # Errors
/// If a number in it is no number in JSON.
pub fn jsonl_line(record: &Record) -> serde_json::Result<String> {
    serde_json::to_string(&Line::of(record))
}

impl<'r> Line<'r> {
    fn of(record: &'r Record) -> Self {
        Self {
            image: &record.image,
            width: record.width,
            height: record.height,
            clip: record.clip.as_deref(),
            status: record.status,
            reason: record.reason.as_deref(),
            detections: &record.detections,
            points: &record.points,
            notes: &record.notes,
            text: text_of(record),
            fields: record.fields.as_deref(),
            capture: record.capture.as_deref(),
        }
    }
}

pub(super) fn write(
    input: &Input<'_>,
    out: &OutputDirectory,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    let mut bytes = Vec::new();
    for record in input.records {
        serde_json::to_writer(&mut bytes, &Line::of(record)).map_err(|error| {
            ExportError::Write { path: out.path().to_owned(), error: error.into() }
        })?;
        bytes.push(b'\n');
    }
    write_file(out, "detections.jsonl", &bytes, exported)
}

#[cfg(test)]
mod tests {
    use super::Line;
    use crate::record::assert_schema_file;

    #[test]
    fn the_schema_of_a_line_is_that_of_the_code() {
        assert_schema_file("detections.schema.json", &schemars::schema_for!(Line<'_>));
    }
}
