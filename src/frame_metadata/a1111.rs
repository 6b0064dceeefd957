//! The text `parameters` of stable-diffusion-webui, Forge and whoever writes like them.
//!
//! In: lines of the prompt, of the negative prompt, and one line of pairs. Out:
//! [`GenerationSettings`]. Promises: a prompt with any of the signs in it stays whole; what stands
//! after the line of pairs is not taken for the prompt.
//!
//! Source: `parse_generation_parameters` and `quote` in `modules/infotext_utils.py` of
//! stable-diffusion-webui.

use serde_json::Value;

use super::GenerationSettings;
use super::named::{Field, Named, field};
use super::{civitai, comfyui};
use crate::record::Lora;

const NEGATIVE: &str = "Negative prompt:";

/// Whether a text that anybody may have written is of this kind.
pub(super) fn looks_like(text: &str) -> bool {
    text.lines().any(is_settings)
}

/// Reads it. `None` of a text that says nothing.
pub(super) fn read(text: &str) -> Option<GenerationSettings> {
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.iter().rposition(|line| is_settings(line));
    let (mut prompt, mut negative) = (Vec::new(), None::<Vec<&str>>);
    for line in &lines[..last.unwrap_or(lines.len())] {
        match (line.trim_start().strip_prefix(NEGATIVE), &mut negative) {
            (Some(rest), None) => negative = Some(vec![rest]),
            (_, Some(negative)) => negative.push(line),
            (None, None) => prompt.push(*line),
        }
    }
    let mut named = Named::default();
    let mut hash = None;
    let pairs = last.map(|last| pairs(lines[last])).unwrap_or_default();
    let value_of = |name: &str| {
        pairs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    // Fooocus puts its styles into the prompt and keeps what was typed beside it.
    let joined =
        |lines: &[&str]| lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join("\n");
    let typed = value_of("Raw prompt").cloned().unwrap_or_else(|| joined(&prompt));
    named.take_or_note(Field::Prompt, "prompt", &Value::String(typed));
    let typed =
        value_of("Raw negative prompt").cloned().or_else(|| negative.as_deref().map(joined));
    named.take_or_note(
        Field::NegativePrompt,
        "negative prompt",
        &Value::String(typed.unwrap_or_default()),
    );
    for (key, value) in &pairs {
        let value = Value::String(value.clone());
        match field(key) {
            // No pair stands for what has lines of its own.
            Some(Field::Prompt | Field::NegativePrompt) => {}
            Some(field) => named.take_or_note(field, key, &value),
            None if key.eq_ignore_ascii_case("Model hash") => hash = Some(value),
            None => {}
        }
    }
    let mut settings = GenerationSettings::default();
    for (key, value) in &pairs {
        match key.to_ascii_lowercase().as_str() {
            "civitai resources" => civitai::resources(value, &mut settings),
            "lora hashes" => names_of_hashes(value, &mut settings.loras),
            // Before it, the name of the program.
            "version" if settings.software.is_none() => settings.software = Some(value.clone()),
            _ => {}
        }
    }
    if let Some(model) = settings.model {
        named.take_or_note(Field::Model, "Civitai resources", &Value::String(model));
    }
    if let Some(hash) = hash {
        named.take_or_note(Field::Model, "Model hash", &hash);
    }
    let mut read = named.finish();
    let mut loras = [read.prompt.as_deref(), read.negative_prompt.as_deref()]
        .into_iter()
        .flatten()
        .flat_map(comfyui::tags)
        .collect::<Vec<_>>();
    for lora in settings.loras {
        if !loras.iter().any(|known| known.name == lora.name) {
            loras.push(lora);
        }
    }
    read.loras = loras;
    read.software = match (read.software, settings.software) {
        (Some(app), Some(version)) => Some(format!("{app} {version}")),
        (app, version) => app.or(version),
    };
    read.if_any()
}

/// `a: 0f3c, b: 77ab`: the names of LoRAs, with the hashes of their files.
fn names_of_hashes(text: &str, loras: &mut Vec<Lora>) {
    let is_hash = |hash: &str| hash.len() >= 4 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    for (name, hash) in text.split(',').filter_map(|pair| pair.rsplit_once(':')) {
        let name = name.trim();
        if !name.is_empty() && !name.contains(':') && is_hash(hash.trim()) {
            loras.push(Lora { name: name.to_owned(), weight: None });
        }
    }
}

/// A line of pairs with names that only such a line has together. A prompt may have colons, too.
fn is_settings(line: &str) -> bool {
    // Looked for first: the pairs of a long prompt cost more.
    if !line.contains("Steps:") && !line.contains("Seed:") {
        return false;
    }
    let known = [
        "Steps",
        "Sampler",
        "CFG scale",
        "Seed",
        "Size",
        "Model",
        "Model hash",
        "Guidance Scale",
        "Guidance",
    ];
    pairs(line).iter().filter(|(key, _)| known.contains(&key.as_str())).count() >= 2
}

/// `Steps: 20, Lora hashes: "a: 1, b: 2", Hashes: {"model": "x, y"}`: a value may be quoted as
/// JSON, or be JSON.
fn pairs(line: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = line;
    // one that does not is not looked for again: each would be read to the end of the line
    let mut all_end = true;
    while let Some((key, after)) = rest.split_once(':') {
        // What stands before a comma is no part of the name.
        let key = key.rsplit(',').next().unwrap_or_default().trim();
        let after = after.trim_start();
        let end = match after.as_bytes().first() {
            Some(b'"' | b'{' | b'[') if all_end => {
                let end = json_end(after);
                all_end = end.is_some();
                end
            }
            _ => None,
        };
        let end = end.unwrap_or_else(|| after.find(',').unwrap_or(after.len()));
        let value = after[..end].trim();
        let value = if value.starts_with('"') { serde_json::from_str(value).ok() } else { None }
            .unwrap_or_else(|| value.to_owned());
        pairs.push((key.to_owned(), value));
        rest = &after[end..];
    }
    pairs
}

/// Where a JSON text, object or list ends; `None` where it does not.
fn json_end(text: &str) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && !quoted && !escaped {
            return Some(at + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_text() {
        let line = "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: \
                    18446744073709551615, Size: 512x768, Model hash: abc, Model: a \"b\"";
        for (text, prompt, negative) in [
            ("a cat\nNegative prompt: a dog\n", Some("a cat"), Some("a dog")),
            ("a cat\r\n", Some("a cat"), None),
            (
                "a cat,\n  two lines: x, y: z, w: 3\nNegative prompt: a\nb\n",
                Some("a cat,\ntwo lines: x, y: z, w: 3"),
                Some("a\nb"),
            ),
            ("Negative prompt: only\n", None, Some("only")),
            ("Negative prompt:\n", None, None),
            ("", None, None),
            (
                "Steps: how many?\nSeed: no, Negative prompt: no\n",
                Some("Steps: how many?\nSeed: no, Negative prompt: no"),
                None,
            ),
            (
                "x\nNegative prompt: y\nNegative prompt: z\n",
                Some("x"),
                Some("y\nNegative prompt: z"),
            ),
        ] {
            let settings = read(&format!("{text}{line}\nTemplate: not a prompt")).unwrap();
            assert_eq!(
                (settings.prompt.as_deref(), settings.negative_prompt.as_deref()),
                (prompt, negative),
                "{text}"
            );
            assert_eq!(
                (settings.seed, settings.steps, settings.size),
                (Some(u64::MAX), Some(20), Some([512, 768]))
            );
            assert_eq!(settings.model.as_deref(), Some("a \"b\""));
            assert_eq!(
                (settings.sampler.as_deref(), settings.scheduler.as_deref()),
                (Some("DPM++ 2M"), Some("Karras"))
            );
            assert_eq!(settings.notes, [""; 0]);
        }
    }

    #[test]
    fn a_text_without_the_line_is_a_prompt() {
        let settings =
            read("a cat: big, with a hat: red, seed: 1\nNegative prompt: a dog").unwrap();
        assert_eq!(settings.prompt.as_deref(), Some("a cat: big, with a hat: red, seed: 1"));
        assert_eq!(settings.negative_prompt.as_deref(), Some("a dog"));
        assert!(read(" \n").is_none());
        assert!(!looks_like("made with my camera, Seed: none"));
    }

    #[test]
    fn values_with_commas() {
        let line = r#"Steps: 4, Lora hashes: "a: 1, Model: \"b\"", Hashes: {"model": "x, Seed: 3", "y": [1, 2]}, Seed: 5, Model hash: f00, Open: "no end, Size: 8x9"#;
        let settings = read(line).unwrap();
        assert_eq!((settings.seed, settings.size), (Some(5), Some([8, 9])));
        assert_eq!(settings.model.as_deref(), Some("f00"), "the hash where there is no name");
    }

    #[test]
    fn what_is_broken_is_a_note() {
        let settings = read("a cat\nSteps: 20, Seed: -1, Size: huge, CFG scale: 7").unwrap();
        assert_eq!((settings.steps, settings.seed, settings.size), (Some(20), None, None));
        assert_eq!(settings.notes.len(), 2, "{:?}", settings.notes);
    }
}
