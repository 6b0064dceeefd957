//! Which images a run is about.
//!
//! In: folders, files, patterns, archives and lists from the command line. Out: a list of images, each with the name that identifies it (its path
//! relative to what the inputs have in common, with `/`) and the place to read. Promises: sorted by name, no name twice, the same on every
//! machine and thread count; what cannot be listed is in the list too, with the reason.

mod archive;
mod inputs;
mod locate;
mod name;
mod walk;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

pub use archive::Span;
use inputs::Kind;
pub(crate) use locate::{Locator, leads_out};
pub(crate) use name::{of as name_of, path as path_of};

/// Extensions that folders, patterns and archives are searched for. A file that is named by itself, or in a list, is taken whatever it is called.
pub const EXTENSIONS: [&str; 9] = ["jpg", "jpeg", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff"];

/// Why there is nothing to run over.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SourceError {
    /// An input that is not there.
    #[error("no such file or folder: {}", .0.display())]
    NotFound(PathBuf),
    /// The current folder cannot be asked for, or an input cannot be resolved.
    #[error("cannot resolve {}: {error}", path.display())]
    Resolve {
        /// The input.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// A list that cannot be read.
    #[error("the list {}: {error}", path.display())]
    List {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// A pattern that is none.
    #[error("{} is neither a file nor a pattern: {error}", pattern.display())]
    Pattern {
        /// As given.
        pattern: PathBuf,
        /// What is wrong with it.
        error: globset::Error,
    },
    /// A pattern that nothing fits.
    #[error("nothing fits the pattern {} (looked for folders, .tar and {})", .0.display(), EXTENSIONS.join(", "))]
    NoMatch(PathBuf),
    /// A compressed archive has no places to read from.
    #[error("{}: compressed archives cannot be read in place; decompress it to a .tar, or unpack it", .0.display())]
    Compressed(PathBuf),
    /// Nothing with a known extension in any folder.
    #[error("no images in {inputs} (looked for {})", EXTENSIONS.join(", "))]
    NoImages {
        /// The inputs, as given.
        inputs: String,
    },
}

/// Where an image's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file.
    File(PathBuf),
    /// A part of an archive.
    Entry {
        /// The archive.
        archive: Arc<Path>,
        /// Which part.
        span: Span,
    },
}

impl Place {
    /// The bytes, of which there may be `most`.
    ///
    /// # Errors
    /// Why they are not to be had, in words.
    pub fn read(&self, most: u64) -> Result<Vec<u8>, String> {
        let too_many = || format!("is larger than {most} bytes, which no image within --max-pixels is");
        let read = || match self {
            Self::Entry { span, .. } if span.size > most => Ok(Err(too_many())),
            Self::Entry { archive, span } => archive::read(archive, *span).map(Ok),
            Self::File(path) => {
                // Looked at before it is opened: that would wait for whoever writes into a pipe.
                let metadata = std::fs::metadata(path)?;
                if !metadata.is_file() {
                    return Ok(Err("is not a file".to_owned()));
                }
                let mut bytes = Vec::new();
                File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
                Ok(if bytes.len() as u64 > most { Err(too_many()) } else { Ok(bytes) })
            }
        };
        read().unwrap_or_else(|error: io::Error| Err(format!("cannot be read: {error}")))
    }
}

/// One image to be read, or a place that could not be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceImage {
    /// Identity: the path relative to [`Source::root`], with `/` on every system. Bytes that are not UTF-8 are written `\xHH`.
    pub name: String,
    /// Where to read it, or why that is not possible.
    pub place: Result<Place, String>,
}

impl SourceImage {
    /// [`Place::read`].
    ///
    /// # Errors
    /// Why the bytes are not to be had, in words.
    pub fn read(&self, most: u64) -> Result<Vec<u8>, String> {
        self.place.as_ref().map_err(Clone::clone)?.read(most)
    }
}

/// The images of a run.
#[derive(Debug, Clone)]
pub struct Source {
    /// The folder that the names are relative to: the one folder that was given, or the deepest that all inputs share. Absolute.
    pub root: PathBuf,
    /// Sorted by name.
    pub images: Vec<SourceImage>,
}

/// Lists the images of `inputs`, without what lies in `exclude` (the run's own directory may be inside the folder).
///
/// Folders are walked to any depth, links followed, hidden entries left out. An input that is not there and has `*`, `?`, `[` or `{` in it is a
/// pattern (`**` for any depth); `@FILE` is a list of paths, one a line, and `-` one on standard input; a `.tar` that is named, listed or matched
/// is a folder of its images.
///
/// # Errors
/// [`SourceError`] where an input does not exist or there is no image at all.
pub fn list(inputs: &[PathBuf], exclude: Option<&Path>) -> Result<Source, SourceError> {
    let exclude = exclude.and_then(|path| std::path::absolute(path).ok()).map(|path| tidy(&path));
    let exclude = exclude.as_deref();
    let mut expanded = Vec::new();
    for input in inputs {
        inputs::expand(input, exclude, &mut expanded)?;
    }
    let root = common_root(expanded.iter().map(|input| input.base.as_path()));
    let mut found = Found { root: &root, images: BTreeMap::new() };
    for input in &expanded {
        match input.kind {
            Kind::Folder => walk::images(&input.path, exclude, |path, listed| found.insert(path, listed)),
            Kind::File => found.insert(&input.path, Ok(())),
            Kind::Archive => found.insert_archive(&input.path),
        }
    }
    let images: Vec<SourceImage> = found.images.into_iter().map(|(name, place)| SourceImage { name, place }).collect();
    if images.is_empty() {
        let inputs = inputs.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        return Err(SourceError::NoImages { inputs });
    }
    Ok(Source { root, images })
}

struct Found<'r> {
    root: &'r Path,
    images: BTreeMap<String, Result<Place, String>>,
}

impl Found<'_> {
    fn insert(&mut self, path: &Path, listed: Result<(), String>) {
        let relative = path.strip_prefix(self.root).unwrap_or(path);
        let (name, place) = match name::of(relative) {
            Some(name) => (name, listed.map(|()| Place::File(path.to_owned()))),
            None => {
                (relative.to_string_lossy().into_owned(), Err("the file name is no text: rename the file".to_owned()))
            }
        };
        self.images.insert(name, place);
    }

    fn insert_archive(&mut self, path: &Path) {
        let archive: Arc<Path> = path.into();
        let Some(folder) = name::of(path.strip_prefix(self.root).unwrap_or(path)) else {
            return self.insert(path, Ok(()));
        };
        match archive::entries(path) {
            Ok((entries, broken)) => {
                for (name, span) in entries {
                    let place = span.map(|span| Place::Entry { archive: Arc::clone(&archive), span });
                    self.images.insert(format!("{folder}/{name}"), place);
                }
                if let Some(reason) = broken {
                    self.insert(path, Err(reason));
                }
            }
            Err(error) => self.insert(path, Err(format!("cannot be read: {error}"))),
        }
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn has_image_extension(path: &Path) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)))
}

/// An absolute path without `.` and `..`. Lexical, so that a link keeps the name that the user gave it.
pub(crate) fn tidy(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                tidied.pop();
            }
            Component::CurDir => {}
            other => tidied.push(other),
        }
    }
    tidied
}

/// The deepest folder that holds all of `bases`.
fn common_root<'b>(mut bases: impl Iterator<Item = &'b Path>) -> PathBuf {
    let mut root = bases.next().unwrap_or(Path::new("")).to_owned();
    for other in bases {
        while !other.starts_with(&root) && root.pop() {}
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"x").unwrap();
    }

    fn names(source: &Source) -> Vec<&str> {
        source.images.iter().map(|image| image.name.as_str()).collect()
    }

    #[test]
    fn a_folder_is_walked_sorted_and_its_own_output_left_out() {
        let dir = tempfile::tempdir().unwrap();
        for name in
            ["b.PNG", "a/z.jpg", "a/notes.txt", ".hidden/c.png", "out/crop.png", "old/run.json", "old/crops/x.png"]
        {
            touch(&dir.path().join(name));
        }
        let source = list(&[dir.path().to_owned()], Some(&dir.path().join("out"))).unwrap();
        assert_eq!(names(&source), ["a/z.jpg", "b.PNG"]);
    }

    #[test]
    fn several_inputs_share_a_root_so_that_no_name_is_double() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["one/x.png", "two/x.png", "two/y.txt"] {
            touch(&dir.path().join(name));
        }
        let inputs = [dir.path().join("one"), dir.path().join("two/../two"), dir.path().join("two/y.txt")];
        let source = list(&inputs, None).unwrap();
        assert_eq!(names(&source), ["one/x.png", "two/x.png", "two/y.txt"]);
    }

    #[test]
    fn nothing_found_and_nothing_there_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(list(&[dir.path().to_owned()], None), Err(SourceError::NoImages { .. })));
        assert!(matches!(list(&[dir.path().join("no")], None), Err(SourceError::NotFound(_))));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_loop_is_an_entry_with_a_reason() {
        let dir = tempfile::tempdir().unwrap();
        touch(&dir.path().join("a.png"));
        std::os::unix::fs::symlink(dir.path(), dir.path().join("loop")).unwrap();
        let source = list(&[dir.path().to_owned()], None).unwrap();
        assert_eq!(names(&source), ["a.png", "loop"]);
        assert!(source.images[1].place.is_err());
    }
}
