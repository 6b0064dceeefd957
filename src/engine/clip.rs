//! A whole video as views that are shown together.
//!
//! In: a video file. Out: which of its frames are shown, and these frames as views. Promises: the
//! file is decoded once, except for a damaged one, of which the frames that come out are counted
//! first; one decoded frame is held at a time; all views have one size.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::{ShownView, ViewForm};
use crate::ffmpeg::{self, CountedFrames, Ffmpeg, FfmpegError, Wanted};
use crate::image::{decode_within, recycle, size_within};
use crate::preprocess::{UNKNOWN_RATE, clip_frames, time_stamp};
use crate::record::{ShownClip, ShownFrame};

/// A video whose frames are counted.
pub struct Clip {
    ffmpeg: Ffmpeg,
    file: PathBuf,
    counted: CountedFrames,
    wanted: Wanted,
}

impl Clip {
    /// Counts the frames of `file`. Whatever it is asked for then ends with an error once `stop` is
    /// raised.
    ///
    /// # Errors
    /// [`FfmpegError`] if there is no ffmpeg, or the file is no video that can be read.
    pub fn open(file: &Path, stop: Option<Arc<AtomicBool>>) -> Result<Self, FfmpegError> {
        let (ffmpeg, wanted) = (Ffmpeg::find()?, Wanted::unless(stop));
        let counted = CountedFrames::of(&ffmpeg, file, &wanted)?;
        Ok(Self { ffmpeg, file: file.to_owned(), counted, wanted })
    }

    /// Width and height of a frame in pixels, not turned.
    pub fn stored_size(&self) -> (u32, u32) {
        self.counted.size()
    }

    /// Width and height of a frame in pixels, turned as the file says: the first one is decoded.
    ///
    /// # Errors
    /// [`FfmpegError`] if it cannot be decoded, or has more than `max_pixels`.
    pub fn size(&self, max_pixels: u64) -> Result<(u32, u32), FfmpegError> {
        let frame = ffmpeg::first_frame(&self.ffmpeg, &self.file)?;
        let size = size_within(std::io::Cursor::new(frame), false, max_pixels);
        size.map_err(|error| FfmpegError::Unreadable(error.to_string()))
    }

    /// Which frames are shown.
    pub fn shown(&self) -> ShownClip {
        let rate = self.counted.rate().unwrap_or(UNKNOWN_RATE);
        let thousandths = |seconds: f64| (seconds * 1000.0).round() / 1000.0;
        let frame = |index: usize| ShownFrame {
            index,
            seconds: thousandths(self.counted.time(index).unwrap_or_default()),
            stamp: time_stamp(index, rate),
        };
        ShownClip {
            total_frames: self.counted.count(),
            fps: rate,
            seconds: thousandths(self.counted.seconds()),
            frames: clip_frames(self.counted.count()).into_iter().map(frame).collect(),
        }
    }

    /// These frames as views. Of a damaged file others may be shown afterwards, since the frames
    /// that can be decoded are counted then.
    ///
    /// # Errors
    /// [`FfmpegError`] if a frame cannot be decoded, is not of the size of the others, or has more
    /// than `max_pixels`.
    pub fn views(
        &mut self,
        form: ViewForm,
        max_pixels: u64,
    ) -> Result<Vec<ShownView>, FfmpegError> {
        match self.read(form, max_pixels) {
            // Packets of a damaged file may hold no frame.
            Err(FfmpegError::NoFrame(_)) if !self.wanted.is_over() => {
                self.counted = CountedFrames::decoded(&self.ffmpeg, &self.file, &self.wanted)?;
                self.read(form, max_pixels)
            }
            read => read,
        }
    }

    fn read(&self, form: ViewForm, max_pixels: u64) -> Result<Vec<ShownView>, FfmpegError> {
        let mut views: Vec<ShownView> = Vec::new();
        let unreadable = |reason: String| FfmpegError::Unreadable(reason);
        let indices = clip_frames(self.counted.count());
        self.counted.each(&self.ffmpeg, &self.file, &indices, &self.wanted, |bytes| {
            let frame = decode_within(&bytes, false, max_pixels);
            let frame = frame.map_err(|error| unreadable(error.to_string()))?;
            drop(bytes);
            let view = ShownView::of_frame(&frame, form);
            let view = view.map_err(|error| unreadable(error.to_string()))?;
            if views.first().is_some_and(|first| first.region != view.region) {
                return Err(unreadable("its frames have several sizes".to_owned()));
            }
            views.push(view);
            recycle(frame);
            Ok(())
        })?;
        Ok(views)
    }
}
