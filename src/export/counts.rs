//! `counts.csv`: a row an image, a column a label: how many boxes or points it has of it.

use super::csv::cell;
use super::{ExportError, Exported, Input, write_file};
use crate::ownership::OutputDirectory;

pub(super) fn write(
    input: &Input<'_>,
    out: &OutputDirectory,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    let labels = input.labels;
    let failed = |error: std::io::Error| ExportError::Write { path: out.join("counts.csv"), error };
    let mut table = ::csv::Writer::from_writer(Vec::new());
    let header = ["image", "status"]
        .into_iter()
        .map(str::to_owned)
        .chain(labels.iter().map(|label| cell(label)));
    table.write_record(header).map_err(|error| failed(error.into()))?;
    for record in input.records {
        let count = |label: &String| {
            let boxes = record.detections.iter().map(|detection| &detection.label);
            let found = boxes.chain(record.points.iter().map(|point| &point.label));
            found.filter(|found| *found == label).count()
        };
        let row = [cell(&record.image), record.status.as_str().to_owned()];
        let row = row.into_iter().chain(labels.iter().map(|label| count(label).to_string()));
        table.write_record(row).map_err(|error| failed(error.into()))?;
    }
    let bytes = table.into_inner().map_err(|error| failed(error.into_error()))?;
    write_file(out, "counts.csv", &bytes, exported)
}
