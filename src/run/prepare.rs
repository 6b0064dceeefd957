//! An image to the views that an engine is shown.
//!
//! In: the bytes of a file, or pixels; how a run shows images. Out: views, the whole image first,
//! and in the record what was learned on the way: size, orientation, notes, measures. Promises: an
//! image that cannot be shown is a reason in words and never a panic.

use super::control::Control;
use crate::engine::{ImageQuestions, ShownView, ViewForm};
use crate::image::{
    UprightImage, decode_reduced, decode_within, each_frame, look, measure, recycle,
};
use crate::preprocess::{needed_size, plan_views};
use crate::record::{Note, NoteKind, Record, Settings};

/// Makes the views of a run's images.
#[derive(Clone, Copy)]
pub(super) struct Preparer<'r> {
    pub(super) settings: &'r Settings,
    pub(super) control: &'r Control,
    /// What the engine takes.
    pub(super) form: ViewForm,
}

impl Preparer<'_> {
    /// The views of a file with these bytes.
    ///
    /// # Errors
    /// Why there are none, in words.
    pub(super) fn of_bytes(
        &self,
        bytes: &[u8],
        asked: &ImageQuestions,
        record: &mut Record,
    ) -> Result<Vec<ShownView>, String> {
        let Settings { budget, apply_orientation, .. } = *self.settings;
        let max_pixels = self.control.max_pixels;
        if record.animation.is_some() {
            return self.of_animation(bytes, asked, record);
        }
        if self.settings.fast_decode {
            let needed = |width, height| needed_size(width, height, budget);
            let image = decode_reduced(bytes, apply_orientation, max_pixels, needed);
            let image = image.map_err(|error| error.to_string())?;
            (record.width, record.height, record.orientation) =
                (image.width, image.height, image.decoded.orientation);
            record.notes.extend_from_slice(&image.decoded.notes);
            self.control.check_rows(image.decoded.rows_there)?;
            let view = ShownView::of_reduced(&image, budget, self.form)
                .map_err(|error| error.to_string())?;
            recycle(image.decoded);
            return Ok(vec![view]);
        }
        let upright = decode_within(bytes, apply_orientation, max_pixels)
            .map_err(|error| error.to_string())?;
        let shown = self.of_image(&upright, asked, record);
        recycle(upright);
        shown
    }

    /// The frames of an animation that the record names, a view each. Size, measures and looks are
    /// those of the first one.
    fn of_animation(
        &self,
        bytes: &[u8],
        asked: &ImageQuestions,
        record: &mut Record,
    ) -> Result<Vec<ShownView>, String> {
        let shown = record.animation.clone().unwrap_or_default();
        let (turn, max_pixels) = (self.settings.apply_orientation, self.control.max_pixels);
        let mut views = Vec::with_capacity(shown.frames.len());
        each_frame(bytes, &shown.frames, turn, max_pixels, |frame| {
            let mut other = Record::failed(String::new(), String::new());
            let record = if views.is_empty() { &mut *record } else { &mut other };
            views.extend(self.of_image(&frame, asked, record)?);
            recycle(frame);
            Ok(())
        })?;
        let numbers: Vec<String> = shown.frames.iter().map(|at| (at + 1).to_string()).collect();
        let detail = format!("frames {} of {}", numbers.join(", "), shown.total_frames);
        let note = Note { detail: Some(detail), ..Note::new(NoteKind::AnimatedTogether, 1) };
        record.notes.push(note);
        Ok(views)
    }

    /// The views of an image. A question that asks for text is put about the whole image, not about
    /// its tiles.
    ///
    /// # Errors
    /// Why there are none, in words.
    pub(super) fn of_image(
        &self,
        image: &UprightImage,
        asked: &ImageQuestions,
        record: &mut Record,
    ) -> Result<Vec<ShownView>, String> {
        (record.width, record.height, record.orientation) =
            (image.width, image.height, image.orientation);
        record.notes.extend_from_slice(&image.notes);
        self.control.check_rows(image.rows_there)?;
        if self.settings.critique.is_some() {
            record.measures = Some(measure(image.width, image.height, &image.rgb));
            let look = look(image.width, image.height, &image.rgb);
            record.look = look.map(|bits| format!("{bits:016x}"));
        }
        let tiles = self.settings.tiles.filter(|_| !asked.is_for_text());
        let views = plan_views(image.width, image.height, tiles, self.settings.budget);
        let views = views.map_err(|error| error.to_string())?;
        let show = |view| ShownView::of(image, view, self.form).map_err(|error| error.to_string());
        views.iter().map(show).collect()
    }
}
