//! Settings in a file beside the frame.
//!
//! In: the text of `a.txt` or `a.json` beside `a.png`: what stable-diffusion-webui saves as text, a
//! caption, or an object with the fields' names. Out: [`GenerationSettings`]. Promises: those of
//! [`read`](super::read).

use serde_json::Value;

use super::{GenerationSettings, Tool, a1111, json, of_object};

/// The endings of such files, in the order to look for them.
pub const EXTENSIONS: [&str; 2] = ["json", "txt"];

/// Reads the text of a file that stands beside a frame; `None` of one that says nothing.
pub fn read_sidecar(text: &str) -> Option<GenerationSettings> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let settings = if text.starts_with('{') {
        match json::parse(text) {
            Ok(Value::Object(object)) => of_object(&object),
            Ok(_) => GenerationSettings::default(),
            Err(error) => GenerationSettings::only_note(format!(
                "the file beside the frame is broken JSON: {error}"
            )),
        }
    } else {
        a1111::read(text)?
    };
    settings.by(Tool::Sidecar).bounded().if_any()
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
