//! Questions that ask for no boxes, and answers that are text.
//!
//! In: a question's words, or an answer's text. Out: whether boxes are asked for, and the words of
//! the answer without thoughts and special tokens. Promises: a caption is an answer and no failure;
//! boxes that stand in it are read all the same, but it is an example of nothing.

use super::marks::{self, END_OF_FOLDED, Mark};
use super::scan::Scanner;
use super::{ParsedAnswer, is_box_key};
use crate::record::{Answer, AnswerKind, AnswerStatus, Ended, Record, Task};

impl AnswerKind {
    /// What a question in the user's own words asks for: boxes, or points in their place, if it begins
    /// with detect, find, locate or point (behind "please", if that is there) or names `box_2d`, and text otherwise.
    pub fn of_question(text: &str) -> Self {
        let mut words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        let first = words.find(|word| !word.eq_ignore_ascii_case("please")).unwrap_or_default();
        let finds = ["detect", "find", "locate", "point"]
            .iter()
            .any(|verb| first.eq_ignore_ascii_case(verb));
        let names_key =
            text.split(|c: char| !(c.is_alphanumeric() || "_-\\".contains(c))).any(is_box_key);
        if finds || names_key { Self::Boxes } else { Self::Text }
    }
}

impl Task {
    /// What it asks for where nobody says: boxes of labels and phrases; of a text, what its words
    /// say.
    pub fn answer_kind(&self) -> AnswerKind {
        match self {
            Self::Prompt { text, labels } if labels.is_empty() => AnswerKind::of_question(text),
            Self::Labels(_) | Self::Phrase(_) | Self::Prompt { .. } => AnswerKind::Boxes,
        }
    }
}

/// The words of an answer: without thoughts, special tokens and all that stands behind the end of
/// its turn.
pub fn plain_text(text: &str) -> String {
    let mut words = String::new();
    let mut scan = Scanner::new(text);
    let (mut from, mut in_answer) = (0, false);
    while let Some((at, mark)) = scan.next_mark() {
        words.push_str(&text[from..at]);
        match mark {
            Mark::Thought => {
                scan.skip_thought(false);
            }
            Mark::Folded => {
                scan.skip_past(END_OF_FOLDED);
            }
            Mark::Channel => {
                let message = text[..scan.end()].ends_with("|>");
                if marks::names_answer(scan.skip_channel_name()) {
                    words.clear();
                    in_answer = true;
                } else {
                    scan.skip_thought(message);
                }
            }
            Mark::Answer if !in_answer => {
                words.clear();
                in_answer = true;
            }
            Mark::ThoughtEnd if !in_answer => words.clear(),
            Mark::TurnEnd | Mark::TurnStart if !words.trim().is_empty() => {
                return words.trim().to_owned();
            }
            _ => {}
        }
        from = scan.end();
    }
    words.push_str(&text[from..]);
    words.trim().to_owned()
}

/// The words of a record's answers, if they are text.
pub fn text_of(record: &Record) -> Option<String> {
    let texts = record
        .answers
        .iter()
        .map(|answer| plain_text(&answer.text))
        .filter(|text| !text.is_empty());
    (record.status == AnswerStatus::Text).then(|| texts.collect::<Vec<_>>().join("\n\n"))
}

/// The status of an answer to a question that asks for no boxes.
pub(super) fn status(answer: &Answer, parsed: &ParsedAnswer) -> AnswerStatus {
    match parsed.status {
        AnswerStatus::Looped => AnswerStatus::Looped,
        AnswerStatus::Truncated if answer.ended == Ended::TokenLimit => AnswerStatus::Truncated,
        _ if plain_text(&answer.text).is_empty() => AnswerStatus::Refused,
        _ => AnswerStatus::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::plain_text;
    use crate::record::AnswerKind;

    #[test]
    fn what_a_question_asks_for() {
        for text in [
            "detect cat",
            "  Detect all cats",
            "FIND the red car",
            "Please locate: the door",
            "Please, please find it",
            "List the animals as JSON with box_2d and label",
            "Return \"box_2d\": [ymin, xmin, ymax, xmax]",
            "Give me Box-2D and label",
            "Point to every star.",
        ] {
            assert_eq!(AnswerKind::of_question(text), AnswerKind::Boxes, "{text}");
        }
        for text in [
            "",
            "describe the image",
            "What is detected here?",
            "Finding Nemo?",
            "Is there a locator?",
            "please",
        ] {
            assert_eq!(AnswerKind::of_question(text), AnswerKind::Text, "{text}");
        }
        assert_eq!("text".parse(), Ok(AnswerKind::Text));
        assert!("Text".parse::<AnswerKind>().is_err());
    }

    #[test]
    fn the_words_of_an_answer() {
        for (text, words) in [
            ("A cat.\n", "A cat."),
            (
                "<|channel>thought\nhm\n<channel|>A cat [sitting] <here>.<turn|><eos>",
                "A cat [sitting] <here>.",
            ),
            ("<think>hm</think>\n\nA cat.<|im_end|>\n<|im_start|>user", "A cat."),
            ("hm</think>A cat.", "A cat."),
            ("<answer>A cat.</answer>", "A cat."),
            ("<bos>A cat.<pad>", "A cat."),
            ("<think>A cat.", ""),
            (" \n", ""),
        ] {
            assert_eq!(plain_text(text), words, "{text}");
        }
    }
}
