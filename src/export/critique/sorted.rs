//! `sorted/keep`, `sorted/review`, `sorted/reject`: the frames themselves, by their verdict.
//!
//! In: a judged run and the images. Out: a folder with links to them, or copies. Promises: the frames stay where they are; no path leaves the folder;
//! a copy is of the very file that was judged; the old folder stays until the new one is whole.

use std::path::Path;
use std::str::FromStr;

use super::super::folder::{Fresh, inside};
use super::super::upright::Images;
use super::super::{ExportError, Exported, Input};
use super::Critique;
use crate::critique::Verdict;

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
    input: &Input<'_>,
    sort: SortBy,
    out: &Path,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    let images = Images::of(input)?;
    let folder = Fresh::begin(out, "sorted")?;
    for verdict in Verdict::ALL {
        let place = folder.path().join(verdict.as_str());
        std::fs::create_dir(&place).map_err(|error| ExportError::Write { path: place.clone(), error })?;
    }
    for (record, judged) in critique.records.iter().zip(&critique.judged) {
        let path = folder.path().join(judged.verdict.as_str()).join(inside(&record.image));
        let put = || -> Result<Result<(), String>, std::io::Error> {
            std::fs::create_dir_all(path.parent().unwrap_or(folder.path()))?;
            let file = images.file(record).filter(|_| sort == SortBy::Link);
            if let Some(file) = file {
                // A link that leads nowhere would be found only when the frames are needed.
                let Ok(file) = file.canonicalize() else { return Ok(Err("is not there any more".to_owned())) };
                return link(&file, &path).map(Ok);
            }
            match images.bytes(record) {
                Ok(bytes) => std::fs::write(&path, bytes).map(Ok),
                Err(reason) => Ok(Err(reason)),
            }
        };
        let done = put().map_err(|error| ExportError::Write { path: path.clone(), error })?;
        if let Err(reason) = done {
            exported.remarks.push(format!("sorted: {}: {reason}", record.image));
            exported.images_missed += 1;
        }
    }
    folder.put(exported)
}

#[cfg(unix)]
fn link(file: &Path, path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(file, path)
}

/// Where links need a privilege that few have, a second name of the file does as well on the same drive.
#[cfg(windows)]
fn link(file: &Path, path: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_file(file, path).or_else(|_| std::fs::hard_link(file, path))
}
