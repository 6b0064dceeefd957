//! Numbers and names that lead into a sampler: its seed, steps, guidance, sampler and schedule.
//!
//! In: a graph, a node and the names that a thing goes by. Out: [`Found`]: the value and the node
//! that holds it. Promises: a value that nodes compute is none rather than a wrong one; every walk
//! ends.

use std::collections::{HashSet, VecDeque};

use serde_json::Value;

use super::graph::{Graph, Link, MOST_DEPTH};
use super::names::{Kind, kind};
use super::sampler::is_sampler;

/// The most nodes that a value is looked for in.
const MOST_NODES: usize = 10_000;

/// A value and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Found<'g> {
    pub(super) value: &'g Value,
    pub(super) node: usize,
}

/// What a node calls the only thing that it gives.
const GIVEN: [&str; 18] = [
    "value",
    "seed",
    "noise_seed",
    "int",
    "float",
    "number",
    "integer",
    "string",
    "text",
    "val",
    "constant",
    "int_value",
    "float_value",
    "seed_value",
    "int_",
    "float_",
    "any",
    "input",
];

/// The value of the first of some names that `node` has, also if another node gives it.
pub(super) fn own<'g>(graph: &'g Graph, node: usize, names: &[&str]) -> Option<Found<'g>> {
    names.iter().find_map(|name| resolved(graph, node, graph.nodes[node].get(&[name])?, names))
}

/// Follows a value to the node that holds it.
pub(super) fn resolved<'g>(
    graph: &'g Graph,
    node: usize,
    value: &'g Value,
    names: &[&str],
) -> Option<Found<'g>> {
    let (mut node, mut value) = (node, value);
    for _ in 0..MOST_DEPTH {
        let Some(link) = graph.link(value) else {
            return held(value).then_some(Found { value, node });
        };
        value = given(graph, link, names)?;
        node = link.node;
    }
    None
}

/// Whether a value is one, and no list or nothing.
fn held(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.trim().is_empty(),
        Value::Number(_) | Value::Bool(_) => true,
        Value::Object(object) => object.contains_key("content") || object.contains_key("value"),
        _ => false,
    }
}

/// What a node gives at an output.
fn given<'g>(graph: &'g Graph, link: Link, names: &[&str]) -> Option<&'g Value> {
    let node = &graph.nodes[link.node];
    if let Some(output) = graph.output(link)
        && let Some(value) = node.get(&[output]).or_else(|| node.get(names))
    {
        return Some(value);
    }
    let chosen = graph.chosen(link.node);
    let links: Vec<_> = chosen.iter().filter(|input| graph.link(&input.value).is_some()).collect();
    if chosen.len() < node.inputs.len() {
        return chosen.first().map(|input| &input.value);
    }
    if let Some(value) = node.get(names).or_else(|| node.get(&GIVEN)) {
        return Some(value);
    }
    match links.as_slice() {
        [one]
            if chosen.len() == 1
                || kind(&one.name) == Kind::Pipe
                || kind(&one.name) == Kind::Any && is_plain(&node.class) =>
        {
            Some(&one.value)
        }
        [_, _, ..] => {
            links.iter().find(|input| kind(&input.name) == Kind::Pipe).map(|input| &input.value)
        }
        [] if chosen.len() == 1 && !chosen[0].name.contains("name") => {
            chosen.first().map(|input| &input.value)
        }
        _ => None,
    }
}

/// Whether a node passes on what it gets, by its class.
fn is_plain(class: &str) -> bool {
    let class = class.to_ascii_lowercase();
    ["reroute", "show", "display", "preview", "pass", "any", "get", "set"]
        .iter()
        .any(|word| class.contains(word))
}

/// The value that is nearest to `from`: its own, one by the inputs `first`, or one by any input
/// that may bring settings.
pub(super) fn nearest<'g>(
    graph: &'g Graph,
    from: usize,
    first: &[&str],
    names: &[&str],
) -> Option<Found<'g>> {
    own(graph, from, names)
        .or_else(|| upstream(graph, from, names, |name| first.contains(&name)))
        .or_else(|| upstream(graph, from, names, brings_settings))
}

fn brings_settings(name: &str) -> bool {
    matches!(kind(name), Kind::Pipe | Kind::Any)
}

/// The first of the nodes that lead into `from`, nearest first, that holds a value of these names.
fn upstream<'g>(
    graph: &'g Graph,
    from: usize,
    names: &[&str],
    follows: impl Fn(&str) -> bool,
) -> Option<Found<'g>> {
    let (mut seen, mut queue) = (HashSet::from([from]), VecDeque::from([from]));
    while let Some(node) = queue.pop_front().filter(|_| seen.len() < MOST_NODES) {
        for link in graph.links(node, &follows) {
            if !seen.insert(link.node) {
                continue;
            }
            if let Some(found) = own(graph, link.node, names) {
                return Some(found);
            }
            // Another sampler's settings are its own.
            if !is_sampler(graph, link.node) || kind_is_provider(graph, link.node) {
                queue.push_back(link.node);
            }
        }
    }
    None
}

fn kind_is_provider(graph: &Graph, node: usize) -> bool {
    graph.nodes[node].class.to_ascii_lowercase().contains("provider")
}
