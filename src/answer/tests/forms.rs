//! The forms that answers take, one test a family.

use super::{boxes, check, kinds};
use crate::answer::ParsedAnswer;
use crate::record::AnswerStatus::{self, Empty, Ok, Refused, Salvaged, Truncated};
use crate::record::Ended::{self, Looped, StopToken, TokenLimit, Unknown};
use crate::record::NoteKind::{
    self, LongLabelCut, MalformedJson, ProseAround, ThinkingRemoved, ToolCallDebris, UnclosedFence,
    UnreadKey, UnreadableBox,
};

const A: [f64; 4] = [12.0, 34.0, 56.0, 78.0];
const B: [f64; 4] = [1.0, 2.0, 3.0, 4.0];
const DOG: ([f64; 4], Option<&str>) = (A, Some("dog"));
const CAT: ([f64; 4], Option<&str>) = (B, Some("cat"));
const NAMELESS: ([f64; 4], Option<&str>) = (A, None);

#[track_caller]
fn expect(text: &str, ended: Ended, status: AnswerStatus, expected: &[([f64; 4], Option<&str>)]) {
    let answer = check(text, ended);
    assert_eq!(boxes(&answer), expected, "{text}");
    assert_eq!(answer.status, status, "{text}");
}

#[test]
fn well_formed() {
    for text in [
        r#"[{"box_2d": [12, 34, 56, 78], "label": "dog"}]"#,
        r#"{"label": "dog", "box_2d": [12, 34, 56, 78]}"#,
        r#"{"detections": [{"box_2d":[12.0,3.4e1,56,78],"label":"dog"}], "count": 1}"#,
        r#"{"a": {"b": [[{"box_2d": ["12", " 34 ", "56", "78"], "label": "dog"}]]}}"#,
        r#"[{"box2d": [12, 34, 56, 78], "Label": " d\u006fg\n"}]"#,
        r#"{"box_2d": [[12, 34, 56, 78]], "label": "dog", "points": [[1, 2], [3, 4]], "extra": {"label": "cat"}}"#,
        r#"{"name": "cat", "box_2d": [12, 34, 56, 78], "label": "dog", "text": "Rex"}"#,
        r#"{"label": null, "class": "dog", "box-2d": [12, 34, 56, 78], "name": ""}"#,
        "```json\n[{\"box_2d\": [12, 34, 56, 78], \"label\": \"dog\"}]\n```",
        "~~~\n{\"box_2d\": [12, 34, 56, 78], \"label\": \"dog\"}\n~~~",
        "```\n[{\"box_2d\": [12, 34, 56, 78], \"label\": \"dog\"}]",
        "See [1, 2] and `[{\"box_2d\": [12, 34, 56, 78], \"label\": \"dog\"}]`.<turn|><eos><eos>",
        "\u{feff}{\"box_2d\": [12, 34, 56, 78], \"label\": \"dog\"}<end_of_turn>\n<pad><pad>",
        "<pad><bos>{\"box_2d\": [12, 34, 56, 78], \"label\": \"dog\"}<turn|>\nuser: {\"box_2d\": \
         [1, 2, 3, 4]}",
    ] {
        for ended in [StopToken, TokenLimit, Unknown] {
            expect(text, ended, Ok, &[DOG]);
        }
    }
    // Behind the limit of tokens there may be more than words.
    let words = "Here's \"the box\" you've asked for: [{\"box_2d\": [12, 34, 56, \
                 78], \"label\": \"dog\"}] It's {only} [one].";
    for (ended, status) in [(StopToken, Ok), (Unknown, Ok), (TokenLimit, Truncated)] {
        expect(words, ended, status, &[DOG]);
    }
    let two = "```json\n[{\"box_2d\": [12, 34, 56, 78], \"label\": \"dog\"}]\n```\nand\n```json\n\
        {\"box_2d\": [1, 2, 3, 4], \"label\": \"cat\"}\n```";
    expect(two, StopToken, Ok, &[DOG, CAT]);
    expect(&two.replace("```\nand\n", ""), StopToken, Ok, &[DOG, CAT]);
    let lines = "{\"box_2d\": [12, 34, 56, 78], \"label\": \"dog\"}\n{\"box_2d\": [1, 2, 3, \
                 4], \"label\": \"cat\"}";
    expect(lines, StopToken, Ok, &[DOG, CAT]);
    let lists = r#"{"label": "dog", "box_2d": [[12, 34, 56, 78], [1, 2, 3, 4]]}"#;
    expect(lists, StopToken, Ok, &[DOG, (B, Some("dog"))]);
}

#[test]
fn notes() {
    let json = r#"[{"box_2d": [12, 34, 56, 78]}]"#;
    let note = |text: &str| kinds(&check(text, StopToken));
    assert_eq!(note(json), []);
    assert_eq!(note(&format!("```json\n{json}\n```")), []);
    assert_eq!(note(&format!("```json\n{json}")), [UnclosedFence]);
    assert_eq!(note(&format!("Sure! {json}")), [ProseAround]);
    assert_eq!(note(&format!("<think>a</think>{json}")), [ThinkingRemoved]);
    assert_eq!(note(&format!("<|tool_call>{json}")), [ToolCallDebris]);
    assert_eq!(note(&json.replace('"', "'")), [MalformedJson]);
    assert_eq!(note(&json.replace(']', "")), [], "unfinished is not malformed");
    assert_eq!(note(r#"[{"box_2d": [1, 2, 3]}]"#), [UnreadableBox]);
    let long = "x".repeat(2000);
    assert_eq!(note(&json.replace('}', &format!(", \"label\": \"{long}\"}}"))), [LongLabelCut]);
}

#[test]
fn no_label() {
    for label in ["null", "true", "\"\"", "\" \\n\"", "[]", "[null]", "{\"score\": \"dog\"}"] {
        expect(
            &format!(r#"{{"box_2d": [12, 34, 56, 78], "label": {label}}}"#),
            StopToken,
            Ok,
            &[NAMELESS],
        );
    }
    expect(r#"{"box_2d": [12, 34, 56, 78], "label": 7}"#, StopToken, Ok, &[(A, Some("7"))]);
    expect(r#"{"box_2d": [12, 34, 56, 78], "score": "dog"}"#, StopToken, Ok, &[NAMELESS]);
    expect(r#"{"box_2d": [12, 34, 56, 78], "type": 7}"#, StopToken, Ok, &[NAMELESS]);
    // The label of the object inside is not that of the one around.
    let nested =
        r#"{"box_2d": [12, 34, 56, 78], "part": {"box_2d": [1, 2, 3, 4], "label": "cat"}}"#;
    expect(nested, StopToken, Ok, &[NAMELESS, CAT]);
}

#[test]
fn repaired() {
    for text in [
        "[{'box_2d': [12, 34, 56, 78], 'label': 'dog'}]",
        "[{box_2d: [12, 34, 56, 78], label: dog}]",
        "[{box_2d = (12, 34, 56, 78), label => 'dog'},]",
        r#"[{"box_2d": [12, 34, 56, 78,], "label": "dog",},]"#,
        r#"[{"box_2d": [12 34 56 78] "label": "dog" "x": 1}]"#,
        r#"[{"box_2d" [12, 34, 56, 78], "label": "dog"}]"#,
        "[{\"box_2d\": [12, 34, 56, 78], // the dog's, [1\n\"label\": \"dog\" /* \"cat */}]",
        "[{\"box_2d\": [12, 34, 56, 78], # left\n \"label\": \"dog\"}]",
        "[{'box_2d': [12, 34, 56, 78], 'label': 'dog', 'hidden': False, 'score': None}]",
        r#"[{"box_2d": [12, 34, 56, 78], "label": "text": "dog"}]"#,
        r#"[{"box_2d": [12, 34, 56, 78], "label": "dog": 0.9}]"#,
        r#"["box_2d": [12, 34, 56, 78], "label": "dog"]"#,
        r#"{"box_2d": [12, 34, 56, 78], "label": "dog"}]"#,
        r#"{{"box_2d": [12, 34, 56, 78], "label": "dog"}}"#,
        "{\"box_2d\": [12, 34, 56, 78], \"label\": \"dog\"\n```",
        "```json\n[{\"box_2d\": [12, 34, 56, 78], \"label\": \"dog\"}\n```",
        "\"box_2d\": [12, 34, 56, 78], \"label\": \"dog\"",
        "The dog's place is **box_2d**: [12, 34, 56, 78], label: dog\nIt's asleep.",
        "<|tool_call>call:f{box_2d:[12, 34, 56, 78],label:=\"dog\"}<tool_call",
        "<|tool_call>call:f{box_2d:[12, 34, 56, 78],label:<|\"|>dog<|\"|>}<tool_call|><turn|>",
        "<|tool_call>{\"box_2d\": [12, 34, 56, 78], \"label\": \"dog\"}<tool_call|>",
        r#"[{\"box_2d\": [12, 34, 56, 78], \"label\": \"dog\"}]"#,
        r#"[{"box\_2d": [012, 34, 56, 78], "label": "dog"}]"#,
    ] {
        let found =
            boxes(&check(text, StopToken)).into_iter().filter(|found| found.1.is_some()).count();
        assert_eq!(found, 1, "{text}");
        let answer = check(text, StopToken);
        assert_eq!(boxes(&answer).last(), Some(&DOG), "{text}");
        assert_eq!(answer.status, Salvaged, "{text}");
    }
}

#[test]
fn a_label_behind_its_object() {
    let text = r#"[{"box_2d": [12, 34, 56, 78}, "label": "dog"}, {"label": "cat", "box_2d": [1, 2, 3, 4]}]"#;
    expect(text, StopToken, Salvaged, &[DOG, CAT]);
}

#[test]
fn lists_without_braces() {
    for text in [
        "```yaml\n- box_2d: [12, 34, 56, 78]\n  label: dog\n- box_2d: [1, 2, 3, 4]\n  label: cat\n\
         ```",
        "- box_2d: [12, 34, 56, 78]\n  label: dog\n- box_2d: [1, 2, 3, 4]\n  label: cat",
        "- label: dog\n  box_2d: [12, 34, 56, 78]\n- label: cat\n  box_2d: [1, 2, 3, 4]\n",
        "- label: \"dog\"\n  confidence: 0.9\n  box_2d:\n    - 12\n    - 34\n    - 56\n    - 78\n\
         - label: 'cat'\n  box_2d:\n  - 1\n  - 2\n  - 3\n  - 4",
        "detections:\n  - label: dog\n    box_2d: [12, 34, 56, 78]\n\n  - label: cat\n    box_2d: \
         [1, 2, 3, 4]\n",
        "dog:\n  - box_2d: [12, 34, 56, 78]\ncat:\n  - box_2d: [1, 2, 3, 4]\nbird: []\n",
        "dog:\n  - [12, 34, 56, 78]\ncat:\n- [1, 2, 3, 4]\n",
        "- label: dog\n  instances:\n    - box_2d: [12, 34, 56, 78]\n- label: cat\n  \
         instances:\n    - box_2d: [1, 2, 3, 4]\n",
        "1. label: dog, box_2d: [12, 34, 56, 78]\n2. label: cat, box_2d: [1, 2, 3, 4]\n",
        "1. label: dog\nbox_2d: [12, 34, 56, 78]\n2. label: cat\nbox_2d: [1, 2, 3, 4]\n",
        "box_2d: [12, 34, 56, 78], label: dog\nbox_2d: [1, 2, 3, 4], label: cat",
        "label: dog\nbox_2d: [12, 34, 56, 78]\nlabel: cat\nbox_2d: [1, 2, 3, 4]",
        "1. **dog**: `box_2d: [12, 34, 56, 78]`\n2. **cat**: `box_2d: [1, 2, 3, 4]`",
        "* **label**: dog\n  **box_2d**: [12, 34, 56, 78]\n* **label**: cat\n  **box_2d**: (1, 2, \
         3, 4)",
        "Here are the animals:\n\n- box_2d: [12, 34, 56, 78]\n  label: dog\n- box_2d: [1, 2, 3, \
         4]\n  label: cat\n\nThat's all.",
        "- box_2d: [[12, 34, 56, 78]]\n  name: dog\n  note: asleep\n- box_2d: \
         [\"1\", \"2\", \"3\", \"4\"]\n  name: cat<turn|>\n- box_2d: [5, 6, 7, 8]",
        "# animals\n- label: dog  # the big one\n  box_2d: [12, 34, 56, 78]\n- label: cat.\n  \
         box_2d: [1, 2, 3, 4]",
        "- box_2d：［12，34，56，78］\n  label：dog\n- box_2d：［1，2，3，4］\n  label：「cat」\n",
        "Label: dog | box_2d: [12, 34, 56, 78]\nLabel: cat | box_2d: [1, 2, 3, 4]",
        "label=dog box_2d=[12, 34, 56, 78]\nlabel=cat box_2d=[1, 2, 3, 4]",
        "- label: dog\n  box_2d:\n    - [12, 34, 56, 78]\n- label: cat\n  boxes_2d:\n    - [1, 2, \
         3, 4]\n# - label: cup\n#   box_2d: [5, 6, 7, 8]",
    ] {
        expect(text, StopToken, Salvaged, &[DOG, CAT]);
        expect(text, Unknown, Salvaged, &[DOG, CAT]);
    }
    let two = "dog:\n  - [12, 34, 56, 78]\n  - [1, 2, 3, 4]\n";
    expect(two, StopToken, Salvaged, &[DOG, (B, Some("dog"))]);
    for (other, key) in [
        ("bbox:\n    - 5\n    - 6\n    - 7\n    - 8", "bbox"),
        ("boxes:\n    - [5, 6, 7, 8]", "boxes"),
        ("x1: 5\n  y1: 6\n  x2: 7\n  y2: 8", "y1"),
    ] {
        let answer = check(
            &format!("- label: cup\n  {other}\n- label: cat\n  box_2d: [1, 2, 3, 4]\n"),
            StopToken,
        );
        assert_eq!((boxes(&answer), detail(&answer, UnreadKey)), (vec![CAT], Some(key)), "{other}");
    }
    let lost = check(
        "- box_2d: [12, 34, 56]\n  label: dog\n- box_2d: [1, 2, 3, 4]\n  label: cat\n",
        StopToken,
    );
    assert_eq!((boxes(&lost), detail(&lost, UnreadableBox)), (vec![CAT], Some("box_2d")));
    let other = check("- bbox: [12, 34, 56, 78]\n  label: dog\n", StopToken);
    assert_eq!(
        (boxes(&other), other.status, detail(&other, UnreadKey)),
        (vec![], Refused, Some("bbox"))
    );
    // Cut off: half a number and half a word are none.
    for text in [
        "- box_2d: [12, 34, 56, 78]\n  label: dog\n- box_2d: [1, 2, 3",
        "- box_2d: [12, 34, 56, 78]\n  label: dog\n- box_2d:\n    - 1\n    - 2\n    - 3\n    - 4",
        "- box_2d: [12, 34, 56, 78]\n  label: dog\n- label: c",
    ] {
        expect(text, TokenLimit, Truncated, &[DOG]);
    }
    expect("- box_2d: [12, 34, 56, 78]\n  label: do", TokenLimit, Truncated, &[NAMELESS]);
    // Prose with colons, and lists of other numbers.
    for text in [
        "Note: this is: fine\n- item one\n- 12\n- [1, 2, 3, 4]",
        "size:\n- [1, 2, 3, 4]",
        "a: b\nbox_2d is [12, 34, 56, 78]",
        "box_2d: (x [12, 34, 56, 78])",
    ] {
        expect(text, StopToken, Refused, &[]);
    }
    let json = r#"[{"box_2d": [12, 34, 56, 78], "label": "dog"}]"#;
    expect(&format!("Result: see below\nDetections: {json}\nNote: done"), StopToken, Ok, &[DOG]);
}

#[test]
fn broken_strings() {
    let tail = r#", {"box_2d": [1, 2, 3, 4], "label": "cat"}]"#;
    for (label, read) in [
        (r#""27" screen""#, "27\" screen"),
        (r#""sign "STOP"""#, "sign \"STOP\""),
        ("\"two\n lines\"", "two lines"),
        (r#""open"#, "open"),
        (r"'the dog's bed'", "the dog's bed"),
        (r"'dogs' bed'", "dogs' bed"),
        ("red dog", "red dog"),
        ("dog's bed", "dog's bed"),
        (r#"dog""#, "dog"),
    ] {
        let text = format!(r#"[{{"box_2d": [12, 34, 56, 78], "label": {label}}}{tail}"#);
        expect(&text, StopToken, Salvaged, &[(A, Some(read)), CAT]);
        expect(&text.replace("}, {", "},\n {"), StopToken, Salvaged, &[(A, Some(read)), CAT]);
    }
    // After a quote in the wrong place, the next `"box_2d"` is a key again.
    let text = format!(r#"[{{"box_2d": [12, 34, 56, 78], "label": "the "big", red dog"}}{tail}"#);
    assert_eq!(boxes(&check(&text, StopToken))[1], CAT);
}

#[test]
fn two_objects_run_together() {
    let last =
        r#"[{"box_2d": [12, 34, 56, 78], "label": "dog", "box_2d": [1, 2, 3, 4], "label": "cat"}]"#;
    expect(last, StopToken, Salvaged, &[DOG, CAT]);
    let first =
        r#"[{"label": "dog", "box_2d": [12, 34, 56, 78], "label": "cat", "box_2d": [1, 2, 3, 4]}]"#;
    expect(first, StopToken, Salvaged, &[DOG, CAT]);
    let apart =
        r#"{"box_2d": [12, 34, 56, 78], "label": "dog"}, {"box_2d": [1, 2, 3, 4], "label": "cat"}"#;
    expect(apart, StopToken, Salvaged, &[DOG, CAT]);
    expect(&format!("{apart},"), TokenLimit, Truncated, &[DOG, CAT]);
    // In prose a label belongs to the box of its item, or right before it, or to none.
    let prose = "box_2d: [12, 34, 56, 78]\n2. label: cat\nbox_2d: [1, 2, 3, 4] (label: dog)";
    expect(prose, StopToken, Salvaged, &[NAMELESS, CAT]);
    expect(prose, TokenLimit, Truncated, &[NAMELESS, CAT]);
}

#[test]
fn truncated() {
    for text in [
        r#"[{"label": "dog", "box_2d": [12, 34, 56, 78]"#,
        r#"[{"box_2d": [12, 34, 56, 78], "label": "dog""#,
        r#"[{"box_2d": [12, 34, 56, 78], "label": "dog"}, {"box_2d": [500, 600, 7"#,
        r#"[{"box_2d": [12, 34, 56, 78], "label": "dog"}, {"box_2d": [500, 600, 70, 8"#,
        r#"[{"box_2d": [12, 34, 56, 78], "label": "dog"}, {"box_2d": ["#,
        r#"[{"box_2d": [12, 34, 56, 78], "label": "dog"}"#,
        r#"[{"box_2d": [12, 34, 56, 78], "label": "dog"},"#,
        r#"{"box_2d": [[12, 34, 56, 78], [1, 2, 3, 4"#,
        "```json\n{\"a\": [{\"box_2d\": [12, 34, 56, 78], \"label\": \"dog\"}<turn|>",
    ] {
        for ended in [StopToken, TokenLimit, Unknown] {
            let answer = check(text, ended);
            assert_eq!((answer.boxes.len(), answer.status), (1, Truncated), "{text}");
        }
    }
    // Half a word is no label.
    for label in [r#""fire extin"#, r#""fire\"#, r#""fire \""#, "fir", "12", r#""fire<turn|>"#] {
        let text = format!(r#"[{{"box_2d": [12, 34, 56, 78], "label": {label}"#);
        expect(&text, TokenLimit, Truncated, &[NAMELESS]);
        expect(&text, StopToken, Truncated, &[NAMELESS]);
    }
    for text in
        ["[", "{", "```json\n[\n  {", "[{\"box", "Result: [", "{\"box_2d\": [1, 2, 3, 4", "[[], ["]
    {
        expect(text, Unknown, Truncated, &[]);
    }
    for text in
        ["", "[]", "{}", "```json\n```", "```json", "I see a do", "[1, 2]", "{\"detections\": []}"]
    {
        expect(text, TokenLimit, Truncated, &[]);
    }
    // An end of turn in the text shows that the limit cut nothing off.
    expect("[]<turn|><eos>", TokenLimit, Empty, &[]);
}

#[test]
fn nothing_is_empty_only_where_it_is_said() {
    for text in [
        "[]",
        "{}",
        " [\n]\n",
        "[[]]",
        "[{}]",
        "```json\n[]\n```",
        "null",
        "```json\nnull\n```",
        " None\n",
        "```json\n\n```",
        "```\n```",
        r#"{"detections": []}"#,
        "{'detections': []}",
        r#"{"count": 0, "detections": [], "other": {"boxes": []}}"#,
        r#"[{"box_2d": null, "label": "dog"}]"#,
        r#"{"detections": [{"box_2d": [], "label": "dog"}]}"#,
        "There are no dogs:\n[]",
        "<think>[1, 2]</think>[]",
    ] {
        expect(text, StopToken, Empty, &[]);
        expect(text, Unknown, Empty, &[]);
    }
    for text in [
        "",
        " \n",
        "No objects found.",
        "```json",
        "boxes[] are used here",
        "null and void",
        "```json\n[null]\n```",
        r#"["none"]"#,
        "[0]",
        "[[12, 34, 56, 78]]",
        "[12, 34, 56, 78]",
        r#"{"message": "nothing"}"#,
        r#"{"name": "dog", "tags": []}"#,
        r#"[{"kind": "dog", "tags": []}]"#,
        r#"{"detections": [], "seen": ["dog"]}"#,
        "[] and [3]",
        "<|tool_call>call:detect{}<tool_call|>",
        "[]<|channel>thought\nhm",
    ] {
        expect(text, StopToken, Refused, &[]);
    }
}

#[test]
fn other_schemas_are_no_boxes() {
    for text in [
        r#"[{"bbox_2d": [12, 34, 56, 78], "label": "dog"}]"#,
        r#"[{"bbox": [12, 34, 56, 78], "label": "dog"}]"#,
        r#"[{"object": "dog", "bboxes": [[12, 34, 56, 78]]}]"#,
        r#"[{"point": [12, 34], "label": "dog"}]"#,
        r#"{"label": "\"box_2d\": [12, 34, 56, 78]"}"#,
        r#"["box_2d", [12, 34, 56, 78]]"#,
        "{\"bbox\": [1, 2, 3, 4], // \"box_2d\": [12, 34, 56, 78]\n\"x\": 1}",
        "box_2d is [12, 34, 56, 78]",
        "my_box_2d: [12, 34, 56, 78]",
        "CLICK: (x=0.47, y=0.81)<turn|>",
        "<loc0012><loc0034><loc0056><loc0078> dog",
    ] {
        expect(text, StopToken, Refused, &[]);
    }
}

#[test]
fn unreadable_coordinates() {
    for value in [
        "[12, 34, 56]",
        "[12, 34, 56, 78, 90]",
        "[12, 34, 56, 1e999]",
        "[12, 34, 56, NaN]",
        "[12, 34, 56, -inf]",
        "[12, 34, 56, null]",
        "[12, 34, 56, \"78px\"]",
        "[12, 34, 56, 7_8]",
        "[12:34:56:78]",
        "[[12, 34], [56, 78]]",
        "[[[12, 34, 56, 78]]]",
        "[12, 34, 56, 78, \"label\": \"dog\"]",
        "[12, 34, [56, 78], 1, 2]",
        "[{\"x\": 1}, 12, 34, 56, 78]",
        "{\"y0\": 12, \"x0\": 34, \"y1\": 56}",
        "{12, 34, 56, 78}",
        "\"12, 34, 56, 78\"",
        "12, 34, 56, 78",
        "list[12, 34, 56, 78]",
    ] {
        let text = format!("[{{\"box_2d\": {value}, \"label\": \"dog\"}}]");
        let answer = check(&text, StopToken);
        assert_eq!((boxes(&answer), answer.status), (vec![], Refused), "{text}");
        assert!(kinds(&answer).contains(&UnreadableBox), "{text}");
        let beside = format!(
            "[{{\"box_2d\": {value}, \"label\": \"dog\"}}, {{\"box_2d\": [1, 2, 3, \
             4], \"label\": \"cat\"}}]"
        );
        let answer = check(&beside, StopToken);
        assert_eq!((boxes(&answer), answer.status), (vec![CAT], Salvaged), "{beside}");
        assert_eq!(detail(&answer, UnreadableBox), Some("box_2d"), "{beside}");
    }
    let inner = r#"{"box_2d": [{"box_2d": [1, 2, 3, 4], "label": "cat"}, 12, 34, 56, 78]}"#;
    expect(inner, StopToken, Salvaged, &[CAT]);
    expect(
        r#"{"box_2d": [[1, 2, 3, 4], 12, 34, 56, 78], "label": "cat"}"#,
        StopToken,
        Salvaged,
        &[CAT],
    );
    // A fence is no bracket.
    expect("{\"box_2d\": [12, 34, 56, 78\n```", StopToken, Refused, &[]);
}

fn detail(answer: &ParsedAnswer, kind: NoteKind) -> Option<&str> {
    answer.notes.iter().find(|note| note.kind == kind)?.detail.as_deref()
}

#[test]
fn boxes_under_other_keys_are_named() {
    let cat = r#"{"box_2d": [1, 2, 3, 4], "label": "cat"}"#;
    for (member, keys) in [
        (r#""bbox_2d": [12, 34, 56, 78]"#, "bbox_2d"),
        (r#""bbox": {"x": 1, "y": 2, "width": 3, "height": 4}"#, "bbox"),
        (r#""bounding_box": "12, 34, 56, 78""#, "bounding_box"),
        (r#""box": [12, 34, 56, 78]"#, "box"),
        (r#""bboxes": [[12, 34, 56, 78]]"#, "bboxes"),
        (r#""boxes": "12 34 56 78""#, "boxes"),
        (r#""point": [12, 34]"#, "point"),
        (r#""polygon": [[1, 2], [3, 4], [5, 6]]"#, "polygon"),
        (r#""x1": 12, "y1": 34, "x2": 56, "h": 78"#, "x1/y1/x2"),
        (r#""bbox": {"x1": 1, "y1": 2, "x2": 3, "y2": 4}"#, "bbox"),
        (r#""xmin": "12", "ymin": "34", "w": 1, "h": 2"#, "xmin/ymin"),
        (
            r#""boundingBox": [1, 2, 3, 4], "box_3d": [1, 2, 3, 4, 5, 6, 7, 8, 9]"#,
            "boundingBox, box_3d",
        ),
        (r#""detections": "[{\"box_2d\": [12, 34, 56, 78]}]""#, "detections"),
        (r#""top_left": [12, 34], "bottom_right": [56, 78]"#, "top_left, bottom_right"),
        (r#""quad": [[1, 2], [3, 4], [5, 6], [7, 8]]"#, "quad"),
        (r#""min": {"a": 12}, "name": "dog""#, "min"),
    ] {
        let other = format!(r#"{{"label": "dog", {member}}}"#);
        let alone = check(&format!("[{other}]"), StopToken);
        assert_eq!((boxes(&alone), alone.status), (vec![], Refused), "{member}");
        assert_eq!(detail(&alone, UnreadKey), Some(keys), "{member}");
        let beside = check(&format!("[{cat}, {other}]"), StopToken);
        assert_eq!((boxes(&beside), beside.status), (vec![CAT], Salvaged), "{member}");
        assert_eq!(detail(&beside, UnreadKey), Some(keys), "{member}");
        // Beside a box of the same object it is more of the same, unless it says other numbers.
        let second = ["bbox", "boundingBox, box_3d"].contains(&keys);
        let status = if second { Salvaged } else { Ok };
        expect(
            &format!(r#"{{"box_2d": [12, 34, 56, 78], "label": "dog", {member}}}"#),
            StopToken,
            status,
            &[DOG],
        );
    }
    let beside = check(&format!("[[12, 34, 56, 78], {cat}]"), StopToken);
    assert_eq!(
        (boxes(&beside), beside.status, detail(&beside, UnreadKey)),
        (vec![CAT], Salvaged, Some("list without a key"))
    );
    // A thought in words is none, wherever it stands.
    let thought = format!(
        r#"{{"thought": "a box_2d: [1, 2] or so", "reason": "its box_2d is [1, 2, 3, 4]", "found": [{cat}]}}"#
    );
    expect(&thought, StopToken, Ok, &[CAT]);
    for nothing in [
        r#""bbox": null"#,
        r#""bbox": []"#,
        r#""location": "left""#,
        r#""width": 640, "height": 480"#,
    ] {
        expect(&format!(r#"[{cat}, {{"label": "dog", {nothing}}}]"#), StopToken, Ok, &[CAT]);
    }
}

#[test]
fn labels_under_the_keys_that_people_use() {
    for member in [
        r#""object_name": "dog", "type": "pet""#,
        r#""className": "dog""#,
        r#""OBJECT-LABEL": "dog""#,
        r#""item": "dog", "description": "a brown dog""#,
        r#""species": "dog", "count": 1"#,
        r#""tag": "dog", "file_name": "a.jpg""#,
        r#""type": "dog", "color": "brown""#,
        r#""kind": "dog""#,
        r#""rótulo": "dog", "confianca": 0.9"#,
        r#""defect_type": "dog""#,
        r#""label": ["dog", "animal"]"#,
        r#""label": {"name": "dog", "id": 3}"#,
        r#""labels": ["dog"]"#,
    ] {
        expect(&format!(r#"[{{{member}, "box_2d": [12, 34, 56, 78]}}]"#), StopToken, Ok, &[DOG]);
        expect(&format!(r#"[{{"box_2d": [12, 34, 56, 78], {member}}}]"#), StopToken, Ok, &[DOG]);
    }
}

#[test]
fn the_only_text_is_a_label_and_said_to_be_guessed() {
    let answer = check(
        r#"[{"fish": "dog", "box_2d": [12, 34, 56, 78], "color": "brown", "confidence": 0.9}]"#,
        StopToken,
    );
    assert_eq!((boxes(&answer), answer.status), (vec![DOG], Salvaged));
    assert_eq!(detail(&answer, NoteKind::LabelGuessed), Some("fish"));
    for member in [
        r#""unit": "g""#,
        r#""state": "open", "value": 19"#,
        r#""story": "a dog that sleeps on the sofa all day""#,
        r#""fish": "12""#,
    ] {
        expect(
            &format!(r#"[{{{member}, "box_2d": [12, 34, 56, 78]}}]"#),
            StopToken,
            Ok,
            &[NAMELESS],
        );
    }
    let several =
        check(r#"[{"fish": "dog", "bait": "worm", "box_2d": [12, 34, 56, 78]}]"#, StopToken);
    assert_eq!(
        (boxes(&several), several.status, detail(&several, UnreadKey)),
        (vec![NAMELESS], Salvaged, Some("fish"))
    );
    let first = r#"[{"species": {"common_name": "dog", "latin_name": "Canis"}, "box_2d": [12, 34, 56, 78]}]"#;
    expect(first, StopToken, Ok, &[DOG]);
}

#[test]
fn labels_of_groups() {
    for text in [
        r#"{"dog": [{"box_2d": [12, 34, 56, 78]}], "cat": [{"box_2d": [1, 2, 3, 4]}], "bird": []}"#,
        r#"{"dog": {"box_2d": [12, 34, 56, 78]}, "cat": {"box_2d": [1, 2, 3, 4], "confidence": 0.5}}"#,
        r#"{"dog": [[12, 34, 56, 78]], "cat": [[1, 2, 3, 4]]}"#,
        r#"{"count": 2, "dog": [12, 34, 56, 78], "cat": [1, 2, 3, 4], "bird": []}"#,
        r#"{"detections": {"dog": [[12, 34, 56, 78]], "cat": [{"box_2d": [1, 2, 3, 4]}]}}"#,
        r#"[{"dog": [[12, 34, 56, 78]]}, {"cat": [1, 2, 3, 4]}]"#,
        r#"[{"label": "dog", "instances": [{"box_2d": [12, 34, 56, 78]}]}, {"instances": [{"box_2d": [1, 2, 3, 4]}], "label": "cat"}]"#,
        r#"{"objects": [{"label": "dog", "boxes": [[12, 34, 56, 78]]}, {"boxes": [1, 2, 3, 4], "name": "cat"}]}"#,
        r#"{"boxes": [[12, 34, 56, 78], [1, 2, 3, 4]], "labels": ["dog", "cat"]}"#,
        r#"{"labels": ["dog", "cat"], "detections": [{"box_2d": [12, 34, 56, 78]}, {"box_2d": [1, 2, 3, 4]}]}"#,
        r#"{"dog_1": {"box_2d": [12, 34, 56, 78]}, "cat 2": {"boxes": [[1, 2, 3, 4]]}}"#,
        r#"{"animals": [{"label": "dog", "box_2d": [12, 34, 56, 78]}, {"cat": {"instances": [{"box_2d": [1, 2, 3, 4]}]}}]}"#,
        r#"{"results": {"dog": {"count": 1, "instances": [{"box_2d": [12, 34, 56, 78]}]}, "cat": {"instances": [{"box_2d": [1, 2, 3, 4]}]}}}"#,
    ] {
        expect(text, StopToken, Ok, &[DOG, CAT]);
    }
    for text in [
        r#"{"detections": [{"box_2d": [12, 34, 56, 78]}]}"#,
        r#"{"detected_objects": {"object_1": {"box_2d": [12, 34, 56, 78]}}}"#,
        r#"[{"box_2d": [12, 34, 56, 78]}]"#,
        r#"{"1": {"box_2d": [12, 34, 56, 78]}}"#,
    ] {
        expect(text, StopToken, Ok, &[NAMELESS]);
    }
    // What is cut off after its list is there.
    expect(r#"{"dog": [[12, 34, 56, 78], [1, 2, 3"#, StopToken, Truncated, &[DOG]);
    expect(r#"{"dog": [12, 34, 56, 78"#, StopToken, Truncated, &[]);
    // Lists of four that are none: beside other members, or about something else.
    for text in [
        r#"{"color": [255, 0, 0, 255]}"#,
        r#"{"name": "dog", "matrix": [[1, 2, 3, 4]]}"#,
        r#"{"dog": "big", "size": [1, 2, 3, 4]}"#,
        r#"{"dog": [1, 2, 3]}"#,
        r#"{"boxes": [[12, 34, 56, 78]]}"#,
        r#"{"dog": [[12, 34, 56, 78], "x"]}"#,
    ] {
        expect(text, StopToken, Refused, &[]);
    }
    expect(
        r#"[{"box_2d": [12, 34, 56, 78], "label": "dog", "meta": {"rgb": [[1, 2, 3, 4]], "hue": [1, 2, 3, 4]}}]"#,
        StopToken,
        Ok,
        &[DOG],
    );
}

#[test]
fn thoughts() {
    let json = r#"[{"box_2d": [12, 34, 56, 78], "label": "dog"}]"#;
    let thought =
        r#"Maybe [1, 2, 3, 4] or {"box_2d": [1, 2, 3, 4], "label": "cat"}, "it's" [{"box_2d": [1,"#;
    for text in [
        format!("<|channel>thought\n<channel|>{json}"),
        format!("<|channel>thought\n{thought}\n<channel|>{json}"),
        format!("<think>{thought}</think>\n```json\n{json}\n```"),
        // The start was part of the prompt.
        format!("thought\n{thought}\n<channel|>{json}"),
        format!("{thought}\n[\"</think>\n<channel|>{json}"),
        format!("[]\n</think>{json}"),
        format!("{json}<|channel>thought\n{thought}<channel|>"),
    ] {
        expect(&text, StopToken, Ok, &[DOG]);
        assert!(kinds(&check(&text, StopToken)).contains(&ThinkingRemoved));
    }
    for start in ["<|channel>thought\n", "<think>", "<|channel>"] {
        let text = format!("{start}{thought}");
        expect(&text, StopToken, Refused, &[]);
        expect(&text, Unknown, Refused, &[]);
        expect(&text, TokenLimit, Truncated, &[]);
        expect(&format!("{json}{text}"), TokenLimit, Truncated, &[DOG]);
        expect(&format!("{json}{text}"), StopToken, Ok, &[DOG]);
    }
    // Tags in a string are text, save those of turns and thoughts, which no string can hold.
    expect(
        r#"{"box_2d": [12, 34, 56, 78], "label": "<think> <eos>"}"#,
        StopToken,
        Ok,
        &[(A, Some("<think> <eos>"))],
    );
}

#[test]
fn thoughts_with_the_marks_of_many_models() {
    let json = r#"[{"box_2d": [12, 34, 56, 78], "label": "dog"}]"#;
    let draft = "A guess: {\"box_2d\": [1, 2, 30, 40], \"label\": \"draft\"}";
    for text in [
        format!("<unused94>thought\n{draft}\n<unused95>{json}"),
        format!("<thought>\n{draft}\n</thought>\n```json\n{json}\n```"),
        format!("<Thinking>{draft}</Thinking>\n{json}"),
        format!("< reasoning >{draft}< / reasoning >\n<answer>{json}</answer>"),
        format!("<reflection>{draft}</reflection>{json}"),
        format!("<|think|>{draft}<|/think|>{json}"),
        format!(
            "<|begin_of_thought|>{draft}<|end_of_thought|><|begin_of_solution|>{json}<|end_of_solution|>"
        ),
        format!("[THINK]{draft}[/THINK]{json}"),
        format!("◁think▷{draft}◁/think▷{json}"),
        format!(
            "<|channel|>analysis<|message|>{draft}<|end|><|start|>assistant<|channel|>final<|message|>{json}<|return|>"
        ),
        format!("<|channel|>analysis<|message|>{draft}<|channel|>final <|message|>{json}"),
        format!("analysis{draft}assistantfinal{json}"),
        format!("<|channel>thought\n{draft}</channel|>{json}"),
        format!("<|channel>thought\n{draft}<channel|><|channel>final\n{json}<channel|>"),
        format!("<|channel>thought\n{draft}<|channel>final\n{json}<channel|>"),
        format!("<|channel>\n{draft}<channel|>{json}"),
        format!("<|think|><|channel>thought\n{draft}<channel|>{json}"),
        // The start was part of the prompt.
        format!("{draft}</thinking>{json}"),
        format!("{draft}[/THINK]{json}"),
        format!("{draft}\n<answer>\n{json}\n</answer>"),
        format!("```thinking\n{draft}\n```\n```json\n{json}\n```"),
        // One thought in another.
        format!("<thinking>{draft}<think>{draft}</think>{draft}</thinking>{json}"),
        format!("<think>{draft}<answer>{json}</answer>"),
    ] {
        expect(&text, StopToken, Ok, &[DOG]);
        assert!(kinds(&check(&text, StopToken)).contains(&ThinkingRemoved), "{text}");
    }
    for start in [
        "<unused94>",
        "<reasoning>",
        "[THINK]",
        "<|think|>",
        "◁think▷",
        "<|channel|>analysis<|message|>",
    ] {
        expect(&format!("{start}{draft}\n{json}"), StopToken, Refused, &[]);
        expect(&format!("{start}{draft}\n{json}"), TokenLimit, Truncated, &[]);
    }
    // One answer for each label.
    let other = r#"[{"box_2d": [1, 2, 3, 4], "label": "cat"}]"#;
    expect(&format!("<answer>{json}</answer><answer>{other}</answer>"), StopToken, Ok, &[DOG, CAT]);
}

#[test]
fn other_models_end_their_turns_with_other_tokens() {
    let json = r#"[{"box_2d": [12, 34, 56, 78], "label": "dog"}]"#;
    let next = "user\ndetect cats [{\"box_2d\": [1, 2, 3, 4], \"label\": \"cat\"}]";
    for end in [
        "<|im_end|>\n<|im_start|>",
        "<|endoftext|>",
        "</s>",
        "<|eot_id|><|start_header_id|>",
        "<|end|>",
        "<|end_of_text|>",
        "<｜end▁of▁sentence｜>",
        "<|return|>",
        "\n<|im_start|>",
        "<end_of_utterance>",
        "<|END_OF_TURN_TOKEN|>",
        "\nuser\n",
        "<start_of_turn>",
    ] {
        expect(&format!("{json}{end}{next}"), StopToken, Ok, &[DOG]);
        expect(&format!("{json}{end}{next}"), TokenLimit, Ok, &[DOG]);
    }
    expect(&format!("<|im_start|>assistant\n{json}<|im_end|>"), StopToken, Ok, &[DOG]);
}

#[test]
fn full_width_and_typographic_punctuation_is_read() {
    for text in [
        "［{\"box_2d\"： ［12， 34， 56， 78］， \"label\"： \"dog\"}］",
        "［｛“box_2d”：［12，34，56，78］，“label”：“dog”｝］",
        "[{“box_2d”: [12, 34, 56, 78], “label”: “dog”}]",
        "[{„box_2d“: [12, 34, 56, 78], „label“: „dog“}]",
        "[{„box_2d\": [12, 34, 56, 78], „label\": „dog\"}]",
        "[{«box_2d»: [12, 34, 56, 78], «label»: «dog»}]",
        "[{«box_2d» : [12, 34, 56, 78], «label» : «dog»}]",
        "[{»box_2d«: [12, 34, 56, 78], »label«: »dog«}]",
        "[{「box_2d」：[12、34、56、78]、「label」：「dog」}]",
        "【{『box_2d』：【12，34，56，78】，『label』：『dog』}】",
        "[{‘box_2d’: [12, 34, 56, 78], ‘label’: ‘dog’}]",
        "[{‟box_2d‟: (12, 34, 56, 78), ‟label‟: ‟dog‟}]",
        "结果：［{＂box_2d＂：［12，34，56，78］，＂label＂：＂dog＂}］",
        "box_2d：［12，34，56，78］，label：dog\n",
    ] {
        expect(text, StopToken, Salvaged, &[DOG]);
    }
    // In well-formed strings it is text, and so it is where the JSON could not go on.
    for label in ["“猫”，：［］", "„dog“", "«a»"] {
        let text = format!(r#"[{{"box_2d": [12, 34, 56, 78], "label": "{label}"}}]"#);
        expect(&text, StopToken, Ok, &[(A, Some(label))]);
    }
    let inner = r#"[{"box_2d": [12, 34, 56, 78], "label": "显示"按单号"，请点击"}]"#;
    expect(inner, StopToken, Salvaged, &[(A, Some("显示\"按单号\"，请点击"))]);
    let inner = "[{“box_2d”: [12, 34, 56, 78], “label”: “the “big” dog”}]";
    expect(inner, StopToken, Salvaged, &[(A, Some("the “big” dog"))]);
}

#[test]
fn looped() {
    for text in ["", "[]", r#"[{"box_2d": [12, 34, 56, 78], "label": "dog"}, {"box_2d": [12,"#] {
        assert_eq!(check(text, Looped).status, AnswerStatus::Looped);
    }
}

#[test]
fn brackets_in_prose_do_not_hold_the_answer() {
    let json = r#"[{"box_2d": [12, 34, 56, 78], "label": "dog"}]"#;
    for before in [
        "Scaled to [0, 1000).",
        "{a} [sic] {x | x > 0}",
        "5\" [ok] (",
        "a ]} b",
        "``",
        "<x> < y <|",
    ] {
        expect(&format!("{before} {json}"), StopToken, Ok, &[DOG]);
    }
}
