//! `sorted/keep`, `sorted/review`, `sorted/reject`: the frames themselves, by their verdict.
//!
//! In: a judged run and the images. Out: a folder with links to them, or copies. Promises: the
//! frames stay where they are; no path leaves the folder; a copy is of the very file that was
//! judged; files that the user keeps in the folder stay (captions, retouched copies).

use std::str::FromStr;

use super::super::folder::{Fresh, inside};
use super::super::upright::Images;
use super::super::{ExportError, Exported, Run};
use super::Critique;
use crate::critique::Verdict;
use crate::ownership::OutputDirectory;

/// How frames come into the folder of their verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortBy {
    /// By a symbolic link to the file.
    Link,
    /// By a copy of it.
    Copy,
}

impl FromStr for SortBy {
    type Err = ExportError;

    fn from_str(text: &str) -> Result<Self, ExportError> {
        match text {
            "link" => Ok(Self::Link),
            "copy" => Ok(Self::Copy),
            _ => Err(ExportError::UnknownSort { name: text.to_owned() }),
        }
    }
}

pub(super) fn write(
    critique: &Critique<'_>,
    run: &Run,
    sort: SortBy,
    out: &OutputDirectory,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    let images = Images::of(run, critique.records)?;
    let folder = Fresh::begin(out, "sorted")?;
    for verdict in Verdict::ALL {
        folder.folder(verdict.as_str())?;
    }
    for (record, judged) in critique.records.iter().zip(&critique.judged) {
        let name = format!("{}/{}", judged.verdict, inside(&record.image));
        let done = match images.file(record).filter(|_| sort == SortBy::Link) {
            Some(file) => match file.canonicalize() {
                Ok(file) => folder.link_named(&name, &file, record.sha256.as_ref())?,
                // A link that leads nowhere would be found only when the frames are needed.
                Err(_) => Err("is not there any more".to_owned()),
            },
            None => match images.bytes(record) {
                Ok(bytes) => folder.copy_named(&name, &bytes, &images.original(record))?,
                Err(reason) => Err(reason),
            },
        };
        if let Err(reason) = done {
            exported.remarks.push(format!("sorted: {}: {reason}", record.image));
            exported.images_missed += 1;
        }
    }
    folder.put(exported)
}
