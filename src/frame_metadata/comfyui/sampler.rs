//! The node that began the picture that was saved.
//!
//! In: a graph. Out: [`Beginning`]: the sampler and the way from the saved picture to it. Promises:
//! a picture that was saved comes before one that was only shown; what merely continues, enlarges
//! or repairs a picture is no beginning while there is another; every walk ends.

use std::collections::HashSet;

use super::graph::{Graph, MOST_DEPTH};
use super::names::{Kind, Side, kind, side};

/// Where a picture begins.
pub(super) struct Beginning {
    /// The node that began it.
    pub(super) sampler: usize,
    /// The nodes between the one that saved it and the sampler, nearest to the saver first.
    pub(super) way: Vec<usize>,
    /// Other nodes that began other parts of the picture.
    pub(super) parts: Vec<usize>,
    /// How many other pictures the graph makes.
    pub(super) others: usize,
}

/// The most pictures that are followed back, and the most parts of one.
const MOST_ENDERS: usize = 64;

/// The beginning of the saved picture. `None` of a graph that samples nothing.
pub(super) fn beginning(graph: &Graph) -> Option<Beginning> {
    for enders in enders(graph) {
        let mut found: Option<Beginning> = None;
        let mut begun: HashSet<usize> = HashSet::new();
        for ender in enders.into_iter().take(MOST_ENDERS) {
            let mut walk = Walk { graph, seen: HashSet::new(), weak: None, parts: Vec::new() };
            let mut way = Vec::new();
            if let Some(sampler) = walk.from(ender, &mut way, 0).or(walk.weak) {
                begun.insert(sampler);
                let parts = walk.parts.into_iter().filter(|part| *part != sampler).collect();
                found.get_or_insert(Beginning { sampler, way, parts, others: 0 });
            }
        }
        if let Some(mut found) = found {
            let is_other = |node: &&usize| **node != found.sampler && !found.parts.contains(node);
            found.others = begun.iter().filter(is_other).count();
            return Some(found);
        }
    }
    // No way leads to a sampler: the node that holds the most of what one holds.
    let best =
        (0..graph.nodes.len()).max_by_key(|&node| (held(graph, node), std::cmp::Reverse(node)))?;
    (held(graph, best) >= 2).then(|| Beginning {
        sampler: best,
        way: Vec::new(),
        parts: Vec::new(),
        others: 0,
    })
}

/// The nodes that pictures end in: those that save, then those that show, then all that lead
/// nowhere.
fn enders(graph: &Graph) -> [Vec<usize>; 3] {
    let mut read: HashSet<usize> = HashSet::new();
    for node in 0..graph.nodes.len() {
        read.extend(graph.links(node, |_| true).into_iter().map(|link| link.node));
    }
    let (mut saved, mut shown, mut last) = (Vec::new(), Vec::new(), Vec::new());
    for (place, node) in graph.nodes.iter().enumerate() {
        let class = node.class.to_ascii_lowercase();
        let has_picture = node
            .inputs
            .iter()
            .any(|input| kind(&input.name) == Kind::Picture && graph.link(&input.value).is_some());
        let saves =
            class.contains("save") || node.has(&["filename_prefix", "save_prefix", "filename"]);
        let shows = ["preview", "show", "compare", "display", "view", "output"]
            .iter()
            .any(|word| class.contains(word));
        if saves && has_picture && !class.contains("latent") {
            saved.push(place);
        } else if shows && has_picture {
            shown.push(place);
        } else if !read.contains(&place) {
            last.push(place);
        }
    }
    [saved, shown, last]
}

/// A way back from a saved picture.
struct Walk<'g> {
    graph: &'g Graph,
    seen: HashSet<usize>,
    /// The best that only continues a picture.
    weak: Option<usize>,
    /// All nodes that began something that was put into the picture.
    parts: Vec<usize>,
}

impl Walk<'_> {
    /// The sampler farthest back from `node`, along what the picture was painted on.
    fn from(&mut self, node: usize, way: &mut Vec<usize>, depth: usize) -> Option<usize> {
        if depth > MOST_DEPTH * 2 || !self.seen.insert(node) {
            return None;
        }
        let graph = self.graph;
        let length = way.len();
        way.push(node);
        let inputs = graph.chosen(node);
        let mut ways: Vec<(u8, usize)> = inputs
            .iter()
            .filter_map(|input| Some((rank(&input.name)?, graph.link(&input.value)?.node)))
            .collect();
        ways.sort_by_key(|(rank, _)| *rank);
        let samples = is_sampler(graph, node);
        let mut first = None;
        for (rank, next) in ways {
            // What is no picture is followed only by a node that itself samples nothing.
            if first.is_some() && rank > SECOND || (rank > PIPES && samples) {
                break;
            }
            let mut branch = way.clone();
            if let Some(found) = self.from(next, &mut branch, depth + 1)
                && first.is_none()
            {
                first = Some((found, branch));
            }
        }
        if let Some((found, branch)) = first {
            *way = branch;
            return Some(found);
        }
        if samples {
            // The second stage of a cascade is told by its conditioning what the first one made.
            let may_be = self.parts.len() < MOST_ENDERS;
            let stage = may_be.then(|| self.stage(node)).flatten();
            if let Some(found) = stage.and_then(|next| self.from(next, way, depth + 1)) {
                return Some(found);
            }
            if continues(graph, node) {
                self.weak.get_or_insert(node);
                return None;
            }
            if self.parts.len() < MOST_ENDERS {
                self.parts.push(node);
            }
            way.truncate(length);
            return Some(node);
        }
        way.truncate(length);
        None
    }

    /// The node whose latent leads into the conditioning of `sampler`.
    fn stage(&self, sampler: usize) -> Option<usize> {
        let mut node = sampler;
        for _ in 0..MOST_DEPTH {
            let is_stage = |name: &str| name == "stage_c" || name.starts_with("prior");
            if let Some(link) = self.graph.links(node, is_stage).first() {
                return Some(link.node);
            }
            let of_text =
                |name: &str| kind(name) == Kind::Text && side(name) != Some(Side::Negative);
            node = self.graph.links(node, of_text).first()?.node;
        }
        None
    }
}

const SECOND: u8 = 2;
const PIPES: u8 = 3;

/// In what order inputs are followed back; `None` of those that lead to no picture. What a picture
/// is painted on comes before what is painted on it.
fn rank(name: &str) -> Option<u8> {
    Some(match kind(name) {
        Kind::Picture
            if ["_to", "destination", "background"].iter().any(|end| name.ends_with(end)) =>
        {
            0
        }
        Kind::Picture if ["_from", "reference", "source"].iter().any(|end| name.ends_with(end)) => {
            SECOND
        }
        Kind::Picture => 1,
        Kind::Pipe => PIPES,
        Kind::Any => 4,
        Kind::Text | Kind::Model | Kind::Aside => return None,
    })
}

/// How many of the things that a sampler holds stand in a node.
pub(super) fn held(graph: &Graph, node: usize) -> usize {
    let node = &graph.nodes[node];
    let groups: [&[&str]; 5] = [
        SEEDS,
        &["steps"],
        &["cfg", "cfg_scale", "guidance"],
        &["sampler_name", "sampler"],
        &["scheduler"],
    ];
    groups.iter().filter(|names| node.has(names)).count()
}

/// Names of seeds.
pub(super) const SEEDS: &[&str] = &["seed", "noise_seed", "seed_num", "seed_value", "rand_seed"];

/// Told by its inputs and not by its name, so that those of other authors count.
pub(super) fn is_sampler(graph: &Graph, node: usize) -> bool {
    let node_of = &graph.nodes[node];
    let class = node_of.class.to_ascii_lowercase();
    let has_seed = node_of.has(SEEDS) || node_of.has(&["noise", "add_noise"]);
    let has_way = node_of.has(&[
        "steps",
        "cfg",
        "cfg_scale",
        "sigmas",
        "sampler_name",
        "sampler",
        "guider",
        "denoise",
    ]);
    let is_told = node_of.inputs.iter().any(|input| {
        let of_text = kind(&input.name) == Kind::Text
            && (side(&input.name).is_some() || input.name.contains("cond"));
        of_text
            || kind(&input.name) == Kind::Pipe
            || input.name.contains("embeds")
            || input.name.contains("guider")
    });
    // A service that is given a prompt and gives a picture.
    let has_prompt = node_of.has(&["prompt", "text", "positive_prompt"]) && !class.contains("text");
    let saves = node_of.has(&["filename_prefix", "filename"]) || class.contains("save");
    (has_seed && ((has_way && is_told) || has_prompt) && !saves)
        || (class.contains("ksampler") && held(graph, node) >= 3)
}

/// Whether a sampler goes on with a picture's noise that another one left.
fn continues(graph: &Graph, node: usize) -> bool {
    let value = graph.nodes[node].get(&["add_noise"]);
    value.is_some_and(|value| {
        value == &serde_json::Value::Bool(false) || value.as_str() == Some("disable")
    })
}
