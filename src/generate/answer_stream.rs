//! One answer as it is being written.
//!
//! In: the best ids at the answer's next position. Out: the tokens to decode next, or how the
//! answer ended. Promises: the result depends on the answer's own logits alone, so an answer is the
//! same whichever others are decoded beside it.

use std::sync::Arc;

use llguidance::toktrie::SimpleVob;

use super::grammar::Constraint;
use super::repetition::RepetitionGuard;
use super::sampling::Sampler;
use super::text::TextStream;
use super::{GenerateError, GenerateOptions, Generated, Grammar};
use crate::model::{Allowed, TopK, TopKRequest};
use crate::prompt::TextTokenizer;
use crate::record::Ended;

/// The next step of an answer.
pub(super) enum NextStep {
    /// These tokens: the one that was picked, and those that the grammar forces behind it.
    Decode(Vec<u32>),
    /// Nothing; the answer is whole.
    Ended(Ended),
}

/// Ids that a model's files name.
#[derive(Debug, Clone)]
pub(super) struct EndIds {
    /// They end an answer.
    pub(super) stop: Vec<u32>,
    /// They are never generated.
    pub(super) suppressed: Vec<u32>,
}

pub(super) struct AnswerStream {
    options: GenerateOptions,
    sampler: Sampler,
    guard: RepetitionGuard,
    text: TextStream,
    constraint: Option<Constraint>,
    /// The tokens that the grammar allows next.
    allowed: Option<SimpleVob>,
    ids: Vec<u32>,
}

impl AnswerStream {
    pub(super) fn new(
        tokenizer: Arc<TextTokenizer>,
        options: GenerateOptions,
        grammar: Option<&Grammar>,
    ) -> Self {
        Self {
            options,
            sampler: Sampler::new(options.sampling, options.stream),
            guard: RepetitionGuard::new(options.labels),
            text: TextStream::new(tokenizer),
            constraint: grammar.map(Grammar::begin),
            allowed: None,
            ids: Vec::new(),
        }
    }

    /// Computes the tokens that the grammar allows next.
    pub(super) fn prepare(&mut self) -> Result<(), GenerateError> {
        self.allowed = self.constraint.as_mut().map(Constraint::allowed).transpose()?;
        Ok(())
    }

    /// The part of the logits that it needs at the last position of `row`.
    pub(super) fn request<'r>(&'r self, row: usize, ids: &'r EndIds) -> TopKRequest<'r> {
        let allowed =
            self.allowed.as_ref().map_or(Allowed::All, |allowed| Allowed::Bits(allowed.as_slice()));
        let (temperature, most) = (self.sampler.temperature(), self.sampler.most());
        TopKRequest { row, from_end: 0, allowed, suppressed: &ids.suppressed, temperature, most }
    }

    /// Picks the next token.
    pub(super) fn take(&mut self, best: &TopK, ids: &EndIds) -> Result<NextStep, GenerateError> {
        let picked = self.sampler.pick(best);
        let picked = picked.ok_or(GenerateError::NoProbabilities(self.ids.len()))?;
        if ids.stop.contains(&picked.id) {
            self.ids.push(picked.id);
            return Ok(NextStep::Ended(Ended::StopToken));
        }
        let mut written = vec![picked.id];
        let mut ended = self.write(picked.id, Some(picked.log_probability))?;
        if let Some(mut constraint) = self.constraint.take() {
            constraint.accept(picked.id)?;
            for id in constraint.forced()? {
                if ended.is_some() {
                    break;
                }
                // A token forced by the grammar is certain; it never counts for a score.
                ended = self.write(id, None)?;
                written.push(id);
            }
            if ended.is_none() && constraint.is_complete() {
                ended = Some(if constraint.is_full() { Ended::BoxLimit } else { Ended::StopToken });
            }
            self.constraint = Some(constraint);
        }
        Ok(ended.map_or(NextStep::Decode(written), NextStep::Ended))
    }

    fn write(
        &mut self,
        id: u32,
        log_probability: Option<f64>,
    ) -> Result<Option<Ended>, GenerateError> {
        self.ids.push(id);
        self.text.push(id, log_probability)?;
        if self.guard.repeats(id, self.text.text()) {
            return Ok(Some(Ended::Looped));
        }
        Ok((self.ids.len() == self.options.max_new_tokens).then_some(Ended::TokenLimit))
    }

    /// How many tokens it has so far.
    pub(super) fn tokens(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn finish(self, ended: Ended) -> Generated {
        let (text, spans) = self.text.finish();
        Generated { ids: self.ids, text, spans, ended }
    }
}
