//! Embeddings to logits.
//!
//! In: embeddings of the prompt or of one token, and the KV cache. Out: the logits of the last position, f32, and the grown cache.
//! Promises: the cache stays in ONNX Runtime's values; only inputs that the graph declares are fed, in the dtypes that it declares.

use std::borrow::Cow;

use ort::value::DynValue;

use super::embedding::{Embedded, PER_LAYER};
use super::graph::{Feeds, Graph, GraphError};
use super::tensor;

/// Keys and values of every caching layer, as the last run left them. Never copied through Rust.
pub struct KvCache {
    values: Vec<DynValue>,
    length: usize,
}

impl KvCache {
    /// How many positions it holds.
    pub fn length(&self) -> usize {
        self.length
    }
}

/// What one run of the decoder reads: the whole prompt, or one token.
pub struct Step<'s> {
    /// Embeddings of the new positions.
    pub embedded: Embedded,
    /// Ids of the new positions, for graphs that want to know which are image tokens.
    pub ids: &'s [i64],
    /// 1 for every position that counts, 0 for padding: those in the cache and the new ones.
    pub attention_mask: &'s [i64],
    /// Positions of the new tokens.
    pub position_ids: &'s [i64],
}

/// An input that holds the past of a layer, and the output that holds its present.
struct CacheSlot {
    past: String,
    present: String,
}

pub(super) struct Decoder {
    pub(super) graph: Graph,
    slots: Vec<CacheSlot>,
}

const EMBEDS: &str = "inputs_embeds";
const MASK: &str = "attention_mask";
const POSITIONS: &str = "position_ids";
const IDS: &str = "input_ids";
const LOGITS_TO_KEEP: &str = "num_logits_to_keep";
const LOGITS: &str = "logits";
const PAST: &str = "past_key_values";
const PRESENT: &str = "present";

impl Decoder {
    pub(super) fn new(graph: Graph) -> Result<Self, GraphError> {
        graph.require_input(EMBEDS)?;
        graph.require_output(LOGITS)?;
        let mut slots = Vec::new();
        for port in &graph.inputs {
            if let Some(layer) = port.name.strip_prefix(PAST) {
                let present = format!("{PRESENT}{layer}");
                graph.require_output(&present)?;
                slots.push(CacheSlot { past: port.name.clone(), present });
            } else if ![EMBEDS, MASK, POSITIONS, IDS, LOGITS_TO_KEEP, PER_LAYER].contains(&port.name.as_str()) {
                return Err(graph.contract(format!(
                    "input `{}` is not one of a decoder of the onnx-community or genai layout; \
                     static-cache exports and Hugging Face's own exporter are not supported",
                    port.name
                )));
            }
        }
        if slots.is_empty() {
            return Err(graph.contract(format!("no `{PAST}` inputs: a decoder without a cache is not supported")));
        }
        Ok(Self { graph, slots })
    }

    pub(super) fn empty_cache(&self) -> Result<KvCache, GraphError> {
        let mut values = Vec::with_capacity(self.slots.len());
        for slot in &self.slots {
            let port = self.graph.require_input(&slot.past)?;
            let (Some(heads), Some(head_size)) = (port.fixed(1), port.fixed(3)) else {
                return Err(self.graph.contract(format!(
                    "`{}` has shape {:?}; expected [batch, heads, past, head size] with numbers for heads and head size",
                    slot.past, port.shape
                )));
            };
            values.push(tensor::empty(&self.graph, port, &[1, heads, 0, head_size])?);
        }
        Ok(KvCache { values, length: 0 })
    }

    pub(super) fn step(&mut self, step: Step<'_>, cache: &mut KvCache) -> Result<Vec<f32>, GraphError> {
        let graph = &self.graph;
        let count = step.ids.len();
        let embeds = tensor::cast(graph, graph.require_input(EMBEDS)?, step.embedded.inputs_embeds)?;
        let mut feeds: Feeds<'_> = vec![(EMBEDS.into(), embeds.into())];
        if let Some(port) = graph.input(PER_LAYER) {
            let value = step.embedded.per_layer_inputs.ok_or_else(|| {
                graph.contract(format!(
                    "wants `{PER_LAYER}`, which the embedding graph does not give; are they of one export?"
                ))
            })?;
            // 4-D is a look-up of the tokens alone, 3-D is combined with the embeddings: the two exporters do not mix.
            let rank = tensor::shape(&value).len();
            if rank != port.shape.len() {
                return Err(graph.contract(format!(
                    "wants `{PER_LAYER}` with {} dimensions and the embedding graph gives {rank}; are they of one export?",
                    port.shape.len()
                )));
            }
            feeds.push((PER_LAYER.into(), tensor::cast(graph, port, value)?.into()));
        }
        let mut feed_integers = |name: &'static str, shape: &[usize], values: &[i64]| -> Result<(), GraphError> {
            if let Some(port) = graph.input(name) {
                feeds.push((name.into(), tensor::integers(graph, port, shape, values.to_vec())?.into()));
            }
            Ok(())
        };
        feed_integers(MASK, &[1, step.attention_mask.len()], step.attention_mask)?;
        feed_integers(POSITIONS, &[1, count], step.position_ids)?;
        feed_integers(IDS, &[1, count], step.ids)?;
        if let Some(port) = graph.input(LOGITS_TO_KEEP) {
            // A scalar in transformers.js' layout; [1] is accepted where a graph declares it so.
            let shape = vec![1; port.shape.len()];
            feed_integers(LOGITS_TO_KEEP, &shape, &[1])?;
        }
        for (slot, value) in self.slots.iter().zip(&cache.values) {
            feeds.push((Cow::Borrowed(slot.past.as_str()), value.into()));
        }
        let mut outputs = self.graph.run(feeds)?;
        let logits = outputs.remove(LOGITS);
        let present: Vec<_> = self.slots.iter().map(|slot| outputs.remove(&slot.present)).collect();
        drop(outputs);
        for (slot, value) in self.slots.iter().zip(&present) {
            if value.is_none() {
                return Err(self.graph.contract(format!("gave no output `{}`", slot.present)));
            }
        }
        cache.values = present.into_iter().flatten().collect();
        cache.length += count;
        let logits = logits.ok_or_else(|| self.graph.contract(format!("gave no output `{LOGITS}`")))?;
        tensor::last_row(&self.graph, LOGITS, &logits)
    }
}
