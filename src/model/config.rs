//! The settings files of a model directory.
//!
//! In: `config.json`, `generation_config.json`, `genai_config.json` and the processor's settings,
//! as far as they are there. Out: budget, stop ids, suppressed ids. Promises: a file that is there
//! and broken is an error that names it.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::ModelError;
use crate::preprocess::{PATCH_SIDE, SOFT_TOKEN_SIDE};
use crate::prompt::TextTokenizer;
use crate::record::Budget;

/// Settings that are read from JSON files, each with a fallback of its own.
#[derive(Debug, Clone, Serialize)]
pub struct ModelConfig {
    /// `model_type` of config.json, such as `gemma4`.
    pub model_type: Option<String>,
    /// The budget that the model's files name: `max_soft_tokens` of `processor_config.json`,
    /// `preprocessor_config.json` or `image_processor.json`; 280, Hugging Face's default, if none
    /// of them does.
    pub default_budget: Budget,
    /// Ids that end an answer: `eos_token_id` of `generation_config.json`, else of
    /// `genai_config.json`, else of config.json.
    pub stop_ids: Vec<u32>,
    /// Ids that are never generated: `suppress_tokens` of `generation_config.json`.
    pub suppressed_ids: Vec<u32>,
    /// Tokens of a prompt and its answer together: `max_position_embeddings` of config.json, or
    /// `context_length` of `genai_config.json`; 131,072, the least that Gemma 4 takes, if neither
    /// says.
    pub context: usize,
    /// `image_token_id` of config.json.
    #[serde(skip)]
    pub image_id: Option<u32>,
}

/// The context of the smallest Gemma 4.
const CONTEXT: usize = 131_072;

impl ModelConfig {
    /// Checks that the tokenizer of `directory` is this model's: it knows every stop id, without
    /// which no answer would end, and has the image's token under the id of the settings.
    ///
    /// # Errors
    /// [`ModelError::Config`] that names the id.
    pub fn check_tokenizer(
        &self,
        directory: &Path,
        tokenizer: &TextTokenizer,
    ) -> Result<(), ModelError> {
        let wrong = |reason: String| ModelError::Config { path: directory.to_owned(), reason };
        if let Some(unknown) = self.stop_ids.iter().find(|id| tokenizer.token(**id).is_none()) {
            return Err(wrong(format!(
                "the stop id {unknown} (`eos_token_id`) is none of the {} ids of tokenizer.json; \
                 are these files of one model?",
                tokenizer.vocabulary_size()
            )));
        }
        let of_tokenizer = tokenizer.special.image_id;
        match self.image_id.filter(|id| *id != of_tokenizer) {
            None => Ok(()),
            Some(id) => Err(wrong(format!(
                "tokenizer.json is of another model: {:?} is its id {of_tokenizer}, and \
                 `image_token_id` of config.json is {id}",
                tokenizer.special.image
            ))),
        }
    }

    /// Side of a patch in pixels, judged by the settings alone: `gemma4_unified` (12B) has no
    /// vision encoder, and its patches are whole soft tokens.
    pub fn patch_side(&self) -> u32 {
        if self.model_type.as_deref() == Some("gemma4_unified") {
            SOFT_TOKEN_SIDE
        } else {
            PATCH_SIDE
        }
    }

    /// Reads what is there of the settings files of `directory`.
    ///
    /// # Errors
    /// [`ModelError::Config`] if a file is not JSON, or no file names a stop id.
    pub fn read(directory: &Path) -> Result<Self, ModelError> {
        let file = |name: &str| Settings::read(directory.join(name));
        let config = file("config.json")?;
        let generation = file("generation_config.json")?;
        let genai = file("genai_config.json")?;
        let stop_ids = [
            &generation.json["eos_token_id"],
            &genai.json["model"]["eos_token_id"],
            &config.json["eos_token_id"],
            &config.json["text_config"]["eos_token_id"],
        ]
        .into_iter()
        .map(ids)
        .find(|ids| !ids.is_empty())
        .ok_or_else(|| ModelError::Config {
            path: directory.to_owned(),
            reason: "no `eos_token_id` in generation_config.json, genai_config.json or \
                     config.json: an answer would never end"
                .to_owned(),
        })?;
        let context = [
            &config.json["text_config"]["max_position_embeddings"],
            &config.json["max_position_embeddings"],
            &genai.json["model"]["context_length"],
        ];
        let context = context.into_iter().find_map(|tokens| usize::try_from(tokens.as_u64()?).ok());
        let mut default_budget = None;
        for name in ["processor_config.json", "preprocessor_config.json", "image_processor.json"] {
            let settings = file(name)?;
            if let Some(tokens) = max_soft_tokens(&settings.json) {
                let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
                default_budget = Some(
                    Budget::try_from(tokens).map_err(|error| settings.error(&error.to_string()))?,
                );
                break;
            }
        }
        Ok(Self {
            model_type: config.json["model_type"].as_str().map(str::to_owned),
            default_budget: default_budget.unwrap_or(Budget::USUAL),
            stop_ids,
            suppressed_ids: ids(&generation.json["suppress_tokens"]),
            context: context.unwrap_or(CONTEXT),
            image_id: config.json["image_token_id"].as_u64().and_then(|id| u32::try_from(id).ok()),
        })
    }
}

struct Settings {
    path: PathBuf,
    json: Value,
}

impl Settings {
    fn read(path: PathBuf) -> Result<Self, ModelError> {
        let text = match crate::files::read_text(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self { path, json: Value::Null });
            }
            Err(error) => return Err(ModelError::Config { path, reason: error.to_string() }),
        };
        match serde_json::from_str(&text) {
            Ok(json) => Ok(Self { path, json }),
            Err(error) => Err(ModelError::Config { path, reason: error.to_string() }),
        }
    }

    fn error(&self, reason: &str) -> ModelError {
        ModelError::Config { path: self.path.clone(), reason: reason.to_owned() }
    }
}

/// One id or a list of them.
fn ids(value: &Value) -> Vec<u32> {
    let one = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match value {
        Value::Array(values) => values.iter().filter_map(one).collect(),
        other => one(other).into_iter().collect(),
    }
}

/// `max_soft_tokens` at the place of Hugging Face, or that of onnxruntime-genai (in one of the
/// processor's transforms).
fn max_soft_tokens(json: &Value) -> Option<u64> {
    let of_transforms = || {
        let transforms = json["processor"]["transforms"].as_array()?;
        transforms
            .iter()
            .find_map(|transform| transform["operation"]["attrs"]["max_soft_tokens"].as_u64())
    };
    json["image_processor"]["max_soft_tokens"]
        .as_u64()
        .or_else(|| json["max_soft_tokens"].as_u64())
        .or_else(of_transforms)
}
