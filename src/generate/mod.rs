//! Prompts and soft tokens to answers.
//!
//! In: a model, queries' token ids, views' soft tokens. Out: the generated ids, the text, and the
//! probability that the decoder itself gave to each token; or, of a question that a few words
//! answer, how probable each of them is, without any being written. Promises: greedy ids equal
//! Hugging Face's `generate()` on the same weights, however many answers are written at once; the
//! KV cache stays inside ONNX Runtime; under a grammar an answer cannot be malformed; an answer
//! that repeats itself is stopped and says so.
//!
//! ```
//! use gemscope::generate::{GenerateError, GenerateOptions, Request, RequestKind, generate};
//! use gemscope::model::{Features, Model};
//! use gemscope::prompt::{Prompter, Query};
//! use gemscope::record::Sampling;
//!
//! /// The text of one greedy answer about a view with `soft_tokens` soft tokens.
//! fn answer(
//!     model: &mut Model,
//!     prompter: &Prompter,
//!     query: &Query,
//!     features: Features,
//!     soft_tokens: u32,
//! ) -> Result<String, GenerateError> {
//!     let options = GenerateOptions {
//!         max_new_tokens: 2048,
//!         sampling: Sampling::Greedy,
//!         labels: 1,
//!         stream: 0,
//!     };
//!     let kind = RequestKind::Generate { options, grammar: None };
//!     let request = Request { prompt_ids: query.token_ids(soft_tokens), kind };
//!     let reply = generate(model, &prompter.tokenizer, features, request)?;
//!     Ok(reply.into_answer().map(|answer| answer.text).unwrap_or_default())
//! }
//! ```

mod answer_stream;
mod batch;
mod grammar;
mod next_token;
mod plan;
mod reader;
mod repetition;
mod rescore;
mod sampling;
mod text;
mod words;

pub use batch::{Batch, DecoderWork, Finished};
pub use grammar::{Grammar, GrammarError, GrammarFactory, Labels};
pub use next_token::NextToken;
pub use plan::BatchLimits;
pub use rescore::RescoreRule;
pub use words::{Distribution, Words, WordsError};

use std::sync::Arc;

use thiserror::Error;

use crate::answer::TokenSpan;
use crate::model::{Features, GraphError, Model};
use crate::prompt::{TextTokenizer, TokenizerError};
use crate::record::{Ended, Sampling};

/// Why there is no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// A graph failed.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The view has no soft tokens: the vision graph failed.
    #[error("{0}")]
    Vision(String),
    /// An id has no text.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A grammar failed.
    #[error(transparent)]
    Grammar(#[from] GrammarError),
    /// The decoder gave NaN, or every token is suppressed.
    #[error(
        "the decoder gave no usable probabilities at token {0} (NaN or all suppressed); try \
         another dtype of the graphs"
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
    /// Mixed into the sampling seed, so that each image draws its own numbers whatever the order of
    /// the run.
    pub stream: u64,
}

/// One generated answer.
#[derive(Debug, Clone)]
pub struct Generated {
    /// The ids, stop token included if there is one.
    pub ids: Vec<u32>,
    /// The text, without the stop token.
    pub text: String,
    /// The bytes of `text` that each id stands for, and its probability.
    pub spans: Vec<TokenSpan>,
    /// How it ended.
    pub ended: Ended,
}

/// One query about a view, ready to be decoded.
#[derive(Clone)]
pub struct Request {
    /// The whole prompt; one id stands for each soft token of the view.
    pub prompt_ids: Vec<u32>,
    /// The kind of reply that is wanted.
    pub kind: RequestKind,
}

/// The kind of reply that a request wants.
#[derive(Clone)]
pub enum RequestKind {
    /// An answer.
    Generate {
        /// How it is generated.
        options: GenerateOptions,
        /// The grammar of the answer; `None` allows anything.
        grammar: Option<Arc<Grammar>>,
    },
    /// How probable these ids are as the very next token. They are different from each other.
    ScoreNext(Arc<[u32]>),
}

/// The reply to a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// An answer was written.
    Answer(Generated),
    /// The next token was scored.
    Next(NextToken),
}

impl Reply {
    /// The answer, if one was wanted.
    pub fn into_answer(self) -> Option<Generated> {
        match self {
            Self::Answer(answer) => Some(answer),
            Self::Next(_) => None,
        }
    }
}

/// Does one query about the view whose soft tokens are `features`.
///
/// # Errors
/// [`GenerateError`].
pub fn generate(
    model: &mut Model,
    tokenizer: &Arc<TextTokenizer>,
    features: Features,
    request: Request,
) -> Result<Reply, GenerateError> {
    let mut batch = Batch::new(model, tokenizer, BatchLimits::single(), |_| false);
    batch.submit(0, features, vec![(0, request)]);
    loop {
        if let Some(finished) = batch.advance(model)?.pop() {
            return finished.reply;
        }
    }
}
