//! One response: what it is about, and what it says.
//!
//! In: a JSON object. Out: a [`Response`], or a piece of one that a server streamed.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::body::{Body, Outcome, error, text};
use super::tokens::Tokens;
use super::{Problem, llama_cpp, ollama, openai, own};
use crate::answer::TokenSpan;
use crate::record::Ended;

/// A server's response to one request.
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
    /// The message.
    pub outcome: Outcome,
    /// Answers to the same request; the first one is [`Self::outcome`].
    pub choices: usize,
    /// The tokens of the answer.
    pub(super) tokens: Tokens,
}

impl Response {
    /// The response whose body a server sent as it is, about a question that is known.
    ///
    /// # Errors
    /// [`Problem`] if it is none.
    pub(crate) fn of_body(object: &Map<String, Value>) -> Result<Self, Problem> {
        let Body { outcome, tokens, choices, model, .. } = body_of(object, object)?;
        let (image, custom_id, question, size) = (None, None, None, None);
        Ok(Self {
            image,
            custom_id,
            question,
            rendered: false,
            size,
            model,
            outcome,
            choices,
            tokens,
        })
    }

    /// The positions of the answer's tokens in its `text`; empty if no probabilities came, `None`
    /// if they do not add up to it.
    pub(crate) fn spans(&self, text: &str) -> Option<Vec<TokenSpan>> {
        self.tokens.spans(text)
    }
}

/// Responses whose pieces come one by one.
#[derive(Default)]
pub(super) struct Assembler {
    /// The streams that have not ended, by what their pieces have in common: image, `custom_id`,
    /// and a name of their own.
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
    /// Takes an object; a response that is whole with it comes back, with the line that it begins
    /// in.
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
            // A single piece does not tell. Several were cut off, as by a limit.
            if let (true, Outcome::Answer { ended, .. }) =
                (stream.pieces > 1, &mut stream.response.outcome)
            {
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
    let response =
        Response { image, custom_id, question, rendered, size, model, outcome, choices, tokens };
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
    let readers = [
        openai::completion,
        openai::response,
        ollama::chat,
        ollama::generate,
        llama_cpp::completion,
    ];
    if let Some(body) = readers.iter().find_map(|read| read(object)) {
        return Ok(body);
    }
    let request = |object: &Map<String, Value>| {
        object.contains_key("messages") || object.contains_key("input")
    };
    if request(object) || object.get("body").and_then(Value::as_object).is_some_and(request) {
        return Err(Problem::IsRequest);
    }
    let keys = object.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    Err(Problem::UnknownFormat { keys })
}

/// One line of a batch's output or error file.
fn batch_result(
    response: &Map<String, Value>,
    body: &Value,
    line: &Map<String, Value>,
) -> Result<Body, Problem> {
    const BAD_REQUEST: u64 = 400;
    let status =
        response.get("status_code").and_then(Value::as_u64).filter(|status| *status >= BAD_REQUEST);
    let said = error(line).or_else(|| body.as_object().and_then(error));
    match (status, said, body.as_object()) {
        (Some(status), Some(said), _) => Ok(Body::failed(format!("status {status}: {said}"))),
        (Some(status), None, _) => Ok(Body::failed(format!("status {status}"))),
        (None, Some(said), _) => Ok(Body::failed(said)),
        (None, None, Some(body)) => body_of(body, line),
        (None, None, None) => Ok(Body::failed("the response has no body".to_owned())),
    }
}

fn size(object: &Map<String, Value>) -> Result<Option<(u32, u32)>, Problem> {
    let side = |key: &'static str| match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        // Some writers make a floating-point number of every number.
        Some(value) => {
            match value
                .as_f64()
                .filter(|side| side.fract() == 0.0 && (1.0..=f64::from(u32::MAX)).contains(side))
            {
                Some(side) => Ok(Some(side as u32)),
                None => {
                    Err(Problem::Value { key, problem: format!("{value} is no number of pixels") })
                }
            }
        }
    };
    match (side("width")?, side("height")?) {
        (Some(width), Some(height)) => Ok(Some((width, height))),
        (None, None) => Ok(None),
        (Some(_), None) => {
            Err(Problem::Value { key: "height", problem: "is missing beside width".to_owned() })
        }
        (None, Some(_)) => {
            Err(Problem::Value { key: "width", problem: "is missing beside height".to_owned() })
        }
    }
}
