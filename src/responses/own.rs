//! Own lines: `{"image": …, "width": …, "height": …, "text": …}`, with `finish_reason` and
//! `logprobs` if they are known.

use serde_json::{Map, Value};

use super::body::{self, Body};
use super::tokens::Tokens;

pub(super) fn read(text: &str, line: &Map<String, Value>) -> Body {
    let body = match body::ended(body::reason(line)) {
        Ok(ended) => Body::answer(text.to_owned(), ended),
        Err(reason) => return Body::failed(reason),
    };
    let tokens = match line.get("logprobs") {
        list @ Some(Value::Array(_)) => Tokens::of_list(list),
        logprobs => Tokens::of_choice(logprobs),
    };
    Body { tokens, model: body::text(line, "model").map(str::to_owned), ..body }
}
