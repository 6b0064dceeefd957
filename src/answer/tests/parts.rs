//! Several answers in one text.

use super::{boxes, check, kinds};
use crate::record::AnswerStatus::{self, Ok, Salvaged, Truncated};
use crate::record::Ended::{StopToken, TokenLimit};
use crate::record::NoteKind::{EarlierAnswerDropped, SeveralAnswers, ThinkingRemoved};

const CAT: &str = r#"{"box_2d": [100, 200, 300, 400], "label": "cat"}"#;
/// The same cat, a little elsewhere.
const CAT_AGAIN: &str = r#"{"box_2d": [110, 210, 310, 420], "label": "cat"}"#;
/// Another cat.
const FAR_CAT: &str = r#"{"box_2d": [600, 600, 900, 900], "label": "cat"}"#;
const DOG: &str = r#"{"box_2d": [500, 100, 900, 300], "label": "dog"}"#;
const DRAFT: &str = r#"{"box_2d": [1, 2, 30, 40], "label": "draft"}"#;

fn fence(json: &str) -> String {
    format!("```json\n{json}\n```")
}

/// The upper left corners of the boxes, which tell them apart.
fn found(text: &str) -> (Vec<[f64; 2]>, AnswerStatus) {
    let answer = check(text, StopToken);
    (boxes(&answer).into_iter().map(|(b, _)| [b[0], b[1]]).collect(), answer.status)
}

fn corners(json: &[&str]) -> Vec<[f64; 2]> {
    json.iter().flat_map(|json| found(json).0).collect()
}

#[track_caller]
fn only(text: &str, kept: &[&str]) {
    assert_eq!(found(text), (corners(kept), Salvaged), "{text}");
    assert!(kinds(&check(text, StopToken)).contains(&EarlierAnswerDropped), "{text}");
}

#[track_caller]
fn one_answer(text: &str, kept: &[&str]) {
    assert_eq!(found(text), (corners(kept), Ok), "{text}");
}

#[track_caller]
fn in_doubt(text: &str, kept: &[&str]) {
    assert_eq!(found(text), (corners(kept), Salvaged), "{text}");
    assert!(kinds(&check(text, StopToken)).contains(&SeveralAnswers), "{text}");
}

#[test]
fn the_last_attempt_wins() {
    let (cat, again, dog) = (format!("[{CAT}]"), format!("[{CAT_AGAIN}]"), format!("[{DOG}]"));
    let both = format!("[{CAT}, {DOG}]");
    for (text, kept) in [
        (
            format!(
                "First attempt:\n{}\nWait, no cup there. Corrected answer:\n{}",
                fence(&both),
                fence(&again)
            ),
            &again,
        ),
        (format!("{}\nWait, that is a dog:\n{}", fence(&cat), fence(&dog)), &dog),
        (format!("{both}\n\nActually, looking again:\n{again}"), &again),
        (format!("Draft:\n{both}\nFinal:\n{cat}"), &cat),
        (format!("Initial detections: {cat}\n\nRefined detections: {again}"), &again),
        (format!("{}\nOn closer inspection:\n{}", fence(&both), fence(&again)), &again),
        (format!("My first guess is {CAT}, but that is too small.\n{again}"), &again),
        (format!("Attempt 1:\n{dog}\nAttempt 2:\n{cat}"), &cat),
        (format!("{cat}\nSorry, that was a mistake.\n{dog}"), &dog),
        (format!("**Rough estimate**\n{}\n**Result**\n{}", fence(&both), fence(&cat)), &cat),
        (format!("{}\nI have double-checked:\n{}", fence(&both), fence(&again)), &again),
        (format!("{both}\n修正后的结果：\n{again}"), &again),
        (format!("{both}\nKorrigierte Antwort:\n{again}"), &again),
        (format!("{cat}\nNo, that is not right.\n{dog}"), &dog),
        (format!("{cat}\nI apologize, here it is:\n{dog}"), &dog),
        (format!("{cat}\nOn second thought:\n{dog}"), &dog),
        (format!("{cat}\nPerdón, respuesta corregida:\n{dog}"), &dog),
        (format!("{cat}\nWait: {both}\nNo, the final answer: {again}"), &again),
    ] {
        only(&text, &[kept]);
    }
    // Of two classes, one is corrected.
    only(
        &format!("Cats:\n{cat}\nDogs:\n{dog}\nWait, the cat is larger:\n{again}"),
        &[&dog, &again],
    );
    // Nothing is left: no plain "nothing".
    only(&format!("{cat}\nWait, that is a rock. Corrected answer: []"), &[]);
}

#[test]
fn what_was_cut_off_corrects_nothing() {
    let text = format!("[{CAT}, {DOG}]\nWait. Corrected answer:\n[{CAT_AGAIN}, {{\"box_2d\": [5");
    for ended in [StopToken, TokenLimit] {
        let answer = check(&text, ended);
        assert_eq!((answer.boxes.len(), answer.status), (2, Truncated));
        assert_eq!(answer.boxes[0].box_2d[0], 100.0);
    }
}

#[test]
fn an_example_is_no_answer() {
    let cat = format!("[{CAT}]");
    for example in [
        r#"[{"box_2d": [100, 200, 300, 400], "label": "example"}]"#,
        r#"[{"box_2d": [0, 0, 0, 0], "label": "cat"}]"#,
        r#"[{"box_2d": [10, 20, 300, 400], "label": "<label>"}]"#,
        r#"[{"box_2d": [10, 20, 300, 400], "label": "object_name"}]"#,
        r#"{"detections": [{"box_2d": [10, 20, 300, 400], "label": "..."}]}"#,
    ] {
        only(&format!("The output:\n{}\nAnd:\n{}", fence(example), fence(&cat)), &[&cat]);
        only(&format!("{cat}\nThis follows {example}."), &[&cat]);
    }
    let tree = r#"[{"box_2d": [10, 20, 300, 400], "label": "tree"}]"#;
    for text in [
        format!("The format is:\n{}\nFor this image:\n{}", fence(tree), fence(&cat)),
        format!("For example, {tree} would be a tree.\n{cat}"),
        format!("Using the schema\n{}\nI get\n{}", fence(tree), fence(&cat)),
        format!("I answer in this format: {tree}\nDetections in the image: {cat}"),
        format!("{cat}\n\nA tree, for instance, would be {tree}."),
    ] {
        only(&text, &[&cat]);
    }
    // An example alone is an answer: the words may mean anything.
    one_answer(&format!("For example: {tree}"), &[tree]);
}

#[test]
fn boxes_in_a_sentence_before_the_list() {
    let again = format!("[{CAT_AGAIN}]");
    for text in [
        format!("There is a cat at {CAT}.\n{}", fence(&again)),
        format!("The user wants the cat. A first guess is {DRAFT} but that is too small.{again}"),
        format!("The cat: {FAR_CAT}\n{again}"),
        format!("A cat at box_2d: [1, 2, 30, 40] and that is all.\n{}", fence(&again)),
        format!("I see it at box_2d: [1, 2, 30, 40], label: cat.\n{}", fence(&again)),
        format!("- box_2d: [1, 2, 30, 40]\n  label: cat\n\nAs JSON:\n{}", fence(&again)),
    ] {
        only(&text, &[&again]);
    }
    // A list of something else may go with it.
    in_doubt(&format!("The dog: {DOG}. The cats:\n{}", fence(&again)), &[DOG, &again]);
}

#[test]
fn one_answer_in_several_parts() {
    let (cat, dog) = (format!("[{CAT}]"), format!("[{DOG}]"));
    for text in [
        format!("Cats:\n{}\nDogs:\n{}", fence(&cat), fence(&dog)),
        format!("### cat\n{}\n\n### dog\n{}", fence(&cat), fence(&dog)),
        format!("{cat}\n{dog}"),
        format!("{CAT}\n{DOG}"),
        format!("{cat}\n[]\n{dog}"),
        format!("The cat: {CAT} and the dog: {DOG}."),
        format!("{}\n{}", fence(&cat), fence(&dog)),
        format!("There is a cat: {cat}. There is also a dog: {dog}."),
        format!("{cat}\nI also found another animal, wait: {dog}"),
    ] {
        one_answer(&text, &[CAT, DOG]);
    }
    one_answer(&format!("- {CAT}\n- {FAR_CAT}"), &[CAT, FAR_CAT]);
    one_answer(&format!("Object 1: {CAT}\nObject 2: {CAT_AGAIN}"), &[CAT, CAT_AGAIN]);
    one_answer(&format!("[{CAT}]\n[{FAR_CAT}]"), &[CAT, FAR_CAT]);
    one_answer(&format!("{CAT}\n{CAT_AGAIN}"), &[CAT, CAT_AGAIN]);
    one_answer(&format!("No birds: []\nCats: {cat}"), &[CAT]);
    one_answer(&format!("Cats: {cat}\nNo birds: []"), &[CAT]);
}

#[test]
fn what_is_said_again_counts_once() {
    let both = format!("[{CAT}, {DOG}]");
    let again = format!("[{CAT_AGAIN}, {DOG}]");
    only(&format!("{both}\n{}", fence(&again)), &[&again]);
    only(&format!("{}\nSo these are the animals:\n{}", fence(&both), fence(&again)), &[&again]);
    only(&format!("[{CAT}]\n[{CAT}]"), &[CAT]);
}

#[test]
fn in_doubt_all_is_kept_and_said_so() {
    in_doubt(&format!("Left side:\n[{CAT}]\nRight side:\n[{FAR_CAT}]"), &[CAT, FAR_CAT]);
    in_doubt(
        &format!(
            "{}\nThere is one more cat:\n{}",
            fence(&format!("[{CAT}, {DOG}]")),
            fence(&format!("[{FAR_CAT}]"))
        ),
        &[CAT, DOG, FAR_CAT],
    );
}

#[test]
fn other_labels_are_one_answer_only_if_words_say_so() {
    // Nothing says that the dog goes with the cat, or that it replaces it.
    in_doubt(&format!("[{CAT}]\nThat seems to be off somehow.\n[{DOG}]"), &[CAT, DOG]);
    in_doubt(&format!("{}\nGatos arriba, perros abajo:\n{}", fence(CAT), fence(DOG)), &[CAT, DOG]);
}

#[test]
fn a_thought_without_its_marks() {
    let cat = format!("[{CAT}]");
    for text in [
        format!("thought\nThe user wants cats. First: {DRAFT}\n{cat}"),
        format!("thought\nThe user wants cats.\n[{DRAFT}]\nThat is it.\n\n{}", fence(&cat)),
        format!("model\nthought\nThe user wants cats. {DRAFT}\n{cat}"),
        format!("Thinking Process:\n1. {DRAFT}\n2. Better.\n{cat}"),
    ] {
        assert_eq!(found(&text), (corners(&[CAT]), Salvaged), "{text}");
        assert!(kinds(&check(&text, StopToken)).contains(&ThinkingRemoved), "{text}");
    }
    for text in [
        format!("thought\n{cat}"),
        format!("thought\n\n{}", fence(&cat)),
        format!("\nThought:\n{cat}"),
    ] {
        one_answer(&text, &[CAT]);
    }
}

#[test]
fn a_draft_beside_the_answer_in_one_object() {
    let final_one = format!(r#"{{"draft": [{DRAFT}], "final": [{CAT}]}}"#);
    only(&final_one, &[CAT]);
    only(&format!(r#"{{"answer": [{CAT}], "initial_detections": [{DRAFT}, {DOG}]}}"#), &[CAT]);
    only(&format!(r#"{{"thoughts": {{"guess": {DRAFT}}}, "objects": [{CAT}]}}"#), &[CAT]);
    one_answer(&format!(r#"{{"initial_detections": [{CAT}]}}"#), &[CAT]);
}
