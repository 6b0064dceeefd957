//! How a generated frame was made, by its file or a table.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How a frame was made, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GenerationSettings {
    /// The prompt: what the frame was to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The negative prompt: what it was not to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negative_prompt: Option<String>,
    /// The model's name as it is written, or its hash if there is only that. Merged models are
    /// joined by ` + `.
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
    /// The distilled guidance of Flux and its relatives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance: Option<f64>,
    /// How much of the noise was added, 0 to 1; below 1 another picture was the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denoise: Option<f64>,
    /// The VAE, if it is not the model's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vae: Option<String>,
    /// What enlarged the frame: a model's name, or a method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upscale: Option<String>,
    /// Small models that were added to the model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loras: Vec<Lora>,
    /// Width and height that were sampled, before any enlarging.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[u32; 2]>,
    /// Whose layout it was read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<Tool>,
    /// The program and its version, as it writes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software: Option<String>,
    /// Of each setting, by its name here, the text or node that it was read from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, String>,
    /// Fields that were broken, left out or said twice, each a short sentence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A small model that was added to a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Lora {
    /// Its name as it is written.
    pub name: String,
    /// How much of it was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

/// Whose layout settings were read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    /// `RuinedFooocus`.
    RuinedFooocus,
    /// `NovelAI`.
    #[serde(rename = "novelai")]
    NovelAi,
    /// `SwarmUI`.
    #[serde(rename = "swarmui")]
    SwarmUi,
    /// Civitai's generator.
    Civitai,
    /// `TensorArt`.
    #[serde(rename = "tensorart")]
    TensorArt,
    /// Draw Things.
    DrawThings,
    /// Easy Diffusion.
    EasyDiffusion,
    /// Midjourney.
    Midjourney,
    /// Stability Matrix.
    StabilityMatrix,
    /// Arguments of a pipeline of the library diffusers.
    Diffusers,
    /// A file beside the frame.
    Sidecar,
    /// A row of a table.
    Table,
}

impl GenerationSettings {
    /// Whether anything but notes is known.
    pub fn is_known(&self) -> bool {
        let texts = [
            &self.prompt,
            &self.negative_prompt,
            &self.model,
            &self.sampler,
            &self.scheduler,
            &self.vae,
            &self.upscale,
        ];
        texts.into_iter().any(Option::is_some)
            || self.seed.is_some()
            || self.steps.is_some()
            || [self.cfg_scale, self.guidance, self.denoise].iter().any(Option::is_some)
            || self.size.is_some()
            || !self.loras.is_empty()
    }
}
