//! Settings by name: flat JSON objects, table columns, the pairs of a settings line.
//!
//! In: names as the tools write them, and their values, numbers or text. Out:
//! [`GenerationSettings`]. Promises: a name counts whatever its case, spaces, hyphens and
//! underscores; of two names for one thing the first counts; a value that cannot be is said and
//! left out.

use serde_json::{Map, Value};

use super::GenerationSettings;
use crate::record::{Lora, to_four_decimals};

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Prompt,
    NegativePrompt,
    Model,
    Seed,
    Sampler,
    Scheduler,
    Steps,
    CfgScale,
    Guidance,
    Denoise,
    Vae,
    Upscale,
    Loras,
    LoraWeights,
    Software,
    Size,
    Width,
    Height,
}

impl Field {
    /// The name of the setting, as [`GenerationSettings`] has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::NegativePrompt => "negative_prompt",
            Self::Model => "model",
            Self::Seed => "seed",
            Self::Sampler => "sampler",
            Self::Scheduler => "scheduler",
            Self::Steps => "steps",
            Self::CfgScale => "cfg_scale",
            Self::Guidance => "guidance",
            Self::Denoise => "denoise",
            Self::Vae => "vae",
            Self::Upscale => "upscale",
            Self::Loras | Self::LoraWeights => "loras",
            Self::Software => "software",
            Self::Size => "size",
            Self::Width => "width",
            Self::Height => "height",
        }
    }
}

/// The field of a name, if it is one of ours.
pub(super) fn field(name: &str) -> Option<Field> {
    let plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    Some(match plain.as_str() {
        "prompt" | "positiveprompt" | "positive" | "positivecaption" => Field::Prompt,
        "negativeprompt" | "negative" | "uc" | "negativecaption" => Field::NegativePrompt,
        "model"
        | "modelname"
        | "basemodel"
        | "basemodelname"
        | "sdmodelname"
        | "checkpoint"
        | "ckpt"
        | "ckptname"
        | "modelid"
        | "modelfilename"
        | "usestablediffusionmodel"
        | "stablediffusionmodel"
        | "sdcheckpoint" => Field::Model,
        "seed" | "noiseseed" => Field::Seed,
        "sampler" | "samplername" | "ksamplername" | "samplingmethod" => Field::Sampler,
        "scheduler" | "scheduletype" | "noiseschedule" | "schedule" | "schedulername"
        | "samplersigma" => Field::Scheduler,
        "steps" | "numinferencesteps" | "samplingsteps" => Field::Steps,
        "cfgscale" | "cfg" | "guidancescale" | "scale" => Field::CfgScale,
        "guidance" | "distilledcfgscale" | "fluxguidancescale" | "fluxguidance" => Field::Guidance,
        "denoise"
        | "denoisingstrength"
        | "denoisestrength"
        | "initimagecreativity"
        | "promptstrength" => Field::Denoise,
        "vae" | "sdvae" | "vaename" | "usevaemodel" | "vaemodel" => Field::Vae,
        "hiresupscaler" | "upscaler" | "useupscale" | "useupscaler" | "refinerupscalemethod" => {
            Field::Upscale
        }
        "loras" | "lora" | "useloramodel" => Field::Loras,
        "loraweights" | "loraalpha" => Field::LoraWeights,
        "software" | "app" | "swarmversion" | "appversion" => Field::Software,
        "size" | "resolution" => Field::Size,
        "width" => Field::Width,
        "height" => Field::Height,
        _ => return None,
    })
}

/// Settings that are being read.
#[derive(Default)]
pub(super) struct Named {
    settings: GenerationSettings,
    width: Option<u32>,
    height: Option<u32>,
    weights: Vec<f64>,
}

impl Named {
    /// Takes a value.
    ///
    /// # Errors
    /// What is wrong with it, with its name.
    pub(super) fn take(&mut self, field: Field, name: &str, value: &Value) -> Result<(), String> {
        if value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty()) {
            return Ok(());
        }
        let wrong = |what: &str| {
            let shown: String = value.to_string().chars().take(40).collect();
            format!("{name} is not {what}: {shown}")
        };
        let settings = &mut self.settings;
        let side = |value| {
            number(value).and_then(|side| u32::try_from(side).ok()).filter(|&side| side > 0)
        };
        match field {
            Field::Prompt => set(&mut settings.prompt, text(value).ok_or_else(|| wrong("a text"))?),
            Field::NegativePrompt => {
                set(&mut settings.negative_prompt, text(value).ok_or_else(|| wrong("a text"))?);
            }
            Field::Model => {
                set(&mut settings.model, model(value).ok_or_else(|| wrong("a model's name"))?);
            }
            // Tools write -1 for "draw one" and keep it beside the frame: the seed is not known
            // then, and no row is wrong.
            Field::Seed if is_negative(value) => settings.notes.push(wrong("a whole number")),
            Field::Seed => {
                set(&mut settings.seed, number(value).ok_or_else(|| wrong("a whole number"))?);
            }
            Field::Sampler => {
                set(&mut settings.sampler, text(value).ok_or_else(|| wrong("a text"))?);
            }
            Field::Scheduler => {
                set(&mut settings.scheduler, text(value).ok_or_else(|| wrong("a text"))?);
            }
            Field::Steps => {
                let steps = number(value).and_then(|steps| u32::try_from(steps).ok());
                set(&mut settings.steps, steps.ok_or_else(|| wrong("a whole number"))?);
            }
            Field::CfgScale => {
                set(&mut settings.cfg_scale, float(value).ok_or_else(|| wrong("a number"))?);
            }
            Field::Guidance => set_known(&mut settings.guidance, float(value)),
            Field::Denoise => set_known(&mut settings.denoise, float(value)),
            Field::Vae => set_known(&mut settings.vae, model(value).filter(|name| is_chosen(name))),
            Field::Upscale => {
                set_known(&mut settings.upscale, model(value).filter(|name| is_chosen(name)));
            }
            Field::Software => set_known(&mut settings.software, model(value)),
            Field::Loras if settings.loras.is_empty() => settings.loras = loras(value),
            Field::Loras => {}
            Field::LoraWeights => self.weights = weights(value),
            Field::Size => {
                set(&mut settings.size, size(value).ok_or_else(|| wrong("a width and a height"))?);
            }
            Field::Width => {
                set(&mut self.width, side(value).ok_or_else(|| wrong("a number of pixels"))?);
            }
            Field::Height => {
                set(&mut self.height, side(value).ok_or_else(|| wrong("a number of pixels"))?);
            }
        }
        Ok(())
    }

    /// What was read.
    pub(super) fn finish(mut self) -> GenerationSettings {
        if let (None, Some(width), Some(height)) = (self.settings.size, self.width, self.height) {
            self.settings.size = Some([width, height]);
        }
        for (lora, weight) in self.settings.loras.iter_mut().zip(self.weights) {
            lora.weight = lora.weight.or(Some(weight));
        }
        self.settings
    }

    /// Takes a value, and notes what is wrong with it.
    pub(super) fn take_or_note(&mut self, field: Field, name: &str, value: &Value) {
        if let Err(problem) = self.take(field, name, value) {
            self.settings.notes.push(problem);
        }
    }
}

/// The settings of a flat object; keys of other things are passed over.
pub(super) fn read(object: &Map<String, Value>) -> GenerationSettings {
    let mut named = Named::default();
    for (name, value) in object {
        if let Some(field) = field(name) {
            named.take_or_note(field, name, value);
        }
    }
    named.finish()
}

fn set<T>(place: &mut Option<T>, value: T) {
    if place.is_none() {
        *place = Some(value);
    }
}

/// Takes a value of a setting that is not asked for: one that cannot be is passed over.
fn set_known<T>(place: &mut Option<T>, value: Option<T>) {
    if place.is_none() {
        *place = value;
    }
}

/// Whether a name is one, and not the word for none of them.
pub(super) fn is_chosen(name: &str) -> bool {
    const NOT: [&str; 9] = [
        "none",
        "",
        "automatic",
        "auto",
        "default",
        "default (model)",
        "baked vae",
        "false",
        "null",
    ];
    !NOT.contains(&name.trim().to_ascii_lowercase().as_str())
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        // Several prompts of one frame, as older tools write them.
        Value::Array(parts) => {
            let parts: Option<Vec<String>> = parts
                .iter()
                .map(|part| {
                    part.as_str().or_else(|| part.get("prompt")?.as_str()).map(str::to_owned)
                })
                .collect();
            parts.map(|parts| parts.join("\n"))
        }
        _ => None,
    }
}

fn model(value: &Value) -> Option<String> {
    const KEYS: [&str; 5] = ["name", "model_name", "modelFileName", "modelName", "label"];
    let name = || KEYS.iter().find_map(|key| value.get(*key)?.as_str());
    value.as_str().or_else(name).map(|name| name.trim().to_owned())
}

/// A whole number, also as text or as a float (42.0), which is how tables come out of other
/// programs.
pub(super) fn number(value: &Value) -> Option<u64> {
    // 2^53: beyond it a float may be another number than was written
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let whole = |value: f64| {
        (value.fract() == 0.0 && (0.0..EXACT).contains(&value)).then_some(value as u64)
    };
    match value {
        Value::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => {
            text.trim().parse().ok().or_else(|| whole(text.trim().parse().ok()?))
        }
        _ => None,
    }
}

/// Whether a value is a number below 0, also as text.
fn is_negative(value: &Value) -> bool {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.is_some_and(|number: f64| number < 0.0)
}

/// A number of a sensible size, to four decimals: what is beyond them changes no picture, and makes
/// a record long.
fn float(value: &Value) -> Option<f64> {
    let float = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    float.filter(|float: &f64| float.abs() < 1e6).map(to_four_decimals)
}

/// LoRAs as the tools list them: `["a"]`, `[["a", 0.8]]`, `[{"name": "a", "weight": 0.8}]`,
/// `<a:0.8>,<b:1>`, `a, b`.
fn loras(value: &Value) -> Vec<Lora> {
    let one = |value: &Value| match value {
        Value::String(name) => Some(Lora { name: name.trim().to_owned(), weight: None }),
        Value::Array(parts) => {
            let weight = parts.iter().find_map(Value::as_f64);
            // RuinedFooocus: [hash, "0.8 - name"]
            let last = parts.iter().rev().find_map(|part| part.as_str()?.split_once(" - "));
            if let (None, Some((number, name))) = (weight, last) {
                return Some(Lora { name: name.to_owned(), weight: number.trim().parse().ok() });
            }
            Some(Lora { name: parts.iter().find_map(Value::as_str)?.to_owned(), weight })
        }
        value => {
            let nested = ["model", "lora"].iter().find_map(|key| model(value.get(*key)?));
            let weight = ["weight", "strength", "scale", "multiplier"]
                .iter()
                .find_map(|key| float(value.get(*key)?));
            Some(Lora { name: nested.or_else(|| model(value))?, weight })
        }
    };
    let found: Vec<Lora> = match value {
        Value::Array(list) => list.iter().filter_map(one).collect(),
        Value::String(text) if text.contains('<') => {
            let parts = text.split('<').filter_map(|part| part.split_once('>')?.0.rsplit_once(':'));
            parts
                .map(|(name, weight)| Lora {
                    name: name.to_owned(),
                    weight: weight.trim().parse().ok(),
                })
                .collect()
        }
        Value::String(text) => text
            .split(',')
            .map(|name| Lora { name: name.trim().to_owned(), weight: None })
            .collect(),
        value => one(value).into_iter().collect(),
    };
    found.into_iter().filter(|lora| is_chosen(&lora.name)).collect()
}

fn weights(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(list) => list.iter().filter_map(float).collect(),
        Value::String(text) => {
            text.split(',').filter_map(|part| float(&Value::from(part))).collect()
        }
        value => float(value).into_iter().collect(),
    }
}

/// `512x768`, `512 x 768 (2:3)`, `(512, 768)` or `[512, 768]`.
pub(super) fn size(value: &Value) -> Option<[u32; 2]> {
    let sides: Vec<u32> = match value {
        Value::String(text) => {
            let text = text.trim();
            let text = if text.starts_with('(') {
                text
            } else {
                text.split('(').next().unwrap_or_default()
            };
            let sides =
                text.split(|letter: char| !letter.is_ascii_digit()).filter(|side| !side.is_empty());
            sides.map(str::parse).collect::<Result<_, _>>().ok()?
        }
        Value::Array(sides) => sides
            .iter()
            .map(|side| number(side).and_then(|side| u32::try_from(side).ok()))
            .collect::<Option<_>>()?,
        _ => return None,
    };
    sides.try_into().ok().filter(|[width, height]: &[u32; 2]| *width > 0 && *height > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_value(value: Value) -> GenerationSettings {
        let Value::Object(object) = value else { panic!("an object") };
        read(&object)
    }

    #[test]
    fn names_and_values_of_many_tools() {
        let expected = GenerationSettings {
            prompt: Some("a cat".into()),
            negative_prompt: Some("a dog".into()),
            model: Some("xl".into()),
            seed: Some(u64::MAX),
            steps: Some(20),
            cfg_scale: Some(7.5),
            size: Some([512, 768]),
            ..GenerationSettings::default()
        };
        for value in [
            json!({"prompt": "a cat", "uc": "a dog", "model": "xl", "seed": u64::MAX, "steps": 20, "scale": 7.5, "width": 512, "height": 768}),
            json!({"Positive Prompt": " a cat\n", "Negative-Prompt": "a dog", "base_model": "xl", "noise_seed": "18446744073709551615",
                "num_inference_steps": "20.0", "guidance_scale": "7.5", "resolution": "(512, 768)", "loras": []}),
            json!({"prompt": [{"prompt": "a cat", "weight": 1}], "negativeprompt": "a dog", "model": {"name": "xl"}, "seed": u64::MAX, "steps": 20.0,
                "cfgscale": 7.5, "size": [512, 768], "sampler": "", "scheduler": null}),
        ] {
            assert_eq!(read_value(value), expected);
        }
    }

    #[test]
    fn what_cannot_be_is_said() {
        let settings = read_value(
            json!({"seed": -1, "steps": "many", "cfg": "NaN", "size": "512", "width": 0, "height": 5, "prompt": 3, "model": [1]}),
        );
        assert!(!settings.is_known());
        assert_eq!(settings.notes.len(), 7, "{:?}", settings.notes);
        assert_eq!(settings.notes[0], "seed is not a whole number: -1");
    }
}
