//! What is made of the logits of rows that are due.
//!
//! In: the decoder's logits, and who reads each row of them. Out: what follows for each row.
//! Promises: a reader is asked what it has to know of its row before anything is looked up, and is
//! told no more.

use rayon::prelude::*;

use super::GenerateError;
use super::answer_stream::{AnswerStream, EndIds, Next};
use super::next_token::Look;
use crate::model::{GraphError, Logits, Model, TopK, TopKRequest};
use crate::record::Ended;

/// Who reads a row's logits.
pub(super) enum Reader {
    /// Writes an answer.
    Writes(Box<AnswerStream>),
    /// Only looks at what would come next.
    Looks(Look),
}

impl Reader {
    /// Makes ready for [`Self::request`].
    fn prepare(&mut self) -> Result<(), GenerateError> {
        match self {
            Self::Writes(stream) => stream.prepare(),
            Self::Looks(_) => Ok(()),
        }
    }

    fn request<'r>(&'r self, row: usize, ids: &'r EndIds) -> TopKRequest<'r> {
        match self {
            Self::Writes(stream) => stream.request(row, ids),
            Self::Looks(look) => look.request(row),
        }
    }

    fn take(&mut self, best: &TopK, ids: &EndIds) -> Result<Next, GenerateError> {
        match self {
            Self::Writes(stream) => stream.take(best, ids),
            Self::Looks(look) => {
                look.take(best)?;
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
    due: Vec<(usize, &mut Reader)>,
    ids: &EndIds,
) -> Result<Vec<Taken>, GraphError> {
    // Masks of grammars and texts take a while: the rows do it side by side.
    let due: Vec<_> =
        due.into_par_iter().map(|(row, reader)| (row, reader.prepare(), reader)).collect();
    let ready = due.iter().filter(|(_, prepared, _)| prepared.is_ok());
    let requests: Vec<_> = ready.map(|(row, _, reader)| reader.request(*row, ids)).collect();
    let mut best = model.top_k(logits, &requests)?.into_iter();
    let seen: Vec<_> = due
        .into_iter()
        .map(|(row, prepared, reader)| (row, prepared.map(|()| best.next()), reader))
        .collect();
    let taken = seen.into_par_iter().map(|(row, best, reader)| {
        let next = best.and_then(|best| reader.take(&best.unwrap_or_default(), ids));
        (row, next)
    });
    Ok(taken.collect())
}
