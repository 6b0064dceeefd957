//! Any bytes as the files of a model directory: an error, or settings. ONNX Runtime is not asked;
//! what is read before it is.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use gemscope::model::{Dtypes, GraphFiles, ModelConfig};
use gemscope::prompt::{ChatTemplate, Conversation};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

static MODEL: LazyLock<TempDir> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }
        .expect("a temporary directory")
});

const FILES: [&str; 8] = [
    "config.json",
    "generation_config.json",
    "genai_config.json",
    "processor_config.json",
    "chat_template.json",
    "chat_template.jinja",
    "vision_encoder.onnx",
    "decoder_model_merged.onnx",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else { return };
    let directory = MODEL.path();
    let file = directory.join(FILES[usize::from(*which) % FILES.len()]);
    for graph in ["vision_encoder.onnx", "embed_tokens.onnx", "decoder_model_merged.onnx"] {
        std::fs::write(directory.join(graph), b"").expect("written");
    }
    std::fs::write(&file, bytes).expect("written");
    let _ = ModelConfig::read(directory);
    if let Ok(files) = GraphFiles::find(directory, &Dtypes::default()) {
        let _ = files.all_files();
    }
    if let Ok(template) = ChatTemplate::open(directory) {
        let _ = template.render("detect star", &Conversation::default(), "<bos>");
    }
    std::fs::remove_file(&file).expect("removed");
});
