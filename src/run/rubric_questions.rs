//! A rubric's questions about a frame.
//!
//! In: a rubric, a model's tokenizer and chat template, and a frame's prompt. Out: the question of
//! each axis, or of each clause of the frame's prompt. Promises: the text that all questions share
//! stands first, so that the decoder reads it once; axes about the frame's prompt are asked only if
//! it is known, and about no more clauses than the rubric says.

use std::collections::HashMap;
use std::sync::Arc;

use crate::critique::clauses::clauses;
use crate::critique::{Axis, Kind, Rubric, RubricError};
use crate::engine::RateQuestion;
use crate::generate::{Words, WordsError};
use crate::prompt::{Conversation, PromptError, Prompts};

/// The words of an axis: as they are, and as the model's tokenizer writes them, if it is known.
type AxisWords = (Arc<[String]>, Option<Arc<Words>>);

/// Stands before a question about several frames of an animation.
fn of_one_animation(images: usize) -> String {
    format!(
        "These {images} images are frames of one animation, in their order. Judge the animation as \
         one picture: by its worst frame.\n\n"
    )
}

/// Makes the questions of frames.
pub struct RubricQuestions {
    /// The rubric.
    pub rubric: Rubric,
    /// Of the axes that are answered by a word.
    words: HashMap<String, AxisWords>,
    prompts: Prompts,
    conversation: Conversation,
}

impl RubricQuestions {
    /// The questions of `rubric`, put into prompts by `prompts`; `stop_ids` end an answer of its
    /// model.
    ///
    /// # Errors
    /// [`RubricError`] that names the axis whose words the tokenizer cannot tell apart.
    pub fn new(
        rubric: Rubric,
        prompts: Prompts,
        stop_ids: &[u32],
        conversation: Conversation,
    ) -> Result<Self, RubricError> {
        let mut all = HashMap::new();
        for axis in rubric.axes.iter().filter(|axis| !matches!(axis.kind, Kind::Defects { .. })) {
            let words = axis.words();
            let written = prompts
                .tokenizer()
                .map(|tokenizer| Words::new(tokenizer, &words, stop_ids))
                .transpose();
            let tokens = written.map_err(|error: WordsError| RubricError::Axis {
                line: None,
                axis: axis.name.clone(),
                problem: error.to_string(),
            })?;
            all.insert(axis.name.clone(), (words.into(), tokens.map(Arc::new)));
        }
        Ok(Self { rubric, words: all, prompts, conversation })
    }

    /// The questions of an axis about a frame with this prompt: none if the axis needs a prompt
    /// that is not known, or asks for boxes; several if it asks about each clause. The frame is
    /// shown as this many `images`, which are more than one of an animation.
    ///
    /// # Errors
    /// [`PromptError`].
    pub fn of(
        &self,
        axis: &Axis,
        prompt: Option<&str>,
        images: usize,
    ) -> Result<Vec<RateQuestion>, PromptError> {
        let Some(words) = self.words.get(&axis.name) else { return Ok(Vec::new()) };
        let about: Vec<Option<String>> =
            match prompt.map(str::trim).filter(|prompt| !prompt.is_empty()) {
                _ if !axis.needs_prompt() => vec![None],
                None => Vec::new(),
                Some(prompt) if axis.asks_clauses() => {
                    clauses(prompt, &self.rubric.clauses).into_iter().map(Some).collect()
                }
                Some(prompt) => vec![Some(prompt.to_owned())],
            };
        about.into_iter().map(|about| self.question(axis, words, about, images)).collect()
    }

    fn question(
        &self,
        axis: &Axis,
        words: &AxisWords,
        about: Option<String>,
        images: usize,
    ) -> Result<RateQuestion, PromptError> {
        let (words, tokens) = words.clone();
        let before = if images > 1 { of_one_animation(images) } else { String::new() };
        let query = |text: &str| {
            self.prompts.query_about(images, &format!("{before}{text}"), &self.conversation)
        };
        let why = |word: &String| query(&self.rubric.reason_text(axis, about.as_deref(), word));
        let reasons =
            if axis.why { words.iter().map(why).collect::<Result<_, _>>()? } else { Vec::new() };
        let text = self.rubric.text(axis, about.as_deref());
        Ok(RateQuestion {
            axis: axis.name.clone(),
            query: query(&text)?,
            views: (0..images).collect(),
            words,
            tokens,
            reasons,
            clause: about,
        })
    }
}
