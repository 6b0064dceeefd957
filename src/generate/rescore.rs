//! Probabilities that do not depend on who was decoded beside an answer.
//!
//! Sums of f32 come out a little different (about 1e-7) in a run of another shape, so the probabilities of tokens depend on who is decoded
//! beside them. A caller who rounds what it makes of them says with [`Doubt`] when rounding hangs on that; such an answer is scored again
//! by itself, in one run over all of its tokens.

use super::{Generated, NextToken, Reply, Request, Wanted};
use crate::model::{GraphError, KvCache, Logits, Model, PickAt, log_sum};
use crate::runtime::kernels::Allowed;

/// Tokens of a run: their logits are all kept, a megabyte each with a vocabulary of 262144.
const CHUNK: usize = 64;

/// Whether what is made of the probabilities of an answer's tokens may change with the last digits of them.
pub type Doubt = fn(&Generated) -> bool;

/// What a reply's probabilities are when its query is decoded by itself, behind the part of the prompt that is in `cache`.
pub(super) fn score_again(
    model: &mut Model,
    reply: &mut Reply,
    request: &Request,
    cache: &mut KvCache,
) -> Result<(), GraphError> {
    match (reply, &request.wanted) {
        (Reply::Answer(answer), _) => score_answer(model, answer, &request.prompt_ids, cache),
        (Reply::Next(next), Wanted::Next(ids)) => {
            let fed: Vec<i64> = request.prompt_ids[cache.columns()..].iter().map(|&id| i64::from(id)).collect();
            let logits = model.decode(&fed, &[], cache)?;
            let seen = if model.picks(&logits) {
                let wanted = PickAt { row: 0, from_end: 0, allowed: Allowed::Ids(ids), temperature: 0.0 };
                model.pick(&logits, &[wanted], ids.len())?.first().and_then(|best| NextToken::of_picked(best, ids))
            } else {
                NextToken::of(&model.logits(&logits, 0)?, ids)
            };
            if let Some(seen) = seen {
                *next = seen;
            }
            Ok(())
        }
        (Reply::Next(_), Wanted::Answer { .. }) => Ok(()),
    }
}

/// Gives the tokens of an answer the probabilities that they get when it is decoded by itself, many tokens a run, behind the part of the
/// prompt that is in `cache`. The first token of an answer to a whole prompt was picked when the prompt was run, and stays.
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
            answer.spans.get(place).filter(|span| span.log_probability != 0.0)?;
            Some((place, fed.len() - 1 - position))
        };
        let scored: Vec<(usize, usize)> = (0..fed.len()).filter_map(scored).collect();
        for ((place, _), score) in scored.iter().zip(scores(model, &logits, answer, &scored)?) {
            if let Some(score) = score {
                answer.spans[*place].log_probability = score;
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
    if model.picks(logits) {
        let at = |&(place, from_end): &(usize, usize)| PickAt {
            row: 0,
            from_end,
            allowed: Allowed::Ids(&answer.ids[place..=place]),
            temperature: 0.0,
        };
        let picked = model.pick(logits, &scored.iter().map(at).collect::<Vec<_>>(), 1)?;
        return Ok(picked.iter().map(|picked| picked.log_probability(0)).collect());
    }
    let score = |&(place, from_end): &(usize, usize)| -> Result<Option<f64>, GraphError> {
        let logits = model.logits_before(logits, 0, from_end)?;
        Ok(log_sum(&logits).map(|sum| f64::from(logits[answer.ids[place] as usize]) - sum))
    };
    scored.iter().map(score).collect()
}
