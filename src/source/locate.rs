//! From an image's name back to its bytes, long after it was listed: for exports, and for answers
//! that were made elsewhere.
//!
//! In: the name of an image. Out: its file, its part of an archive, or its frame of a video. Promises: a name never leads
//! out of the folder that it is relative to.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::archive::{self, Entries};
use super::remote::is_address;
use super::video::clip_of;
use super::{Place, Source, name};
use crate::ffmpeg::{Clip, Readers};

/// Finds the images of a run by their names. An archive is listed once.
pub(crate) struct Locator<'r> {
    root: &'r Path,
    archives: Mutex<HashMap<PathBuf, Arc<Entries>>>,
    /// Videos by their names, with the frames that were announced.
    clips: HashMap<String, Arc<Clip>>,
    readers: Arc<Readers>,
    /// Images on the web that may be asked for, since the user named them.
    remote: Option<&'r RemotePlaces>,
}

impl<'r> Locator<'r> {
    /// Names are relative to `root`.
    pub(crate) fn new(root: &'r Path) -> Self {
        let (archives, clips, readers) = Default::default();
        Self { root, archives, clips, readers, remote: None }
    }

    /// The same, with images on the web.
    pub(crate) fn with_remote(self, remote: &'r RemotePlaces) -> Self {
        Self { remote: Some(remote), ..self }
    }

    /// The same, of which these images will be asked for: frames of a video are then decoded in one
    /// pass, and not each by itself.
    pub(crate) fn expecting<'n>(mut self, images: impl Iterator<Item = &'n str>) -> Self {
        let mut times: HashMap<&str, Vec<u64>> = HashMap::new();
        for (clip, time) in images.filter_map(clip_of) {
            times.entry(clip).or_default().push(time);
        }
        for (clip, mut times) in times {
            times.sort_unstable();
            times.dedup();
            let of_times = Clip::new(&self.archive(clip), times, Arc::clone(&self.readers));
            self.clips.insert(clip.to_owned(), Arc::new(of_times));
        }
        self
    }

    /// Whether the image called `image` is there: a file or a link of that name, or an archive that
    /// it was in. A name that cannot be looked up (a folder without permission) counts as there, and
    /// so does an image on the web, where nothing is asked for that.
    pub(crate) fn exists(&self, image: &str) -> bool {
        let gone = |error: &io::Error| {
            matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        };
        if is_address(image) {
            return true;
        }
        match self.root.join(name::path(image)).symlink_metadata() {
            Err(error) if gone(&error) => {
                clip_of(image).is_some_and(|(clip, _)| self.archive(clip).is_file())
                    || archives(image).any(|(archive, _)| self.archive(archive).is_file())
            }
            _ => true,
        }
    }

    fn archive(&self, name: &str) -> PathBuf {
        self.root.join(name::path(name))
    }

    /// The place of the image called `image`: a file, or inside an archive. A missing file has a
    /// place too; `None` if the name leads out of the folder, or to the web, and was not named.
    pub(crate) fn place(&self, image: &str) -> Option<Place> {
        if is_address(image) {
            return self.remote?.0.get(image).cloned();
        }
        let path = name::path(image);
        if leads_out(&path) {
            return None;
        }
        let path = self.root.join(path);
        if !path.exists() {
            if let Some(frame) = self.frame(image) {
                return Some(frame);
            }
            // The shortest beginning that is a file and not a folder.
            for (archive, inside) in archives(image) {
                let archive = self.archive(archive);
                if archive.is_file() {
                    if let Some(Ok(span)) = self.entries(&archive).get(inside) {
                        return Some(Place::Entry { archive: archive.into(), span: *span });
                    }
                    break;
                }
            }
        }
        Some(Place::File(path))
    }

    /// The frame of a video that is called `image`, if the video is there.
    fn frame(&self, image: &str) -> Option<Place> {
        let (name, time) = clip_of(image)?;
        let expected = self.clips.get(name).and_then(|clip| Some((clip, clip.index_of(time)?)));
        if let Some((clip, index)) = expected {
            return Some(Place::Frame { clip: Arc::clone(clip), index });
        }
        let file = self.archive(name);
        let clip = || Arc::new(Clip::new(&file, vec![time], Arc::clone(&self.readers)));
        file.is_file().then(|| Place::Frame { clip: clip(), index: 0 })
    }

    /// Whether the file at `path` lies in the folder once all links are followed. A file that is
    /// not there does not.
    pub(crate) fn holds(&self, path: &Path) -> bool {
        let resolved = |path: &Path| path.canonicalize().ok();
        resolved(path).zip(resolved(self.root)).is_some_and(|(path, root)| path.starts_with(root))
    }

    fn entries(&self, path: &Path) -> Arc<Entries> {
        // Held while an archive is listed, so that it is listed once.
        let mut archives = self.archives.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entries) = archives.get(path) {
            return Arc::clone(entries);
        }
        // An archive that cannot be listed counts as empty; reading the place then reports the
        // error.
        let entries =
            Arc::new(archive::list(path).map(|listing| listing.entries).unwrap_or_default());
        archives.insert(path.to_owned(), Arc::clone(&entries));
        entries
    }
}

/// The images on the web that inputs named, by their names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RemotePlaces(Arc<HashMap<String, Place>>);

impl RemotePlaces {
    /// Those of a source.
    pub fn of(source: &Source) -> Self {
        let places = source.images.iter().filter_map(|image| match &image.place {
            Ok(place @ Place::Remote { .. }) => Some((image.name.clone(), place.clone())),
            _ => None,
        });
        Self(Arc::new(places.collect()))
    }

    /// Adds others.
    pub(crate) fn add(&mut self, others: &Self) {
        let places = Arc::make_mut(&mut self.0);
        places.extend(others.0.iter().map(|(name, place)| (name.clone(), place.clone())));
    }
}

/// Every archive that the image called `image` may be in, the shortest name first, and its name
/// there.
fn archives(image: &str) -> impl Iterator<Item = (&str, &str)> {
    image.match_indices('/').map(|(place, _)| (&image[..place], &image[place + 1..]))
}

/// Whether a path is not relative to a folder, or leaves it.
pub(crate) fn leads_out(path: &Path) -> bool {
    !path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}
