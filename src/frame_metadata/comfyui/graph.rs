//! A graph of nodes: what leads into what.
//!
//! In: the object `prompt` that was run, and what the object `workflow` says about the outputs of
//! its nodes. Out: [`Graph`]. Promises: a link to a node that is not there is no link; every walk
//! ends.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::names::{number_at_end, plain};

/// The longest way that is followed.
pub(super) const MOST_DEPTH: usize = 100;
/// The most inputs of a node that are looked at; real nodes have some dozens.
const MOST_INPUTS: usize = 500;

/// A graph as it is run: nodes by their ids, in the order of the file.
#[derive(Default)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    places: HashMap<String, usize>,
}

/// A node, with the names of its inputs and its class in lower case.
pub(super) struct Node {
    pub(super) id: String,
    pub(super) class: String,
    pub(super) inputs: Vec<Input>,
    /// The plain names of its outputs, if the drawn graph tells them.
    pub(super) outputs: Vec<String>,
}

/// An input of a node.
pub(super) struct Input {
    /// As [`plain`] makes it.
    pub(super) name: String,
    pub(super) value: Value,
}

/// Another node's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Link {
    pub(super) node: usize,
    pub(super) slot: u64,
}

impl Node {
    /// The value of the first of some names that it has.
    pub(super) fn get(&self, names: &[&str]) -> Option<&Value> {
        names
            .iter()
            .find_map(|name| self.inputs.iter().find(|input| input.name == *name))
            .map(|input| &input.value)
    }

    pub(super) fn has(&self, names: &[&str]) -> bool {
        self.get(names).is_some()
    }

    /// What a record calls it: `3 KSampler`.
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.id, self.class)
    }
}

impl Graph {
    pub(super) fn of_run(object: &Map<String, Value>) -> Self {
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

    pub(super) fn add(&mut self, id: String, class: String, inputs: Map<String, Value>) {
        let inputs = inputs.into_iter().take(MOST_INPUTS);
        let inputs = inputs.map(|(name, value)| Input { name: plain(&name), value }).collect();
        self.places.insert(id.clone(), self.nodes.len());
        self.nodes.push(Node { id, class, inputs, outputs: Vec::new() });
    }

    /// Takes the names of outputs from the graph that was drawn.
    pub(super) fn name_outputs(&mut self, workflow: &Map<String, Value>) {
        for node in workflow.get("nodes").and_then(Value::as_array).into_iter().flatten() {
            let place = node.get("id").and_then(|id| self.places.get(&id.to_string()));
            if let Some(&place) = place
                && node.get("type").and_then(Value::as_str) == Some(&self.nodes[place].class)
            {
                let outputs = node.get("outputs").and_then(Value::as_array).into_iter().flatten();
                let names = outputs
                    .map(|output| output.get("name").and_then(Value::as_str).unwrap_or_default());
                self.nodes[place].outputs = names.map(plain).collect();
            }
        }
    }

    /// `["4", 0]`: the output 0 of node 4. `None` of a value that is no link, or to a node that is
    /// not there.
    pub(super) fn link(&self, value: &Value) -> Option<Link> {
        let [id, slot] = value.as_array()?.as_slice() else { return None };
        let node = match id {
            Value::String(id) => self.places.get(id),
            Value::Number(id) => self.places.get(&id.to_string()),
            _ => None,
        };
        Some(Link { node: *node?, slot: slot.as_u64()? })
    }

    /// The links into a node that some names of inputs bring, in their order.
    pub(super) fn links(&self, node: usize, wanted: impl Fn(&str) -> bool) -> Vec<Link> {
        let inputs = self.nodes[node].inputs.iter().filter(|input| wanted(&input.name));
        inputs.filter_map(|input| self.link(&input.value)).collect()
    }

    /// The plain name of an output, if it is known.
    pub(super) fn output(&self, link: Link) -> Option<&str> {
        self.nodes[link.node]
            .outputs
            .get(link.slot as usize)
            .map(String::as_str)
            .filter(|name| !name.is_empty())
    }

    /// The inputs that a node passes on: those that its switch chooses, else all of them.
    pub(super) fn chosen(&self, node: usize) -> Vec<&Input> {
        let node = &self.nodes[node];
        let all: Vec<&Input> = node.inputs.iter().collect();
        let linked = |input: &&Input| self.link(&input.value).is_some();
        // `on_true` and `on_false`, by a yes or no.
        let says = |name: &str, yes: bool| {
            let words: &[&str] = if yes { &["true", "yes"] } else { &["false", "no"] };
            name.rsplit('_').next().is_some_and(|last| words.contains(&last))
        };
        if all.iter().any(|input| says(&input.name, true))
            && all.iter().any(|input| says(&input.name, false))
        {
            let by = node.get(&[
                "switch",
                "boolean",
                "bool",
                "condition",
                "boolean_value",
                "enabled",
                "value",
                "toggle",
            ]);
            let chosen = by.and_then(|value| self.truth(value, 0));
            let may_be = |yes: bool| chosen.is_none_or(|chosen| chosen == yes);
            let is_passed =
                |name: &str| says(name, true) && may_be(true) || says(name, false) && may_be(false);
            return all.into_iter().filter(|input| is_passed(&input.name)).collect();
        }
        // `input1`, `input2`, by a number.
        let numbered: Vec<&Input> = all
            .iter()
            .copied()
            .filter(|input| number_at_end(&input.name).is_some() && linked(input))
            .collect();
        let by = node.get(&[
            "select",
            "input",
            "index",
            "switch",
            "selected",
            "choice",
            "which",
            "select_input",
        ]);
        if let Some(number) = by.and_then(|value| self.whole(value, 0))
            && !numbered.is_empty()
        {
            let by_name =
                numbered.iter().copied().find(|input| number_at_end(&input.name) == Some(number));
            if let Some(one) = by_name {
                return vec![one];
            }
        }
        // The first of several that is there, as rgthree's switches have it.
        let class = node.class.to_ascii_lowercase();
        if class.contains("switch")
            && class.contains("any")
            && let Some(first) = numbered.first()
        {
            return vec![first];
        }
        all
    }

    /// A yes or no, also where another node gives it.
    fn truth(&self, value: &Value, depth: usize) -> Option<bool> {
        match value {
            Value::Bool(yes) => Some(*yes),
            Value::Number(number) => number.as_f64().map(|number| number != 0.0),
            Value::String(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "enable" | "enabled" => Some(true),
                "false" | "no" | "off" | "disable" | "disabled" => Some(false),
                _ => None,
            },
            value => {
                let link = self.link(value).filter(|_| depth < MOST_DEPTH)?;
                let given = self.nodes[link.node]
                    .get(&["value", "boolean", "bool", "switch", "toggle", "input"])?;
                self.truth(given, depth + 1)
            }
        }
    }

    /// A whole number, also where another node gives it.
    fn whole(&self, value: &Value, depth: usize) -> Option<u64> {
        if let Some(link) = self.link(value) {
            let link = Some(link).filter(|_| depth < MOST_DEPTH)?;
            let given =
                self.nodes[link.node].get(&["value", "int", "number", "integer", "index"])?;
            return self.whole(given, depth + 1);
        }
        value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
    }
}
