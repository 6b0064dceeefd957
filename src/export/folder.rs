//! Folders of an export.
//!
//! In: a folder's name, files for it, and names of images. Out: a folder with those files, and
//! paths inside it that mirror the images' names. Promises: nothing of the folder is changed until
//! all files are made; what the user keeps in it stays; no path leaves the folder, and no two names
//! share one.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::{ExportError, Exported};
use crate::digest;
use crate::ownership::{OutputDirectory, Staging};
use crate::source::{frame_file_name, is_address};

/// A folder that is being made.
pub(super) struct Fresh<'o> {
    out: &'o OutputDirectory,
    staged: Staging,
    name: &'static str,
}

impl<'o> Fresh<'o> {
    /// Begins `out/name`.
    pub(super) fn begin(out: &'o OutputDirectory, name: &'static str) -> Result<Self, ExportError> {
        let folder = Self { out, staged: out.stage()?, name };
        folder.staged.folder(name).map_err(|error| folder.failed("", error))?;
        Ok(folder)
    }

    /// Writes a file, which is under no image's name.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ExportError> {
        self.staged.write(&self.inside(name), bytes).map_err(|error| self.failed(name, error))
    }

    /// Writes a file under an image's name; the inner error says why the file system has no such
    /// name.
    pub(super) fn write_named(
        &self,
        name: &str,
        bytes: &[u8],
    ) -> Result<Result<(), String>, ExportError> {
        self.named(name, self.staged.write(&self.inside(name), bytes))
    }

    /// Writes a copy of the user's image at `original` under an image's name, as
    /// [`Self::write_named`] does.
    pub(super) fn copy_named(
        &self,
        name: &str,
        bytes: &[u8],
        original: &Path,
    ) -> Result<Result<(), String>, ExportError> {
        self.named(name, self.staged.copy(&self.inside(name), bytes, original))
    }

    /// Puts a symbolic link to `file`, whose hash is `sha256`, under an image's name. On Windows,
    /// where few users may make such links, a hard link serves on the same drive.
    pub(super) fn link_named(
        &self,
        name: &str,
        file: &Path,
        sha256: Option<&String>,
    ) -> Result<Result<(), String>, ExportError> {
        let path = self.inside(name);
        let linked =
            self.staged.symbolic_link(&path, file, sha256.map(String::as_str)).or_else(|error| {
                match sha256 {
                    Some(sha256) if cfg!(windows) => {
                        self.staged.hard_link(&path, file, sha256.clone())
                    }
                    _ => Err(error),
                }
            });
        self.named(name, linked)
    }

    /// Puts a second name of `file`, or if that cannot be (another disk) a symbolic link; whether
    /// there is one now.
    pub(super) fn link(&self, name: &str, file: &Path, sha256: &str) -> bool {
        // A hard link to a link would be one to where it points from.
        let Ok(file) = file.canonicalize() else { return false };
        let path = self.inside(name);
        let linked = self.staged.hard_link(&path, &file, sha256.to_owned());
        // Windows lets only administrators make symbolic links.
        let or_symbolic = |error| {
            if cfg!(unix) {
                self.staged.symbolic_link(&path, &file, Some(sha256))
            } else {
                Err(error)
            }
        };
        linked.or_else(or_symbolic).is_ok()
    }

    /// Makes a folder that is there without files, too.
    pub(super) fn folder(&self, name: &str) -> Result<(), ExportError> {
        self.staged.folder(&self.inside(name)).map_err(|error| self.failed(name, error))
    }

    /// Leaves the file that an earlier export wrote under that name; whether there is one.
    pub(super) fn keep(&self, name: &str) -> bool {
        let is_there = self
            .out
            .join(self.inside(name))
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.is_file());
        if is_there {
            self.staged.keep(self.inside(name));
        }
        is_there
    }

    /// Takes a file back.
    pub(super) fn discard(&self, name: &str) -> Result<(), ExportError> {
        self.staged.discard(&self.inside(name)).map_err(|error| self.failed(name, error))
    }

    /// Puts its files in place, and removes those of the export before.
    pub(super) fn put(self, exported: &mut Exported) -> Result<(), ExportError> {
        let left = self.out.place(&self.staged, &[self.name])?;
        exported.remark_left(&left);
        exported.written.push(self.out.join(self.name));
        Ok(())
    }

    fn inside(&self, name: &str) -> String {
        format!("{}/{name}", self.name)
    }

    fn named(&self, name: &str, made: io::Result<()>) -> Result<Result<(), String>, ExportError> {
        match made {
            Ok(()) => Ok(Ok(())),
            Err(error) if error.kind() == ErrorKind::InvalidFilename => {
                Ok(Err("its name is too long for a file here".to_owned()))
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Ok(Err("another image has its name on this file system".to_owned()))
            }
            Err(error) => Err(self.failed(name, error)),
        }
    }

    fn failed(&self, name: &str, error: io::Error) -> ExportError {
        ExportError::Write { path: self.staged.place_of(self.name).join(name), error }
    }
}

/// The image's name, as a path that stays inside a folder and leaves room for an ending of some 80
/// bytes. Names that cannot stand as they are (any path may come with answers that were made
/// elsewhere) are kept apart by a hash of the whole name.
pub(super) fn inside(image: &str) -> String {
    const LONGEST_NAME: usize = 160; // of the 255 bytes that file systems allow
    // Times of frames have colons.
    let frame = frame_file_name(image);
    let image = frame.as_deref().unwrap_or(image);
    let parts: Vec<&str> =
        image.split(['/', '\\']).filter(|part| !matches!(*part, "" | "." | "..")).collect();
    // A query makes no file of its own, but parts of the hash.
    let name = parts.last().copied().unwrap_or_default();
    let name = if is_address(image) { name.split('?').next().unwrap_or_default() } else { name };
    let path = parts.join("/");
    let too_long = parts.last().is_some_and(|name| name.len() > LONGEST_NAME);
    if path == image && !path.contains(':') && !too_long {
        return path;
    }
    let name = if name.is_empty() { "image".to_owned() } else { name.replace(':', "_") };
    let end = name.floor_char_boundary(LONGEST_NAME);
    format!("{:016x}/{}", digest::number(image), &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_that_can_stand_as_it_is_does() {
        for name in [
            "a.png",
            "b/a.png",
            "b/c/a b.jpg",
            "...",
            "b/.hidden",
            &format!("b/{}", "x".repeat(160)),
        ] {
            assert_eq!(inside(name), name);
        }
        let long = "x".repeat(161);
        let two_bytes = format!("x{}", "\u{e4}".repeat(80));
        for (name, end) in [
            ("../a.png", "a.png"),
            ("/etc/a.png", "a.png"),
            ("./a.png", "a.png"),
            ("b//a.png", "a.png"),
            ("b\\a.png", "a.png"),
            ("C:/a.png", "a.png"),
            ("b/a:1.png", "a_1.png"),
            (long.as_str(), &long[..160]),
            (two_bytes.as_str(), &two_bytes[..159]),
        ] {
            let path = inside(name);
            let (hash, rest) = path.split_once('/').unwrap();
            assert_eq!((hash.len(), rest), (16, end), "{name}");
        }
        // Two that would share a path have each their own.
        assert_ne!(inside("../a.png"), inside("./a.png"));
    }

    #[test]
    fn its_files_are_there_together_and_those_of_the_export_before_are_gone() {
        let dir = tempfile::tempdir().unwrap();
        let out = OutputDirectory::open(&dir.path().join("out")).unwrap();
        let path = |name: &str| out.join("crops").join(name);
        let first = Fresh::begin(&out, "crops").unwrap();
        first.write("names.txt", b"one").unwrap();
        assert_eq!(first.write_named("b/a.png", b"two").unwrap(), Ok(()));
        assert_eq!(first.write_named("old.png", b"three").unwrap(), Ok(()));
        first.write("wrong.txt", b"four").unwrap();
        first.discard("wrong.txt").unwrap();
        assert!(first.discard("wrong.txt").is_err(), "it is gone already");
        first.folder("empty").unwrap();
        assert!(!path("").exists(), "nothing is there until all is made");
        let mut exported = Exported::default();
        first.put(&mut exported).unwrap();
        assert_eq!(exported.written, [out.join("crops")]);
        assert_eq!(std::fs::read(path("names.txt")).unwrap(), b"one");
        assert_eq!(std::fs::read(path("b/a.png")).unwrap(), b"two");
        assert!(path("empty").is_dir() && !path("wrong.txt").exists());
        // The next export makes one of them anew, leaves another and says nothing of the third.
        let second = Fresh::begin(&out, "crops").unwrap();
        second.write("names.txt", b"five").unwrap();
        assert_eq!(
            (second.keep("b/a.png"), second.keep("b"), second.keep("c.png")),
            (true, false, false)
        );
        second.put(&mut exported).unwrap();
        assert_eq!(std::fs::read(path("names.txt")).unwrap(), b"five");
        assert_eq!(std::fs::read(path("b/a.png")).unwrap(), b"two");
        assert!(!path("old.png").exists());
    }

    #[test]
    fn an_image_whose_name_no_file_can_have_costs_itself_only() {
        let dir = tempfile::tempdir().unwrap();
        let out = OutputDirectory::open(&dir.path().join("out")).unwrap();
        let folder = Fresh::begin(&out, "crops").unwrap();
        assert_eq!(folder.write_named("a.png", b"one").unwrap(), Ok(()));
        let taken = folder.write_named("a.png", b"two").unwrap().unwrap_err();
        assert!(taken.contains("another image has its name"), "{taken}");
        let long = folder.write_named(&"x".repeat(300), b"three").unwrap().unwrap_err();
        assert!(long.contains("too long"), "{long}");
        let file = folder.write_named("a.png/b.png", b"four").unwrap().unwrap_err();
        assert!(file.contains("another image has its name"), "{file}");
        // Anything else is the whole format's failure.
        let error = folder.write_named("b\0.png", b"five").unwrap_err();
        assert!(
            matches!(&error, ExportError::Write { path, .. } if path.ends_with("crops/b\0.png")),
            "{error}"
        );
    }

    #[test]
    fn copies_and_links_lead_to_the_image() {
        let dir = tempfile::tempdir().unwrap();
        let out = OutputDirectory::open(&dir.path().join("out")).unwrap();
        let image = dir.path().join("image.png");
        std::fs::write(&image, b"pixels").unwrap();
        let sha256 = "12".repeat(32);
        let folder = Fresh::begin(&out, "yolo").unwrap();
        assert_eq!(folder.copy_named("copy.png", b"pixels", &image).unwrap(), Ok(()));
        assert_eq!(folder.link_named("link.png", &image, Some(&sha256)).unwrap(), Ok(()));
        assert!(folder.link("second.png", &image, &sha256));
        assert!(!folder.link("third.png", &dir.path().join("gone.png"), &sha256));
        folder.put(&mut Exported::default()).unwrap();
        for name in ["copy.png", "link.png", "second.png"] {
            assert_eq!(std::fs::read(out.join("yolo").join(name)).unwrap(), b"pixels", "{name}");
        }
        assert!(!out.join("yolo/third.png").exists());
        assert!(cfg!(windows) || out.join("yolo/link.png").is_symlink());
        assert!(
            !out.join("yolo/second.png").is_symlink() && !out.join("yolo/copy.png").is_symlink()
        );
    }
}
