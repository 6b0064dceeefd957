//! Which files of a directory are the three graphs.
//!
//! In: a directory, and the precisions that are wanted. Out: the files. Promises: a directory that
//! lacks something gets an error that lists what was looked for and what was there; a precision
//! that was asked for is never replaced by another.

use std::path::{Component, Path, PathBuf};

use serde::Serialize;

use super::dtypes::{Dtypes, SUFFIXES, suffix};
use super::error::GraphError;
use super::external;
use super::folder::{DECODER, EMBEDDING, VISION, entries, list, names, onnx_names};
use super::layout_error::LayoutError;
use super::whole::{self, FileProblem};

/// How a model directory is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// `onnx/vision_encoder*.onnx`, `onnx/embed_tokens*.onnx`, `onnx/decoder_model_merged*.onnx`:
    /// transformers.js and onnx-community.
    OnnxCommunity,
    /// Names from `genai_config.json`: mobius and onnxruntime-genai.
    Genai,
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
    /// Graphs of other precisions that would have been chosen, and what is wrong with each.
    #[serde(skip)]
    pub passed_over: Vec<(PathBuf, FileProblem)>,
}

impl GraphFiles {
    /// Finds the graphs of `directory` in the precisions that `dtypes` names; if it names none, in
    /// the first that is complete.
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
        if ![VISION, EMBEDDING, DECODER]
            .iter()
            .any(|stem| names.iter().any(|name| name.starts_with(stem)))
        {
            return Err(LayoutError::no_graphs(directory));
        }
        let mut passed_over = Vec::new();
        let mut one = |graph: &'static str, stem: &str, dtype: Option<&String>| {
            let named = |suffix: &str| format!("{stem}{suffix}.onnx");
            let mut candidates: Vec<String> = match dtype {
                Some(dtype) => vec![named(&suffix(dtype))],
                None => SUFFIXES.iter().map(|suffix| named(suffix)).collect(),
            };
            if dtype.is_none() {
                let others = names
                    .iter()
                    .filter(|name| name.starts_with(stem) && !candidates.contains(name));
                let others: Vec<_> = others.cloned().collect();
                candidates.extend(others);
            }
            candidates.retain(|name| names.contains(name));
            let mut problems = Vec::new();
            for name in candidates {
                let path = graphs.join(name);
                match whole::problem_of_graph(&path) {
                    None => {
                        passed_over.append(&mut problems);
                        return Ok(path);
                    }
                    Some(problem) => problems.push((path, problem)),
                }
            }
            Err(match problems.into_iter().next() {
                Some((path, problem)) => LayoutError::NotWhole { path, problem },
                None => LayoutError::NoGraph {
                    directory: graphs.clone(),
                    graph,
                    looked_for: dtype.map_or_else(|| named("*"), |dtype| named(&suffix(dtype))),
                    found: list(&names),
                },
            })
        };
        let (vision, embedding) = (
            one("vision", VISION, dtypes.vision.as_ref())?,
            one("embedding", EMBEDDING, dtypes.embedding.as_ref())?,
        );
        let decoder = one("decoder", DECODER, dtypes.decoder.as_ref())?;
        Ok(Self { layout: Layout::OnnxCommunity, vision, embedding, decoder, passed_over })
    }

    /// Checks that the external data of every graph is there, in full length.
    ///
    /// # Errors
    /// [`GraphError`] that names the file.
    pub fn check_data(&self) -> Result<(), GraphError> {
        [&self.vision, &self.embedding, &self.decoder]
            .into_iter()
            .try_for_each(|graph| external::check(graph))
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

    /// Bytes of the graphs that compute, vision and decoder, with their external data: what a
    /// device has to hold of a model.
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
                names(folder)
                    .into_iter()
                    .filter(|file| file.starts_with(&*name))
                    .map(|file| folder.join(file)),
            );
            // Others have names of their own. What is wrong with a graph is said when it is loaded.
            files.extend(
                external::data_files(graph)
                    .unwrap_or_default()
                    .keys()
                    .map(|file| folder.join(file)),
            );
        }
        files.sort();
        files.dedup();
        files
    }

    fn genai(directory: &Path) -> Result<Self, LayoutError> {
        let path = directory.join("genai_config.json");
        let broken = |reason: String| LayoutError::GenaiConfig { path: path.clone(), reason };
        let text = crate::files::read_text(&path).map_err(|error| broken(error.to_string()))?;
        let config: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
        let one = |graph: &'static str| {
            let name = config["model"][graph]["filename"].as_str().ok_or_else(|| {
                broken(format!("no `model.{graph}.filename`; a text-only export cannot see images"))
            })?;
            if !Path::new(name)
                .components()
                .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
            {
                return Err(broken(format!(
                    "`model.{graph}.filename` is {name:?}, outside of the model directory: not \
                     opened"
                )));
            }
            let file = directory.join(name);
            if file.is_file() {
                let problem = whole::problem_of_graph(&file);
                return problem.map_or(Ok(file.clone()), |problem| {
                    Err(LayoutError::NotWhole { path: file, problem })
                });
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
            passed_over: Vec::new(),
        })
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
            // `ir_version`: an ONNX file that says no more.
            std::fs::write(path, b"\x08\x08").unwrap();
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
        assert!(
            error.contains("vision_encoder_q4f16.onnx")
                && error.contains("vision_encoder_fp16.onnx"),
            "{error}"
        );
        assert!("audio=q4".parse::<Dtypes>().is_err());
    }

    #[test]
    fn what_is_missing_is_named_with_what_is_there() {
        let dir = directory(&["onnx/vision_encoder.onnx", "onnx/decoder_model_merged.onnx"]);
        let error = GraphFiles::find(dir.path(), &Dtypes::default()).unwrap_err().to_string();
        assert!(
            error.contains("embed_tokens*.onnx") && error.contains("vision_encoder.onnx"),
            "{error}"
        );
        let empty = directory(&["readme.txt"]);
        let error = GraphFiles::find(empty.path(), &Dtypes::default()).unwrap_err().to_string();
        assert!(error.contains("genai_config.json") && error.contains("readme.txt"), "{error}");
    }
}
