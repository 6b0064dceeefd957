//! Files that appear while a folder is watched.
//!
//! In: the listings of a source, one after the other, and the time. Out: the images that are ready
//! to be read. Promises: each image is given once, and again only if it was changed; one that is
//! still being written waits: until it has not changed for a while and, of the formats that say so,
//! its end is there. One whose end never comes is given in the end, to be answered as what it is.
//!
//! Listings and not events: a disk on a network, or in a container, sends none.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use super::{Place, Source, SourceImage};

/// A file that lacks its end is waited for this many times as long as another.
const PATIENCE: u32 = 15;

/// The images that were seen.
pub struct Arrivals {
    settle: Duration,
    seen: HashMap<String, Seen>,
}

struct Seen {
    /// Size and time of the last change.
    state: Option<(u64, SystemTime)>,
    /// Since when it is so.
    since: Instant,
    given: bool,
}

impl Arrivals {
    /// A file is ready once it has not changed for `settle`.
    pub fn new(settle: Duration) -> Self {
        Self { settle, seen: HashMap::new() }
    }

    /// The images of `source` that are ready at `now`, and were not given as they are.
    pub fn ready(&mut self, source: &Source, now: Instant) -> Vec<SourceImage> {
        let mut ready = Vec::new();
        for image in &source.images {
            let state = state_of(image);
            let seen = self.seen.entry(image.name.clone()).or_insert(Seen {
                state,
                since: now,
                given: false,
            });
            if seen.state != state {
                *seen = Seen { state, since: now, given: false };
            }
            let waited = now.saturating_duration_since(seen.since);
            let is_ready = !seen.given
                && waited >= self.settle
                && (waited >= self.settle * PATIENCE || is_whole(image));
            if is_ready {
                seen.given = true;
                ready.push(image.clone());
            }
        }
        ready
    }

    /// How many of the images of `source` are still being waited for.
    pub fn waiting(&self, source: &Source) -> usize {
        let waits =
            |image: &&SourceImage| self.seen.get(&image.name).is_none_or(|seen| !seen.given);
        source.images.iter().filter(waits).count()
    }
}

impl Source {
    /// The same source with these images of it alone.
    #[must_use]
    pub fn with_only(&self, images: Vec<SourceImage>) -> Self {
        Self { images, ..self.clone() }
    }

    /// The same source without the images that `arrivals` have not given.
    #[must_use]
    pub fn arrived(&self, arrivals: &Arrivals) -> Self {
        let given =
            |image: &&SourceImage| arrivals.seen.get(&image.name).is_some_and(|seen| seen.given);
        self.with_only(self.images.iter().filter(given).cloned().collect())
    }
}

fn path_of(image: &SourceImage) -> Option<&Path> {
    match &image.place {
        Ok(Place::File(path) | Place::Clip(path)) => Some(path),
        Ok(Place::Entry { archive, .. }) => Some(archive),
        Ok(Place::Frame { clip, .. }) => Some(clip.file()),
        Ok(Place::Remote { .. }) | Err(_) => None,
    }
}

fn state_of(image: &SourceImage) -> Option<(u64, SystemTime)> {
    let metadata = path_of(image)?.metadata().ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

/// Whether nothing says that the end of the file is still to come.
fn is_whole(image: &SourceImage) -> bool {
    match &image.place {
        Ok(Place::File(path)) => has_its_end(path).unwrap_or(true),
        _ => true,
    }
}

/// `None` of a format whose end is not known.
fn has_its_end(path: &Path) -> Option<bool> {
    const TAIL: usize = 64;
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    let mut head = Vec::new();
    (&mut file).take(12).read_to_end(&mut head).ok()?;
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL as u64))).ok()?;
    let mut tail = Vec::new();
    file.take(TAIL as u64).read_to_end(&mut tail).ok()?;
    let has = |end: &[u8]| tail.windows(end.len()).any(|bytes| bytes == end);
    if head.is_empty() {
        Some(false)
    } else if head.starts_with(b"\x89PNG") {
        Some(has(b"IEND\xaeB`\x82"))
    } else if head.starts_with(b"\xff\xd8") {
        Some(has(b"\xff\xd9"))
    } else if head.starts_with(b"RIFF") && head.len() == 12 {
        let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        Some(length >= u64::from(size) + 8)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::list;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n...\x00\x00\x00\x00IEND\xaeB`\x82";

    #[test]
    fn a_file_is_given_once_and_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut arrivals = Arrivals::new(Duration::from_secs(2));
        let mut ready = |now| -> Vec<String> {
            let source = list(&[dir.path().to_owned()], None).unwrap();
            arrivals.ready(&source, now).into_iter().map(|image| image.name).collect()
        };
        std::fs::write(path("a.png"), PNG).unwrap();
        std::fs::write(path("half.png"), &PNG[..12]).unwrap();
        std::fs::write(path("b.bmp"), "BM").unwrap();
        assert!(ready(start).is_empty(), "it may be a moment old");
        assert!(ready(after(1)).is_empty());
        assert_eq!(ready(after(2)), ["a.png", "b.bmp"]);
        assert!(ready(after(9)).is_empty(), "one is given, the other has no end");
        std::fs::write(path("half.png"), PNG).unwrap();
        assert!(ready(after(10)).is_empty());
        assert_eq!(ready(after(12)), ["half.png"]);
        // Written anew, and one whose end never comes.
        std::fs::write(path("a.png"), [PNG, b"more"].concat()).unwrap();
        std::fs::write(path("c.jpg"), b"\xff\xd8 and no more").unwrap();
        assert!(ready(after(20)).is_empty());
        assert_eq!(ready(after(22)), ["a.png"]);
        assert_eq!(ready(after(50)), ["c.jpg"]);
    }

    #[test]
    fn formats_tell_their_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let has = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            has_its_end(&path)
        };
        assert_eq!([has(PNG), has(&PNG[..20]), has(b"")], [Some(true), Some(false), Some(false)]);
        assert_eq!([has(b"\xff\xd8..\xff\xd9\n"), has(b"\xff\xd8..")], [Some(true), Some(false)]);
        assert_eq!(
            [has(b"RIFF\x08\0\0\0WEBPVP8L"), has(b"RIFF\x09\0\0\0WEBPVP8L")],
            [Some(true), Some(false)]
        );
        assert_eq!(has(b"GIF89a"), None);
    }
}
