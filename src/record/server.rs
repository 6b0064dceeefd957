//! What a run keeps of the server that answered.

use serde::{Deserialize, Serialize};

/// How a server was asked: what its answers depend on beside its model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerUse {
    /// `vllm`, `llama`, `ollama` or `openai`.
    pub kind: String,
    /// Whether each request set the budget of its pictures; otherwise their sizes alone said it.
    pub budget_per_request: bool,
    /// How answers were held to a list of boxes: `grammar` or `json_schema`; not there if they were
    /// free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint: Option<String>,
    /// Whether it gave probabilities of tokens: without them boxes have no scores.
    pub probabilities: bool,
    /// `png` or `jpeg`.
    pub pictures: String,
}

/// What a server said of itself when the run was begun. No answer is known to depend on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerSaid {
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What it calls its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Soft tokens of the picture that it was tried with, by its size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft_tokens_planned: Option<u32>,
    /// The same by its own figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft_tokens_seen: Option<u32>,
    /// What it cannot do, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<String>,
}
