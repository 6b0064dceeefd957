//! Which folder the names of a run's images are relative to.
//!
//! In: images that were listed, and the directory of a run that may have answers about others. Out:
//! the images under the names that they have in that run, and the change of its earlier names.
//! Promises: a folder that was moved keeps its names; a folder beside, above or below the earlier
//! one gives all images names from a common root, so that no two files share a name and no file has
//! two.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::json_log::JournalError;
use super::records::ResumeIndex;
use crate::digest;
use crate::record::Manifest;
use crate::source::{Locator, Source, SourceImage, common_root, is_address, names_prefix};

/// The most images whose contents are looked at to know a moved folder again.
const LOOKED_AT: usize = 32;

/// How the root of a run came to be, for
/// [`RunDirectory::create_or_verify_placed`](super::RunDirectory::create_or_verify_placed).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    /// The root that the run had, if it was a run with one.
    pub(super) earlier: Option<PathBuf>,
    /// Stands in front of all names that the run has, with a `/` at its end.
    pub(super) prefix: String,
}

impl Placement {
    /// That the run gets images of a second folder, and its images other names, under `root`.
    pub fn remark(&self, root: &Path) -> Option<String> {
        let earlier = self.earlier.as_ref().filter(|_| !self.prefix.is_empty())?;
        Some(format!(
            "this run has images of {} already: it goes on with both folders, and names are those \
             below {} ({}...). A run of its own needs another directory",
            earlier.display(),
            root.display(),
            self.prefix
        ))
    }
}

/// Gives the images of `source` their names in the run in `directory`, if there is one.
///
/// # Errors
/// [`JournalError`] if the run's journal cannot be read.
pub fn place(
    source: Source,
    directory: Option<&Path>,
) -> Result<(Source, Placement), JournalError> {
    // A manifest that cannot be read is reported when the run is opened.
    let manifest =
        directory.and_then(|directory| Some((directory, Manifest::read(directory).ok()?.root?)));
    let Some((directory, earlier)) = manifest else { return Ok((source, Placement::default())) };
    if earlier == source.root {
        return Ok((source, Placement { earlier: Some(earlier), prefix: String::new() }));
    }
    let known = ResumeIndex::read(directory)?;
    // Names of images on the web are relative to no folder.
    if source.images.iter().all(|image| is_address(&image.name)) {
        let source = source.under(earlier.clone(), "");
        return Ok((source, Placement { earlier: Some(earlier), prefix: String::new() }));
    }
    if known.iter().all(|(image, _)| is_address(image)) {
        return Ok((source, Placement { earlier: Some(earlier), prefix: String::new() }));
    }
    let was_moved = !known.is_in(&earlier) && known.has_any_of(&source.images);
    if known.is_empty() || was_moved {
        return Ok((source, Placement { earlier: Some(earlier), prefix: String::new() }));
    }
    let Joined { root, now, earlier: prefix } = Joined::of(&source.root, &earlier);
    Ok((source.under(root, &now), Placement { earlier: Some(earlier), prefix }))
}

/// The common root of two folders, and the prefix of the names in each.
struct Joined {
    root: PathBuf,
    now: String,
    earlier: String,
}

impl Joined {
    fn of(now: &Path, earlier: &Path) -> Self {
        // Links may lead into one folder by several paths.
        let [real_now, real_earlier] = [now, earlier]
            .map(|root| std::fs::canonicalize(root).unwrap_or_else(|_| root.to_owned()));
        for (a, b) in [(now, earlier), (&*real_now, &*real_earlier)] {
            if let Ok(below) = a.strip_prefix(b) {
                return Self {
                    root: earlier.to_owned(),
                    now: names_prefix(below),
                    earlier: String::new(),
                };
            }
            if let Ok(below) = b.strip_prefix(a) {
                return Self {
                    root: now.to_owned(),
                    now: String::new(),
                    earlier: names_prefix(below),
                };
            }
        }
        let root = common_root([now, earlier].into_iter());
        let prefix = |folder: &Path| names_prefix(folder.strip_prefix(&root).unwrap_or(folder));
        let (now, earlier) = (prefix(now), prefix(earlier));
        Self { root, now, earlier }
    }
}

impl ResumeIndex {
    /// Whether any image that there is a record of is in `root`.
    fn is_in(&self, root: &Path) -> bool {
        let locator = Locator::new(root);
        self.iter().any(|(image, _)| !is_address(image) && locator.exists(image))
    }

    /// Whether any of `images`, of those under known names and of some others, has the content of a
    /// record.
    fn has_any_of(&self, images: &[SourceImage]) -> bool {
        let contents: HashSet<&str> =
            self.iter().filter_map(|(_, known)| known.sha256.as_deref()).collect();
        // Looking must not fetch.
        let images: Vec<_> = images.iter().filter(|image| !is_address(&image.name)).collect();
        let named = images.iter().filter(|image| self.get(&image.name).is_some()).take(LOOKED_AT);
        let spread = images.iter().step_by(images.len().div_ceil(LOOKED_AT).max(1));
        let content = |image: &&SourceImage| digest::hex_of(image.open().ok()?).ok();
        named.chain(spread).filter_map(content).any(|sha256| contents.contains(sha256.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(now: &str, earlier: &str) -> [String; 3] {
        let Joined { root, now, earlier } = Joined::of(Path::new(now), Path::new(earlier));
        [root.display().to_string(), now, earlier]
    }

    #[test]
    fn folders_have_a_common_root() {
        assert_eq!(joined("/no/a/b", "/no/a"), ["/no/a", "b/", ""]);
        assert_eq!(joined("/no/a", "/no/a/b/c"), ["/no/a", "", "b/c/"]);
        assert_eq!(joined("/no/a/b", "/no/a/c"), ["/no/a", "b/", "c/"]);
        assert_eq!(joined("/no/a", "/nowhere"), ["/", "no/a/", "nowhere/"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_the_folder_that_it_leads_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        std::fs::create_dir_all(path("folder/sub")).unwrap();
        std::os::unix::fs::symlink("folder", path("link")).unwrap();
        assert_eq!(
            joined(&path("link"), &path("folder")),
            [path("folder"), String::new(), String::new()]
        );
        assert_eq!(
            joined(&path("link/sub"), &path("folder")),
            [path("folder"), "sub/".into(), String::new()]
        );
        assert_eq!(
            joined(&path("link"), &path("folder/sub")),
            [path("link"), String::new(), "sub/".into()]
        );
    }
}
