//! What a server can do, found out by one try.
//!
//! In: a picture of the run's largest budget. Out: whether the budget can be set, how answers are
//! held to a list of boxes, whether probabilities come, how many soft tokens the picture became.
//! Promises: what is refused is left out one thing after another, so that what is left is known to
//! work; nothing is guessed from a version.

use serde_json::Value;

use super::{Ask, AskError, BoxList, Look, Picture, Server, ServerError, ServerKind};
use crate::record::Sampling;

/// How answers are held to a list of boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Constraint {
    /// By a grammar, in the model's own white space.
    Grammar,
    /// By a JSON schema, in any white space.
    Schema,
}

impl Constraint {
    /// Its name in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grammar => "grammar",
            Self::Schema => "json_schema",
        }
    }
}

/// What a picture became on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looked {
    /// Soft tokens of its size.
    pub planned: u32,
    /// Soft tokens by the server's figures.
    pub seen: u32,
}

/// What a server can do.
#[derive(Debug, Clone)]
pub struct Ability {
    /// Whether each request can set the budget of its pictures.
    pub budget: bool,
    /// How answers are held to a list of boxes; `None` if they are not.
    pub constraint: Option<Constraint>,
    /// Whether it gives probabilities of tokens.
    pub probabilities: bool,
    /// What the picture became, where the server's figures say it.
    pub looked: Option<Looked>,
    /// What the server calls its state.
    pub fingerprint: Option<String>,
    /// What it refused, in its own words.
    pub refused: Vec<(&'static str, String)>,
}

/// What is refused is called so in [`Ability::refused`].
pub(super) const BUDGET: &str = "budget";
pub(super) const CONSTRAINT: &str = "constraint";
pub(super) const PROBABILITIES: &str = "probabilities";

impl Default for Ability {
    /// Nothing is known, and nothing is sent that a server may not know.
    fn default() -> Self {
        Self {
            budget: false,
            constraint: None,
            probabilities: false,
            looked: None,
            fingerprint: None,
            refused: Vec::new(),
        }
    }
}

impl Ability {
    /// Everything that a kind may be able to do.
    fn most_of(kind: ServerKind) -> Self {
        let constraint = match kind {
            ServerKind::Vllm | ServerKind::Llama => Constraint::Grammar,
            ServerKind::Ollama | ServerKind::OpenAi => Constraint::Schema,
        };
        Self { budget: kind == ServerKind::Vllm, constraint: Some(constraint), probabilities: true, ..Self::default() }
    }

    /// Why it was refused.
    pub fn reason(&self, what: &str) -> Option<&str> {
        self.refused.iter().find(|(refused, _)| *refused == what).map(|(_, reason)| reason.as_str())
    }

    /// Leaves out what a server's refusal is about, else the next thing that a server may not know; false
    /// if nothing is left.
    fn leave_out(&mut self, reason: &str, kind: ServerKind) -> bool {
        let about = reason.to_ascii_lowercase();
        let names = |words: &[&str]| words.iter().any(|word| about.contains(word));
        let of_budget = names(&["mm_processor_kwargs", "mm-kwargs", "max_soft_tokens"]);
        let of_probabilities = names(&["logprob"]);
        let of_constraint = names(&["grammar", "structured", "response_format", "schema", "xgrammar"]);
        let any = !of_budget && !of_probabilities && !of_constraint;
        let reason = reason.to_owned();
        if self.budget && (of_budget || any) {
            self.budget = false;
            self.refused.push((BUDGET, reason));
            return true;
        }
        if let Some(constraint) = self.constraint.filter(|_| of_constraint || any) {
            let schema = matches!(kind, ServerKind::Vllm | ServerKind::Llama) && constraint == Constraint::Grammar;
            self.constraint = schema.then_some(Constraint::Schema);
            self.refused.push((CONSTRAINT, reason));
            return true;
        }
        if self.probabilities && (of_probabilities || any) {
            self.probabilities = false;
            self.refused.push((PROBABILITIES, reason));
            return true;
        }
        false
    }
}

/// The question of the try. No answer to it is read.
const QUESTION: &str = "detect shape";

impl Server {
    /// Shows it a picture of `planned` soft tokens under `budget`, and keeps what it can do.
    ///
    /// # Errors
    /// [`ServerError`] if it has no answer, whatever is left out.
    pub fn try_out(&mut self, picture: &Picture, budget: u32, planned: u32) -> Result<(), ServerError> {
        self.ability = Ability::most_of(self.kind);
        let form = BoxList { labels: Some(vec!["shape".to_owned()]), most: 300 };
        let ask = Ask {
            system: None,
            thinking: false,
            pictures: std::slice::from_ref(picture),
            text: QUESTION,
            max_tokens: 2,
            sampling: Sampling::Greedy,
            form: Some(&form),
            look: Look::Answer,
            budget,
        };
        let reply = loop {
            match self.ask(&ask, &|| false) {
                Ok(reply) => break reply,
                Err(AskError::View(reason)) => {
                    if !self.ability.leave_out(&reason, self.kind) {
                        return Err(ServerError::Refused(reason));
                    }
                }
                Err(error) => return Err(ServerError::Unanswered(error.to_string())),
            }
        };
        if self.ability.probabilities && reply.first.is_none() {
            self.ability.probabilities = false;
            self.ability.refused.push((PROBABILITIES, "none came, though they were asked for".to_owned()));
        }
        self.ability.fingerprint = reply.fingerprint;
        let seen = self.soft_tokens(&ask, reply.usage.prompt, planned, &|| false);
        self.ability.looked = seen.map(|seen| Looked { planned, seen });
        Ok(())
    }

    /// What it cannot do, a sentence each.
    pub fn limits(&self) -> Vec<String> {
        let ability = &self.ability;
        let mut limits = Vec::new();
        match (self.kind, ability.reason(BUDGET)) {
            (ServerKind::Vllm, Some(reason)) => limits.push(format!(
                "the budget of a picture is the server's own, since it does not take one with a request \
                 (it is started with --trust-request-mm-kwargs, or with the budget in --mm-processor-kwargs): {reason}"
            )),
            (ServerKind::Llama, _) => limits.push(
                "the budget of a picture is sent as its size, which llama.cpp keeps from 70 to 1120 tokens (or what \
                 --image-min-tokens and --image-max-tokens say); smaller ones are enlarged there"
                    .to_owned(),
            ),
            (ServerKind::Ollama | ServerKind::OpenAi, _) => {
                limits.push("the budget of a picture is sent as its size, and cannot be set otherwise".to_owned());
            }
            (ServerKind::Vllm, None) => {}
        }
        match ability.looked {
            Some(Looked { planned, seen }) if planned != seen => {
                limits.push(format!("it makes {seen} soft tokens of a picture of {planned}"));
            }
            Some(_) => {}
            None => limits.push("how many soft tokens a picture becomes is not known: no figures came".to_owned()),
        }
        match (ability.constraint, ability.reason(CONSTRAINT)) {
            (None, reason) => {
                let reason = reason.unwrap_or_default();
                limits.push(format!("answers are not held to a list of boxes: {reason}"));
            }
            (Some(Constraint::Schema), Some(reason)) => {
                limits.push(format!("answers are held to a list of boxes by a schema, and not by a grammar: {reason}"));
            }
            _ => {}
        }
        if let (false, reason) = (ability.probabilities, ability.reason(PROBABILITIES)) {
            let reason = reason.unwrap_or_default();
            limits.push(format!("boxes have no scores, and frames cannot be rated, without probabilities: {reason}"));
        }
        limits
    }
}

/// For records: `null` where it is not known.
impl From<Looked> for Value {
    fn from(looked: Looked) -> Self {
        serde_json::json!({"planned": looked.planned, "seen": looked.seen})
    }
}
