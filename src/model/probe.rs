//! Properties of a model that no file states, found by trying.
//!
//! Run when a model is first loaded, and kept in the cache directory under the sizes and times of
//! the graphs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use ort::value::TensorElementType;
use serde::{Deserialize, Serialize};

use super::embedding::PER_LAYER;
use super::error::GraphError;
use super::{GraphFiles, Model, ModelError, OpenOptions, tensor};
use crate::device::Device;
use crate::preprocess::{PATCH_SIDE, PatchGrid, Rescaling};
use crate::record::Budget;
use crate::{digest, files};

/// The answers of the probes.
#[allow(clippy::struct_excessive_bools)] // each is a yes or no of its own
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Probes {
    /// Soft tokens that the vision graph gave for a view that fills the budget, by budget, for the
    /// budgets that were asked about ([`Model::probe_budget`]). Another number than the budget's
    /// own means that the pooled length is frozen.
    pub pooled_soft_tokens: BTreeMap<u32, usize>,
    /// Whether the vision graph takes two views in one run and gives, to the last bit, what it
    /// gives for each.
    pub vision_batch: bool,
    /// Whether two prompts of one length in one run get, to the last bit, the logits that each gets
    /// alone.
    pub prompt_batch: bool,
    /// Whether rows of one length that are decoded together get the logits that each gets alone.
    pub batch: bool,
    /// The same for rows of different length, the shorter ones padded on the left.
    pub left_padding_harmless: bool,
    /// Whether the embedding graph itself looks up padding for the per-layer inputs of image ids,
    /// as Hugging Face does. If not, padding is fed in their place. True if there are no per-layer
    /// inputs.
    pub image_ids_masked: bool,
}

impl Model {
    /// Whether views that fill `budget` can be run. Costs as much as one such view, the first time;
    /// runs check each view anyway.
    ///
    /// # Errors
    /// [`GraphError`] if the graph refuses the view.
    pub fn probe_budget(&mut self, budget: Budget) -> Result<bool, GraphError> {
        let tokens = budget.soft_tokens();
        if !self.probes.pooled_soft_tokens.contains_key(&tokens) {
            let rows = quietly(|| pooled(self, budget))?;
            self.probes.pooled_soft_tokens.insert(tokens, rows);
            self.probes.keep(self.probe_file.as_deref());
        }
        Ok(self.probes.pooled_soft_tokens.get(&tokens) == Some(&(tokens as usize)))
    }
}

impl Probes {
    /// The results that are kept in `file`, or those of a run of all probes but the budget's, which
    /// are then kept there.
    pub(super) fn kept_or_run(model: &mut Model) -> Result<Self, ModelError> {
        let kept = model
            .probe_file
            .as_ref()
            .and_then(|file| files::read_unlinked(file, files::MAX_TEXT_BYTES).ok());
        if let Some(probes) = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            return Ok(probes);
        }
        quietly(|| gives_numbers(model))?;
        let probes = Self {
            pooled_soft_tokens: BTreeMap::new(),
            vision_batch: quietly(|| vision_batch(model)).unwrap_or_else(|error| {
                tracing::info!("two views in one run: {error}");
                false
            }),
            prompt_batch: quietly(|| prompt_batch(model)).unwrap_or_else(|error| {
                tracing::info!("two prompts in one run: {error}");
                false
            }),
            batch: together(model, [&[2, 5, 6, 5], &[2, 6, 5, 6]])?,
            left_padding_harmless: together(model, [&[2, 5, 6, 5, 6, 6, 5], &[2, 6, 5]])?,
            image_ids_masked: image_ids_masked(model)?,
        };
        probes.keep(model.probe_file.as_deref());
        Ok(probes)
    }

    fn keep(&self, file: Option<&Path>) {
        let Some(file) = file else { return };
        // Results that cannot be kept cost the probes' time again, nothing else.
        let written = serde_json::to_vec(self)
            .map_err(std::io::Error::other)
            .and_then(|bytes| files::replace(file, &bytes));
        if let Err(error) = written {
            tracing::warn!("cannot keep probe results in {}: {error}", file.display());
        }
    }
}

/// Tries something that may fail without ONNX Runtime's own lines about it: a failure is an answer
/// here, and one that is not is told as gemscope's error.
fn quietly<T>(trial: impl FnOnce() -> T) -> T {
    tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::default(), trial)
}

/// The path in `cache` for the results of these files, opened like this by this ONNX Runtime: named
/// after the files' sizes and times.
pub(super) fn file(
    graphs: &GraphFiles,
    runtime: &str,
    options: &OpenOptions,
    cache: &Path,
) -> PathBuf {
    const VERSION: &str = "3";
    let mut identity = format!("{VERSION} {runtime} {}\n", options.device.identity());
    if let Some(activations) = options.activations {
        identity = format!("{identity}{activations}\n");
    }
    for path in graphs.all_files() {
        let Ok(metadata) = path.metadata() else { continue };
        let modified =
            metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let nanoseconds = modified.map_or(0, |time| time.as_nanos());
        identity = format!("{identity}{} {} {nanoseconds}\n", path.display(), metadata.len());
    }
    cache.join("probes").join(format!("{}.json", digest::hex(identity)))
}

/// A grey view of `columns` x `rows` soft tokens.
fn view(model: &Model, columns: i64, rows: i64, grey: u8) -> PatchGrid {
    let side = model.patch_side();
    let per_token = if side == PATCH_SIDE { 3 } else { 1 };
    let positions: Vec<i64> = (0..rows * per_token)
        .flat_map(|y| (0..columns * per_token).flat_map(move |x| [x, y]))
        .collect();
    let pixels = vec![grey; positions.len() / 2 * (side * side * 3) as usize];
    PatchGrid { side, pixels, positions, rescaling: Rescaling::default() }
}

/// The soft tokens of a view that fills the budget.
fn pooled(model: &mut Model, budget: Budget) -> Result<usize, GraphError> {
    let tokens = i64::from(budget.soft_tokens());
    // As square as the budget allows: 7x10, 10x14, 14x20, 20x28, 28x40.
    let rows =
        (1..=tokens).filter(|rows| tokens % rows == 0 && rows * rows <= tokens).max().unwrap_or(1);
    let view = view(model, tokens / rows, rows, 128);
    Ok(model.vision.run(vec![view])?.rows)
}

/// Whether the decoder gives numbers. Fused attention is known to fail on some cards for some sizes
/// of heads, and f16 can overflow: better said here than taken for answers.
fn gives_numbers(model: &mut Model) -> Result<(), ModelError> {
    // On a card a prompt longer than the windows of attention, as real ones are, takes no time; on
    // the CPU it would take seconds.
    let length = if matches!(model.device, Device::Cpu) { 40 } else { 700 };
    let prompt: Vec<i64> = (0..length).map(|place| 2 + place % 5).collect();
    let mut cache = model.empty_cache(1)?;
    let mut checked =
        |model: &mut Model, ids: &[i64], what: &'static str| -> Result<(), ModelError> {
            let logits = model.decode(ids, &[], &mut cache)?;
            if are_numbers(&model.decoder.logits(&logits, 0, 0)?) {
                return Ok(());
            }
            Err(ModelError::NotNumbers {
                path: model.decoder.graph.path.clone(),
                device: model.device.to_string(),
                what,
            })
        };
    checked(model, &prompt, "a prompt")?;
    checked(model, &[6], "the token behind a prompt")
}

/// Minus infinity is a number that a model may mean: an id that is never to be written.
fn are_numbers(logits: &[f32]) -> bool {
    logits.iter().any(|logit| logit.is_finite())
        && !logits.iter().any(|logit| logit.is_nan() || *logit == f32::INFINITY)
}

fn vision_batch(model: &mut Model) -> Result<bool, GraphError> {
    // Large enough for the matrix products to be done as those of real views are.
    let (mut dark, mut light) = (view(model, 8, 8, 50), view(model, 8, 8, 200));
    for (index, pixels) in [(3, &mut dark.pixels), (5, &mut light.pixels)] {
        pixels
            .iter_mut()
            .zip((0..17).cycle())
            .for_each(|(byte, step)| *byte += step * index % 17 * 3);
    }
    let one_by_one =
        [model.vision.run(vec![dark.clone()])?, model.vision.run(vec![light.clone()])?];
    let Ok(together) = model.vision.run(vec![dark, light]) else { return Ok(false) };
    let values = |features| model.vision.values(features);
    Ok(one_by_one.iter().map(values).collect::<Result<Vec<_>, _>>()?.concat() == values(&together)?)
}

fn prompt_batch(model: &mut Model) -> Result<bool, GraphError> {
    // Ids that every vocabulary has.
    let prompts =
        [3, 5].map(|step| (0..64).map(|place| 2 + place * step % 5).collect::<Vec<i64>>());
    let mut alone: Vec<f32> = Vec::new();
    for prompt in &prompts {
        let mut cache = model.empty_cache(1)?;
        let logits = model.decode(prompt, &[], &mut cache)?;
        alone.extend(&*model.decoder.logits(&logits, 0, 0)?);
    }
    let mut cache = model.empty_cache(2)?;
    let logits = model.decode(&prompts.concat(), &[], &mut cache)?;
    Ok(alone
        == [model.decoder.logits(&logits, 0, 0)?, model.decoder.logits(&logits, 1, 0)?].concat())
}

/// Whether two sequences that go on together, two tokens at a time, get the logits that each gets
/// alone. Any ids show whether rows, mask and positions are honoured.
fn together(model: &mut Model, prompts: [&[i64]; 2]) -> Result<bool, GraphError> {
    const NEXT: [i64; 2] = [6, 5];
    let mut caches = Vec::new();
    let mut alone: Vec<f32> = Vec::new();
    for prompt in prompts {
        let mut cache = model.empty_cache(1)?;
        model.decode(prompt, &[], &mut cache)?;
        caches.push(model.join_rows(&[(&cache, 0)])?);
        let logits = model.decode(&NEXT, &[], &mut cache)?;
        alone.extend(&*model.decoder.logits(&logits, 0, 0)?);
    }
    let tolerance = tolerance(model.decoder.cache_dtype());
    let rows: Vec<_> = caches.iter().map(|cache| (cache, 0)).collect();
    let mut cache = model.join_rows(&rows)?;
    let tried = quietly(|| {
        let logits = model.decode(&[NEXT, NEXT].concat(), &[], &mut cache)?;
        let rows = [model.decoder.logits(&logits, 0, 0)?, model.decoder.logits(&logits, 1, 0)?];
        Ok::<_, GraphError>(close(&alone, &rows.concat(), tolerance))
    });
    Ok(tried.unwrap_or_else(|error| {
        tracing::info!("two rows in one run: {error}");
        false
    }))
}

fn image_ids_masked(model: &mut Model) -> Result<bool, GraphError> {
    if model.embedding.graph.require_output(PER_LAYER).is_err() {
        return Ok(true);
    }
    // A graph that merges the soft tokens itself wants as many as there are image ids; it also
    // masks them itself (mobius, models/gemma4.py).
    if model.embedding.graph.input("image_features").is_some() {
        return Ok(true);
    }
    let look_up = |model: &mut Model, id: u32| -> Result<Vec<f32>, GraphError> {
        let embedded = model.embedding.embed(&[i64::from(id)], 1, &[])?;
        match embedded.per_layer_inputs {
            Some(value) => tensor::all(&model.embedding.graph, PER_LAYER, &value),
            None => Ok(Vec::new()),
        }
    };
    let (image_id, pad_id) = (model.special.image_id, model.special.pad_id);
    Ok(look_up(model, image_id)? == look_up(model, pad_id)?)
}

/// How far logits may differ, as a share of the largest, and still be the same except for rounding.
/// A wrong mask or position differs by far more.
fn tolerance(cache: Option<TensorElementType>) -> f32 {
    if cache == Some(TensorElementType::Float32) { 1e-3 } else { 2e-2 }
}

/// Equal except for rounding.
fn close(a: &[f32], b: &[f32], tolerance: f32) -> bool {
    let largest = a.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance * largest.max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_number_is_none() {
        assert!(are_numbers(&[1.0, f32::NEG_INFINITY, -3.0]));
        for broken in [&[1.0, f32::NAN][..], &[f32::INFINITY, 0.0], &[f32::NEG_INFINITY; 3], &[]] {
            assert!(!are_numbers(broken), "{broken:?}");
        }
    }

    #[test]
    fn halves_may_be_further_off() {
        let (f32, f16) = (
            tolerance(Some(TensorElementType::Float32)),
            tolerance(Some(TensorElementType::Float16)),
        );
        assert!(
            !close(&[20.0, -3.0], &[20.1, -3.0], f32) && close(&[20.0, -3.0], &[20.1, -3.0], f16)
        );
        assert!(!close(&[20.0, -3.0], &[20.0, -2.0], f16) && !close(&[f32::NAN], &[f32::NAN], f16));
        assert!(!close(&[1.0], &[1.0, 2.0], f16));
    }
}
