//! The decode loop: a prompt and soft tokens to an answer.
//!
//! In: a model, a query's token ids, a view's soft tokens. Out: the generated ids, the text, and the probability that the decoder
//! itself gave to each token. Promises: greedy ids equal Hugging Face's `generate()` on the same weights; the KV cache stays inside
//! ONNX Runtime; an answer that repeats itself is stopped and says so.

mod repetition;
mod sampling;
mod text;

pub use sampling::Sampling;
pub use text::{TokenSpan, box_probabilities};

use thiserror::Error;

use crate::model::{Features, GraphError, Model, Step};
use crate::prompt::{TextTokenizer, TokenizerError};
use crate::record::Ended;
use repetition::RepetitionGuard;
use sampling::Sampler;
use text::TextStream;

/// Why there is no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// A graph failed.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// An id has no text.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The decoder gave NaN, or every token is suppressed.
    #[error(
        "the decoder gave no usable probabilities at token {0} (NaN or all suppressed); try another dtype of the graphs"
    )]
    NoProbabilities(usize),
}

/// How answers are generated.
#[derive(Debug, Clone, Copy)]
pub struct GenerateOptions {
    /// The most tokens of an answer.
    pub max_new_tokens: usize,
    /// Greedy or sampled.
    pub sampling: Sampling,
    /// How many labels were asked for: so often may one box stand in an answer.
    pub labels: usize,
    /// Mixed into the sampling seed, so that each image draws its own numbers whatever the order of the run.
    pub stream: u64,
}

/// One generated answer.
#[derive(Debug, Clone)]
pub struct Generated {
    /// The ids, stop token included where there is one.
    pub ids: Vec<u32>,
    /// The text, without the stop token.
    pub text: String,
    /// Where each id of `text` stands in it and how probable it was.
    pub spans: Vec<TokenSpan>,
    /// How it ended.
    pub ended: Ended,
}

/// Generates the answer to `prompt_ids` about the view whose soft tokens are `features`.
///
/// # Errors
/// [`GenerateError`].
pub fn generate(
    model: &mut Model,
    tokenizer: &TextTokenizer,
    prompt_ids: &[u32],
    features: &Features,
    options: &GenerateOptions,
) -> Result<Generated, GenerateError> {
    let stop_ids = model.config.stop_ids.clone();
    let suppressed = model.config.suppressed_ids.clone();
    let mut sampler = Sampler::new(options.sampling, options.stream);
    let mut guard = RepetitionGuard::new(options.labels);
    let mut text = TextStream::new(tokenizer);
    let mut ids = Vec::new();
    let mut cache = model.empty_cache()?;
    let mut new_ids: Vec<i64> = prompt_ids.iter().map(|&id| i64::from(id)).collect();
    let mut attention_mask = vec![1; new_ids.len()];
    let ended = loop {
        if ids.len() == options.max_new_tokens {
            break Ended::TokenLimit;
        }
        let position_ids: Vec<i64> =
            (cache.length()..cache.length() + new_ids.len()).map(|place| place as i64).collect();
        let embedded = model.embed(&new_ids, Some(features).filter(|_| ids.is_empty()))?;
        let step = Step { embedded, ids: &new_ids, attention_mask: &attention_mask, position_ids: &position_ids };
        let logits = model.decode(step, &mut cache)?;
        let picked = sampler.pick(logits, &suppressed).ok_or(GenerateError::NoProbabilities(ids.len()))?;
        ids.push(picked.id);
        if stop_ids.contains(&picked.id) {
            break Ended::StopToken;
        }
        text.push(picked.id, picked.log_probability)?;
        if guard.repeats(picked.id, text.text()) {
            break Ended::Looped;
        }
        new_ids = vec![i64::from(picked.id)];
        attention_mask.push(1);
    };
    let (text, spans) = text.finish();
    Ok(Generated { ids, text, spans, ended })
}
