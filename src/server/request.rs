//! A question in the words of each dialect.
//!
//! In: pictures, a question, how it is to be answered. Out: the body of a request. Promises: the
//! picture stands before the question in one turn of the user, so that a server's prefix cache
//! serves the next question about it; temperature and penalties are always said, since servers have
//! defaults of their own.

use serde_json::{Value, json};

use super::{AnswerForm, Capabilities, Constraint, Picture, ServerKind};
use crate::record::Sampling;

/// Tokens of the most probable ones that most servers give at most.
const TOP: usize = 20;
/// llama.cpp gives as many as are asked for.
const TOP_OF_LLAMA: usize = 200;
/// Tokens that Ollama takes in at once: an image's must fit if the model looks at all of it
/// together.
const OLLAMA_BATCH: usize = 2048;

/// Which probabilities are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logprobs<'a> {
    /// None.
    None,
    /// Probabilities of the answer's tokens.
    OfAnswer,
    /// Probabilities of its first token, for these ids if they are known.
    OfFirstToken(Option<&'a [u32]>),
}

/// A question.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// A system prompt.
    pub system: Option<&'a str>,
    /// Whether the model may think first.
    pub thinking: bool,
    /// The pictures, in order; may be none.
    pub pictures: &'a [Picture],
    /// The question.
    pub text: &'a str,
    /// The most tokens of the answer.
    pub max_tokens: usize,
    /// How tokens are chosen; its seed is the question's own.
    pub sampling: Sampling,
    /// The constraint on the answer.
    pub form: Option<&'a AnswerForm>,
    /// Which probabilities are wanted.
    pub logprobs: Logprobs<'a>,
    /// Soft tokens that a picture may become.
    pub budget: u32,
}

/// The body of the request for `ask`. `context` is the room for Ollama's prompt and answer.
pub(super) fn body(
    kind: ServerKind,
    model: &str,
    capabilities: &Capabilities,
    ask: &Ask<'_>,
    context: usize,
) -> Value {
    match kind {
        ServerKind::Ollama => ollama(model, capabilities, ask, context),
        _ => openai(kind, model, capabilities, ask),
    }
}

/// How the next token is chosen: temperature, `top_p`, `top_k`, seed.
fn sampling(sampling: Sampling) -> (f32, Option<f32>, Option<usize>, u64) {
    match sampling {
        Sampling::Greedy => (0.0, None, None, 0),
        // Signed 32 bits is what every server takes.
        Sampling::Drawn { temperature, top_p, top_k, seed } => {
            (temperature, Some(top_p), Some(top_k).filter(|top_k| *top_k > 0), seed & 0x7fff_ffff)
        }
    }
}

fn openai(kind: ServerKind, model: &str, capabilities: &Capabilities, ask: &Ask<'_>) -> Value {
    let mut content: Vec<Value> = ask
        .pictures
        .iter()
        .map(|picture| json!({"type": "image_url", "image_url": {"url": picture.data_url()}}))
        .collect();
    content.push(json!({"type": "text", "text": ask.text}));
    let mut messages: Vec<Value> =
        ask.system.iter().map(|text| json!({"role": "system", "content": text})).collect();
    messages.push(json!({"role": "user", "content": content}));
    let (temperature, top_p, top_k, seed) = sampling(ask.sampling);
    let mut body = json!({
        "model": model, "messages": messages, "stream": false,
        "max_tokens": ask.max_tokens, "temperature": temperature, "seed": seed,
    });
    if let Some(top_p) = top_p {
        body["top_p"] = json!(top_p);
    }
    let plain = kind == ServerKind::OpenAi;
    if let Some(top_k) = top_k.filter(|_| !plain) {
        body["top_k"] = json!(top_k);
    }
    if !plain {
        body["chat_template_kwargs"] = json!({"enable_thinking": ask.thinking});
    }
    if capabilities.probabilities {
        ask_for_logprobs(kind, ask.logprobs, &mut body);
    }
    match kind {
        ServerKind::Vllm => {
            // Penalties of the model's generation_config.json would be applied otherwise.
            body["repetition_penalty"] = json!(1.0);
            if ask.thinking {
                // The marks of a thought, if no parser of the server removes them.
                body["skip_special_tokens"] = json!(false);
            }
            if capabilities.budget && !ask.pictures.is_empty() {
                body["mm_processor_kwargs"] = json!({"max_soft_tokens": ask.budget});
            }
        }
        ServerKind::Llama => body["cache_prompt"] = json!(true),
        ServerKind::Ollama | ServerKind::OpenAi => {}
    }
    if let (Some(form), Some(constraint)) = (ask.form, capabilities.constraint) {
        let grammar = form.gbnf().filter(|_| constraint == Constraint::Grammar);
        match (kind, grammar) {
            (ServerKind::Vllm, Some(grammar)) => {
                body["structured_outputs"] = json!({"grammar": grammar});
            }
            (ServerKind::Vllm, None) => {
                body["structured_outputs"] = json!({"json": form.schema()});
            }
            (ServerKind::Llama, Some(grammar)) => body["grammar"] = json!(grammar),
            // At the top level: under response_format its documentation and its code differ.
            (ServerKind::Llama, None) => body["json_schema"] = form.schema(),
            _ => {
                let schema = json!({"name": form.name(), "strict": true, "schema": form.schema()});
                body["response_format"] = json!({"type": "json_schema", "json_schema": schema});
            }
        }
    }
    body
}

fn ask_for_logprobs(kind: ServerKind, logprobs: Logprobs<'_>, body: &mut Value) {
    let top = match logprobs {
        Logprobs::None => return,
        // 0 gives none at all on llama.cpp.
        Logprobs::OfAnswer => 1,
        Logprobs::OfFirstToken(_) if kind == ServerKind::Llama => TOP_OF_LLAMA,
        Logprobs::OfFirstToken(_) => TOP,
    };
    body["logprobs"] = json!(true);
    body["top_logprobs"] = json!(top);
    if let (ServerKind::Vllm, Logprobs::OfFirstToken(Some(ids))) = (kind, logprobs) {
        body["logprob_token_ids"] = json!(ids);
        body["return_tokens_as_token_ids"] = json!(true);
    }
}

fn ollama(model: &str, capabilities: &Capabilities, ask: &Ask<'_>, context: usize) -> Value {
    let mut messages: Vec<Value> =
        ask.system.iter().map(|text| json!({"role": "system", "content": text})).collect();
    let mut user = json!({"role": "user", "content": ask.text});
    if !ask.pictures.is_empty() {
        user["images"] = ask.pictures.iter().map(Picture::base64).collect();
    }
    messages.push(user);
    let (temperature, top_p, top_k, seed) = sampling(ask.sampling);
    let mut options = json!({
        "temperature": temperature, "seed": seed, "num_predict": ask.max_tokens, "num_ctx": context,
        "num_batch": OLLAMA_BATCH, "repeat_penalty": 1.0,
        "top_p": top_p.unwrap_or(1.0), "top_k": top_k.unwrap_or(0), "min_p": 0.0,
    });
    if matches!(ask.sampling, Sampling::Greedy) {
        options["top_k"] = json!(1);
    }
    let mut body = json!({
        "model": model, "messages": messages, "stream": false, "think": ask.thinking,
        "options": options, "keep_alive": "10m",
    });
    if capabilities.probabilities && ask.logprobs != Logprobs::None {
        body["logprobs"] = json!(true);
        body["top_logprobs"] =
            json!(if matches!(ask.logprobs, Logprobs::OfFirstToken(_)) { TOP } else { 1 });
    }
    if let (Some(form), Some(_)) = (ask.form, capabilities.constraint) {
        body["format"] = form.schema();
    }
    body
}
