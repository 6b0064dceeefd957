//! A task to the token ids that the decoder reads.
//!
//! In: a task, and a model directory's tokenizer and chat template. Out: token ids in which the
//! image token stands once, and that sequence with the image token expanded for a view. Promises:
//! the ids equal those of Hugging Face's processor for the same directory; nothing about the
//! template is hard-coded; only the template writes special tokens: in a label, a prompt or a file
//! they are plain words, and cannot end a turn or name an image.
//!
//! ```
//! use gemscope::prompt::{Conversation, Prompter};
//!
//! let prompter = Prompter::open("fixtures/demo-model".as_ref())?;
//! let query = prompter.query("detect star", &Conversation::default())?;
//! assert_eq!(query.token_ids(256).len(), query.token_count(256));
//! # Ok::<(), gemscope::prompt::PromptError>(())
//! ```

mod per_image;
mod template;
mod tokenizer;

pub use per_image::{ImageTask, read_image_tasks};
pub use template::{ChatTemplate, TemplateError};
pub use tokenizer::{SpecialTokens, TextTokenizer, TokenizerError};

use std::path::Path;
use std::sync::Arc;

use thiserror::Error;

/// Why there is no prompt.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PromptError {
    /// The chat template.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The tokenizer.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The rendered prompt must name each image exactly once.
    #[error(
        "the chat template writes the image token {token} {count} times instead of {images}; is \
         it that of a text model?"
    )]
    ImageTokens {
        /// How it is written.
        token: String,
        /// How often it stands there.
        count: usize,
        /// How often it should.
        images: usize,
    },
    /// More than the model takes.
    #[error(
        "the prompt has {tokens} tokens of text, and the model takes {most} beside the image: ask \
         for fewer labels at once, or in fewer words"
    )]
    TooLong {
        /// Tokens of the text.
        tokens: usize,
        /// The most that there may be.
        most: usize,
    },
}

/// System prompt, thinking, blank lines around the image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conversation {
    /// A system prompt.
    pub system: Option<String>,
    /// Whether the model may think before it answers.
    pub thinking: bool,
    /// Whether the image gets `\n\n` on both sides, as transformers.js and onnxruntime-genai write
    /// it whatever the chat template says (`processing_gemma4.js` of transformers.js 4.3.1).
    /// Hugging Face adds nothing.
    pub image_newlines: bool,
}

/// One query, for views of any size.
#[derive(Debug, Clone)]
pub struct Query {
    /// The user's text.
    pub text: String,
    /// System prompt, thinking, blank lines around the image.
    pub conversation: Conversation,
    /// The whole prompt as the chat template rendered it, the image token standing once for each
    /// image. Of a plain one, a mark of thinking, system prompt and text.
    pub rendered: String,
    /// The ids before the first image, between each two, and after the last; none of a plain query.
    parts: Vec<Vec<u32>>,
    image: [u32; 3],
}

impl Query {
    /// A query without token ids.
    fn plain(text: &str, conversation: &Conversation) -> Self {
        let system = conversation.system.iter().map(String::as_str);
        let thinking = conversation.thinking.then_some("<|think|>").into_iter();
        let rendered = thinking.chain(system).chain([text]).collect::<Vec<_>>().join("\n\n");
        Self {
            text: text.to_owned(),
            conversation: conversation.clone(),
            rendered,
            parts: Vec::new(),
            image: [0; 3],
        }
    }

    /// The prompt's ids for a view of `soft_tokens`: the image token becomes begin, `soft_tokens`
    /// times the token, end. (`processing_gemma4.py` of transformers 5.23.0.) None of a plain
    /// query.
    pub fn token_ids(&self, soft_tokens: u32) -> Vec<u32> {
        self.token_ids_of(&[soft_tokens])
    }

    /// The same for a query about several views, with the soft tokens of each.
    pub fn token_ids_of(&self, soft_tokens: &[u32]) -> Vec<u32> {
        let [begin, soft, end] = self.image;
        let mut parts = self.parts.iter();
        let mut ids = parts.next().cloned().unwrap_or_default();
        for (&soft_tokens, part) in soft_tokens.iter().zip(parts) {
            ids.push(begin);
            ids.extend(std::iter::repeat_n(soft, soft_tokens as usize));
            ids.push(end);
            ids.extend(part);
        }
        ids
    }

    /// How many ids that are; 0 of a plain query.
    pub fn token_count(&self, soft_tokens: u32) -> usize {
        if self.parts.is_empty() {
            return 0;
        }
        // Begin and end of the image stand around its soft tokens.
        self.parts.iter().map(Vec::len).sum::<usize>() + 2 + soft_tokens as usize
    }
}

/// Puts questions into prompts.
#[derive(Clone)]
pub enum Prompts {
    /// A model's chat template and tokenizer.
    Model(Arc<Prompter>),
    /// Nothing: the engine does that itself, or needs no prompt.
    Plain,
}

impl Prompts {
    /// `text` after one image.
    ///
    /// # Errors
    /// [`PromptError`] if the template fails or does not name the image.
    pub fn query(&self, text: &str, conversation: &Conversation) -> Result<Query, PromptError> {
        self.query_about(1, text, conversation)
    }

    /// `text` after this many images.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub fn query_about(
        &self,
        images: usize,
        text: &str,
        conversation: &Conversation,
    ) -> Result<Query, PromptError> {
        match self {
            Self::Model(prompter) => prompter.query_about(images, text, conversation),
            Self::Plain => Ok(Query::plain(text, conversation)),
        }
    }

    /// The tokenizer of a model.
    pub fn tokenizer(&self) -> Option<&TextTokenizer> {
        match self {
            Self::Model(prompter) => Some(&prompter.tokenizer),
            Self::Plain => None,
        }
    }
}

/// Tokenizer and chat template of one model directory.
pub struct Prompter {
    /// The tokenizer.
    pub tokenizer: Arc<TextTokenizer>,
    template: ChatTemplate,
    room: Room,
}

/// The limits of a model's prompts.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Tokens of a prompt and its answer together.
    pub context: usize,
    /// Tokens that an image may take of them.
    pub image: usize,
}

impl Prompter {
    /// Reads `tokenizer.json`, `tokenizer_config.json` and the chat template of `directory`.
    ///
    /// # Errors
    /// [`PromptError`] that names the file.
    pub fn open(directory: &Path) -> Result<Self, PromptError> {
        let (tokenizer, template) =
            (Arc::new(TextTokenizer::open(directory)?), ChatTemplate::open(directory)?);
        Ok(Self { tokenizer, template, room: Room { context: usize::MAX, image: 0 } })
    }

    /// The same for a model that takes so much: a longer prompt is refused, since attention over it
    /// takes memory by the square of its length.
    #[must_use]
    pub fn within(self, room: Room) -> Self {
        Self { room, ..self }
    }

    /// Renders and tokenizes `text` after one image.
    ///
    /// # Errors
    /// [`PromptError`] if the template fails or does not name the image.
    pub fn query(&self, text: &str, conversation: &Conversation) -> Result<Query, PromptError> {
        self.query_about(1, text, conversation)
    }

    /// Renders and tokenizes `text` after this many images.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub fn query_about(
        &self,
        images: usize,
        text: &str,
        conversation: &Conversation,
    ) -> Result<Query, PromptError> {
        let special = &self.tokenizer.special;
        let system = conversation.system.as_deref();
        let mark = mark_beside([text, system.unwrap_or_default()]);
        let marked = |text| self.tokenizer.marked(text, mark);
        let system = system.map(marked);
        let mut rendered = self.template.render(
            images,
            &marked(text),
            system.as_deref(),
            conversation.thinking,
            &special.bos,
        )?;
        if conversation.image_newlines {
            rendered = rendered.replace(&special.image, &format!("\n\n{}\n\n", special.image));
        }
        let mut ids = Vec::new();
        for piece in rendered.split(mark) {
            ids.extend(self.tokenizer.encode(piece)?);
        }
        let rendered = rendered.replace(mark, "");
        // One is left for the answer.
        let most = self.room.context.saturating_sub(images * self.room.image + 1);
        if ids.len() > most {
            return Err(PromptError::TooLong { tokens: ids.len(), most });
        }
        let parts: Vec<Vec<u32>> =
            ids.split(|&id| id == special.image_id).map(<[u32]>::to_vec).collect();
        if parts.len() != images + 1 {
            return Err(PromptError::ImageTokens {
                token: special.image.clone(),
                count: parts.len() - 1,
                images,
            });
        }
        Ok(Query {
            text: text.to_owned(),
            conversation: conversation.clone(),
            rendered,
            parts,
            image: [special.begin_image_id, special.image_id, special.end_image_id],
        })
    }
}

/// A character that none of `texts` has: one of those that Unicode promises to no text.
fn mark_beside(texts: [&str; 2]) -> char {
    let mut marks = '\u{fdd0}'..='\u{fdef}';
    marks.find(|mark| !texts.iter().any(|text| text.contains(*mark))).unwrap_or('\u{fdd0}')
}
