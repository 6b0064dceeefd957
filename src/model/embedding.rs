//! Token ids to embeddings, with the soft tokens in their places.
//!
//! In: ids, and the soft tokens of a view. Out: what the decoder reads, as ONNX Runtime values. Promises: works with graphs that merge the
//! soft tokens themselves (mobius) and with those that leave it to the caller (onnx-community); image ids are looked up as padding.

use ort::value::DynValue;

use super::graph::{Feeds, Graph, GraphError};
use super::tensor;
use super::vision::Features;
use crate::prompt::SpecialTokens;

/// What the decoder reads of a sequence, as ONNX Runtime values.
pub struct Embedded {
    /// `[1, sequence, hidden]`.
    pub inputs_embeds: DynValue,
    /// `[1, sequence, layers, width]` or `[1, sequence, layers * width]`, for models with per-layer embeddings.
    pub per_layer_inputs: Option<DynValue>,
}

pub(super) struct Embedding {
    pub(super) graph: Graph,
    /// Whether image ids are replaced by padding before the look-up, since the graph does not do it itself (set by the probe).
    pub(super) feed_padding_for_images: bool,
    /// Whether the graph puts the soft tokens into their places itself (mobius), or leaves it to the caller (onnx-community).
    merges: bool,
    image_id: i64,
    pad_id: i64,
}

const IDS: &str = "input_ids";
const FEATURES: &str = "image_features";
const AUDIO: &str = "audio_features";
const EMBEDS: &str = "inputs_embeds";
pub(super) const PER_LAYER: &str = "per_layer_inputs";

impl Embedding {
    pub(super) fn new(graph: Graph, special: &SpecialTokens) -> Result<Self, GraphError> {
        graph.require_input(IDS)?;
        graph.require_output(EMBEDS)?;
        Ok(Self {
            merges: graph.input(FEATURES).is_some(),
            feed_padding_for_images: false,
            image_id: i64::from(special.image_id),
            pad_id: i64::from(special.pad_id),
            graph,
        })
    }

    pub(super) fn embed(&mut self, ids: &[i64], features: Option<&Features>) -> Result<Embedded, GraphError> {
        let image_rows: Vec<usize> = (0..ids.len()).filter(|&row| ids[row] == self.image_id).collect();
        let given = features.map_or(0, |features| features.rows);
        if given > 0 && image_rows.len() != given {
            return Err(self.graph.contract(format!(
                "the prompt has {} image tokens and the view {given} soft tokens",
                image_rows.len()
            )));
        }
        // Their embeddings are overwritten anyway; what matters is that per-layer inputs are looked up for padding.
        let fed = if self.feed_padding_for_images && !self.merges {
            ids.iter().map(|&id| if id == self.image_id { self.pad_id } else { id }).collect()
        } else {
            ids.to_vec()
        };
        let graph = &self.graph;
        let mut feeds: Feeds<'_> =
            vec![(IDS.into(), tensor::integers(graph, graph.require_input(IDS)?, &[1, ids.len()], fed)?.into())];
        if self.merges {
            let port = graph.require_input(FEATURES)?;
            let value = match features {
                Some(features) => {
                    tensor::floats(graph, port, &[features.rows, features.width], features.values.clone())?
                }
                None => self.no_features(FEATURES)?,
            };
            feeds.push((FEATURES.into(), value.into()));
            if graph.input(AUDIO).is_some() {
                feeds.push((AUDIO.into(), self.no_features(AUDIO)?.into()));
            }
        }
        let mut outputs = self.graph.run(feeds)?;
        let embeds = outputs.remove(EMBEDS);
        let per_layer_inputs = outputs.remove(PER_LAYER);
        drop(outputs);
        let mut inputs_embeds = embeds.ok_or_else(|| self.graph.contract(format!("gave no output `{EMBEDS}`")))?;
        if let Some(features) = features.filter(|_| !self.merges) {
            let shape = tensor::shape(&inputs_embeds);
            if shape != [1, ids.len(), features.width] {
                return Err(self.graph.contract(format!(
                    "`{EMBEDS}` has shape {shape:?}; expected [1, {}, {}], the width of the vision graph's soft tokens",
                    ids.len(),
                    features.width
                )));
            }
            tensor::overwrite_rows(&self.graph, &mut inputs_embeds, &image_rows, features.width, &features.values)?;
        }
        Ok(Embedded { inputs_embeds, per_layer_inputs })
    }

    /// `[0, width]`: no image, or no sound.
    fn no_features(&self, name: &str) -> Result<DynValue, GraphError> {
        let port = self.graph.require_input(name)?;
        let width = port.fixed(1).or_else(|| self.graph.require_output(EMBEDS).ok().and_then(|port| port.fixed(2)));
        let Some(width) = width else {
            return Err(self.graph.contract(format!("the width of `{name}` is not declared: {:?}", port.shape)));
        };
        tensor::empty(&self.graph, port, &[0, width])
    }
}
