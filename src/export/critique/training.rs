//! The kept frames as a folder to train on.
//!
//! In: a judged run. Out: `training/`: links to the kept frames, a caption beside each as kohya's
//! scripts read them (`a.txt`), and `metadata.jsonl`, as Hugging Face's `imagefolder` reads it.
//! Promises: the caption is that of a file beside the frame, else the frame's prompt; a frame
//! without either is there without one, and counted.

use super::super::folder::{Fresh, inside};
use super::super::options::SortBy;
use super::super::sorted;
use super::super::upright::Images;
use super::super::{ExportError, Exported, Run};
use super::Critique;
use crate::critique::Verdict;
use crate::files;
use crate::frame_metadata::read_sidecar;
use crate::ownership::OutputDirectory;
use crate::record::Record;

/// Endings of captions.
const CAPTIONS: [&str; 2] = ["txt", "caption"];

pub(super) fn write(
    critique: &Critique<'_>,
    run: &Run,
    out: &OutputDirectory,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    const FOLDER: &str = "training";
    let images = Images::of(run, critique.records)?;
    let folder = Fresh::begin(out, FOLDER)?;
    let mut metadata = Vec::new();
    let mut without = 0;
    let both = critique.records.iter().zip(&critique.judged);
    for (record, _) in both.filter(|(_, judged)| judged.verdict == Verdict::Keep) {
        let name = inside(&record.image);
        let names = std::iter::once(name.clone());
        let put = sorted::put(&folder, &images, record, names, SortBy::Link)?;
        let caption = caption(&images, record);
        let captioned = match (&put, &caption) {
            (Ok(()), Some(caption)) => {
                let beside = std::path::Path::new(&name).with_extension("txt");
                folder.write_named(&beside.to_string_lossy(), caption.as_bytes())?
            }
            _ => Ok(()),
        };
        if let Err(reason) = put.and(captioned) {
            exported.remarks.push(format!("{FOLDER}: {}: {reason}", record.image));
            exported.images_missed += 1;
            continue;
        }
        without += usize::from(caption.is_none());
        let line = serde_json::json!({"file_name": name, "text": caption.unwrap_or_default()});
        metadata.extend_from_slice(line.to_string().as_bytes());
        metadata.push(b'\n');
    }
    folder.write("metadata.jsonl", &metadata)?;
    if without > 0 {
        exported.remarks.push(format!(
            "{FOLDER}: {without} kept frames have no caption: neither a file beside them nor their \
             prompt is known"
        ));
    }
    folder.put(exported)
}

/// In one line.
fn caption(images: &Images<'_>, record: &Record) -> Option<String> {
    let beside = images.file(record).and_then(|path| {
        CAPTIONS.iter().find_map(|end| {
            let text = files::read_text(&path.with_extension(end)).ok()?;
            read_sidecar(&text)?.prompt
        })
    });
    let prompt = beside.or_else(|| record.generation.as_ref()?.prompt.clone())?;
    let line = prompt.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(line).filter(|line| !line.is_empty())
}
