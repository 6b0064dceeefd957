//! Files of the inputs that are no images.
//!
//! In: files that are no images by their extension. Out: how many there are of each kind, and what
//! to do about them. Promises: files are counted whatever they are called; what systems and devices
//! put beside the user's files (thumbnails, waste baskets, hidden files) is neither looked into nor
//! counted.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use crate::files;
use crate::image::Foreign;

/// Folders that systems and devices make for themselves: Synology, QNAP, Windows, macOS, Linux.
const SYSTEM_FOLDERS: [&str; 9] = [
    "@eaDir",
    "#recycle",
    "@Recycle",
    "@Recently-Snapshot",
    "$RECYCLE.BIN",
    "RECYCLER",
    "System Volume Information",
    "__MACOSX",
    "lost+found",
];
/// Files of the same kind.
const SYSTEM_FILES: [&str; 3] = ["Thumbs.db", "desktop.ini", "ehthumbs.db"];

/// Extensions that are longer are words behind a dot.
const LONGEST_EXTENSION: usize = 12;
/// Kinds that are counted by themselves.
const MOST_KINDS: usize = 1000;
/// Kinds that are named in a sentence.
const NAMED_KINDS: usize = 8;

/// Files that are no images, by their kind: `.heic`, in small letters, or `without extension`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PassedOver(BTreeMap<String, usize>);

impl PassedOver {
    /// Counts a file that is no image; with `inside` it is in an archive, and is not opened.
    pub(super) fn count(&mut self, path: &Path, inside: bool) {
        if is_of_the_system(path) {
            return;
        }
        let extension =
            path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        let kind = match extension {
            Some(extension) if extension.len() <= LONGEST_EXTENSION => format!(".{extension}"),
            Some(_) => "of other kinds".to_owned(),
            None if inside => "without extension".to_owned(),
            None => without_extension(path),
        };
        if self.0.len() < MOST_KINDS || self.0.contains_key(&kind) {
            *self.0.entry(kind).or_default() += 1;
        } else {
            *self.0.entry("of other kinds".to_owned()).or_default() += 1;
        }
    }

    /// Counts a pipe, a socket or a device.
    pub(super) fn count_special(&mut self, path: &Path) {
        if !is_of_the_system(path) {
            *self.0.entry("pipes, sockets or devices".to_owned()).or_default() += 1;
        }
    }

    /// Counts images of earlier runs and exports.
    pub(super) fn count_written(&mut self, images: usize) {
        if images > 0 {
            self.0.insert("written by gemscope".to_owned(), images);
        }
    }

    /// Adds what another place holds.
    pub(super) fn add(&mut self, other: Self) {
        for (kind, count) in other.0 {
            *self.0.entry(kind).or_default() += count;
        }
    }

    /// How many files of each kind there are.
    pub fn kinds(&self) -> &BTreeMap<String, usize> {
        &self.0
    }

    /// `3 .heic, 1 .mp4`, the most frequent first; `None` if there are none.
    pub fn words(&self) -> Option<String> {
        let mut kinds: Vec<(&String, &usize)> = self.0.iter().collect();
        kinds.sort_by_key(|(kind, count)| (std::cmp::Reverse(**count), kind.as_str()));
        let named: Vec<String> =
            kinds.iter().take(NAMED_KINDS).map(|(kind, count)| format!("{count} {kind}")).collect();
        let others: usize = kinds.iter().skip(NAMED_KINDS).map(|(_, count)| **count).sum();
        let others =
            if others > 0 { format!(" and {others} of other kinds") } else { String::new() };
        (!named.is_empty()).then(|| format!("{}{others}", named.join(", ")))
    }

    /// Advice on how to make images of them: a sentence for each kind of file that holds pictures.
    pub fn advice(&self) -> Vec<&'static str> {
        let mut sentences = Vec::new();
        let kinds = self.0.keys().filter_map(|kind| Foreign::of_extension(kind.strip_prefix('.')?));
        for sentence in kinds.filter_map(Foreign::advice) {
            if !sentences.contains(&sentence) {
                sentences.push(sentence);
            }
        }
        if self.0.contains_key(NAMELESS_IMAGES) {
            sentences.push(
                "Images without an extension are read when they are named, or stand in a list.",
            );
        }
        sentences
    }
}

/// Whether a path leads to, or through, something that a system or device keeps for itself. Hidden
/// files are another matter.
pub(super) fn is_of_the_system(path: &Path) -> bool {
    let is_one_of = |names: &[&str], name: &std::ffi::OsStr| {
        name.to_str().is_some_and(|name| names.iter().any(|known| known.eq_ignore_ascii_case(name)))
    };
    path.file_name()
        .is_some_and(|name| is_one_of(&SYSTEM_FILES, name) || is_one_of(&SYSTEM_FOLDERS, name))
}

/// [`is_of_the_system`], for a path in an archive, whose folders are not walked one by one.
pub(super) fn is_in_the_systems(path: &Path) -> bool {
    let folders = path.components().filter(|part| matches!(part, Component::Normal(_)));
    folders.into_iter().any(|part| is_of_the_system(Path::new(part.as_os_str())))
}

/// The kind of a file without an extension.
const NAMELESS_IMAGES: &str = "images without extension";

/// Names of cameras and caches often have no extension, and then only the content says that it is
/// an image.
fn without_extension(path: &Path) -> String {
    let mut head = Vec::with_capacity(32);
    let read = files::open(path).and_then(|file| file.take(32).read_to_end(&mut head));
    let is_image = read.is_ok() && ::image::guess_format(&head).is_ok();
    if is_image { NAMELESS_IMAGES.to_owned() } else { "without extension".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_counted_by_kind_and_the_systems_are_not() {
        let mut passed = PassedOver::default();
        assert_eq!(passed.words(), None);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("DCIM0001"), b"\xFF\xD8\xFF\xE0").unwrap();
        for name in [
            "a.HEIC",
            "b.heic",
            "c.mp4",
            "README",
            "Thumbs.db",
            "DCIM0001",
            "x.a-very-long-extension",
        ] {
            passed.count(&dir.path().join(name), false);
        }
        assert_eq!(
            passed.words().unwrap(),
            "2 .heic, 1 .mp4, 1 images without extension, 1 of other kinds, 1 without extension"
        );
        assert_eq!(passed.advice().len(), 3);
        assert!(
            is_in_the_systems(Path::new("a/@EADIR/b.jpg"))
                && !is_in_the_systems(Path::new("a/b@eaDir/c.jpg"))
        );
    }

    #[test]
    fn endless_kinds_end() {
        let mut passed = PassedOver::default();
        for kind in 0..5000 {
            passed.count(Path::new(&format!("a.{kind}")), true);
        }
        assert_eq!(passed.kinds().len(), MOST_KINDS + 1);
        assert!(passed.words().unwrap().ends_with(" of other kinds"));
        assert_eq!(passed.kinds().values().sum::<usize>(), 5000);
    }
}
