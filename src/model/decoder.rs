//! Embeddings to logits.
//!
//! In: embeddings of the next tokens of some rows, and their KV cache. Out: the logits of each
//! row's last positions, and the grown cache. Promises: the cache stays in ONNX Runtime's values,
//! on a card if the graph computes there; only inputs that the graph declares are fed, in the
//! dtypes that it declares; masks and positions follow from the cache's padding.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ort::value::{DynValue, TensorElementType};
use rayon::prelude::*;

use super::cache::KvCache;
use super::embedding::{Embedded, PER_LAYER};
use super::error::GraphError;
use super::graph::{Feeds, Graph, PortInfo};
use super::tensor;
use super::top_k::{TopKRequest, top_k};
use crate::device::DeviceMemory;
use crate::device::kernels::{PickRow, TopK};

/// The decoder's logits of one run: `[rows, positions, vocabulary]` in its own dtype; the positions
/// are the last ones.
pub struct Logits {
    value: DynValue,
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
            } else if ![EMBEDS, MASK, POSITIONS, IDS, LOGITS_TO_KEEP, PER_LAYER]
                .contains(&port.name.as_str())
            {
                return Err(graph.contract(format!(
                    "input `{}` is not one of a decoder of the onnx-community or genai layout; \
                     static-cache exports and Hugging Face's own exporter are not supported",
                    port.name
                )));
            }
        }
        if slots.is_empty() {
            return Err(graph.contract(format!(
                "no `{PAST}` inputs: a decoder without a cache is not supported"
            )));
        }
        Ok(Self { graph, slots })
    }

    /// The cache of `rows` sequences that have no tokens yet.
    pub(super) fn empty_cache(&self, rows: usize) -> Result<KvCache, GraphError> {
        let mut values = Vec::with_capacity(self.slots.len());
        for slot in &self.slots {
            let (port, [heads, head_size]) = self.slot_shape(slot)?;
            values.push(tensor::empty(&self.graph, port, &[rows, heads, 0, head_size])?);
        }
        Ok(KvCache::empty(values, rows))
    }

    /// The dtype of the cache.
    pub(super) fn cache_dtype(&self) -> Option<TensorElementType> {
        self.slots.first().and_then(|slot| self.graph.input(&slot.past)).map(|port| port.dtype)
    }

    /// Bytes in the cache for one token of one row.
    pub(super) fn cache_bytes_per_token(&self) -> Result<usize, GraphError> {
        let mut bytes = 0;
        for slot in &self.slots {
            let (port, [heads, head_size]) = self.slot_shape(slot)?;
            bytes += heads * head_size * port.dtype.byte_size(1).unwrap_or(0);
        }
        Ok(bytes)
    }

    fn slot_shape(&self, slot: &CacheSlot) -> Result<(&PortInfo, [usize; 2]), GraphError> {
        let port = self.graph.require_input(&slot.past)?;
        match (port.fixed(1), port.fixed(3)) {
            (Some(heads), Some(head_size)) => Ok((port, [heads, head_size])),
            _ => Err(self.graph.contract(format!(
                "`{}` has shape {:?}; expected [batch, heads, past, head size] with numbers for \
                 heads and head size",
                slot.past, port.shape
            ))),
        }
    }

    /// Runs the next tokens of every row of the cache: `ids` are `[rows, sequence]`, and so is what
    /// was embedded of them. Logits are those of at least the last `keep` positions.
    pub(super) fn step(
        &mut self,
        ids: &[i64],
        embedded: Embedded,
        cache: &mut KvCache,
        keep: usize,
    ) -> Result<Logits, GraphError> {
        let graph = &self.graph;
        let rows = cache.rows();
        let sequence = ids.len() / rows;
        let embeds = tensor::cast(graph, graph.require_input(EMBEDS)?, embedded.inputs_embeds)?;
        let mut feeds: Feeds<'_> = vec![(EMBEDS.into(), embeds.into())];
        if let Some(port) = graph.input(PER_LAYER) {
            let value = embedded.per_layer_inputs.ok_or_else(|| {
                graph.contract(format!(
                    "wants `{PER_LAYER}`, which the embedding graph does not give; are they of \
                     one export?"
                ))
            })?;
            // 4-D is a look-up of the tokens alone, 3-D is combined with the embeddings: the two
            // exporters do not mix.
            let rank = tensor::shape(&value).len();
            if rank != port.shape.len() {
                return Err(graph.contract(format!(
                    "wants `{PER_LAYER}` with {} dimensions and the embedding graph gives {rank}; \
                     are they of one export?",
                    port.shape.len()
                )));
            }
            feeds.push((PER_LAYER.into(), tensor::cast(graph, port, value)?.into()));
        }
        let (columns, past) = (cache.columns() + sequence, cache.columns());
        let mut feed_integers =
            |name: &'static str, shape: &[usize], values: Vec<i64>| -> Result<(), GraphError> {
                if let Some(port) = graph.input(name) {
                    feeds.push((name.into(), tensor::integers(graph, port, shape, values)?.into()));
                }
                Ok(())
            };
        if graph.resident.is_none() {
            let mask = cache
                .pads()
                .iter()
                .flat_map(|&pad| (0..columns).map(move |column| i64::from(column >= pad)));
            feed_integers(MASK, &[rows, columns], mask.collect())?;
        }
        // Counted from the row's first token, as transformers.js and Hugging Face's generate()
        // number them.
        let positions = cache
            .pads()
            .iter()
            .flat_map(|&pad| (past - pad..columns - pad).map(|place| place as i64));
        feed_integers(POSITIONS, &[rows, sequence], positions.collect())?;
        feed_integers(IDS, &[rows, sequence], ids.to_vec())?;
        if let Some(port) = graph.input(LOGITS_TO_KEEP) {
            // A scalar in transformers.js' layout; [1] is accepted if a graph declares it so.
            let shape = vec![1; port.shape.len()];
            feed_integers(LOGITS_TO_KEEP, &shape, vec![keep as i64])?;
        }
        if let Some(resident) = graph.resident.as_ref().filter(|_| graph.input(MASK).is_some()) {
            let mut mask = graph.tensor(TensorElementType::Int64, &[rows, columns])?;
            resident.memory.mask(cache.pads(), &mut mask).map_err(|error| graph.device(error))?;
            feeds.push((MASK.into(), mask.into()));
        }
        for (slot, value) in self.slots.iter().zip(cache.feeds(graph)?) {
            feeds.push((Cow::Borrowed(slot.past.as_str()), value));
        }
        let mut outputs = self.graph.run(feeds)?;
        let logits = outputs.remove(LOGITS);
        let present: Vec<_> = self.slots.iter().map(|slot| outputs.remove(&slot.present)).collect();
        for (slot, value) in self.slots.iter().zip(&present) {
            if value.is_none() {
                return Err(self.graph.contract(format!("gave no output `{}`", slot.present)));
            }
        }
        cache.grow(present.into_iter().flatten().collect(), sequence);
        let value =
            logits.ok_or_else(|| self.graph.contract(format!("gave no output `{LOGITS}`")))?;
        Ok(Logits { value })
    }

    /// The logits of a row's position, counted from the end, one for each id of the vocabulary; f32
    /// ones are not copied.
    pub(super) fn logits<'l>(
        &self,
        logits: &'l Logits,
        row: usize,
        position: usize,
    ) -> Result<Cow<'l, [f32]>, GraphError> {
        tensor::position_from_end(&self.graph, LOGITS, &logits.value, row, position)
    }

    /// The best ids of positions, in the order of the requests.
    pub(super) fn top_k(
        &self,
        logits: &Logits,
        wanted: &[TopKRequest<'_>],
    ) -> Result<Vec<TopK>, GraphError> {
        let picked = self.pick(logits, wanted)?.into_iter().zip(wanted);
        let found = picked.map(|(picked, wanted)| match picked {
            Some(picked) => Ok(Found::There(picked)),
            None => {
                self.logits(logits, wanted.row, wanted.from_end).map(|row| Found::Host(row, wanted))
            }
        });
        let found = found.collect::<Result<Vec<_>, _>>()?;
        // A vocabulary of 262144 takes a while to look through: the rows do it side by side.
        let found = found.into_par_iter().map(|found| match found {
            Found::There(picked) => picked,
            Found::Host(row, wanted) => top_k(&row, wanted),
        });
        Ok(found.collect())
    }

    /// The same by a device's kernels, if the logits lie in its memory; `None` for requests that
    /// need whole rows.
    fn pick(
        &self,
        logits: &Logits,
        wanted: &[TopKRequest<'_>],
    ) -> Result<Vec<Option<TopK>>, GraphError> {
        let mut found = vec![None; wanted.len()];
        let resident =
            self.graph.resident_for(&logits.value).filter(|_| DeviceMemory::picks(&logits.value));
        let Some(resident) = resident else { return Ok(found) };
        let shape = tensor::shape(&logits.value);
        let positions = shape.get(1).copied().unwrap_or(0);
        // Each id more is a pass more: rows that want many are picked from by themselves.
        let mut together: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, wanted) in wanted.iter().enumerate() {
            if let Some(most) = wanted.most {
                together.entry(most + wanted.suppressed.len()).or_default().push(index);
            }
        }
        for (most, indices) in together {
            let row = |&index: &usize| {
                let TopKRequest { row, from_end, allowed, temperature, .. } = wanted[index];
                let line = ((row + 1) * positions)
                    .checked_sub(from_end + 1)
                    .filter(|_| from_end < positions)?;
                Some(PickRow { line, allowed, temperature })
            };
            let rows = indices.iter().map(row).collect::<Option<Vec<_>>>().ok_or_else(|| {
                let reason = format!(
                    "output `{LOGITS}` has shape {shape:?}: fewer positions than were asked for"
                );
                self.graph.contract(reason)
            })?;
            let picked = resident
                .memory
                .pick(&logits.value, &rows, most)
                .map_err(|error| self.graph.device(error))?;
            for (index, picked) in indices.into_iter().zip(picked) {
                let TopKRequest { suppressed, most, .. } = wanted[index];
                found[index] = most.map(|most| picked.found(suppressed, most));
            }
        }
        Ok(found)
    }
}

/// The best ids of a row that lies on a device, or a row that has to be looked through.
enum Found<'l> {
    There(TopK),
    Host(Cow<'l, [f32]>, &'l TopKRequest<'l>),
}
