//! `clips.csv`: a row for each label of each video.
//!
//! In: the records of frames of videos. Out: how many frames of a video were asked about, and of
//! each label in how many it was found, when first, when last, and how many at once. Promises: a
//! video in which nothing was found has one row, without a label; images that are no frames of
//! videos are in no row.

use std::collections::BTreeMap;

use super::csv::cell;
use super::{ExportError, Exported, Input, write_file};
use crate::ownership::OutputDirectory;
use crate::record::AnswerStatus;
use crate::source::clip_of;

/// The frames of one video in which a label was found.
#[derive(Default)]
struct Found<'r> {
    frames: usize,
    first: &'r str,
    last: &'r str,
    most: usize,
    most_at: &'r str,
}

/// The frames of one video.
#[derive(Default)]
struct Frames<'r> {
    asked: usize,
    failed: usize,
    labels: BTreeMap<&'r str, Found<'r>>,
}

pub(super) fn write(
    input: &Input<'_>,
    out: &OutputDirectory,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    let mut clips: BTreeMap<&str, Frames<'_>> = BTreeMap::new();
    // Records are sorted by name, and so the frames of a video by time.
    for record in input.records {
        let Some((clip, _)) = clip_of(&record.image) else { continue };
        // Behind the mark.
        let time = record.image.rsplit('=').next().unwrap_or_default();
        let frames = clips.entry(clip).or_default();
        frames.asked += 1;
        frames.failed += usize::from(record.status == AnswerStatus::Failed);
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for detection in &record.detections {
            *counts.entry(&detection.label).or_default() += 1;
        }
        for (label, count) in counts {
            let found = frames.labels.entry(label).or_default();
            if found.frames == 0 {
                found.first = time;
            }
            (found.frames, found.last) = (found.frames + 1, time);
            if count > found.most {
                (found.most, found.most_at) = (count, time);
            }
        }
    }
    let failed = |error: std::io::Error| ExportError::Write { path: out.join("clips.csv"), error };
    let mut table = ::csv::Writer::from_writer(Vec::new());
    let header =
        ["clip", "frames", "failed", "label", "found_in", "first", "last", "most", "most_at"];
    table.write_record(header).map_err(|error| failed(error.into()))?;
    for (clip, frames) in &clips {
        let nothing = Found::default();
        let none = frames.labels.is_empty().then_some(("", &nothing));
        for (label, found) in frames.labels.iter().map(|(label, found)| (*label, found)).chain(none)
        {
            let row = [
                cell(clip),
                frames.asked.to_string(),
                frames.failed.to_string(),
                cell(label),
                found.frames.to_string(),
                found.first.to_owned(),
                found.last.to_owned(),
                found.most.to_string(),
                found.most_at.to_owned(),
            ];
            table.write_record(row).map_err(|error| failed(error.into()))?;
        }
    }
    if clips.is_empty() {
        exported.remarks.push("clips.csv has no rows: no image is a frame of a video".to_owned());
    }
    let bytes = table.into_inner().map_err(|error| failed(error.into_error()))?;
    write_file(out, "clips.csv", &bytes, exported)
}
