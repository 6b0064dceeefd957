//! Properties over many texts.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ENDS, boxes, check};
use crate::answer::key::{self, Key};
use crate::answer::parser::{MAX_DEPTH, steps};
use crate::answer::scan::ENDS_OF_STRINGS;
use crate::answer::{label, parse, plain_text, to_detections};
use crate::record::{AnswerStatus, CoordinateOrder, CoordinateScale, Ended, NoteKind};

const FENCES: [(&str, &str); 5] =
    [("", ""), ("```json\n", "\n```"), ("```\n", "\n```"), ("```json\n", ""), ("~~~\n", "\n~~~")];
const BEFORE: [&str; 5] = [
    "",
    "Here's what I've found:\n",
    "<|channel>thought\n<channel|>",
    "It's \"it\" [sic] (",
    "\n\n",
];
const AFTER: [&str; 5] = ["", "\n", "<turn|>", "\nThat's [all], isn't it?", "<end_of_turn><eos>"];

type Labelled = ([i32; 4], String);

/// Labels with everything that is special in JSON or here, and never blank.
fn any_label() -> impl Strategy<Value = String> {
    r#"[a-zäß日🐱"'{}\[\]:,/#`\\<|>_ 0-9\n\t-]{0,12}[a-z]"#
}

fn any_boxes() -> impl Strategy<Value = Vec<Labelled>> {
    prop::collection::vec((prop::array::uniform4(-20..1300i32), any_label()), 1..6)
}

/// Pieces that answers and broken answers are made of.
fn any_pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "[",
        "]",
        "{",
        "}",
        "(",
        ")",
        ",",
        ":",
        "\"",
        "'",
        "\\",
        "\\\"",
        "\n",
        " ",
        "```",
        "```json\n",
        "~~~",
        "\"box_2d\"",
        "box_2d:",
        "\"box_2d\": [1, 2, 3, 4]",
        "\"label\": ",
        "\"label\": \"dog\"",
        "label",
        "text",
        "null",
        "12",
        "-3.5",
        "1e999",
        "[1,2,3,4]",
        "<|channel>",
        "<channel|>",
        "<think>",
        "</think>",
        "<|tool_call>",
        "<turn|>",
        "<|\"|>",
        "<eos>",
        "<",
        "//",
        "/*",
        "*/",
        "#",
        "é",
        "日本",
        "\u{feff}",
        "\u{a0}",
        "`",
        "=",
        "dog's",
        "\\u00e9",
        "\\ud83d",
        "“",
        "”",
        "「",
        "，",
        "：",
        "［",
        "◁think▷",
        "<|channel|>",
        "<|end|>",
        "[THINK]",
        "[/THINK]",
        "<answer>",
        "- ",
        "\n- box_2d: [1, 2, 3, 4]\n  label: cat",
        "label: dog\n",
        "Wait, ",
        "example",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// A text in which every box is written as the model does, and the labels as they are to be read.
fn write(found: &[Labelled], pretty: bool) -> String {
    let objects: Vec<Value> =
        found.iter().map(|(b, label)| json!({"box_2d": b, "label": label})).collect();
    if pretty { serde_json::to_string_pretty(&objects) } else { serde_json::to_string(&objects) }
        .unwrap()
}

fn read_back(found: &[Labelled]) -> Vec<([f64; 4], String)> {
    found.iter().map(|(b, label)| (b.map(f64::from), words(label))).collect()
}

fn words(label: &str) -> String {
    label.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn parsed(text: &str, ended: Ended) -> (AnswerStatus, Vec<([f64; 4], String)>) {
    let answer = check(text, ended);
    let found =
        boxes(&answer).into_iter().map(|(b, label)| (b, label.unwrap_or_default().to_owned()));
    (answer.status, found.collect())
}

/// Whether special tokens that no string can hold stand in the text.
fn has_special_tokens(text: &str) -> bool {
    ENDS_OF_STRINGS.iter().any(|mark| text.contains(mark))
}

/// The boxes of well-formed JSON as the module's documentation defines them, of keys that are no
/// words of a label's. Gives those that wait for the label of an object around.
fn reference(value: &Value, found: &mut Vec<([f64; 4], Option<String>)>) -> Vec<usize> {
    let mut waiting = Vec::new();
    match value {
        Value::Array(values) => {
            waiting.extend(values.iter().flat_map(|value| reference(value, found)));
        }
        Value::Object(members) => {
            let label = members
                .iter()
                .filter_map(|(key, value)| label_of(key, value))
                .min_by_key(|(rank, ..)| *rank);
            let list = members.iter().filter_map(|(key, value)| labels_of(key, value)).next_back();
            let mut own = Vec::new();
            for (key, value) in members {
                match value {
                    Value::Array(list) if Key::of(key) == Key::Box => {
                        boxes_of(list, &mut own, found);
                    }
                    value => waiting.extend(reference(value, found)),
                }
            }
            let is_own = !own.is_empty();
            let labelled = if is_own { &mut own } else { &mut waiting };
            labelled.sort_unstable();
            let pairs =
                list.filter(|list| list.len() == labelled.len() || (is_own && labelled.len() == 1));
            match (label, pairs) {
                (Some((.., text)), _) if is_own => {
                    labelled.drain(..).for_each(|index| found[index].1 = Some(text.clone()));
                }
                (_, Some(list)) => labelled
                    .drain(..)
                    .zip(list)
                    .for_each(|(index, text)| found[index].1 = Some(text)),
                // A name may be that of the whole answer.
                (Some((_, false, text)), None) => {
                    labelled.drain(..).for_each(|index| found[index].1 = Some(text.clone()));
                }
                _ => {}
            }
            waiting.extend(own);
        }
        _ => {}
    }
    waiting
}

/// The rank of a label that a member holds, whether it may be that of the whole answer, and its
/// text: a string, a number, the first string of a list, or the label of an object without boxes.
fn label_of(key: &str, value: &Value) -> Option<(usize, bool, String)> {
    let Key::Label { rank, .. } = Key::of(key) else { return None };
    let clean = |text: &str| {
        label::clean(serde_json::to_string(text).ok()?.trim_matches('"')).map(|(text, _)| text)
    };
    let text = match value {
        Value::String(text) => clean(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(list) if has_no_boxes(value) && labels_of(key, value).is_none() => {
            list.iter().find_map(Value::as_str).and_then(clean)
        }
        Value::Object(members) if has_no_boxes(value) => {
            let label = members
                .iter()
                .filter_map(|(key, value)| label_of(key, value))
                .min_by_key(|(rank, ..)| *rank);
            return label.map(|(.., text)| (rank, key::is_envelope(rank), text));
        }
        _ => None,
    };
    text.map(|text| {
        // Any other label is better than one that only counts.
        let order = if key::is_no_label(&text) { usize::MAX } else { rank };
        (order, key::is_envelope(rank), text)
    })
}

/// The labels that a list of several texts under the key of one label holds.
fn labels_of(key: &str, value: &Value) -> Option<Vec<String>> {
    let list = value
        .as_array()
        .filter(|_| matches!(Key::of(key), Key::Label { .. }) && has_no_boxes(value))?;
    let clean = |text: &str| {
        label::clean(serde_json::to_string(text).ok()?.trim_matches('"')).map(|(text, _)| text)
    };
    let texts: Vec<String> = list.iter().filter_map(Value::as_str).filter_map(clean).collect();
    (texts.len() > 1).then_some(texts)
}

/// Whether no key of a box is in it, but with nothing behind it.
fn has_no_boxes(value: &Value) -> bool {
    match value {
        Value::Array(values) => values.iter().all(has_no_boxes),
        Value::Object(members) => members.iter().all(|(key, value)| {
            let nothing = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            (Key::of(key) != Key::Box || nothing) && has_no_boxes(value)
        }),
        _ => true,
    }
}

/// The boxes of a value of `box_2d`.
fn boxes_of(list: &[Value], own: &mut Vec<usize>, found: &mut Vec<([f64; 4], Option<String>)>) {
    let mut push = |found: &mut Vec<([f64; 4], Option<String>)>, b: [f64; 4]| {
        own.push(found.len());
        found.push((b, None));
    };
    if let Some(b) = four(list) {
        push(found, b);
        return;
    }
    let lists = list.iter().take_while(|value| value.is_array()).count();
    for (i, value) in list.iter().enumerate() {
        match value.as_array().and_then(|list| four(list)).filter(|_| i < lists) {
            Some(b) => push(found, b),
            // Nothing in here waits for a label outside.
            None => drop(reference(value, found)),
        }
    }
}

fn four(list: &[Value]) -> Option<[f64; 4]> {
    let numbers: Option<Vec<f64>> = list.iter().map(Value::as_f64).collect();
    numbers?.try_into().ok()
}

/// JSON around and beside boxes, without a key twice.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any_label().prop_map(Value::from),
        (-5..2000i32).prop_map(Value::from),
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop::array::uniform4(0..1000i32).prop_map(|b| json!(b)),
        prop::array::uniform2(prop::array::uniform4(0..1000i32)).prop_map(|b| json!(b)),
    ];
    let key = prop::sample::select(vec![
        "box_2d", "label", "name", "caption", "bbox_2d", "score", "image", "color",
    ]);
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..5).prop_map(|members| members
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    // 256 cases of each, or as many as PROPTEST_CASES says.

    #[test]
    fn no_text_panics(
        text in prop_oneof![any_pieces(), any::<String>()],
        width in 0..3000u32,
        height in 0..3000u32,
        scale in 0..3usize,
        order in 0..2usize,
    ) {
        plain_text(&text);
        for ended in ENDS {
            let answer = check(&text, ended);
            let coordinates = (CoordinateScale::ALL[scale], CoordinateOrder::ALL[order]);
            let (located, _) = to_detections(&answer, (width, height), coordinates, None);
            for found in located {
                let b = found.detection.bbox;
                prop_assert!(0.0 <= b.x0 && b.x0 < b.x1 && b.x1 <= f64::from(width), "{b:?}");
                prop_assert!(0.0 <= b.y0 && b.y0 < b.y1 && b.y1 <= f64::from(height), "{b:?}");
                prop_assert!(found.source < answer.boxes.len());
            }
        }
    }

    #[test]
    fn no_box_is_invented(text in any_pieces()) {
        for parsed in parse(&text, Ended::Unknown).boxes {
            let (start, end) = (parsed.coordinates.start, parsed.coordinates.end);
            let (before, after) = (&text[..start], &text[end..]);
            // `{"cat": [1, 2, 3, 4]}`: the key is the label.
            let word = parsed.label_span.as_ref().filter(|span| span.end <= start);
            let of_word = |span: &std::ops::Range<usize>| {
                text[span.end..parsed.coordinates.start].chars().all(|c| c.is_whitespace()
                    || "\"':=[(,\\".contains(c))
            };
            if word.is_some_and(of_word) {
                continue;
            }
            let key = before.to_ascii_lowercase().rfind("2d");
            prop_assert!(key.is_some(), "{}", text);
            // Behind the key come its colon and brackets, with lists that were boxes too, or else
            // comments and tags.
            let between = &before[key.unwrap() + 2..];
            let aside = ["#", "//", "/*", "<", "- "].iter().any(|start| between.contains(start));
            prop_assert!(aside || !between.contains(char::is_alphabetic), "{between:?} in {text}");
            prop_assert!(between.contains(['[', '(']), "{}", text);
            let next = after.trim_start_matches(|c: char| c.is_whitespace()
                || "\"',`~\u{feff}".contains(c));
            prop_assert!(next.starts_with([']', ')', '}', '#', '/', '<']), "{after:?} in {text}");
        }
    }

    #[test]
    fn surface_does_not_matter(
        found in any_boxes(),
        pretty: bool,
        fence in prop::sample::select(FENCES.to_vec()),
        before in prop::sample::select(BEFORE.to_vec()),
        after in prop::sample::select(AFTER.to_vec()),
    ) {
        let text = format!("{before}{}{}{}{after}", fence.0, write(&found, pretty), fence.1);
        prop_assume!(!has_special_tokens(&write(&found, pretty)));
        for ended in [Ended::StopToken, Ended::TokenLimit, Ended::Unknown] {
            // Words at the limit of tokens may lead to more boxes.
            let cut = ended == Ended::TokenLimit && after.contains("all");
            let status = if cut { AnswerStatus::Truncated } else { AnswerStatus::Ok };
            prop_assert_eq!(parsed(&text, ended), (status, read_back(&found)), "{}", text);
        }
    }

    #[test]
    fn style_does_not_matter(
        found in prop::collection::vec((prop::array::uniform4(0..1000i32), "[a-zé]{1,6}( \
            [a-z]{1,6})?"), 1..5),
        style in 0..7,
    ) {
        let mut text = String::from("[");
        for ([a, b, c, d], label) in &found {
            match style {
                0 => write!(text, "{{'box_2d': [{a}, {b}, {c}, {d}], 'label': '{label}'}},"),
                1 => writeln!(text, "{{box_2d: [{a},{b},{c},{d}], label: {label}}}, // next"),
                2 => writeln!(text, "{{\"label\": \"{label}\", \"box_2d\": [ {a}.0 , {b}e0 , {c}, \
                                     {d},],}},"),
                3 => write!(text, "{{\"box_2d\": \
                                   (\"{a}\", \"{b}\", \"{c}\", \"{d}\") \"label\": \"{label}\"}} "),
                4 => write!(text, "{{\"x\": None, \"box_2d\": [{a} {b} {c} \
                                   {d}], \"label\": \"name\": \"{label}\"}},"),
                5 => writeln!(text, "{{\"box_2d\": [{a}, {b}, {c}, {d}], \"label\": \"{label}}},"),
                _ => write!(text, "{{Box2D=[{a}\n,{b}\n,{c}\n,{d}], 'caption': \"{label}\", x: \
                                   {{y: [1, 2, 3, 4]}}}}"),
            }
            .unwrap();
        }
        text.push(']');
        prop_assert_eq!(parsed(&text, Ended::StopToken), (AnswerStatus::Salvaged,
            read_back(&found)), "{}", text);
    }

    #[test]
    fn a_prefix_keeps_the_boxes_whose_lists_closed(
        found in any_boxes(), pretty: bool, label_first: bool, fenced: bool,
    ) {
        let mut json = write(&found, pretty);
        if label_first {
            let object = |(b, label)| json!({"label": label, "box_2d": b});
            let objects: Vec<Value> = found.iter().map(|(b, label)| object((b, label))).collect();
            json = serde_json::to_string(&objects).unwrap();
        }
        prop_assume!(!has_special_tokens(&json));
        let text = if fenced { format!("```json\n{json}\n```") } else { json.clone() };
        let whole = check(&text, Ended::Unknown);
        prop_assert_eq!(whole.boxes.len(), found.len());
        let complete = text.find(&json).unwrap() + json.len();
        for end in (0..=text.len()).filter(|&end| text.is_char_boundary(end)) {
            let answer = check(&text[..end], Ended::TokenLimit);
            // The list closes at the bracket behind the last number.
            let closed = |coordinates: &std::ops::Range<usize>| {
                text[coordinates.end..].find(']').is_some_and(|at| coordinates.end + at < end)
            };
            let boxes = whole.boxes.iter();
            let kept: Vec<_> = boxes.filter(|parsed| closed(&parsed.coordinates)).collect();
            prop_assert_eq!(answer.boxes.len(), kept.len(), "{}", &text[..end]);
            for (parsed, whole) in answer.boxes.iter().zip(kept) {
                prop_assert_eq!(parsed.box_2d, whole.box_2d);
                prop_assert_eq!(&parsed.coordinates, &whole.coordinates);
                if parsed.label.is_some() {
                    prop_assert_eq!(&parsed.label, &whole.label, "whole or none: {}", &text[..end]);
                }
            }
            let status = if end < complete { AnswerStatus::Truncated } else { AnswerStatus::Ok };
            prop_assert_eq!(answer.status, status, "{}", &text[..end]);
        }
    }

    #[test]
    fn well_formed_json_is_read_as_json(value in any_json(), pretty: bool) {
        let written = if pretty { serde_json::to_string_pretty } else { serde_json::to_string };
        let text = written(&value).unwrap();
        prop_assume!(!has_special_tokens(&text) && (value.is_object() || value.is_array()));
        let mut expected = Vec::new();
        reference(&value, &mut expected);
        let answer = check(&text, Ended::StopToken);
        let boxes = answer.boxes.iter();
        let found: Vec<_> = boxes.map(|parsed| (parsed.box_2d, parsed.label.clone())).collect();
        prop_assert_eq!(&found, &expected, "{}", text);
        let lost = [NoteKind::UnreadableBox, NoteKind::UnreadKey, NoteKind::LabelGuessed];
        let lost = answer.notes.iter().any(|note| lost.contains(&note.kind));
        if !found.is_empty() {
            let status = if lost { AnswerStatus::Salvaged } else { AnswerStatus::Ok };
            prop_assert_eq!(answer.status, status);
        }
    }

    #[test]
    fn boxes_stay_in_the_view(found in any_boxes(), width in 1..5000u32, height in 1..5000u32) {
        let answer = check(&write(&found, false), Ended::StopToken);
        let coordinates = (CoordinateScale::Thousand, CoordinateOrder::Yxyx);
        let (located, _) = to_detections(&answer, (width, height), coordinates, Some("dog"));
        for found in located {
            let b = found.detection.bbox;
            prop_assert!(0.0 <= b.x0 && b.x0 < b.x1 && b.x1 <= f64::from(width));
            prop_assert!(0.0 <= b.y0 && b.y0 < b.y1 && b.y1 <= f64::from(height));
        }
    }

    #[test]
    fn few_steps_a_byte(piece in any_pieces()) {
        let text = piece.repeat(20);
        prop_assert!(steps(&text) <= 16 * text.len() + 100, "{} steps for {:?} x 20", steps(&text),
            piece);
    }
}

#[test]
fn time_grows_with_the_length_alone() {
    let pieces = [
        "[",
        "{",
        "(",
        "\"",
        "'",
        "\\",
        "`",
        "~",
        "<",
        "</",
        "#",
        "/*",
        "//",
        "]",
        "}",
        ",",
        ":",
        " ",
        "\n",
        "a",
        "é",
        "\u{a0}",
        "\"box_2d\":",
        "box_2d:",
        "box_2d: [",
        "{\"box_2d\": [",
        "{box_2d: [[",
        "\"box_2d\"",
        "{\"",
        "[\"",
        "{\"a\":",
        "[{",
        "[}",
        "{]",
        "(]",
        "\" ",
        "[\" ",
        "\"\n",
        "\"\\",
        "\"}}}\n{",
        "[\"},,,\n}",
        "<|channel>",
        "<channel|>",
        "<think>",
        "<think></think>",
        "<|\"|>",
        "[<|\"|>",
        "<|tool_call>",
        "{a",
        "{a ",
        "{a:",
        "a=b ",
        "[1,",
        "{\"label\": \"x\", ",
        "{\"box_2d\": [1,2,3,4], ",
        "{\"box_2d\": [1,2,3,4], \"label\": \"x",
        "```",
        "```json\n",
        "[{\"box_2d\": [1,2,3,4]}]",
        "label: x y ",
        "{label: x ",
        "\"label\": \"text\": ",
        "box_2d                :",
        "[\"a\"          b",
        "“",
        "”，",
        "\"，",
        "\"，  ",
        "「",
        "，",
        "［",
        "◁",
        "◁think▷",
        "[THINK]",
        "<|channel|>",
        "<|channel|>final",
        "<answer>",
        "- box_2d: [1,2,3,4]\n",
        "\n- label: x\n",
        "label: x, ",
        "\nbox_2d:\n- 1",
        "\na: b",
        "a:\n ",
        "Wait [{\"box_2d\": [1,2,3,4]}]",
        "also [{\"box_2d\": [1,2,3,4], \"label\": \"x\"}]",
        "<aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ];
    let mut worst = (0.0_f64, String::new());
    for piece in pieces {
        // A first bracket puts what follows into a value, where other rules apply than in prose.
        for start in ["", "[", "{", "[\"", "{\"box_2d\": [", "```json\n"] {
            let text = |n: usize| format!("{start}{}", piece.repeat(n / piece.len() + 1));
            let (short, long) = (text(20_000), text(80_000));
            let per_byte = |text: &str| steps(text) as f64 / text.len() as f64;
            let (few, many) = (per_byte(&short), per_byte(&long));
            assert!(
                many <= 1.1 * few + 0.1,
                "{start:?} and many {piece:?}: {few}, then {many} steps a byte"
            );
            if many > worst.0 {
                worst = (many, format!("{start:?} and many {piece:?}"));
            }
            check(&long, Ended::TokenLimit);
        }
    }
    assert!(worst.0 <= 12.0, "{} steps a byte: {}", worst.0, worst.1);
}

#[test]
fn deep_nesting_is_given_up() {
    let json = r#"[{"box_2d": [1, 2, 3, 4], "label": "dog"}]"#;
    let wrap = |n: usize| format!("{}{json}{}", "[".repeat(n), "]".repeat(n));
    assert_eq!(parsed(&wrap(MAX_DEPTH - 3), Ended::StopToken).0, AnswerStatus::Ok);
    for n in [MAX_DEPTH - 1, MAX_DEPTH, 100_000] {
        let (status, found) = parsed(&wrap(n), Ended::StopToken);
        assert_eq!((status, found.len()), (AnswerStatus::Salvaged, 1), "{n}");
    }
}
