//! Guesses and leftovers are not `ok`: one table a kind.

use super::check;
use crate::record::AnswerStatus::{self, Ok, Refused, Salvaged, Truncated};
use crate::record::Ended::{StopToken, TokenLimit};

/// Of an answer the labels of its boxes, each with the box's first number, its status, and its
/// notes on doubts.
fn told(text: &str) -> (String, AnswerStatus, String) {
    let answer = check(text, StopToken);
    let boxes = answer
        .boxes
        .iter()
        .map(|one| format!("{} {}", one.label.as_deref().unwrap_or("-"), one.box_2d[0]));
    let notes = answer.notes.iter().filter_map(|note| {
        let name = serde_json::to_value(note.kind).unwrap().as_str().unwrap().to_owned();
        let plain = [
            "prose_around",
            "thinking_removed",
            "malformed_json",
            "unclosed_fence",
            "tool_call_debris",
        ];
        let detail = note.detail.as_ref().map(|detail| format!(" {detail}")).unwrap_or_default();
        (!plain.contains(&name.as_str())).then(|| format!("{name}{detail}"))
    });
    (boxes.collect::<Vec<_>>().join(", "), answer.status, notes.collect::<Vec<_>>().join("; "))
}

/// Texts, in which `A` and `B` are two boxes' numbers, and what is told of them.
#[track_caller]
fn table(rows: &[(&str, &str, AnswerStatus, &str)]) {
    for (text, boxes, status, notes) in rows {
        let text =
            text.replace("A]", "[110, 120, 330, 440]]").replace("B]", "[550, 160, 970, 380]]");
        let text =
            text.replace(": A", ": [110, 120, 330, 440]").replace(": B", ": [550, 160, 970, 380]");
        let text = text.replace("[A, ", "[[110, 120, 330, 440], ");
        let told = told(&text);
        assert_eq!((told.0.as_str(), told.1, told.2.as_str()), (*boxes, *status, *notes), "{text}");
    }
}

#[test]
fn a_key_of_a_place_or_of_a_quantity_is_no_label() {
    table(&[
        (r#"{"wheel_bbox": A}"#, "", Refused, "unread_key wheel_bbox"),
        (r#"{"coords_of_tree": [A]}"#, "", Refused, "unread_key coords_of_tree"),
        (r#"[{"tree_mask": A}, {"treeArea": B}]"#, "", Refused, "unread_key tree_mask, treeArea"),
        (r#"{"tree_box_2d": A}"#, "", Refused, "unread_key tree_box_2d"),
        (r#"{"page_numbers": A}"#, "", Refused, ""),
        (r#"{"years": [A, B]}"#, "", Refused, ""),
        (r#"[{"box_2d": A, "label": "tree"}, {"pos": B}]"#, "tree 110", Salvaged, "unread_key pos"),
        (r#"{"tree": A, "view_area": B}"#, "tree 110", Salvaged, "unread_key view_area"),
        (r#"{"tree": A, "dog": B}"#, "tree 110, dog 550", Ok, ""),
        // Other members, corners out of order and tiny numbers make it a guess.
        (r#"{"tree": A, "comment": "one"}"#, "tree 110", Salvaged, "label_guessed tree"),
        (r#"{"tree": [300, 200, 100, 400]}"#, "tree 300", Salvaged, "label_guessed tree"),
        (r#"{"seats": [1, 2, 3, 4]}"#, "seats 1", Salvaged, "label_guessed seats"),
        (
            r#"{"detections": [{"box_2d": A, "label": "tree"}], "dog": B}"#,
            "tree 110, dog 550",
            Salvaged,
            "label_guessed dog",
        ),
    ]);
}

#[test]
fn a_second_place_beside_a_box_is_not_lost_unseen() {
    let second = |member: &str| format!(r#"[{{"label": "van", "box_2d": A, {member}}}]"#);
    for (member, notes) in [
        (r#""plate": B"#, "unread_key plate"),
        (r#""plate_box_2d": B"#, "unread_key plate_box_2d"),
        (r#""driver_bbox": {"x": 1, "y": 2, "w": 3, "h": 4}"#, "unread_key x/y"),
        (r#""box_2d_second": [B]"#, "unread_key box_2d_second"),
        (r#""also_seen": "550, 160, 970, 380""#, "unread_key also_seen"),
        (r#""note": "see [550, 160, 970, 380]""#, "unread_key note"),
        (r#""x1": 1, "y1": 2, "x2": 3, "y2": 4"#, "unread_key x1/y1/x2/y2"),
        (r#""raw": "{\"box_2d\": [550, 160, 970, 380]}""#, "unread_key raw"),
    ] {
        table(&[(&second(member), "van 110", Salvaged, notes)]);
    }
    // The box itself, points, outlines and other numbers are none.
    for member in [
        r#""bbox": [110, 120, 330, 440]"#,
        r#""polygon": [[1, 2], [3, 4], [5, 6], [7, 8]]"#,
        r#""keypoints": [[1, 2], [3, 4]]"#,
        r#""mask": "data:image/png;base64,1234""#,
        r#""color": [1, 2, 3, 4]"#,
        r#""center": [220, 280]"#,
    ] {
        table(&[(&second(member), "van 110", Ok, "")]);
    }
    let lost = "unread_key list without a key";
    table(&[
        (r#"[{"box_2d": A, "label": "van"}, ["dog", B]]"#, "van 110", Salvaged, lost),
        (r#"[{"box_2d": A, "label": "van"}, ["dog", 5, 6, 7, 8]]"#, "van 110", Salvaged, lost),
        (
            r#"[{"box_2d": A, "label": "van"}, "{\"box_2d\": [5, 6, 7, 8]}"]"#,
            "van 110",
            Salvaged,
            lost,
        ),
        (
            r#"[{"box_2d": A, "label": "van"}, {"scene": {"dog": B}}]"#,
            "van 110",
            Salvaged,
            "unread_key dog",
        ),
        (
            r#"[{"box_2d": A, "label": "van"}, {"extra": {"dog": B}}]"#,
            "van 110",
            Salvaged,
            "unread_key dog",
        ),
        (r#"[{"box_2d": A, "label": "van"}, {"meta": {"hue": B}}]"#, "van 110", Ok, ""),
    ]);
}

#[test]
fn lists_of_labels_are_given_one_to_each_box_or_to_none() {
    let legend = |boxes: &str| format!(r#"{{"classes": ["van", "dog"], "detections": [{boxes}]}}"#);
    table(&[
        (r#"{"box_2d": [A, B], "label": ["van", "dog"]}"#, "van 110, dog 550", Ok, ""),
        (r#"{"names": ["van", "dog"], "boxes_2d": [A, B]}"#, "van 110, dog 550", Ok, ""),
        (
            r#"{"labels": ["van", "dog", "cup"], "boxes_2d": [A, B]}"#,
            "- 110, - 550",
            Salvaged,
            "unread_key labels",
        ),
        (
            r#"{"class": ["van", "dog", "cup"], "box_2d": [A, B]}"#,
            "- 110, - 550",
            Salvaged,
            "unread_key class",
        ),
        (
            r#"{"labels": "van; dog", "box_2d": [A, B]}"#,
            "van 110, dog 550",
            Salvaged,
            "label_guessed labels",
        ),
        (
            r#"{"label": "van, dog", "box_2d": [A, B]}"#,
            "van, dog 110, van, dog 550",
            Salvaged,
            "label_guessed label",
        ),
        (
            r#"{"items": ["van", "dog"], "boxes_2d": [A, B]}"#,
            "van 110, dog 550",
            Salvaged,
            "label_guessed items",
        ),
        (r#"[{"label": "van"}, {"box_2d": A}]"#, "- 110", Salvaged, "unread_key label"),
        (r#"["van", {"box_2d": A}]"#, "- 110", Salvaged, "unread_key label"),
        (
            &legend(r#"{"class_id": 1, "box_2d": A}, {"class_id": 0, "box_2d": B}"#),
            "dog 110, van 550",
            Ok,
            "",
        ),
        (
            &legend(r#"{"box_2d": A, "label": 2}, {"box_2d": B, "label": 1}"#),
            "dog 110, van 550",
            Ok,
            "",
        ),
        (&legend(r#"{"class_index": 1, "box_2d": A}"#), "- 110", Salvaged, "unread_key classes"),
        (
            &legend(r#"{"id": "dog", "box_2d": A}, {"id": "van", "box_2d": B}"#),
            "dog 110, van 550",
            Salvaged,
            "label_guessed id",
        ),
        (
            r#"{"id2label": {"1": "van"}, "found": [{"label": 1, "box_2d": A}]}"#,
            "- 110",
            Salvaged,
            "unread_key id2label",
        ),
    ]);
}

#[test]
fn the_title_of_an_answer_labels_no_box() {
    for (member, key) in [
        (r#""title": "A street""#, "title"),
        (r#""name": "report""#, "name"),
        (r#""text": "Two things""#, "text"),
        (r#""description": "A street at night""#, "description"),
    ] {
        let text = format!(r#"{{{member}, "objects": [{{"box_2d": A}}, {{"box_2d": B}}]}}"#);
        table(&[(&text, "- 110, - 550", Salvaged, &format!("unread_key {key}"))]);
        let labelled = format!(r#"{{{member}, "objects": [{{"box_2d": A, "label": "van"}}]}}"#);
        table(&[(&labelled, "van 110", Ok, "")]);
    }
    table(&[
        (r#"{"type": "array", "items": [{"box_2d": A}]}"#, "- 110", Ok, ""),
        (r#"{"name": "street.png", "items": [{"box_2d": A}]}"#, "- 110", Ok, ""),
        (
            r#"{"caption": "A street", "boxes": [A, B]}"#,
            "A street 110, A street 550",
            Salvaged,
            "label_guessed boxes",
        ),
        (r#"{"class": "van", "detections": [{"box_2d": A}]}"#, "van 110", Ok, ""),
        (r#"{"categories": [{"name": "van", "objects": [{"box_2d": A}]}]}"#, "van 110", Ok, ""),
    ]);
}

#[test]
fn labels_are_looked_for_before_a_box_goes_without() {
    table(&[
        (
            r#"{"van_detections": [{"box_2d": A}]}"#,
            "van 110",
            Salvaged,
            "label_guessed van_detections",
        ),
        (
            r#"{"detected_vans": [{"box_2d": A}]}"#,
            "vans 110",
            Salvaged,
            "label_guessed detected_vans",
        ),
        (r#"{"van1": {"box_2d": A}, "object2": {"box_2d": B}}"#, "van 110, - 550", Ok, ""),
        (r#"{"street_01.png": [{"box_2d": A}]}"#, "- 110", Ok, ""),
        (r#"[{"result": "van", "box_2d": A}]"#, "van 110", Salvaged, "label_guessed result"),
        (r#"[{"object_id": "van", "box_2d": A}]"#, "van 110", Salvaged, "label_guessed object_id"),
        (
            r#"[{"type": "bounding_box", "phrase": "van", "box_2d": A}]"#,
            "van 110",
            Salvaged,
            "label_guessed phrase",
        ),
        (r#"[{"name": "item_3", "category": "van", "box_2d": A}]"#, "van 110", Ok, ""),
        (r#"[{"box_2d_label": "van", "box_2d": A}]"#, "van 110", Ok, ""),
    ]);
}

#[test]
fn a_key_says_that_its_boxes_are_no_answer() {
    let two = |first: &str, second: &str| {
        format!(
            r#"{{"{first}": [{{"box_2d": A, "label": "van"}}], "{second}": [{{"box_2d": B, "label": "dog"}}]}}"#
        )
    };
    for (draft, other) in [
        ("original", "revised"),
        ("first_try", "final_result"),
        ("before", "after"),
        ("proposals", "selected"),
        ("previous_detections", "detections"),
    ] {
        table(&[(&two(draft, other), "dog 550", Salvaged, "earlier_answer_dropped")]);
    }
    for (kept, taken_back) in
        [("objects", "excluded_objects"), ("found", "false_positives"), ("answer", "discarded")]
    {
        table(&[(&two(kept, taken_back), "van 110", Salvaged, "earlier_answer_dropped")]);
    }
    for (one, other) in [
        ("attempt_1", "attempt_2"),
        ("detections", "final_detections"),
        ("option_a", "option_b"),
        ("detections", "shadows"),
        ("v1", "v2"),
    ] {
        table(&[(&two(one, other), "van 110, dog 550", Salvaged, "several_answers")]);
    }
    table(&[(&two("vehicles", "animals"), "van 110, dog 550", Ok, "")]);
    let alternative =
        r#"[{"label": "van", "box_2d": A, "alternatives": [{"label": "dog", "box_2d": B}]}]"#;
    table(&[(alternative, "van 110", Salvaged, "earlier_answer_dropped")]);
    table(&[(
        r#"[{"label": "van", "box_2d": A, "removed": true}]"#,
        "van 110",
        Salvaged,
        "unread_key removed",
    )]);
}

const VAN: &str = r#"[{"box_2d": [110, 120, 330, 440], "label": "van"}]"#;
/// The same place by another name, and nearly the same place.
const CAR: &str = r#"[{"box_2d": [110, 120, 330, 440], "label": "car"}]"#;
const NEAR: &str = r#"[{"box_2d": [115, 125, 335, 445], "label": "van"}]"#;
const DOG: &str = r#"[{"box_2d": [550, 160, 970, 380], "label": "dog"}]"#;

/// What is told of two answers with words before, between and behind them.
fn around(
    before: &str,
    one: &str,
    between: &str,
    other: &str,
    behind: &str,
) -> (String, AnswerStatus, String) {
    told(&format!("{before}{one}{between}{other}{behind}"))
}

fn is(boxes: &str, status: AnswerStatus, notes: &str) -> (String, AnswerStatus, String) {
    (boxes.to_owned(), status, notes.to_owned())
}

#[test]
fn parts_are_one_answer_if_the_words_between_say_so_and_nothing_else() {
    for between in [
        "\nHere are the dogs:\n",
        "\nAnd the dog on the left:\n",
        "\n**Dogs**\n",
        "\n## Other animals\n",
        "\n2. Dogs (1):\n",
        "\nDetected objects of the class dog:\n",
        "\n",
    ] {
        assert_eq!(
            around("", VAN, between, DOG, ""),
            is("van 110, dog 550", Ok, ""),
            "{between:?}"
        );
    }
    for between in [
        "\nLooking at the tail it must be a dog:\n",
        "\nAnother possibility, given the fur:\n",
        "\nOption 2, dog:\n",
        "\nImage 2:\n",
        "\nIn pixels:\n",
        "\nOder ein Hund, dog:\n",
        "<candidates_b>",
    ] {
        let (boxes, status, notes) = around("", VAN, between, DOG, "");
        assert_eq!((boxes.as_str(), status), ("van 110, dog 550", Salvaged), "{between:?}");
        assert!(notes.starts_with("several_answers"), "{between:?}: {notes}");
    }
    for between in [
        "\nOops, a car:\n",
        "\nEDIT (car):\n",
        "\nI changed my mind, car:\n",
        "\nNot a van but a car:\n",
        "\nWait, the other name was wrong. Corrected car:\n",
        "\n不对，car：\n",
        "\nEspera, car:\n",
        "\nPlutôt car :\n",
    ] {
        let dropped = is("car 110", Salvaged, "earlier_answer_dropped");
        assert_eq!(around("", VAN, between, CAR, ""), dropped, "{between:?}");
    }
    // One place under two names, or in two numbered parts.
    for (one, between, other) in
        [(VAN, "\nCars:\n", CAR), (VAN, "\n", CAR), (VAN, "\nVan 2:\n", NEAR)]
    {
        assert_eq!(around("", one, between, other, "").1, Salvaged, "{between:?} {other}");
    }
}

#[test]
fn an_example_a_draft_and_what_is_struck_out_are_no_answer() {
    let dropped = is("dog 550", Salvaged, "earlier_answer_dropped");
    for (before, between) in [
        ("Example: ", "\n"),
        ("Expected output format:\n```json\n", "\n```\n```json\n"),
        ("It should look like ", ". For the dog it is "),
        ("My first guess: ", "\n"),
        ("~~", "~~\n"),
        ("<del>", "</del>"),
    ] {
        assert_eq!(around(before, VAN, between, DOG, ""), dropped, "{before:?} {between:?}");
    }
    assert_eq!(around("~~", VAN, "~~", "", "").1, Salvaged);
}

#[test]
fn words_behind_the_boxes_can_take_them_back() {
    for behind in [
        "Actually, please ignore it.",
        "On second thought, that is a shadow.",
        "The box above was drawn in error.",
        "There is no van in the picture.",
        "Es gibt aber keinen Van.",
        "忽略以上结果。",
        "(12 more omitted for brevity)",
        "There are many more that I did not list.",
        "... and so on",
        "Dogs:",
        "Dog at [550, 160, 970, 380]",
        "| dog | 550 | 160 | 970 | 380 |",
    ] {
        let (boxes, status, notes) = around("", VAN, "\n", "", behind);
        assert_eq!((boxes.as_str(), status), ("van 110", Salvaged), "{behind}");
        assert!(
            notes == "doubtful_words" || notes == "unread_key numbers in the text",
            "{behind}: {notes}"
        );
    }
    // Nothing was found, or was it?
    for behind in ["Wait, there is one.", "Dogs:", "Dog: 550, 160, 970, 380"] {
        assert_eq!(told(&format!("[]\n{behind}")).1, Refused, "{behind}");
    }
    for behind in [
        "Let me know if anything is wrong.",
        "If you need more, I can also detect the dogs instead.",
        "No other vans were found.",
        "There are no dogs.",
        "The coordinates are normalized to 0-1000 in the order [ymin, xmin, ymax, xmax].",
        "The van is at [110, 120, 330, 440].",
        "**Explanation:** the van stands on the left.",
        "I hope this helps!",
    ] {
        assert_eq!(
            around("Here are the boxes:\n", VAN, "\n", "", behind),
            is("van 110", Ok, ""),
            "{behind}"
        );
    }
}

#[test]
fn thoughts_of_any_name_are_left_out() {
    for (start, end) in [
        ("<deep_think>", "</deep_think>"),
        ("<x:thoughts>", "</x:thoughts>"),
        ("<inner_plan>", "</inner_plan>"),
        ("<re-analysis>", "</re-analysis>"),
        ("<|hidden_reasoning|>", "<|/hidden_reasoning|>"),
        ("<|silent_think_start|>", "<|silent_think_end|>"),
        ("<details type=\"reasoning\">\n", "\n</details>\n"),
        ("<details>\n<summary>Thought for 9 seconds</summary>", "</details>"),
        ("<SUMMARY>a</SUMMARY><CAPTION>", "</CAPTION>"),
    ] {
        assert_eq!(around(start, VAN, end, DOG, ""), is("dog 550", Ok, ""), "{start}");
    }
    // A thought between two answers: the last one counts.
    for between in
        ["<think>no</think>", "\n```thinking\nhm\n```\n", "<|channel>thought\nno<channel|>"]
    {
        let dropped = is("dog 550", Salvaged, "earlier_answer_dropped");
        assert_eq!(around("<think>a</think>", VAN, between, DOG, ""), dropped, "{between}");
    }
    let unmarked = around("<start_of_turn>model\nthought\nA van? ", VAN, "\n", DOG, "");
    assert_eq!((unmarked.0.as_str(), unmarked.1), ("dog 550", Salvaged));
    // A tag that is not known may be one.
    for (open, close) in [("<musings>", "</musings>"), ("<stage1>", "</stage1>")] {
        assert_eq!(around(open, VAN, close, DOG, "").1, Salvaged, "{open}");
        assert_eq!(around(open, VAN, close, "", "").1, Salvaged, "{open}");
    }
    for (open, close) in
        [("<pre>", "</pre>"), ("<detections>", "</detections>"), ("<van>", "</van>")]
    {
        assert_eq!(around(open, VAN, close, "", "").1, Ok, "{open}");
    }
}

#[test]
fn another_turn_ends_the_answer() {
    for between in [
        "user\n\ndetect dogsassistant\n\n",
        " USER: detect dogs ASSISTANT: ",
        "\n\nHuman: detect dogs\n\nAssistant: ",
        "\n### Instruction:\ndetect dogs\n\n### Response:\n",
        "\r\nuser\r\ndetect dogs\r\nmodel\r\n",
        "\nQuestion: dogs?\nAnswer: ",
        "[INST] detect dogs [/INST]",
        " [end of text]\n",
        "<|observation|>",
        "<|end_of_assistant|>",
        "<|END_RESPONSE|>",
        "<eoa>",
        "<|call|>",
    ] {
        assert_eq!(around("", VAN, between, DOG, ""), is("van 110", Ok, ""), "{between:?}");
    }
    // The model speaks again, and a token that nobody knows.
    let again = around("", VAN, "\nassistant\n", DOG, "");
    assert_eq!(again, is("dog 550", Salvaged, "earlier_answer_dropped"));
    assert_eq!(
        around("", VAN, "<|zzz_mark|>", DOG, ""),
        is("van 110", Salvaged, "unknown_mark |zzz_mark|")
    );
    assert_eq!(around("", VAN, "<|zzz_mark|>", "", ""), is("van 110", Ok, ""));
}

#[test]
fn at_the_limit_of_tokens_more_could_come() {
    let line = VAN.trim_matches(['[', ']']);
    for text in [
        format!("{line}\n"),
        format!("{line}\n{line}"),
        format!("```json\n{VAN}\n```\n\nDogs:\n"),
        format!("```json\n{VAN}\n```\nNow let me also find the dogs. The first one is"),
        format!("```json\n{VAN}\n```\n```json\n{DOG}\n```"),
        format!("{VAN}\nThat is all."),
    ] {
        assert_eq!(check(&text, TokenLimit).status, Truncated, "{text}");
    }
    for text in [
        VAN.to_owned(),
        format!("```json\n{VAN}\n```\n"),
        format!("Boxes:\n```json\n{VAN}\n"),
        line.to_owned(),
    ] {
        assert_eq!(check(&text, TokenLimit).status, Ok, "{text}");
    }
}

#[test]
fn a_name_in_an_entry_of_a_list_is_that_of_what_it_holds() {
    table(&[
        (
            r#"[{"name": "elm", "instances": [{"box_2d": A}, {"box_2d": B}]}]"#,
            "elm 110, elm 550",
            Ok,
            "",
        ),
        (
            r#"[{"name": "elm", "boxes": [{"box_2d": A}]}, {"name": "oak", "boxes": [{"box_2d": B}]}]"#,
            "elm 110, oak 550",
            Ok,
            "",
        ),
        (r#"[{"name": "park.jpg", "objects": [{"box_2d": A}]}]"#, "- 110", Ok, ""),
        (
            r#"[{"name": "report_detections", "arguments": {"objects": [{"box_2d": A}]}}]"#,
            "- 110",
            Salvaged,
            "unread_key name",
        ),
    ]);
}

#[test]
fn four_sides_by_their_names_are_a_box() {
    table(&[
        (r#"[{"label": "elm", "ymin": 12, "xmin": 34, "ymax": 56, "xmax": 78}]"#, "elm 12", Ok, ""),
        (
            r#"[{"label": "elm", "box_2d": {"xmin": 34, "ymin": 12, "xmax": 78, "ymax": 56}}]"#,
            "elm 12",
            Ok,
            "",
        ),
        (
            r#"[{"box_2d": {"x1": 34, "y1": 12, "x2": 78, "y2": 56}, "label": "elm"}]"#,
            "elm 12",
            Ok,
            "",
        ),
        (
            r#"[{"label": "elm", "top": 12, "left": 34, "bottom": 56, "right": 78}]"#,
            "elm 12",
            Ok,
            "",
        ),
        (
            r#"[{"label": "elm", "x": 34, "y": 12, "width": 10, "height": 9}]"#,
            "",
            Refused,
            "unread_key x/y",
        ),
        (
            r#"[{"label": "elm", "box_2d": {"ymin": 12, "xmin": 34, "ymax": "far"}}]"#,
            "",
            Refused,
            "unreadable_box box_2d",
        ),
    ]);
    let boxes =
        check(r#"[{"label": "elm", "x1": 34, "y1": 12, "x2": 78, "y2": 56}]"#, StopToken).boxes;
    assert_eq!((boxes[0].box_2d, boxes[0].named), ([12.0, 34.0, 56.0, 78.0], true));
}
