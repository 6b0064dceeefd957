//! Ollama's own API: `/api/chat` and `/api/generate`, whole or streamed (`"stream": true` is its
//! default).
//!
//! Fields as in `api/types.go` of ollama: `ChatResponse` and `GenerateResponse` with `done`,
//! `done_reason`, `thinking` (no part of the answer) and `logprobs`, a list of tokens.

use serde_json::{Map, Value};

use super::body::{self, Body};
use super::tokens::Tokens;

/// A response of `/api/chat`.
pub(super) fn chat(object: &Map<String, Value>) -> Option<Body> {
    let message = object.get("message")?.as_object()?;
    let content = message.get("content").and_then(body::content).unwrap_or_default();
    Some(whole(object, content + body::tool_calls(message).as_str()))
}

/// A response of `/api/generate`.
pub(super) fn generate(object: &Map<String, Value>) -> Option<Body> {
    Some(whole(object, body::text(object, "response")?.to_owned()))
}

fn whole(object: &Map<String, Value>, text: String) -> Body {
    let body = match body::ended(body::text(object, "done_reason")) {
        Ok(ended) => Body::answer(text, ended),
        Err(reason) => Body::failed(reason),
    };
    Body {
        tokens: Tokens::of_list(object.get("logprobs")),
        model: body::text(object, "model").map(str::to_owned),
        unfinished: object.get("done").and_then(Value::as_bool) == Some(false),
        ..body
    }
}
