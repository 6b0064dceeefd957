use std::path::Path;

use super::*;

/// The file of a frame and what `expected.json` says of it.
fn frames() -> Vec<(String, Vec<u8>, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/generation");
    let expected: Value =
        serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let frames = expected["frames"].as_array().unwrap().clone();
    frames
        .into_iter()
        .map(|frame| {
            let file = frame["file"].as_str().unwrap().to_owned();
            let bytes = std::fs::read(folder.join(&file)).unwrap();
            (file, bytes, frame)
        })
        .collect()
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
        if found.map(|settings| GenerationSettings { notes: vec![], ..settings }) != expected {
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
        tool: Some(Tool::ComfyUi),
        ..GenerationSettings::default()
    };
    let line = serde_json::to_string(&settings).unwrap();
    assert_eq!(line, r#"{"seed":18446744073709551615,"cfg_scale":6.5,"tool":"comfyui"}"#);
    assert_eq!(serde_json::from_str::<GenerationSettings>(&line).unwrap(), settings);
}

#[test]
fn long_texts_are_cut_and_said() {
    let long = format!("{}\nSteps: 1, Seed: 2", "é".repeat(MOST_PROMPT + 1));
    let settings = read_sidecar(&long).unwrap();
    assert_eq!(settings.prompt.unwrap().chars().count(), MOST_PROMPT);
    assert_eq!(settings.notes, ["a text is longer than what is kept of it"]);
}
