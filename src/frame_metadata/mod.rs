//! The settings that a frame was generated with, read from what its maker left in the file or
//! beside it.
//!
//! In: the bytes of a PNG, JPEG, WebP or AVIF file ([`read`]), the text of a file beside it
//! ([`read_sidecar`]) or a table of many frames ([`read_table`]). Out: [`GenerationSettings`].
//! Promises: no pixel is decoded, but those of a PNG file that says nothing and may hide a text in
//! them; any bytes give an answer, in time and memory that grow with the file and end at fixed
//! limits; what is broken is a note beside what could be read; a file that says nothing gives
//! nothing.
//!
//! ```
//! let made = gemscope::frame_metadata::read_sidecar("a cat\nNegative prompt: blurry\nSteps: 20, Seed: 7, Size: 64x64");
//! let made = made.unwrap();
//! assert_eq!(made.prompt.as_deref(), Some("a cat"));
//! assert_eq!(made.negative_prompt.as_deref(), Some("blurry"));
//! ```

mod a1111;
mod civitai;
mod comfyui;
mod container;
mod draw_things;
mod exif;
mod invokeai;
mod isobmff;
mod json;
mod layouts;
mod merged;
mod midjourney;
mod named;
mod novelai;
mod sidecar;
mod stealth;
mod table;
mod texts;

pub use layouts::read;
pub use sidecar::{EXTENSIONS as SIDECAR_EXTENSIONS, read_sidecar};
pub use table::read_table;

use crate::record::{GenerationSettings, Tool};

/// The most characters of a prompt that are kept.
const MOST_PROMPT: usize = 32 << 10;
/// The most characters of any other text that are kept.
const MOST_NAME: usize = 300;
/// The most notes that are kept.
const MOST_NOTES: usize = 8;
/// The most LoRAs that are kept.
const MOST_LORAS: usize = 64;
/// The most characters of a source that are kept.
const MOST_SOURCE: usize = 100;

impl GenerationSettings {
    /// Itself, unless there is neither a setting nor a note.
    fn if_any(self) -> Option<Self> {
        Some(self).filter(|settings| settings.is_known() || !settings.notes.is_empty())
    }

    fn by(mut self, tool: Tool) -> Self {
        self.tool = Some(tool);
        self
    }

    fn only_note(note: String) -> Self {
        Self { notes: vec![note], ..Self::default() }
    }

    /// No file makes a record long, and no text that says nothing is kept.
    fn bounded(mut self) -> Self {
        let mut cut = false;
        let texts = [
            (&mut self.prompt, MOST_PROMPT),
            (&mut self.negative_prompt, MOST_PROMPT),
            (&mut self.model, MOST_NAME),
            (&mut self.sampler, MOST_NAME),
            (&mut self.scheduler, MOST_NAME),
            (&mut self.vae, MOST_NAME),
            (&mut self.upscale, MOST_NAME),
            (&mut self.software, MOST_NAME),
        ];
        for (text, most) in texts {
            if let Some(long) = text.as_mut()
                && let Some((end, _)) = long.char_indices().nth(most)
            {
                long.truncate(end);
                cut = true;
            }
            *text = text.take().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        }
        if cut {
            self.notes.push("a text is longer than what is kept of it".to_owned());
        }
        let mut distinct: Vec<String> = Vec::new();
        for note in self.notes {
            if distinct.len() < MOST_NOTES && !distinct.contains(&note) {
                distinct.push(note);
            }
        }
        self.notes = distinct;
        self.loras.truncate(MOST_LORAS);
        for lora in &mut self.loras {
            if let Some((end, _)) = lora.name.char_indices().nth(MOST_NAME) {
                lora.name.truncate(end);
            }
        }
        for source in self.sources.values_mut() {
            if let Some((end, _)) = source.char_indices().nth(MOST_SOURCE) {
                source.truncate(end);
            }
        }
        if !self.is_known() {
            (self.tool, self.software) = (None, None);
        }
        let known = self.settings();
        self.sources.retain(|name, _| known.contains(&name.as_str()));
        self
    }
}

#[cfg(test)]
mod tests;
