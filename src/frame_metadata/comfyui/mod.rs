//! `ComfyUI`'s graphs.
//!
//! In: the graph that was run (`prompt`) or the one that was drawn (`workflow`). Out:
//! [`GenerationSettings`] of the sampler that began the saved picture, and of what leads into it.
//! Promises: graphs of any shape end, those that go round too; nodes are told by their inputs, so
//! that those of other authors count; a value that nodes compute is none rather than a wrong one.
//!
//! - [`graph`]: what leads into what, and what a switch chooses
//! - [`names`]: what the name of an input says
//! - [`sampler`]: where the picture begins
//! - [`scalars`]: seed, steps, guidance, sampler, schedule
//! - [`texts`], [`wording`]: the prompts
//! - [`models`]: model, LoRAs, VAE, upscaler
//! - [`workflow`]: a drawn graph, made into one that can be run
//!
//! Source: `nodes.py` and `comfy_extras` of `ComfyUI`, and docs.comfy.org on the two formats.

mod graph;
mod models;
mod names;
mod sampler;
mod scalars;
mod texts;
mod widgets;
mod wording;
mod workflow;

use serde_json::{Map, Value};

use super::GenerationSettings;
use super::named::{Field, Named, number, size};
use graph::Graph;
pub(super) use models::tags;
use names::{Kind, Side, kind};
use sampler::{Beginning, SEEDS, beginning};
use scalars::{Found, nearest, own};
use texts::{Piece, Texts};

/// A graph that can be read, and what it was called.
pub(super) struct Drawing {
    graph: Graph,
    name: &'static str,
}

/// The graph in an object that holds one: the graph itself, one under `prompt` or `workflow`, or
/// one that was drawn.
pub(super) fn graph_of(object: &Map<String, Value>) -> Option<Drawing> {
    let drawn = |object: &Map<String, Value>| object.get("nodes").is_some_and(Value::is_array);
    let run =
        |object: &Map<String, Value>| object.values().any(|node| node.get("class_type").is_some());
    let of_run =
        |object: &Map<String, Value>| Drawing { graph: Graph::of_run(object), name: "prompt" };
    let of_drawn =
        |object: &Map<String, Value>| Drawing { graph: workflow::graph(object), name: "workflow" };
    if drawn(object) {
        return Some(of_drawn(object));
    }
    if run(object) {
        return Some(of_run(object));
    }
    let inner = |name: &str| object.get(name).and_then(Value::as_object);
    let workflow = inner("workflow").filter(|inner| drawn(inner));
    inner("prompt")
        .or_else(|| inner("output"))
        .filter(|inner| run(inner))
        .map(|inner| {
            let mut drawing = of_run(inner);
            drawing.name_outputs(workflow);
            drawing
        })
        .or_else(|| workflow.map(of_drawn))
}

impl Drawing {
    /// Takes the names of outputs from the graph that was drawn, if there is one.
    pub(super) fn name_outputs(&mut self, workflow: Option<&Map<String, Value>>) {
        if let Some(workflow) = workflow {
            self.graph.name_outputs(workflow);
        }
    }
}

/// The settings of a graph. The second is whether a part of the prompt is known only when the graph
/// runs.
pub(super) fn read(drawing: &Drawing) -> (GenerationSettings, bool) {
    let graph = &drawing.graph;
    let Some(begun) = beginning(graph) else {
        return (GenerationSettings::only_note("the graph has no sampler".to_owned()), false);
    };
    let mut reader =
        Reader { drawing, begun, named: Named::default(), settings: GenerationSettings::default() };
    reader.scalars();
    reader.size();
    let sampler = reader.begun.sampler;
    let mut settings = std::mem::take(&mut reader.named).finish();
    settings.sources.append(&mut reader.settings.sources);
    reader.settings = settings;
    reader.models(sampler);
    let is_made = reader.texts(sampler);
    let others = reader.begun.others;
    let mut settings = reader.settings;
    if settings.prompt.is_none() {
        settings.notes.push("no prompt leads into the graph's sampler".to_owned());
    }
    if others > 0 {
        settings.notes.push(format!(
            "the graph makes {} pictures; these are the settings of the first",
            others + 1
        ));
    }
    (settings, is_made)
}

struct Reader<'d> {
    drawing: &'d Drawing,
    begun: Beginning,
    named: Named,
    settings: GenerationSettings,
}

impl<'d> Reader<'d> {
    fn source(&mut self, setting: &str, node: usize) {
        let source = format!("{}: {}", self.drawing.name, self.drawing.graph.nodes[node].title());
        self.settings.sources.insert(setting.to_owned(), source);
    }

    fn take(&mut self, field: Field, found: Option<Found<'d>>) {
        if let Some(found) = found {
            // Some inputs keep a value with its title.
            let value = found
                .value
                .get("content")
                .or_else(|| found.value.get("value"))
                .unwrap_or(found.value);
            self.named.take_or_note(field, field.name(), value);
            self.source(field.name(), found.node);
        }
    }

    /// A value of the sampler, or of the nodes behind it that hand over what they hold.
    fn near(&self, first: &[&str], names: &[&str]) -> Option<Found<'d>> {
        let graph = &self.drawing.graph;
        let behind = || {
            let pipes = |node: &&usize| !sampler::is_sampler(graph, **node);
            self.begun.way.iter().rev().filter(pipes).find_map(|&node| own(graph, node, names))
        };
        nearest(graph, self.begun.sampler, first, names).or_else(behind)
    }

    fn scalars(&mut self) {
        self.take(Field::Seed, self.near(&["noise"], SEEDS));
        self.take(
            Field::Steps,
            self.near(
                &["sigmas"],
                &["steps", "steps_total", "total_steps", "num_steps", "num_inference_steps"],
            ),
        );
        // A preset comes before the sampler beside it: `1 - DPM++ 2M Karras`.
        let preset = self.near(&[], &["sampler_preset"]);
        let preset =
            preset.and_then(|found| Some((found.value.as_str()?.split_once(" - ")?, found.node)));
        if let Some(((_, name), node)) =
            preset.filter(|((number, _), _)| number.parse::<u8>().is_ok())
        {
            self.named.take_or_note(Field::Sampler, "sampler", &Value::from(name));
            self.source("sampler", node);
        } else {
            self.take(Field::Scheduler, self.near(&["sigmas"], &["scheduler", "scheduler_name"]));
            self.take(
                Field::Sampler,
                self.near(&["sampler"], &["sampler_name", "sampler", "rk_type"]),
            );
        }
        let cfg = ["cfg", "cfg_conds", "cfg_scale", "guidance_scale", "cfg_1"];
        self.take(Field::CfgScale, self.near(&["guider"], &cfg));
        let denoise = self.near(&["sigmas"], &["denoise", "denoise_strength"]);
        // Other nodes have a strength of their own.
        self.take(
            Field::Denoise,
            denoise.filter(|found| sampler::held(&self.drawing.graph, found.node) > 0),
        );
    }

    /// The size of the latent that was sampled.
    fn size(&mut self) {
        const WIDTHS: [&str; 5] =
            ["width", "empty_latent_width", "image_width", "base_width", "latent_width"];
        const HEIGHTS: [&str; 5] =
            ["height", "empty_latent_height", "image_height", "base_height", "latent_height"];
        const BOTH: [&str; 5] =
            ["image_size_preset", "dimensions", "resolution", "size", "image_size"];
        let graph = &self.drawing.graph;
        let leads = |name: &str| matches!(kind(name), Kind::Picture | Kind::Pipe | Kind::Any);
        let sampler = self.begun.sampler;
        let has_picture = !graph.links(sampler, |name| kind(name) == Kind::Picture).is_empty();
        // What only provides a sampler gets its latent from the node that uses it.
        let mut nodes = vec![
            if has_picture { sampler } else { self.begun.way.last().copied().unwrap_or(sampler) },
            sampler,
        ];
        let mut next = 0;
        while let Some(&node) = nodes.get(next).filter(|_| next < 200) {
            let whole = |names: &[&str]| {
                own(graph, node, names)
                    .filter(|found| number(found.value).is_some_and(|side| side >= 16))
            };
            let both = own(graph, node, &BOTH)
                .filter(|both| size(both.value).is_some_and(|sides| sides[0] >= 16));
            if let Some(both) = both {
                self.take(Field::Size, Some(both));
                return;
            }
            if let (Some(width), Some(height)) = (whole(&WIDTHS), whole(&HEIGHTS)) {
                self.take(Field::Width, Some(width));
                self.take(Field::Height, Some(height));
                self.settings.sources.remove("height");
                let source = self.settings.sources.remove("width");
                self.settings.sources.extend(source.map(|source| ("size".to_owned(), source)));
                return;
            }
            let links = graph.links(node, leads).into_iter().map(|link| link.node);
            let unseen: Vec<usize> = links.filter(|link| !nodes.contains(link)).collect();
            nodes.extend(unseen);
            next += 1;
        }
    }

    fn models(&mut self, sampler: usize) {
        let graph = &self.drawing.graph;
        let mut found = models::models(graph, sampler);
        for &node in self.begun.way.iter().rev() {
            if found.names.is_empty() {
                found.names = models::models(graph, node).names;
            }
        }
        if found.names.is_empty() {
            found.names.extend(models::only_model(graph));
        }
        if let Some(&(_, node)) = found.names.first() {
            let names: Vec<String> = found.names.into_iter().map(|(name, _)| name).collect();
            self.settings.model = Some(names.join(" + "));
            self.source("model", node);
        }
        if let Some(&(_, node)) = found.loras.first() {
            self.settings.loras = found.loras.into_iter().map(|(lora, _)| lora).collect();
            self.source("loras", node);
        }
        if let Some((name, node)) = models::vae(graph, &self.begun.way, sampler) {
            self.settings.vae = Some(name);
            self.source("vae", node);
        }
        if let Some((name, node)) = models::upscale(graph, &self.begun.way) {
            self.settings.upscale = Some(name);
            self.source("upscale", node);
        }
    }

    /// Takes both prompts; whether a part of them is known only when the graph runs.
    fn texts(&mut self, sampler: usize) -> bool {
        let graph = &self.drawing.graph;
        let (mut is_made, mut is_reached) = (false, false);
        let mut sides = [Side::Positive, Side::Negative].map(|side| {
            let mut texts = Texts::new(graph, side);
            let nodes = [sampler].into_iter().chain(self.begun.parts.iter().copied());
            let mut pieces: Vec<Piece> = nodes.flat_map(|node| texts.of(node)).collect();
            // Pipes may take the texts in behind the sampler's settings.
            for &node in self.begun.way.iter().rev() {
                if pieces.is_empty() {
                    pieces = texts.of(node);
                }
            }
            if let Some(node) = texts.guided.filter(|_| side == Side::Positive)
                && let Some(found) = own(graph, node, &["guidance"])
            {
                self.settings.guidance = found.value.as_f64().map(crate::record::to_four_decimals);
                self.source("guidance", found.node);
            }
            is_made |= texts.is_made && side == Side::Positive;
            is_reached |= texts.is_reached && side == Side::Positive;
            self.settings.notes.append(&mut texts.notes);
            pieces
        });
        if sides[0].is_empty() && !is_reached {
            sides = self.scanned(sides);
        }
        for (name, pieces) in ["prompt", "negative_prompt"].into_iter().zip(&sides) {
            let mut texts: Vec<&str> = Vec::new();
            for piece in pieces {
                if !texts.contains(&piece.text.as_str()) {
                    texts.push(&piece.text);
                }
            }
            if let Some(piece) = pieces.first() {
                self.source(name, piece.node);
                let text = Some(texts.join("\n"));
                if name == "prompt" {
                    self.settings.prompt = text;
                } else {
                    self.settings.negative_prompt = text;
                }
            }
        }
        // One conditioning at both inputs, if nothing is denied.
        if self.settings.negative_prompt == self.settings.prompt {
            self.settings.negative_prompt = None;
            self.settings.sources.remove("negative_prompt");
        }
        is_made
    }

    /// The texts of nodes that encode one, if no way leads to them.
    fn scanned(&mut self, found: [Vec<Piece>; 2]) -> [Vec<Piece>; 2] {
        let graph = &self.drawing.graph;
        let [mut positive, mut negative] = found;
        // A way leads to what is not wanted, and to no prompt: it is none by being elsewhere.
        let denied: Vec<String> = negative.iter().map(|piece| piece.text.clone()).collect();
        for (node, of) in graph.nodes.iter().enumerate() {
            let class = of.class.to_ascii_lowercase();
            if !(class.contains("encode") && class.contains("text")) {
                continue;
            }
            let mut texts = Texts::new(graph, Side::Positive);
            for piece in texts.of(node) {
                if denied.contains(&piece.text) {
                    continue;
                }
                if wording::is_negative(&piece.text) {
                    negative.push(piece);
                } else {
                    positive.push(piece);
                }
            }
        }
        if !positive.is_empty() {
            self.settings.notes.push(
                "the prompt was taken from nodes that do not lead into the sampler".to_owned(),
            );
        }
        [positive, negative]
    }
}
