//! Folders of an export.
//!
//! In: a folder's name, and names of images. Out: a folder that takes the place of the old one once it is whole, and paths inside it
//! that mirror the images' names. Promises: the old folder stays until then; no path leaves the folder, and no two names share one.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{ExportError, Exported};
use crate::{digest, files};

/// A folder that is being made.
pub(super) struct Fresh {
    temporary: TempDir,
    place: PathBuf,
}

impl Fresh {
    /// Begins `out/name`, beside the one that is there.
    pub(super) fn begin(out: &Path, name: &str) -> Result<Self, ExportError> {
        let temporary = files::temporary(0o777)
            .tempdir_in(out)
            .map_err(|error| ExportError::Write { path: out.to_owned(), error })?;
        Ok(Self { temporary, place: out.join(name) })
    }

    /// Where its files are to be written.
    pub(super) fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Puts it in the place of the old one.
    pub(super) fn put(self, exported: &mut Exported) -> Result<(), ExportError> {
        let place = self.place;
        let replace = || {
            if place.exists() {
                std::fs::remove_dir_all(&place)?;
            }
            std::fs::rename(self.temporary.keep(), &place)
        };
        replace().map_err(|error| ExportError::Write { path: place.clone(), error })?;
        exported.written.push(place);
        Ok(())
    }
}

/// The image's name, as a path that stays inside a folder and leaves room for an ending of some 80 bytes. Names that cannot stand as
/// they are (any path may come with answers that were made elsewhere) are kept apart by a hash of the whole name.
pub(super) fn inside(image: &str) -> String {
    const LONGEST_NAME: usize = 160; // of the 255 bytes that file systems allow
    let parts: Vec<&str> = image.split(['/', '\\']).filter(|part| !matches!(*part, "" | "." | "..")).collect();
    let path = parts.join("/");
    let too_long = parts.last().is_some_and(|name| name.len() > LONGEST_NAME);
    if path == image && !path.contains(':') && !too_long {
        return path;
    }
    let name = parts.last().unwrap_or(&"").replace(':', "_");
    let end = name.floor_char_boundary(LONGEST_NAME);
    format!("{:016x}/{}", digest::number(image), &name[..end])
}
