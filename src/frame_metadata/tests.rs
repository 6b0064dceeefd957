use std::path::Path;

use serde_json::Value;

use super::*;
use crate::record::Lora;

fn fixture(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/generation").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The file of a frame and what `expected.json` says of it.
fn frames() -> Vec<(String, Vec<u8>, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/generation");
    let frames = fixture("expected.json")["frames"].as_array().unwrap().clone();
    frames
        .into_iter()
        .map(|frame| {
            let file = frame["file"].as_str().unwrap().to_owned();
            let bytes = std::fs::read(folder.join(&file)).unwrap();
            (file, bytes, frame)
        })
        .collect()
}

/// Settings without what says where they come from.
fn bare(settings: GenerationSettings) -> GenerationSettings {
    GenerationSettings { notes: vec![], sources: std::collections::BTreeMap::new(), ..settings }
}

#[test]
fn every_frame_says_what_it_was_made_with() {
    let mut wrong = Vec::new();
    for (file, bytes, frame) in frames() {
        let found = read(&bytes);
        let expected: Option<GenerationSettings> =
            serde_json::from_value(frame["settings"].clone()).unwrap();
        let notes = found.as_ref().map(|settings| settings.notes.clone()).unwrap_or_default();
        let expected_notes = frame["notes"].as_array().unwrap();
        if found.map(bare) != expected {
            wrong.push(format!("{file}: {:#?}", read(&bytes)));
        } else if notes.len() != expected_notes.len()
            || !notes
                .iter()
                .zip(expected_notes)
                .all(|(note, part)| note.contains(part.as_str().unwrap()))
        {
            wrong.push(format!("{file}: notes {notes:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A PNG file without pixels, with these texts.
fn png(texts: &serde_json::Map<String, Value>) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, text) in texts {
        let text = text.as_str().map_or_else(|| text.to_string(), str::to_owned);
        let data = [b"iTXt", name.as_bytes(), b"\0\0\0\0\0", text.as_bytes()].concat();
        let mut crc = flate2::Crc::new();
        crc.update(&data);
        file.extend(u32::try_from(data.len() - 4).unwrap().to_be_bytes());
        file.extend(&data);
        file.extend(crc.sum().to_be_bytes());
    }
    file
}

/// `makers.json`: texts as each maker and node pack writes them, and what they say. Only what is
/// named is compared.
#[test]
fn every_maker_is_understood() {
    let mut wrong = Vec::new();
    for case in fixture("makers.json").as_array().unwrap() {
        let found = match case.get("beside") {
            Some(text) => {
                read_sidecar(&text.as_str().map_or_else(|| text.to_string(), str::to_owned))
            }
            None => read(&png(case["texts"].as_object().unwrap())),
        };
        let found = found.unwrap_or_default();
        let value = serde_json::to_value(&found).unwrap();
        for (name, expected) in case["settings"].as_object().unwrap() {
            let is_right = match expected.as_str().and_then(|part| part.strip_prefix('~')) {
                Some(part) if name == "notes" => found.notes.iter().any(|note| note.contains(part)),
                Some(part) => value[name].as_str().is_some_and(|text| text.contains(part)),
                None => &value[name] == expected,
            };
            if !is_right {
                wrong.push(format!(
                    "{}: {name} is {}, not {expected}; {:?}",
                    case["name"], value[name], found.notes
                ));
            }
        }
        for name in found.settings() {
            assert!(
                found.sources.contains_key(name),
                "{}: where does {name} come from?",
                case["name"]
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Wherever a file is cut, it gives an answer.
#[test]
fn no_cut_is_a_panic() {
    for (_, bytes, _) in frames() {
        for length in (0..bytes.len()).step_by(if bytes.len() > 4000 { 499 } else { 7 }) {
            read(&bytes[..length]);
        }
    }
}

#[test]
fn settings_are_short_json_and_come_back() {
    let settings = GenerationSettings {
        seed: Some(u64::MAX),
        cfg_scale: Some(6.5),
        loras: vec![Lora { name: "winter".into(), weight: Some(0.8) }],
        tool: Some(Tool::ComfyUi),
        ..GenerationSettings::default()
    };
    let line = serde_json::to_string(&settings).unwrap();
    assert_eq!(
        line,
        r#"{"seed":18446744073709551615,"cfg_scale":6.5,"loras":[{"name":"winter","weight":0.8}],"tool":"comfyui"}"#
    );
    assert_eq!(serde_json::from_str::<GenerationSettings>(&line).unwrap(), settings);
}

#[test]
fn long_texts_are_cut_and_said() {
    let long = format!("{}\nSteps: 1, Seed: 2", "é".repeat(MOST_PROMPT + 1));
    let settings = read_sidecar(&long).unwrap();
    assert_eq!(settings.prompt.unwrap().chars().count(), MOST_PROMPT);
    assert_eq!(settings.notes, ["a text is longer than what is kept of it"]);
}
