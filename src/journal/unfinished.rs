//! How many images a run was begun with, as long as it has not come to its end.
//!
//! In: the directory of a run. Out: a small file in its private folder, from the first image to the
//! last. Promises: a run that was killed, stopped or ended by an error has one; one that has come
//! to every image has none.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::directory::RunDirectory;
use super::error::RunDirectoryError;
use crate::files;

#[derive(Serialize, Deserialize)]
struct Unfinished {
    images: usize,
}

fn file(run: &Path) -> PathBuf {
    run.join(".gemscope/unfinished.json")
}

impl RunDirectory {
    /// Keeps that the run is about so many `images`, and has not ended.
    ///
    /// # Errors
    /// [`RunDirectoryError`].
    pub(crate) fn begin(&self, images: usize) -> Result<(), RunDirectoryError> {
        let path = file(self.output().path());
        let text = serde_json::to_vec(&Unfinished { images }).map_err(Into::into);
        let written = text.and_then(|text| {
            fs::create_dir_all(files::folder_of(&path))?;
            fs::write(&path, text)
        });
        written.map_err(|error| RunDirectoryError::Directory { path, error })
    }

    /// Keeps that the run has come to every image.
    ///
    /// # Errors
    /// [`RunDirectoryError`].
    pub(crate) fn end(&self) -> Result<(), RunDirectoryError> {
        let path = file(self.output().path());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(RunDirectoryError::Directory { path, error })
            }
            _ => Ok(()),
        }
    }
}

/// How many images the run in `directory` was begun with last, if it has not ended. A file that is
/// not understood counts as none: the answers are in the journal.
pub fn unfinished(directory: &Path) -> Option<usize> {
    let text = files::read_unlinked(&file(directory), files::MAX_TEXT_BYTES).ok()?;
    Some(serde_json::from_slice::<Unfinished>(&text).ok()?.images)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_unfinished_until_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDirectory::open(dir.path(), false).unwrap();
        assert_eq!(unfinished(dir.path()), None);
        run.begin(40).unwrap();
        assert_eq!(unfinished(dir.path()), Some(40));
        run.end().unwrap();
        run.end().unwrap();
        assert_eq!(unfinished(dir.path()), None);
        fs::write(file(dir.path()), "torn").unwrap();
        assert_eq!(unfinished(dir.path()), None);
    }
}
