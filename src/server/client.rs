//! A server that is asked.
//!
//! In: a question. Out: its reply. Promises: errors that may pass (a server that starts, is busy,
//! or broke off) are retried with growing pauses; others (400, 401, 404) are not; a wait ends as
//! soon as its caller stops it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::reply::{Reply, object_in};
use super::request::{self, Ask, Logprobs};
use super::retry::RetrySchedule;
use super::{AskError, Capabilities, ServerError, ServerKind, ServerOptions, address};
use crate::http::{Client, HttpError, Response, Url, read_body, retry_after};
use crate::record::Sampling;

/// The largest response that is read.
const MAX_BYTES: u64 = 64 << 20;
/// The route that every server has but Ollama, which has it besides.
pub(super) const MODELS: &str = "/v1/models";
/// The longest wait for the body of a server's description of itself.
const SELF_DESCRIPTION: Duration = Duration::from_mins(1);
/// The most characters of a server's message that are shown.
const SHOWN: usize = 300;
/// So often a wait looks whether it is still wanted.
const GLANCE: Duration = Duration::from_millis(50);
/// Texts whose tokens are counted without a picture.
const MAX_COUNTED: usize = 16;
/// Begin and end of an image, around its soft tokens.
const AROUND_IMAGE: usize = 2;
/// Servers' templates may differ from the model's by a blank or two around the image.
const TEMPLATE_SLACK: usize = 2;
/// Ollama's context grows in steps of this many tokens, since another size loads the model again.
const CONTEXT_STEP: usize = 2048;
/// Tokens that a chat template writes around a question, at most.
const TEMPLATE_TOKENS: usize = 64;
/// Tokens reserved for an answer if no limit is set.
const USUAL_ANSWER: usize = 2048;

/// A server, and what is known of it.
pub struct Server {
    /// Its name.
    pub kind: ServerKind,
    /// The model's name there.
    pub model: String,
    /// The server's identification of the weights, by kind: equal for the same model elsewhere.
    pub weights: Vec<(&'static str, String)>,
    /// Its version, as it says it.
    pub version: Option<String>,
    /// How many requests it says to answer at the same time.
    pub slots: Option<usize>,
    /// Tokens of a prompt and its answer together, if it says so and refuses to be asked for more.
    pub context: Option<usize>,
    pub(super) capabilities: Capabilities,
    options: ServerOptions,
    base: String,
    client: Client,
    /// Tokens of questions without a picture; `None` if the server does not report them.
    text_tokens: Mutex<HashMap<String, Option<usize>>>,
    context_of_ollama: AtomicUsize,
    /// Tells threads apart that wait.
    spread: AtomicU32,
}

/// One try that failed.
enum Failed {
    /// Another one may not. `away`: the server was not reached, or broke off.
    Passing {
        reason: String,
        retry_after: Option<Duration>,
        away: bool,
        view: bool,
    },
    Final(AskError),
}

impl Server {
    /// A server of which nothing is known yet.
    ///
    /// # Errors
    /// [`ServerError::Address`].
    pub(super) fn unknown(options: &ServerOptions, offline: bool) -> Result<Self, ServerError> {
        Ok(Self {
            kind: options.kind.unwrap_or(ServerKind::OpenAi),
            model: String::new(),
            weights: Vec::new(),
            version: None,
            slots: None,
            context: None,
            capabilities: Capabilities::default(),
            options: options.clone(),
            base: address::base(&options.url)?,
            client: Client::new(offline),
            text_tokens: Mutex::new(HashMap::new()),
            context_of_ollama: AtomicUsize::new(0),
            spread: AtomicU32::new(0),
        })
    }

    /// Its capabilities, as the try showed them.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Whether the probabilities of an answer are the model's own. Those of an answer that is
    /// `held` to a list of boxes are not on vLLM (0.32), which takes them after the grammar: a
    /// label that the grammar forces would be as good as certain.
    pub fn gives_scores(&self, held: bool) -> bool {
        let after_the_grammar =
            held && self.kind == ServerKind::Vllm && self.capabilities.constraint.is_some();
        self.capabilities.probabilities && !after_the_grammar
    }

    /// How it is asked.
    pub fn options(&self) -> &ServerOptions {
        &self.options
    }

    /// Its address; not to be stored.
    pub fn address(&self) -> &str {
        &self.base
    }

    /// How many images are asked about at the same time.
    pub fn concurrency(&self) -> usize {
        let usual = self.kind.usual_concurrency();
        self.options
            .concurrency
            .unwrap_or_else(|| self.slots.map_or(usual, |slots| slots.clamp(1, usual)))
            .max(1)
    }

    /// Asks. `stop` says that the answer is not wanted any more.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn ask(&self, ask: &Ask<'_>, stop: &dyn Fn() -> bool) -> Result<Reply, AskError> {
        let object = self.send(self.route(), &self.body(ask), stop)?;
        Reply::of(&object).map_err(|reason| AskError::View(self.said(&reason)))
    }

    pub(super) fn route(&self) -> &'static str {
        if self.kind == ServerKind::Ollama { "/api/chat" } else { "/v1/chat/completions" }
    }

    pub(super) fn body(&self, ask: &Ask<'_>) -> Value {
        // A token has at least a byte, and rarely fewer than two.
        let text = ask.text.len() + ask.system.map_or(0, str::len);
        let soft_tokens = ask.pictures.len() * (ask.budget as usize + AROUND_IMAGE);
        let needed = (soft_tokens + text / 2 + ask.max_tokens.max(USUAL_ANSWER) + 64)
            .next_multiple_of(CONTEXT_STEP);
        let context = self.context_of_ollama.fetch_max(needed, Ordering::Relaxed).max(needed);
        let mut ask = *ask;
        if let Some(context) = self.context {
            // A token has at least a byte; the template's own are few.
            let most = context.saturating_sub(soft_tokens + text + TEMPLATE_TOKENS);
            ask.max_tokens = ask.max_tokens.min(most.max(1));
        }
        request::body(self.kind, &self.model, &self.capabilities, &ask, context)
    }

    /// The soft tokens of a picture, from the tokens of a reply's prompt and those of its question
    /// without a picture; `None` if the server does not report them. `planned` is the expected
    /// number.
    pub fn soft_tokens(
        &self,
        ask: &Ask<'_>,
        prompt: Option<usize>,
        planned: u32,
        stop: &dyn Fn() -> bool,
    ) -> Option<u32> {
        let (prompt, text) = (prompt?, self.text_tokens(ask, stop)?);
        let image = prompt.checked_sub(text)?.checked_sub(AROUND_IMAGE)?;
        let as_planned = image.abs_diff(planned as usize) <= TEMPLATE_SLACK;
        Some(if as_planned { planned } else { u32::try_from(image).ok()? })
    }

    /// Tokens of a question without its picture, which the server is asked once.
    fn text_tokens(&self, ask: &Ask<'_>, stop: &dyn Fn() -> bool) -> Option<usize> {
        let key = format!("{}\0{}\0{}", ask.thinking, ask.system.unwrap_or_default(), ask.text);
        let mut known = self.text_tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = known.get(&key) {
            return *count;
        }
        if known.len() >= MAX_COUNTED {
            return None;
        }
        // Others that ask the same wait for it.
        let sampling = Sampling::Greedy;
        let without = Ask {
            pictures: &[],
            max_tokens: 1,
            form: None,
            logprobs: Logprobs::None,
            sampling,
            ..*ask
        };
        let count = self.ask(&without, stop).ok().and_then(|reply| reply.usage.prompt);
        known.insert(key, count);
        count
    }

    /// The ids of a text in the model's vocabulary; `None` if they do not decode to it, or the
    /// server has no tokenizer to ask.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn token_ids(
        &self,
        text: &str,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Vec<u32>>, AskError> {
        let (ask, back) = match self.kind {
            ServerKind::Vllm => (
                serde_json::json!({"model": self.model, "prompt": text,
                    "add_special_tokens": false}),
                "prompt",
            ),
            ServerKind::Llama => (
                serde_json::json!({"content": text, "add_special": false, "parse_special": false}),
                "content",
            ),
            ServerKind::Ollama | ServerKind::OpenAi => return Ok(None),
        };
        let answer = self.send("/tokenize", &ask, stop)?;
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        let ids: Option<Vec<u32>> = answer
            .get("tokens")
            .and_then(Value::as_array)
            .and_then(|ids| ids.iter().map(id).collect());
        let Some(ids) = ids.filter(|ids| !ids.is_empty()) else { return Ok(None) };
        let ask = match self.kind {
            ServerKind::Vllm => serde_json::json!({"model": self.model, "tokens": ids}),
            _ => serde_json::json!({"tokens": ids}),
        };
        let whole = self.send("/detokenize", &ask, stop)?;
        Ok((whole.get(back).and_then(Value::as_str) == Some(text)).then_some(ids))
    }

    /// Sends a body, again and again within the longest wait.
    pub(super) fn send(
        &self,
        route: &str,
        body: &Value,
        stop: &dyn Fn() -> bool,
    ) -> Result<Map<String, Value>, AskError> {
        let bytes = body.to_string().into_bytes();
        let mut retries = RetrySchedule::of(self.options.max_wait);
        loop {
            if stop() {
                return Err(AskError::Cancelled);
            }
            let (reason, retry_after, away, view) = match self.once(route, &bytes) {
                Ok(object) => return Ok(object),
                Err(Failed::Final(error)) => return Err(error),
                Err(Failed::Passing { reason, retry_after, away, view }) => {
                    (reason, retry_after, away, view)
                }
            };
            let spread = self.spread.fetch_add(1, Ordering::Relaxed);
            let Some(pause) = retries.next_pause(retry_after, spread) else {
                let hint = if away && self.kind == ServerKind::Llama { LLAMA_ABORTS } else { "" };
                let asked = retry_after.map_or_else(String::new, |wait| {
                    format!(", and wants {} s of time", wait.as_secs())
                });
                let reason = format!("{reason}{asked}{hint}");
                return Err(if view { AskError::View(reason) } else { AskError::Server(reason) });
            };
            tracing::warn!("{reason}: tried again in {} ms", pause.as_millis());
            let until = Instant::now() + pause;
            while Instant::now() < until && !stop() {
                std::thread::sleep(GLANCE.min(until.saturating_duration_since(Instant::now())));
            }
        }
    }

    /// The object at `route`; `None` if there is none. Before it waits for a server that is away,
    /// it says so to `say`.
    ///
    /// # Errors
    /// [`ServerError`] if the server is not reached, or wants a key.
    pub(super) fn get(
        &self,
        route: &str,
        say: &dyn Fn(&str),
    ) -> Result<Option<Map<String, Value>>, ServerError> {
        let mut retries = RetrySchedule::of(self.options.max_wait);
        let mut waiting = false;
        loop {
            let url = self.url(route)?;
            let error = match self.client.get(&url, &self.headers(), Some(SELF_DESCRIPTION)) {
                Ok(response) => match response.status().as_u16() {
                    status @ (401 | 403) => return Err(self.key_error(status)),
                    200 => {
                        let read = read_body(&url, response, MAX_BYTES, SELF_DESCRIPTION);
                        if let Err(error @ HttpError::TimedOut { .. }) = read {
                            // The other routes would be waited for as long.
                            return Err(error.into());
                        }
                        return Ok(read.ok().and_then(|bytes| object_in(&bytes)));
                    }
                    // What has no such route may lead to its front page.
                    300..=399 if route == MODELS => {
                        return Err(ServerError::Elsewhere { to: leads_to(&url, &response) });
                    }
                    // It is loading its model.
                    503 => HttpError::Unreachable {
                        host: url.host().to_owned(),
                        reason: "it is not ready (status 503)".to_owned(),
                    },
                    _ => return Ok(None),
                },
                Err(error @ (HttpError::Unreachable { .. } | HttpError::TimedOut { .. })) => error,
                Err(error) => return Err(error.into()),
            };
            let Some(pause) = retries.next_pause(None, 0) else { return Err(error.into()) };
            if !std::mem::replace(&mut waiting, true) {
                let wait = self.options.max_wait.as_secs();
                say(&format!("{error}; trying again for up to {wait} s."));
            }
            std::thread::sleep(pause);
        }
    }

    /// A single try.
    fn once(&self, route: &str, body: &[u8]) -> Result<Map<String, Value>, Failed> {
        let final_error = |reason: String| Failed::Final(AskError::Server(reason));
        let url = self.url(route).map_err(|error| final_error(error.to_string()))?;
        let longest = self.options.longest_answer;
        let response = self.client.post(&url, &self.headers(), body, longest);
        let away = |error: HttpError| match error {
            HttpError::TimedOut { .. } => {
                Failed::Final(AskError::View(format!("no answer: {error}")))
            }
            HttpError::TooLong { .. } => Failed::Final(AskError::View(error.to_string())),
            HttpError::Unreachable { .. } => Failed::Passing {
                reason: error.to_string(),
                retry_after: None,
                away: true,
                view: false,
            },
            error => final_error(error.to_string()),
        };
        let response = response.map_err(away)?;
        let status = response.status().as_u16();
        let asked = retry_after(response.headers());
        if (300..400).contains(&status) {
            let error = ServerError::Elsewhere { to: leads_to(&url, &response) };
            return Err(final_error(error.to_string()));
        }
        let bytes = read_body(&url, response, MAX_BYTES, longest);
        if status == 200 {
            let bytes = bytes.map_err(away)?;
            return object_in(&bytes).ok_or_else(|| {
                let text = String::from_utf8_lossy(&bytes);
                Failed::Final(AskError::View(format!(
                    "the server's answer is no JSON: {}",
                    self.said(&text)
                )))
            });
        }
        let said = bytes.map(|bytes| self.reason(&bytes)).unwrap_or_default();
        let reason =
            format!("the server says {status}{}{said}", if said.is_empty() { "" } else { ": " });
        Err(match status {
            401 | 403 => final_error(self.key_error(status).to_string()),
            400 | 413 | 415 | 422 => Failed::Final(AskError::View(reason)),
            408 | 425 | 429 | 502..=504 => {
                Failed::Passing { reason, retry_after: asked, away: false, view: false }
            }
            500 => Failed::Passing { reason, retry_after: asked, away: false, view: true },
            _ => final_error(reason),
        })
    }

    fn url(&self, route: &str) -> Result<Url, HttpError> {
        Url::parse(&format!("{}{route}", self.base))
    }

    fn headers(&self) -> Vec<(&'static str, String)> {
        self.options.key.iter().map(|key| ("authorization", key.header())).collect()
    }

    fn key_error(&self, status: u16) -> ServerError {
        ServerError::Key { status, given: self.options.key.is_some() }
    }

    /// The words of an error in a body.
    fn reason(&self, bytes: &[u8]) -> String {
        let object: Option<Map<String, Value>> = serde_json::from_slice(bytes).ok();
        let detail = |object: &Map<String, Value>| {
            let error = object.get("error").map(|error| error.get("message").unwrap_or(error));
            let said = error.or_else(|| object.get("message")).or_else(|| object.get("detail"))?;
            Some(said.as_str().map_or_else(|| said.to_string(), str::to_owned))
        };
        let text = object.as_ref().and_then(detail);
        self.said(&text.unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned()))
    }

    /// The server's message, without the key, on one line and shortened.
    fn said(&self, text: &str) -> String {
        let text =
            self.options.key.as_ref().map_or_else(|| text.to_owned(), |key| key.hidden_in(text));
        let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.len() > SHOWN {
            line.truncate(line.floor_char_boundary(SHOWN));
            line.push('…');
        }
        line
    }
}

/// Where a redirect leads. It is not followed: key and pictures are for the host that was named.
fn leads_to(from: &Url, response: &Response) -> String {
    let location = response.headers().get("location").and_then(|location| location.to_str().ok());
    let url = location.and_then(|location| from.join(location).ok());
    url.map_or_else(|| "nowhere".to_owned(), |url| url.to_string())
}

/// The likely cause if llama.cpp breaks off.
const LLAMA_ABORTS: &str = ". llama-server ends at a picture of more tokens than its micro batch \
                            with the models 12B, 26B and 31B: it is started with -b 2048 -ub 2048";
