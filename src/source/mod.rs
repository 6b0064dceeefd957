//! Which images a run is about.
//!
//! In: folders, files, patterns, archives and lists from the command line. Out: a list of images,
//! each with the name that identifies it (its path relative to what the inputs have in common, with
//! `/`) and the place to read. Promises: sorted by name, no name twice, the same on every machine
//! and thread count; what cannot be listed is in the list too, with the reason.
//!
//! ```
//! let source = gemscope::source::list(&["fixtures/shapes".into()], None)?;
//! assert_eq!(source.images.len(), 20);
//! assert_eq!(source.images[0].name, "scene-01.png");
//! # Ok::<(), gemscope::source::SourceError>(())
//! ```

mod archive;
mod arrivals;
mod choice;
mod content;
mod inputs;
mod links;
mod list_file;
mod locate;
mod name;
mod passed_over;
mod remote;
mod run_list;
mod video;
mod walk;
mod written;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use thiserror::Error;

use archive::has_extension;
pub use archive::{Packed, Span};
pub use arrivals::Arrivals;
use choice::Excluded;
pub use choice::{Choice, Known, Most};
pub use content::Content;
use inputs::{Kind, is_other_archive};
use links::{Link, RealPaths};
pub use locate::RemotePlaces;
pub(crate) use locate::{Locator, leads_out};
pub(crate) use name::{of as name_of, path as path_of};
pub use passed_over::PassedOver;
use remote::Fetcher;
#[cfg(feature = "onnx")]
pub(crate) use remote::{Ahead, Hold};
pub use remote::{
    ByteSize, MAX_BYTES, RemoteFile, WebOptions, is_address, shown as shown_address,
    without_secrets,
};
pub use video::{Frames, Moment, VideoFrames, VideoUse, clip_of, frame_file_name};
use walk::Search;
use written::Written;

use crate::ffmpeg::{Clip, Ffmpeg, FfmpegError};
use crate::image::BY_FFMPEG;
use crate::record::Shard;

/// Extensions that folders, patterns and archives are searched for, beside those of
/// [`crate::image::BY_FFMPEG`]. A file that is named by itself,
/// or in a list, is taken whatever it is called.
pub const EXTENSIONS: [&str; 14] = [
    "jpg", "jpeg", "jpe", "jfif", "pjpeg", "pjp", "mpo", "png", "apng", "webp", "gif", "bmp",
    "tif", "tiff",
];

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
    /// An invalid pattern.
    #[error("{} is neither a file nor a pattern: {error}", pattern.display())]
    Pattern {
        /// As given.
        pattern: PathBuf,
        /// The problem.
        error: globset::Error,
    },
    /// A pattern that nothing fits.
    #[error("nothing fits the pattern {} (looked for folders, .tar, .zip and {})", .0.display(),
        EXTENSIONS.join(", "))]
    NoMatch(PathBuf),
    /// A compressed archive has no places to read from.
    #[error("{}: compressed archives cannot be read in place; decompress it to a .tar, or unpack \
             it", .0.display())]
    Compressed(PathBuf),
    /// An archive of a kind that is not read.
    #[error("{}: of archives only .tar and .zip are read in place; unpack it", .0.display())]
    OtherArchive(PathBuf),
    /// What looks like an address on the web and is none.
    #[error("{address}: {reason}")]
    Address {
        /// As it may be shown.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A list that is JSON, and an entry of it that names no image.
    #[error("the list {}: {reason}", path.display())]
    ListEntry {
        /// The file.
        path: PathBuf,
        /// Which entry, and what it lacks.
        reason: String,
    },
    /// There are videos, and nothing to read them with.
    #[error("{videos} videos: {error}")]
    Videos {
        /// How many there are.
        videos: usize,
        /// Why they cannot be read.
        error: FfmpegError,
    },
    /// Nothing with a known extension in any folder.
    #[error("no images in {inputs} (looked for {}){}", EXTENSIONS.join(", "), instead(passed_over))]
    NoImages {
        /// The inputs, as given.
        inputs: String,
        /// Files that are there instead.
        passed_over: PassedOver,
    },
    /// No video in any folder.
    #[error("no videos in {inputs} (looked for {}){}", video::EXTENSIONS.join(", "), instead(passed_over))]
    NoVideos {
        /// The inputs, as given.
        inputs: String,
        /// Files that are there instead.
        passed_over: PassedOver,
    },
}

fn instead(passed_over: &PassedOver) -> String {
    let Some(words) = passed_over.words() else { return String::new() };
    let advice = passed_over.advice();
    format!(
        ": passed over {words}{}{}",
        if advice.is_empty() { "" } else { ". " },
        advice.join(" ")
    )
}

/// The place of an image's bytes.
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
    /// A frame of a video.
    Frame {
        /// The video.
        clip: Arc<Clip>,
        /// Which of the frames that may be asked for.
        index: usize,
    },
    /// A file on the web.
    Remote {
        /// The file, or the archive.
        file: Arc<RemoteFile>,
        /// Which part of the archive.
        span: Option<Span>,
    },
    /// A whole video.
    Clip(PathBuf),
}

impl Place {
    /// Opens the bytes. None is read yet, but of a frame of a video, which is decoded here (its
    /// bytes are those of a BMP file), and of a file on the web, which is fetched here.
    ///
    /// # Errors
    /// Why they are not to be had, in words.
    pub fn open(&self) -> Result<Content, String> {
        let opened = match self {
            Self::File(path) | Self::Clip(path) => Content::of_file(path),
            Self::Entry { archive, span } => Content::of_span(archive, *span),
            Self::Frame { clip, index } => {
                let frame = clip.frame(*index).map_err(|error| error.to_string())?;
                Ok(Content::of_bytes(frame))
            }
            Self::Remote { file, span } => return file.open(*span),
        };
        opened.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::IsADirectory => "is not a file".to_owned(),
            _ => format!("cannot be read: {error}"),
        })
    }
}

/// One image to be read, or a place that could not be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceImage {
    /// Identity: the path relative to [`Source::root`], with `/` on every system. Bytes that are
    /// not UTF-8 are written `\xHH`.
    pub name: String,
    /// The place to read it from, or the reason why that is not possible.
    pub place: Result<Place, String>,
}

impl SourceImage {
    /// [`Place::open`].
    ///
    /// # Errors
    /// Why the bytes are not to be had, in words.
    pub fn open(&self) -> Result<Content, String> {
        self.place.as_ref().map_err(Clone::clone)?.open()
    }
}

/// The images of a run.
#[derive(Debug, Clone)]
pub struct Source {
    /// The folder that the names are relative to: the one folder that was given, or the deepest
    /// that all inputs share. Absolute.
    pub root: PathBuf,
    /// Prefix of the names if the root is a folder above the one that was given: the run also knows
    /// images beside it.
    prefix: String,
    /// Sorted by name.
    pub images: Vec<SourceImage>,
    /// The names of images that are there and were not chosen, sorted.
    pub not_chosen: Vec<String>,
    /// Which part of the chosen images these are; `None` if they are all.
    pub shard: Option<Shard>,
    /// The names of the images of other shards, sorted.
    pub other_shards: Vec<String>,
    /// Files that are no images.
    pub passed_over: PassedOver,
    /// Links to images that are here under another name.
    pub repeated: usize,
    /// How many videos the images are frames of.
    pub videos: usize,
    /// The ffmpeg that reads videos, HEIC and AVIF, with its version and licence; `None` if none of
    /// them is there.
    pub ffmpeg: Option<String>,
}

/// Counts of files that the inputs hold besides the images of a run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Besides {
    /// Files that are no images, by kind.
    pub passed_over: PassedOver,
    /// Links to images that are there under another name.
    pub repeated_links: usize,
    /// Images that were not chosen, of a limit or a sample.
    pub not_chosen: usize,
    /// Videos that the images are frames of.
    #[serde(skip_serializing_if = "is_zero")]
    pub videos: usize,
    /// Which part of the chosen images the run is about; not there if it is about all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// Images of other shards.
    #[serde(skip_serializing_if = "is_zero")]
    pub other_shards: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Source {
    /// Counts of files that the inputs hold besides its images.
    pub fn besides(&self) -> Besides {
        let passed_over = self.passed_over.clone();
        Besides {
            passed_over,
            repeated_links: self.repeated,
            not_chosen: self.not_chosen.len(),
            videos: self.videos,
            shard: self.shard,
            other_shards: self.other_shards.len(),
        }
    }

    /// Whether the inputs hold an image of that name, chosen or not, of whatever shard.
    pub fn holds(&self, name: &str) -> bool {
        let chosen = || self.images.binary_search_by(|image| image.name.as_str().cmp(name));
        let among =
            |names: &[String]| names.binary_search_by(|other| other.as_str().cmp(name)).is_ok();
        chosen().is_ok() || among(&self.not_chosen) || among(&self.other_shards)
    }

    /// The images of one shard. That may be none, of few images.
    #[must_use]
    pub fn of_shard(&self, shard: Shard) -> Self {
        let mut of_shard = Self { shard: Some(shard), ..self.clone() };
        let others = of_shard.images.extract_if(.., |image| !shard.holds(&image.name));
        of_shard.other_shards = others.map(|image| image.name).collect();
        of_shard
    }

    /// The same images, with names that are relative to `root`: `prefix` stands in front of them.
    #[must_use]
    pub(crate) fn under(mut self, root: PathBuf, prefix: &str) -> Self {
        let names = self.images.iter_mut().map(|image| &mut image.name);
        let others = self.not_chosen.iter_mut().chain(&mut self.other_shards);
        let names = names.chain(others).filter(|name| !is_address(name));
        names.chain([&mut self.prefix]).for_each(|name| name.insert_str(0, prefix));
        self.root = root;
        self
    }

    /// The same images after some of their files were moved inside the root: pairs of the earlier
    /// name and the new one.
    #[must_use]
    pub fn renamed(mut self, renamed: &[(String, String)]) -> Self {
        let names: BTreeMap<&str, &str> =
            renamed.iter().map(|(earlier, now)| (earlier.as_str(), now.as_str())).collect();
        for image in &mut self.images {
            if let Some(now) = names.get(image.name.as_str()) {
                image.name = (*now).to_owned();
                image.place = Ok(Place::File(self.root.join(path_of(now))));
            }
        }
        self.images.sort_by(|one, other| one.name.cmp(&other.name));
        self
    }

    /// The name of the image that a table calls `row`: the name itself, or the path from the folder
    /// that was given.
    pub fn name_of(&self, row: &str) -> String {
        let prefixed = format!("{}{row}", self.prefix);
        if !self.holds(row) && self.holds(&prefixed) { prefixed } else { row.to_owned() }
    }
}

/// The prefix of names relative to `folder` that makes them relative to the folder above.
pub(crate) fn names_prefix(folder: &Path) -> String {
    match name::of(folder).unwrap_or_else(|| folder.to_string_lossy().into_owned()) {
        name if name.is_empty() => name,
        name => name + "/",
    }
}

/// Lists the images of `inputs`, without what lies in `exclude` (the run's own directory may be
/// inside the folder).
///
/// Folders are walked to any depth, links followed, hidden entries, those of the system and images
/// that gemscope wrote left out. A file that several paths lead to through links is one image; hard
/// links are images of their own. An input that is not there and has `*`, `?`, `[` or `{` in it is
/// a pattern (`**` for any depth); `@FILE` is a list of paths, one a line, and `-` one on standard
/// input; a `.tar` or `.zip` that is named, listed or matched is a folder of its
/// images.
///
/// # Errors
/// [`SourceError`] if an input does not exist or there is no image at all.
pub fn list(inputs: &[PathBuf], exclude: Option<&Path>) -> Result<Source, SourceError> {
    list_chosen(inputs, exclude, &Choice::default())
}

/// The first plain path among `inputs` that is not there. Patterns, lists and addresses are not
/// followed.
pub fn first_missing(inputs: &[PathBuf]) -> Option<SourceError> {
    let is_plain = |input: &&PathBuf| {
        let text = input.to_string_lossy();
        let other = text == "-" || text.starts_with('@') || text.contains("://");
        !other && !text.contains(inputs::SPECIAL)
    };
    let missing = inputs.iter().filter(is_plain).find(|input| !input.exists());
    missing.map(|input| SourceError::NotFound(input.clone()))
}

/// [`list`] with a choice of images.
///
/// # Errors
/// As [`list`], and for an invalid pattern of [`Choice::exclude`].
pub fn list_chosen(
    inputs: &[PathBuf],
    exclude: Option<&Path>,
    choice: &Choice,
) -> Result<Source, SourceError> {
    let exclude = exclude.and_then(|path| std::path::absolute(path).ok()).map(|path| tidy(&path));
    let excluded = Excluded::new(&choice.exclude)?;
    let written = RefCell::<Written>::default();
    let max_depth = choice.max_depth.unwrap_or(usize::MAX);
    let (own, written) = (exclude.as_deref(), &written);
    let (videos, images) = (choice.video.is_some(), choice.video != Some(VideoUse::Whole));
    let search = Search { own, excluded: &excluded, max_depth, videos, images, written };
    let mut expanded = Vec::new();
    for input in inputs {
        inputs::expand(input, search, &mut expanded)?;
    }
    let local = expanded.iter().filter(|input| !matches!(input.kind, Kind::Address(_)));
    let mut root = common_root(local.map(|input| input.base.as_path()));
    if root.as_os_str().is_empty() {
        // Names of images on the web are relative to nothing.
        root = inputs::absolute(Path::new("."))?;
    }
    let fetcher = Fetcher::new(choice.web.clone(), choice.say);
    let mut found =
        Found { root: &root, search, images: BTreeMap::new(), passed_over: PassedOver::default() };
    let mut real = RealPaths::default();
    for input in &expanded {
        let is_left_out = || {
            search.leaves_out(&input.path, input.path.strip_prefix(&root).unwrap_or(&input.path))
        };
        match &input.kind {
            Kind::Folder => found.insert_folder(&input.path, &mut real),
            Kind::File | Kind::Archive if is_left_out() => {}
            Kind::File => found.insert(&input.path, Ok(()), real.link(&input.path, true)),
            Kind::Archive => found.insert_archive(&input.path),
            Kind::Address(Ok(address)) => found.insert_address(fetcher.file(address.clone())),
            Kind::Address(Err(reason)) => {
                let name = shown_address(&input.path.to_string_lossy());
                found.images.insert(name, Listed { place: Err(reason.clone()), link: None });
            }
        }
    }
    let repeated = links::repeated(&found.images);
    for name in &repeated {
        found.images.remove(name);
    }
    let Found { mut images, mut passed_over, .. } = found;
    let videos = match choice.video {
        Some(VideoUse::Frames(frames)) => {
            video::expand(&mut images, frames, choice.say, choice.stop.as_ref())?
        }
        Some(VideoUse::Whole) => video::whole(&mut images)?,
        None => None,
    };
    passed_over.count_written(written.borrow().images);
    if images.is_empty() {
        if choice.video == Some(VideoUse::Whole) {
            return Err(SourceError::NoVideos { inputs: named(inputs), passed_over });
        }
        return Err(SourceError::NoImages { inputs: named(inputs), passed_over });
    }
    let needs_ffmpeg =
        |name: &String| BY_FFMPEG.iter().any(|known| has_extension(Path::new(name), known));
    let ffmpeg = match &videos {
        Some(videos) => Some(videos.ffmpeg.to_string()),
        None if images.keys().any(needs_ffmpeg) => {
            Ffmpeg::find().ok().map(|found| found.to_string())
        }
        None => None,
    };
    let mut images: Vec<SourceImage> = images
        .into_iter()
        .map(|(name, listed)| SourceImage { name, place: listed.place })
        .collect();
    let mut not_chosen = choice.known.of(&mut images);
    not_chosen.extend(choice.most.map_or_else(Vec::new, |most| most.of(&mut images)));
    not_chosen.sort();
    let prefix = String::new();
    Ok(Source {
        root,
        prefix,
        images,
        not_chosen,
        shard: None,
        other_shards: Vec::new(),
        passed_over,
        repeated: repeated.len(),
        videos: videos.as_ref().map_or(0, |videos| videos.count),
        ffmpeg,
    })
}

/// Inputs as they were given, in words.
fn named(inputs: &[PathBuf]) -> String {
    let shown = |path: &PathBuf| shown_address(&path.display().to_string());
    inputs.iter().map(shown).collect::<Vec<_>>().join(", ")
}

/// An image, or a video, on its way into the list.
struct Listed {
    place: Result<Place, String>,
    /// Set if the way to it leads through a link.
    link: Option<Link>,
}

struct Found<'r> {
    root: &'r Path,
    search: Search<'r>,
    images: BTreeMap<String, Listed>,
    passed_over: PassedOver,
}

impl Found<'_> {
    fn insert_folder(&mut self, folder: &Path, real: &mut RealPaths) {
        let through_link = folder.canonicalize().is_ok_and(|real| real != folder);
        walk::each(folder, self.search, |found| match found {
            walk::Found::Image { path, linked } => {
                let link = (linked || through_link).then(|| real.link(path, linked)).flatten();
                self.insert(path, Ok(()), link);
            }
            walk::Found::Other(path) => self.passed_over.count(path, false),
            walk::Found::Special(path) => self.passed_over.count_special(path),
            walk::Found::Unlisted(path, reason) => self.insert(path, Err(reason), None),
        });
    }

    fn insert(&mut self, path: &Path, listed: Result<(), String>, link: Option<Link>) {
        let relative = path.strip_prefix(self.root).unwrap_or(path);
        let (name, place) = match name::of(relative) {
            Some(name) => (name, listed.map(|()| Place::File(path.to_owned()))),
            None => (
                relative.to_string_lossy().into_owned(),
                Err("the file name is no text: rename the file".to_owned()),
            ),
        };
        self.images.insert(name, Listed { place, link });
    }

    fn insert_archive(&mut self, path: &Path) {
        let archive: Arc<Path> = path.into();
        let Some(folder) = name::of(path.strip_prefix(self.root).unwrap_or(path)) else {
            return self.insert(path, Ok(()), None);
        };
        match archive::list(path) {
            Ok(listing) => {
                let broken = self.insert_entries(&folder, path, listing, |span| Place::Entry {
                    archive: Arc::clone(&archive),
                    span,
                });
                if let Some(reason) = broken {
                    self.insert(path, Err(reason), None);
                }
            }
            Err(error) => self.insert(path, Err(format!("cannot be read: {error}")), None),
        }
    }

    /// Inserts what the archive called `folder` holds; why there may be more than that.
    fn insert_entries(
        &mut self,
        folder: &str,
        path: &Path,
        listing: archive::Listing,
        place: impl Fn(Span) -> Place,
    ) -> Option<String> {
        for (name, span) in listing.entries {
            let inside = name::path(&name);
            if !self.search.images {
                self.passed_over.count(&inside, true);
                continue;
            }
            let is_part = |part: &Component<'_>| matches!(part, Component::Normal(_));
            let depth = inside.components().filter(is_part).count();
            if depth > self.search.max_depth || self.search.leaves_out(&path.join(&inside), &inside)
            {
                continue;
            }
            let place = span.map(&place);
            self.images.insert(format!("{folder}/{name}"), Listed { place, link: None });
        }
        self.passed_over.add(listing.others);
        listing.broken
    }

    /// Inserts a file on the web, or what an archive there holds. It is an archive, or a video, if
    /// its path ends like one.
    fn insert_address(&mut self, file: RemoteFile) {
        let name = file.name().to_owned();
        let file = Arc::new(file);
        let path = PathBuf::from(name.split('?').next().unwrap_or_default());
        let place = if is_other_archive(&path) {
            Err("of archives only .tar and .zip are read in place: unpack it".to_owned())
        } else if video::has_video_extension(&path) {
            Err("a video on the web is not read in place: fetch it first".to_owned())
        } else if archive::is_archive(&path) {
            match file.list() {
                Ok(listing) => {
                    let broken = self.insert_entries(&name, &path, listing, |span| Place::Remote {
                        file: Arc::clone(&file),
                        span: Some(span),
                    });
                    let Some(reason) = broken else { return };
                    Err(reason)
                }
                Err(reason) => Err(reason),
            }
        } else {
            Ok(Place::Remote { file, span: None })
        };
        self.images.insert(name, Listed { place, link: None });
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// Whether the extension of a path is that of an image. HEIC and AVIF are images if there is an
/// ffmpeg.
fn has_image_extension(path: &Path) -> bool {
    path.extension().and_then(|extension| extension.to_str()).is_some_and(|extension| {
        let is_of = |extensions: &[&str]| {
            extensions.iter().any(|known| known.eq_ignore_ascii_case(extension))
        };
        is_of(&EXTENSIONS) || is_of(&BY_FFMPEG) && Ffmpeg::find().is_ok()
    })
}

/// An absolute path without `.` and `..`. Lexical, so that a link keeps the name that the user gave
/// it.
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
pub(crate) fn common_root<'b>(mut bases: impl Iterator<Item = &'b Path>) -> PathBuf {
    let mut root = bases.next().unwrap_or(Path::new("")).to_owned();
    for other in bases {
        while !other.starts_with(&root) && root.pop() {}
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::ownership;

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
        for name in [
            "b.PNG",
            "a/z.jpg",
            "a/notes.txt",
            ".hidden/c.png",
            "out/crop.png",
            "old/crops/x.png",
            "other/d.png",
        ] {
            touch(&dir.path().join(name));
        }
        std::fs::write(
            dir.path().join("old/run.json"),
            r#"{"gemscope": "0.1.0", "settings": null}"#,
        )
        .unwrap();
        std::fs::write(dir.path().join("other/run.json"), r#"{"lr": 0.1, "settings": {}}"#)
            .unwrap();
        let find =
            |input: &str| list(&[dir.path().join(input)], Some(&dir.path().join("out"))).unwrap();
        assert_eq!(names(&find("")), ["a/z.jpg", "b.PNG", "other/d.png"]);
        assert_eq!(names(&find("old")), ["crops/x.png"], "a folder that is named is searched");
    }

    #[test]
    fn images_that_an_export_wrote_beside_others_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.png", "set/images/train/mine.png"] {
            touch(&dir.path().join(name));
        }
        let out = ownership::OutputDirectory::open(dir.path()).unwrap();
        for name in ["set/images/train/b.png", "crops/c.png", "set/data.yaml"] {
            out.write(name, b"xy").unwrap();
        }
        drop(out);
        // One that was replaced by the user's is an image again.
        std::fs::write(dir.path().join("crops/c.png"), "replaced").unwrap();
        for input in ["", "*"] {
            let source = list(&[dir.path().join(input)], None).unwrap();
            assert_eq!(
                names(&source),
                ["a.png", "crops/c.png", "set/images/train/mine.png"],
                "{input}"
            );
            assert_eq!(source.passed_over.words().unwrap(), "1 written by gemscope");
        }
        let source = list(&[dir.path().join("set/images")], None).unwrap();
        assert_eq!(
            names(&source),
            ["train/b.png", "train/mine.png"],
            "a folder that is named is searched"
        );
    }

    #[test]
    fn several_inputs_share_a_root_so_that_no_name_is_double() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["one/x.png", "two/x.png", "two/y.txt"] {
            touch(&dir.path().join(name));
        }
        let inputs =
            [dir.path().join("one"), dir.path().join("two/../two"), dir.path().join("two/y.txt")];
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
