//! Rating and label of frames in the files themselves.
//!
//! In: a judged run. Out: JPEG, PNG and WebP files with the verdict in their XMP packet, and records
//! with the hashes of these files. Promises: only a file that is the one which was judged is
//! changed; what is changed is in the log of [`RatedFiles`] before the first file is, so that it can
//! be taken back, and the frames are known again.

use std::path::{Path, PathBuf};

use super::super::super::upright::Images;
use super::super::super::{ExportError, Run};
use super::super::Critique;
use super::{RatedFrames, splice, words};
use crate::critique::Verdict;
use crate::digest;
use crate::files;
use crate::image::{MAX_PIXELS, most_bytes};
use crate::journal::{FileChange, RatedFiles, RunDirectory};
use crate::record::Record;

/// A change of a frame's file that is not made yet.
struct Planned {
    name: String,
    path: PathBuf,
    change: FileChange,
    replaced: Vec<splice::Replacement>,
}

/// Writes the verdicts of `critique` into its frames, whose records in `directory` get the new
/// hashes.
///
/// # Errors
/// [`ExportError`] if the folder of the frames is not known or out of reach, or the log or the
/// journal cannot be written.
pub fn rate_in_files(
    critique: &Critique<'_>,
    run: &Run,
    directory: &RunDirectory,
) -> Result<RatedFrames, ExportError> {
    let root = run.images.as_deref().ok_or(ExportError::NoImages)?;
    let images = Images::of(run, critique.records)?;
    let mut log = RatedFiles::open(directory)?;
    let (mut rated, mut planned) = (RatedFrames::default(), Vec::new());
    for (record, judged) in critique.records.iter().zip(&critique.judged) {
        if !images.is_there(record) {
            continue;
        }
        match plan(&images, record, judged.verdict) {
            Ok(Some(change)) => planned.push(change),
            Ok(None) => rated.rated += 1,
            Err(reason) => rated.left.push((record.image.clone(), reason)),
        }
    }
    log.announce(planned.iter().map(|one| &one.change))?;
    for one in planned {
        match make(&one) {
            Ok(()) => rated.rated += 1,
            Err(reason) => rated.left.push((one.name, reason)),
        }
    }
    log.settle(directory, root)?;
    Ok(rated)
}

/// The change that gives a frame its rating; `None` if it has it.
fn plan(images: &Images<'_>, record: &Record, verdict: Verdict) -> Result<Option<Planned>, String> {
    let path = images.file(record).ok_or("is in an archive")?;
    let bytes = bytes_of(&path)?;
    if record.sha256.as_deref() != Some(digest::hex(&bytes).as_str()) {
        return Err("was changed since it was judged, or could not be read then".to_owned());
    }
    let (rating, label) = words(verdict);
    let replaced = splice::rated(&bytes, rating, label)?;
    if replaced.is_empty() {
        return Ok(None);
    }
    let (name, (change, _)) =
        (record.image.clone(), FileChange::of(&record.image, &bytes, &replaced));
    Ok(Some(Planned { name, path, change, replaced }))
}

fn make(one: &Planned) -> Result<(), String> {
    let bytes = bytes_of(&one.path)?;
    if one.replaced.iter().any(|(range, _)| range.end > bytes.len()) {
        return Err("was changed meanwhile".to_owned());
    }
    let (change, changed) = FileChange::of(&one.name, &bytes, &one.replaced);
    if change != one.change {
        return Err("was changed meanwhile".to_owned());
    }
    let permissions = one.path.symlink_metadata().map(|metadata| metadata.permissions());
    permissions
        .and_then(|permissions| files::replace_alike(&one.path, &changed, Some(permissions)))
        .map_err(|error| error.to_string())
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, String> {
    files::read_unlinked(path, most_bytes(MAX_PIXELS)).map_err(|error| error.to_string())
}
