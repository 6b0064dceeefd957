//! Real answers, the forms that answers take, and properties that hold for all of them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "numbers are read and rescaled exactly")]

mod doubt;
mod forms;
mod parts;
mod properties;
mod rescale;
mod samples;
mod status;

use super::{ParsedAnswer, parse};
use crate::record::{AnswerStatus, Ended, NoteKind};

const ENDS: [Ended; 4] = [Ended::StopToken, Ended::TokenLimit, Ended::Looped, Ended::Unknown];

/// The boxes of an answer and their labels, in short.
fn boxes(answer: &ParsedAnswer) -> Vec<([f64; 4], Option<&str>)> {
    answer.boxes.iter().map(|parsed| (parsed.box_2d, parsed.label.as_deref())).collect()
}

fn kinds(answer: &ParsedAnswer) -> Vec<NoteKind> {
    answer.notes.iter().map(|note| note.kind).collect()
}

/// What holds for every answer: the spans are those of the numbers and of the label, and a status
/// goes with its boxes.
fn check(text: &str, ended: Ended) -> ParsedAnswer {
    let answer = parse(text, ended);
    let mut end = 0;
    for parsed in &answer.boxes {
        assert!(parsed.coordinates.start >= end, "the boxes come in the order of the text");
        end = parsed.coordinates.end;
        let span = &text[parsed.coordinates.clone()];
        let numbers =
            span.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+')));
        let mut numbers = numbers.filter(|n| !matches!(*n, "" | "-")).map(str::parse::<f64>);
        if parsed.named {
            let read: Vec<f64> = numbers.flatten().collect();
            assert!(parsed.box_2d.iter().all(|side| read.contains(side)), "{span:?}");
        } else {
            assert!(
                parsed.box_2d.iter().all(|side| numbers.next() == Some(Ok(*side)))
                    && numbers.next().is_none()
            );
        }
        assert!(parsed.box_2d.iter().all(|value| value.is_finite()));
        assert_eq!(parsed.label.is_some(), parsed.label_span.is_some());
        if let (Some(label), Some(span)) = (&parsed.label, &parsed.label_span) {
            let (read, _) = super::label::clean(&text[span.clone()]).unwrap();
            assert_eq!(&read, label);
        }
    }
    match answer.status {
        AnswerStatus::Ok => assert!(!answer.boxes.is_empty()),
        // What was taken back may leave nothing.
        AnswerStatus::Salvaged => {
            let taken_back = [NoteKind::EarlierAnswerDropped, NoteKind::ThinkingRemoved];
            assert!(
                !answer.boxes.is_empty()
                    || answer.notes.iter().any(|note| taken_back.contains(&note.kind))
            );
        }
        AnswerStatus::Empty | AnswerStatus::Refused => {
            let turn_over = ["<turn|>", "<eos>", "<end_of_turn>", "<|end|>"]
                .iter()
                .any(|tag| text.contains(tag));
            assert!(answer.boxes.is_empty() && (ended != Ended::TokenLimit || turn_over));
        }
        AnswerStatus::Truncated => {}
        AnswerStatus::Looped => assert_eq!(ended, Ended::Looped),
        AnswerStatus::Text | AnswerStatus::Failed => {
            panic!("the parser never says {:?}", answer.status)
        }
    }
    assert_eq!(ended == Ended::Looped, answer.status == AnswerStatus::Looped);
    answer
}
