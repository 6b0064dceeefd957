//! Which files of a published repository a model needs.
//!
//! In: the paths and sizes of a repository's files, and the precisions that are wanted. Out: the
//! files of the three graphs, their external data, and the settings beside them. Promises: no file
//! of audio is among them, and none of another precision.

use std::path::Path;

use serde_json::Value;

use super::dtypes::{Dtypes, SUFFIXES, dtype_of, suffix};
use super::folder::{DECODER, EMBEDDING, VISION, list};
use super::foreign::Foreign;
use super::layout_error::LayoutError;

/// The files of a repository.
#[derive(Debug, Clone)]
pub struct Published<'f> {
    name: String,
    files: Vec<(&'f str, u64)>,
}

/// A precision that all three graphs of a repository have.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Precision {
    /// Its name: `fp32`, `fp16`, `q8`, `q4`, `q4f16` ...
    pub dtype: String,
    /// Bytes of the vision graph and the decoder, with their external data.
    pub computing_bytes: u64,
    /// Bytes of the embedding graph, with its external data.
    pub embedding_bytes: u64,
}

impl Precision {
    /// Bytes of all three graphs.
    pub fn bytes(&self) -> u64 {
        self.computing_bytes + self.embedding_bytes
    }
}

/// Says how the graphs of onnxruntime-genai lie.
const GENAI: &str = "genai_config.json";

impl<'f> Published<'f> {
    /// The files of the repository `name`: path and bytes of each.
    pub fn new(name: &str, files: impl IntoIterator<Item = (&'f str, u64)>) -> Self {
        Self { name: name.to_owned(), files: files.into_iter().collect() }
    }

    /// The path of `genai_config.json`, if the graphs are laid out as it says.
    pub fn genai_config(&self) -> Option<&'f str> {
        self.files.iter().map(|(path, _)| *path).find(|path| *path == GENAI)
    }

    /// True if one of the three graphs is among the files, in any precision.
    pub fn has_graphs(&self) -> bool {
        let is_graph = |path: &str| {
            let path = Path::new(path.strip_prefix("onnx/").unwrap_or(path));
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let is_onnx = path.extension().is_some_and(|extension| extension == "onnx");
            is_onnx && [VISION, EMBEDDING, DECODER].iter().any(|graph| stem.starts_with(graph))
        };
        self.files.iter().any(|(path, _)| is_graph(path))
    }

    /// The precisions that all three graphs have, the most exact first.
    pub fn precisions(&self) -> Vec<Precision> {
        let bytes = |stem: &str, suffix: &str| {
            let files = self.graph(stem, suffix)?;
            Some(files.iter().map(|(_, size)| size).sum::<u64>())
        };
        let precision = |suffix: &&str| {
            Some(Precision {
                dtype: dtype_of(suffix).to_owned(),
                computing_bytes: bytes(VISION, suffix)? + bytes(DECODER, suffix)?,
                embedding_bytes: bytes(EMBEDDING, suffix)?,
            })
        };
        SUFFIXES.iter().filter_map(precision).collect()
    }

    /// The files that a model needs whose graphs have these precisions: settings first, then graphs
    /// and their external data. A graph without a precision is taken in the first that is there.
    ///
    /// # Errors
    /// [`LayoutError`] that lists what is there instead.
    pub fn files(&self, dtypes: &Dtypes) -> Result<Vec<&'f str>, LayoutError> {
        let mut files = self.settings();
        for (graph, stem, dtype) in [
            ("vision", VISION, &dtypes.vision),
            ("embedding", EMBEDDING, &dtypes.embedding),
            ("decoder", DECODER, &dtypes.decoder),
        ] {
            let found = match dtype {
                Some(dtype) => self.graph(stem, &suffix(dtype)),
                None => SUFFIXES.iter().find_map(|suffix| self.graph(stem, suffix)),
            };
            let found = found.ok_or_else(|| self.lacks(graph, stem, dtype.as_deref()))?;
            files.extend(found.iter().map(|(path, _)| *path));
        }
        Ok(files)
    }

    /// The same, as a `genai_config.json` lays the graphs out.
    ///
    /// # Errors
    /// [`LayoutError`] that names the graph.
    pub fn genai_files(&self, config: &Value) -> Result<Vec<&'f str>, LayoutError> {
        let mut files = self.settings();
        for graph in ["vision", "embedding", "decoder"] {
            let named = config["model"][graph]["filename"].as_str();
            let name = named.ok_or_else(|| LayoutError::GenaiConfig {
                path: format!("{}/{GENAI}", self.name).into(),
                reason: format!(
                    "no `model.{graph}.filename`; a text-only export cannot see images"
                ),
            })?;
            let found = self.with_data(name);
            if found.is_empty() {
                return Err(LayoutError::NoGraph {
                    directory: self.name.clone().into(),
                    graph,
                    looked_for: format!("{name} (from {GENAI})"),
                    found: self.listed(),
                });
            }
            files.extend(found.iter().map(|(path, _)| *path));
        }
        Ok(files)
    }

    /// Tokenizer, template and settings, which stand at the top.
    fn settings(&self) -> Vec<&'f str> {
        let wanted = |path: &&str| {
            let ends = |end: &str| path.to_ascii_lowercase().ends_with(end);
            !path.contains('/') && (ends(".json") && !ends(".index.json") || ends(".jinja"))
        };
        self.files.iter().map(|(path, _)| *path).filter(wanted).collect()
    }

    /// A graph and its external data.
    fn graph(&self, stem: &str, suffix: &str) -> Option<Vec<(&'f str, u64)>> {
        let found =
            ["onnx/", ""].map(|folder| self.with_data(&format!("{folder}{stem}{suffix}.onnx")));
        found.into_iter().find(|files| !files.is_empty())
    }

    /// `path`, and what lies beside it under its name: `x.onnx_data`, `x.onnx_data_1`,
    /// `x.onnx.data`.
    fn with_data(&self, path: &str) -> Vec<(&'f str, u64)> {
        let path = path.trim_start_matches("./");
        let there = self.files.iter().any(|(file, _)| *file == path);
        let of_graph = |file: &&(&str, u64)| there && file.0.starts_with(path);
        self.files.iter().filter(of_graph).copied().collect()
    }

    fn lacks(&self, graph: &'static str, stem: &str, dtype: Option<&str>) -> LayoutError {
        let names: Vec<&str> = self.files.iter().map(|(path, _)| *path).collect();
        if let Some(foreign) = Foreign::of(&names, None).filter(|_| !self.has_graphs()) {
            return LayoutError::Foreign { path: self.name.clone().into(), foreign };
        }
        let suffix = dtype.map_or("*".to_owned(), suffix);
        let precisions: Vec<_> =
            self.precisions().into_iter().map(|precision| precision.dtype).collect();
        let found = if precisions.is_empty() {
            self.listed()
        } else {
            format!("all three graphs in {}", precisions.join(", "))
        };
        LayoutError::NoGraph {
            directory: self.name.clone().into(),
            graph,
            looked_for: format!("onnx/{stem}{suffix}.onnx"),
            found,
        }
    }

    fn listed(&self) -> String {
        let names: Vec<_> = self.files.iter().map(|(path, _)| (*path).to_owned()).collect();
        list(&names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_precision_needs_is_chosen() {
        let mut paths = vec![
            "README.md".to_owned(),
            "config.json".to_owned(),
            "model.safetensors.index.json".to_owned(),
            "tokenizer.json".to_owned(),
            "chat_template.jinja".to_owned(),
            "onnx/decoder_model_merged_q4.onnx_data_1".to_owned(),
            "other/config.json".to_owned(),
        ];
        for graph in ["audio_encoder", "decoder_model_merged", "embed_tokens", "vision_encoder"] {
            for suffix in ["", "_fp16", "_q4", "_q4f16"] {
                paths.push(format!("onnx/{graph}{suffix}.onnx"));
                paths.push(format!("onnx/{graph}{suffix}.onnx_data"));
            }
        }
        paths.retain(|path| path != "onnx/vision_encoder_fp16.onnx");
        let published = Published::new("o/n", paths.iter().map(|path| (path.as_str(), 10)));
        let files = published.files(&"q4".parse().unwrap()).unwrap();
        assert_eq!(files.len(), 3 + 7);
        assert!(
            files.iter().all(|path| !path.contains("audio") && !path.contains("f16")),
            "{files:?}"
        );
        let precisions = published.precisions();
        let names: Vec<_> = precisions.iter().map(|precision| precision.dtype.as_str()).collect();
        assert_eq!(names, ["fp32", "q4", "q4f16"]);
        assert_eq!((precisions[1].computing_bytes, precisions[1].embedding_bytes), (50, 20));
        let error = published.files(&"fp16".parse().unwrap()).unwrap_err().to_string();
        assert!(
            error.contains("vision_encoder_fp16.onnx") && error.contains("fp32, q4, q4f16"),
            "{error}"
        );
        assert!(published.files(&"vision=q4,embedding=q4,decoder=fp16".parse().unwrap()).is_ok());
    }
}
