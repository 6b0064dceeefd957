//! `gemscope parse`: answers of Ollama, vLLM, llama.cpp and OpenAI, and what a line may say wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};

use crate::support::{folder_of, gemscope, json_lines};

const CAT: &str = r#"[{"box_2d": [100, 200, 300, 400], "label": "cat"}]"#;
const DOG: &str = r#"[{"box_2d": [500, 100, 900, 300], "label": "dog"}]"#;

/// 384x384 pixels.
const IMAGE: &str = "shapes/scene-01.png";

/// `gemscope parse -` over these lines.
fn parse(lines: &[Value], flags: &[&str]) -> Output {
    let input = lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    parse_text(input, flags)
}

fn parse_text(input: impl Into<Vec<u8>>, flags: &[&str]) -> Output {
    gemscope().args(["parse", "-"]).args(flags).write_stdin(input.into()).output().unwrap()
}

fn records(output: &Output) -> Vec<Value> {
    json_lines(String::from_utf8(output.stdout.clone()).unwrap())
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// `label` and `bbox` of each detection of the only record.
fn boxes(output: &Output) -> Vec<(String, [f64; 4])> {
    let records = records(output);
    assert_eq!(records.len(), 1, "{}", stderr(output));
    let detection = |one: &Value| {
        (
            one["label"].as_str().unwrap().to_owned(),
            serde_json::from_value(one["bbox"].clone()).unwrap(),
        )
    };
    records[0]["detections"].as_array().unwrap().iter().map(detection).collect()
}

fn own(text: &str) -> Value {
    json!({"image": "a.png", "width": 1000, "height": 500, "text": text})
}

fn batch(custom_id: &str, content: &str, finish_reason: &str) -> Value {
    json!({"id": "batch_req_1", "custom_id": custom_id, "error": null,
        "response": {"status_code": 200, "request_id": "1", "body": {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gemma",
            "choices": [
            {"index": 0, "message": {"role": "assistant", "content": content}, "logprobs": null,
                "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}}})
}

/// The flags `--images DIR` for a folder in `dir` with `a.png` and `b.png` of 384x384 pixels.
fn images(dir: &Path) -> PathBuf {
    folder_of(dir, &[(IMAGE, "a.png"), (IMAGE, "b.png")])
}

fn with_images(lines: &[Value]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    parse(lines, &["--images", images(dir.path()).to_str().unwrap()])
}

/// Of the cat's box.
fn in_pixels() -> [f64; 4] {
    [200.0, 100.0, 400.0, 300.0].map(|value| value / 1000.0 * 384.0)
}

#[test]
fn lines_of_an_openai_or_vllm_batch_are_read() {
    let output = with_images(&[batch("a.png", CAT, "stop")]);
    assert_eq!(boxes(&output), [("cat".to_owned(), in_pixels())]);
    assert!(output.status.success());
    let record = &records(&output)[0];
    assert_eq!(
        (&record["status"], &record["answers"][0]["ended"]),
        (&json!("ok"), &json!("stop_token"))
    );
    assert_eq!((&record["width"], record["sha256"].as_str().unwrap().len()), (&json!(384), 64));
}

#[test]
fn responses_of_ollama_and_llama_cpp_are_read() {
    let bodies = [
        json!({"model": "gemma3:4b", "created_at": "2026-11-27T00:00:00Z", "done": true,
            "done_reason": "stop",
            "message": {"role": "assistant", "content": CAT, "thinking": DOG}, "eval_count": 9}),
        json!({"model": "gemma3:4b", "response": CAT, "thinking": DOG, "done": true,
            "done_reason": "stop", "context": [1, 2]}),
        json!({"index": 0, "content": CAT, "tokens": [], "stop": true, "stop_type": "eos",
            "truncated": false,
            "prompt": "detect cat", "generation_settings": {"n_predict": -1}, "timings": {}}),
        json!({"content": CAT, "stopped_eos": true, "stopped_limit": false, "truncated": false}),
        json!({"id": "1", "object": "chat.completion", "choices": [
            {"message": {"role": "assistant", "content": [{"type": "text", "text": CAT}],
                "reasoning_content": DOG}, "finish_reason": "stop"}]}),
        json!({"id": "1", "object": "text_completion", "choices": [{"text": CAT,
            "finish_reason": "stop"}]}),
        json!({"id": "1", "object": "response", "status": "completed", "error": null, "output": [
            {"type": "reasoning", "content": [{"type": "reasoning_text", "text": DOG}]},
            {"type": "message", "content": [{"type": "output_text", "text": CAT,
                "annotations": []}]}]}),
    ];
    for body in bodies {
        let mut named = body.clone();
        named["image"] = "a.png".into();
        for line in [named, json!({"image": "a.png", "response": body.clone()})] {
            let output = with_images(std::slice::from_ref(&line));
            assert_eq!(
                boxes(&output),
                [("cat".to_owned(), in_pixels())],
                "{line}: {}",
                stderr(&output)
            );
            assert_eq!(records(&output)[0]["answers"][0]["ended"], "stop_token", "{line}");
        }
    }
}

#[test]
fn streamed_responses_are_one_answer() {
    let (first, second) = CAT.split_at(20);
    let ollama = |text: &str, done: bool| {
        json!({"model": "m", "image": "a.png",
        "message": {"content": text}, "done": done})
    };
    let chunk = |text: &str, reason: Value| {
        json!({"id": "c", "object": "chat.completion.chunk",
        "image": "a.png", "choices": [{"index": 0, "delta": {"content": text},
            "finish_reason": reason}]})
    };
    let llama_cpp =
        |text: &str, stop: bool| json!({"content": text, "stop": stop, "image": "a.png"});
    for lines in [
        [ollama(first, false), ollama(second, false), ollama("", true)],
        [chunk(first, Value::Null), chunk(second, Value::Null), chunk("", "stop".into())],
        [llama_cpp(first, false), llama_cpp(second, false), llama_cpp("", true)],
    ] {
        let output = with_images(&lines);
        assert_eq!(boxes(&output), [("cat".to_owned(), in_pixels())], "{}", stderr(&output));
    }
    // One that never ended was cut off.
    let output = with_images(&[
        ollama("[{\"box_2d\": [100, 200, 300, 400], \"label\": \"cat\"},", false),
        ollama(" ", false),
    ]);
    assert_eq!(records(&output)[0]["status"], "truncated");
}

#[test]
fn an_answer_that_hit_its_limit_is_truncated() {
    let cut = r#"{"box_2d": [100, 200, 300, 400], "label": "cat"},"#;
    let lines = [
        json!({"image": "a.png", "text": cut, "finish_reason": "length"}),
        batch("a.png", cut, "length"),
        json!({"image": "a.png", "response": cut, "done": true, "done_reason": "length"}),
        json!({"image": "a.png", "content": cut, "stop": true, "stop_type": "limit"}),
        json!({"image": "a.png", "content": cut, "stopped_limit": true}),
    ];
    for line in lines {
        let output = with_images(std::slice::from_ref(&line));
        assert_eq!(records(&output)[0]["status"], "truncated", "{line}: {}", stderr(&output));
    }
}

#[test]
fn requests_that_failed_are_failed_images_with_the_reason() {
    let error = |status: u16| {
        json!({"id": "1", "custom_id": "a.png", "error": null,
            "response": {"status_code": status, "request_id": "1",
            "body": {"error": {"message": "image too large", "type": "invalid_request_error"}}}})
    };
    for (line, says) in [
        (error(400), "status 400: image too large"),
        (
            json!({"custom_id": "a.png", "response": null,
                "error": {"code": "batch_expired", "message": "expired"}}),
            "expired",
        ),
        (
            json!({"custom_id": "a.png", "response": null,
                "error": {"object": "error", "message": "no", "code": 400}}),
            "no",
        ),
        (json!({"image": "a.png", "error": "model not found"}), "model not found"),
        (batch("a.png", "", "content_filter"), "content_filter"),
    ] {
        let output = with_images(&[line, batch("b.png", CAT, "stop")]);
        let records = records(&output);
        assert_eq!(records.len(), 2, "{}", stderr(&output));
        assert_eq!(records[0]["status"], "failed");
        assert!(records[0]["reason"].as_str().unwrap().contains(says), "{}", records[0]);
        assert_eq!(output.status.code(), Some(2));
    }
}

#[test]
fn token_probabilities_become_scores() {
    // Each character a token; digits are less sure than the rest.
    let log = |character: char| if character.is_ascii_digit() { -0.5 } else { 0.0 };
    let tokens: Vec<Value> = CAT
        .chars()
        .map(|character| {
            json!({"token": character.to_string(), "logprob": log(character),
            "bytes": [character as u32], "top_logprobs": []})
        })
        .chain([json!({"token": "<end_of_turn>", "logprob": -7.0, "bytes": null})])
        .collect();
    let columns = json!({"tokens": CAT.chars().map(String::from).collect::<Vec<_>>(),
        "token_logprobs": CAT.chars().map(log).collect::<Vec<_>>()});
    let mut chat = batch("a.png", CAT, "stop");
    chat["response"]["body"]["choices"][0]["logprobs"] = json!({"content": tokens});
    let lines = [
        chat.clone(),
        json!({"image": "a.png", "choices": [{"text": CAT, "finish_reason": "stop",
            "logprobs": columns}]}),
        json!({"image": "a.png", "message": {"content": CAT}, "done": true, "logprobs": tokens}),
        json!({"image": "a.png", "content": CAT, "completion_probabilities": tokens}),
        json!({"image": "a.png", "output": [{"type": "message",
            "content": [{"type": "output_text", "text": CAT, "logprobs": tokens}]}]}),
    ];
    for line in lines {
        let output = with_images(std::slice::from_ref(&line));
        let detection = records(&output)[0]["detections"][0].clone();
        assert_eq!(
            detection["probabilities"],
            json!({"coordinates": 0.6065, "label": 1.0}),
            "{line}"
        );
        assert_eq!(detection["score"], 0.6065);
    }
    // Tokens of another text say nothing about this one.
    chat["response"]["body"]["choices"][0]["message"]["content"] = DOG.into();
    let output = with_images(&[chat]);
    assert_eq!(records(&output)[0]["detections"][0]["score"], Value::Null);
    assert!(
        stderr(&output).contains("1 answers have token probabilities that do not fit"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_size_that_the_file_contradicts_is_an_error_of_its_line() {
    let sized = |image: &str, width: u32| {
        json!({"image": image, "width": width, "height": 384,
        "text": CAT})
    };
    let output = with_images(&[sized("a.png", 384), sized("b.png", 128)]);
    assert_eq!(boxes(&output), [("cat".to_owned(), in_pixels())]);
    let said = stderr(&output);
    assert!(said.contains("-:2: b.png: the line says 128x384, the file is 384x384"), "{said}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn sizes_come_from_the_images_and_turned_ones_are_upright() {
    let dir = tempfile::tempdir().unwrap();
    let folder = folder_of(dir.path(), &[("photos/coffee-orientation-6.jpg", "t.jpg")]);
    let flags = ["--images", folder.to_str().unwrap()];
    let line = json!({"image": "t.jpg", "text": CAT});
    let upright = parse(std::slice::from_ref(&line), &flags);
    let record = &records(&upright)[0];
    let stored = parse(std::slice::from_ref(&line), &[flags[0], flags[1], "--no-exif"]);
    let unturned = &records(&stored)[0];
    assert_ne!(record["orientation"], 1);
    assert_eq!((&record["width"], &record["height"]), (&unturned["height"], &unturned["width"]));
    assert!(stderr(&upright).contains("1 images are turned by EXIF"), "{}", stderr(&upright));
    let stated = json!({"image": "t.jpg", "text": CAT, "width": unturned["width"],
        "height": unturned["height"]});
    let said = stderr(&parse(&[stated], &flags));
    assert!(said.contains("once it is turned as its EXIF orientation says; --no-exif"), "{said}");
}

#[test]
fn a_line_without_a_size_or_an_image_says_what_to_do() {
    let output = parse(&[json!({"image": "a.png", "text": CAT}), json!({"text": CAT})], &[]);
    assert_eq!((output.status.code(), records(&output).len()), (Some(2), 0));
    let said = stderr(&output);
    assert!(
        said.contains("-:1: the size of a.png is not known") && said.contains("--images DIR"),
        "{said}"
    );
    assert!(said.contains("-:2: nothing names the image") && said.contains("jq"), "{said}");
}

#[test]
fn names_never_lead_out_of_the_images() {
    let dir = tempfile::tempdir().unwrap();
    let folder = images(dir.path());
    fs::copy(folder.join("a.png"), dir.path().join("secret.png")).unwrap();
    let secret = dir.path().join("secret.png").display().to_string();
    let mut names = vec!["../secret.png", "sub/../../secret.png", &secret];
    if cfg!(unix) {
        #[cfg(unix)]
        std::os::unix::fs::symlink(&secret, folder.join("link.png")).unwrap();
        names.push("link.png");
    }
    for name in names {
        let run = tempfile::tempdir().unwrap();
        let out = run.path().join("run");
        let line = json!({"image": name, "width": 384, "height": 384, "text": CAT});
        let output =
            parse(&[line], &["--images", folder.to_str().unwrap(), "--out", out.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(stderr(&output).contains("leads out"), "{}", stderr(&output));
        gemscope().args(["export", "--to", "yolo"]).arg(&out).output().unwrap();
        assert!(
            !out.join("yolo/images").exists()
                || fs::read_dir(out.join("yolo/images")).unwrap().count() == 0,
            "{name}"
        );
    }
}

/// Of a run whose journal names such a file, as earlier versions wrote it.
#[cfg(unix)]
#[test]
fn no_export_links_a_file_outside_of_the_images() {
    let dir = tempfile::tempdir().unwrap();
    let folder = images(dir.path());
    fs::copy(folder.join("a.png"), dir.path().join("secret.png")).unwrap();
    std::os::unix::fs::symlink("../secret.png", folder.join("link.png")).unwrap();
    let out = dir.path().join("run");
    let line = json!({"image": "NAME.png", "width": 384, "height": 384, "text": CAT});
    parse(&[line], &["--out", out.to_str().unwrap()]);
    let journal = fs::read_to_string(out.join("journal.jsonl")).unwrap();
    for name in ["../secret.png", "link.png"] {
        fs::write(out.join("journal.jsonl"), journal.replace("NAME.png", name)).unwrap();
        let exported = dir.path().join(format!("exported-{}", name.len()));
        let output = gemscope()
            .args(["export", "--to", "yolo", "--images"])
            .arg(&folder)
            .arg(&out)
            .arg("--out")
            .arg(&exported)
            .output()
            .unwrap();
        assert!(stderr(&output).contains("leads out"), "{}", stderr(&output));
        let found = walkdir_files(&exported);
        assert!(
            !found.iter().any(|path| path.extension().is_some_and(|extension| extension == "png")),
            "{found:?}"
        );
    }
}

#[cfg(unix)]
fn walkdir_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| if path.is_dir() { walkdir_files(&path) } else { vec![path] })
        .collect()
}

#[test]
fn a_second_answer_about_an_image_is_not_lost() {
    let mut lines = [own(CAT), own(DOG)];
    // To the same question, the later one counts.
    let output = parse(&lines, &[]);
    assert_eq!(boxes(&output).iter().map(|(label, _)| label.as_str()).collect::<Vec<_>>(), ["dog"]);
    assert_eq!(records(&output)[0]["notes"][0], json!({"kind": "answer_replaced", "count": 1}));
    assert!(output.status.success());
    // A cut one does not replace a whole one.
    let output = parse(&[own(CAT), own(&DOG[..DOG.len() - 5])], &[]);
    assert_eq!(boxes(&output).iter().map(|(label, _)| label.as_str()).collect::<Vec<_>>(), ["cat"]);
    // To different questions, both do.
    lines[0]["question"] = "detect cat".into();
    lines[1]["prompt"] = "detect dog".into();
    let output = parse(&lines, &[]);
    assert_eq!(
        boxes(&output).iter().map(|(label, _)| label.as_str()).collect::<Vec<_>>(),
        ["cat", "dog"]
    );
}

#[test]
fn a_caption_from_a_server_is_text_and_no_refusal() {
    let mut line = own("A cat, asleep.");
    assert_eq!(records(&parse(std::slice::from_ref(&line), &[]))[0]["status"], "refused");
    assert_eq!(
        records(&parse(std::slice::from_ref(&line), &["--answer", "text"]))[0]["status"],
        "text"
    );
    line["question"] = "Describe this photograph.".into();
    assert_eq!(records(&parse(&[line], &[]))[0]["status"], "text");
}

#[test]
fn a_file_of_requests_says_which_image_a_custom_id_is() {
    let dir = tempfile::tempdir().unwrap();
    let folder = images(dir.path());
    let request = |id: &str, text: &str| {
        json!({"custom_id": id, "method": "POST", "url": "/v1/chat/completions",
            "body": {"model": "m", "messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": format!("file://{}",
                folder.join("a.png").display())}}, {"type": "text", "text": text}]}]}})
    };
    let requests = dir.path().join("requests.jsonl");
    fs::write(
        &requests,
        format!("{}\n{}\n", request("1", "detect cat"), request("2", "detect dog")),
    )
    .unwrap();
    let flags = ["--images", folder.to_str().unwrap(), "--requests", requests.to_str().unwrap()];
    let output =
        parse(&[batch("2", DOG, "stop"), batch("1", CAT, "stop"), batch("b", CAT, "stop")], &flags);
    let records = records(&output);
    assert_eq!(records.len(), 2, "{}", stderr(&output));
    assert_eq!(
        (&records[0]["image"], records[0]["detections"].as_array().unwrap().len()),
        (&json!("a.png"), 2)
    );
    assert_eq!(records[0]["answers"][0]["prompt"], "detect dog");
    assert_eq!(records[1]["image"], "b.png");
}

#[test]
fn a_request_without_a_response_is_no_silence() {
    let dir = tempfile::tempdir().unwrap();
    let folder = images(dir.path());
    let requests = dir.path().join("requests.jsonl");
    let request = |id: &str, image: &str, question: &str| {
        json!({"custom_id": id, "image": image,
        "question": question})
    };
    let lines = [
        request("1", "a.png", "detect cat"),
        request("2", "a.png", "detect dog"),
        request("3", "b.png", "detect dog"),
    ];
    fs::write(&requests, json!(lines).to_string()).unwrap();
    let out = dir.path().join("run");
    let flags = [
        "--images",
        folder.to_str().unwrap(),
        "--requests",
        requests.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ];
    let output = parse(&[batch("1", CAT, "stop"), batch("2", "[]", "stop")], &flags);
    let read = records(&output);
    assert_eq!((&read[0]["status"], &read[1]["status"]), (&json!("ok"), &json!("failed")));
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("1 requests have no response, 3 among them"),
        "{}",
        stderr(&output)
    );
    // The rest of the batch takes the place of the failure.
    let output = parse(
        &[batch("3", DOG, "stop"), batch("1", CAT, "stop"), batch("2", "[]", "stop")],
        &flags,
    );
    assert!(output.status.success(), "{}", stderr(&output));
    gemscope().args(["export", "--to", "jsonl"]).arg(&out).assert().success();
    let exported = json_lines(fs::read_to_string(out.join("detections.jsonl")).unwrap());
    assert_eq!((exported.len(), &exported[1]["status"]), (2, &json!("ok")));
}

#[test]
fn a_stated_confidence_is_kept_and_is_no_score() {
    let answers = [
        r#"[{"box_2d": [100, 200, 300, 400], "label": "cat", "confidence": 0.8}, {"box_2d": [500, 100, 900, 300], "label": "dog", "confidence": 0.35}]"#,
        r#"[{"confidence": "0.8", "label": "cat", "box_2d": [100, 200, 300, 400]}, {"score": 0.35, "label": "dog", "box_2d": [500, 100, 900, 300]}]"#,
        // Braces that are lost.
        r#"[{"box_2d": [100, 200, 300, 400], "label": "cat", "prob": 0.8, "box_2d": [500, 100, 900, 300], "label": "dog", "prob": 0.35}]"#,
        r#"[{"conf": "80%", "label": "cat", "box_2d": [100, 200, 300, 400], "conf": "35%", "label": "dog", "box_2d": [500, 100, 900, 300]}]"#,
    ];
    for text in answers {
        let output = parse(&[own(text)], &[]);
        let detections = records(&output)[0]["detections"].clone();
        assert_eq!(
            (&detections[0]["stated_confidence"], &detections[1]["stated_confidence"]),
            (&json!(0.8), &json!(0.35)),
            "{text}"
        );
        assert_eq!(
            (&detections[0]["label"], &detections[1]["label"]),
            (&json!("cat"), &json!("dog")),
            "{text}"
        );
        assert_eq!(detections[0]["score"], Value::Null);
        // On request it is the score, and filters use it.
        let output = parse(&[own(text)], &["--score", "stated", "--min-score", "0.5"]);
        let detections = records(&output)[0]["detections"].clone();
        assert_eq!(
            (detections.as_array().unwrap().len(), &detections[0]["score"]),
            (1, &json!(0.8)),
            "{text}"
        );
    }
    // Words are no numbers, and what is not said is not there.
    for text in [
        r#"[{"box_2d": [1, 2, 3, 4], "label": "cat", "confidence": "high"}]"#,
        r#"[{"box_2d": [1, 2, 3, 4], "confidence": null}]"#,
    ] {
        assert_eq!(
            records(&parse(&[own(text)], &[]))[0]["detections"][0].get("stated_confidence"),
            None
        );
    }
}

#[test]
fn three_hundred_equal_boxes_are_one() {
    let text = format!("[{}]", vec![&CAT[1..CAT.len() - 1]; 300].join(","));
    assert_eq!(boxes(&parse(&[own(&text)], &[])).len(), 1);
}

#[test]
fn forms_of_a_label_are_one_category() {
    let labels = ["Dog", "dog", "dogs", "a dog", "DOG"];
    let objects: Vec<Value> = (0..)
        .zip(labels)
        .map(|(index, label)| {
            json!({"box_2d": [100 * index, 0, 100 * index + 90, 90],
            "label": label})
        })
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let output = parse(
        &[own(&json!(objects).to_string())],
        &["--labels", "dog", "--out", out.to_str().unwrap()],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    gemscope().args(["export", "--to", "coco"]).arg(&out).assert().success();
    let coco: Value =
        serde_json::from_slice(&fs::read(out.join("instances.json")).unwrap()).unwrap();
    assert_eq!(coco["categories"].as_array().unwrap().len(), 1, "{coco}");
    assert_eq!(coco["annotations"].as_array().unwrap().len(), 5);
}

#[test]
fn a_parsed_run_knows_its_images() {
    let dir = tempfile::tempdir().unwrap();
    let folder = images(dir.path());
    let out = dir.path().join("run");
    let flags = ["--images", folder.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let lines = [batch("a", CAT, "stop"), batch("b", DOG, "stop")];
    let output = parse(&lines, &flags);
    assert!(output.status.success(), "{}", stderr(&output));
    gemscope().args(["export", "--to", "crops,yolo"]).arg(&out).assert().success();
    assert!(out.join("crops").read_dir().unwrap().count() > 0);
    // Once more changes nothing, more lines add to it, and other answers are refused.
    let journal = fs::read(out.join("journal.jsonl")).unwrap();
    assert!(parse(&lines, &flags).status.success());
    assert_eq!(fs::read(out.join("journal.jsonl")).unwrap(), journal);
    let output = parse(&[batch("a", DOG, "stop")], &flags);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("other answers about 1 of these images"),
        "{}",
        stderr(&output)
    );
    assert_eq!(fs::read(out.join("journal.jsonl")).unwrap(), journal);
}

#[test]
fn arrays_indented_objects_and_utf_16_are_lines_too() {
    let (a, b) = (own(CAT), json!({"image": "b.png", "width": 10, "height": 10, "text": "[]"}));
    let utf_16 = |text: String| {
        "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
    };
    let inputs: [Vec<u8>; 5] = [
        json!([a, b]).to_string().into_bytes(),
        serde_json::to_string_pretty(&json!([a, b])).unwrap().into_bytes(),
        format!("{a:#}\n{b:#}\n").into_bytes(),
        format!("\u{feff}{a}\r\n{b}\r\n").into_bytes(),
        utf_16(format!("{a}\r\n{b}\r\n")),
    ];
    for input in inputs {
        let output = parse_text(input, &[]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(records(&output).len(), 2);
    }
}

#[test]
fn a_summary_says_what_became_of_the_lines() {
    let lines = [
        own(CAT),
        json!({"text": "lost"}),
        json!({"image": "b.png", "width": 9, "height": 9, "text": "[]"}),
    ];
    let output = parse(&lines, &[]);
    let said = stderr(&output);
    for part in [
        "2 images: 1 ok, 1 empty",
        "coordinates: 1000, yxyx (none of 1 boxes lies beyond 1000)",
        "1 lines could not be used",
        "cat",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let output = parse(&lines, &["--json"]);
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["statuses"], json!({"ok": 1, "empty": 1}));
    assert_eq!((&summary["unused"], &summary["coordinates"]["scale"]), (&json!(1), &json!("1000")));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn one_scale_is_decided_for_the_whole_input() {
    let line = |image: &str, box_2d: Value| {
        json!({"image": image, "width": 2000, "height": 1600,
        "text": json!([{"box_2d": box_2d, "label": "x"}]).to_string()})
    };
    // Pixels, as the second line shows; the first one alone could be thousandths.
    let lines = [
        line("a.png", json!([100, 200, 300, 400])),
        line("b.png", json!([1200, 1500, 1500, 1900])),
    ];
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let output = parse(&lines, &["--out", out.to_str().unwrap()]);
    assert_eq!(records(&output)[0]["detections"][0]["bbox"], json!([200.0, 100.0, 400.0, 300.0]));
    assert!(stderr(&output).contains("coordinates: pixels, yxyx"), "{}", stderr(&output));
    let run: Value = serde_json::from_slice(&fs::read(out.join("run.json")).unwrap()).unwrap();
    assert_eq!(run["elsewhere"]["rules"]["coordinates"], "pixels");
    let output = parse(&lines, &["--coordinates", "1000", "--order", "xyxy"]);
    assert_eq!(records(&output)[0]["detections"][0]["bbox"], json!([200.0, 320.0, 600.0, 640.0]));
    // Shares.
    let output = parse(&[line("a.png", json!([0.1, 0.2, 0.3, 0.4]))], &[]);
    assert_eq!(records(&output)[0]["detections"][0]["bbox"], json!([400.0, 160.0, 800.0, 480.0]));
}
