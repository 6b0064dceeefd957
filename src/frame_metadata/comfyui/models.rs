//! The model of a sampler, and what was added to it: LoRAs, a VAE, what enlarged the picture.
//!
//! In: a graph, the sampler and the nodes behind it. Out: names as the loaders hold them. Promises:
//! what is switched off is left out; a merge names all of its models; every walk ends.

use std::collections::HashSet;

use serde_json::Value;

use super::graph::{Graph, Node};
use super::names::{Kind, has_word, kind, number_at_end};
use super::scalars::own;
use crate::record::{Lora, to_four_decimals};

/// Names of a model's file in loaders.
const NAMES: [&str; 19] = [
    "ckpt_name",
    "base_checkpoint",
    "unet_name",
    "base_ckpt_name",
    "model_name",
    "base_model_name",
    "checkpoint",
    "ckpt",
    "gguf_name",
    "model_path",
    "diffusion_model",
    "dit_name",
    "transformer_name",
    "base_model",
    "model",
    "repo_id",
    "pretrained_model",
    "unet",
    "load_model",
];

/// What was found on the way of a model.
#[derive(Default)]
pub(super) struct Models {
    pub(super) names: Vec<(String, usize)>,
    pub(super) loras: Vec<(Lora, usize)>,
}

/// The models and LoRAs that lead into `sampler`.
pub(super) fn models(graph: &Graph, sampler: usize) -> Models {
    let mut found = Models::default();
    follow(graph, sampler, true, &mut HashSet::new(), &mut found);
    found.loras.reverse(); // the loader comes first
    found
}

/// The only model that a graph loads, if no way leads to it.
pub(super) fn only_model(graph: &Graph) -> Option<(String, usize)> {
    let is_loader = |node: &usize| graph.nodes[*node].has(&["ckpt_name", "unet_name"]);
    let mut loaders = (0..graph.nodes.len())
        .filter(is_loader)
        .filter_map(|node| Some((loader(graph, node)?, node)));
    let first = loaders.next()?;
    loaders.all(|(name, _)| name == first.0).then_some(first)
}

/// Whether a model was found behind `node`.
fn follow(
    graph: &Graph,
    node: usize,
    is_first: bool,
    seen: &mut HashSet<usize>,
    found: &mut Models,
) -> bool {
    if !seen.insert(node) || seen.len() > 500 {
        return false;
    }
    let of = &graph.nodes[node];
    loras(graph, node, found);
    for input in of.inputs.iter().filter(|input| is_stack(&input.name)) {
        if let Some(link) = graph.link(&input.value) {
            stack(graph, link.node, seen, found);
        }
    }
    if !is_first && let Some(name) = loader(graph, node) {
        if !found.names.iter().any(|(known, _)| *known == name) {
            found.names.push((name, node));
        }
        return true;
    }
    let mut links: Vec<(u8, usize)> = Vec::new();
    for input in graph.chosen(node) {
        let Some(link) = graph.link(&input.value) else { continue };
        if is_stack(&input.name) {
            continue;
        }
        let rank = match kind(&input.name) {
            Kind::Model if has_word(&input.name, "refiner") => 4,
            Kind::Model => 0,
            _ if has_word(&input.name, "guider") => 1,
            Kind::Pipe => 2,
            Kind::Any => 3,
            _ => continue,
        };
        links.push((rank, link.node));
    }
    links.sort_by_key(|(rank, _)| *rank);
    let class = of.class.to_ascii_lowercase();
    let merges = class.contains("merge") || links.iter().filter(|(rank, _)| *rank == 0).count() > 1;
    let mut any = false;
    for (rank, next) in links {
        if any && !(merges && rank == 0) {
            break;
        }
        any |= follow(graph, next, false, seen, found);
    }
    any
}

fn is_stack(name: &str) -> bool {
    name.contains("lora_stack") || name == "prev_lora" || name == "lora"
}

/// The model's name in a loader.
fn loader(graph: &Graph, node: usize) -> Option<String> {
    let of = &graph.nodes[node];
    let class = of.class.to_ascii_lowercase();
    if ["upscale", "lora", "controlnet", "vae", "clip", "detector", "sam", "ipadapter"]
        .iter()
        .any(|word| class.contains(word))
        && !of.has(&["ckpt_name", "unet_name", "base_ckpt_name"])
    {
        return None;
    }
    NAMES.iter().find_map(|name| text(own(graph, node, &[name])?.value))
}

/// A name; some loaders keep a picture beside it.
fn text(value: &Value) -> Option<String> {
    let text = value
        .as_str()
        .or_else(|| value.get("content")?.as_str())
        .or_else(|| value.get("name")?.as_str())?;
    let text = text.trim();
    let is_none = ["none", "", "baked vae", "automatic", "default", "undefined", "null"]
        .contains(&&*text.to_lowercase());
    (!is_none).then(|| text.to_owned())
}

/// A list of LoRAs, one node behind the other.
fn stack(graph: &Graph, node: usize, seen: &mut HashSet<usize>, found: &mut Models) {
    if !seen.insert(node) || seen.len() > 500 {
        return;
    }
    loras(graph, node, found);
    for input in graph.chosen(node) {
        let follows =
            input.name.contains("lora") || matches!(kind(&input.name), Kind::Any | Kind::Pipe);
        if let Some(link) = graph.link(&input.value).filter(|_| follows) {
            stack(graph, link.node, seen, found);
        }
    }
}

/// The LoRAs that a node itself names.
fn loras(graph: &Graph, node: usize, found: &mut Models) {
    let of = &graph.nodes[node];
    let count =
        own(graph, node, &["lora_count", "num_loras"]).and_then(|found| found.value.as_u64());
    let mut here = Vec::new();
    for input in of
        .inputs
        .iter()
        .filter(|input| has_word(&input.name, "lora") || input.name.starts_with("lora"))
    {
        let place = number_at_end(input.name.trim_end_matches("_name"));
        if is_off(of, place) || count.zip(place).is_some_and(|(count, place)| place > count) {
            continue;
        }
        if let Value::Object(one) = &input.value {
            // rgthree's Power Lora Loader: {"on": true, "lora": "x.safetensors", "strength": 0.8}
            if one.get("on").and_then(Value::as_bool) != Some(false)
                && let Some(name) = one.get("lora").and_then(text)
            {
                here.push(Lora {
                    name,
                    weight: one.get("strength").and_then(Value::as_f64).map(to_four_decimals),
                });
            }
            continue;
        }
        let is_name = input
            .name
            .trim_end_matches(|letter: char| letter.is_ascii_digit())
            .trim_end_matches('_');
        if !["lora", "lora_name", "lora_model"].contains(&is_name) && !input.name.ends_with("_name")
        {
            continue;
        }
        if let Some(name) = own(graph, node, &[&input.name]).and_then(|found| text(found.value)) {
            let own_weight = own(
                graph,
                node,
                &[&format!("{}_strength", input.name), &format!("{}_weight", input.name)],
            );
            let own_weight =
                own_weight.and_then(|found| found.value.as_f64()).map(to_four_decimals);
            here.push(Lora { name, weight: own_weight.or_else(|| weight(graph, node, place)) });
        }
    }
    // Loaders that take them out of a text.
    if of.class.to_ascii_lowercase().contains("lora")
        && let Some(text) =
            of.get(&["text", "prompt", "positive", "lora_syntax"]).and_then(Value::as_str)
    {
        here.extend(tags(text));
    }
    here.reverse();
    for lora in here {
        if !found.loras.iter().any(|(known, _)| known.name == lora.name) {
            found.loras.push((lora, node));
        }
    }
}

/// Whether a node's place for a LoRA is switched off.
fn is_off(node: &Node, place: Option<u64>) -> bool {
    node.inputs.iter().any(|input| {
        let is_switch = ["switch", "toggle", "enable", "enabled", "on"]
            .iter()
            .any(|word| has_word(&input.name, word));
        let is_its = place.is_none()
            || number_at_end(&input.name).is_none()
            || number_at_end(&input.name) == place;
        let says_no = match &input.value {
            Value::Bool(yes) => !yes,
            Value::String(text) => {
                ["off", "false", "disable", "disabled"].contains(&&*text.to_ascii_lowercase())
            }
            _ => false,
        };
        is_switch && is_its && says_no
    })
}

fn weight(graph: &Graph, node: usize, place: Option<u64>) -> Option<f64> {
    const WORDS: [&str; 6] =
        ["strength_model", "model_weight", "model_str", "strength", "weight", "wt"];
    let inputs = &graph.nodes[node].inputs;
    WORDS.iter().find_map(|word| {
        let input = inputs.iter().find(|input| {
            has_word(&input.name, word)
                && number_at_end(&input.name) == place
                && !has_word(&input.name, "clip")
        })?;
        own(graph, node, &[&input.name])?.value.as_f64().map(to_four_decimals)
    })
}

/// The LoRAs that stand in a text: `<lora:winter:0.8>`.
pub(in crate::frame_metadata) fn tags(text: &str) -> Vec<Lora> {
    let mut loras: Vec<Lora> = Vec::new();
    for part in text.split('<').skip(1) {
        let Some((inside, _)) = part.split_once('>') else { continue };
        let Some((kind, rest)) = inside.split_once(':') else { continue };
        if !["lora", "lyco", "lokr", "loha"].contains(&kind.trim().to_ascii_lowercase().as_str()) {
            continue;
        }
        let mut parts = rest.split(':');
        let Some(name) = parts.next().map(str::trim).filter(|name| !name.is_empty()) else {
            continue;
        };
        let weight =
            parts.next().and_then(|weight| weight.trim().parse().ok()).map(to_four_decimals);
        if !loras.iter().any(|known| known.name == name) {
            loras.push(Lora { name: name.to_owned(), weight });
        }
    }
    loras
}

/// The VAE that decoded the picture, if a loader names one.
pub(super) fn vae(graph: &Graph, way: &[usize], sampler: usize) -> Option<(String, usize)> {
    let decoder =
        way.iter().copied().chain([sampler]).find(|node| graph.nodes[*node].has(&["vae"]))?;
    let mut seen = HashSet::new();
    let mut node = graph.links(decoder, |name| name == "vae").first()?.node;
    while seen.insert(node) {
        if let Some(name) = own(graph, node, &["vae_name"]).and_then(|found| text(found.value)) {
            return Some((name, node));
        }
        let chosen = graph.chosen(node);
        let next = ["vae", "pipe", ""].iter().find_map(|word| {
            chosen.iter().find_map(|input| {
                let follows = match *word {
                    "vae" => has_word(&input.name, "vae"),
                    "pipe" => kind(&input.name) == Kind::Pipe,
                    _ => kind(&input.name) == Kind::Any,
                };
                graph.link(&input.value).filter(|_| follows)
            })
        });
        node = next?.node;
    }
    None
}

/// What enlarged the picture between the sampler and the file: a model, else a method.
pub(super) fn upscale(graph: &Graph, way: &[usize]) -> Option<(String, usize)> {
    let by_model = way.iter().find_map(|&node| {
        let loader = graph.links(node, |name| name.contains("upscale_model")).first()?.node;
        let name = own(graph, loader, &["model_name", "upscale_model", "name"])
            .or_else(|| own(graph, node, &["upscale_model", "model_name"]))?;
        Some((text(name.value)?, loader))
    });
    by_model.or_else(|| {
        way.iter().find_map(|&node| {
            let name = own(
                graph,
                node,
                &["upscale_model", "upscaler_name", "upscale_method", "scale_method"],
            )?;
            Some((text(name.value)?, node))
        })
    })
}
