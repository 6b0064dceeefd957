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
pub use template::{ChatTemplate, ShownMedia, TemplateError};
pub use tokenizer::{SpecialTokens, TextTokenizer, TokenizerError};

use std::path::Path;
use std::sync::Arc;

use thiserror::Error;

use tokenizer::VIDEO;

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
    /// A video has to be named exactly once, too.
    #[error(
        "the model takes no video: its vocabulary lacks <|video|>, or its chat template writes it \
         {0} times instead of once"
    )]
    NoVideo(usize),
    /// The frames of a video are more than the model takes.
    #[error(
        "the prompt has {tokens} tokens with the frames of the video, and the model takes {most}"
    )]
    LongVideo {
        /// Tokens, soft tokens included.
        tokens: usize,
        /// The most that there may be.
        most: usize,
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
    /// Of a query about a whole video, of which the frames are not known yet.
    video: Option<Arc<VideoPrompt>>,
}

/// A prompt in which the frames of a video have no place yet.
#[derive(Clone)]
struct VideoPrompt {
    tokenizer: Arc<TextTokenizer>,
    /// As the chat template rendered it, with `mark` within the special tokens of the user's text.
    marked: String,
    mark: char,
    context: usize,
}

impl std::fmt::Debug for VideoPrompt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VideoPrompt").field("marked", &self.marked).finish_non_exhaustive()
    }
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
            video: None,
        }
    }

    /// How many views it is about; 0 of a plain query.
    pub fn views(&self) -> usize {
        self.parts.len().saturating_sub(1)
    }

    /// The query about a whole video with frames at these times, of a query about any video: each
    /// time stands before its frame, and a space between two frames (`replace_video_token` in
    /// `processing_gemma4.py` of transformers 5.23.0). Another query stays as it is.
    ///
    /// # Errors
    /// [`PromptError`] if it is longer than the model takes, with `soft_tokens` for each frame.
    pub fn about_frames(&self, stamps: &[String], soft_tokens: u32) -> Result<Self, PromptError> {
        let Some(video) = &self.video else { return Ok(self.clone()) };
        let VideoPrompt { tokenizer, marked, mark, context } = &**video;
        let frames: Vec<String> = stamps.iter().map(|stamp| format!("{stamp} {VIDEO}")).collect();
        let marked = marked.replacen(VIDEO, &frames.join(" "), 1);
        let ids = ids(tokenizer, &marked, *mark)?;
        let [_, soft, _] = self.image;
        let parts: Vec<Vec<u32>> = ids.split(|&id| id == soft).map(<[u32]>::to_vec).collect();
        if parts.len() != stamps.len() + 1 {
            return Err(PromptError::NoVideo(parts.len() - 1));
        }
        let rendered = marked.replace(*mark, "");
        let about = Self { rendered, parts, video: None, ..self.clone() };
        // One is left for the answer.
        let (tokens, most) = (about.token_count(soft_tokens), context.saturating_sub(1));
        if tokens > most {
            return Err(PromptError::LongVideo { tokens, most });
        }
        Ok(about)
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

    /// How many ids that are, with `soft_tokens` for each view; 0 of a plain query.
    pub fn token_count(&self, soft_tokens: u32) -> usize {
        // Begin and end of an image stand around its soft tokens.
        let views = self.views() * (2 + soft_tokens as usize);
        self.parts.iter().map(Vec::len).sum::<usize>() + views
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

    /// `text` after one video, whose frames [`Query::about_frames`] puts in.
    ///
    /// # Errors
    /// [`PromptError`] if the template fails or does not name the video.
    pub fn query_about_video(
        &self,
        text: &str,
        conversation: &Conversation,
    ) -> Result<Query, PromptError> {
        match self {
            Self::Model(prompter) => prompter.query_about_video(text, conversation),
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
        let (mut marked, mark) = self.marked(ShownMedia::Images(images), text, conversation)?;
        if conversation.image_newlines {
            marked = marked.replace(&special.image, &format!("\n\n{}\n\n", special.image));
        }
        let ids = ids(&self.tokenizer, &marked, mark)?;
        let rendered = marked.replace(mark, "");
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
            video: None,
        })
    }

    /// Renders `text` after one video, whose frames [`Query::about_frames`] puts in.
    ///
    /// # Errors
    /// [`PromptError`] if the template fails or does not name the video, or the text is longer than
    /// the model takes.
    pub fn query_about_video(
        &self,
        text: &str,
        conversation: &Conversation,
    ) -> Result<Query, PromptError> {
        let special = &self.tokenizer.special;
        let Some(video_id) = special.video_id else { return Err(PromptError::NoVideo(0)) };
        let (marked, mark) = self.marked(ShownMedia::Video, text, conversation)?;
        let ids = ids(&self.tokenizer, &marked, mark)?;
        let most = self.room.context.saturating_sub(1);
        if ids.len() > most {
            return Err(PromptError::TooLong { tokens: ids.len(), most });
        }
        let parts: Vec<Vec<u32>> = ids.split(|&id| id == video_id).map(<[u32]>::to_vec).collect();
        if parts.len() != 2 {
            return Err(PromptError::NoVideo(parts.len() - 1));
        }
        let (tokenizer, context) = (Arc::clone(&self.tokenizer), self.room.context);
        Ok(Query {
            text: text.to_owned(),
            conversation: conversation.clone(),
            rendered: marked.replace(mark, ""),
            parts,
            image: [special.begin_image_id, video_id, special.end_image_id],
            video: Some(Arc::new(VideoPrompt { tokenizer, marked, mark, context })),
        })
    }

    /// The rendered prompt, with a mark within the special tokens of the user's own words, and the
    /// mark.
    fn marked(
        &self,
        shown: ShownMedia,
        text: &str,
        conversation: &Conversation,
    ) -> Result<(String, char), PromptError> {
        let system = conversation.system.as_deref();
        let mark = mark_beside([text, system.unwrap_or_default()]);
        let marked = |text| self.tokenizer.marked(text, mark);
        let system = system.map(marked);
        let rendered = self.template.render(
            shown,
            &marked(text),
            system.as_deref(),
            conversation.thinking,
            &self.tokenizer.special.bos,
        )?;
        Ok((rendered, mark))
    }
}

/// The ids of a rendered prompt that has `mark` within the special tokens of the user's own words.
fn ids(tokenizer: &TextTokenizer, marked: &str, mark: char) -> Result<Vec<u32>, TokenizerError> {
    let mut ids = Vec::new();
    for piece in marked.split(mark) {
        ids.extend(tokenizer.encode(piece)?);
    }
    Ok(ids)
}

/// A character that none of `texts` has: one of those that Unicode promises to no text.
fn mark_beside(texts: [&str; 2]) -> char {
    let mut marks = '\u{fdd0}'..='\u{fdef}';
    marks.find(|mark| !texts.iter().any(|text| text.contains(*mark))).unwrap_or('\u{fdd0}')
}
