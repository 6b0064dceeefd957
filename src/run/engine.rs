//! What answers questions about views.
//!
//! In: prepared views and their questions. Out: readings of boxes and ratings, one for each question. Promises: prompt, sizes and label of every
//! answer go into its reading, so that whoever keeps it needs nothing else.

use std::sync::Arc;

use super::questions::{FindQuestion, Question};
use crate::answer::{self, Reading};
use crate::critique::AxisQuestion;
use crate::digest;
use crate::generate::{
    Batch, BatchLimits, Finished, GenerateError, GenerateOptions, Generated, NextToken, Reply, Request, Wanted,
};
use crate::model::Model;
use crate::preprocess::{PreparedView, Region, TargetSize};
use crate::prompt::{Prompter, Query};
use crate::record::{Answer, BBox, Budget, Rating, Sampling, TokenCounts};

/// What answers questions.
pub struct Engine {
    /// Tokenizer and chat template.
    pub prompter: Arc<Prompter>,
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

/// What was learned of a view.
#[derive(Debug, Default)]
pub struct Learned {
    /// Of questions what is to be found, in their order.
    pub readings: Vec<Reading>,
    /// Of questions how it is, in their order.
    pub ratings: Vec<Rating>,
}

impl Engine {
    /// What is learned of one view by `questions`. The view is encoded once for all of them.
    ///
    /// # Errors
    /// [`GenerateError`].
    pub fn answer(
        &mut self,
        view: ShownView,
        questions: &[Question],
        options: AnswerOptions,
    ) -> Result<Learned, GenerateError> {
        let Self { prompter, model, limits } = self;
        let mut batch = Batch::new(model, &prompter.tokenizer, *limits, is_near_rounding);
        let mut asked = AskedView::new(&view, 0, "");
        let patches = (view.prepared.patches, asked.soft_tokens());
        for features in model.encode(vec![patches])? {
            batch.submit(0, features, asked.requests(questions, options));
        }
        while !batch.is_idle() {
            for finished in batch.advance(model)? {
                for (query, request) in asked.took(&finished, questions) {
                    batch.follow_up(&finished, query, request);
                }
                asked.keep(finished.query, finished.reply?);
            }
        }
        Ok(asked.learned(questions))
    }
}

/// Whether a score of an answer may change with the last digits of its tokens' probabilities.
pub(super) fn is_near_rounding(generated: &Generated) -> bool {
    answer::is_near_rounding(&generated.text, generated.ended, &generated.spans)
}

/// The most tokens of a reason: a sentence.
const REASON_TOKENS: usize = 60;
/// The most boxes of a view that are asked about.
const EXPLAINED_BOXES: usize = 12;

/// What is remembered of a view while its answers are written.
pub(super) struct AskedView {
    region: Region,
    budget: Budget,
    size: TargetSize,
    stream: u64,
    /// The question that each request is a part of.
    parts: Vec<usize>,
    /// One for each request.
    replies: Vec<Option<Reply>>,
}

impl AskedView {
    /// The view that stands at `index` of the image `image`.
    pub(super) fn new(view: &ShownView, index: usize, image: &str) -> Self {
        // Of the name alone, so that sampled answers do not depend on the order of the run.
        let stream = digest::number(image).wrapping_add((index as u64) << 32);
        let (budget, size) = (view.prepared.budget, view.prepared.size);
        Self { region: view.region, budget, size, stream, parts: Vec::new(), replies: Vec::new() }
    }

    pub(super) fn soft_tokens(&self) -> usize {
        self.size.soft_tokens() as usize
    }

    /// Every question about it, in as many requests as each needs. The place of a request is what its reply is kept by.
    pub(super) fn requests(&mut self, questions: &[Question], options: AnswerOptions) -> Vec<Request> {
        let mut requests = Vec::with_capacity(questions.len());
        for (index, question) in questions.iter().enumerate() {
            let prompt_ids = question.query().token_ids(self.size.soft_tokens());
            match question {
                Question::Find(question) => {
                    let options = GenerateOptions {
                        max_new_tokens: options.max_new_tokens,
                        sampling: options.sampling,
                        labels: question.task.labels().len(),
                        stream: self.stream.wrapping_add(index as u64),
                    };
                    let wanted = Wanted::Answer { options, grammar: question.grammar.clone() };
                    self.parts.push(index);
                    requests.push(Request { prompt_ids, wanted });
                }
                Question::Rate(question) => {
                    let places = question.words.requests(&prompt_ids);
                    self.parts.extend(places.iter().map(|_| index));
                    requests.extend(places);
                }
            }
        }
        self.replies.resize_with(self.parts.len(), || None);
        requests
    }

    /// Other requests that a reply gives rise to, and what their replies are kept by: why the view is rated so, where that is wanted and the word is
    /// known with this reply; what is wrong with each box that was found.
    pub(super) fn took(&mut self, finished: &Finished, questions: &[Question]) -> Vec<(usize, Request)> {
        let Some(&index) = self.parts.get(finished.query) else { return Vec::new() };
        let queries = match (questions.get(index), &finished.reply) {
            (Some(Question::Rate(question)), Ok(Reply::Next(now))) => {
                self.reason(question, index, finished.query, now).into_iter().collect()
            }
            // The first part of a question for boxes is its answer; the others are sentences about them.
            (Some(Question::Find(question)), Ok(Reply::Answer(answer)))
                if !self.parts[..finished.query].contains(&index) =>
            {
                question.explain.as_ref().map_or_else(Vec::new, |explain| {
                    let boxes = answer::parse(&answer.text, answer.ended).boxes;
                    boxes.iter().take(EXPLAINED_BOXES).map_while(|found| explain.query(found)).collect()
                })
            }
            _ => Vec::new(),
        };
        let options = GenerateOptions {
            max_new_tokens: REASON_TOKENS,
            sampling: Sampling::Greedy,
            labels: 1,
            stream: self.stream,
        };
        let mut requests = Vec::with_capacity(queries.len());
        for query in queries {
            self.parts.push(index);
            self.replies.push(None);
            let prompt_ids = query.token_ids(self.size.soft_tokens());
            let wanted = Wanted::Answer { options, grammar: None };
            requests.push((self.parts.len() - 1, Request { prompt_ids, wanted }));
        }
        requests
    }

    /// What asks why, once all places of a question are known with the one at `place`.
    fn reason(&self, question: &AxisQuestion, index: usize, place: usize, now: &NextToken) -> Option<Query> {
        if question.reasons.is_empty() {
            return None;
        }
        let own = self.parts.iter().zip(&self.replies).enumerate().filter(|(_, (part, _))| **part == index);
        let places = own.map(|(at, (_, reply))| match reply {
            _ if at == place => Some(now),
            Some(Reply::Next(next)) => Some(next),
            _ => None,
        });
        let places: Vec<&NextToken> = places.collect::<Option<_>>()?;
        let word = question.words.distribution(&places)?.top();
        question.reasons.get(word).cloned()
    }

    /// Keeps the reply to a request.
    pub(super) fn keep(&mut self, query: usize, reply: Reply) {
        if let Some(place) = self.replies.get_mut(query) {
            *place = Some(reply);
        }
    }

    /// What all replies together say. `questions` are those that were asked.
    pub(super) fn learned(mut self, questions: &[Question]) -> Learned {
        let mut learned = Learned::default();
        let mut replies: Vec<Vec<Reply>> = questions.iter().map(|_| Vec::new()).collect();
        for (&question, reply) in self.parts.iter().zip(std::mem::take(&mut self.replies)) {
            replies[question].extend(reply);
        }
        for (question, replies) in questions.iter().zip(replies) {
            let (mut places, mut answers) = (Vec::new(), Vec::new());
            for reply in replies {
                match reply {
                    Reply::Next(next) => places.push(next),
                    Reply::Answer(generated) => answers.push(generated),
                }
            }
            let mut answers = answers.into_iter();
            let first = answers.next();
            match question {
                Question::Find(question) => {
                    learned.readings.extend(first.map(|answer| self.reading(question, answer, answers)));
                }
                Question::Rate(question) => learned.ratings.extend(rating(question, &places, first)),
            }
        }
        learned
    }

    fn reading(
        &self,
        question: &FindQuestion,
        generated: Generated,
        sentences: impl Iterator<Item = Generated>,
    ) -> Reading {
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
        let sentences = sentences.map(|sentence| Some(sentence.text.trim().to_owned())).collect();
        Reading {
            answer,
            kind: question.kind,
            default_label: question.task.sole_label().map(str::to_owned),
            spans,
            sentences,
        }
    }
}

fn rating(question: &AxisQuestion, places: &[NextToken], reason: Option<Generated>) -> Option<Rating> {
    let distribution = question.words.distribution(&places.iter().collect::<Vec<_>>())?;
    Some(Rating {
        axis: question.axis.clone(),
        clause: question.clause.clone(),
        words: question.words.words().to_vec(),
        probabilities: distribution.probabilities,
        mass: distribution.mass,
        reason: reason.map(|reason| reason.text.trim().to_owned()),
    })
}
