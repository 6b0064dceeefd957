//! Frames of a video, by their times.
//!
//! In: a video file, and the times of the frames that may be asked for. Out: any of them, as a BMP
//! file. Promises: frames that are asked for in their order, by any number of threads, are decoded
//! once, in one pass; the part of the video between frames far from each other is skipped; however
//! long the video is and however many there are, few processes run, and few frames wait.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::reader::Reader;
use super::{Ffmpeg, FfmpegError};

/// The most frames that one process gives.
const FRAMES_PER_PROCESS: usize = 64;
/// A gap between frames that is worth a process of its own, in milliseconds.
const SEEK_GAP: u64 = 20_000;
/// The most processes that run at the same time.
const MAX_PROCESSES: usize = 8;
/// Bytes of frames that wait for being asked for, for each process. Of more, the earliest are
/// decoded again if they are.
const BYTES_WAITING: usize = 128 << 20;

/// A video, and the frames that may be asked for.
#[derive(Debug)]
pub struct Clip {
    file: Arc<Path>,
    /// Milliseconds from the beginning, sorted.
    times: Vec<u64>,
    /// The first frames of parts that are read by a process each.
    starts: Vec<usize>,
    /// Set once reading from the beginning found nothing either: seeking is not at fault then.
    seeking_works: AtomicBool,
    readers: Arc<Readers>,
}

impl Clip {
    /// The frames at `times` (milliseconds, sorted, none twice) of the video `file`.
    pub(crate) fn new(file: &Path, times: Vec<u64>, readers: Arc<Readers>) -> Self {
        let mut starts = Vec::new();
        for (index, time) in times.iter().enumerate() {
            let begins = match starts.last() {
                None => true,
                Some(start) => {
                    index - start >= FRAMES_PER_PROCESS || time - times[index - 1] > SEEK_GAP
                }
            };
            if begins {
                starts.push(index);
            }
        }
        let seeking_works = AtomicBool::new(false);
        Self { file: file.into(), times, starts, seeking_works, readers }
    }

    /// The video.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Where the frame at `time` (milliseconds) stands among those that may be asked for.
    pub(crate) fn index_of(&self, time: u64) -> Option<usize> {
        self.times.binary_search(&time).ok()
    }

    /// The frame at `index`, as a BMP file.
    ///
    /// # Errors
    /// [`FfmpegError`] if it is not there, or cannot be decoded.
    pub(crate) fn frame(&self, index: usize) -> Result<Vec<u8>, FfmpegError> {
        let part = self.starts.partition_point(|start| *start <= index).saturating_sub(1);
        let start = self.starts.get(part).copied().unwrap_or(0);
        let end = self.starts.get(part + 1).copied().unwrap_or(self.times.len());
        if !(start..end).contains(&index) {
            return Err(FfmpegError::NoFrame("none was asked for".to_owned()));
        }
        let passage = self.readers.of(&self.file, start);
        let mut passage = passage.lock().unwrap_or_else(PoisonError::into_inner);
        let found = passage.frame(self, index, end, true);
        if found.is_err() && !passage.gave_any && !self.seeking_works.load(Ordering::Relaxed) {
            // A file without an index may not be seekable.
            let found = passage.frame(self, index, end, false);
            self.seeking_works.store(found.is_err(), Ordering::Relaxed);
            return found;
        }
        found
    }
}

impl PartialEq for Clip {
    fn eq(&self, other: &Self) -> bool {
        self.file == other.file && self.times == other.times
    }
}

impl Eq for Clip {}

/// The processes that are on their way through videos.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    /// The one that was asked last stands last.
    passages: Mutex<Vec<Known>>,
}

/// A passage, with the video and the first frame of its part.
type Known = (Arc<Path>, usize, Arc<Mutex<Passage>>);

impl Readers {
    /// The passage through the part of `file` that begins with the frame `start`. Of too many, the
    /// one that was not asked for longest ends.
    fn of(&self, file: &Arc<Path>, start: usize) -> Arc<Mutex<Passage>> {
        let mut passages = self.passages.lock().unwrap_or_else(PoisonError::into_inner);
        let known = passages.iter().position(|(path, from, _)| path == file && *from == start);
        let passage = match known {
            Some(place) => passages.remove(place).2,
            None => Arc::default(),
        };
        passages.push((Arc::clone(file), start, Arc::clone(&passage)));
        if passages.len() > MAX_PROCESSES {
            let idle = passages.iter().position(|(_, _, passage)| Arc::strong_count(passage) == 1);
            idle.map(|place| passages.remove(place));
        }
        passage
    }
}

/// A way through a part of a video.
#[derive(Default)]
struct Passage {
    reader: Option<Reader>,
    /// The frame that comes next, or a later one.
    next: usize,
    /// Whether the reader has given any frame.
    gave_any: bool,
    /// Frames that came before they were asked for.
    waiting: VecDeque<(usize, Vec<u8>)>,
}

impl std::fmt::Debug for Passage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passage").field("next", &self.next).finish_non_exhaustive()
    }
}

impl Passage {
    /// The frame at `index` of a part that ends before `end`.
    fn frame(
        &mut self,
        clip: &Clip,
        index: usize,
        end: usize,
        seek: bool,
    ) -> Result<Vec<u8>, FfmpegError> {
        if let Some(place) = self.waiting.iter().position(|(waiting, _)| *waiting == index)
            && let Some((_, bytes)) = self.waiting.remove(place)
        {
            return Ok(bytes);
        }
        if self.reader.is_none() || index < self.next || !seek {
            let times = &clip.times[index..end];
            self.reader = Some(Reader::begin(&Ffmpeg::find()?, &clip.file, times, seek)?);
            (self.next, self.gave_any) = (index, false);
            self.waiting.clear();
        }
        while let Some(reader) = &mut self.reader {
            let Some((shown, bytes)) = reader.next()? else { break };
            self.gave_any = true;
            // One that was selected by the inexactness of its time.
            let found = shown.milliseconds().and_then(|time| clip.index_of(time));
            let Some(found) = found else { continue };
            self.next = found + 1;
            if self.next == end {
                self.reader = None;
            }
            if found == index {
                return Ok(bytes);
            }
            self.keep(found, bytes);
            if found > index {
                return Err(FfmpegError::NoFrame("the next one is a later one".to_owned()));
            }
        }
        let complaints = self.reader.take().map(Reader::end);
        Err(FfmpegError::NoFrame(complaints.unwrap_or_else(|| "the video is over".to_owned())))
    }

    fn keep(&mut self, index: usize, bytes: Vec<u8>) {
        let mut all =
            bytes.len() + self.waiting.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        while all > BYTES_WAITING
            && let Some((_, earliest)) = self.waiting.pop_front()
        {
            all -= earliest.len();
        }
        self.waiting.push_back((index, bytes));
    }
}
