//! Probabilities that do not depend on who was decoded beside an answer.
//!
//! Sums of f32 come out a little different (about 1e-7) in a run of another shape, so the
//! probabilities of tokens depend on the other rows of the batch. A caller who rounds figures made
//! of them decides with a [`RescoreRule`] whether an answer is too close to a rounding boundary;
//! such an answer is scored again alone, in one run over all of its tokens.

use super::next_token::request_about;
use super::{Generated, NextToken, Reply, Request, RequestKind};
use crate::model::{Allowed, GraphError, KvCache, Logits, Model, TopKRequest};

/// Tokens of a run: their logits are all kept, a megabyte each with a vocabulary of 262144.
const CHUNK: usize = 64;

/// Whether rounded figures of an answer may change with the last digits of its tokens'
/// probabilities.
pub type RescoreRule = fn(&Generated) -> bool;

/// Replaces the probabilities of a reply by those of decoding its request alone, behind the part of
/// the prompt that is in `cache`.
pub(super) fn score_again(
    model: &mut Model,
    reply: &mut Reply,
    request: &Request,
    cache: &mut KvCache,
) -> Result<(), GraphError> {
    match (reply, &request.kind) {
        (Reply::Answer(answer), _) => score_answer(model, answer, &request.prompt_ids, cache),
        (Reply::Next(next), RequestKind::ScoreNext(ids)) => {
            let fed: Vec<i64> =
                request.prompt_ids[cache.columns()..].iter().map(|&id| i64::from(id)).collect();
            let logits = model.decode(&fed, &[], cache)?;
            let best = model.top_k(&logits, &[request_about(0, ids)])?;
            if let Some(seen) = best.first().and_then(|best| NextToken::of(best, ids)) {
                *next = seen;
            }
            Ok(())
        }
        (Reply::Next(_), RequestKind::Generate { .. }) => Ok(()),
    }
}

/// Gives the tokens of an answer the probabilities that they get when it is decoded by itself, many
/// tokens a run, behind the part of the prompt that is in `cache`. The first token of an answer to
/// a whole prompt was picked when the prompt was run, and stays.
fn score_answer(
    model: &mut Model,
    answer: &mut Generated,
    prompt: &[u32],
    cache: &mut KvCache,
) -> Result<(), GraphError> {
    let known = cache.columns();
    let ids: Vec<u32> = prompt[known..].iter().chain(&answer.ids).copied().collect();
    // The logits behind the last token are not needed.
    let fed = &ids[..ids.len().saturating_sub(1)];
    let before = prompt.len() - known;
    for (chunk, fed) in fed.chunks(CHUNK).enumerate() {
        let wide: Vec<i64> = fed.iter().map(|&id| i64::from(id)).collect();
        let logits = model.decode_all(&wide, cache)?;
        // The logits of a position score the token behind it. Forced tokens are certain.
        let scored = |position: usize| {
            let index = (chunk * CHUNK + position + 1).checked_sub(before)?;
            answer.spans.get(index)?.log_probability?;
            Some((index, fed.len() - 1 - position))
        };
        let scored: Vec<(usize, usize)> = (0..fed.len()).filter_map(scored).collect();
        for ((index, _), score) in scored.iter().zip(scores(model, &logits, answer, &scored)?) {
            if let Some(score) = score {
                answer.spans[*index].log_probability = Some(score);
            }
        }
    }
    Ok(())
}

/// Logarithms of the probabilities of tokens of `answer`, `(index, position from the end)`.
fn scores(
    model: &Model,
    logits: &Logits,
    answer: &Generated,
    scored: &[(usize, usize)],
) -> Result<Vec<Option<f64>>, GraphError> {
    let request = |&(index, from_end): &(usize, usize)| {
        let allowed = Allowed::Ids(&answer.ids[index..=index]);
        TopKRequest { row: 0, from_end, allowed, suppressed: &[], temperature: 0.0, most: Some(1) }
    };
    let best = model.top_k(logits, &scored.iter().map(request).collect::<Vec<_>>())?;
    Ok(best
        .iter()
        .zip(scored)
        .map(|(best, (index, _))| best.log_probability(answer.ids[*index]))
        .collect())
}
