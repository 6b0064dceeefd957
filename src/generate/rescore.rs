//! Probabilities that do not depend on who was decoded beside an answer.
//!
//! Sums of f32 come out a little different (about 1e-7) in a run of another shape, so the
//! probabilities of tokens depend on who is decoded beside them. A caller who rounds what it makes
//! of them says with [`Doubt`] when rounding hangs on that; such an answer is scored again by
//! itself, in one run over all of its tokens.

use super::next_token::request_about;
use super::{Generated, NextToken, Reply, Request, Wanted};
use crate::model::{Allowed, GraphError, KvCache, Logits, Model, TopKRequest};

/// Tokens of a run: their logits are all kept, a megabyte each with a vocabulary of 262144.
const CHUNK: usize = 64;

/// Whether what is made of the probabilities of an answer's tokens may change with the last digits
/// of them.
pub type Doubt = fn(&Generated) -> bool;

/// What a reply's probabilities are when its query is decoded by itself, behind the part of the
/// prompt that is in `cache`.
pub(super) fn score_again(
    model: &mut Model,
    reply: &mut Reply,
    request: &Request,
    cache: &mut KvCache,
) -> Result<(), GraphError> {
    match (reply, &request.wanted) {
        (Reply::Answer(answer), _) => score_answer(model, answer, &request.prompt_ids, cache),
        (Reply::Next(next), Wanted::Next(ids)) => {
            let fed: Vec<i64> =
                request.prompt_ids[cache.columns()..].iter().map(|&id| i64::from(id)).collect();
            let logits = model.decode(&fed, &[], cache)?;
            let best = model.top_k(&logits, &[request_about(0, ids)])?;
            if let Some(seen) = best.first().and_then(|best| NextToken::of(best, ids)) {
                *next = seen;
            }
            Ok(())
        }
        (Reply::Next(_), Wanted::Answer { .. }) => Ok(()),
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
    // Nobody asks what follows the last one.
    let fed = &ids[..ids.len().saturating_sub(1)];
    let before = prompt.len() - known;
    for (chunk, fed) in fed.chunks(CHUNK).enumerate() {
        let wide: Vec<i64> = fed.iter().map(|&id| i64::from(id)).collect();
        let logits = model.decode_all(&wide, cache)?;
        // The logits of a position are those of the token behind it. What was forced is certain.
        let scored = |position: usize| {
            let place = (chunk * CHUNK + position + 1).checked_sub(before)?;
            answer.spans.get(place)?.log_probability?;
            Some((place, fed.len() - 1 - position))
        };
        let scored: Vec<(usize, usize)> = (0..fed.len()).filter_map(scored).collect();
        for ((place, _), score) in scored.iter().zip(scores(model, &logits, answer, &scored)?) {
            if let Some(score) = score {
                answer.spans[*place].log_probability = Some(score);
            }
        }
    }
    Ok(())
}

/// Logarithms of the probabilities of tokens of `answer`, `(place, position from the end)`.
fn scores(
    model: &Model,
    logits: &Logits,
    answer: &Generated,
    scored: &[(usize, usize)],
) -> Result<Vec<Option<f64>>, GraphError> {
    let request = |&(place, from_end): &(usize, usize)| {
        let allowed = Allowed::Ids(&answer.ids[place..=place]);
        TopKRequest { row: 0, from_end, allowed, suppressed: &[], temperature: 0.0, most: Some(1) }
    };
    let best = model.top_k(logits, &scored.iter().map(request).collect::<Vec<_>>())?;
    Ok(best
        .iter()
        .zip(scored)
        .map(|(best, (place, _))| best.log_probability(answer.ids[*place]))
        .collect())
}
