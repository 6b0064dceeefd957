//! How a generated frame was made, by its file or a table.

use serde::{Deserialize, Serialize};

/// How a frame was made, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GenerationSettings {
    /// The prompt: what the frame was to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The negative prompt: what it was not to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negative_prompt: Option<String>,
    /// The model's name as it is written, or its hash if there is only that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The seed of the noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The sampler as the tool calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampler: Option<String>,
    /// The noise schedule as the tool calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<String>,
    /// Sampling steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// The weight of classifier-free guidance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cfg_scale: Option<f64>,
    /// Width and height that were sampled, before any enlarging.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[u32; 2]>,
    /// Whose layout it was read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<Tool>,
    /// Fields that were broken or left out, each a short sentence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Whose layout settings were read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Tool {
    /// The text `parameters` of stable-diffusion-webui and Forge, which others write too.
    A1111,
    /// `ComfyUI`'s graph.
    #[serde(rename = "comfyui")]
    ComfyUi,
    /// `InvokeAI`, in any of its three layouts.
    #[serde(rename = "invokeai")]
    InvokeAi,
    /// Fooocus, in either of its schemes.
    Fooocus,
    /// `NovelAI`.
    #[serde(rename = "novelai")]
    NovelAi,
    /// `SwarmUI`.
    #[serde(rename = "swarmui")]
    SwarmUi,
    /// A file beside the frame.
    Sidecar,
    /// A row of a table.
    Table,
}

impl GenerationSettings {
    /// Whether anything but notes is known.
    pub fn is_known(&self) -> bool {
        let texts =
            [&self.prompt, &self.negative_prompt, &self.model, &self.sampler, &self.scheduler];
        texts.into_iter().any(Option::is_some)
            || self.seed.is_some()
            || self.steps.is_some()
            || self.cfg_scale.is_some()
            || self.size.is_some()
    }
}
