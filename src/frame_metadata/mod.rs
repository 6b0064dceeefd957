//! The settings that a frame was generated with, read from what its maker left in the file or
//! beside it.
//!
//! In: the bytes of a PNG, JPEG or WebP file ([`read`]), the text of a file beside it
//! ([`read_sidecar`]) or a table of many frames ([`read_table`]). Out: [`GenerationSettings`].
//! Promises: no pixel is decoded; any bytes give an answer, in time and memory that grow with the
//! file and end at fixed limits; what is broken is a note beside what could be read; a file that
//! says nothing gives nothing.
//!
//! ```
//! let made = gemscope::frame_metadata::read_sidecar("a cat\nNegative prompt: blurry\nSteps: 20, Seed: 7, Size: 64x64");
//! let made = made.unwrap();
//! assert_eq!(made.prompt.as_deref(), Some("a cat"));
//! assert_eq!(made.negative_prompt.as_deref(), Some("blurry"));
//! ```

mod a1111;
mod comfyui;
mod container;
mod exif;
mod invokeai;
mod json;
mod named;
mod sidecar;
mod table;
mod texts;

use serde_json::{Map, Value};

pub use sidecar::{EXTENSIONS as SIDECAR_EXTENSIONS, read_sidecar};
pub use table::read_table;

use crate::record::{GenerationSettings, Tool};
use texts::Texts;

/// The most characters of a prompt that are kept.
const MOST_PROMPT: usize = 32 << 10;
/// The most characters of any other text that are kept.
const MOST_NAME: usize = 300;
/// The most notes that are kept.
const MOST_NOTES: usize = 8;

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
        self
    }
}

/// The settings in a PNG, JPEG or WebP file; `None` where the file says nothing of how it was made,
/// or is of another format.
pub fn read(bytes: &[u8]) -> Option<GenerationSettings> {
    let mut texts = container::texts(bytes);
    let layouts: [fn(&Texts) -> Option<GenerationSettings>; 5] =
        [of_invokeai, of_parameters, of_comfyui, of_novelai, of_comments];
    let mut notes = std::mem::take(&mut texts.notes);
    for layout in layouts {
        let Some(settings) = layout(&texts) else { continue };
        notes.extend(settings.notes.iter().cloned());
        if settings.is_known() {
            return GenerationSettings { notes, ..settings }.bounded().if_any();
        }
    }
    // Where something is there and cannot be read, that is known at least.
    GenerationSettings { notes, ..GenerationSettings::default() }.bounded().if_any()
}

fn of_invokeai(texts: &Texts) -> Option<GenerationSettings> {
    if let Some(text) = texts.get("invokeai_metadata").or_else(|| texts.get("sd-metadata")) {
        return Some(of_json("InvokeAI's metadata", text, |object| {
            invokeai::read(object).by(Tool::InvokeAi)
        }));
    }
    texts.get("Dream").map(|text| invokeai::read_command(text).by(Tool::InvokeAi))
}

fn of_parameters(texts: &Texts) -> Option<GenerationSettings> {
    let text = texts.get("parameters")?;
    if text.trim_start().starts_with('{') {
        return Some(of_json("parameters", text, of_object));
    }
    let tool = if texts.get("fooocus_scheme").is_some() { Tool::Fooocus } else { Tool::A1111 };
    a1111::read(text).map(|settings| settings.by(tool))
}

fn of_comfyui(texts: &Texts) -> Option<GenerationSettings> {
    let prompt = texts.get("prompt").map(|text| of_json("prompt", text, of_object));
    if prompt.as_ref().is_some_and(|settings| settings.prompt.is_some()) {
        return prompt;
    }
    // What was run says nothing about the prompt: what was drawn may.
    let workflow = texts.get("workflow").map(|text| of_json("workflow", text, of_object));
    match (prompt, workflow) {
        (Some(mut prompt), Some(mut workflow)) => {
            prompt.notes.append(&mut workflow.notes);
            let notes = prompt.notes;
            let settings = if workflow.is_known() {
                workflow
            } else {
                GenerationSettings { notes: vec![], ..prompt }
            };
            Some(GenerationSettings { notes, ..settings })
        }
        (prompt, workflow) => prompt.or(workflow),
    }
}

fn of_novelai(texts: &Texts) -> Option<GenerationSettings> {
    texts.get("Software").filter(|software| software.contains("NovelAI"))?;
    let text = texts.get("Comment")?;
    let mut settings = of_json("Comment", text, |object| named::read(object).by(Tool::NovelAi));
    settings.model = settings.model.or_else(|| texts.get("Source").map(str::to_owned));
    Some(settings)
}

/// Comments that anybody may have written: they must look like settings.
fn of_comments(texts: &Texts) -> Option<GenerationSettings> {
    let tool = if texts.get("fooocus_scheme").is_some() { Tool::Fooocus } else { Tool::A1111 };
    texts.all("comment").find_map(|text| {
        if text.trim_start().starts_with('{') {
            let object = json::parse(text).ok()?;
            return object.as_object().map(of_object).filter(GenerationSettings::is_known);
        }
        a1111::looks_like(text).then(|| a1111::read(text).map(|settings| settings.by(tool)))?
    })
}

/// A JSON object in any of the layouts, told by its keys.
fn of_object(object: &Map<String, Value>) -> GenerationSettings {
    if let Some(inner) = object.get("sui_image_params").and_then(Value::as_object) {
        return named::read(inner).by(Tool::SwarmUi);
    }
    if let Some(graph) = comfyui::graph_of(object) {
        return comfyui::read(&graph).by(Tool::ComfyUi);
    }
    if object.contains_key("positive_prompt") || object.contains_key("app_version") {
        return invokeai::read(object).by(Tool::InvokeAi);
    }
    let settings = named::read(object);
    if object.contains_key("base_model") || object.contains_key("guidance_scale") {
        settings.by(Tool::Fooocus)
    } else {
        settings
    }
}

fn of_json(
    name: &str,
    text: &str,
    read: impl FnOnce(&Map<String, Value>) -> GenerationSettings,
) -> GenerationSettings {
    match json::parse(text) {
        Ok(Value::Object(object)) => read(&object),
        Ok(_) => GenerationSettings::only_note(format!("{name} is not a JSON object")),
        Err(error) => GenerationSettings::only_note(format!("{name} is broken JSON: {error}")),
    }
}

#[cfg(test)]
mod tests;
