//! Views whose answers are being written by the graphs.
//!
//! In: a view's questions. Out: their requests, and the answers that the replies add up to.
//! Promises: a reading has the prompt, sizes and label of its answer, so the caller need not keep
//! the question.

use std::sync::Arc;

use crate::answer;
use crate::engine::{
    AnswerOptions, EXPLAINED_BOXES, FindQuestion, ImageQuestions, Learned, Question, REASON_TOKENS,
    RateQuestion, Shown,
};
use crate::generate::{
    Finished, GenerateOptions, Generated, NextToken, Reply, Request, RequestKind,
};
use crate::preprocess::TargetSize;
use crate::prompt::Query;
use crate::record::{Answer, BBox, Budget, Rating, Sampling, TokenCounts};

/// State of a view while its answers are written.
pub(super) struct AskedView {
    asked: Arc<ImageQuestions>,
    /// The region of the first view.
    bbox: BBox,
    budget: Budget,
    size: TargetSize,
    /// Soft tokens of each view.
    soft_tokens: Vec<u32>,
    options: AnswerOptions,
    stream: u64,
    /// The question that each request is a part of.
    parts: Vec<usize>,
    /// One for each request.
    replies: Vec<Option<Reply>>,
}

impl AskedView {
    /// The state for `shown`; `None` if it has no view.
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

    /// The requests of all questions: the views of each, the part that its reply is kept under, and
    /// the request.
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
                    let kind = RequestKind::Generate { options, grammar: question.grammar.clone() };
                    let views: Vec<usize> = (0..question.query.views().max(1)).collect();
                    let prompt_ids = question.query.token_ids_of(&self.soft_tokens);
                    requests.push((views, self.part(index), Request { prompt_ids, kind }));
                }
                Question::Rate(question) => {
                    let prompt_ids = question.query.token_ids_of(&self.soft_tokens_of(question));
                    let tokens = question.tokens.as_ref();
                    let own = tokens.map_or_else(Vec::new, |tokens| tokens.requests(&prompt_ids));
                    for request in own {
                        requests.push((question.views.clone(), self.part(index), request));
                    }
                }
            }
        }
        requests
    }

    /// Soft tokens of each view that a question is about.
    fn soft_tokens_of(&self, question: &RateQuestion) -> Vec<u32> {
        let of = |view: &usize| self.soft_tokens.get(*view).copied().unwrap_or(0);
        question.views.iter().map(of).collect()
    }

    /// A new part of the question at `index`.
    fn part(&mut self, index: usize) -> usize {
        self.parts.push(index);
        self.replies.push(None);
        self.parts.len() - 1
    }

    /// Follow-up requests triggered by this reply, with their part: the reason for a rating once
    /// its word is known, or one sentence for each detected box.
    pub(super) fn follow_ups(&mut self, finished: &Finished) -> Vec<(usize, Request)> {
        let asked = Arc::clone(&self.asked);
        let Some(&index) = self.parts.get(finished.query) else { return Vec::new() };
        let question = asked.questions.get(index);
        let soft_tokens = match question {
            Some(Question::Rate(question)) => self.soft_tokens_of(question),
            _ => vec![self.size.soft_tokens()],
        };
        let queries = match (question, &finished.reply) {
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
            let prompt_ids = query.token_ids_of(&soft_tokens);
            let kind = RequestKind::Generate { options, grammar: None };
            requests.push((self.part(index), Request { prompt_ids, kind }));
        }
        requests
    }

    /// The question for the reason, once the replies to all requests of a question are known; the
    /// one of part `last` is `now`.
    fn reason(
        &self,
        question: &RateQuestion,
        index: usize,
        last: usize,
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
        let replies = own.map(|(at, (_, reply))| match reply {
            _ if at == last => Some(now),
            Some(Reply::Next(next)) => Some(next),
            _ => None,
        });
        let replies: Vec<&NextToken> = replies.collect::<Option<_>>()?;
        let word = question.tokens.as_ref()?.distribution(&replies)?.top();
        question.reasons.get(word).cloned()
    }

    /// Keeps the reply to a request.
    pub(super) fn keep(&mut self, query: usize, reply: Reply) {
        if let Some(slot) = self.replies.get_mut(query) {
            *slot = Some(reply);
        }
    }

    /// Puts all replies together.
    pub(super) fn learned(mut self) -> Learned {
        let asked = Arc::clone(&self.asked);
        let questions = &asked.questions;
        let mut learned = Learned::default();
        let mut replies: Vec<Vec<Reply>> = questions.iter().map(|_| Vec::new()).collect();
        for (&question, reply) in self.parts.iter().zip(std::mem::take(&mut self.replies)) {
            replies[question].extend(reply);
        }
        for (question, replies) in questions.iter().zip(replies) {
            let (mut tokens, mut answers) = (Vec::new(), Vec::new());
            for reply in replies {
                match reply {
                    Reply::Next(next) => tokens.push(next),
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
                    learned.ratings.extend(rating(question, &tokens, first));
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
            soft_tokens: Some(self.soft_tokens.iter().sum()),
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
    tokens: &[NextToken],
    reason: Option<Generated>,
) -> Option<Rating> {
    let distribution =
        question.tokens.as_ref()?.distribution(&tokens.iter().collect::<Vec<_>>())?;
    let reason = reason.map(|reason| reason.text.trim().to_owned());
    Some(question.rating(distribution.probabilities, distribution.mass, reason))
}
