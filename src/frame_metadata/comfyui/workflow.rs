//! The graph that was drawn, made into one that can be run.
//!
//! In: `workflow`: nodes with the values of their widgets in a list, links by number, and
//! subgraphs. Out: a [`Graph`]. Promises: a best effort: the names of a list's values are written
//! only by newer versions, and known here only of the nodes that most graphs have; subgraphs in
//! subgraphs end.
//!
//! Source: <https://docs.comfy.org/specs/workflow_json>.

use std::collections::HashMap;
use std::rc::Rc;

use serde_json::{Map, Value};

use super::graph::{Graph, Input};
use super::widgets::widgets;

/// Nodes that are switched off or passed by (`LGraphEventMode` NEVER and BYPASS).
const OFF: [u64; 2] = [2, 4];
/// How deep subgraphs lie in subgraphs, at most.
const DEEPEST: usize = 8;
/// The most nodes that are read.
const MOST_NODES: usize = 20_000;

pub(super) fn graph(workflow: &Map<String, Value>) -> Graph {
    let definitions = workflow.get("definitions").and_then(|all| all.get("subgraphs"));
    let definitions = definitions.and_then(Value::as_array).into_iter().flatten();
    let definitions = definitions
        .filter_map(|one| Some((one.get("id")?.as_str()?, Rc::new(Part::of(one.as_object()?)))))
        .collect();
    let mut made = Made {
        graph: Graph::default(),
        definitions,
        set: HashMap::new(),
        got: Vec::new(),
        left: MOST_NODES,
    };
    made.level(
        &Level { prefix: String::new(), part: Rc::new(Part::of(workflow)), within: None },
        0,
    );
    let Made { mut graph, set, got, .. } = made;
    for (place, name) in got {
        if let Some(source) = set.get(&name) {
            let value = source.clone();
            graph.nodes[place].inputs.push(Input { name: "any".to_owned(), value });
        }
    }
    graph
}

/// A workflow, or a subgraph that nodes of it may stand for.
struct Part<'w> {
    of: &'w Map<String, Value>,
    nodes: HashMap<String, &'w Value>,
    /// Of each link, by its number, the node and output that it comes from.
    links: HashMap<u64, (String, u64)>,
    /// Of each output of a subgraph the link that leads to it.
    outputs: HashMap<u64, u64>,
}

/// What stands for the inputs of a subgraph within it.
const INPUTS: &str = "-10";
/// What stands for its outputs.
const OUTPUTS: i64 = -20;

impl<'w> Part<'w> {
    fn of(of: &'w Map<String, Value>) -> Self {
        let list = |name: &str| of.get(name).and_then(Value::as_array).into_iter().flatten();
        let (mut links, mut outputs) = (HashMap::new(), HashMap::new());
        for link in list("links") {
            // [id, from node, from output, to node, to input, type], in subgraphs an object
            let part = |place: usize, name: &str| link.get(place).or_else(|| link.get(name));
            let number = |place, name| part(place, name).and_then(Value::as_u64);
            let (Some(id), Some(from)) = (number(0, "id"), part(1, "origin_id")) else { continue };
            links.insert(id, (plain_id(from), number(2, "origin_slot").unwrap_or_default()));
            let to = part(3, "target_id").and_then(Value::as_i64);
            if let Some(slot) = number(4, "target_slot").filter(|_| to == Some(OUTPUTS)) {
                outputs.insert(slot, id);
            }
        }
        let nodes = list("nodes").filter_map(|node| Some((plain_id(node.get("id")?), node)));
        Self { of, nodes: nodes.collect(), links, outputs }
    }
}

fn plain_id(id: &Value) -> String {
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}

/// A part where a node stands for it.
struct Level<'l, 'w> {
    prefix: String,
    part: Rc<Part<'w>>,
    /// The level that it is in, and the node there that stands for it.
    within: Option<(&'l Level<'l, 'w>, &'w Value)>,
}

struct Made<'w> {
    graph: Graph,
    definitions: HashMap<&'w str, Rc<Part<'w>>>,
    /// What was put away under a name.
    set: HashMap<String, Value>,
    /// The nodes that take something out again, and its name.
    got: Vec<(usize, String)>,
    /// How many more nodes are looked at.
    left: usize,
}

/// The value that a node which stands for a subgraph has of its own for an input: its widgets are
/// those inputs that have one, in their order.
fn own_value(node: &Value, inputs: &[Value], place: usize) -> Option<Value> {
    let has_widget = |input: &&Value| input.get("widget").is_some();
    has_widget(&inputs.get(place)?).then_some(())?;
    let values = node.get("widgets_values")?.as_array()?;
    let before = inputs[..place].iter().filter(has_widget).count();
    let is_whole = inputs.iter().filter(has_widget).count() == values.len();
    values.get(before).filter(|value| is_whole && !value.is_array()).cloned()
}

impl<'w> Made<'w> {
    fn level(&mut self, level: &Level<'_, 'w>, depth: usize) {
        for node in level.part.of.get("nodes").and_then(Value::as_array).into_iter().flatten() {
            let class = node.get("type").and_then(Value::as_str);
            let (Some(id), Some(class)) = (node.get("id"), class) else { continue };
            let Some(left) = self.left.checked_sub(1) else { return };
            self.left = left;
            let mode = node.get("mode").and_then(Value::as_u64);
            let is_off = mode.is_some_and(|mode| OFF.contains(&mode));
            let inner = self.definitions.get(class).filter(|_| depth < DEEPEST && !is_off).cloned();
            if let Some(part) = inner {
                let prefix = format!("{}{}:", level.prefix, plain_id(id));
                self.level(&Level { prefix, part, within: Some((level, node)) }, depth + 1);
                continue;
            }
            let mut inputs = widgets(class, node);
            for input in node.get("inputs").and_then(Value::as_array).into_iter().flatten() {
                let name = input.get("name").and_then(Value::as_str);
                let link = input.get("link").and_then(Value::as_u64);
                // What leads into a widget counts and not what the widget shows.
                if let (Some(name), Some(source)) =
                    (name, link.and_then(|link| self.source(level, link, 0)))
                {
                    inputs.insert(name.to_owned(), source);
                }
            }
            if is_off {
                // It still leads on to what is before it, but samples and says nothing.
                inputs.retain(|_, value| value.is_array());
            }
            self.put_away(class, node, &mut inputs);
            let class = if is_off { String::new() } else { class.to_owned() };
            self.graph.add(format!("{}{}", level.prefix, plain_id(id)), class, inputs);
        }
    }

    /// Nodes that put something away under a name, and take it out elsewhere.
    fn put_away(&mut self, class: &str, node: &Value, inputs: &mut Map<String, Value>) {
        let name = node.get("widgets_values").and_then(|values| values.get(0)?.as_str());
        let Some(name) = name.map(str::to_owned) else { return };
        if class.starts_with("SetNode") {
            if let Some(source) = inputs.values().find(|value| value.is_array()) {
                self.set.insert(name, source.clone());
            }
        } else if class.starts_with("GetNode") {
            self.got.push((self.graph.nodes.len(), name));
            inputs.clear();
        }
    }

    /// Where a link comes from, through the borders of subgraphs.
    fn source(&self, level: &Level<'_, 'w>, link: u64, depth: usize) -> Option<Value> {
        let (from, output) = level.part.links.get(&link)?;
        if depth > DEEPEST * 4 {
            return None;
        }
        if from == INPUTS {
            let (outer, node) = level.within?;
            let name = level.part.of.get("inputs")?.get(*output as usize)?.get("name");
            let inputs = node.get("inputs")?.as_array()?;
            let named = inputs.iter().position(|input| input.get("name") == name);
            let place = named.unwrap_or(*output as usize);
            return match inputs.get(place)?.get("link").and_then(Value::as_u64) {
                Some(link) => self.source(outer, link, depth + 1),
                None => own_value(node, inputs, place),
            };
        }
        let node = *level.part.nodes.get(from)?;
        let class = node.get("type").and_then(Value::as_str);
        let Some(part) = class.and_then(|class| self.definitions.get(class)) else {
            let id = format!("{}{from}", level.prefix);
            return Some(Value::Array(vec![id.into(), (*output).into()]));
        };
        let link = *part.outputs.get(output)?;
        let prefix = format!("{}{from}:", level.prefix);
        let inner = Level { prefix, part: Rc::clone(part), within: Some((level, node)) };
        self.source(&inner, link, depth + 1)
    }
}
