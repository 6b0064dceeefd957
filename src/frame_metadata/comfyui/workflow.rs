//! The graph that was drawn, made into one that can be run.
//!
//! In: `workflow`: nodes with the values of their widgets in a list, and links by number. Out: a
//! [`Graph`]. Promises: a best effort: the names of a list's values are written only by newer
//! versions, and known here only of the nodes that most graphs have.
//!
//! Source: <https://docs.comfy.org/specs/workflow_json>.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::Graph;

/// The widgets of nodes, in their order. `_` is one that no input goes by, such as what happens to
/// a seed afterwards.
const WIDGETS: [(&str, &[&str]); 19] = [
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
    ("EmptyLatentImage", &["width", "height", "batch_size"]),
    ("EmptySD3LatentImage", &["width", "height", "batch_size"]),
    ("KSampler", &["seed", "_", "steps", "cfg", "sampler_name", "scheduler", "denoise"]),
    (
        "KSamplerAdvanced",
        &["add_noise", "noise_seed", "_", "steps", "cfg", "sampler_name", "scheduler"],
    ),
    ("KSamplerSelect", &["sampler_name"]),
    ("PrimitiveNode", &["value"]),
    ("PrimitiveString", &["value"]),
    ("PrimitiveStringMultiline", &["value"]),
    ("RandomNoise", &["noise_seed"]),
    ("SamplerCustom", &["add_noise", "noise_seed", "_", "cfg"]),
    ("UNETLoader", &["unet_name", "weight_dtype"]),
];

/// Nodes that are switched off or passed by (`LGraphEventMode` NEVER and BYPASS).
const OFF: [u64; 2] = [2, 4];

pub(super) fn graph(workflow: &Map<String, Value>) -> Graph {
    let list = |name: &str| {
        workflow.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    };
    let mut sources: HashMap<u64, Value> = HashMap::new();
    for link in list("links") {
        // [id, from node, from output, to node, to input, type]
        if let Some([id, from, output, ..]) = link.as_array().map(Vec::as_slice)
            && let Some(id) = id.as_u64()
        {
            sources.insert(id, Value::Array(vec![from.to_string().into(), output.clone()]));
        }
    }
    let mut graph = Graph::default();
    for node in list("nodes") {
        let (Some(id), Some(class)) = (node.get("id"), node.get("type").and_then(Value::as_str))
        else {
            continue;
        };
        let mut inputs = widgets(class, node);
        for input in node.get("inputs").and_then(Value::as_array).into_iter().flatten() {
            let name = input.get("name").and_then(Value::as_str);
            let source =
                input.get("link").and_then(Value::as_u64).and_then(|link| sources.get(&link));
            // What leads into a widget counts and not what the widget shows.
            if let (Some(name), Some(source)) = (name, source) {
                inputs.insert(name.to_owned(), source.clone());
            }
        }
        let is_off =
            node.get("mode").and_then(Value::as_u64).is_some_and(|mode| OFF.contains(&mode));
        if is_off {
            // It still leads on to what is before it, but samples and says nothing.
            inputs.retain(|_, value| value.is_array());
            if let Some(latent) = inputs.remove("latent_image") {
                inputs.insert("latent".to_owned(), latent);
            }
        }
        graph.add(id.to_string(), if is_off { String::new() } else { class.to_owned() }, inputs);
    }
    graph
}

fn widgets(class: &str, node: &Value) -> Map<String, Value> {
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
    let mut values = values.iter().peekable();
    let mut found = Map::new();
    for name in named {
        let Some(value) = values.next() else { break };
        found.insert(name.to_owned(), value.clone());
        let control = |value: &&Value| {
            matches!(
                value.as_str(),
                Some("fixed" | "increment" | "decrement" | "randomize" | "increment-wrap")
            )
        };
        if matches!(name, "seed" | "noise_seed") {
            values.next_if(control);
        }
    }
    if found.is_empty() {
        // A node of which nothing is known: its only text, if it has one.
        let mut texts = node
            .get("widgets_values")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter(|value| value.is_string());
        if let (Some(text), None) = (texts.next(), texts.next()) {
            found.insert("text".to_owned(), text.clone());
        }
    }
    found
}
