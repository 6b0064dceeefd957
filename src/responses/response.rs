//! One response: what it is about, and what it says.
//!
//! In: a JSON object. Out: a [`Response`], or a piece of one that a server streamed.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::tokens::Tokens;
use super::{Problem, llama_cpp, ollama, openai, own};
use crate::record::Ended;

/// What a server answered to one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The image's name, as given.
    pub image: Option<String>,
    /// The request's own name.
    pub custom_id: Option<String>,
    /// The text of the question.
    pub question: Option<String>,
    /// Whether that is a whole prompt, with the turns of a chat template around the question.
    pub rendered: bool,
    /// Width and height of the upright image, as stated.
    pub size: Option<(u32, u32)>,
    /// The model's name.
    pub model: Option<String>,
    /// What was said.
    pub outcome: Outcome,
    /// Answers to the same request; the first one is [`Self::outcome`].
    pub choices: usize,
    /// The tokens of the answer.
    pub(super) tokens: Tokens,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The model's text, without its thoughts where the server keeps them apart.
    Answer {
        /// As it came.
        text: String,
        /// How it ended.
        ended: Ended,
    },
    /// An error of the server, or a text that it held back.
    Failed(String),
}

/// What one object of a server's output says.
pub(super) struct Body {
    pub(super) outcome: Outcome,
    pub(super) tokens: Tokens,
    pub(super) choices: usize,
    pub(super) model: Option<String>,
    /// There is more to come: the text is a piece of a stream.
    pub(super) unfinished: bool,
    /// It is such a piece, and holds figures about the answer alone.
    pub(super) figures: bool,
    /// The name that all pieces of a stream share, where they have one.
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

/// Responses whose pieces come one by one.
#[derive(Default)]
pub(super) struct Assembler {
    /// The streams that have not ended, by what their pieces have in common: image, `custom_id`, and a name of their own.
    open: HashMap<[Option<String>; 3], Stream>,
    /// The streams that have ended. Figures about them may follow.
    ended: HashSet<[Option<String>; 3]>,
}

struct Stream {
    line: usize,
    pieces: usize,
    response: Response,
}

impl Assembler {
    /// Takes an object; a response that is whole with it comes back, with the line that it begins in.
    pub(super) fn take(
        &mut self,
        line: usize,
        object: &Map<String, Value>,
    ) -> Result<Option<(usize, Response)>, Problem> {
        let Piece { response, unfinished, figures, id } = read(object)?;
        let key = [response.image.clone(), response.custom_id.clone(), id];
        if figures && self.ended.contains(&key) {
            return Ok(None);
        }
        match (self.open.entry(key), unfinished) {
            (Entry::Vacant(_), false) => Ok(Some((line, response))),
            (Entry::Vacant(entry), true) => {
                entry.insert(Stream { line, pieces: 1, response });
                Ok(None)
            }
            (Entry::Occupied(mut stream), true) => {
                stream.get_mut().append(response);
                Ok(None)
            }
            (Entry::Occupied(stream), false) => {
                let (key, mut stream) = stream.remove_entry();
                self.ended.insert(key);
                stream.append(response);
                Ok(Some((stream.line, stream.response)))
            }
        }
    }

    /// The streams that never came to their ends, in the order of their first pieces.
    pub(super) fn finish(self) -> Vec<(usize, Response)> {
        let cut = |mut stream: Stream| {
            // Of one piece alone it is not known. Several were cut off, as by a limit.
            if let (true, Outcome::Answer { ended, .. }) = (stream.pieces > 1, &mut stream.response.outcome) {
                *ended = Ended::TokenLimit;
            }
            (stream.line, stream.response)
        };
        let mut streams: Vec<(usize, Response)> = self.open.into_values().map(cut).collect();
        streams.sort_by_key(|(line, _)| *line);
        streams
    }
}

impl Stream {
    fn append(&mut self, next: Response) {
        self.pieces += 1;
        let whole = &mut self.response;
        match (&mut whole.outcome, next.outcome) {
            (Outcome::Answer { text, ended }, Outcome::Answer { text: more, ended: last }) => {
                text.push_str(&more);
                *ended = last;
            }
            (whole @ Outcome::Answer { .. }, failed) => *whole = failed,
            (Outcome::Failed(_), _) => {}
        }
        whole.tokens.append(&next.tokens);
        whole.choices = whole.choices.max(next.choices);
        whole.question = whole.question.take().or(next.question);
        whole.size = whole.size.or(next.size);
        whole.model = whole.model.take().or(next.model);
    }
}

/// A response, or a piece of one.
struct Piece {
    response: Response,
    unfinished: bool,
    figures: bool,
    /// The stream's name.
    id: Option<String>,
}

/// The response in `object`.
fn read(object: &Map<String, Value>) -> Result<Piece, Problem> {
    let name = |key: &'static str| match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => {
            Err(Problem::Value { key, problem: "is empty".to_owned() })
        }
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) if key == "custom_id" => Ok(Some(number.to_string())),
        Some(_) => Err(Problem::Value { key, problem: "is not a text".to_owned() }),
    };
    let (image, custom_id) = (name("image")?, name("custom_id")?);
    let question = text(object, "question");
    // llama.cpp repeats the prompt that it was given.
    let rendered = question.is_none() && object.contains_key("content");
    let question = question.or_else(|| text(object, "prompt")).map(str::to_owned);
    let Body { outcome, tokens, choices, model, unfinished, figures, id } = body(object)?;
    let size = size(object)?;
    let response = Response { image, custom_id, question, rendered, size, model, outcome, choices, tokens };
    Ok(Piece { response, unfinished, figures, id })
}

/// The first format that fits.
fn body(object: &Map<String, Value>) -> Result<Body, Problem> {
    if let Some(Value::String(text)) = object.get("text") {
        return Ok(own::read(text, object));
    }
    let batch = object.get("response").and_then(Value::as_object);
    if let Some(response) = batch {
        return match response.get("body") {
            Some(body) => batch_result(response, body, object),
            // Any response, wrapped to name its image.
            None => body_of(response, object),
        };
    }
    body_of(object, object)
}

fn body_of(object: &Map<String, Value>, envelope: &Map<String, Value>) -> Result<Body, Problem> {
    if let Some(reason) = error(envelope).or_else(|| error(object)) {
        return Ok(Body::failed(reason));
    }
    let readers = [openai::completion, openai::response, ollama::chat, ollama::generate, llama_cpp::completion];
    if let Some(body) = readers.iter().find_map(|read| read(object)) {
        return Ok(body);
    }
    let request = |object: &Map<String, Value>| object.contains_key("messages") || object.contains_key("input");
    if request(object) || object.get("body").and_then(Value::as_object).is_some_and(request) {
        return Err(Problem::IsRequest);
    }
    let keys = object.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    Err(Problem::UnknownFormat { keys })
}

/// One line of a batch's output or error file.
fn batch_result(response: &Map<String, Value>, body: &Value, line: &Map<String, Value>) -> Result<Body, Problem> {
    const BAD_REQUEST: u64 = 400;
    let status = response.get("status_code").and_then(Value::as_u64).filter(|status| *status >= BAD_REQUEST);
    let said = error(line).or_else(|| body.as_object().and_then(error));
    match (status, said, body.as_object()) {
        (Some(status), Some(said), _) => Ok(Body::failed(format!("status {status}: {said}"))),
        (Some(status), None, _) => Ok(Body::failed(format!("status {status}"))),
        (None, Some(said), _) => Ok(Body::failed(said)),
        (None, None, Some(body)) => body_of(body, line),
        (None, None, None) => Ok(Body::failed("the response has no body".to_owned())),
    }
}

/// The words of an error, where there is one: a text, `{"message": …}`, or an object of its own (`"object": "error"`).
pub(super) fn error(object: &Map<String, Value>) -> Option<String> {
    let own = object.get("object").and_then(Value::as_str) == Some("error");
    let error = match object.get("error") {
        None | Some(Value::Null) if own => return Some(text(object, "message").unwrap_or("an error").to_owned()),
        None | Some(Value::Null | Value::Bool(false)) => return None,
        Some(error) => error,
    };
    let nested = error.get("error").unwrap_or(error);
    let said = nested.as_str().or_else(|| nested.get("message").and_then(Value::as_str));
    Some(said.map_or_else(|| error.to_string(), str::to_owned))
}

fn size(object: &Map<String, Value>) -> Result<Option<(u32, u32)>, Problem> {
    let side = |key: &'static str| match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        // Some writers make a floating-point number of every number.
        Some(value) => {
            match value.as_f64().filter(|side| side.fract() == 0.0 && (1.0..=f64::from(u32::MAX)).contains(side)) {
                Some(side) => Ok(Some(side as u32)),
                None => Err(Problem::Value { key, problem: format!("{value} is no number of pixels") }),
            }
        }
    };
    match (side("width")?, side("height")?) {
        (Some(width), Some(height)) => Ok(Some((width, height))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(Problem::Value { key: "height", problem: "is missing beside width".to_owned() }),
        (None, Some(_)) => Err(Problem::Value { key: "width", problem: "is missing beside height".to_owned() }),
    }
}

/// The value of `key`, if it is a text.
pub(super) fn text<'v>(object: &'v Map<String, Value>, key: &str) -> Option<&'v str> {
    object.get(key).and_then(Value::as_str)
}

/// The text of a message's content: a text, or a list of parts of which those with a text count and thoughts do not.
pub(super) fn content(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            let is_thought = |part: &Value| part.get("thought").and_then(Value::as_bool) == Some(true);
            let said = |part: &Value| match part.get("type").and_then(Value::as_str) {
                None | Some("text" | "output_text") => part.get("text").and_then(Value::as_str).map(str::to_owned),
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
    functions.chain(one).map(|function| tool_call(function, function.contains_key("name"))).collect()
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

/// Why an answer ended, under the keys of several servers: a word, or an object with one as its `type`.
pub(super) fn reason(object: &Map<String, Value>) -> Option<&str> {
    let meta = object.get("meta_info").and_then(Value::as_object);
    let keys = ["finish_reason", "stop_reason", "stop_type", "done_reason"];
    let found = keys.iter().find_map(|key| object.get(*key)).or_else(|| meta?.get("finish_reason"))?;
    found.as_str().or_else(|| found.get("type").and_then(Value::as_str))
}

/// How an answer ended, in the words of any server; the error holds the reason of a text that was held back or never made.
pub(super) fn ended(reason: Option<&str>) -> Result<Ended, String> {
    Ok(match reason.map(str::to_ascii_lowercase).as_deref() {
        Some("stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" | "word" | "completed") => Ended::StopToken,
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
            reason @ ("content_filter" | "safety" | "recitation" | "prohibited_content" | "blocklist" | "spii"
            | "abort" | "error" | "cancelled" | "failed"),
        ) => {
            return Err(format!("the server ended the answer: {reason}"));
        }
        Some(reason @ ("load" | "unload")) => return Err(format!("no answer, the server did a {reason} of the model")),
        _ => Ended::Unknown,
    })
}
