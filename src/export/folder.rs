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
    /// where such links need a privilege that few have, a second name of the file does as well on
    /// the same drive.
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
    let parts: Vec<&str> =
        image.split(['/', '\\']).filter(|part| !matches!(*part, "" | "." | "..")).collect();
    let path = parts.join("/");
    let too_long = parts.last().is_some_and(|name| name.len() > LONGEST_NAME);
    if path == image && !path.contains(':') && !too_long {
        return path;
    }
    let name = parts.last().unwrap_or(&"").replace(':', "_");
    let end = name.floor_char_boundary(LONGEST_NAME);
    format!("{:016x}/{}", digest::number(image), &name[..end])
}
