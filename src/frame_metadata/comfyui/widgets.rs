//! The names of the values that a drawn node keeps in a list.
//!
//! In: a node of a drawn graph. Out: its values by the names of its inputs. Promises: a list that
//! is not understood gives no value.

use serde_json::{Map, Value};

/// The widgets of nodes, in their order. `_` is one that no input goes by, such as what happens to
/// a seed afterwards.
const WIDGETS: [(&str, &[&str]); 37] = [
    ("BasicScheduler", &["scheduler", "steps", "denoise"]),
    ("CFGGuider", &["cfg"]),
    ("CheckpointLoader", &["config_name", "ckpt_name"]),
    ("CheckpointLoaderSimple", &["ckpt_name"]),
    ("CLIPTextEncode", &["text"]),
    ("CLIPTextEncodeFlux", &["clip_l", "t5xxl", "guidance"]),
    (
        "CLIPTextEncodeSDXL",
        &[
            "width",
            "height",
            "crop_w",
            "crop_h",
            "target_width",
            "target_height",
            "text_g",
            "text_l",
        ],
    ),
    ("CLIPTextEncodeSDXLRefiner", &["ascore", "width", "height", "text"]),
    ("DualCFGGuider", &["cfg_conds", "cfg_cond2_negative"]),
    (
        "Efficient Loader",
        &[
            "ckpt_name",
            "vae_name",
            "clip_skip",
            "lora_name",
            "lora_model_strength",
            "lora_clip_strength",
            "positive",
            "negative",
            "token_normalization",
            "weight_interpretation",
            "empty_latent_width",
            "empty_latent_height",
            "batch_size",
        ],
    ),
    ("EmptyLatentImage", &["width", "height", "batch_size"]),
    ("EmptySD3LatentImage", &["width", "height", "batch_size"]),
    ("FluxGuidance", &["guidance"]),
    ("ImageScale", &["upscale_method", "width", "height", "crop"]),
    ("ImageScaleBy", &["upscale_method", "scale_by"]),
    ("KSampler", &["seed", "_", "steps", "cfg", "sampler_name", "scheduler", "denoise"]),
    (
        "KSampler (Efficient)",
        &["seed", "_", "steps", "cfg", "sampler_name", "scheduler", "denoise"],
    ),
    (
        "KSamplerAdvanced",
        &["add_noise", "noise_seed", "_", "steps", "cfg", "sampler_name", "scheduler"],
    ),
    ("KSamplerSelect", &["sampler_name"]),
    ("LatentUpscale", &["upscale_method", "width", "height", "crop"]),
    ("LatentUpscaleBy", &["upscale_method", "scale_by"]),
    ("LoraLoader", &["lora_name", "strength_model", "strength_clip"]),
    ("LoraLoaderModelOnly", &["lora_name", "strength_model"]),
    ("ModelSamplingFlux", &["max_shift", "base_shift", "width", "height"]),
    ("PrimitiveNode", &["value"]),
    ("PrimitiveString", &["value"]),
    ("PrimitiveStringMultiline", &["value"]),
    ("RandomNoise", &["noise_seed"]),
    ("SamplerCustom", &["add_noise", "noise_seed", "_", "cfg"]),
    ("SaveImage", &["filename_prefix"]),
    ("Seed (rgthree)", &["seed"]),
    ("StableCascade_EmptyLatentImage", &["width", "height", "compression", "batch_size"]),
    ("TextEncodeQwenImageEdit", &["prompt"]),
    ("UNETLoader", &["unet_name", "weight_dtype"]),
    ("UnetLoaderGGUF", &["unet_name"]),
    ("UpscaleModelLoader", &["model_name"]),
    ("VAELoader", &["vae_name"]),
];

pub(super) fn widgets(class: &str, node: &Value) -> Map<String, Value> {
    let values = match node.get("widgets_values") {
        Some(Value::Object(named)) => return named.clone(),
        Some(Value::Array(values)) => values,
        _ => return Map::new(),
    };
    if let Some((_, names)) = WIDGETS.iter().find(|(known, _)| *known == class) {
        let named = names.iter().zip(values).filter(|(name, _)| **name != "_");
        return named.map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    }
    // Newer versions list every widget among the inputs; behind a seed stands a value without one.
    let inputs = node.get("inputs").and_then(Value::as_array).into_iter().flatten();
    let named: Vec<&str> = inputs
        .filter(|input| input.get("widget").is_some_and(Value::is_object))
        .filter_map(|input| input.get("name")?.as_str())
        .collect();
    let mut found = Map::new();
    let mut rest = values.iter().peekable();
    for name in &named {
        let Some(value) = rest.next() else { break };
        found.insert((*name).to_owned(), value.clone());
        if matches!(*name, "seed" | "noise_seed") {
            rest.next_if(|value| is_control(value));
        }
    }
    // A list that is longer has values that are no inputs, and none can be told.
    if rest.peek().is_none() && !found.is_empty() {
        return found;
    }
    let mut found = of_sampler(values);
    if found.is_empty() {
        found = texts(class, node, values);
    }
    found
}

/// The texts of a node of which nothing is known: its only one, or those that read like a text, the
/// prompt first, if it gives a conditioning, a pipe or a text.
fn texts(class: &str, node: &Value, values: &[Value]) -> Map<String, Value> {
    const FILES: [&str; 5] = [".safetensors", ".ckpt", ".gguf", ".sft", ".pth"];
    let mut found = Map::new();
    let strings: Vec<&Value> = values.iter().filter(|value| value.is_string()).collect();
    if let [text] = strings.as_slice() {
        found.insert("text".to_owned(), (*text).clone());
        return found;
    }
    let outputs = node.get("outputs").and_then(Value::as_array).into_iter().flatten();
    let types: Vec<&str> = outputs.filter_map(|output| output.get("type")?.as_str()).collect();
    let gives =
        |words: &[&str]| types.iter().any(|kind| words.iter().any(|word| kind.contains(word)));
    if !gives(&["CONDITIONING", "PIPE", "TUPLE", "STRING"]) {
        return found;
    }
    let is_file = |text: &str| FILES.iter().any(|ending| text.ends_with(ending));
    let model = strings.iter().find(|value| value.as_str().is_some_and(is_file));
    if let Some(model) = model.filter(|_| gives(&["MODEL", "PIPE", "TUPLE"])) {
        found.insert("ckpt_name".to_owned(), (*model).clone());
    }
    let reads = |value: &&&Value| {
        let text = value.as_str().unwrap_or_default().trim();
        let is_size = text.starts_with(|letter: char| letter.is_ascii_digit())
            && text.chars().take(6).any(|letter| matches!(letter, 'x' | ':'));
        text.contains([' ', ','])
            && text.len() > 4
            && !is_file(text)
            && !is_size
            && !text.starts_with("Select ")
            && text != "Baked VAE"
    };
    let mut texts = strings.iter().filter(reads);
    let two = gives(&["PIPE", "TUPLE"])
        || types.iter().filter(|kind| **kind == "CONDITIONING").count() > 1;
    match texts.next() {
        Some(text) => {
            found.insert(if two { "positive" } else { "text" }.to_owned(), (*text).clone());
            if let Some(other) = texts.next().filter(|_| two) {
                found.insert("negative".to_owned(), (*other).clone());
            }
        }
        // A word alone is a prompt in a node that encodes one.
        None if class.to_ascii_lowercase().contains("encode") => {
            found.insert(
                "text".to_owned(),
                strings.first().map_or(Value::Null, |text| (*text).clone()),
            );
        }
        None => {}
    }
    found
}

/// What happens to a seed after a run.
fn is_control(value: &Value) -> bool {
    matches!(
        value.as_str(),
        Some("fixed" | "increment" | "decrement" | "randomize" | "increment-wrap")
    )
}

/// Noise schedules, which tell the values of samplers apart.
const SCHEDULES: [&str; 15] = [
    "normal",
    "karras",
    "exponential",
    "simple",
    "ddim_uniform",
    "sgm_uniform",
    "beta",
    "beta57",
    "linear_quadratic",
    "kl_optimal",
    "bong_tangent",
    "turbo",
    "gits",
    "align_your_steps",
    "polyexponential",
];

/// Samplers of many authors keep their values in one of a few orders, all with the schedule right
/// behind the sampler and what happens to the seed right behind the seed: `seed _ steps cfg sampler
/// scheduler denoise`, `steps cfg sampler scheduler denoise seed _`, `steps cfg seed _ sampler
/// scheduler denoise`, `sampler scheduler steps _ denoise cfg seed _`.
fn of_sampler(values: &[Value]) -> Map<String, Value> {
    let mut found = Map::new();
    let mut take = |name: &str, value: Option<&Value>| {
        if let Some(value) = value {
            found.insert(name.to_owned(), value.clone());
        }
    };
    let is_seed = |value: &Value| value.is_u64() || value.as_i64() == Some(-1);
    let is_followed =
        |pair: &[Value]| is_seed(&pair[0]) && (is_control(&pair[1]) || pair[1].is_null());
    let seed = values.windows(2).position(is_followed);
    let is_pair = |pair: &[Value]| {
        pair[0].is_string() && pair[1].as_str().is_some_and(|name| SCHEDULES.contains(&name))
    };
    let Some(sampler) = values.windows(2).position(is_pair) else {
        // Without a schedule only a seed that is told by what happens to it is one.
        let seed = seed.filter(|at| is_control(&values[at + 1]));
        take("seed", seed.and_then(|at| values.get(at)));
        return found;
    };
    take("seed", seed.and_then(|at| values.get(at)));
    take("sampler_name", values.get(sampler));
    take("scheduler", values.get(sampler + 1));
    let behind = &values[sampler + 2..];
    let is_fraction =
        |value: &Value| value.as_f64().is_some_and(|value| (0.0..=1.0).contains(&value));
    if let [steps, run, denoise, cfg, ..] = behind
        && steps.as_u64().is_some_and(|steps| steps > 1)
        && run.is_i64()
        && is_fraction(denoise)
        && cfg.is_number()
    {
        take("steps", Some(steps));
        take("denoise", Some(denoise));
        take("cfg", Some(cfg));
        return found;
    }
    take("denoise", behind.first().filter(|value| is_fraction(value)));
    // The seed may stand between.
    let before = match seed {
        Some(at) if at + 2 == sampler => &values[..at],
        _ => &values[..sampler],
    };
    match before {
        [.., steps, cfg] if steps.is_u64() && cfg.is_number() => {
            take("steps", Some(steps));
            take("cfg", Some(cfg));
        }
        [.., cfg] if cfg.is_number() => take("cfg", Some(cfg)),
        _ => {}
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn samplers_of_many_authors_are_told_by_their_values() {
        let expected = json!({"seed": 7, "sampler_name": "euler", "scheduler": "karras", "denoise": 1, "steps": 24, "cfg": 6.5});
        for values in [
            json!([7, "fixed", 24, 6.5, "euler", "karras", 1, "auto"]),
            json!([24, 6.5, "euler", "karras", 1, 7, "randomize"]),
            json!([24, 6.5, 7, "randomize", "euler", "karras", 1]),
            json!([0.5, "euler", "karras", 24, -1, 1, 6.5, 7, "fixed", "standard", true]),
            json!([7, null, 24, 6.5, "euler", "karras", 1, "true"]),
        ] {
            let found = of_sampler(values.as_array().unwrap());
            assert_eq!(Value::Object(found), expected, "{values}");
        }
        let found = of_sampler(json!(["a", "fixed", 12, null]).as_array().unwrap());
        assert_eq!(Value::Object(found), json!({}));
    }

    #[test]
    fn texts_of_unknown_loaders() {
        let node = json!({"outputs": [{"type": "PIPE_LINE"}]});
        let values = json!([
            "xl.safetensors",
            "Baked VAE",
            "512 x 768",
            "a fox, snow",
            "blurry, ugly",
            "none"
        ]);
        let found = texts("a loader", &node, values.as_array().unwrap());
        let expected = json!({"ckpt_name": "xl.safetensors", "positive": "a fox, snow", "negative": "blurry, \
            ugly"});
        assert_eq!(Value::Object(found), expected);
    }
}
