//! Notices an answer that goes round in circles.

use std::collections::HashMap;

/// Watches an answer as it grows.
///
/// Two kinds of loop are known of Gemma 4: the same span of tokens over and over (white space, or a
/// whole object), and the same box listed again and again between others.
#[derive(Debug)]
pub(super) struct RepetitionGuard {
    box_repeats: usize,
    ids: Vec<u32>,
    boxes: HashMap<String, usize>,
    /// How far into the text closed brackets were looked for.
    searched: usize,
    open: Option<usize>,
}

/// The longest span that is looked for: about ten boxes.
const MAX_SPAN: usize = 256;
/// A span is a loop when it stands this often in a row ...
const SPAN_REPEATS: usize = 4;
/// ... and covers at least this many tokens, so that indentation does not count.
const SPAN_TOKENS: usize = 48;
/// The same four numbers may stand in an answer so often, or as often as there are labels: one
/// thing may carry several.
const BOX_REPEATS: usize = 4;
/// Ends a thought, in which boxes may be tried out.
const END_OF_THOUGHT: &str = "<channel|>";

impl RepetitionGuard {
    /// A guard for an answer about this many labels.
    pub(super) fn new(labels: usize) -> Self {
        let box_repeats = BOX_REPEATS.max(labels);
        Self { box_repeats, ids: Vec::new(), boxes: HashMap::new(), searched: 0, open: None }
    }

    /// Takes the next token and the text up to and including it; true when the answer repeats
    /// itself past the limits.
    pub(super) fn repeats(&mut self, id: u32, text: &str) -> bool {
        self.ids.push(id);
        self.span_repeats() || self.box_repeats(text)
    }

    fn span_repeats(&self) -> bool {
        let ids = &self.ids;
        let Some(&last) = ids.last() else { return false };
        (1..=MAX_SPAN.min(ids.len() / SPAN_REPEATS)).any(|span| {
            let covered = span * SPAN_REPEATS.max(SPAN_TOKENS.div_ceil(span));
            // The cheap comparison first: nearly every span fails on its last token.
            covered <= ids.len()
                && ids[ids.len() - 1 - span] == last
                && ids[ids.len() - covered..ids.len() - span] == ids[ids.len() - covered + span..]
        })
    }

    fn box_repeats(&mut self, text: &str) -> bool {
        for (offset, byte) in text.as_bytes()[self.searched..].iter().enumerate() {
            let place = self.searched + offset;
            match byte {
                b'[' => self.open = Some(place + 1),
                b']' => {
                    let Some(open) = self.open.take() else { continue };
                    let inside: String = text[open..place].split_whitespace().collect();
                    if inside.split(',').count() == 4
                        && inside.split(',').all(|part| part.parse::<f64>().is_ok())
                    {
                        let count = self.boxes.entry(inside).or_default();
                        *count += 1;
                        if *count > self.box_repeats {
                            return true;
                        }
                    }
                }
                _ => {}
            }
        }
        self.searched = text.len();
        if text.ends_with(END_OF_THOUGHT) {
            self.boxes.clear();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stopped_at(ids: impl IntoIterator<Item = u32>) -> Option<usize> {
        let mut guard = RepetitionGuard::new(1);
        ids.into_iter().position(|id| guard.repeats(id, ""))
    }

    #[test]
    fn a_repeated_span_stops_and_a_varied_one_does_not() {
        assert_eq!(stopped_at(std::iter::repeat_n(7, 100)), Some(47));
        assert_eq!(stopped_at((0..30).cycle().take(400)), Some(119));
        assert_eq!(stopped_at((0..200).flat_map(|object| [1, 2, 3, 100 + object, 4, 5])), None);
        assert_eq!(stopped_at(std::iter::repeat_n(7, 20)), None);
    }

    #[test]
    fn the_same_box_again_and_again_stops() {
        let mut guard = RepetitionGuard::new(1);
        let mut text = String::from("[");
        let mut stopped = None;
        for object in 0..20_u32 {
            let boxes = ["1, 2, 3, 4".to_owned(), format!("{object}, 7,3, 4")];
            text.extend(boxes.map(|numbers| format!("{{\"box_2d\": [{numbers}]}},")));
            if guard.repeats(1000 + object, &text) {
                stopped = Some(object);
                break;
            }
        }
        assert_eq!(stopped, Some(4), "the fifth copy, whatever stands between");
        let six_labels = (0..6).map(|_| "{\"box_2d\": [1, 2, 3, 4]},");
        let mut guard = RepetitionGuard::new(6);
        assert!(!guard.repeats(1, &six_labels.collect::<String>()));
    }
}
