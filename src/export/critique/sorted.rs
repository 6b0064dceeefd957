//! `sorted/keep`, `sorted/review`, `sorted/reject`: the frames themselves, by their verdict.
//!
//! In: a judged run and the images. Out: a folder with links to them, or copies. Promises: the frames stay where they are; no path leaves the folder;
//! a copy is of the very file that was judged; files that the user keeps in the folder stay (captions, retouched copies).

use std::collections::HashSet;
use std::str::FromStr;

use super::super::folder::{Fresh, inside};
use super::super::upright::Images;
use super::super::{ExportError, Exported, Run};
use super::Critique;
use crate::critique::Verdict;
use crate::ownership::OutputDirectory;
use crate::record::Record;

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
    let mut sorted = Sorted::default();
    for (record, judged) in critique.records.iter().zip(&critique.judged) {
        let name = format!("{}/{}", judged.verdict, inside(&record.image));
        let done = match images.file(record).filter(|_| sort == SortBy::Link) {
            Some(file) => match file.canonicalize() {
                Ok(file) => folder.link_named(&name, &file, record.sha256.as_ref())?,
                // A link that leads nowhere would be found only when the frames are needed.
                Err(_) => Err("is not there any more".to_owned()),
            },
            None => match images.bytes(record) {
                Ok(bytes) => folder.write_named(&name, &bytes)?,
                Err(reason) => Err(reason),
            },
        };
        match done {
            Ok(()) => sorted.add(record),
            Err(reason) => {
                exported.remarks.push(format!("sorted: {}: {reason}", record.image));
                exported.images_missed += 1;
            }
        }
    }
    sorted.keep_last_copies(&folder, exported);
    folder.put(exported)
}

/// The frames that are in their folders.
#[derive(Default)]
struct Sorted<'r> {
    names: HashSet<String>,
    contents: HashSet<&'r str>,
}

impl<'r> Sorted<'r> {
    fn add(&mut self, record: &'r Record) {
        self.names.insert(inside(&record.image));
        self.contents.extend(record.sha256.as_deref());
    }

    /// Leaves the copies of frames that are not there any more: each may be the last.
    fn keep_last_copies(&self, folder: &Fresh<'_>, exported: &mut Exported) {
        let is_last = |(name, sha256): &(String, String)| {
            let frame = name.split_once('/').map_or(name.as_str(), |(_, frame)| frame);
            !self.names.contains(frame) && !self.contents.contains(sha256.as_str())
        };
        let kept = folder.copies().iter().filter(|copy| is_last(copy) && folder.keep(&copy.0)).count();
        if kept > 0 {
            let which = if kept == 1 {
                "1 copy stays, whose frame is"
            } else {
                &*format!("{kept} copies stay, whose frames are")
            };
            exported.remarks.push(format!("sorted: {which} not there any more"));
        }
    }
}
