//! OpenAI's API, which vLLM, llama.cpp, LM Studio and many others speak.
//!
//! Fields as in OpenAI's reference (`/v1/chat/completions`, `/v1/completions`, `/v1/responses`);
//! vLLM adds `reasoning_content` (later `reasoning`) beside a message's `content`. Servers that
//! leave out what is null write pieces of a stream without `finish_reason`. Calls of tools are part
//! of the answer, behind its content.

use serde_json::{Map, Value};

use super::body::{self, Body};
use super::tokens::Tokens;
use crate::record::Ended;

/// A chat completion, an older completion, or a piece of either.
pub(super) fn completion(object: &Map<String, Value>) -> Option<Body> {
    let choices = object.get("choices")?.as_array()?;
    let index = |choice: &&Value| choice.get("index").and_then(Value::as_u64).unwrap_or(0);
    let id = body::text(object, "id").map(str::to_owned);
    let model = body::text(object, "model").map(str::to_owned);
    let Some(choice) = choices.iter().min_by_key(index) else {
        // The last piece of a stream may hold figures only.
        let is_piece = body::text(object, "object").is_some_and(|kind| kind.contains("chunk"));
        let figures = Body {
            unfinished: true,
            figures: true,
            id,
            model,
            ..Body::answer(String::new(), Ended::Unknown)
        };
        return Some(if is_piece {
            figures
        } else {
            Body::failed("the response has no choices".to_owned())
        });
    };
    let message = choice.get("message").or_else(|| choice.get("delta"));
    let said = |key| message.and_then(|message| message.get(key)).or_else(|| choice.get(key));
    let content = said("content").and_then(body::content).filter(|text| !text.is_empty());
    let text = content.or_else(|| {
        ["refusal", "text"].iter().find_map(|key| said(key)?.as_str().map(str::to_owned))
    });
    let calls = message.and_then(Value::as_object).map(body::tool_calls).unwrap_or_default();
    let reason = choice.get("finish_reason");
    let failed = choice.as_object().and_then(body::error);
    let body = match (failed, body::ended(reason.and_then(Value::as_str))) {
        (Some(reason), _) | (None, Err(reason)) => Body::failed(reason),
        (None, Ok(ended)) => Body::answer(text.unwrap_or_default() + calls.as_str(), ended),
    };
    // Pieces say that they are not the last one, or nothing of how it ended; of a whole response
    // the reason is there, or left out.
    let unfinished = match reason {
        Some(Value::Null) => {
            choice.get("delta").is_some() || choice.get("text").is_some() && id.is_some()
        }
        None => choice.get("delta").is_some(),
        Some(_) => false,
    };
    let tokens = Tokens::of_choice(choice.get("logprobs"));
    Some(Body { tokens, choices: choices.len(), model, unfinished, id, ..body })
}

/// A response of `/v1/responses`: its messages' texts, and why it is not complete.
pub(super) fn response(object: &Map<String, Value>) -> Option<Body> {
    let output = object.get("output")?.as_array()?;
    let contents = output
        .iter()
        .filter(|item| {
            item.get("type").and_then(Value::as_str).is_none_or(|kind| kind == "message")
        })
        .filter_map(|item| item.get("content"));
    let (mut text, mut tokens) = (String::new(), Tokens::default());
    for content in contents {
        text.push_str(&body::content(content).unwrap_or_default());
        for part in content.as_array().into_iter().flatten() {
            tokens.append(&Tokens::of_list(part.get("logprobs")));
        }
    }
    for item in output.iter().filter_map(Value::as_object) {
        if body::text(item, "type") == Some("function_call") {
            text.push_str(&body::tool_call(item, true));
        }
    }
    let details = object
        .get("incomplete_details")
        .and_then(|details| details.get("reason"))
        .and_then(Value::as_str);
    let body = match body::ended(details.or_else(|| body::text(object, "status"))) {
        Ok(ended) => Body::answer(text, ended),
        Err(reason) => Body::failed(reason),
    };
    Some(Body { tokens, model: body::text(object, "model").map(str::to_owned), ..body })
}
