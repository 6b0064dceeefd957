//! A whole video to the views that an engine is shown together.
//!
//! In: a video file, and what is asked. Out: its frames as views, the questions with the times of
//! these frames in their prompts, and in the record which frames these are. Promises: a video that
//! cannot be shown is a failed record with a reason.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::pipeline::{Loaded, Loader, hold_bytes, is_answered};
use crate::digest;
use crate::engine::{Clip, ImageQuestions, ShownView};
use crate::ffmpeg::FfmpegError;
use crate::files;
use crate::gate::Permit;
use crate::preprocess::{CLIP_FRAMES, plan_frame};
use crate::record::{Note, NoteKind, Record, Stages, Timings};
use crate::source::SourceImage;

/// How many times the bytes of a frame's pixels are held while it is decoded and resized: as a BMP
/// file, as an image, and between the two passes of the resize.
const COPIES: u64 = 4;

/// Why a video is not shown.
enum Unshown {
    /// In words.
    Reason(String),
    /// The run is over.
    Over,
}

impl From<String> for Unshown {
    fn from(reason: String) -> Self {
        Self::Reason(reason)
    }
}

impl From<FfmpegError> for Unshown {
    fn from(error: FfmpegError) -> Self {
        Self::Reason(format!("a video: {error}"))
    }
}

impl Loader<'_> {
    /// Reads and decodes a whole video; `None` once the run is over.
    pub(super) fn load_clip(&self, image: &SourceImage, file: &Path) -> Option<Loaded> {
        let mut record = Record::failed(image.name.clone(), String::new());
        let known = self.known(image);
        let failed = |record, reason| Loaded::Failed(Record { reason: Some(reason), ..record });
        if !self.plan.settings.clip {
            return Some(failed(record, "a video, and single images are asked about".to_owned()));
        }
        let mut stages = Stages::default();
        let started = Instant::now();
        record.sha256 = match files::open(file).and_then(digest::hex_of) {
            Ok(hash) => Some(hash),
            // It cannot be checked for changes.
            Err(_) if known.is_some() => return Some(Loaded::Resumed),
            Err(error) => return Some(failed(record, format!("cannot be read: {error}"))),
        };
        stages.read = started.elapsed().as_secs_f64();
        record.timings = Some(Timings { stages, ..Timings::default() });
        if known.is_some_and(|known| {
            known.sha256 == record.sha256 && is_answered(self.plan, image, known)
        }) {
            return Some(Loaded::Resumed);
        }
        let asked = match self.plan.questions.questions_about(image, &[], &mut record) {
            Ok(asked) => asked,
            Err(reason) => return Some(failed(record, reason)),
        };
        if self.plan.control.is_stopped() {
            return None;
        }
        record.question = Some(asked.hash());
        if let Some(moved) = self.moves.take(&record) {
            return Some(Loaded::Renamed(moved));
        }
        let started = Instant::now();
        let shown = self.frames(file, &asked, &mut record);
        stages.prepare = started.elapsed().as_secs_f64();
        record.timings = Some(Timings { stages, ..Timings::default() });
        match shown {
            Ok((views, asked)) => Some(Loaded::Ready(record, views, Arc::new(asked), None)),
            Err(Unshown::Reason(reason)) => Some(failed(record, reason)),
            Err(Unshown::Over) => None,
        }
    }

    /// The frames as views, and the questions about them.
    fn frames(
        &self,
        file: &Path,
        asked: &ImageQuestions,
        record: &mut Record,
    ) -> Result<(Vec<ShownView>, ImageQuestions), Unshown> {
        let control = self.plan.control;
        let stop = Some(Arc::clone(&control.stop));
        let mut clip = Clip::open(file, stop).or_else(|error| self.unless_stopped(error))?;
        if control.is_stopped() {
            return Err(Unshown::Over);
        }
        let permit = self.permit(clip.stored_size())?;
        let views = clip.views(self.preparer.form, control.max_pixels);
        let mut views = views.or_else(|error| self.unless_stopped(error))?;
        hold_bytes(permit, &mut views);
        let clip = clip.shown();
        if let Some(view) = views.first() {
            (record.width, record.height) = (view.region.width, view.region.height);
        }
        if clip.frames.len() < CLIP_FRAMES {
            let detail = format!("{} of {CLIP_FRAMES}", clip.frames.len());
            let note = Note { detail: Some(detail), ..Note::new(NoteKind::FewFrames, 1) };
            record.notes.push(note);
        }
        let stamps: Vec<String> = clip.frames.iter().map(|frame| frame.stamp.clone()).collect();
        let soft_tokens = views.first().map_or(0, |view| view.size.soft_tokens());
        let asked = asked.about_frames(&stamps, soft_tokens).map_err(|error| error.to_string())?;
        record.clip = Some(Box::new(clip));
        Ok((views, asked))
    }

    /// A video that could not be read because the run was stopped has no record.
    fn unless_stopped<T>(&self, error: FfmpegError) -> Result<T, Unshown> {
        if self.plan.control.is_stopped() { Err(Unshown::Over) } else { Err(error.into()) }
    }

    /// The bytes that are held until its frames are prepared.
    fn permit(&self, (width, height): (u32, u32)) -> Result<Permit, Unshown> {
        let views = plan_frame(width, height).map_or(0, |view| {
            u64::from(view.size.width) * u64::from(view.size.height) * 3 * CLIP_FRAMES as u64
        });
        let bytes = u64::from(width) * u64::from(height) * 3 * COPIES + views;
        self.gate.enter(usize::try_from(bytes).unwrap_or(usize::MAX)).ok_or(Unshown::Over)
    }
}
