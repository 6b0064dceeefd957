//! `NovelAI`.
//!
//! In: the texts `Software`, `Source`, `Description` and `Comment`, an object; or one object of all
//! four, as it stands in the EXIF comment of WebP files and in hidden texts. Out:
//! [`GenerationSettings`]. Promises: the prompts of characters stand behind the prompt, a line
//! each.
//!
//! Source: github.com/NovelAI/novelai-image-metadata, and files that the site made from 2022 to
//! 2026.

use serde_json::{Map, Value};

use super::{GenerationSettings, Tool, json, named};

/// What stands beside the comment.
#[derive(Default)]
pub(super) struct Beside<'t> {
    /// The prompt, in files of 2022 and 2023 only here.
    pub(super) description: Option<&'t str>,
    /// The model.
    pub(super) source: Option<&'t str>,
}

/// The object of all four texts; `None` of another one.
pub(super) fn of_object(object: &Map<String, Value>) -> Option<GenerationSettings> {
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    let comment = object.get("Comment")?;
    let named = text("Software").is_some_and(|software| software.contains("NovelAI"));
    let parsed = match comment {
        Value::String(text) => json::parse(text).ok()?,
        value => value.clone(),
    };
    let comment = parsed
        .as_object()
        .filter(|inner| named || inner.contains_key("uc") || inner.contains_key("prompt"))?;
    Some(read(comment, &Beside { description: text("Description"), source: text("Source") }))
}

/// The settings of a comment.
pub(super) fn read(comment: &Map<String, Value>, beside: &Beside<'_>) -> GenerationSettings {
    let mut settings = named::read(comment).by(Tool::NovelAi);
    let clean = |text: &str| {
        Some(text.trim_matches('\0').trim().to_owned()).filter(|text| !text.is_empty())
    };
    settings.prompt = settings.prompt.or_else(|| clean(beside.description?));
    settings.model = settings.model.or_else(|| clean(beside.source?));
    for (prompt, name) in
        [(&mut settings.prompt, "v4_prompt"), (&mut settings.negative_prompt, "v4_negative_prompt")]
    {
        let Some(caption) = comment.get(name).and_then(|prompt| prompt.get("caption")) else {
            continue;
        };
        let base = caption.get("base_caption").and_then(Value::as_str).and_then(clean);
        let characters =
            caption.get("char_captions").and_then(Value::as_array).into_iter().flatten();
        let characters = characters.filter_map(|one| clean(one.get("char_caption")?.as_str()?));
        let all: Vec<String> = prompt.take().or(base).into_iter().chain(characters).collect();
        *prompt = Some(all.join("\n")).filter(|all| !all.is_empty());
    }
    // Its strength says something only of pictures that began with another one.
    let request = comment.get("request_type").and_then(Value::as_str).unwrap_or_default();
    if request.contains("Image2Image") || request.contains("Img2Img") || request.contains("Infill")
    {
        settings.denoise = comment.get("strength").and_then(Value::as_f64);
    }
    settings
}
