//! The bundled demo model: a tiny Gemma 4 that knows coloured shapes, part of the binary.

use std::path::{Path, PathBuf};

use super::ModelError;
use crate::{digest, files};

macro_rules! bundled {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../fixtures/demo-model/", $name)))),+]
    };
}

const FILES: &[(&str, &[u8])] = bundled![
    "config.json",
    "generation_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "onnx/vision_encoder.onnx",
    "onnx/embed_tokens.onnx",
    "onnx/decoder_model_merged.onnx",
];

/// What the demo model can do, for the line that a run prints.
pub const DESCRIPTION: &str = "the bundled demo model, which knows only coloured shapes (circles, squares, triangles and stars in red, green, blue, \
     yellow, purple and orange)";

/// Unpacks the bundled model into `cache`, unless it is there already, and gives its directory.
///
/// The directory's name holds a hash of its content, so two versions of the program never share one.
///
/// # Errors
/// [`ModelError::Unpack`] where the cache cannot be written.
pub fn unpack(cache: &Path) -> Result<PathBuf, ModelError> {
    let names_and_hashes: String =
        FILES.iter().flat_map(|(name, bytes)| [(*name).to_owned(), digest::hex(bytes)]).collect::<String>();
    let directory = cache.join(format!("demo-model-{:016x}", digest::number(names_and_hashes)));
    // Another process may be doing the same.
    let mut files = FILES.iter();
    let unpacked = files.try_for_each(|(name, bytes)| files::replace_unless_there(&directory.join(name), bytes));
    unpacked.map_err(|error| ModelError::Unpack { path: directory.clone(), error })?;
    Ok(directory)
}

/// One of its files.
pub(super) fn file(name: &str) -> Option<&'static [u8]> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
}
