//! Views whose answers are being written by the graphs.
//!
//! In: a view's questions. Out: the requests that they make, and what their replies say together.
//! Promises: prompt, sizes and label of every answer go into its reading, so that whoever keeps it
//! needs nothing else.

use std::sync::Arc;

use crate::answer;
use crate::engine::{
    AnswerOptions, Asked, EXPLAINED_BOXES, FindQuestion, Learned, Question, REASON_TOKENS,
    RateQuestion, Shown,
};
use crate::generate::{Finished, GenerateOptions, Generated, NextToken, Reply, Request, Wanted};
use crate::preprocess::TargetSize;
use crate::prompt::Query;
use crate::record::{Answer, BBox, Budget, Rating, Sampling, TokenCounts};

/// What is remembered of a view while its answers are written.
pub(super) struct AskedView {
    asked: Arc<Asked>,
    /// Of the first view.
    bbox: BBox,
    budget: Budget,
    size: TargetSize,
    /// Of each view.
    soft_tokens: Vec<u32>,
    options: AnswerOptions,
    stream: u64,
    /// The question that each request is a part of.
    parts: Vec<usize>,
    /// One for each request.
    replies: Vec<Option<Reply>>,
}

impl AskedView {
    /// What is shown, which is at least one view; `None` otherwise.
    pub(super) fn of(shown: &Shown) -> Option<Self> {
        let stream = shown.stream();
        let first = shown.views.first()?;
        Some(Self {
            asked: Arc::clone(&shown.asked),
            bbox: first.bbox(),
            budget: first.budget,
            size: first.size,
            soft_tokens: shown.views.iter().map(|view| view.size.soft_tokens()).collect(),
            options: shown.options,
            stream,
            parts: Vec::new(),
            replies: Vec::new(),
        })
    }

    /// Every question, in as many requests as each needs: which views each request is about, and
    /// what its reply is kept by.
    pub(super) fn requests(&mut self) -> Vec<(Vec<usize>, usize, Request)> {
        let asked = Arc::clone(&self.asked);
        let mut requests = Vec::with_capacity(asked.questions.len());
        for (index, question) in asked.questions.iter().enumerate() {
            match question {
                Question::Find(question) => {
                    let options = GenerateOptions {
                        max_new_tokens: self.options.max_new_tokens,
                        sampling: self.options.sampling,
                        labels: question.task.labels().len(),
                        stream: self.stream.wrapping_add(index as u64),
                    };
                    let wanted = Wanted::Answer { options, grammar: question.grammar.clone() };
                    let prompt_ids = question.query.token_ids(self.size.soft_tokens());
                    requests.push((vec![0], self.part(index), Request { prompt_ids, wanted }));
                }
                Question::Rate(question) => {
                    let soft_tokens =
                        |view: &usize| self.soft_tokens.get(*view).copied().unwrap_or(0);
                    let soft_tokens: Vec<u32> = question.views.iter().map(soft_tokens).collect();
                    let prompt_ids = question.query.token_ids_of(&soft_tokens);
                    let places = question
                        .tokens
                        .as_ref()
                        .map_or_else(Vec::new, |tokens| tokens.requests(&prompt_ids));
                    for place in places {
                        requests.push((question.views.clone(), self.part(index), place));
                    }
                }
            }
        }
        requests
    }

    /// A new part of the question at `index`.
    fn part(&mut self, index: usize) -> usize {
        self.parts.push(index);
        self.replies.push(None);
        self.parts.len() - 1
    }

    /// Other requests that a reply gives rise to, and what their replies are kept by: why the view
    /// is rated so, where that is wanted and the word is known with this reply; what is wrong with
    /// each box that was found.
    pub(super) fn took(&mut self, finished: &Finished) -> Vec<(usize, Request)> {
        let asked = Arc::clone(&self.asked);
        let Some(&index) = self.parts.get(finished.query) else { return Vec::new() };
        let queries = match (asked.questions.get(index), &finished.reply) {
            (Some(Question::Rate(question)), Ok(Reply::Next(now))) => {
                self.reason(question, index, finished.query, now).into_iter().collect()
            }
            // The first part of a question for boxes is its answer; the others are sentences about
            // them.
            (Some(Question::Find(question)), Ok(Reply::Answer(answer)))
                if !self.parts[..finished.query].contains(&index) =>
            {
                question.explain.as_ref().map_or_else(Vec::new, |explain| {
                    let boxes = answer::parse(&answer.text, answer.ended).boxes;
                    boxes
                        .iter()
                        .take(EXPLAINED_BOXES)
                        .map_while(|found| explain.query(found))
                        .collect()
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
            let prompt_ids = query.token_ids(self.size.soft_tokens());
            let wanted = Wanted::Answer { options, grammar: None };
            requests.push((self.part(index), Request { prompt_ids, wanted }));
        }
        requests
    }

    /// What asks why, once all places of a question are known with the one at `place`.
    fn reason(
        &self,
        question: &RateQuestion,
        index: usize,
        place: usize,
        now: &NextToken,
    ) -> Option<Query> {
        if question.reasons.is_empty() {
            return None;
        }
        let own = self
            .parts
            .iter()
            .zip(&self.replies)
            .enumerate()
            .filter(|(_, (part, _))| **part == index);
        let places = own.map(|(at, (_, reply))| match reply {
            _ if at == place => Some(now),
            Some(Reply::Next(next)) => Some(next),
            _ => None,
        });
        let places: Vec<&NextToken> = places.collect::<Option<_>>()?;
        let word = question.tokens.as_ref()?.distribution(&places)?.top();
        question.reasons.get(word).cloned()
    }

    /// Keeps the reply to a request.
    pub(super) fn keep(&mut self, query: usize, reply: Reply) {
        if let Some(place) = self.replies.get_mut(query) {
            *place = Some(reply);
        }
    }

    /// What all replies together say.
    pub(super) fn learned(mut self) -> Learned {
        let asked = Arc::clone(&self.asked);
        let questions = &asked.questions;
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
                    learned
                        .readings
                        .extend(first.map(|answer| self.reading(question, answer, answers)));
                }
                Question::Rate(question) => {
                    learned.ratings.extend(rating(question, &places, first));
                }
            }
        }
        learned
    }

    fn reading(
        &self,
        question: &FindQuestion,
        generated: Generated,
        sentences: impl Iterator<Item = Generated>,
    ) -> answer::Reading {
        let tokens = TokenCounts {
            budget: self.budget.soft_tokens(),
            resized: [self.size.width, self.size.height],
            soft_tokens: Some(self.size.soft_tokens()),
            prompt: question.query.token_count(self.size.soft_tokens()),
            answer: generated.ids.len(),
        };
        let Generated { text, spans, ended, .. } = generated;
        let answer = Answer {
            view: self.bbox,
            prompt: question.query.text.clone(),
            text,
            ended,
            tokens: Some(tokens),
        };
        let sentences = sentences.map(|sentence| Some(sentence.text.trim().to_owned())).collect();
        question.reading(answer, spans, sentences)
    }
}

fn rating(
    question: &RateQuestion,
    places: &[NextToken],
    reason: Option<Generated>,
) -> Option<Rating> {
    let distribution =
        question.tokens.as_ref()?.distribution(&places.iter().collect::<Vec<_>>())?;
    let reason = reason.map(|reason| reason.text.trim().to_owned());
    Some(question.rating(distribution.probabilities, distribution.mass, reason))
}
