//! llama.cpp's own API: `/completion`, whole or streamed; and other responses that have their text
//! as `content`.
//!
//! Fields as in llama.cpp's `tools/server`: `content`, `stop`, `stop_type` (`eos`, `word`, `limit`;
//! before that `stopped_eos`, `stopped_word`, `stopped_limit`), `truncated` (the context was full)
//! and `completion_probabilities`, a list of tokens.

use serde_json::{Map, Value};

use super::body::{self, Body};
use super::tokens::Tokens;
use crate::record::Ended;

/// A response of `/completion`.
pub(super) fn completion(object: &Map<String, Value>) -> Option<Body> {
    let text = object.get("content").and_then(body::content)?;
    let is = |key: &str| object.get(key).and_then(Value::as_bool) == Some(true);
    let ended = if is("truncated") || is("stopped_limit") {
        Ended::TokenLimit
    } else if is("stopped_eos") || is("stopped_word") {
        Ended::StopToken
    } else {
        match body::ended(body::text(object, "stop_type").or_else(|| body::reason(object))) {
            Ok(ended) => ended,
            Err(reason) => return Some(Body::failed(reason)),
        }
    };
    Some(Body {
        tokens: Tokens::of_list(object.get("completion_probabilities")),
        model: body::text(object, "model").map(str::to_owned),
        unfinished: object.get("stop").and_then(Value::as_bool) == Some(false),
        ..Body::answer(text, ended)
    })
}
