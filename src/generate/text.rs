//! Ids to text as they come.
//!
//! In: ids and their probabilities, one at a time. Out: the text, and the bytes of it that each id stands for. Promises: the text equals
//! that of all ids at once; a character of several tokens appears when it is whole.

use std::ops::Range;

use crate::prompt::{TextTokenizer, TokenizerError};
use crate::record::{DECIMALS, Probabilities, to_four_decimals};

/// Where a token stands in the answer's text, and how probable it was.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenSpan {
    /// Bytes of the text. Tokens that share a character (byte fallback) share its range.
    pub bytes: Range<usize>,
    /// Natural logarithm of the probability that the decoder gave it; `None` where a grammar forced it, which is certain.
    pub log_probability: Option<f64>,
}

/// Collects an answer's text.
pub(super) struct TextStream<'t> {
    tokenizer: &'t TextTokenizer,
    text: String,
    spans: Vec<TokenSpan>,
    /// Ids whose bytes are not a whole character yet.
    pending: Vec<u32>,
}

/// A character has at most four bytes, so more ids than that are not an unfinished one but broken bytes.
const LONGEST_CHARACTER: usize = 4;

impl<'t> TextStream<'t> {
    /// An empty text.
    pub(super) fn new(tokenizer: &'t TextTokenizer) -> Self {
        Self { tokenizer, text: String::new(), spans: Vec::new(), pending: Vec::new() }
    }

    /// Appends a token.
    ///
    /// # Errors
    /// [`TokenizerError::Convert`].
    pub(super) fn push(&mut self, id: u32, log_probability: Option<f64>) -> Result<(), TokenizerError> {
        let start = self.text.len();
        self.pending.push(id);
        self.spans.push(TokenSpan { bytes: start..start, log_probability });
        let piece = self.tokenizer.decode(&self.pending)?;
        if !piece.ends_with(char::REPLACEMENT_CHARACTER) || self.pending.len() >= LONGEST_CHARACTER {
            self.accept(&piece);
        }
        Ok(())
    }

    fn accept(&mut self, piece: &str) {
        self.text.push_str(piece);
        let first = self.spans.len() - self.pending.len();
        for span in &mut self.spans[first..] {
            span.bytes.end = self.text.len();
        }
        self.pending.clear();
    }

    /// The text so far.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The whole text and the spans. An unfinished character at the end is left as the replacement character.
    pub(super) fn finish(mut self) -> (String, Vec<TokenSpan>) {
        if !self.pending.is_empty() {
            self.accept("\u{FFFD}");
        }
        (self.text, self.spans)
    }
}

/// The probabilities of a box whose coordinates and label stand at these bytes of `text`; `None` without token probabilities.
///
/// Of the coordinates only the tokens that hold a digit count: the commas and spaces between them are all but certain and would only lift every
/// score.
pub fn box_probabilities(
    text: &str,
    spans: &[TokenSpan],
    coordinates: &Range<usize>,
    label: Option<&Range<usize>>,
) -> Option<Probabilities> {
    let digit = |piece: &str| piece.contains(|character: char| character.is_ascii_digit());
    Some(Probabilities {
        coordinates: mean(text, spans, coordinates, digit)?,
        label: label.and_then(|label| mean(text, spans, label, |_| true)),
    })
}

impl Probabilities {
    /// As a record keeps them: with four decimals. What is behind them differs from run to run, see [`super::Doubt`].
    #[must_use]
    pub fn rounded(self) -> Self {
        Self { coordinates: to_four_decimals(self.coordinates), label: self.label.map(to_four_decimals) }
    }

    /// Whether a little more or less would round to something else.
    pub fn hang_on_rounding(self) -> bool {
        hangs_on_rounding(self.coordinates) || self.label.is_some_and(hangs_on_rounding)
    }
}

/// Whether a probability would be rounded otherwise if it were a little different.
pub(super) fn hangs_on_rounding(probability: f64) -> bool {
    ((probability * DECIMALS).fract() - 0.5).abs() < DOUBT * DECIMALS
}

/// Probabilities of one token in runs of different shapes were seen to differ by less than 1e-7 in f32.
const DOUBT: f64 = 3e-6;

/// Geometric mean of the probabilities of the tokens that touch `bytes` and that `counts` accepts; `None` where there are none.
fn mean(text: &str, spans: &[TokenSpan], bytes: &Range<usize>, counts: impl Fn(&str) -> bool) -> Option<f64> {
    // Spans are in the order of the text.
    let first = spans.partition_point(|span| span.bytes.end <= bytes.start);
    let touching = spans[first..].iter().take_while(|span| span.bytes.start < bytes.end);
    let counted = touching.filter(|span| counts(&text[span.bytes.clone()]));
    let (sum, count) =
        counted.fold((0.0, 0_usize), |(sum, count), span| (sum + span.log_probability.unwrap_or(0.0), count + 1));
    (count > 0).then(|| (sum / count as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_the_mean_over_the_digits() {
        let span = |bytes, probability: f64| TokenSpan { bytes, log_probability: Some(probability.ln()) };
        let text = "[12, 7] 5";
        let spans =
            [span(0..1, 0.9), span(1..3, 0.5), span(3..5, 0.01), span(5..6, 0.125), span(6..7, 0.7), span(8..9, 0.1)];
        let given = box_probabilities(text, &spans, &(1..6), Some(&(6..7))).unwrap();
        assert!((given.coordinates - 0.25).abs() < 1e-12);
        assert!((given.label.unwrap() - 0.7).abs() < 1e-12);
        assert_eq!(box_probabilities(text, &spans, &(3..5), None), None);
        assert_eq!(box_probabilities(text, &spans, &(9..12), None), None);
        assert_eq!(box_probabilities(text, &[], &(1..6), None), None);
    }
}
