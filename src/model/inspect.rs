//! Everything that is known about a model directory, for `gemscope model inspect`.

use std::path::PathBuf;

use serde::Serialize;

use super::graph::{Graph, PortInfo};
use super::{Layout, Model, ModelConfig, Probes};

/// One graph of a model.
#[derive(Debug, Clone, Serialize)]
pub struct GraphReport {
    /// Its purpose.
    pub role: &'static str,
    /// Its file.
    pub path: PathBuf,
    /// Its inputs.
    pub inputs: Vec<PortInfo>,
    /// Its outputs.
    pub outputs: Vec<PortInfo>,
}

/// The graphs, as `gemscope model inspect` prints them.
#[derive(Debug, Clone, Serialize)]
pub struct ModelReport {
    /// The directory.
    pub directory: PathBuf,
    /// How its files are laid out.
    pub layout: Layout,
    /// Which member of the family, judged by the graphs.
    pub variant: &'static str,
    /// Its settings files.
    pub config: ModelConfig,
    /// The graphs.
    pub graphs: Vec<GraphReport>,
    /// Its probes.
    pub probes: Probes,
}

impl Model {
    /// A report on this model.
    pub fn report(&self) -> ModelReport {
        let graph = |role, graph: &Graph| GraphReport {
            role,
            path: graph.path.clone(),
            inputs: graph.inputs.clone(),
            outputs: graph.outputs.clone(),
        };
        ModelReport {
            directory: self.directory.clone(),
            layout: self.files.layout,
            variant: self.variant(),
            config: self.config.clone(),
            graphs: vec![
                graph("vision", &self.vision.graph),
                graph("embedding", &self.embedding.graph),
                graph("decoder", &self.decoder.graph),
            ],
            probes: self.probes.clone(),
        }
    }

    fn variant(&self) -> &'static str {
        let decoder = &self.decoder.graph;
        let encoder_free = self.patch_side() != crate::preprocess::PATCH_SIDE;
        match (
            encoder_free,
            decoder.input("per_layer_inputs").is_some(),
            decoder.input("input_ids").is_some(),
        ) {
            (true, ..) => "encoder-free vision (gemma4_unified, 12B)",
            (false, true, _) => "per-layer embeddings (E2B, E4B)",
            (false, false, true) => "bidirectional image block (26B-A4B, 31B)",
            (false, false, false) => "no per-layer embeddings, causal",
        }
    }
}
