//! The names in a folder of graphs.

use std::path::Path;

/// The three graphs, by the beginning of their files' names.
pub(super) const VISION: &str = "vision_encoder";
pub(super) const EMBEDDING: &str = "embed_tokens";
pub(super) const DECODER: &str = "decoder_model_merged";

pub(super) fn onnx_names(directory: &Path) -> Vec<String> {
    let mut names = names(directory);
    names.retain(|name| Path::new(name).extension().is_some_and(|extension| extension == "onnx"));
    names
}

pub(super) fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

pub(super) fn entries(directory: &Path) -> String {
    list(&names(directory))
}

pub(super) fn list(names: &[String]) -> String {
    const SHOWN: usize = 20;
    match names.len() {
        0 => "nothing".to_owned(),
        n if n > SHOWN => format!("{} and {} more", names[..SHOWN].join(", "), n - SHOWN),
        _ => names.join(", "),
    }
}
