//! Lists in the directory of a run: `keep.txt` and the like.
//!
//! In: the path of a list, and its lines. Out: the paths that the lines stand for. Promises: a name
//! in a list of a run is relative to the folder of that run's images, whatever the current folder
//! is.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::name;
use crate::files;

/// Settings of a run, with the names of single images in them, stay far below this.
const MAX_MANIFEST_BYTES: u64 = 64 << 20;

/// The folder of the images of the run that `list` lies in, if it lies in one.
pub(super) fn root(list: &Path) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Manifest {
        root: Option<PathBuf>,
    }
    let manifest = files::read(&list.parent()?.join("run.json"), MAX_MANIFEST_BYTES).ok()?;
    serde_json::from_slice::<Manifest>(&manifest).ok()?.root
}

/// The path of `line` in a list of a run whose images are in `root`. A path that is there only from
/// the current folder stays.
pub(super) fn path(root: &Path, line: PathBuf) -> PathBuf {
    let of_run = root.join(name::path(&line.to_string_lossy()));
    if of_run.symlink_metadata().is_err() && line.symlink_metadata().is_ok() {
        line
    } else {
        of_run
    }
}
