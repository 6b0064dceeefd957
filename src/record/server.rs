//! The server that answered, as a run keeps it.

use serde::{Deserialize, Serialize};

/// How a server was asked: its answers depend on these settings and its model.
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

/// The server's description of itself when the run was begun. No answer is known to depend on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerDescription {
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its own name for its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Soft tokens of the picture that it was tried with, by its size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft_tokens_planned: Option<u32>,
    /// The same by its own figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft_tokens_seen: Option<u32>,
    /// Its limits, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<String>,
}
