//! The capabilities of a server.
//!
//! In: what it refuses, in its words. Out: what is left. Promises: what is refused is left out one
//! thing after another, the thing that a refusal names first; nothing is guessed from a version.

use super::ServerKind;

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

/// The size of a picture on the server, in soft tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureTokens {
    /// Soft tokens of its size.
    pub planned: u32,
    /// Soft tokens by the server's figures.
    pub seen: u32,
}

/// The capabilities of a server.
#[derive(Debug, Clone)]
pub struct Capabilities {
    /// Whether each request can set the budget of its pictures.
    pub budget: bool,
    /// How answers are held to a list of boxes; `None` if they are not.
    pub constraint: Option<Constraint>,
    /// Whether it gives probabilities of tokens.
    pub probabilities: bool,
    /// The size of the picture, if the server's figures tell it.
    pub picture_tokens: Option<PictureTokens>,
    /// The server's name for its state.
    pub fingerprint: Option<String>,
    /// The refused feature, with the server's own reason.
    pub refused: Vec<(&'static str, String)>,
}

/// The names of features in [`Capabilities::refused`].
pub(super) const BUDGET: &str = "budget";
pub(super) const CONSTRAINT: &str = "constraint";
pub(super) const PROBABILITIES: &str = "probabilities";

impl Default for Capabilities {
    /// Nothing is known, and nothing is sent that a server may not know.
    fn default() -> Self {
        Self {
            budget: false,
            constraint: None,
            probabilities: false,
            picture_tokens: None,
            fingerprint: None,
            refused: Vec::new(),
        }
    }
}

impl Capabilities {
    /// Everything that a kind may be able to do.
    pub(super) fn most_of(kind: ServerKind) -> Self {
        let constraint = match kind {
            ServerKind::Vllm | ServerKind::Llama => Constraint::Grammar,
            ServerKind::Ollama | ServerKind::OpenAi => Constraint::Schema,
        };
        Self {
            budget: kind == ServerKind::Vllm,
            constraint: Some(constraint),
            probabilities: true,
            ..Self::default()
        }
    }

    /// Why it was refused.
    pub fn reason(&self, what: &str) -> Option<&str> {
        self.refused.iter().find(|(refused, _)| *refused == what).map(|(_, reason)| reason.as_str())
    }

    /// Leaves out what a server's refusal is about, else the next thing that a server may not know;
    /// false if nothing is left.
    pub(super) fn leave_out(&mut self, reason: &str, kind: ServerKind) -> bool {
        let about = reason.to_ascii_lowercase();
        let names = |words: &[&str]| words.iter().any(|word| about.contains(word));
        let of_budget = names(&["mm_processor_kwargs", "mm-kwargs", "max_soft_tokens"]);
        let of_probabilities = names(&["logprob"]);
        let of_constraint =
            names(&["grammar", "structured", "response_format", "schema", "xgrammar"]);
        let any = !of_budget && !of_probabilities && !of_constraint;
        let reason = reason.to_owned();
        if self.budget && (of_budget || any) {
            self.budget = false;
            self.refused.push((BUDGET, reason));
            return true;
        }
        if let Some(constraint) = self.constraint.filter(|_| of_constraint || any) {
            let schema = matches!(kind, ServerKind::Vllm | ServerKind::Llama)
                && constraint == Constraint::Grammar;
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
