//! Which images a run is about.
//!
//! In: folders and files from the command line. Out: a list of images, each with the name that identifies it (its path relative to
//! what the inputs have in common, with `/`) and the path to read. Promises: sorted by name, no name twice, the same on every
//! machine and thread count; what cannot be listed is in the list too, with the reason.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use thiserror::Error;
use walkdir::WalkDir;

use crate::digest;

/// Extensions that a folder is searched for. A file that is named on the command line is taken whatever it is called.
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
        error: std::io::Error,
    },
    /// Nothing with a known extension in any folder.
    #[error("no images in {inputs} (looked for {})", EXTENSIONS.join(", "))]
    NoImages {
        /// The inputs, as given.
        inputs: String,
    },
}

/// One image to be read, or a place that could not be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceImage {
    /// Identity: the path relative to [`Source::root`], with `/` on every system.
    pub name: String,
    /// Where to read it, or why that is not possible.
    pub path: Result<PathBuf, String>,
}

impl SourceImage {
    /// The file's bytes, of which there may be `most`.
    ///
    /// # Errors
    /// Why they are not to be had, in words.
    pub fn read(&self, most: u64) -> Result<Vec<u8>, String> {
        let path = self.path.as_ref().map_err(Clone::clone)?;
        std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))
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
/// Folders are walked to any depth, links followed, hidden entries left out.
///
/// # Errors
/// [`SourceError`] where an input does not exist or there is no image at all.
pub fn list(inputs: &[PathBuf], exclude: Option<&Path>) -> Result<Source, SourceError> {
    let resolve = |path: &Path| {
        if !path.exists() {
            return Err(SourceError::NotFound(path.to_owned()));
        }
        std::path::absolute(path).map_err(|error| SourceError::Resolve { path: path.to_owned(), error })
    };
    let inputs_absolute =
        inputs.iter().map(|path| resolve(path).map(|path| tidy(&path))).collect::<Result<Vec<_>, _>>()?;
    let exclude = exclude.and_then(|path| std::path::absolute(path).ok()).map(|path| tidy(&path));
    let root = common_root(&inputs_absolute);
    let mut images = BTreeMap::new();
    for input in &inputs_absolute {
        if input.is_dir() {
            walk(input, exclude.as_deref(), &root, &mut images);
        } else {
            insert(&mut images, &root, input, Ok(()));
        }
    }
    if images.is_empty() {
        let inputs = inputs.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        return Err(SourceError::NoImages { inputs });
    }
    Ok(Source { root, images: images.into_values().collect() })
}

fn walk(folder: &Path, exclude: Option<&Path>, root: &Path, images: &mut BTreeMap<String, SourceImage>) {
    let entries = WalkDir::new(folder).follow_links(true).into_iter().filter_entry(|entry| {
        // The folder itself was named by the user and is always searched; runs inside it hold crops, not images.
        entry.depth() == 0
            || !is_hidden(entry.path()) && exclude != Some(entry.path()) && !entry.path().join("run.json").is_file()
    });
    for entry in entries {
        match entry {
            Ok(entry) if entry.file_type().is_file() && has_image_extension(entry.path()) => {
                insert(images, root, entry.path(), Ok(()));
            }
            Ok(_) => {}
            Err(error) => {
                let path = error.path().unwrap_or(folder).to_owned();
                // A dangling link counts only where it would have been an image.
                let dangling = error.io_error().is_some_and(|io| io.kind() == std::io::ErrorKind::NotFound);
                if is_hidden(&path) || dangling && !has_image_extension(&path) {
                    continue;
                }
                let reason = match error.io_error() {
                    Some(io) => format!("cannot be listed: {io}"),
                    None => "a link that leads back to a folder above it".to_owned(),
                };
                insert(images, root, &path, Err(reason));
            }
        }
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn insert(images: &mut BTreeMap<String, SourceImage>, root: &Path, path: &Path, listed: Result<(), String>) {
    let relative = path.strip_prefix(root).unwrap_or(path);
    let mut name = relative.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
    let listed = if path.to_str().is_none() && listed.is_ok() {
        // Records are JSON, which has no other names: the file could not be found again by the name in its record.
        let bytes = path.as_os_str().as_encoded_bytes();
        name = format!("{name} ({:016x})", digest::number(bytes));
        Err("the file name is not valid UTF-8: rename the file".to_owned())
    } else {
        listed
    };
    images.insert(name.clone(), SourceImage { name, path: listed.map(|()| path.to_owned()) });
}

fn has_image_extension(path: &Path) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)))
}

/// An absolute path without `.` and `..`. Lexical, so that a link keeps the name that the user gave it.
fn tidy(path: &Path) -> PathBuf {
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

/// The deepest folder that holds every input; a folder that is the only input is its own root.
fn common_root(inputs: &[PathBuf]) -> PathBuf {
    let folder = |path: &PathBuf| if path.is_dir() { path.clone() } else { path.parent().unwrap_or(path).to_owned() };
    let mut folders = inputs.iter().map(folder);
    let Some(mut root) = folders.next() else { return PathBuf::new() };
    for other in folders {
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
        assert!(source.images[1].path.is_err());
    }
}
