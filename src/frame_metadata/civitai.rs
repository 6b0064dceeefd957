//! Civitai's generator.
//!
//! In: an object with `extraMetadata`, a JSON text in it, mostly beside the graph that was run; the
//! pair `Civitai resources` of a text like stable-diffusion-webui's. Out: [`GenerationSettings`].
//! Promises: those of [`named`].
//!
//! Source: files that the site made.

use serde_json::{Map, Value};

use super::{GenerationSettings, Tool, json, named};
use crate::record::{Lora, to_four_decimals};

/// The settings in `extraMetadata`; `None` of an object without it.
pub(super) fn read(object: &Map<String, Value>) -> Option<GenerationSettings> {
    let parsed = match object.get("extraMetadata")? {
        Value::String(text) => json::parse(text).ok()?,
        value => value.clone(),
    };
    let extra = parsed.as_object()?;
    let mut settings = named::read(extra).by(Tool::Civitai);
    let of_upscale = |change: &Value| change.get("type").and_then(Value::as_str) == Some("upscale");
    let changes = extra.get("transformations").and_then(Value::as_array).into_iter().flatten();
    // The model stands in the graph by its number only.
    if changes.into_iter().any(of_upscale) && settings.upscale.is_none() {
        let loader = |node: &Value| {
            let class = node.get("class_type")?.as_str()?;
            class
                .contains("Upscale")
                .then(|| node.get("inputs")?.get("model_name")?.as_str().map(str::to_owned))?
        };
        settings.upscale = object.values().find_map(loader);
    }
    Some(settings)
}

/// Takes the model and the LoRAs from a list of what was used.
pub(super) fn resources(text: &str, settings: &mut GenerationSettings) {
    let Ok(Value::Array(list)) = json::parse(text) else { return };
    for one in &list {
        let word = |name: &str| one.get(name).and_then(Value::as_str);
        let Some(name) = word("modelName").or_else(|| word("name")) else { continue };
        match word("type").unwrap_or_default().to_ascii_lowercase().as_str() {
            "checkpoint" | "model" if settings.model.is_none() => {
                let version = word("modelVersionName")
                    .map(|version| format!(" {version}"))
                    .unwrap_or_default();
                settings.model = Some(format!("{name}{version}"));
            }
            "lora" | "locon" | "dora" | "lycoris" => {
                let weight = one.get("weight").and_then(Value::as_f64).map(to_four_decimals);
                settings.loras.push(Lora { name: name.to_owned(), weight });
            }
            _ => {}
        }
    }
}
