//! Which files of a directory are the three graphs.

use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;

/// How a model directory is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// `onnx/vision_encoder*.onnx`, `onnx/embed_tokens*.onnx`, `onnx/decoder_model_merged*.onnx`: transformers.js and onnx-community.
    OnnxCommunity,
    /// Names from `genai_config.json`: mobius and onnxruntime-genai.
    Genai,
}

/// Why a directory is not a model.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// Not a directory at all.
    #[error("{}: no such model directory", .0.display())]
    NoDirectory(PathBuf),
    /// Neither layout.
    #[error(
        "{}: no model found. Looked for onnx/{VISION}*.onnx, onnx/{EMBEDDING}*.onnx and onnx/{DECODER}*.onnx (or the same beside config.json), \
         and for genai_config.json. There is: {found}", directory.display()
    )]
    NoModel {
        /// The directory.
        directory: PathBuf,
        /// What is there instead.
        found: String,
    },
    /// A graph is missing.
    #[error("{}: no {graph} graph. Looked for {looked_for}. There is: {found}", directory.display())]
    NoGraph {
        /// The directory.
        directory: PathBuf,
        /// Which graph.
        graph: &'static str,
        /// The names that would have done.
        looked_for: String,
        /// What is there instead.
        found: String,
    },
    /// `genai_config.json` is broken.
    #[error("{}: {reason}", path.display())]
    GenaiConfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

const VISION: &str = "vision_encoder";
const EMBEDDING: &str = "embed_tokens";
const DECODER: &str = "decoder_model_merged";

/// Suffixes in the order of the automatic choice: full precision first, then the smaller ones (utils/dtypes.js of transformers.js).
const SUFFIXES: [&str; 12] =
    ["", "_fp16", "_q8", "_quantized", "_int8", "_uint8", "_q4", "_q4f16", "_bnb4", "_q2", "_q2f16", "_q1"];

/// The chosen files.
#[derive(Debug, Clone, Serialize)]
pub struct GraphFiles {
    /// The layout.
    pub layout: Layout,
    /// Patches to soft tokens.
    pub vision: PathBuf,
    /// Ids to embeddings.
    pub embedding: PathBuf,
    /// Embeddings to logits.
    pub decoder: PathBuf,
}

impl GraphFiles {
    /// Finds the graphs of `directory`. `dtype` (`q4f16`, `fp16`, `fp32` ...) is wanted for each graph that has it; a graph
    /// without it gets the automatic choice, but at least one must have it.
    ///
    /// # Errors
    /// [`LayoutError`] that lists what was looked for and what was there.
    pub fn find(directory: &Path, dtype: Option<&str>) -> Result<Self, LayoutError> {
        if !directory.is_dir() {
            return Err(LayoutError::NoDirectory(directory.to_owned()));
        }
        if directory.join("genai_config.json").is_file() {
            return Self::genai(directory);
        }
        let nested = directory.join("onnx");
        let graphs = if nested.is_dir() { nested } else { directory.to_owned() };
        let names = onnx_names(&graphs);
        if ![VISION, EMBEDDING, DECODER].iter().any(|stem| names.iter().any(|name| name.starts_with(stem))) {
            return Err(LayoutError::NoModel { directory: directory.to_owned(), found: entries(directory) });
        }
        let wanted =
            dtype.map(|dtype| if matches!(dtype, "fp32" | "f32") { String::new() } else { format!("_{dtype}") });
        let choose = |stem: &str| -> Option<String> {
            let suffixes = wanted.iter().map(String::as_str).chain(SUFFIXES);
            let known = suffixes.map(|suffix| format!("{stem}{suffix}.onnx")).find(|name| names.contains(name));
            known.or_else(|| names.iter().find(|name| name.starts_with(stem)).cloned())
        };
        let one = |graph, stem: &str| {
            choose(stem).map(|name| graphs.join(name)).ok_or_else(|| LayoutError::NoGraph {
                directory: graphs.clone(),
                graph,
                looked_for: format!("{stem}*.onnx"),
                found: list(&names),
            })
        };
        let files = Self {
            layout: Layout::OnnxCommunity,
            vision: one("vision", VISION)?,
            embedding: one("embedding", EMBEDDING)?,
            decoder: one("decoder", DECODER)?,
        };
        if let Some(suffix) = wanted {
            let chosen = [(&files.vision, VISION), (&files.embedding, EMBEDDING), (&files.decoder, DECODER)];
            if !chosen.iter().any(|(path, stem)| path.ends_with(format!("{stem}{suffix}.onnx"))) {
                return Err(LayoutError::NoGraph {
                    directory: graphs,
                    graph: "requested",
                    looked_for: format!("{VISION}{suffix}.onnx, {EMBEDDING}{suffix}.onnx or {DECODER}{suffix}.onnx"),
                    found: list(&names),
                });
            }
        }
        Ok(files)
    }

    fn genai(directory: &Path) -> Result<Self, LayoutError> {
        let path = directory.join("genai_config.json");
        let broken = |reason: String| LayoutError::GenaiConfig { path: path.clone(), reason };
        let text = std::fs::read_to_string(&path).map_err(|error| broken(error.to_string()))?;
        let config: serde_json::Value = serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
        let one = |graph: &'static str| {
            let name = config["model"][graph]["filename"]
                .as_str()
                .ok_or_else(|| broken(format!("no `model.{graph}.filename`; a text-only export cannot see images")))?;
            let file = directory.join(name);
            if file.is_file() {
                return Ok(file);
            }
            Err(LayoutError::NoGraph {
                directory: directory.to_owned(),
                graph,
                looked_for: format!("{name} (from genai_config.json)"),
                found: entries(directory),
            })
        };
        Ok(Self {
            layout: Layout::Genai,
            vision: one("vision")?,
            embedding: one("embedding")?,
            decoder: one("decoder")?,
        })
    }
}

fn onnx_names(directory: &Path) -> Vec<String> {
    let mut names = names(directory);
    names.retain(|name| Path::new(name).extension().is_some_and(|extension| extension == "onnx"));
    names
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn entries(directory: &Path) -> String {
    list(&names(directory))
}

fn list(names: &[String]) -> String {
    const SHOWN: usize = 20;
    match names.len() {
        0 => "nothing".to_owned(),
        n if n > SHOWN => format!("{} and {} more", names[..SHOWN].join(", "), n - SHOWN),
        _ => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        dir
    }

    #[test]
    fn a_dtype_is_taken_where_a_graph_has_it() {
        let dir = directory(&[
            "onnx/vision_encoder_fp16.onnx",
            "onnx/embed_tokens.onnx",
            "onnx/embed_tokens_q4f16.onnx",
            "onnx/decoder_model_merged_q4f16.onnx",
            "onnx/decoder_model_merged_q4f16.onnx_data",
            "onnx/decoder_model_merged_q4.onnx",
        ]);
        let files = GraphFiles::find(dir.path(), Some("q4f16")).unwrap();
        assert!(files.vision.ends_with("onnx/vision_encoder_fp16.onnx"));
        assert!(files.embedding.ends_with("onnx/embed_tokens_q4f16.onnx"));
        assert!(files.decoder.ends_with("onnx/decoder_model_merged_q4f16.onnx"));
        let automatic = GraphFiles::find(dir.path(), None).unwrap();
        assert!(automatic.embedding.ends_with("onnx/embed_tokens.onnx"));
        assert!(automatic.decoder.ends_with("onnx/decoder_model_merged_q4.onnx"));
        let error = GraphFiles::find(dir.path(), Some("q8")).unwrap_err().to_string();
        assert!(error.contains("decoder_model_merged_q8.onnx") && error.contains("embed_tokens.onnx"), "{error}");
    }

    #[test]
    fn what_is_missing_is_named_with_what_is_there() {
        let dir = directory(&["onnx/vision_encoder.onnx", "onnx/decoder_model_merged.onnx"]);
        let error = GraphFiles::find(dir.path(), None).unwrap_err().to_string();
        assert!(error.contains("embed_tokens*.onnx") && error.contains("vision_encoder.onnx"), "{error}");
        let empty = directory(&["readme.txt"]);
        let error = GraphFiles::find(empty.path(), None).unwrap_err().to_string();
        assert!(error.contains("genai_config.json") && error.contains("readme.txt"), "{error}");
    }
}
