//! A response of a server.
//!
//! In: its JSON. Out: the answer's text, the positions of its tokens, its first token's
//! probabilities, and the server's figures. Promises: the text is as it came, with thoughts that
//! the server keeps apart before it, in Gemma 4's own marks; probabilities that do not fit the text
//! are left out.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::answer::TokenSpan;
use crate::record::Ended;
use crate::responses::{Outcome, Response};

/// Numbers that JSON has no word for, as Python and others write them. The longer comes first.
const NO_NUMBERS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// The object that a body is. Numbers that are none are read as `null`.
pub(super) fn object_in(bytes: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(bytes)
        .ok()
        .or_else(|| serde_json::from_str(&with_nulls(std::str::from_utf8(bytes).ok()?)).ok())
}

/// The text with `null` in place of numbers that are none, but for those inside strings.
fn with_nulls(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for (index, part) in strings_apart(text).into_iter().enumerate() {
        if index % 2 == 1 {
            written.push_str(part);
            continue;
        }
        let replaced =
            NO_NUMBERS.iter().fold(part.to_owned(), |text, word| text.replace(word, "null"));
        written.push_str(&replaced);
    }
    written
}

/// What stands outside of strings and inside, in turn; quotation marks belong to the inside.
fn strings_apart(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut inside, mut escaped) = (0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => {
                let end = if inside { at + 1 } else { at };
                parts.push(&text[start..end]);
                (start, inside) = (end, !inside);
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Begins a thought in Gemma 4's text.
const THOUGHT: &str = "<|channel>thought\n";
/// Ends it.
const THOUGHT_END: &str = "<channel|>";
/// No answer is longer. The longest that is asked for has some tens of thousands of bytes.
const MAX_TEXT_BYTES: usize = 1 << 20;
/// From this many tokens on, probabilities that are all exactly 1 are taken for a stub's.
const SURELY_TOO_CERTAIN: usize = 8;

/// Token counts of a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, soft tokens included.
    pub prompt: Option<usize>,
    /// Tokens of the answer.
    pub answer: Option<usize>,
}

/// The most probable first tokens of an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FirstToken {
    /// Probabilities by the token's id, if ids are given.
    pub by_id: HashMap<u32, f64>,
    /// Probabilities by the token's text.
    pub by_text: HashMap<String, f64>,
    /// The smallest of them: a token that is not listed has no more than that.
    pub floor: f64,
}

impl FirstToken {
    /// The probability of all tokens that are not listed.
    pub fn rest(&self) -> f64 {
        let listed: f64 = if self.by_id.is_empty() {
            self.by_text.values().sum()
        } else {
            self.by_id.values().sum()
        };
        (1.0 - listed).max(0.0)
    }

    fn of(entry: &Value) -> Option<Self> {
        let mut made = Self { floor: f64::INFINITY, ..Self::default() };
        let top =
            entry.get("top_logprobs").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        for token in top.iter().chain([entry]) {
            let text = token.get("token").and_then(Value::as_str)?;
            let logarithm = token.get("logprob")?;
            if logarithm.is_null() {
                // It was no number, and nothing is known of this token.
                continue;
            }
            let probability = logarithm.as_f64()?.min(0.0).exp();
            let written = text.strip_prefix("token_id:").and_then(|id| id.parse().ok());
            let given =
                || token.get("id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
            if let Some(id) = written.or_else(given) {
                made.by_id.insert(id, probability);
            }
            if written.is_none() {
                made.by_text.insert(text.to_owned(), probability);
            }
            made.floor = made.floor.min(probability);
        }
        made.floor.is_finite().then_some(made)
    }
}

/// A response of a server.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The answer, thoughts included.
    pub text: String,
    /// How it ended.
    pub ended: Ended,
    /// The positions of its tokens; empty without probabilities.
    pub spans: Vec<TokenSpan>,
    /// Whether probabilities came that do not fit the text.
    pub spans_do_not_fit: bool,
    /// Its first token.
    pub first: Option<FirstToken>,
    /// Whether the server kept thoughts apart.
    pub thought: bool,
    /// Its figures.
    pub usage: Usage,
    /// The server's name for its state.
    pub fingerprint: Option<String>,
}

impl Reply {
    /// # Errors
    /// Why there is no answer in it.
    pub(super) fn of(object: &Map<String, Value>) -> Result<Self, String> {
        let response = Response::of_body(object).map_err(|problem| problem.to_string())?;
        let (answer, ended) = match &response.outcome {
            Outcome::Answer { text, ended } => (text.clone(), *ended),
            Outcome::Failed(reason) => return Err(reason.clone()),
        };
        if answer.len() > MAX_TEXT_BYTES {
            return Err(format!("the answer has {} bytes, which is not read", answer.len()));
        }
        let choice = object.get("choices").and_then(|choices| choices.get(0));
        let message = choice.map_or_else(|| object.get("message"), |choice| choice.get("message"));
        let thoughts = ["reasoning", "reasoning_content", "thinking"].iter();
        let thoughts =
            thoughts.filter_map(|key| message?.get(key)?.as_str()).find(|text| !text.is_empty());
        let spans = response.spans(&answer);
        let stub = spans.as_ref().is_some_and(|spans| {
            spans.len() >= SURELY_TOO_CERTAIN
                && spans.iter().all(|span| span.log_probability == Some(0.0))
        });
        let spans_do_not_fit = spans.is_none() || stub;
        let mut spans = spans.filter(|_| !stub).unwrap_or_default();
        let mut text = answer;
        if let Some(thoughts) = thoughts {
            // Cut off within its thought, an answer has not begun.
            let end = if text.is_empty() && ended == Ended::TokenLimit { "" } else { THOUGHT_END };
            let before = format!("{THOUGHT}{thoughts}{end}");
            for span in &mut spans {
                span.bytes = span.bytes.start + before.len()..span.bytes.end + before.len();
            }
            text.insert_str(0, &before);
        }
        let tokens = choice.map_or_else(
            || object.get("logprobs"),
            |choice| choice.get("logprobs").and_then(|logprobs| logprobs.get("content")),
        );
        let usage = object.get("usage");
        let count = |value: Option<&Value>| {
            // No prompt has more tokens than that.
            let count = value.and_then(Value::as_u64).and_then(|count| u32::try_from(count).ok());
            count.map(|count| count as usize)
        };
        let figure = |key: &str, own: &str| {
            count(usage.and_then(|usage| usage.get(key)).or_else(|| object.get(own)))
        };
        Ok(Self {
            text,
            ended,
            spans,
            spans_do_not_fit,
            first: tokens.and_then(|tokens| tokens.get(0)).and_then(FirstToken::of),
            thought: thoughts.is_some(),
            usage: Usage {
                prompt: figure("prompt_tokens", "prompt_eval_count"),
                answer: figure("completion_tokens", "eval_count"),
            },
            fingerprint: object
                .get("system_fingerprint")
                .and_then(Value::as_str)
                .map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reply(value: &Value) -> Result<Reply, String> {
        Reply::of(value.as_object().unwrap())
    }

    #[test]
    fn thoughts_stand_before_the_answer_and_probabilities_where_it_is() {
        let token = |text: &str, log: f64| {
            json!({"token": text, "logprob": log, "bytes": null,
            "top_logprobs": []})
        };
        let given = json!({
            "choices": [{
                "message": {"content": "[1]", "reasoning_content": "so"}, "finish_reason": "stop",
                "logprobs": {"content": [token("so", -9.0), token("[1", -0.5), token("]", -1.0)]},
            }],
            "usage": {"prompt_tokens": 77, "completion_tokens": 3}, "system_fingerprint": "fp",
        });
        let reply = reply(&given).unwrap();
        assert_eq!(reply.text, "<|channel>thought\nso<channel|>[1]");
        assert_eq!(&reply.text[reply.spans[0].bytes.clone()], "[1");
        assert_eq!(reply.usage, Usage { prompt: Some(77), answer: Some(3) });
        assert!(reply.thought && reply.fingerprint.as_deref() == Some("fp"));
    }

    #[test]
    fn numbers_that_are_none_are_nulls() {
        let text = r#"{"a": NaN, "b": [-Infinity,Infinity], "c\"NaN": "NaN \\", "d": 1}"#;
        let object = object_in(text.as_bytes()).unwrap();
        assert_eq!(
            Value::from(object),
            json!({"a": null, "b": [null, null], "c\"NaN": "NaN \\", "d": 1})
        );
        for broken in [r#"{"a": nan}"#, r#"{"a": "NaN"#, "[NaN]", ""] {
            assert!(object_in(broken.as_bytes()).is_none(), "{broken}");
        }
    }

    #[test]
    fn a_token_of_unknown_probability_is_not_listed() {
        let entry = |token: &str, log: Value| json!({"token": token, "logprob": log});
        let listed = json!([entry("good", json!(-0.1)), entry("bad", Value::Null)]);
        let first = json!({"token": "good", "logprob": -0.1, "top_logprobs": listed});
        let first = FirstToken::of(&first).unwrap();
        assert_eq!(first.by_text.len(), 1);
        assert!((first.floor - (-0.1_f64).exp()).abs() < 1e-12);
        assert!(FirstToken::of(&entry("good", Value::Null)).is_none());
    }

    #[test]
    fn what_no_model_writes_is_not_read() {
        let answer = |text: &str, count: u64| {
            let choice = json!({"message": {"content": text}, "finish_reason": "stop"});
            reply(&json!({"choices": [choice], "usage": {"prompt_tokens": count}}))
        };
        assert!(answer(&"[".repeat(MAX_TEXT_BYTES + 1), 1).unwrap_err().contains("1048577 bytes"));
        assert_eq!(answer("[]", u64::MAX).unwrap().usage.prompt, None);
    }

    #[test]
    fn stubs_are_no_probabilities() {
        let token = |text: &str| json!({"token": text, "logprob": 0, "top_logprobs": []});
        let all: Vec<Value> =
            "[[1,2,3]]".chars().map(|letter| token(&letter.to_string())).collect();
        let given = json!({"choices": [{
            "message": {"content": "[[1,2,3]]"}, "finish_reason": "stop",
                "logprobs": {"content": all},
        }]});
        let stub = reply(&given).unwrap();
        assert!(stub.spans.is_empty() && stub.spans_do_not_fit);
        let null = json!({"choices": [{"message": {"content": "[]"}, "finish_reason": "stop",
            "logprobs": null}]});
        let null = reply(&null).unwrap();
        assert!(null.spans.is_empty() && !null.spans_do_not_fit && null.first.is_none());
    }

    #[test]
    fn the_first_token_is_known_by_id_or_by_text() {
        let entry = |token: &str, log: f64| json!({"token": token, "logprob": log});
        let given = json!({"choices": [{
            "message": {"content": "good"}, "finish_reason": "length",
            "logprobs": {"content": [{
                "token": "token_id:7", "logprob": -0.1, "top_logprobs": [entry("token_id:7", -0.1),
                    entry("token_id:9", -3.0)],
            }]},
        }]});
        let first = reply(&given).unwrap().first.unwrap();
        assert!((first.by_id[&9] - (-3.0_f64).exp()).abs() < 1e-12 && first.by_text.is_empty());
        let ollama = json!({
            "model": "gemma4", "message": {"content": "good"}, "done": true,
                "done_reason": "length",
            "prompt_eval_count": 290, "eval_count": 1,
            "logprobs": [{"token": "good", "logprob": -0.2, "bytes": [],
                "top_logprobs": [entry("good", -0.2), entry("bad", -2.0)]}],
        });
        let reply = reply(&ollama).unwrap();
        assert_eq!(reply.usage.prompt, Some(290));
        let first = reply.first.unwrap();
        assert!((first.floor - (-2.0_f64).exp()).abs() < 1e-12 && first.rest() > 0.0);
        assert_eq!(first.by_text.len(), 2);
    }
}
