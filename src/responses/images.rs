//! The folder of the images that responses are about.
//!
//! In: the names that responses give, and a folder. Out: the image's name in a run, and what its
//! file says about it. Promises: no name leads out of the folder, through a link neither; no pixels
//! are decoded.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use super::{Problem, ResponsesError};
use crate::image::MAX_PIXELS;
use crate::record::Capture;
use crate::source::{EXTENSIONS, Locator, Place, leads_out, name_of, path_of, tidy};
use crate::{digest, image, percent};

/// A folder of images, which are found in it by name.
pub struct ImageFolder {
    root: PathBuf,
    apply_orientation: bool,
}

/// Facts from an image's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ImageFile {
    pub(super) sha256: String,
    pub(super) orientation: u8,
    /// Width and height of the upright image.
    pub(super) size: (u32, u32),
    /// Width and height as stored.
    pub(super) stored: (u32, u32),
    /// When, and with which camera, it was taken.
    pub(super) capture: Option<Box<Capture>>,
}

impl ImageFolder {
    /// The folder at `path`; with `apply_orientation`, images are turned as EXIF says.
    ///
    /// # Errors
    /// [`ResponsesError::NoFolder`], [`ResponsesError::Io`].
    pub fn open(path: &Path, apply_orientation: bool) -> Result<Self, ResponsesError> {
        let absolute = std::path::absolute(path)
            .map_err(|error| ResponsesError::Io { path: path.to_owned(), error })?;
        if !path.is_dir() {
            return Err(ResponsesError::NoFolder(path.to_owned()));
        }
        Ok(Self { root: tidy(&absolute), apply_orientation })
    }

    /// Its absolute path, which the images' names are relative to.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Finds images by name. An archive is listed once.
    pub(super) fn locator(&self) -> Locator<'_> {
        Locator::new(&self.root)
    }

    /// The run's name of the image that is called `given`, and its path. Without an extension, a
    /// name stands for the one file that has it and an extension of images. A name that is not
    /// there may be a path from the current folder into this one.
    pub(super) fn find(
        &self,
        given: &str,
        locator: &Locator<'_>,
    ) -> Result<(String, Place), Problem> {
        let missing = || Problem::Missing { name: given.to_owned(), folder: self.root.clone() };
        let relative = self.relative(given)?;
        let name = name_of(&relative).ok_or_else(missing)?;
        let place =
            locator.place(&name).ok_or_else(|| Problem::LeadsOut { name: given.to_owned() })?;
        match place {
            Place::File(path) if !path.is_file() => {
                let mut found = with_extensions(&path);
                match (found.pop(), found.is_empty()) {
                    (Some(path), true) => self.inside(given, path, locator),
                    (Some(last), false) => {
                        found.push(last);
                        let file = |path: &PathBuf| {
                            path.file_name().unwrap_or_default().to_string_lossy().into_owned()
                        };
                        Err(Problem::Ambiguous {
                            name: given.to_owned(),
                            files: found.iter().map(file).collect(),
                        })
                    }
                    // The name may be relative to the current folder, and lie in this one.
                    (None, _) => match self.below_current_folder(&relative) {
                        Some(path) => self.inside(given, path, locator),
                        None => Err(missing()),
                    },
                }
            }
            Place::File(path) => self.inside(given, path, locator),
            inner @ (Place::Entry { .. }
            | Place::Frame { .. }
            | Place::Remote { .. }
            | Place::Clip(_)) => Ok((name, inner)),
        }
    }

    fn below_current_folder(&self, relative: &Path) -> Option<PathBuf> {
        let path = tidy(&std::path::absolute(relative).ok()?);
        (path.starts_with(&self.root) && path.is_file()).then_some(path)
    }

    fn inside(
        &self,
        given: &str,
        path: PathBuf,
        locator: &Locator<'_>,
    ) -> Result<(String, Place), Problem> {
        let name =
            path.strip_prefix(&self.root).ok().and_then(name_of).filter(|_| locator.holds(&path));
        match name {
            Some(name) => Ok((name, Place::File(path))),
            None => Err(Problem::LeadsOut { name: given.to_owned() }),
        }
    }

    /// The path in the folder. One that is absolute may lie in it too.
    fn relative(&self, given: &str) -> Result<PathBuf, Problem> {
        let path = path_of(given);
        let path = if path.is_absolute() {
            let below = |root: &Path| path.strip_prefix(root).ok().map(Path::to_owned);
            let resolved = || path.canonicalize().ok().zip(self.root.canonicalize().ok());
            below(&self.root).or_else(|| {
                resolved().and_then(|(path, root)| path.strip_prefix(root).ok().map(Path::to_owned))
            })
        } else {
            Some(path)
        };
        path.filter(|path| !leads_out(path))
            .ok_or_else(|| Problem::LeadsOut { name: given.to_owned() })
    }

    /// The file's header, EXIF block and hash. The header comes first, so that no other file is
    /// read as a whole.
    ///
    /// # Errors
    /// Why it is no image, in words.
    pub(super) fn look(&self, place: &Place) -> Result<ImageFile, String> {
        // A file that is no image is not read to its end.
        let bytes = image::read_file(place.open()?, self.apply_orientation, MAX_PIXELS);
        let bytes = bytes.map_err(|error| error.to_string())?;
        let size = image::size_within(Cursor::new(&bytes), self.apply_orientation, MAX_PIXELS);
        let size = size.map_err(|error| error.to_string())?;
        let orientation =
            image::orientation(Cursor::new(&bytes)).map_err(|error| error.to_string())?;
        // Orientations 5 to 8 lie on their side.
        let on_its_side = self.apply_orientation && orientation > 4;
        let stored = if on_its_side { (size.1, size.0) } else { size };
        let capture = image::capture(&bytes).map(Box::new);
        Ok(ImageFile { sha256: digest::hex(&bytes), orientation, size, stored, capture })
    }
}

/// The files that are called `path` with an extension of images behind it, each once.
fn with_extensions(path: &Path) -> Vec<PathBuf> {
    let Some(stem) = path.file_name() else { return Vec::new() };
    let candidates =
        EXTENSIONS.iter().flat_map(|extension| [(*extension).to_owned(), extension.to_uppercase()]);
    let mut found: Vec<PathBuf> = Vec::new();
    for extension in candidates {
        let mut name = stem.to_owned();
        name.push(".");
        name.push(extension);
        let candidate = path.with_file_name(name);
        // On file systems that ignore case, both spellings are one file.
        let same = |known: &PathBuf| known.canonicalize().ok() == candidate.canonicalize().ok();
        if candidate.is_file() && !found.iter().any(same) {
            found.push(candidate);
        }
    }
    found
}

/// A name as a response gives it, as a path: `file://` URLs are decoded, and `./` in front is left
/// out.
pub(super) fn path_in_name(given: &str) -> String {
    let given = given.trim();
    let path = match given.split_at_checked(7) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file://") => decoded(
            rest.strip_prefix("localhost").filter(|path| path.starts_with('/')).unwrap_or(rest),
        ),
        _ => given.to_owned(),
    };
    let mut path = path.as_str();
    while let Some(rest) = path.strip_prefix("./") {
        path = rest;
    }
    path.to_owned()
}

/// `%20` and the like as what they stand for; as it is written if that is no UTF-8.
fn decoded(text: &str) -> String {
    String::from_utf8(percent::decoded(text)).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"x").unwrap();
    }

    #[test]
    fn names_are_found_in_the_folder_and_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("photos");
        for name in ["a.jpg", "sub/b.PNG", "two.jpg", "two.webp", "v1.2.jpeg"] {
            touch(&root.join(name));
        }
        touch(&dir.path().join("secret.png"));
        let folder = ImageFolder::open(&root, true).unwrap();
        let find = |name: &str| folder.find(name, &folder.locator()).map(|(name, _)| name);
        let absolute = root.join("sub/b.PNG").display().to_string();
        for (given, name) in [
            ("a.jpg", "a.jpg"),
            ("a", "a.jpg"),
            ("sub/b", "sub/b.PNG"),
            ("v1.2", "v1.2.jpeg"),
            (&absolute, "sub/b.PNG"),
        ] {
            assert_eq!(find(given).as_deref(), Ok(name), "{given}");
        }
        for out in [
            "../secret.png",
            "sub/../../secret.png",
            &dir.path().join("secret.png").display().to_string(),
        ] {
            assert!(matches!(find(out), Err(Problem::LeadsOut { .. })), "{out}");
        }
        assert!(
            matches!(find("two"), Err(Problem::Ambiguous { files, .. }) if files == ["two.jpg",
                "two.webp"])
        );
        for missing in ["c.jpg", "sub", "b.PNG", ""] {
            assert!(matches!(find(missing), Err(Problem::Missing { .. })), "{missing}");
        }
        assert!(matches!(
            ImageFolder::open(&root.join("a.jpg"), true),
            Err(ResponsesError::NoFolder(_))
        ));
    }

    #[cfg(unix)]
    #[test]
    fn links_may_lead_anywhere_inside() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("photos");
        touch(&root.join("a.jpg"));
        touch(&dir.path().join("secret.png"));
        std::os::unix::fs::symlink(root.join("a.jpg"), root.join("inside.jpg")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("secret.png"), root.join("outside.png"))
            .unwrap();
        let folder = ImageFolder::open(&root, true).unwrap();
        let find = |name: &str| folder.find(name, &folder.locator()).map(|(name, _)| name);
        assert_eq!(find("inside.jpg").unwrap(), "inside.jpg");
        assert!(matches!(find("outside.png"), Err(Problem::LeadsOut { .. })));
        assert!(matches!(find("outside"), Err(Problem::LeadsOut { .. })));
    }

    #[test]
    fn urls_of_files_are_paths() {
        for (given, path) in [
            ("file:///data/a%20b%C3%A9.jpg", "/data/a bé.jpg"),
            ("FILE://localhost/data/a.jpg", "/data/a.jpg"),
            ("file://photos/a.jpg", "photos/a.jpg"),
            ("././a%20b.jpg", "a%20b.jpg"),
            ("file:///50%.jpg", "/50%.jpg"),
            ("é", "é"),
        ] {
            assert_eq!(path_in_name(given), path);
        }
    }
}
