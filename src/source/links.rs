//! Files that several paths lead to.
//!
//! In: the paths of images, and which of them lead through a link. Out: those that lead to a file
//! that another path leads to as well. Promises: of several paths the one without a link stays,
//! else the first by name; hard links are files of their own; no file is looked at for that unless
//! a link is there.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::{Listed, Place};

/// The target of a path with a link in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    real: PathBuf,
    /// Whether the link lies inside the folder that was given, and is not the way to it.
    inner: bool,
}

/// Resolves links; folders once.
#[derive(Default)]
pub(super) struct RealPaths {
    folders: HashMap<PathBuf, PathBuf>,
}

impl RealPaths {
    /// The target of `path`, if it is elsewhere.
    pub(super) fn link(&mut self, path: &Path, inner: bool) -> Option<Link> {
        let real = if path.is_symlink() {
            path.canonicalize().ok()?
        } else {
            let folder = path.parent()?;
            if !self.folders.contains_key(folder) {
                self.folders.insert(folder.to_owned(), folder.canonicalize().ok()?);
            }
            self.folders[folder].join(path.file_name()?)
        };
        (real != path).then_some(Link { real, inner })
    }
}

/// The names of images whose files have another name, which stays.
pub(super) fn repeated(images: &BTreeMap<String, Listed>) -> Vec<String> {
    let mut linked: Vec<(&Link, &String)> =
        images.iter().filter_map(|(name, listed)| Some((listed.link.as_ref()?, name))).collect();
    if linked.is_empty() {
        return Vec::new();
    }
    linked.sort_by_key(|(link, name)| (link.inner, *name));
    let own = images.values().filter(|listed| listed.link.is_none()).filter_map(|listed| {
        match &listed.place {
            Ok(Place::File(path)) => Some(path.as_path()),
            _ => None,
        }
    });
    let mut known: HashSet<&Path> = own.collect();
    linked
        .into_iter()
        .filter(|(link, _)| !known.insert(&link.real))
        .map(|(_, name)| name.clone())
        .collect()
}
