//! What status and notes say, one cause at a time.

use super::{boxes, check};
use crate::record::AnswerStatus::{self, Empty, Ok, Refused, Salvaged, Truncated};
use crate::record::Ended::{self, BoxLimit, StopToken, TokenLimit};

const DOG: &str = r#"[{"box_2d": [12, 34, 560, 780], "label": "dog"}]"#;
const CAT: &str = r#"[{"box_2d": [100, 200, 300, 400], "label": "cat"}]"#;

/// Texts in which `DOG` and `CAT` are the JSON of a box, with the labels, the status and the notes,
/// each with its count if that is not 1, that they are read as.
#[track_caller]
fn table(ended: Ended, rows: &[(&str, &str, AnswerStatus, &str)]) {
    for (text, labels, status, notes) in rows {
        let answer = check(&text.replace("DOG", DOG).replace("CAT", CAT), ended);
        let found: Vec<&str> =
            boxes(&answer).into_iter().map(|(_, label)| label.unwrap_or("-")).collect();
        let told = answer.notes.iter().map(|note| {
            let kind = serde_json::to_value(note.kind).unwrap();
            let count = if note.count == 1 { String::new() } else { format!(" {}", note.count) };
            format!("{}{count}", kind.as_str().unwrap())
        });
        let told = told.collect::<Vec<_>>().join(", ");
        let read = (found.join(", "), answer.status, told);
        assert_eq!(read, ((*labels).to_owned(), *status, (*notes).to_owned()), "{text}");
    }
}

#[test]
fn a_turn_ends_once_something_was_answered() {
    table(
        StopToken,
        &[
            // Before the answer, ends and starts of turns end nothing.
            ("<eos>DOG", "dog", Ok, ""),
            ("<|im_end|>\n<|im_start|>DOG", "dog", Ok, ""),
            ("Sure.\n<start_of_turn>DOG", "dog", Ok, "prose_around"),
            // Whatever was answered, the next turn is none of it.
            ("CAT\nuser\nDOG", "cat", Ok, ""),
            ("[]\nuser\nDOG", "", Empty, ""),
            ("{\"answer\": \"none\"}\nuser\nDOG", "", Refused, ""),
            ("[{\"box_2d\": [1, 2, 3]}]\nuser\nDOG", "", Refused, "unreadable_box"),
            ("box_2d: [1, 2, 30, 40], label: cat\n\nuser\nDOG", "cat", Salvaged, "malformed_json"),
            ("CAT\n[]\nuser\nDOG", "cat", Ok, ""),
            ("[]\n{\"answer\": \"none\"}<start_of_turn>DOG", "", Refused, ""),
            ("[{\"label\": \"cat\", <start_of_turn>user\nDOG", "", Truncated, ""),
        ],
    );
}

#[test]
fn another_message_of_the_turn_answers_anew() {
    table(
        StopToken,
        &[
            (
                "CAT<|end|>\n <|start|>assistant<|message|>DOG<|return|>",
                "dog",
                Salvaged,
                "earlier_answer_dropped",
            ),
            (
                "CAT<|end|><|start|>assistantDOG<|return|>",
                "dog",
                Salvaged,
                "earlier_answer_dropped",
            ),
            ("CAT<|end|><|start|>user<|message|>DOG<|return|>", "cat", Ok, ""),
        ],
    );
}

#[test]
fn a_thought_is_noted_if_there_was_one() {
    table(
        StopToken,
        &[
            ("<|channel|>final<|message|>DOG", "dog", Ok, ""),
            ("<answer>DOG</answer>", "dog", Ok, ""),
            ("A dog?<answer>DOG</answer>", "dog", Ok, "thinking_removed"),
            ("CAT<answer>DOG</answer>", "dog", Ok, "thinking_removed"),
            ("CAT<|channel|>final<|message|>DOG", "dog", Ok, "thinking_removed"),
            ("A dog?<|channel|>final<|message|>DOG", "dog", Ok, "thinking_removed"),
            ("analysisA cat? CAT assistantfinalDOG", "dog", Ok, "thinking_removed"),
            ("\n\u{feff} analysisA cat? CAT assistantfinalDOG", "dog", Ok, "thinking_removed"),
            ("analysis\nassistantfinal[]", "", Empty, "thinking_removed"),
            ("CAT<|end|><|start|>assistant[]", "", Salvaged, "earlier_answer_dropped"),
            // Marks that a server left do not hide the thought's name.
            ("<start_of_turn>model\nthought\nDOG", "dog", Ok, "thinking_removed"),
            ("<bos> <start_of_turn>thought\nDOG", "dog", Ok, "thinking_removed"),
            // Where the thought ends is a guess if words stand in it.
            (
                "thought\nThe user wants dogs.\nDOG",
                "dog",
                Salvaged,
                "prose_around, thinking_removed",
            ),
            ("thought\nThere is no dog.", "", Refused, "thinking_removed"),
            ("thought\nNo dog, CAT is no dog.\n[]", "", Salvaged, "prose_around, thinking_removed"),
        ],
    );
}

#[test]
fn numbers_in_words_are_no_box_that_was_read() {
    table(
        StopToken,
        &[
            (
                "A cat at 5, 6, 700, 800.<think>no</think>DOG",
                "dog",
                Salvaged,
                "prose_around, thinking_removed, unread_key",
            ),
            (
                "A cat at 5, 6, 700, 800.<details><summary>Thought</summary>no</details>DOG",
                "dog",
                Salvaged,
                "prose_around, thinking_removed, unread_key",
            ),
            (
                "DOG A cat at 5, 6, 700, 800.<|end|><|start|>assistant<|message|>Yes.<|return|>",
                "dog",
                Salvaged,
                "prose_around, unread_key",
            ),
            ("DOG\nIt is at 780, 34, 560, 12.", "dog", Ok, "prose_around"),
        ],
    );
}

#[test]
fn fences_are_open_closed_or_empty() {
    table(
        StopToken,
        &[
            ("```json\nCAT\n```json\nDOG\n```", "cat, dog", Ok, "unclosed_fence"),
            ("```json\nCAT\n```\n```json\nDOG\n```", "cat, dog", Ok, ""),
            ("```json\nCAT\n```\n```json\nDOG", "cat, dog", Ok, "unclosed_fence"),
            ("I looked.\n```json\n```", "", Empty, ""),
            ("```json\nI see nothing.\n```", "", Refused, ""),
            ("```json\n[]\n```", "", Empty, ""),
        ],
    );
}

#[test]
fn words_around_are_noted_if_there_is_something_to_be_around() {
    table(
        StopToken,
        &[
            ("I see a dog.", "", Refused, ""),
            ("Sure! []", "", Empty, "prose_around"),
            ("Sure! {\"answer\": \"none\"}", "", Refused, "prose_around"),
            ("Sure! DOG", "dog", Ok, "prose_around"),
        ],
    );
}

#[test]
fn a_nothing_beside_something_else_is_no_plain_nothing() {
    table(
        StopToken,
        &[
            ("<|tool_call>[]", "", Refused, "tool_call_debris"),
            ("<|tool_call><|tool_call>DOG", "dog", Salvaged, "tool_call_debris"),
            ("[] {\"answer\": \"none\"}", "", Refused, ""),
            ("[]<think>hm", "", Refused, "thinking_removed"),
            ("[]<think>hm</think>", "", Empty, "thinking_removed"),
            ("[] [{\"box_2d\": [1, 2, 3]}]", "", Refused, "unreadable_box"),
            ("[]<|zzz|>It is one.", "", Refused, "unknown_mark"),
            ("DOG []", "dog", Ok, ""),
            ("DOG {note: it sleeps}", "dog", Ok, ""),
        ],
    );
}

#[test]
fn a_full_list_may_lack_boxes() {
    table(BoxLimit, &[("DOG", "dog", Truncated, ""), ("[]", "", Empty, "")]);
    table(
        TokenLimit,
        &[
            ("DOG", "dog", Ok, ""),
            ("DOG,", "dog", Truncated, ""),
            ("Well, DOG", "dog", Ok, "prose_around"),
            ("box_2d: [1, 2, 30, 40], label: do", "-", Truncated, "prose_around, malformed_json"),
        ],
    );
    table(StopToken, &[("box_2d: [1, 2, 30, 40], label: dog", "dog", Salvaged, "malformed_json")]);
}

#[test]
fn what_is_dropped_is_counted_with_what_was_not_read_in_it() {
    table(
        StopToken,
        &[
            (
                "First attempt:\n[{\"box_2d\": [1, 2, 3]}, {\"box_2d\": [1, 2, 30, 40], \
                 \"label\": \"cat\"}]\nCorrected answer:\nDOG",
                "dog",
                Salvaged,
                "prose_around, unreadable_box, earlier_answer_dropped 2",
            ),
            (
                "[{\"box_2d\": [1, 2, 3]}]\nWait, that is wrong. Corrected answer:\nDOG",
                "dog",
                Salvaged,
                "prose_around, unreadable_box, earlier_answer_dropped",
            ),
        ],
    );
}

#[test]
fn boxes_under_a_word_are_in_doubt_if_all_their_numbers_are_tiny() {
    for (largest, status) in [(31, Salvaged), (32, Salvaged), (33, Ok)] {
        let text = format!(r#"{{"seats": [1, 2, 3, {largest}], "dogs": [2, 3, 9, 8]}}"#);
        assert_eq!(check(&text, StopToken).status, status, "{text}");
    }
}

#[test]
fn boxes_line_by_line_correct_what_came_before_if_their_list_is_whole() {
    let text = "CAT\nWait. Corrected answer:\n- box_2d: [12, 34, 560, 780]\n  label: dog\n";
    let notes = "prose_around, malformed_json, earlier_answer_dropped";
    table(StopToken, &[(text, "dog", Salvaged, notes)]);
    let cut = format!("{text}- box_2d: [1, 2");
    table(TokenLimit, &[(&cut, "cat", Truncated, notes)]);
}

#[test]
fn a_bracket_behind_a_box_in_prose_is_prose_unless_it_opens_a_value() {
    table(
        StopToken,
        &[
            ("box_2d: [1, 2, 30, 40], [see left", "-", Salvaged, "prose_around, malformed_json"),
            ("box_2d: [1, 2, 30, 40] [see left", "-", Salvaged, "prose_around, malformed_json"),
        ],
    );
}
