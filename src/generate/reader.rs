//! What is made of the logits of rows that are due.
//!
//! In: the decoder's logits, and who reads each row of them. Out: what follows for each row. Promises: the same wherever the logits lie; where that
//! is a card, only what readers wish for leaves it.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::GenerateError;
use super::answer_stream::{AnswerStream, EndIds, Next};
use super::next_token::Look;
use super::wish::{Position, SentIds, Wish};
use crate::model::{GraphError, Logits, Model, PickAt};
use crate::record::Ended;
use crate::runtime::kernels::Picked;

/// Who reads a row's logits.
pub(super) enum Reader<'t> {
    /// Writes an answer.
    Writes(Box<AnswerStream<'t>>),
    /// Only looks at what would come next.
    Looks(Look),
}

impl Reader<'_> {
    fn wish(&mut self, ids: &EndIds) -> Result<Wish, GenerateError> {
        match self {
            Self::Writes(stream) => stream.wish(ids),
            Self::Looks(look) => Ok(look.wish()),
        }
    }

    fn take(&mut self, position: Position<'_>, wish: &Wish, ids: &EndIds) -> Result<Next, GenerateError> {
        match self {
            Self::Writes(stream) => stream.take(position, wish, ids),
            Self::Looks(look) => {
                look.take(position)?;
                Ok(Next::Ended(Ended::StopToken))
            }
        }
    }
}

/// A row, and what follows for it.
pub(super) type Taken = (usize, Result<Next, GenerateError>);

/// What follows for each row that is due, from the logits of its last position.
///
/// # Errors
/// [`GraphError`] where the logits cannot be had.
pub(super) fn read_all(
    model: &Model,
    logits: &Logits,
    due: Vec<(usize, &mut Reader<'_>)>,
    ids: &EndIds,
) -> Result<Vec<Taken>, GraphError> {
    if model.picks(logits) {
        return pick_all(model, logits, due, ids);
    }
    let mut read = Vec::with_capacity(due.len());
    for (row, reader) in due {
        read.push((row, reader, model.logits(logits, row)?));
    }
    // A vocabulary of 262144 takes a while to look through: the rows do it side by side.
    let taken = read.into_par_iter().map(|(row, reader, logits)| {
        let next = reader.wish(ids).and_then(|wish| reader.take(Position::Whole(&logits), &wish, ids));
        (row, next)
    });
    Ok(taken.collect())
}

/// The same of logits that stay where they are.
fn pick_all(
    model: &Model,
    logits: &Logits,
    due: Vec<(usize, &mut Reader<'_>)>,
    ids: &EndIds,
) -> Result<Vec<Taken>, GraphError> {
    let wished: Vec<_> = due.into_par_iter().map(|(row, reader)| (row, reader.wish(ids), reader)).collect();
    let sent: Vec<_> =
        wished.iter().map(|(_, wish, _)| wish.as_ref().ok().map(|wish| wish.sent(logits.vocabulary()))).collect();
    // Each id more is a pass more: rows that want many are picked from by themselves.
    let mut together: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (place, (_, wish, _)) in wished.iter().enumerate() {
        if let Ok(Wish { best: Some((most, _)), .. }) = wish {
            together.entry(*most).or_default().push(place);
        }
    }
    let mut best: Vec<Option<Picked>> = wished.iter().map(|_| None).collect();
    for (most, places) in together {
        let at = |&place: &usize| {
            let (row, wish, _) = &wished[place];
            let temperature = wish.as_ref().ok().and_then(|wish| wish.best).map_or(0.0, |(_, temperature)| temperature);
            let allowed = sent[place].as_ref().map(SentIds::allowed).unwrap_or_default();
            PickAt { row: *row, from_end: 0, allowed, temperature }
        };
        let wanted: Vec<_> = places.iter().map(at).collect();
        for (place, picked) in places.iter().zip(model.pick(logits, &wanted, most)?) {
            best[*place] = Some(picked);
        }
    }
    drop(sent);
    let mut read = Vec::with_capacity(wished.len());
    for ((row, wish, reader), best) in wished.into_iter().zip(best) {
        let next = match (wish, &best) {
            (Ok(wish), Some(best)) => reader.take(Position::Best(best), &wish, ids),
            (Ok(wish), None) => reader.take(Position::Whole(&model.logits(logits, row)?), &wish, ids),
            (Err(error), _) => Err(error),
        };
        read.push((row, next));
    }
    Ok(read)
}
