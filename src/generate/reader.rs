//! From the logits of rows to their next steps.
//!
//! In: the decoder's logits, and the reader of each row. Out: the next step of each row. Promises:
//! a reader first says which part of its row it needs, and gets no more.

use rayon::prelude::*;

use super::GenerateError;
use super::answer_stream::{AnswerStream, EndIds, NextStep};
use super::next_token::NextTokenProbe;
use crate::model::{GraphError, Logits, Model, TopK, TopKRequest};
use crate::record::Ended;

/// The reader of a row's logits.
pub(super) enum RowReader {
    /// Writes an answer.
    Generate(Box<AnswerStream>),
    /// Only scores the next token.
    Probe(NextTokenProbe),
}

impl RowReader {
    /// Makes ready for [`Self::request`].
    fn prepare(&mut self) -> Result<(), GenerateError> {
        match self {
            Self::Generate(stream) => stream.prepare(),
            Self::Probe(_) => Ok(()),
        }
    }

    fn request<'r>(&'r self, row: usize, ids: &'r EndIds) -> TopKRequest<'r> {
        match self {
            Self::Generate(stream) => stream.request(row, ids),
            Self::Probe(probe) => probe.request(row),
        }
    }

    fn take(&mut self, best: &TopK, ids: &EndIds) -> Result<NextStep, GenerateError> {
        match self {
            Self::Generate(stream) => stream.take(best, ids),
            Self::Probe(probe) => {
                probe.take(best)?;
                Ok(NextStep::Ended(Ended::StopToken))
            }
        }
    }
}

/// A row, and its next step.
pub(super) type RowStep = (usize, Result<NextStep, GenerateError>);

/// The next step of each due row, from the logits of its last position.
///
/// # Errors
/// [`GraphError`] if the logits cannot be read.
pub(super) fn read_all(
    model: &Model,
    logits: &Logits,
    due: Vec<(usize, &mut RowReader)>,
    ids: &EndIds,
) -> Result<Vec<RowStep>, GraphError> {
    // Masks of grammars and texts take a while: the rows do it side by side.
    let due: Vec<_> =
        due.into_par_iter().map(|(row, reader)| (row, reader.prepare(), reader)).collect();
    let ready = due.iter().filter(|(_, prepared, _)| prepared.is_ok());
    let requests: Vec<_> = ready.map(|(row, _, reader)| reader.request(*row, ids)).collect();
    let mut best = model.top_k(logits, &requests)?.into_iter();
    let result: Vec<_> = due
        .into_iter()
        .map(|(row, prepared, reader)| (row, prepared.map(|()| best.next()), reader))
        .collect();
    let taken = result.into_par_iter().map(|(row, best, reader)| {
        let next = best.and_then(|best| reader.take(&best.unwrap_or_default(), ids));
        (row, next)
    });
    Ok(taken.collect())
}
