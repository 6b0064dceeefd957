//! All questions about one view, one after another.
//!
//! In: a view. Out: the server's answers. Promises: scores are those of the answer's own tokens, or
//! none; the sizes in a reading are those of the server's figures.

use std::sync::atomic::Ordering;

use super::Shared;
use crate::answer::{self, Reading};
use crate::digest;
use crate::engine::{
    EXPLAINED_BOXES, FindQuestion, Learned, Question, REASON_TOKENS, RateQuestion, Shown,
    ShownView, ViewPixels,
};
use crate::prompt::Query;
use crate::record::{Answer, BBox, Budget, Rating, Sampling, TokenCounts};
use crate::server::{AnswerForm, Ask, AskError, Logprobs, Picture, Reply};

/// A view whose pictures are encoded.
struct Prepared {
    pictures: Vec<Picture>,
    bbox: BBox,
    budget: Budget,
    resized: [u32; 2],
    /// Soft tokens of the first picture.
    soft_tokens: u32,
    max_tokens: usize,
    sampling: Sampling,
    /// Mixed into the sampling seed, for this view.
    stream: u64,
}

type Stop<'s> = &'s dyn Fn() -> bool;

impl Shared {
    /// Asks all questions about a view, one after another.
    pub(super) fn learned(&self, shown: Shown, stop: Stop<'_>) -> Result<Learned, AskError> {
        let asked = std::sync::Arc::clone(&shown.asked);
        let prepared = self.prepared(shown)?;
        let mut learned = Learned::default();
        for (index, question) in asked.questions.iter().enumerate() {
            match question {
                Question::Find(question) => {
                    learned.readings.push(self.found(&prepared, question, index, stop)?);
                }
                Question::Rate(question) => {
                    learned.ratings.push(self.rated(&prepared, question, stop)?);
                }
            }
        }
        Ok(learned)
    }

    /// Encodes the pictures, and lets their pixels go.
    fn prepared(&self, shown: Shown) -> Result<Prepared, AskError> {
        let form = self.server.options().pictures;
        let stream = shown.stream();
        let first =
            shown.views.first().ok_or_else(|| AskError::View("no view is shown".to_owned()))?;
        let (bbox, budget, size) = (first.bbox(), first.budget, first.size);
        let encoded = |view: ShownView| match view.pixels {
            ViewPixels::Rgb(rgb) => Picture::of(
                rgb.as_slice().unwrap_or_default(),
                view.size.width,
                view.size.height,
                form,
            )
            .map_err(|error| AskError::View(error.to_string())),
            ViewPixels::Patches(_) => {
                Err(AskError::View("the view is cut into patches".to_owned()))
            }
        };
        Ok(Prepared {
            pictures: shown.views.into_iter().map(encoded).collect::<Result<_, _>>()?,
            bbox,
            budget,
            resized: [size.width, size.height],
            soft_tokens: size.soft_tokens(),
            max_tokens: shown.options.max_new_tokens,
            sampling: shown.options.sampling,
            stream,
        })
    }

    /// Asks, and counts.
    fn ask(&self, ask: &Ask<'_>, stop: Stop<'_>) -> Result<Reply, AskError> {
        let reply = self.server.ask(ask, stop)?;
        self.prompts.fetch_add(1, Ordering::Relaxed);
        self.prompt_tokens.fetch_add(reply.usage.prompt.unwrap_or(0), Ordering::Relaxed);
        self.answer_tokens.fetch_add(reply.usage.answer.unwrap_or(0), Ordering::Relaxed);
        Ok(reply)
    }

    fn found(
        &self,
        view: &Prepared,
        question: &FindQuestion,
        index: usize,
        stop: Stop<'_>,
    ) -> Result<Reading, AskError> {
        let sampling = match view.sampling {
            Sampling::Drawn { temperature, top_p, top_k, seed } => {
                let own = view.stream.wrapping_add(index as u64);
                // Nearby seeds are no other draws on every server.
                let seed = digest::number(format!("{seed} {own}"));
                Sampling::Drawn { temperature, top_p, top_k, seed }
            }
            Sampling::Greedy => Sampling::Greedy,
        };
        let form = question.form.as_deref();
        let logprobs = if self.server.gives_scores(form.is_some()) {
            Logprobs::OfAnswer
        } else {
            Logprobs::None
        };
        let ask = Ask {
            sampling,
            logprobs,
            ..view.ask(&question.query, &view.pictures, form, view.max_tokens)
        };
        let reply = self.ask(&ask, stop)?;
        if reply.spans_do_not_fit {
            tracing::warn!(
                "the server's token probabilities do not fit its answer: its boxes have no scores"
            );
        }
        // Only for a single picture: of several, only the total is known.
        let seen = self.server.soft_tokens(&ask, reply.usage.prompt, view.soft_tokens, stop);
        let tokens = match (reply.usage.prompt, reply.usage.answer) {
            (Some(prompt), Some(answer)) => Some(TokenCounts {
                budget: view.budget.soft_tokens(),
                resized: view.resized,
                soft_tokens: seen,
                prompt,
                answer,
            }),
            _ => None,
        };
        let Reply { text, ended, spans, .. } = reply;
        let mut sentences = Vec::new();
        if let Some(explain) = &question.explain {
            for found in answer::parse(&text, ended).boxes.iter().take(EXPLAINED_BOXES) {
                let Some(query) = explain.query(found) else { break };
                let ask = view.ask(&query, &view.pictures, None, REASON_TOKENS);
                sentences.push(Some(self.ask(&ask, stop)?.text.trim().to_owned()));
            }
        }
        let answer =
            Answer { view: view.bbox, prompt: question.query.text.clone(), text, ended, tokens };
        Ok(question.reading(answer, spans, sentences))
    }

    fn rated(
        &self,
        view: &Prepared,
        question: &RateQuestion,
        stop: Stop<'_>,
    ) -> Result<Rating, AskError> {
        let pictures: Vec<Picture> =
            question.views.iter().filter_map(|index| view.pictures.get(*index).cloned()).collect();
        let words = self.words.of(&self.server, &question.words, stop)?;
        let ask = Ask {
            logprobs: Logprobs::OfFirstToken(words.ids()),
            ..view.ask(&question.query, &pictures, None, 1)
        };
        let reply = self.ask(&ask, stop)?;
        let axis = &question.axis;
        let unread = |reason: String| AskError::View(format!("{axis} cannot be rated: {reason}"));
        if reply.thought {
            return Err(unread("the model thinks before it answers".to_owned()));
        }
        let first = reply.first.as_ref();
        let first = first.ok_or_else(|| {
            unread("the server gave no probabilities of the first token".to_owned())
        })?;
        let distribution = words.distribution(first).map_err(unread)?;
        let reason = match question.reasons.get(distribution.top()) {
            None => None,
            Some(query) => {
                let ask = view.ask(query, &pictures, None, REASON_TOKENS);
                Some(self.ask(&ask, stop)?.text.trim().to_owned())
            }
        };
        Ok(question.rating(distribution.probabilities, distribution.mass, reason))
    }
}

impl Prepared {
    /// A greedy question, without probabilities.
    fn ask<'a>(
        &self,
        query: &'a Query,
        pictures: &'a [Picture],
        form: Option<&'a AnswerForm>,
        max_tokens: usize,
    ) -> Ask<'a> {
        Ask {
            system: query.conversation.system.as_deref(),
            thinking: query.conversation.thinking,
            pictures,
            text: &query.text,
            max_tokens,
            sampling: Sampling::Greedy,
            form,
            logprobs: Logprobs::None,
            budget: self.budget.soft_tokens(),
        }
    }
}
