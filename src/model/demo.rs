//! The bundled demo model: a tiny Gemma 4 that knows coloured shapes, part of the binary.
//!
//! In: a question. Out: its files in a cache, and whether it was trained on the question's words.
//! Promises: a question that [`knows`] passes is made of its colours and shapes alone; to anything
//! else its answer is a guess that looks like an answer.

use std::path::{Path, PathBuf};

use super::ModelError;
use crate::record::Task;
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

/// The abilities of the demo model, for the line that a run prints.
pub const DESCRIPTION: &str = "the bundled demo model, which knows only coloured shapes (circles, \
                               squares, triangles and stars in red, green, blue, \
     yellow, purple and orange)";

/// The demo model's name, in place of a model's.
pub const NAME: &str = "demo";

/// The colours of the shapes that it knows.
pub const COLOURS: [&str; 6] = ["red", "green", "blue", "yellow", "purple", "orange"];

/// The shapes that it knows.
pub const SHAPES: [&str; 4] = ["circle", "square", "triangle", "star"];

/// Stands for every shape, in questions without other labels. Boxes have their shape's name.
const ANY: &str = "shape";

/// The question forms that ask it for boxes (`DETECT_FORMS` in
/// `python/gemscope/onnx_export/demo/questions.py`): the text before and behind the labels.
const FORMS: [(&str, &str); 3] =
    [("detect ", ""), ("Detect the ", " in this image"), ("detect ", ", output only ```json")];

/// Whether a task asks only for what it was trained on: its shapes, its coloured shapes, or `detect
/// shape`, in its wordings.
pub fn knows(task: &Task) -> bool {
    let asked = task.text();
    let in_a_form = FORMS.iter().any(|(before, behind)| {
        let labels = asked.strip_prefix(before).and_then(|asked| asked.strip_suffix(behind));
        labels.is_some_and(|labels| labels == ANY || labels.split(" and ").all(knows_label))
    });
    in_a_form && task.labels().iter().all(|label| knows_label(label))
}

fn knows_label(label: &str) -> bool {
    let (colour, shape) =
        label.split_once(' ').map_or((None, label), |(colour, shape)| (Some(colour), shape));
    match colour {
        Some(colour) => COLOURS.contains(&colour) && SHAPES.contains(&shape),
        None => SHAPES.contains(&shape),
    }
}

/// Unpacks the bundled model into `cache`, unless it is there already, and gives its directory.
///
/// The directory's name holds a hash of its content, so two versions of the program never share
/// one.
///
/// # Errors
/// [`ModelError::Unpack`] if the cache cannot be written.
pub fn unpack(cache: &Path) -> Result<PathBuf, ModelError> {
    let names_and_hashes: String = FILES
        .iter()
        .flat_map(|(name, bytes)| [(*name).to_owned(), digest::hex(bytes)])
        .collect::<String>();
    let directory = cache.join(format!("demo-model-{:016x}", digest::number(names_and_hashes)));
    // Another process may be doing the same.
    let mut files = FILES.iter();
    let unpacked = files
        .try_for_each(|(name, bytes)| files::replace_unless_there(&directory.join(name), bytes));
    unpacked.map_err(|error| ModelError::Unpack { path: directory.clone(), error })?;
    Ok(directory)
}

/// One of its files.
pub(super) fn file(name: &str) -> Option<&'static [u8]> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_its_own_words_and_no_others() {
        let labels =
            |labels: &[&str]| Task::Labels(labels.iter().map(|&label| label.to_owned()).collect());
        let prompt = |text: &str, labels: &[&str]| Task::Prompt {
            text: text.to_owned(),
            labels: labels.iter().map(|&label| label.to_owned()).collect(),
        };
        let known = [
            labels(&["star"]),
            labels(&["red circle", "blue star"]),
            Task::Phrase("purple triangle".to_owned()),
            prompt("detect shape", &[]),
            prompt("Detect the {labels} in this image", &["red circle"]),
            prompt("detect star and circle, output only ```json", &[]),
        ];
        assert!(known.iter().all(knows));
        let unknown = [
            labels(&["deer"]),
            labels(&["star", "deer"]),
            labels(&["shape"]),
            labels(&["red circle", "shape"]),
            prompt("detect shape", &["shape"]),
            prompt("detect shape and star", &[]),
            labels(&["Star"]),
            labels(&["pink star"]),
            labels(&["red"]),
            labels(&["red shape"]),
            labels(&["red red circle"]),
            labels(&["stars"]),
            Task::Phrase("the dog on the left".to_owned()),
            prompt("describe this image", &[]),
            prompt("detect", &[]),
            prompt("detect ", &[]),
            prompt("detect shape", &["deer"]),
            prompt("find star", &[]),
            prompt("detect star and deer", &[]),
            prompt("", &[]),
        ];
        for task in &unknown {
            assert!(!knows(task), "{task:?}");
        }
        let all = COLOURS.iter().flat_map(|colour| SHAPES.map(|shape| format!("{colour} {shape}")));
        assert_eq!(all.filter(|label| knows_label(label)).count(), 24);
    }
}
