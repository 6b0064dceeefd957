//! Files of models that are not run here, told by their names.
//!
//! In: the names of the files in a folder or a repository. Out: their kind, and the way on.
//! Promises: a folder that has the three graphs is never called something else; that is looked at
//! before.

use std::fmt;
use std::path::Path;

/// The kind of files that a folder or a repository holds in place of the three graphs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Foreign {
    /// Weights for llama.cpp and Ollama.
    Gguf,
    /// Weights of transformers; with the model type that config.json names, if it is not Gemma 4's.
    Checkpoint {
        /// The model type.
        other_type: Option<String>,
    },
    /// Changes to the weights of another model.
    Adapter,
    /// For Google's LiteRT-LM.
    LiteRt,
    /// By the exporter that is part of transformers.
    TransformersExport,
    /// Graphs, and none that takes pictures.
    TextOnly,
    /// An archive of files.
    Archive,
}

/// The command that fetches graphs.
const DOWNLOAD: &str = "graphs of E2B and E4B are fetched by `gemscope model download \
                        onnx-community/gemma-4-E2B-it-ONNX`";
const EXPORT: &str = "`python -m gemscope.onnx_export model CHECKPOINT OUT`";

impl Foreign {
    /// The kind of files of these names; `model_type` is that of their config.json.
    pub fn of(names: &[&str], model_type: Option<&str>) -> Option<Self> {
        let names: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        let ends = |extensions: &[&str]| {
            let ends = |name: &String| {
                Path::new(name).extension().is_some_and(|e| extensions.iter().any(|x| e == *x))
            };
            names.iter().any(ends)
        };
        let file = |wanted: &[&str]| {
            names.iter().any(|name| wanted.contains(&name.rsplit('/').next().unwrap_or_default()))
        };
        let graphs = ends(&["onnx"]);
        Some(if file(&["adapter_config.json", "adapter_model.safetensors"]) {
            Self::Adapter
        } else if ends(&["gguf"]) {
            Self::Gguf
        } else if ends(&["litertlm", "task", "tflite"]) {
            Self::LiteRt
        } else if graphs
            && (file(&["export.json"])
                || file(&["language_model.onnx", "lm_head.onnx", "decode.onnx"]))
        {
            Self::TransformersExport
        } else if graphs {
            Self::TextOnly
        } else if ends(&["safetensors", "bin", "pt", "pth"])
            || file(&["model.safetensors.index.json"])
        {
            let gemma = |model_type: &&str| model_type.starts_with("gemma4");
            Self::Checkpoint {
                other_type: model_type.filter(|name| !gemma(name)).map(str::to_owned),
            }
        } else if names.len() == 1 && ends(&["zip", "tar", "gz", "tgz", "xz", "zst", "7z"]) {
            Self::Archive
        } else {
            return None;
        })
    }
}

impl fmt::Display for Foreign {
    /// The kind in words, and the way on.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gguf => write!(
                f,
                "GGUF, for llama.cpp and Ollama, and not for ONNX Runtime: a server of theirs runs \
                 it (`llama-server -m MODEL.gguf --mmproj MMPROJ.gguf`); {DOWNLOAD}"
            ),
            Self::Checkpoint { other_type: Some(other) } => {
                write!(
                    f,
                    "a checkpoint of model type {other:?}, and only Gemma 4 is run here; {DOWNLOAD}"
                )
            }
            Self::Checkpoint { other_type: None } => {
                write!(
                    f,
                    "a checkpoint, whose weights are no graphs yet: {EXPORT} makes graphs of it; \
                     {DOWNLOAD}"
                )
            }
            Self::Adapter => write!(
                f,
                "an adapter (LoRA), which is a change to a model and no model: merge it into its \
                 base (`merge_and_unload` of peft), then {EXPORT}"
            ),
            Self::LiteRt => {
                write!(
                    f,
                    "for LiteRT-LM, which runs on phones, and not for ONNX Runtime; {DOWNLOAD}"
                )
            }
            Self::TransformersExport => write!(
                f,
                "an export by transformers itself (OnnxExporter, optimum), which has no graph \
                 that looks up tokens, so that \
                 no picture can be put between them: export the checkpoint by {EXPORT}; {DOWNLOAD}"
            ),
            Self::TextOnly => write!(
                f,
                "a text-only export: none of its graphs takes pictures. Export the checkpoint by \
                 {EXPORT}; {DOWNLOAD}"
            ),
            Self::Archive => {
                write!(f, "an archive: unpack it, and name the folder with config.json")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_their_names() {
        let of = |names: &[&str]| Foreign::of(names, Some("gemma4"));
        assert_eq!(of(&["gemma-4-E2B-it-Q4_K_M.gguf", "mmproj-F16.gguf"]), Some(Foreign::Gguf));
        assert_eq!(
            of(&["config.json", "model-00001-of-00002.safetensors"]),
            Some(Foreign::Checkpoint { other_type: None })
        );
        let other = Foreign::of(&["model.safetensors"], Some("gemma3")).unwrap();
        assert!(other.to_string().contains("\"gemma3\""));
        assert_eq!(
            of(&["adapter_config.json", "adapter_model.safetensors"]),
            Some(Foreign::Adapter)
        );
        assert_eq!(of(&["gemma-4-E2B-it.litertlm"]), Some(Foreign::LiteRt));
        assert_eq!(
            of(&["export.json", "model.onnx", "model.onnx.data"]),
            Some(Foreign::TransformersExport)
        );
        assert_eq!(of(&["config.json", "onnx/model_q4.onnx"]), Some(Foreign::TextOnly));
        assert_eq!(of(&["model.zip"]), Some(Foreign::Archive));
        assert_eq!(of(&["readme.txt"]), None);
    }
}
