//! Ollama's own API: `/api/chat` and `/api/generate`, whole or streamed (`"stream": true` is its default).
//!
//! Fields as in `api/types.go` of ollama: `ChatResponse` and `GenerateResponse` with `done`, `done_reason`, `thinking` (no
//! part of the answer) and `logprobs`, a list of tokens.

use serde_json::{Map, Value};

use super::response::{self, Body};
use super::tokens::Tokens;

/// A response of `/api/chat`.
pub(super) fn chat(object: &Map<String, Value>) -> Option<Body> {
    let message = object.get("message")?.as_object()?;
    let content = message.get("content").and_then(response::content).unwrap_or_default();
    Some(body(object, content + response::tool_calls(message).as_str()))
}

/// A response of `/api/generate`.
pub(super) fn generate(object: &Map<String, Value>) -> Option<Body> {
    Some(body(object, response::text(object, "response")?.to_owned()))
}

fn body(object: &Map<String, Value>, text: String) -> Body {
    let body = match response::ended(response::text(object, "done_reason")) {
        Ok(ended) => Body::answer(text, ended),
        Err(reason) => Body::failed(reason),
    };
    Body {
        tokens: Tokens::of_list(object.get("logprobs")),
        model: response::text(object, "model").map(str::to_owned),
        unfinished: object.get("done").and_then(Value::as_bool) == Some(false),
        ..body
    }
}
