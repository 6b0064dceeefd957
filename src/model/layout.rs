//! Which files of a directory are the three graphs.
//!
//! In: a directory, and the precisions that are wanted. Out: the files. Promises: a directory that lacks something gets an error that lists
//! what was looked for and what was there; a precision that was asked for is never replaced by another.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;
use thiserror::Error;

use super::{GraphError, external};

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
    /// A precision was asked for where there is no choice.
    #[error("{}: this layout has one precision; leave --dtype away", .0.display())]
    OnePrecision(PathBuf),
    /// Not a precision, nor one for a graph.
    #[error(
        "{0:?} does not name a graph's precision: write q4f16 for all, or vision=fp16,embedding=fp16,decoder=q4f16"
    )]
    Dtype(String),
    /// `genai_config.json` is broken.
    #[error("{}: {reason}", path.display())]
    GenaiConfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

pub(super) const VISION: &str = "vision_encoder";
pub(super) const EMBEDDING: &str = "embed_tokens";
pub(super) const DECODER: &str = "decoder_model_merged";

/// Suffixes in the order of the automatic choice: full precision first, then the smaller ones (utils/dtypes.js of transformers.js).
pub(super) const SUFFIXES: [&str; 12] =
    ["", "_fp16", "_quantized", "_int8", "_uint8", "_q4", "_q4f16", "_bnb4", "_q2", "_q2f16", "_q1", "_q1f16"];

/// The precision that is wanted of each graph, as the suffix of its file says it: `fp32`, `fp16`, `q8`, `q4`, `q4f16` ...
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dtypes {
    /// Of the vision graph.
    pub vision: Option<String>,
    /// Of the embedding graph.
    pub embedding: Option<String>,
    /// Of the decoder.
    pub decoder: Option<String>,
}

impl fmt::Display for Dtypes {
    /// As it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("vision", &self.vision), ("embedding", &self.embedding), ("decoder", &self.decoder)];
        if let (Some(one), true) = (&self.vision, parts.iter().all(|(_, dtype)| **dtype == self.vision)) {
            return f.write_str(one);
        }
        let named = parts.iter().filter_map(|(graph, dtype)| dtype.as_ref().map(|dtype| format!("{graph}={dtype}")));
        f.write_str(&named.collect::<Vec<_>>().join(","))
    }
}

impl FromStr for Dtypes {
    type Err = LayoutError;

    /// `q4f16` for all three, or `vision=fp16,decoder=q4f16`.
    fn from_str(text: &str) -> Result<Self, LayoutError> {
        if !text.contains('=') {
            let all = Some(text.to_owned());
            return Ok(Self { vision: all.clone(), embedding: all.clone(), decoder: all });
        }
        let mut dtypes = Self::default();
        for part in text.split(',') {
            let wanted = part.split_once('=').map(|(graph, dtype)| (graph.trim(), Some(dtype.trim().to_owned())));
            match wanted {
                Some(("vision", dtype)) => dtypes.vision = dtype,
                Some(("embedding", dtype)) => dtypes.embedding = dtype,
                Some(("decoder", dtype)) => dtypes.decoder = dtype,
                _ => return Err(LayoutError::Dtype(part.to_owned())),
            }
        }
        Ok(dtypes)
    }
}

/// The suffix of a precision (utils/dtypes.js of transformers.js).
pub(super) fn suffix(dtype: &str) -> String {
    match dtype {
        "fp32" | "f32" => String::new(),
        "f16" => "_fp16".to_owned(),
        "q8" => "_quantized".to_owned(),
        other => format!("_{other}"),
    }
}

/// The precision that a suffix stands for, as `--dtype` names it.
pub(super) fn dtype_of(suffix: &str) -> &str {
    match suffix {
        "" => "fp32",
        "_quantized" => "q8",
        other => other.trim_start_matches('_'),
    }
}

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
    /// Finds the graphs of `directory` in the precisions that `dtypes` names; where it names none, in the first that is there.
    ///
    /// # Errors
    /// [`LayoutError`] that lists what was looked for and what was there.
    pub fn find(directory: &Path, dtypes: &Dtypes) -> Result<Self, LayoutError> {
        if !directory.is_dir() {
            return Err(LayoutError::NoDirectory(directory.to_owned()));
        }
        if directory.join("genai_config.json").is_file() {
            if *dtypes != Dtypes::default() {
                return Err(LayoutError::OnePrecision(directory.to_owned()));
            }
            return Self::genai(directory);
        }
        let nested = directory.join("onnx");
        let graphs = if nested.is_dir() { nested } else { directory.to_owned() };
        let names = onnx_names(&graphs);
        if ![VISION, EMBEDDING, DECODER].iter().any(|stem| names.iter().any(|name| name.starts_with(stem))) {
            return Err(LayoutError::NoModel { directory: directory.to_owned(), found: entries(directory) });
        }
        let one = |graph: &'static str, stem: &str, dtype: Option<&String>| {
            let named = |suffix: &str| format!("{stem}{suffix}.onnx");
            let chosen = match dtype {
                Some(dtype) => Some(named(&suffix(dtype))).filter(|name| names.contains(name)),
                None => SUFFIXES
                    .iter()
                    .map(|suffix| named(suffix))
                    .find(|name| names.contains(name))
                    .or_else(|| names.iter().find(|name| name.starts_with(stem)).cloned()),
            };
            chosen.map(|name| graphs.join(name)).ok_or_else(|| LayoutError::NoGraph {
                directory: graphs.clone(),
                graph,
                looked_for: dtype.map_or_else(|| named("*"), |dtype| named(&suffix(dtype))),
                found: list(&names),
            })
        };
        Ok(Self {
            layout: Layout::OnnxCommunity,
            vision: one("vision", VISION, dtypes.vision.as_ref())?,
            embedding: one("embedding", EMBEDDING, dtypes.embedding.as_ref())?,
            decoder: one("decoder", DECODER, dtypes.decoder.as_ref())?,
        })
    }

    /// That the external data of every graph is there, in full length.
    ///
    /// # Errors
    /// [`GraphError`] that names the file.
    pub fn check_data(&self) -> Result<(), GraphError> {
        [&self.vision, &self.embedding, &self.decoder].into_iter().try_for_each(|graph| external::check(graph))
    }

    /// The names of external data that a graph of a folder says it has.
    ///
    /// # Errors
    /// [`GraphError`] if it is no graph.
    pub fn data_names(graph: &Path) -> Result<Vec<String>, GraphError> {
        Ok(external::data_files(graph)?.into_keys().collect())
    }

    /// The graphs and the files of external data that stand beside them, sorted.
    pub fn all_files(&self) -> Vec<PathBuf> {
        Self::files_of([&self.vision, &self.embedding, &self.decoder])
    }

    /// Bytes of the graphs that compute, vision and decoder, with their external data: what a device has to hold of a model.
    pub fn computing_bytes(&self) -> u64 {
        let files = Self::files_of([&self.vision, &self.decoder]);
        files.iter().filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
    }

    /// Bytes of the files of the embedding graph.
    pub fn embedding_bytes(&self) -> u64 {
        let files = Self::files_of([&self.embedding]);
        files.iter().filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
    }

    fn files_of<'g>(graphs: impl IntoIterator<Item = &'g PathBuf>) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for graph in graphs {
            let (Some(folder), Some(name)) = (graph.parent(), graph.file_name()) else { continue };
            let name = name.to_string_lossy();
            // `x.onnx`, `x.onnx_data`, `x.onnx_data_1`, `x.onnx.data`
            files.extend(
                names(folder).into_iter().filter(|file| file.starts_with(&*name)).map(|file| folder.join(file)),
            );
            // Others have names of their own. What is wrong with a graph is said when it is loaded.
            files.extend(external::data_files(graph).unwrap_or_default().keys().map(|file| folder.join(file)));
        }
        files.sort();
        files.dedup();
        files
    }

    fn genai(directory: &Path) -> Result<Self, LayoutError> {
        let path = directory.join("genai_config.json");
        let broken = |reason: String| LayoutError::GenaiConfig { path: path.clone(), reason };
        let text = crate::files::read_text(&path).map_err(|error| broken(error.to_string()))?;
        let config: serde_json::Value = serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
        let one = |graph: &'static str| {
            let name = config["model"][graph]["filename"]
                .as_str()
                .ok_or_else(|| broken(format!("no `model.{graph}.filename`; a text-only export cannot see images")))?;
            if !Path::new(name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
                return Err(broken(format!(
                    "`model.{graph}.filename` is {name:?}, outside of the model directory: not opened"
                )));
            }
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

pub(super) fn list(names: &[String]) -> String {
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
    fn the_precision_is_chosen_for_each_graph() {
        let dir = directory(&[
            "onnx/vision_encoder_fp16.onnx",
            "onnx/embed_tokens.onnx",
            "onnx/embed_tokens_quantized.onnx",
            "onnx/decoder_model_merged_q4f16.onnx",
            "onnx/decoder_model_merged_q4f16.onnx_data",
            "onnx/decoder_model_merged_q4f16.onnx_data_1",
            "onnx/decoder_model_merged_q4.onnx",
            "onnx/audio_encoder.onnx",
        ]);
        let find = |dtypes: &str| GraphFiles::find(dir.path(), &dtypes.parse().unwrap());
        let files = find("vision=fp16,embedding=q8,decoder=q4f16").unwrap();
        assert!(files.vision.ends_with("onnx/vision_encoder_fp16.onnx"));
        assert!(files.embedding.ends_with("onnx/embed_tokens_quantized.onnx"));
        assert!(files.decoder.ends_with("onnx/decoder_model_merged_q4f16.onnx"));
        assert_eq!(files.all_files().len(), 5);
        let automatic = GraphFiles::find(dir.path(), &Dtypes::default()).unwrap();
        assert!(automatic.embedding.ends_with("onnx/embed_tokens.onnx"));
        assert!(automatic.decoder.ends_with("onnx/decoder_model_merged_q4.onnx"));
        // A graph that has no such file is an error, never silently another precision.
        let error = find("q4f16").unwrap_err().to_string();
        assert!(error.contains("vision_encoder_q4f16.onnx") && error.contains("vision_encoder_fp16.onnx"), "{error}");
        assert!("audio=q4".parse::<Dtypes>().is_err());
    }

    #[test]
    fn what_is_missing_is_named_with_what_is_there() {
        let dir = directory(&["onnx/vision_encoder.onnx", "onnx/decoder_model_merged.onnx"]);
        let error = GraphFiles::find(dir.path(), &Dtypes::default()).unwrap_err().to_string();
        assert!(error.contains("embed_tokens*.onnx") && error.contains("vision_encoder.onnx"), "{error}");
        let empty = directory(&["readme.txt"]);
        let error = GraphFiles::find(empty.path(), &Dtypes::default()).unwrap_err().to_string();
        assert!(error.contains("genai_config.json") && error.contains("readme.txt"), "{error}");
    }
}
