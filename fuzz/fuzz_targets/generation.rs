//! Any bytes as a generated frame, a file beside it, or a prompt: settings or none, within their
//! limits; clauses, no more than asked for.
#![no_main]

use gemscope::critique::clauses::{MOST_CLAUSES, clauses};
use gemscope::frame_metadata::{read, read_sidecar};
use gemscope::record::GenerationSettings;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    check(read(bytes));
    if let Ok(text) = str::from_utf8(bytes) {
        check(read_sidecar(text));
        assert!(clauses(text, MOST_CLAUSES).len() <= MOST_CLAUSES);
    }
});

fn check(settings: Option<GenerationSettings>) {
    let Some(settings) = settings else { return };
    assert!(
        settings.is_known() || !settings.notes.is_empty(),
        "settings that say nothing are none"
    );
    assert!(settings.notes.len() <= 8);
    assert!(settings.prompt.iter().all(|prompt| !prompt.trim().is_empty()));
    assert!(settings.cfg_scale.is_none_or(f64::is_finite));
    let line = serde_json::to_vec(&settings).expect("settings are JSON");
    assert_eq!(
        serde_json::from_slice::<GenerationSettings>(&line).expect("and come back"),
        settings
    );
}
