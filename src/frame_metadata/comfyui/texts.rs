//! The texts that lead into a sampler.
//!
//! In: a graph, a node and which of the two prompts is looked for. Out: the texts, in the order of
//! the inputs, each with the node that holds it. Promises: a text that is asked of a language model
//! counts and not the instruction for it; a node that is not known is passed through by the names
//! of its inputs; every walk ends.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::graph::{Graph, Input, Link, MOST_DEPTH, Node};
use super::names::{Kind, Side, has_word, kind, side};
use super::sampler::is_sampler;
use super::wording::{is_instruction, prompt_of};

/// The most nodes that a prompt is put together from.
const MOST_NODES: usize = 1000;
/// More bytes than [`MOST_PROMPT`](crate::frame_metadata::MOST_PROMPT) characters have in any
/// script.
const MOST_BYTES: usize = crate::frame_metadata::MOST_PROMPT * 4 + 4;

/// A text and the node that holds it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) node: usize,
}

/// A way from a sampler to the texts that lead into it.
#[allow(clippy::struct_excessive_bools)] // each is a fact of its own about the way
pub(super) struct Texts<'g> {
    graph: &'g Graph,
    side: Side,
    /// Whether an input that says its side was passed: before that, a text without a side is the
    /// prompt.
    decided: bool,
    path: Vec<usize>,
    /// What each node gave: texts lead into many nodes.
    known: HashMap<(Link, Side, bool), Vec<Piece>>,
    /// The node nearest to the sampler that has a guidance.
    pub(super) guided: Option<usize>,
    /// Whether a text was reached, an empty one too.
    pub(super) is_reached: bool,
    /// Whether a part of the text is known only when the graph runs.
    pub(super) is_made: bool,
    /// Whether a language model writes a part of it.
    is_of_a_model: bool,
    pub(super) notes: Vec<String>,
}

impl<'g> Texts<'g> {
    pub(super) fn new(graph: &'g Graph, side: Side) -> Self {
        Self {
            graph,
            side,
            decided: false,
            path: Vec::new(),
            known: HashMap::new(),
            guided: None,
            is_reached: false,
            is_made: false,
            is_of_a_model: false,
            notes: Vec::new(),
        }
    }

    /// The texts that lead into a node.
    pub(super) fn of(&mut self, node: usize) -> Vec<Piece> {
        self.path.clear();
        self.of_node(Link { node, slot: u64::MAX })
    }

    fn of_link(&mut self, link: Link, by_pipe: bool) -> Vec<Piece> {
        if self.path.contains(&link.node) {
            self.notes.push("the graph goes round".to_owned());
            return Vec::new();
        }
        if self.path.len() >= MOST_DEPTH || self.known.len() >= MOST_NODES {
            self.notes.push("the graph is too large to follow".to_owned());
            return Vec::new();
        }
        let side = self.side;
        // A pipe brings both, so that its place among the outputs says nothing.
        self.side = if by_pipe { side } else { self.side_of_output(link) };
        let key = (link, self.side, self.decided);
        let known = self.known.get(&key).cloned();
        let found = known.unwrap_or_else(|| {
            let found = self.of_node(link);
            self.known.insert(key, found.clone());
            found
        });
        self.side = side;
        found
    }

    /// A node with both conditionings as inputs gives the positive one first.
    fn side_of_output(&self, link: Link) -> Side {
        let node = &self.graph.nodes[link.node];
        let is_linked = |side_of: Side| {
            let mut inputs = node.inputs.iter();
            inputs.any(|input| {
                side(&input.name) == Some(side_of) && self.graph.link(&input.value).is_some()
            })
        };
        // A loader gives its model first.
        if !self.decided
            || !is_linked(Side::Positive)
            || !is_linked(Side::Negative)
            || node.has(&["ckpt_name"])
        {
            return self.side;
        }
        match (self.graph.output(link).and_then(side), link.slot) {
            (Some(side), _) => side,
            (None, 0) => Side::Positive,
            (None, 1) => Side::Negative,
            _ => self.side,
        }
    }

    fn of_node(&mut self, link: Link) -> Vec<Piece> {
        let node = &self.graph.nodes[link.node];
        let class = node.class.to_ascii_lowercase();
        // Its conditioning is made to say nothing.
        if class.contains("zeroout") {
            return Vec::new();
        }
        if self.guided.is_none() && node.has(&["guidance"]) {
            self.guided = Some(link.node);
        }
        self.path.push(link.node);
        let chosen = self.graph.chosen(link.node);
        let found = self.in_order(link, node, &chosen);
        self.path.pop();
        distinct(self.formed(link.node, &class, found))
    }

    /// The texts by the inputs that say most about them.
    fn in_order(&mut self, link: Link, node: &Node, chosen: &[&Input]) -> Vec<Piece> {
        let other = |input: &&&Input| side(&input.name).is_some_and(|side| side != self.side);
        let inputs: Vec<&Input> = chosen.iter().filter(|input| !other(input)).copied().collect();
        let of_text: Vec<&Input> = inputs
            .iter()
            .copied()
            .filter(|input| kind(&input.name) == Kind::Text && is_text(node, input))
            .collect();
        // What is asked for goes by the same name on the other side of a pipe.
        let same = self
            .graph
            .output(link)
            .map(|output| of_text.iter().copied().filter(move |input| input.name == output));
        let same: Vec<&Input> = same.into_iter().flatten().collect();
        let found = self.of_inputs(link.node, &same);
        if !found.is_empty() {
            return found;
        }
        let decided = self.decided;
        let mut sided: Vec<&Input> =
            of_text.iter().copied().filter(|input| side(&input.name).is_some()).collect();
        let is_first =
            |input: &&Input| !has_word(&input.name, "refiner") && !input.name.contains("ascore");
        if sided.iter().any(is_first) {
            sided.retain(is_first);
        }
        self.decided = true;
        let found = self.of_inputs(link.node, &sided);
        self.decided = decided;
        if !found.is_empty() {
            return found;
        }
        // A guider without sides has the prompt only.
        let has_side = sided.is_empty() && chosen.iter().any(|input| side(&input.name).is_some());
        let may_be = self.decided || (self.side == Side::Positive || !has_side);
        if may_be && (sided.is_empty() || is_sampler(self.graph, link.node) || self.decided) {
            let mut plain: Vec<&Input> =
                of_text.iter().copied().filter(|input| side(&input.name).is_none()).collect();
            // What is not wanted must say so, here or farther back.
            if self.side == Side::Negative && !self.decided {
                plain.retain(|input| self.graph.link(&input.value).is_some());
            } else {
                self.decided = true;
            }
            let found = self.of_inputs(link.node, &plain);
            self.decided = decided;
            if !found.is_empty() {
                return found;
            }
        }
        let any = |input: &&Input| match kind(&input.name) {
            Kind::Pipe => true,
            Kind::Any => {
                self.graph.link(&input.value).is_some() || self.decided && is_given(&input.name)
            }
            _ => false,
        };
        let any: Vec<&Input> = inputs.iter().copied().filter(any).collect();
        self.of_inputs(link.node, &any)
    }

    fn of_inputs(&mut self, node: usize, inputs: &[&Input]) -> Vec<Piece> {
        let mut found = Vec::new();
        for input in inputs {
            match &input.value {
                Value::String(text) => {
                    self.is_reached = true;
                    found.push(Piece { text: text.clone(), node });
                }
                value => {
                    if let Some(link) = self.graph.link(value) {
                        found.extend(self.of_link(link, kind(&input.name) == Kind::Pipe));
                    } else {
                        let texts = boxed(value).into_iter();
                        found.extend(texts.map(|text| Piece { text: text.to_owned(), node }));
                    }
                }
            }
        }
        found.retain(|piece| !piece.text.trim().is_empty());
        found
    }

    /// What the node at a place makes of the texts that it gets.
    fn formed(&mut self, at: usize, class: &str, mut found: Vec<Piece>) -> Vec<Piece> {
        let node = &self.graph.nodes[at];
        for piece in &mut found {
            if let Some(prompt) = prompt_of(&piece.text) {
                piece.text = prompt.to_owned();
            }
        }
        if is_language_model(class) {
            (self.is_made, self.is_of_a_model) = (true, true);
            // Without the instruction for the model, what was asked of it says what the picture
            // shows.
            found.retain(|piece| !is_instruction(&piece.text));
            return found;
        }
        // A template that is filled in as the graph runs.
        let is_filled = |piece: &Piece| {
            piece.text.contains("__") || piece.text.contains('{') && piece.text.contains('|')
        };
        self.is_made |= found.iter().any(is_filled);
        if class.contains("random")
            && class.contains("line")
            && found.iter().any(|piece| piece.text.trim().contains('\n'))
        {
            self.is_made = true;
            self.notes.push("a line of the prompt was drawn at random and is not known".to_owned());
            return Vec::new();
        }
        // What a node showed last time (`text_0`) is of an earlier picture.
        let shows = ["show", "display", "preview"].iter().any(|word| class.contains(word));
        if shows && !self.is_of_a_model && found.iter().any(|piece| piece.node != at) {
            found.retain(|piece| piece.node != at);
        }
        let text_of = |names: &[&str]| node.get(names).and_then(Value::as_str);
        if class.contains("replace")
            && !class.contains("regex")
            && let (Some(old), Some(new)) =
                (text_of(&["find", "old", "search"]), text_of(&["replace", "new", "replacement"]))
            && !old.is_empty()
        {
            for piece in &mut found {
                piece.text = piece.text.replace(old, new);
            }
        }
        if let Some(between) = text_of(&["delimiter", "separator", "delimiter_string"])
            && found.len() > 1
            && !self.asks_a_model()
        {
            let between = between.replace("\\n", "\n");
            let first = found[0].node;
            let all: Vec<String> = found.into_iter().map(|piece| piece.text).collect();
            return vec![Piece { text: all.join(&between), node: first }];
        }
        found
    }

    /// Whether what is being read goes to a language model: its parts stay apart, so that the
    /// instruction among them can be told.
    fn asks_a_model(&self) -> bool {
        self.path
            .iter()
            .any(|&node| is_language_model(&self.graph.nodes[node].class.to_ascii_lowercase()))
    }
}

/// The texts in a value that is no link: some boxes keep a text with its weight or its state, a
/// list is kept in `__value__`.
fn boxed(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(object) => {
            let names = ["content", "text", "value", "prompt", "__value__"];
            let text = names.iter().find_map(|name| match object.get(*name)? {
                Value::String(text) => Some(vec![text.as_str()]),
                list => Some(boxed(list)).filter(|_| list.is_array()),
            });
            text.unwrap_or_default()
        }
        Value::Array(list) if list.iter().all(Value::is_string) => {
            list.iter().filter_map(Value::as_str).collect()
        }
        _ => Vec::new(),
    }
}

/// Nodes that write a text of another one.
fn is_language_model(class: &str) -> bool {
    const WORDS: [&str; 19] = [
        "textgenerate",
        "llm",
        "gpt",
        "ollama",
        "promptgen",
        "promptenhance",
        "prompt enhance",
        "enhancer",
        "gemini",
        "claude",
        "openrouter",
        "magicprompt",
        "magic prompt",
        "groq",
        "deepseek",
        "mistral",
        "qwenvl",
        "joycaption",
        "florence",
    ];
    let image = class.contains("image") && !class.contains("vision");
    !image && WORDS.iter().any(|word| class.contains(word))
}

/// Names that a text may be given under by a node of which nothing else is known.
fn is_given(name: &str) -> bool {
    ["value", "val", "content", "input", "anything", "any", "result", "output"].contains(&name)
}

/// Whether an input of the kind is a text of the prompt, and not how it is treated.
fn is_text(node: &Node, input: &Input) -> bool {
    const NOT: [&str; 33] = [
        "mode",
        "method",
        "type",
        "format",
        "parser",
        "interpretation",
        "normalization",
        "weight",
        "strength",
        "scale",
        "delimiter",
        "separator",
        "preset",
        "template",
        "path",
        "file",
        "language",
        "device",
        "font",
        "color",
        "title",
        "id",
        "search",
        "find",
        "replace",
        "count",
        "system",
        "instruction",
        "encoder",
        "switch",
        "ascore",
        "score",
        "select",
    ];
    let name = input.name.as_str();
    // Cutoff's words are of a prompt that stands elsewhere.
    if ["region_text", "target_text", "mask_token"].contains(&name) {
        return false;
    }
    if name.starts_with("wildcard") && node.has(&["populated_text"]) {
        return false;
    }
    if input.value.is_string()
        && (name == "style" || name.ends_with("style_name") || name.ends_with("styles"))
    {
        return false;
    }
    !NOT.iter().any(|word| has_word(name, word))
}

/// The texts that say something, each once (both encoders of SDXL mostly get the same), and no more
/// than is kept of a prompt: nodes that join what they get double it.
fn distinct(pieces: Vec<Piece>) -> Vec<Piece> {
    let (mut seen, mut bytes) = (HashSet::new(), 0);
    let mut keep = |piece: &Piece| {
        bytes += piece.text.len();
        bytes <= MOST_BYTES && seen.insert(piece.text.trim().to_owned())
    };
    pieces.into_iter().filter(|piece| keep(piece)).collect()
}
