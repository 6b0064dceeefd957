//! What is the same in every reading: problems, sizes of images, and files in folders.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::counted::counted;
use super::error::{DatasetError, Problem, by_kind};
use crate::record::BBox;
use crate::{files, image, source};

/// Edges that lie farther than this outside their image, in pixels, are remarked on when they are
/// moved to its edge.
const SLACK: f64 = 0.5;

/// Extensions of pictures that are not read.
const FOREIGN: [&str; 5] = ["jxl", "jp2", "dng", "cr2", "nef"];

/// A reading on its way.
pub(crate) struct Reading<'r> {
    /// The folder of the image files, if the user names one.
    pub(super) images: Option<&'r Path>,
    /// Boxes that were cut at the edge of their image.
    moved: usize,
    /// Boxes that have no area inside their image.
    dropped: usize,
    problems: Vec<Problem>,
    /// What was left out or bent, in words that follow a count of one, and of several.
    counted: BTreeMap<[String; 2], usize>,
    /// What a user should know.
    pub(super) remarks: &'r mut Vec<String>,
}

impl<'r> Reading<'r> {
    pub(super) fn new(images: Option<&'r Path>, remarks: &'r mut Vec<String>) -> Self {
        let (problems, counted) = (Vec::new(), BTreeMap::new());
        Self { images, moved: 0, dropped: 0, problems, counted, remarks }
    }

    /// Whether an entry was left out.
    pub(super) fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    /// Counts what is left out or bent. In a remark, `one` follows the count of one, `many` that of
    /// several, and then come the words that say `what` is done with it.
    pub(super) fn count(&mut self, one: &str, many: &str, what: &str) {
        let words = [one, many].map(|subject| format!("{subject} {what}"));
        *self.counted.entry(words).or_default() += 1;
    }

    /// An entry at `path` (and `line`) that is left out, of a `kind` that follows a count.
    pub(super) fn problem(
        &mut self,
        path: &Path,
        line: Option<usize>,
        kind: &'static str,
        what: impl Into<String>,
    ) {
        self.problems.push(Problem { path: path.to_owned(), line, what: what.into(), kind });
    }

    /// Takes an error about one entry as a problem of that `kind`; those of the system stay errors.
    pub(super) fn caught<T>(
        &mut self,
        result: Result<T, DatasetError>,
        kind: &'static str,
    ) -> Result<Option<T>, DatasetError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(DatasetError::Line { path, line, problem }) => {
                self.problem(&path, Some(line), kind, problem);
                Ok(None)
            }
            Err(DatasetError::File { path, problem }) => {
                self.problem(&path, None, kind, problem);
                Ok(None)
            }
            Err(DatasetError::Io { path, error })
                if error.kind() == std::io::ErrorKind::InvalidData =>
            {
                self.problem(&path, None, kind, error.to_string());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// `bbox` inside its image; `None` if nothing of it is.
    pub(super) fn inside(&mut self, bbox: BBox, width: u32, height: u32) -> Option<BBox> {
        let (w, h) = (f64::from(width), f64::from(height));
        let cut = BBox {
            x0: bbox.x0.clamp(0.0, w),
            y0: bbox.y0.clamp(0.0, h),
            x1: bbox.x1.clamp(0.0, w),
            y1: bbox.y1.clamp(0.0, h),
        };
        if cut.width() <= 0.0 || cut.height() <= 0.0 {
            self.dropped += 1;
            return None;
        }
        let far = [(bbox.x0, cut.x0), (bbox.y0, cut.y0), (bbox.x1, cut.x1), (bbox.y1, cut.y1)];
        let far = far.into_iter().any(|(before, after)| (before - after).abs() > SLACK);
        self.moved += usize::from(far);
        Some(cut)
    }

    /// Says what was bent and left out.
    ///
    /// # Errors
    /// [`DatasetError::Problems`], unless entries with problems are to be skipped.
    pub(super) fn finish(mut self, skip_invalid: bool) -> Result<(), DatasetError> {
        if self.moved > 0 {
            let moved = counted(self.moved, "box reached out of its", "boxes reached out of their");
            self.remarks.push(format!("{moved} image, cut at the edge"));
        }
        if self.dropped > 0 {
            let dropped = counted(
                self.dropped,
                "box has no area inside its image, and is",
                "boxes have no area inside their images, and are",
            );
            self.remarks.push(format!("{dropped} left out"));
        }
        for ([one, many], count) in self.counted {
            self.remarks.push(counted(count, &one, &many));
        }
        // What is in two splits is looked at twice.
        let mut said = HashSet::new();
        self.problems.retain(|problem| said.insert(problem.clone()));
        if self.problems.is_empty() {
            return Ok(());
        }
        if !skip_invalid {
            return Err(DatasetError::Problems(self.problems));
        }
        for kind in by_kind(&self.problems) {
            let first = self.problems.iter().find(|problem| kind.ends_with(problem.kind));
            let first = first.map(|problem| format!(" (the first: {problem})")).unwrap_or_default();
            self.remarks.push(format!("left out: {kind}{first}"));
        }
        Ok(())
    }
}

/// Width and height of the upright image in the file `path`.
pub(super) fn size_of(path: &Path) -> Result<(u32, u32), DatasetError> {
    let file = files::open(path).map_err(DatasetError::io(path))?;
    image::size(std::io::BufReader::new(file), true)
        .map_err(|error| DatasetError::file(path, error.to_string()))
}

/// The image `name` under the first of `folders` that has it.
pub(super) fn find_image(name: &str, folders: &[&Path]) -> Option<PathBuf> {
    folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Files under `root` whose extension is one of `extensions`, as paths relative to it with `/`,
/// sorted. Without the `._` files that macOS puts beside others on foreign disks, and without
/// broken links.
pub(super) fn files_under(root: &Path, extensions: &[&str]) -> Result<Vec<String>, DatasetError> {
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(root).follow_links(true) {
        if entry.as_ref().is_err_and(|error| error.path().is_some_and(is_dangling)) {
            continue;
        }
        let entry = entry
            .map_err(|error| DatasetError::Io { path: root.to_owned(), error: error.into() })?;
        let shadow = entry.file_name().to_string_lossy().starts_with("._");
        if entry.file_type().is_file() && has_extension(entry.path(), extensions) && !shadow {
            let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
            let name = relative
                .to_str()
                .ok_or_else(|| DatasetError::file(entry.path(), "the name is not UTF-8"))?;
            found.push(name.replace('\\', "/"));
        }
    }
    found.sort();
    Ok(found)
}

/// Whether the extension of `path` is one of those, in small or capital letters.
pub(super) fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension();
    extension.is_some_and(|own| extensions.iter().any(|known| own.eq_ignore_ascii_case(known)))
}

/// Image files under `root`. Links to what is not there, and pictures of kinds that are not read,
/// are counted in `remarks`.
pub(super) fn images_under(
    root: &Path,
    remarks: &mut Vec<String>,
) -> Result<Vec<String>, DatasetError> {
    let entries = walkdir::WalkDir::new(root).into_iter().flatten();
    let dangling =
        entries.filter(|entry| entry.path_is_symlink() && is_dangling(entry.path())).count();
    if dangling > 0 {
        remarks.push(format!(
            "{} to a file that is not there in {}: left out",
            counted(dangling, "link leads", "links lead"),
            root.display()
        ));
    }
    let mut foreign = files_under(root, &FOREIGN)?;
    let mut found = files_under(root, &source::EXTENSIONS)?;
    // HEIC and AVIF are read where there is an ffmpeg; their sizes are read in any case.
    for name in files_under(root, &image::BY_FFMPEG)? {
        let is_read = size_of(&root.join(&name)).is_ok();
        if is_read { &mut found } else { &mut foreign }.push(name);
    }
    found.sort();
    foreign.sort();
    if let [first, ..] = foreign.as_slice() {
        let remark = format!(
            "{} that Gemscope does not read in {}: left out (the first: {first})",
            counted(foreign.len(), "picture is of a kind", "pictures are of kinds"),
            root.display()
        );
        // A folder may be that of two splits.
        if !remarks.contains(&remark) {
            remarks.push(remark);
        }
    }
    Ok(found)
}

/// Says how many of the images `names` are not among those that were `read`: nobody has described
/// them in a `file`.
pub(super) fn remark_undescribed<'n>(
    names: impl IntoIterator<Item = &'n String>,
    read: &HashSet<&str>,
    file: &str,
    remarks: &mut Vec<String>,
) {
    let mut left: Vec<&str> = names.into_iter().map(String::as_str).collect();
    left.retain(|name| !read.contains(name));
    left.sort_unstable();
    left.dedup();
    if let [first, ..] = left.as_slice() {
        let images = counted(left.len(), "image has", "images have");
        remarks.push(format!("{images} no {file} (the first: {first}): left out"));
    }
}

/// Whether it is a picture by its extension.
pub(super) fn is_picture(path: &Path) -> bool {
    has_extension(path, &source::EXTENSIONS) || has_extension(path, &image::BY_FFMPEG)
}

fn is_dangling(path: &Path) -> bool {
    path.is_symlink() && !path.exists()
}

/// A path's text without its extension.
pub(crate) fn stem(name: &str) -> &str {
    let file = name.rfind('/').map_or(0, |slash| slash + 1);
    match name[file..].rfind('.') {
        Some(dot) if dot > 0 => &name[..file + dot],
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stem_keeps_its_folders_and_its_dots() {
        let stems = ["a.jpg", "x.y/a", "x/a.b.png", ".hidden", "x/.hidden"].map(stem);
        assert_eq!(stems, ["a", "x.y/a", "x/a.b", ".hidden", "x/.hidden"]);
    }
}
