//! One object of a server's output, and field names that several servers share.

use serde_json::{Map, Value};

use super::tokens::Tokens;
use crate::record::Ended;

/// The result of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The model's text, without its thoughts if the server keeps them apart.
    Answer {
        /// As it came.
        text: String,
        /// How it ended.
        ended: Ended,
    },
    /// An error of the server, or a text that it held back.
    Failed(String),
}

/// One object of a server's output.
pub(super) struct Body {
    pub(super) outcome: Outcome,
    pub(super) tokens: Tokens,
    pub(super) choices: usize,
    pub(super) model: Option<String>,
    /// There is more to come: the text is a piece of a stream.
    pub(super) unfinished: bool,
    /// It is such a piece, and holds figures about the answer alone.
    pub(super) figures: bool,
    /// The name that all pieces of a stream share, if they have one.
    pub(super) id: Option<String>,
}

impl Body {
    /// A whole answer.
    pub(super) fn answer(text: String, ended: Ended) -> Self {
        let outcome = Outcome::Answer { text, ended };
        Self {
            outcome,
            tokens: Tokens::default(),
            choices: 1,
            model: None,
            unfinished: false,
            figures: false,
            id: None,
        }
    }

    /// None.
    pub(super) fn failed(reason: String) -> Self {
        Self { outcome: Outcome::Failed(reason), ..Self::answer(String::new(), Ended::Unknown) }
    }
}

/// The text of an error, if there is one: a text, `{"message": …}`, or an object of its own
/// (`"object": "error"`).
pub(super) fn error(object: &Map<String, Value>) -> Option<String> {
    let own = object.get("object").and_then(Value::as_str) == Some("error");
    let error = match object.get("error") {
        None | Some(Value::Null) if own => {
            return Some(text(object, "message").unwrap_or("an error").to_owned());
        }
        None | Some(Value::Null | Value::Bool(false)) => return None,
        Some(error) => error,
    };
    let nested = error.get("error").unwrap_or(error);
    let said = nested.as_str().or_else(|| nested.get("message").and_then(Value::as_str));
    Some(said.map_or_else(|| error.to_string(), str::to_owned))
}

/// The value of `key`, if it is a text.
pub(super) fn text<'v>(object: &'v Map<String, Value>, key: &str) -> Option<&'v str> {
    object.get(key).and_then(Value::as_str)
}

/// The text of a message's content: a text, or a list of parts, of which only those with a text
/// count, without thoughts.
pub(super) fn content(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            let is_thought =
                |part: &Value| part.get("thought").and_then(Value::as_bool) == Some(true);
            let said = |part: &Value| match part.get("type").and_then(Value::as_str) {
                None | Some("text" | "output_text") => {
                    part.get("text").and_then(Value::as_str).map(str::to_owned)
                }
                Some("refusal") => part.get("refusal").and_then(Value::as_str).map(str::to_owned),
                Some(_) => None,
            };
            Some(parts.iter().filter(|part| !is_thought(part)).filter_map(said).collect())
        }
        _ => None,
    }
}

/// The calls of tools of a message, each as it stands in the text of a model that makes them.
pub(super) fn tool_calls(message: &Map<String, Value>) -> String {
    let calls = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    let functions = calls.filter_map(|call| (call.get("function").unwrap_or(call)).as_object());
    let one = message.get("function_call").and_then(Value::as_object);
    functions
        .chain(one)
        .map(|function| tool_call(function, function.contains_key("name")))
        .collect()
}

/// One call, or in a stream a piece of one: only the first has a name.
pub(super) fn tool_call(function: &Map<String, Value>, first: bool) -> String {
    let arguments = match function.get("arguments") {
        Some(Value::String(text)) => text.clone(),
        Some(arguments @ (Value::Object(_) | Value::Array(_))) => arguments.to_string(),
        _ => String::new(),
    };
    if first { format!("\n<|tool_call>{arguments}") } else { arguments }
}

/// Why an answer ended, under the keys of several servers: a word, or an object with one as its
/// `type`.
pub(super) fn reason(object: &Map<String, Value>) -> Option<&str> {
    let meta = object.get("meta_info").and_then(Value::as_object);
    let keys = ["finish_reason", "stop_reason", "stop_type", "done_reason"];
    let found =
        keys.iter().find_map(|key| object.get(*key)).or_else(|| meta?.get("finish_reason"))?;
    found.as_str().or_else(|| found.get("type").and_then(Value::as_str))
}

/// How an answer ended, in the words of any server; the error holds the reason of a text that was
/// held back or never made.
pub(super) fn ended(reason: Option<&str>) -> Result<Ended, String> {
    Ok(match reason.map(str::to_ascii_lowercase).as_deref() {
        Some(
            "stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" | "word" | "completed",
        ) => Ended::StopToken,
        Some(
            "length"
            | "limit"
            | "max_tokens"
            | "max_output_tokens"
            | "max_length"
            | "model_length"
            | "token_limit"
            | "context_length"
            | "model_context_window_exceeded"
            | "maxpredictedtokensreached"
            | "contextlengthreached",
        ) => Ended::TokenLimit,
        Some("repetition") => Ended::Looped,
        Some(
            reason @ ("content_filter" | "safety" | "recitation" | "prohibited_content"
            | "blocklist" | "spii" | "abort" | "error" | "cancelled" | "failed"),
        ) => {
            return Err(format!("the server ended the answer: {reason}"));
        }
        Some(reason @ ("load" | "unload")) => {
            return Err(format!("no answer, the server did a {reason} of the model"));
        }
        _ => Ended::Unknown,
    })
}
