//! What answers questions about views.
//!
//! In: prepared views and their questions. Out: readings, one for each question. Promises: prompt, sizes and label of every answer go into
//! its reading, so that whoever keeps it needs nothing else.

use super::questions::Question;
use crate::answer::{self, Reading};
use crate::digest;
use crate::generate::{Batch, BatchLimits, GenerateError, GenerateOptions, Generated, Request, Sampling};
use crate::model::Model;
use crate::preprocess::{Budget, PreparedView, Region, TargetSize};
use crate::prompt::Prompter;
use crate::record::{Answer, BBox, TokenCounts};

/// What answers questions.
pub struct Engine {
    /// Tokenizer and chat template.
    pub prompter: Prompter,
    /// The graphs.
    pub model: Model,
    /// How many answers are written at once.
    pub limits: BatchLimits,
}

/// A part of an image, ready to be asked about.
pub struct ShownView {
    /// Where it lies in the image.
    pub region: Region,
    /// Its patches.
    pub prepared: PreparedView,
}

/// How answers of a run are generated.
#[derive(Debug, Clone, Copy)]
pub struct AnswerOptions {
    /// The most tokens of an answer.
    pub max_new_tokens: usize,
    /// Greedy or sampled.
    pub sampling: Sampling,
}

impl Engine {
    /// The answers about one view, one for each of `questions`. The view is encoded once for all of them.
    ///
    /// # Errors
    /// [`GenerateError`].
    pub fn answer(
        &mut self,
        view: ShownView,
        questions: &[Question],
        options: AnswerOptions,
    ) -> Result<Vec<Reading>, GenerateError> {
        let Self { prompter, model, limits } = self;
        let mut batch = Batch::new(model, &prompter.tokenizer, *limits, answer::hangs_on_rounding);
        let asked = AskedView::new(&view, 0, "");
        let patches = (view.prepared.patches, asked.soft_tokens());
        for features in model.encode(vec![patches])? {
            batch.submit(0, features, asked.requests(questions, options));
        }
        let mut readings: Vec<Option<Reading>> = questions.iter().map(|_| None).collect();
        while !batch.is_idle() {
            for finished in batch.advance(model)? {
                let question = &questions[finished.query];
                readings[finished.query] = Some(asked.reading(question, finished.answer?));
            }
        }
        Ok(readings.into_iter().flatten().collect())
    }
}

/// What is remembered of a view while its answers are written.
pub(super) struct AskedView {
    region: Region,
    budget: Budget,
    size: TargetSize,
    stream: u64,
}

impl AskedView {
    /// The view that stands at `index` of the image `image`.
    pub(super) fn new(view: &ShownView, index: usize, image: &str) -> Self {
        // Of the name alone, so that sampled answers do not depend on the order of the run.
        let stream = digest::number(image).wrapping_add((index as u64) << 32);
        Self { region: view.region, budget: view.prepared.budget, size: view.prepared.size, stream }
    }

    pub(super) fn soft_tokens(&self) -> usize {
        self.size.soft_tokens() as usize
    }

    /// Every question about it.
    pub(super) fn requests(&self, questions: &[Question], options: AnswerOptions) -> Vec<Request> {
        let request = |(index, question): (usize, &Question)| Request {
            prompt_ids: question.query.token_ids(self.size.soft_tokens()),
            options: GenerateOptions {
                max_new_tokens: options.max_new_tokens,
                sampling: options.sampling,
                labels: question.task.labels().len(),
                stream: self.stream.wrapping_add(index as u64),
            },
            grammar: question.grammar.clone(),
        };
        questions.iter().enumerate().map(request).collect()
    }

    pub(super) fn reading(&self, question: &Question, generated: Generated) -> Reading {
        let tokens = TokenCounts {
            budget: self.budget.soft_tokens(),
            resized: [self.size.width, self.size.height],
            soft_tokens: self.size.soft_tokens(),
            prompt: question.query.token_count(self.size.soft_tokens()),
            answer: generated.ids.len(),
        };
        let [x, y, width, height] =
            [self.region.x, self.region.y, self.region.width, self.region.height].map(f64::from);
        let view = BBox { x0: x, y0: y, x1: x + width, y1: y + height };
        let Generated { text, spans, ended, .. } = generated;
        let answer = Answer { view, prompt: question.query.text.clone(), text, ended, tokens: Some(tokens) };
        Reading { answer, default_label: question.task.sole_label().map(str::to_owned), spans }
    }
}
