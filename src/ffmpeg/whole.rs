//! The frames of a whole video, by their numbers.
//!
//! In: a video file. Out: how many frames it has, their times, and those of some numbers as BMP
//! files, one after the other. Promises: frames are counted and never sought; number and rate are
//! those of torchcodec in its exact mode, which Hugging Face's video processors decode with: the
//! packets that no edit of the file cuts away, and their number through the time from the first
//! one's beginning to the last one's end; a frame that is given has the time that was listed for its
//! number; one frame is held at a time.

use std::fmt::Write as _;
use std::path::Path;

use super::listing::{Shown, Stamped, Stored, all_decoded, stored};
use super::reader::Reader;
use super::{Ffmpeg, FfmpegError, Origin, Wanted};

/// The frames of a video, counted.
#[derive(Debug, Clone)]
pub(crate) struct CountedFrames {
    stored: Stored,
}

impl CountedFrames {
    /// Those of `file`: its packets if a packet of its codec is a frame, else those that are
    /// decoded.
    ///
    /// # Errors
    /// [`FfmpegError`] if it is no video that can be read, or is `wanted` no more. Of one that
    /// breaks off, the frames before that are counted.
    pub(crate) fn of(ffmpeg: &Ffmpeg, file: &Path, wanted: &Wanted) -> Result<Self, FfmpegError> {
        Ok(Self { stored: stored(ffmpeg, file, Origin::Zero, wanted)? })
    }

    /// Those of `file` that are decoded: of damaged files there may be fewer.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub(crate) fn decoded(
        ffmpeg: &Ffmpeg,
        file: &Path,
        wanted: &Wanted,
    ) -> Result<Self, FfmpegError> {
        Ok(Self { stored: all_decoded(ffmpeg, file, Origin::Zero, wanted)? })
    }

    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.stored.frames.len()
    }

    /// Width and height of a frame in pixels, not turned.
    pub(crate) fn size(&self) -> (u32, u32) {
        self.stored.size
    }

    /// Frames a second, on average; `None` of one frame that does not say how long it is shown.
    pub(crate) fn rate(&self) -> Option<f64> {
        let frames = &self.stored.frames;
        let seconds = self.seconds();
        if frames.iter().all(|frame| frame.duration <= 0) {
            // The last one is taken to be shown as long as the others are in the mean.
            let ticks = i128::from(frames.last()?.stamp) - i128::from(frames.first()?.stamp);
            let base = self.stored.time_base;
            let rate = (frames.len() as i128 - 1) * base.denominator;
            return (ticks > 0).then(|| rate as f64 / (ticks * base.numerator) as f64);
        }
        (seconds > 0.0).then(|| frames.len() as f64 / seconds)
    }

    /// Seconds from the beginning of the first frame to the end of the last one.
    pub(crate) fn seconds(&self) -> f64 {
        let ends = self.stored.frames.iter().map(|frame| frame.stamp + frame.duration.max(0));
        let begins = self.stored.frames.first().map_or(0, |frame| frame.stamp);
        self.in_seconds(ends.max().unwrap_or(begins)) - self.in_seconds(begins)
    }

    /// When the frame at `index` is shown, in seconds from the first one.
    pub(crate) fn time(&self, index: usize) -> Option<f64> {
        let stamp = |frame: &Stamped| self.in_seconds(frame.stamp);
        let frames = &self.stored.frames;
        Some(stamp(frames.get(index)?) - stamp(frames.first()?))
    }

    fn in_seconds(&self, stamp: i64) -> f64 {
        let base = self.stored.time_base;
        stamp as f64 * base.numerator as f64 / base.denominator as f64
    }

    /// Calls `take` with each frame of `indices` (sorted, none twice) as a BMP file. The video is
    /// decoded from its beginning to the last of them.
    ///
    /// # Errors
    /// [`FfmpegError::NoFrame`] if a frame is missing, or has another time than was listed;
    /// whatever `take` says.
    pub(crate) fn each(
        &self,
        ffmpeg: &Ffmpeg,
        file: &Path,
        indices: &[usize],
        wanted: &Wanted,
        mut take: impl FnMut(Vec<u8>) -> Result<(), FfmpegError>,
    ) -> Result<(), FfmpegError> {
        let command = ffmpeg.reading(file, 0.0, Origin::Zero);
        let frames = indices.iter().filter_map(|index| self.stored.frames.get(*index));
        // By its time: numbers begin anew in a video whose frames change their size.
        let chosen = any_of(frames.map(|frame| frame.stamp));
        let mut reader = Reader::run(ffmpeg, command, &chosen, indices.len(), wanted)?;
        for index in indices {
            let Some((shown, bytes)) = reader.next()? else {
                let complaints = reader.end();
                return Err(FfmpegError::NoFrame(format!("frame {index}: {complaints}")));
            };
            if !self.is_at(*index, shown) {
                return Err(FfmpegError::NoFrame(format!(
                    "frame {index} is not shown when the file says"
                )));
            }
            take(bytes)?;
        }
        Ok(())
    }

    /// Whether a frame that came has the time of the one at `index`.
    fn is_at(&self, index: usize, shown: Shown) -> bool {
        let (listed, base) = (self.stored.frames.get(index), self.stored.time_base);
        listed.is_some_and(|listed| {
            i128::from(listed.stamp) * base.numerator * shown.time_base.denominator
                == i128::from(shown.frame.stamp) * shown.time_base.numerator * base.denominator
        })
    }
}

/// The first frame of a video as a BMP file, turned as the file says.
///
/// # Errors
/// [`FfmpegError`] if there is none.
pub(crate) fn first_frame(ffmpeg: &Ffmpeg, file: &Path) -> Result<Vec<u8>, FfmpegError> {
    let command = ffmpeg.reading(file, 0.0, Origin::Zero);
    let mut reader = Reader::run(ffmpeg, command, "eq(n,0)", 1, &Wanted::default())?;
    match reader.next()? {
        Some((_, bytes)) => Ok(bytes),
        None => Err(FfmpegError::NoFrame(reader.end())),
    }
}

/// The expression of `select` that is true for the frames with these time stamps.
fn any_of(stamps: impl Iterator<Item = i64>) -> String {
    let mut expression = String::new();
    for stamp in stamps {
        let plus = if expression.is_empty() { "" } else { "+" };
        // A String takes every write.
        let _ = write!(expression, "{plus}eq(pts,{stamp})");
    }
    expression
}

#[cfg(test)]
mod tests {
    use super::super::listing::TimeBase;
    use super::*;

    fn counted(stamps: &[(i64, i64)], denominator: i128) -> CountedFrames {
        let frames = stamps.iter().map(|&(stamp, duration)| Stamped::at(stamp, duration));
        let time_base = TimeBase { numerator: 1, denominator };
        CountedFrames { stored: Stored { frames: frames.collect(), time_base, size: (160, 96) } }
    }

    /// torchcodec 0.17 says 29.970029970029973 of such a clip, and not 30000 / 1001.
    #[test]
    fn a_rate_is_the_number_of_frames_through_their_time() {
        let ntsc: Vec<(i64, i64)> = (0..120).map(|frame| (frame * 1001, 1001)).collect();
        let rate = counted(&ntsc, 30_000).rate().unwrap();
        assert_eq!(rate.to_bits(), 29.970_029_970_029_973_f64.to_bits());
        assert_eq!(counted(&ntsc, 30_000).seconds().to_bits(), 4.004_f64.to_bits());
        let untold: Vec<(i64, i64)> = (0..50).map(|frame| (frame * 512, 0)).collect();
        assert_eq!(counted(&untold, 12_800).rate(), Some(25.0));
        assert_eq!(counted(&[(7, 0)], 12_800).rate(), None);
        assert_eq!(counted(&[(512, 512)], 12_800).rate(), Some(25.0));
        assert_eq!(counted(&[(512, 512), (1024, 512)], 12_800).time(1), Some(0.04));
    }

    #[test]
    fn frames_are_selected_by_their_time_stamps() {
        assert_eq!(any_of([-512, 9].into_iter()), "eq(pts,-512)+eq(pts,9)");
    }
}
