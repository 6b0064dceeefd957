//! Token ids to embeddings, with the soft tokens in their places.
//!
//! In: ids of some rows, and the soft tokens of their views. Out: what the decoder reads, as ONNX
//! Runtime values. Promises: works with graphs that merge the soft tokens themselves (mobius) and
//! with those that leave it to the caller (onnx-community); image ids are looked up as padding.

use ort::value::DynValue;

use super::error::GraphError;
use super::graph::{Feeds, Graph};
use super::tensor;
use super::vision::{Features, SoftTokens};
use crate::prompt::SpecialTokens;

/// The decoder's inputs for a sequence, as ONNX Runtime values.
pub(super) struct Embedded {
    /// `[rows, sequence, hidden]`.
    pub(super) inputs_embeds: DynValue,
    /// `[rows, sequence, layers, width]` or `[rows, sequence, layers * width]`, for models with
    /// per-layer embeddings.
    pub(super) per_layer_inputs: Option<DynValue>,
}

pub(super) struct Embedding {
    pub(super) graph: Graph,
    /// Whether image ids are replaced by padding before the look-up, since the graph does not do it
    /// itself (set by the probe).
    pub(super) feed_padding_for_images: bool,
    /// Whether the graph puts the soft tokens into their places itself (mobius), or leaves it to
    /// the caller (onnx-community).
    pub(super) merges: bool,
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

    /// Whether a decoder can be fed what this gives without a cast.
    pub(super) fn is_in_dtype_of(&self, decoder: &Graph) -> bool {
        let same = |name: &str| match (self.graph.require_output(name), decoder.input(name)) {
            (Ok(given), Some(taken)) => given.dtype == taken.dtype,
            _ => true,
        };
        same(EMBEDS) && same(PER_LAYER)
    }

    /// Whether soft tokens can be put into their places as the vision graph gives them.
    pub(super) fn takes_as_they_are(&self, vision: &Graph) -> bool {
        let given = vision.outputs.iter().map(|port| port.dtype).collect::<Vec<_>>();
        let own = self.graph.require_output(EMBEDS).map(|port| port.dtype).ok();
        !self.merges && given.iter().all(|dtype| Some(*dtype) == own)
    }

    /// Embeddings of `ids`, `[rows, sequence]`. The soft tokens of `features` take the places of
    /// the image ids, in the order of the rows; if none are given, there must be no image ids.
    pub(super) fn embed(
        &mut self,
        ids: &[i64],
        rows: usize,
        features: &[&Features],
    ) -> Result<Embedded, GraphError> {
        let sequence = ids.len() / rows;
        let image_places: Vec<usize> =
            (0..ids.len()).filter(|&place| ids[place] == self.image_id).collect();
        let given: usize = features.iter().map(|features| features.rows).sum();
        if given > 0 && image_places.len() != given {
            return Err(self.graph.contract(format!(
                "the prompt has {} image tokens and the view {given} soft tokens",
                image_places.len()
            )));
        }
        // Their embeddings are overwritten anyway; what matters is that per-layer inputs are looked
        // up for padding.
        let fed = if self.feed_padding_for_images && !self.merges {
            ids.iter().map(|&id| if id == self.image_id { self.pad_id } else { id }).collect()
        } else {
            ids.to_vec()
        };
        let graph = &self.graph;
        let mut feeds: Feeds<'_> = vec![(
            IDS.into(),
            tensor::integers(graph, graph.require_input(IDS)?, &[rows, sequence], fed)?.into(),
        )];
        if self.merges {
            let port = graph.require_input(FEATURES)?;
            let value = match features {
                [] => self.no_features(FEATURES)?,
                [first, ..] => {
                    let mut values = Vec::with_capacity(given * first.width);
                    for features in features {
                        let SoftTokens::Host(own) = features.soft() else {
                            return Err(
                                graph.contract(format!("`{FEATURES}` are taken from main memory"))
                            );
                        };
                        values.extend(own);
                    }
                    tensor::floats(graph, port, &[given, first.width], values)?
                }
            };
            feeds.push((FEATURES.into(), value.into()));
            if graph.input(AUDIO).is_some() {
                feeds.push((AUDIO.into(), self.no_features(AUDIO)?.into()));
            }
        }
        let mut outputs = self.graph.run(feeds)?;
        let embeds = outputs.remove(EMBEDS);
        let per_layer_inputs = outputs.remove(PER_LAYER);
        let mut inputs_embeds =
            embeds.ok_or_else(|| self.graph.contract(format!("gave no output `{EMBEDS}`")))?;
        if !self.merges {
            let mut places = image_places.as_slice();
            for features in features {
                let shape = tensor::shape(&inputs_embeds);
                if shape != [rows, sequence, features.width] {
                    return Err(self.graph.contract(format!(
                        "`{EMBEDS}` has shape {shape:?}; expected [{rows}, {sequence}, {}], the \
                         width of the vision graph's soft tokens",
                        features.width
                    )));
                }
                let (own, others) = places.split_at(features.rows);
                places = others;
                match features.soft() {
                    SoftTokens::Host(values) => {
                        tensor::overwrite_rows(
                            &self.graph,
                            &mut inputs_embeds,
                            own,
                            features.width,
                            values,
                        )?;
                    }
                    SoftTokens::Device(segments) => {
                        let rows = segments.iter().flat_map(|segment| {
                            (segment.first..segment.first + segment.rows)
                                .map(|row| (&*segment.tensor, row))
                        });
                        tensor::copy_rows(
                            &self.graph,
                            rows,
                            &mut inputs_embeds,
                            own,
                            features.width,
                        )?;
                    }
                }
            }
        }
        Ok(Embedded { inputs_embeds, per_layer_inputs })
    }

    /// `[0, width]`: no image, or no sound.
    fn no_features(&self, name: &str) -> Result<DynValue, GraphError> {
        let port = self.graph.require_input(name)?;
        let width = port
            .fixed(1)
            .or_else(|| self.graph.require_output(EMBEDS).ok().and_then(|port| port.fixed(2)));
        let Some(width) = width else {
            return Err(self
                .graph
                .contract(format!("the width of `{name}` is not declared: {:?}", port.shape)));
        };
        tensor::empty(&self.graph, port, &[0, width])
    }
}
