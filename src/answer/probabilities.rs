//! The probabilities of a box, from those of the tokens that it was written with.
//!
//! In: an answer's text, and the positions of its tokens in it. Out: geometric means over the
//! tokens of the coordinates and of the label. Promises: tokens that a grammar forced count as
//! certain.

use std::ops::Range;

use super::parse;
use crate::record::{Ended, Probabilities};

/// The position of a token in the answer's text, and its probability.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenSpan {
    /// Bytes of the text. Tokens that share a character (byte fallback) share its range.
    pub bytes: Range<usize>,
    /// Natural logarithm of the probability that the decoder gave it; `None` if a grammar forced
    /// it, which makes it certain.
    pub log_probability: Option<f64>,
}

/// The probabilities of a box whose coordinates and label stand at these bytes of `text`; `None`
/// without token probabilities.
///
/// Only the tokens of coordinates that hold a digit count: the commas and spaces between them are
/// all but certain and would only lift every score.
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

/// Whether the probabilities of a box of this answer would be rounded otherwise if they were a
/// little different.
pub fn is_near_rounding(text: &str, ended: Ended, spans: &[TokenSpan]) -> bool {
    parse(text, ended)
        .boxes
        .iter()
        .filter_map(|found| {
            box_probabilities(text, spans, &found.coordinates, found.label_span.as_ref())
        })
        .any(Probabilities::is_near_rounding)
}

/// Geometric mean of the probabilities of the tokens that touch `bytes` and that `counts` accepts;
/// `None` if there are none.
fn mean(
    text: &str,
    spans: &[TokenSpan],
    bytes: &Range<usize>,
    counts: impl Fn(&str) -> bool,
) -> Option<f64> {
    // Spans are in the order of the text.
    let first = spans.partition_point(|span| span.bytes.end <= bytes.start);
    let touching = spans[first..].iter().take_while(|span| span.bytes.start < bytes.end);
    let counted = touching.filter(|span| counts(&text[span.bytes.clone()]));
    let (sum, count) = counted.fold((0.0, 0_usize), |(sum, count), span| {
        (sum + span.log_probability.unwrap_or(0.0), count + 1)
    });
    (count > 0).then(|| (sum / count as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_the_mean_over_the_digits() {
        let span =
            |bytes, probability: f64| TokenSpan { bytes, log_probability: Some(probability.ln()) };
        let text = "[12, 7] 5";
        let spans = [
            span(0..1, 0.9),
            span(1..3, 0.5),
            span(3..5, 0.01),
            span(5..6, 0.125),
            span(6..7, 0.7),
            span(8..9, 0.1),
        ];
        let given = box_probabilities(text, &spans, &(1..6), Some(&(6..7))).unwrap();
        assert!((given.coordinates - 0.25).abs() < 1e-12);
        assert!((given.label.unwrap() - 0.7).abs() < 1e-12);
        assert_eq!(box_probabilities(text, &spans, &(3..5), None), None);
        assert_eq!(box_probabilities(text, &spans, &(9..12), None), None);
        assert_eq!(box_probabilities(text, &[], &(1..6), None), None);
    }
}
