//! `ComfyUI`'s graphs.
//!
//! In: the graph that was run (`prompt`) or the one that was drawn (`workflow`). Out:
//! [`GenerationSettings`] of the sampler that began the saved picture, and of what leads into it.
//! Promises: graphs of any shape end, those that go round too; a kind of node that is not known is
//! passed through by the names of its inputs.
//!
//! Source: `nodes.py` and `comfy_extras` of `ComfyUI`, and docs.comfy.org on the two formats. A
//! sampler is told by its inputs and not by its name, so that those of other authors count.

mod workflow;

use std::collections::{HashMap, HashSet, VecDeque};

use serde_json::{Map, Value};

use super::GenerationSettings;
use super::named::{Field, Named, number};

/// The longest way that is followed from a sampler to a text.
const MOST_DEPTH: usize = 100;
/// The most nodes that a prompt is put together from.
const MOST_NODES: usize = 1000;

/// A graph as it is run: nodes by their ids, in the order of the file.
#[derive(Default)]
pub(super) struct Graph {
    nodes: Vec<Node>,
    places: HashMap<String, usize>,
}

struct Node {
    class: String,
    inputs: Map<String, Value>,
}

/// Another node's output, as an input.
struct Link {
    node: usize,
    slot: u64,
}

/// The graph in an object that holds one: the graph itself, one under `prompt` or `workflow`, or
/// one that was drawn.
pub(super) fn graph_of(object: &Map<String, Value>) -> Option<Graph> {
    let drawn = |object: &Map<String, Value>| object.get("nodes").is_some_and(Value::is_array);
    let run =
        |object: &Map<String, Value>| object.values().any(|node| node.get("class_type").is_some());
    if drawn(object) {
        return Some(workflow::graph(object));
    }
    if run(object) {
        return Some(Graph::of_run(object));
    }
    let inner = |name: &str| object.get(name).and_then(Value::as_object);
    inner("prompt")
        .filter(|inner| run(inner))
        .map(Graph::of_run)
        .or_else(|| inner("workflow").filter(|inner| drawn(inner)).map(workflow::graph))
}

impl Graph {
    fn of_run(object: &Map<String, Value>) -> Self {
        let mut graph = Self::default();
        for (id, node) in object {
            if let (Some(class), Some(inputs)) = (
                node.get("class_type").and_then(Value::as_str),
                node.get("inputs").and_then(Value::as_object),
            ) {
                graph.add(id.clone(), class.to_owned(), inputs.clone());
            }
        }
        graph
    }

    fn add(&mut self, id: String, class: String, inputs: Map<String, Value>) {
        self.places.insert(id, self.nodes.len());
        self.nodes.push(Node { class, inputs });
    }

    /// `["4", 0]`: the output 0 of node 4. `None` of a value that is no link, or to a node that is
    /// not there.
    fn link(&self, value: &Value) -> Option<Link> {
        let [id, slot] = value.as_array()?.as_slice() else { return None };
        let node = match id {
            Value::String(id) => self.places.get(id),
            Value::Number(id) => self.places.get(&id.to_string()),
            _ => None,
        };
        Some(Link { node: *node?, slot: slot.as_u64()? })
    }

    /// Nodes that lead into some by way of inputs of some names, nearest first.
    fn upstream(
        &self,
        from: impl IntoIterator<Item = usize>,
        follows: impl Fn(&str) -> bool,
    ) -> Vec<usize> {
        let (mut found, mut seen, mut queue) =
            (Vec::new(), HashSet::new(), VecDeque::from_iter(from));
        while let Some(node) = queue.pop_front() {
            for (_, value) in self.nodes[node].inputs.iter().filter(|(name, _)| follows(name)) {
                if let Some(link) = self.link(value)
                    && seen.insert(link.node)
                {
                    found.push(link.node);
                    queue.push_back(link.node);
                }
            }
        }
        found
    }

    /// A node's value under one of some names, also where another node gives it.
    fn value(&self, node: usize, names: &[&str]) -> Option<&Value> {
        const OF_GIVERS: [&str; 9] =
            ["value", "seed", "noise_seed", "int", "float", "number", "string", "text", ""];
        let inputs = &self.nodes[node].inputs;
        let mut value = names.iter().find_map(|name| inputs.get(*name))?;
        for _ in 0..MOST_DEPTH {
            let Some(link) = self.link(value) else { return (!value.is_array()).then_some(value) };
            let inputs = &self.nodes[link.node].inputs;
            // A sampler's width may come from a node that has one, too.
            value = names.iter().chain(&OF_GIVERS).find_map(|name| inputs.get(*name))?;
        }
        None
    }

    /// Samplers as such: a latent goes in, with conditioning.
    fn samples(&self, node: usize) -> bool {
        let inputs = &self.nodes[node].inputs;
        inputs.contains_key("latent_image")
            && (inputs.contains_key("positive") || inputs.contains_key("guider"))
    }

    /// Nodes that sample as part of what they do, such as repairing faces or enlarging in tiles.
    fn samples_too(&self, node: usize) -> bool {
        let inputs = &self.nodes[node].inputs;
        inputs.contains_key("positive")
            && ["seed", "noise_seed", "steps"].iter().any(|name| inputs.contains_key(*name))
    }

    /// The sampler that began the picture, and how many others began another one.
    fn first_sampler(&self) -> Option<(usize, usize)> {
        let saves = |node: &usize| {
            let node = &self.nodes[*node];
            (node.class.contains("Save") || node.class.contains("Preview"))
                && node.inputs.contains_key("images")
        };
        let all = 0..self.nodes.len();
        let mut ways = self.upstream(all.clone().filter(saves), |_| true);
        let seen: HashSet<usize> = ways.iter().copied().collect();
        // Without a node that saves, any will do.
        ways.extend(all.filter(|node| !seen.contains(node)));
        let begins = |node: &&usize| {
            !self
                .upstream([**node], is_latent)
                .iter()
                .any(|other| other != *node && self.samples(*other))
        };
        let samplers: Vec<usize> =
            ways.iter().copied().filter(|node| self.samples(*node)).collect();
        // A graph that goes round has none that begins.
        let first = samplers.iter().take(MOST_SAMPLERS).find(begins).or(samplers.first());
        let others = samplers.iter().take(MOST_SAMPLERS).filter(begins).count().saturating_sub(1);
        first
            .copied()
            .or_else(|| ways.into_iter().find(|node| self.samples_too(*node)))
            .map(|node| (node, others))
    }
}

/// Of how many samplers it is asked whether they begin a picture.
const MOST_SAMPLERS: usize = 16;

/// Inputs by which a picture comes into a sampler, as a latent or before it was one.
fn is_latent(name: &str) -> bool {
    matches!(
        name,
        "" | "any"
            | "image"
            | "images"
            | "latent"
            | "latent_image"
            | "latents"
            | "pixels"
            | "samples"
            | "upscaled_latent"
            | "anything"
    )
}

/// The settings of a graph.
pub(super) fn read(graph: &Graph) -> GenerationSettings {
    let Some((sampler, others)) = graph.first_sampler() else {
        return GenerationSettings::only_note("the graph has no sampler".to_owned());
    };
    let mut named = Named::default();
    // A sampler has its settings itself, or nodes for them: a way of nodes with inputs of the same
    // name.
    let way = |input: &str| {
        let nodes = graph.upstream([sampler], |name| name == input);
        if nodes.is_empty() { vec![sampler] } else { nodes }
    };
    let mut take = |field: Field, nodes: &[usize], names: &[&str]| {
        if let Some(value) = nodes.iter().find_map(|node| graph.value(*node, names)) {
            named.take_or_note(field, names[0], value);
        }
    };
    take(Field::Seed, &way("noise"), &["seed", "noise_seed"]);
    take(Field::Steps, &way("sigmas"), &["steps"]);
    take(Field::Scheduler, &way("sigmas"), &["scheduler"]);
    take(Field::Sampler, &way("sampler"), &["sampler_name"]);
    take(Field::CfgScale, &way("guider"), &["cfg", "cfg_conds"]);
    let guider = way("guider")[0];
    let latents = graph.upstream([sampler], is_latent);
    let sized = latents.into_iter().find(|&node| {
        let side = |name: &str| graph.value(node, &[name]).and_then(number);
        side("width").is_some() && side("height").is_some()
    });
    if let Some(node) = sized {
        take(Field::Width, &[node], &["width"]);
        take(Field::Height, &[node], &["height"]);
    }
    let mut settings = named.finish();
    let model_from =
        if graph.nodes[guider].inputs.contains_key("model") { guider } else { sampler };
    settings.model = model(graph, model_from);
    let mut texts = |side: Side| {
        let mut walk = Walk {
            graph,
            side,
            path: Vec::new(),
            known: HashMap::new(),
            notes: &mut settings.notes,
        };
        let found = walk.from(guider);
        (!found.is_empty()).then(|| found.join("\n"))
    };
    let (prompt, negative) = (texts(Side::Positive), texts(Side::Negative));
    (settings.prompt, settings.negative_prompt) = (prompt, negative);
    if settings.prompt.is_none() {
        settings.notes.push("no prompt leads into the graph's sampler".to_owned());
    }
    if others > 0 {
        settings.notes.push(format!(
            "the graph makes {} pictures; these are the settings of the first",
            others + 1
        ));
    }
    settings
}

fn model(graph: &Graph, sampler: usize) -> Option<String> {
    const NAMES: [&str; 6] =
        ["ckpt_name", "unet_name", "model_name", "base_ckpt_name", "ckpt", "model"];
    let follows = |name: &str| matches!(name, "model" | "basic_pipe" | "pipe" | "" | "any");
    graph.upstream([sampler], follows).into_iter().find_map(|node| {
        let value = graph.value(node, &NAMES)?;
        // Some loaders keep a picture beside the name.
        value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_owned)
    })
}

/// Which of the two prompts is looked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Side {
    Positive,
    Negative,
}

impl Side {
    fn name(self) -> &'static str {
        if self == Self::Positive { "positive" } else { "negative" }
    }

    fn other(self) -> &'static str {
        if self == Self::Positive { "negative" } else { "positive" }
    }
}

/// A way from a sampler to the texts that lead into it.
struct Walk<'g> {
    graph: &'g Graph,
    side: Side,
    path: Vec<usize>,
    /// What each node gave: texts lead into many nodes.
    known: HashMap<(usize, Side), Vec<String>>,
    notes: &'g mut Vec<String>,
}

impl Walk<'_> {
    /// The texts that lead into a sampler or guider.
    fn from(&mut self, sampler: usize) -> Vec<String> {
        let inputs = &self.graph.nodes[sampler].inputs;
        // BasicGuider has just one
        let plain = || inputs.get("conditioning").filter(|_| self.side == Side::Positive);
        let Some(value) = inputs.get(self.side.name()).or_else(plain) else { return Vec::new() };
        self.path.push(sampler);
        distinct(self.of_value(value))
    }

    fn of_value(&mut self, value: &Value) -> Vec<String> {
        match value {
            Value::String(text) => vec![text.clone()],
            value => self.graph.link(value).map(|link| self.of_link(&link)).unwrap_or_default(),
        }
    }

    fn of_link(&mut self, link: &Link) -> Vec<String> {
        if self.path.contains(&link.node) {
            self.notes.push("the graph goes round".to_owned());
            return Vec::new();
        }
        let node = &self.graph.nodes[link.node];
        // Its conditioning is made to say nothing.
        if node.class == "ConditioningZeroOut" {
            return Vec::new();
        }
        // A node with both prompts as outputs gives the positive one first.
        let has = |name: &str| node.inputs.contains_key(name);
        // a loader gives its model first
        let has_both = has("positive") && has("negative") && !has("ckpt_name");
        let side = self.side;
        if has_both && link.slot < 2 {
            self.side = if link.slot == 0 { Side::Positive } else { Side::Negative };
        }
        if let Some(known) = self.known.get(&(link.node, self.side)) {
            let known = known.clone();
            self.side = side;
            return known;
        }
        if self.path.len() >= MOST_DEPTH || self.known.len() >= MOST_NODES {
            self.notes.push("the graph is too large to follow".to_owned());
            self.side = side;
            return Vec::new();
        }
        self.path.push(link.node);
        let mut parts: Vec<Vec<String>> = Vec::new();
        let (mut named, mut others) = (false, Vec::new());
        for (name, value) in &node.inputs {
            match role(name, self.side) {
                Role::Text
                    if name == "wildcard_text" && node.inputs.contains_key("populated_text") => {}
                Role::Text => {
                    named = true;
                    parts.push(self.of_value(value));
                }
                Role::Other => others.push(value),
                Role::Not => {}
            }
        }
        // Whatever else leads into a node of which nothing is known.
        if !named {
            parts.extend(
                others
                    .into_iter()
                    .filter(|value| value.is_array())
                    .map(|value| self.of_value(value)),
            );
        }
        self.path.pop();
        let between =
            ["delimiter", "separator"].iter().find_map(|name| node.inputs.get(*name)?.as_str());
        let mut found: Vec<String> = parts.into_iter().flatten().collect();
        if let Some(between) = between.filter(|_| found.len() > 1) {
            found = vec![found.join(between)];
        }
        let found = distinct(found);
        self.known.insert((link.node, self.side), found.clone());
        self.side = side;
        found
    }
}

/// The texts that say something, each once (both encoders of SDXL mostly get the same), and no more
/// than is kept of a prompt: nodes that join what they get double it.
fn distinct(texts: Vec<String>) -> Vec<String> {
    let (mut seen, mut bytes) = (HashSet::new(), 0);
    let mut keep = |text: &String| {
        bytes += text.len();
        bytes <= MOST_BYTES && !text.trim().is_empty() && seen.insert(text.clone())
    };
    texts.into_iter().filter(|text| keep(text)).collect()
}

/// More than [`MOST_PROMPT`](super::MOST_PROMPT) characters in any script.
const MOST_BYTES: usize = super::MOST_PROMPT * 4 + 4;

/// What an input may have to do with a prompt.
enum Role {
    /// It is a text of it, or leads to one.
    Text,
    /// It may lead to one.
    Other,
    /// It does not.
    Not,
}

fn role(name: &str, side: Side) -> Role {
    const TEXTS: [&str; 13] = [
        "text",
        "string",
        "prompt",
        "value",
        "clip_g",
        "clip_l",
        "t5xxl",
        "llama",
        "populated_text",
        "wildcard_text",
        "cond",
        "positive",
        "negative",
    ];
    const NOT: [&str; 14] = [
        "clip",
        "clip_vision",
        "clip_vision_output",
        "control_net",
        "guider",
        "image",
        "images",
        "latent",
        "latent_image",
        "mask",
        "model",
        "noise",
        "samples",
        "vae",
    ];
    if name.contains(side.other()) || NOT.contains(&name) {
        Role::Not
    } else if TEXTS.iter().any(|text| name.starts_with(text)) {
        Role::Text
    } else {
        Role::Other
    }
}
