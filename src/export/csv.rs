//! `detections.csv`: one row a box, for spreadsheets and data frames.
//!
//! In: records. Out: a table; a point is a row with `x0` and `y0` alone; an image without boxes has one row, with empty cells for the box, so
//! that its status is seen. Each field of structured answers is a column `fields.NAME` behind all
//! others. Promises: text is quoted as CSV needs it (RFC 4180), and no cell is run
//! as a formula.

use serde_json::Value;

use super::{ExportError, Exported, Input, write_file};
use crate::answer::text_of;
use crate::ownership::OutputDirectory;
use crate::record::Capture;

const FILE: &str = "detections.csv";
const HEADER: [&str; 15] = [
    "image",
    "width",
    "height",
    "status",
    "label",
    "x0",
    "y0",
    "x1",
    "y1",
    "score",
    "taken",
    "camera_make",
    "camera_model",
    "stated_confidence",
    "text",
];

pub(super) fn write(
    input: &Input<'_>,
    out: &OutputDirectory,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    let failed = |error: std::io::Error| ExportError::Write { path: out.join(FILE), error };
    let mut table = ::csv::Writer::from_writer(Vec::new());
    let mut names: Vec<&String> = Vec::new();
    for name in input
        .records
        .iter()
        .filter_map(|record| record.fields.as_ref())
        .flat_map(|fields| fields.keys())
    {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let header = HEADER.iter().map(|name| (*name).to_owned());
    let header = header.chain(names.iter().map(|name| format!("fields.{name}")));
    table.write_record(header).map_err(|error| failed(error.into()))?;
    for record in input.records {
        let image = [
            cell(&record.image),
            record.width.to_string(),
            record.height.to_string(),
            record.status.as_str().to_owned(),
        ];
        let boxes = record.detections.iter().map(|detection| {
            let [x0, y0, x1, y1] = <[f64; 4]>::from(detection.bbox).map(|edge| edge.to_string());
            let [score, stated] = [detection.score, detection.stated_confidence]
                .map(|number| number.map(|number| number.to_string()).unwrap_or_default());
            ([cell(&detection.label), x0, y0, x1, y1, score], stated)
        });
        let capture = record.capture.as_deref();
        let text = |of: fn(&Capture) -> Option<&String>| {
            capture.and_then(of).map_or_else(String::new, |text| cell(text))
        };
        let capture = [
            text(|of| of.taken.as_ref()),
            text(|of| of.make.as_ref()),
            text(|of| of.model.as_ref()),
        ];
        let answer = text_of(record).map_or_else(String::new, |text| cell(&text));
        let points = record.points.iter().map(|point| {
            let none = String::new;
            let place = [point.x.to_string(), point.y.to_string()];
            let [x, y] = place;
            ([cell(&point.label), x, y, none(), none(), none()], none())
        });
        let is_empty = record.detections.is_empty() && record.points.is_empty();
        let nothing = is_empty.then_some(([const { String::new() }; 6], String::new()));
        let value = |name: &&String| {
            let value = record.fields.as_ref().and_then(|fields| fields.get(*name));
            value.map_or_else(String::new, in_cell)
        };
        let fields: Vec<String> = names.iter().map(value).collect();
        for (bbox, stated) in boxes.chain(points).chain(nothing) {
            let row = image.iter().chain(&bbox).chain(&capture).chain([&stated, &answer]);
            let row = row.chain(&fields);
            table.write_record(row).map_err(|error| failed(error.into()))?;
        }
    }
    let bytes = table.into_inner().map_err(|error| failed(error.into_error()))?;
    write_file(out, FILE, &bytes, exported)
}

/// A value of a structured answer; of a list, its items with semicolons between them.
fn in_cell(value: &Value) -> String {
    match value {
        Value::String(text) => cell(text),
        Value::Array(items) => cell(&items.iter().map(in_cell).collect::<Vec<_>>().join("; ")),
        other => other.to_string(),
    }
}

/// Text that a spreadsheet would run as a formula gets an apostrophe in front (OWASP, CSV
/// injection).
pub(super) fn cell(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_a_spreadsheet_would_run_is_made_text() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(super::cell(formula), format!("'{formula}"));
        }
        for text in ["", "a=1", "'=1", "é"] {
            assert_eq!(super::cell(text), text);
        }
    }
}
