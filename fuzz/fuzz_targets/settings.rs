//! Any text as the files of settings that a user writes: pipelines, maps of labels, calibrations,
//! manifests.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

#[allow(dead_code)]
#[path = "../../src/cli/pipeline.rs"]
mod pipeline;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }
        .expect("a temporary directory")
});

fuzz_target!(|text: &str| {
    if let Ok(told) = pipeline::arguments(text) {
        assert!(told.flags.iter().all(|flag| flag.starts_with("--")), "{:?}", told.flags);
    }
    let path = FOLDER.path().join("run.json");
    std::fs::write(&path, text).expect("written");
    let _ = gemscope::export::read_labels_map(&path);
    let _ = gemscope::export::read_categories(&path);
    let _ = gemscope::answer::calibration::Calibration::read(&path);
    let _ = gemscope::record::Manifest::read(FOLDER.path());
});
