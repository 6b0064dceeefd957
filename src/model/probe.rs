//! What no file says about a model, found by trying.
//!
//! Run when a model is first loaded, and kept in the cache directory under the sizes and times of the graphs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::embedding::PER_LAYER;
use super::graph::GraphError;
use super::{Model, ModelError, Step, tensor};
use crate::digest;
use crate::preprocess::{Budget, PATCH_SIDE, PatchGrid};

/// The answers of the probes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Probes {
    /// Soft tokens that the vision graph gave for a view that fills the budget, by budget. Another number than the budget's own
    /// means that the pooled length is frozen, and views of that budget cannot be run.
    pub pooled_soft_tokens: BTreeMap<u32, Option<usize>>,
    /// Whether the vision graph takes two views in one run and gives what it gives for each.
    pub vision_batch: bool,
    /// Whether padding on the left of a prompt leaves the logits as they were.
    pub left_padding_harmless: bool,
    /// Whether the embedding graph itself looks up padding for the per-layer inputs of image ids, as Hugging Face does. Where it
    /// does not, padding is fed in their place. True where there are no per-layer inputs.
    pub image_ids_masked: bool,
}

impl Probes {
    /// Whether views that fill `budget` can be run; `None` where that was not probed.
    pub fn serves(&self, budget: Budget) -> Option<bool> {
        let rows = self.pooled_soft_tokens.get(&budget.soft_tokens())?;
        Some(*rows == Some(budget.soft_tokens() as usize))
    }

    pub(super) fn cached_or_run(model: &mut Model, budget: Budget, cache: Option<&Path>) -> Result<Self, ModelError> {
        let file = cache.map(|cache| cache.join("probes").join(format!("{}.json", key(model))));
        let cached = file.as_ref().and_then(|file| std::fs::read(file).ok());
        let cached: Option<Self> = cached.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let probes = match cached {
            Some(probes) if probes.serves(budget).is_some() => return Ok(probes),
            Some(mut probes) => {
                probes.pooled_soft_tokens.insert(budget.soft_tokens(), pooled(model, budget));
                probes
            }
            None => Self::run(model, budget)?,
        };
        if let Some(file) = file {
            // A cache that cannot be written costs the probes' time again, nothing else.
            if let Err(error) = write(&file, &probes) {
                tracing::warn!("cannot keep probe results in {}: {error}", file.display());
            }
        }
        Ok(probes)
    }

    fn run(model: &mut Model, budget: Budget) -> Result<Self, ModelError> {
        Ok(Self {
            pooled_soft_tokens: BTreeMap::from([(budget.soft_tokens(), pooled(model, budget))]),
            vision_batch: vision_batch(model)?,
            left_padding_harmless: left_padding(model)?,
            image_ids_masked: image_ids_masked(model)?,
        })
    }
}

/// Sizes and times of the graphs and their external data, and the version of the probes.
fn key(model: &Model) -> String {
    const VERSION: &str = "1";
    let mut identity = String::from(VERSION);
    for graph in [&model.files.vision, &model.files.embedding, &model.files.decoder] {
        let folder = graph.parent().unwrap_or(graph);
        let stem = graph.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&stem))
            .filter_map(|entry| {
                let metadata = entry.metadata().ok()?;
                let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos();
                Some(format!("{}|{}|{modified}\n", entry.path().display(), metadata.len()))
            })
            .collect();
        files.sort();
        identity.push_str(&files.concat());
    }
    digest::hex(identity)
}

fn write(file: &Path, probes: &Probes) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(file);
    std::fs::create_dir_all(folder)?;
    // Written beside and renamed, so that another process never reads half a file.
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer(&mut temporary, probes)?;
    temporary.persist(file)?;
    Ok(())
}

/// A grey view of `columns` x `rows` soft tokens.
fn view(model: &Model, columns: i64, rows: i64, grey: f32) -> PatchGrid {
    let side = model.patch_side();
    let per_token = if side == PATCH_SIDE { 3 } else { 1 };
    let positions: Vec<i64> =
        (0..rows * per_token).flat_map(|y| (0..columns * per_token).flat_map(move |x| [x, y])).collect();
    let values = vec![grey; positions.len() / 2 * (side * side * 3) as usize];
    PatchGrid { side, values, positions }
}

/// The soft tokens of a view that fills the budget; `None` where the graph refuses it.
fn pooled(model: &mut Model, budget: Budget) -> Option<usize> {
    let tokens = i64::from(budget.soft_tokens());
    // As square as the budget allows: 7x10, 10x14, 14x20, 20x28, 28x40.
    let rows = (1..=tokens).filter(|rows| tokens % rows == 0 && rows * rows <= tokens).max().unwrap_or(1);
    let view = view(model, tokens / rows, rows, 0.5);
    match model.vision.run(vec![view]) {
        Ok(features) => Some(features.rows),
        Err(error) => {
            tracing::debug!("probe of the pooled length: {error}");
            None
        }
    }
}

fn vision_batch(model: &mut Model) -> Result<bool, GraphError> {
    let (dark, light) = (view(model, 2, 2, 0.2), view(model, 2, 2, 0.8));
    let one_by_one = [model.vision.run(vec![dark.clone()])?, model.vision.run(vec![light.clone()])?];
    let Ok(together) = model.vision.run(vec![dark, light]) else { return Ok(false) };
    let expected: Vec<f32> = one_by_one.iter().flat_map(|features| features.values.iter().copied()).collect();
    Ok(close(&expected, &together.values))
}

fn left_padding(model: &mut Model) -> Result<bool, GraphError> {
    // Any ids show whether the mask is honoured.
    let pad = i64::from(model.special.pad_id);
    let ids = [2, 5, 6, 5];
    let mut logits = Vec::new();
    for padding in [0, 3] {
        let padded: Vec<i64> = std::iter::repeat_n(pad, padding).chain(ids).collect();
        let attention_mask: Vec<i64> = (0..padded.len()).map(|place| i64::from(place >= padding)).collect();
        // cumsum(mask) - 1, and 1 for padding, as transformers.js and Hugging Face's generate() number them.
        let position_ids: Vec<i64> =
            (0..padded.len()).map(|place| if place < padding { 1 } else { (place - padding) as i64 }).collect();
        let embedded = model.embedding.embed(&padded, None)?;
        let mut cache = model.decoder.empty_cache()?;
        let step = Step { embedded, ids: &padded, attention_mask: &attention_mask, position_ids: &position_ids };
        match model.decoder.step(step, &mut cache) {
            Ok(values) => logits.push(values),
            Err(error) if padding == 0 => return Err(error),
            Err(_) => return Ok(false),
        }
    }
    Ok(close(&logits[0], &logits[1]))
}

fn image_ids_masked(model: &mut Model) -> Result<bool, GraphError> {
    if model.embedding.graph.require_output(PER_LAYER).is_err() {
        return Ok(true);
    }
    // A graph that merges the soft tokens itself wants as many as there are image ids; it also masks them itself (mobius, models/gemma4.py).
    if model.embedding.graph.input("image_features").is_some() {
        return Ok(true);
    }
    let look_up = |model: &mut Model, id: u32| -> Result<Vec<f32>, GraphError> {
        let embedded = model.embedding.embed(&[i64::from(id)], None)?;
        match embedded.per_layer_inputs {
            Some(value) => tensor::all(&model.embedding.graph, PER_LAYER, &value),
            None => Ok(Vec::new()),
        }
    };
    let (image_id, pad_id) = (model.special.image_id, model.special.pad_id);
    Ok(look_up(model, image_id)? == look_up(model, pad_id)?)
}

/// Equal but for rounding: within 1e-3 of the largest value.
fn close(a: &[f32], b: &[f32]) -> bool {
    let largest = a.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-3 * largest.max(1.0))
}
