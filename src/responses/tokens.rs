//! The tokens of an answer and their probabilities, as servers write them.
//!
//! In: `logprobs` of OpenAI's API (chat and the older completions), of Ollama and llama.cpp. Out:
//! the place of each token in the answer's text. Promises: tokens that do not add up to the text
//! give no probabilities at all; nor do probabilities of after sampling, which at temperature 0 are
//! all 1.

use serde_json::Value;

use crate::answer::TokenSpan;

/// Tokens in the order of the text; empty if the server was not asked for them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Tokens {
    /// The bytes of all.
    bytes: Vec<u8>,
    /// The end of each in them, and the logarithm of its probability.
    ends: Vec<(usize, f64)>,
    /// Something is there that is not understood.
    unusable: bool,
}

impl Tokens {
    /// Of `[{"token": …, "logprob": …, "bytes": […]}, …]`; of anything else that is not null,
    /// unusable ones.
    pub(super) fn of_list(list: Option<&Value>) -> Self {
        let mut tokens = Self::default();
        match list {
            None | Some(Value::Null) => {}
            Some(Value::Array(list)) => {
                for entry in list {
                    tokens.push(entry);
                }
            }
            Some(_) => tokens.unusable = true,
        }
        tokens
    }

    /// From a choice's `logprobs`: `{"content": [{"token": …}]}`, or `{"tokens": […],
    /// "token_logprobs": […]}`.
    pub(super) fn of_choice(logprobs: Option<&Value>) -> Self {
        let Some(logprobs) = logprobs else { return Self::default() };
        let (Some(Value::Array(texts)), Some(Value::Array(logs))) =
            (logprobs.get("tokens"), logprobs.get("token_logprobs"))
        else {
            return Self::of_list(logprobs.get("content"));
        };
        let mut tokens = Self { unusable: texts.len() != logs.len(), ..Self::default() };
        for (text, log) in texts.iter().zip(logs) {
            tokens.add(text.as_str().map(|text| text.as_bytes().to_vec()), log.as_f64());
        }
        tokens
    }

    fn push(&mut self, entry: &Value) {
        let byte = |value: &Value| value.as_u64().and_then(|byte| u8::try_from(byte).ok());
        let bytes = match entry.get("bytes") {
            Some(Value::Array(bytes)) => bytes.iter().map(byte).collect(),
            _ => entry.get("token").and_then(Value::as_str).map(|text| text.as_bytes().to_vec()),
        };
        self.add(bytes, entry.get("logprob").and_then(Value::as_f64));
    }

    fn add(&mut self, bytes: Option<Vec<u8>>, log_probability: Option<f64>) {
        let (Some(bytes), Some(log_probability)) = (bytes, log_probability) else {
            self.unusable = true;
            return;
        };
        self.bytes.extend(bytes);
        self.ends.push((self.bytes.len(), log_probability.min(0.0)));
    }

    /// Adds those of the next piece of a stream.
    pub(super) fn append(&mut self, next: &Self) {
        let before = self.bytes.len();
        self.bytes.extend(&next.bytes);
        self.ends.extend(
            next.ends.iter().map(|&(end, log_probability)| (before + end, log_probability)),
        );
        self.unusable |= next.unusable;
    }

    /// The position of each in `text`; `None` if they do not add up to it. There may be more of
    /// them around the text: a thought that the server cut off, white space, the stop token.
    pub(super) fn spans(&self, text: &str) -> Option<Vec<TokenSpan>> {
        if self.unusable {
            return None;
        }
        if self.ends.is_empty() || text.is_empty() {
            return Some(Vec::new());
        }
        let start = std::str::from_utf8(&self.bytes).ok()?.rfind(text)?;
        let begins = std::iter::once(0).chain(self.ends.iter().map(|&(end, _)| end));
        let spans = begins.zip(&self.ends).filter_map(|(begin, &(end, log_probability))| {
            let (begin, end) =
                (begin.max(start) - start, end.saturating_sub(start).min(text.len()));
            // Tokens that share a character share its range.
            let bytes = text.floor_char_boundary(begin)..text.ceil_char_boundary(end);
            (begin < end).then_some(TokenSpan { bytes, log_probability: Some(log_probability) })
        });
        Some(spans.collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ranges(tokens: &Tokens, text: &str) -> Option<Vec<(usize, usize, f64)>> {
        let spans = tokens.spans(text)?;
        spans
            .into_iter()
            .map(|span| Some((span.bytes.start, span.bytes.end, span.log_probability?)))
            .collect()
    }

    #[test]
    fn tokens_are_found_in_the_text_that_is_left_of_them() {
        let token =
            |text: &str, logprob: f64| json!({"token": text, "logprob": logprob, "bytes": null});
        let all = json!([
            token("think 12 ", -9.0),
            token("\n1", -1.0),
            token("2", -2.0),
            token("<end>", -3.0)
        ]);
        assert_eq!(
            ranges(&Tokens::of_list(Some(&all)), "12").unwrap(),
            [(0, 1, -1.0), (1, 2, -2.0)]
        );
        assert_eq!(ranges(&Tokens::of_list(Some(&all)), "13"), None);
        assert_eq!(ranges(&Tokens::of_list(Some(&all)), "").unwrap(), []);
        assert_eq!(ranges(&Tokens::of_list(Some(&Value::Null)), "12").unwrap(), []);
    }

    #[test]
    fn a_character_of_several_tokens_belongs_to_each() {
        let tokens = json!([
            {"token": "a", "logprob": -1.0},
            {"token": "\u{fffd}", "logprob": -2.0, "bytes": [0xc3]},
            {"token": "\u{fffd}", "logprob": -3.0, "bytes": [0xa9]},
        ]);
        assert_eq!(
            ranges(&Tokens::of_list(Some(&tokens)), "aé").unwrap(),
            [(0, 1, -1.0), (1, 3, -2.0), (1, 3, -3.0)]
        );
        // Without the bytes, the character is not known.
        let tokens =
            json!([{"token": "a", "logprob": -1.0}, {"token": "\u{fffd}", "logprob": -2.0}]);
        assert_eq!(ranges(&Tokens::of_list(Some(&tokens)), "aé"), None);
    }

    #[test]
    fn columns_are_tokens_and_odd_ones_are_none() {
        let columns =
            json!({"tokens": ["1", "2"], "token_logprobs": [-1, -2.5], "text_offset": [0, 1]});
        assert_eq!(
            ranges(&Tokens::of_choice(Some(&columns)), "12").unwrap(),
            [(0, 1, -1.0), (1, 2, -2.5)]
        );
        let echoed = json!({"tokens": ["1", "2"], "token_logprobs": [null, -2.5]});
        assert_eq!(ranges(&Tokens::of_choice(Some(&echoed)), "12"), None);
        let after_sampling = json!([{"token": "1", "prob": 1.0}]);
        assert_eq!(ranges(&Tokens::of_list(Some(&after_sampling)), "1"), None);
        assert_eq!(ranges(&Tokens::of_choice(Some(&Value::Null)), "1").unwrap(), []);
    }

    #[test]
    fn pieces_of_a_stream_are_one() {
        let mut tokens = Tokens::of_list(Some(&json!([{"token": "1", "logprob": -1.0}])));
        tokens.append(&Tokens::default());
        tokens.append(&Tokens::of_list(Some(&json!([{"token": "2", "logprob": -2.0}]))));
        assert_eq!(ranges(&tokens, "12").unwrap(), [(0, 1, -1.0), (1, 2, -2.0)]);
    }
}
