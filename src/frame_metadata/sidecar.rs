//! Settings in a file beside the frame.
//!
//! In: the text of `a.txt` or `a.json` beside `a.png`: what stable-diffusion-webui saves as text, a
//! caption, or an object with the fields' names. Out: [`GenerationSettings`]. Promises: those of
//! [`read`](super::read).

use serde_json::Value;

use super::layouts::of_object;
use super::named::{Named, field};
use super::{GenerationSettings, Tool, a1111, json, midjourney};

/// The endings of such files, in the order to look for them.
pub const EXTENSIONS: [&str; 4] = ["json", "swarm.json", "txt", "caption"];

/// Reads the text of a file that stands beside a frame; `None` of one that says nothing.
pub fn read_sidecar(text: &str) -> Option<GenerationSettings> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let settings = match json::parse(text) {
        Ok(Value::Object(object)) => of_object(&object),
        // What is meant as an object has names in quotes; other texts may begin so, too.
        Err(error) if text.starts_with("{\"") => GenerationSettings::only_note(format!(
            "the file beside the frame is broken JSON: {error}"
        )),
        _ => midjourney::read_kohya(text)
            .or_else(|| midjourney::read(text))
            .or_else(|| easy(text))
            .or_else(|| a1111::read(text))?,
    };
    let settings = GenerationSettings { sources: std::collections::BTreeMap::new(), ..settings };
    settings.by(Tool::Sidecar).read_in("the file beside the frame").bounded().if_any()
}

/// Lines of a name and a value, as Easy Diffusion writes them: `Prompt: a red fox`, `Steps: 25`.
fn easy(text: &str) -> Option<GenerationSettings> {
    let mut named = Named::default();
    let mut count = 0;
    for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
        if let Some(field) = field(name) {
            named.take_or_note(field, name.trim(), &Value::from(value.trim()));
            count += 1;
        }
    }
    let settings = named.finish();
    (count > 2 && settings.prompt.is_some() && !a1111::looks_like(text)).then_some(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_caption_and_object() {
        let text =
            read_sidecar("\u{feff}a cat\nNegative prompt: a dog\nSteps: 20, Seed: 7, Size: 8x9")
                .unwrap();
        let object = read_sidecar(
            r#"{"prompt": "a cat", "negative": "a dog", "steps": 20, "seed": "7", "size": "8x9", "x": [1]}"#,
        );
        assert_eq!(Some(&text), object.as_ref());
        assert_eq!(text.tool, Some(Tool::Sidecar));
        assert_eq!(
            read_sidecar("1girl, red hat\n").unwrap().prompt.as_deref(),
            Some("1girl, red hat")
        );
        assert_eq!(read_sidecar(" \n"), None);
        assert_eq!(read_sidecar("{\"other\": 1}"), None);
        assert!(read_sidecar("{\"prompt\": ").unwrap().notes[0].contains("broken JSON"));
    }
}
