//! Runs over servers of models: what is sent to each kind, what is made of what comes back, and
//! what becomes of a run whose server fails. Bodies are those of the servers' sources; see
//! `server/mock.rs`.

mod mock;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{fixture, gemscope, images, json as read_json, json_lines};
use mock::{Asked, Fault, Kind, LOG, Mock, Settings};

fn detect(dir: &Path, mock: &Mock, images: &Path) -> assert_cmd::Command {
    let mut command = gemscope();
    command.env_remove("OPENAI_API_KEY").env_remove("GEMSCOPE_SERVER_KEY");
    command.args([
        "detect",
        "--labels",
        "cat",
        "--export",
        "coco,jsonl",
        "--server-wait",
        "3",
        "--server",
        &mock.url,
    ]);
    command.arg("--out").arg(dir.join("run")).arg(images);
    command
}

fn journal(dir: &Path) -> Vec<Value> {
    let mut records = json_lines(fs::read_to_string(dir.join("run/journal.jsonl")).unwrap());
    records.sort_by_key(|record| record["image"].as_str().unwrap().to_owned());
    records
}

fn stderr(assert: &assert_cmd::assert::Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
}

/// One image on a server of these settings: its record, and what was asked about it.
fn one(settings: Settings, more: &[&str]) -> (Value, Vec<Asked>, String) {
    let dir = tempfile::tempdir().unwrap();
    let mock = Mock::start(settings);
    let images = images(dir.path(), 1);
    let ran = detect(dir.path(), &mock, &images).args(more).assert();
    let asked = mock.asked();
    let said = stderr(&ran);
    (journal(dir.path()).swap_remove(0), asked, said)
}

/// Every token has the same probability, and so have the means over coordinates and label, whose
/// product it is.
fn score() -> f64 {
    (2.0 * LOG).exp()
}

#[test]
fn vllm_is_told_budget_grammar_and_thinking_and_its_figures_are_kept() {
    let (free, ..) = one(Settings::of(Kind::Vllm), &["--budget", "70", "--decoding", "free"]);
    assert!((free["detections"][0]["score"].as_f64().unwrap() - score()).abs() < 1e-4, "{free}");
    let (record, asked, said) = one(Settings::of(Kind::Vllm), &["--budget", "70"]);
    assert!(said.contains("vLLM 0.33.0, model google/gemma-4-E2B-it"), "{said}");
    assert!(said.contains("boxes have no scores where answers are held to a grammar"), "{said}");
    assert_eq!(record["status"], "ok");
    let found = &record["detections"][0];
    assert_eq!(found["bbox"], json!([0.0, 0.0, 48.0, 48.0]), "{found}");
    // After a grammar that forces it, a label's probability says nothing.
    assert!(found["score"].is_null() && found["probabilities"].is_null(), "{found}");
    let tokens = &record["answers"][0]["tokens"];
    assert_eq!(
        (tokens["soft_tokens"].as_u64(), tokens["budget"].as_u64()),
        (Some(64), Some(70)),
        "{tokens}"
    );
    // 10 of the template, 3 of "detect cat" and 2 around the image.
    assert_eq!(tokens["prompt"], 64 + 2 + 10 + 2);

    let [asked] = &asked[..] else { panic!("one question") };
    let body = &asked.body;
    assert_eq!(body["mm_processor_kwargs"], json!({"max_soft_tokens": 70}));
    assert_eq!(body["chat_template_kwargs"], json!({"enable_thinking": false}));
    assert_eq!((&body["temperature"], &body["max_tokens"]), (&json!(0.0), &json!(2048)));
    assert!(
        body["structured_outputs"]["grammar"].as_str().unwrap().contains(r#"label ::= "\"cat\"""#)
    );
    assert!(body.get("extra_body").is_none() && body.get("guided_json").is_none());
    // The picture is first.
    let kinds = body["messages"][0]["content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["type"].as_str().unwrap());
    assert_eq!(kinds.collect::<Vec<_>>(), ["image_url", "text"]);
    assert_eq!(asked.text(), "detect cat");
    let picture = image::load_from_memory(&asked.pictures()[0]).unwrap();
    assert_eq!((picture.width(), picture.height()), (384, 384), "already at the budget's size");
}

#[test]
fn vllm_that_does_not_trust_requests_is_asked_without_a_budget_and_that_is_said() {
    let settings = Settings { trusts: false, ..Settings::of(Kind::Vllm) };
    let (record, asked, said) = one(settings, &["--budget", "1120"]);
    assert!(
        said.contains("--trust-request-mm-kwargs")
            && said.contains("280 soft tokens of a picture of 1089"),
        "{said}"
    );
    assert!(asked[0].body.get("mm_processor_kwargs").is_none());
    let tokens = &record["answers"][0]["tokens"];
    assert_eq!(tokens["soft_tokens"], 280, "what the server really did: {tokens}");
}

#[test]
fn vllm_with_a_short_context_is_asked_for_no_more_than_fits() {
    let (record, asked, _) =
        one(Settings { context: 1024, ..Settings::of(Kind::Vllm) }, &["--budget", "70"]);
    assert_eq!(record["status"], "ok", "{record}");
    let most = asked[0].body["max_tokens"].as_u64().unwrap();
    assert!((800..1024 - 72).contains(&most), "{most}");
}

#[test]
fn a_grammar_that_is_refused_becomes_a_schema() {
    let settings = Settings { takes_grammar: false, ..Settings::of(Kind::Vllm) };
    let (_, asked, said) = one(settings, &[]);
    assert!(said.contains("by a schema, and not by a grammar"), "{said}");
    let schema = &asked[0].body["structured_outputs"]["json"];
    assert_eq!(schema["items"]["properties"]["label"]["enum"], json!(["cat"]));
    let settings = Settings { takes_grammar: false, ..Settings::of(Kind::Llama) };
    let (_, asked, _) = one(settings, &[]);
    assert!(asked[0].body.get("grammar").is_none(), "never both");
    assert_eq!(asked[0].body["json_schema"]["maxItems"], 300);
}

#[test]
fn free_decoding_is_held_to_nothing() {
    for kind in [Kind::Vllm, Kind::Llama, Kind::Ollama, Kind::LmStudio] {
        let (_, asked, _) = one(Settings::of(kind), &["--decoding", "free"]);
        for key in ["structured_outputs", "grammar", "json_schema", "response_format", "format"] {
            assert!(asked[0].body.get(key).is_none(), "{kind:?} {key}");
        }
    }
}

#[test]
fn llama_enlarges_small_pictures_and_that_is_in_the_record() {
    let (record, asked, said) = one(Settings::of(Kind::Llama), &["--budget", "70"]);
    assert!(
        said.contains("llama.cpp b10488-abc") && said.contains("70 soft tokens of a picture of 64"),
        "{said}"
    );
    assert_eq!(record["answers"][0]["tokens"]["soft_tokens"], 70);
    let body = &asked[0].body;
    assert!(body["grammar"].as_str().unwrap().starts_with("root ::= "));
    // What its documentation writes under response_format allows any object, and no list.
    assert!(body.get("response_format").is_none());
    assert_eq!(body["cache_prompt"], true);
    // 0 would give no probabilities at all.
    assert_eq!(body["top_logprobs"], 1);
    assert!((record["detections"][0]["score"].as_f64().unwrap() - score()).abs() < 1e-4);
    let (record, ..) = one(Settings::of(Kind::Llama), &["--budget", "280"]);
    assert_eq!(record["answers"][0]["tokens"]["soft_tokens"], 256, "its size is kept there");
}

#[test]
fn a_picture_that_ends_llama_server_stops_the_run_with_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let mock = Mock::start(Settings { micro_batch: Some(512), ..Settings::of(Kind::Llama) });
    let images = images(dir.path(), 1);
    let ran = detect(dir.path(), &mock, &images).args(["--budget", "1120"]).assert().code(1);
    assert!(stderr(&ran).contains("-b 2048 -ub 2048"), "{}", stderr(&ran));
}

#[test]
fn ollama_is_asked_by_its_own_route_with_room_and_one_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let mock = Mock::start(Settings::of(Kind::Ollama));
    let images = images(dir.path(), 3);
    let ran = detect(dir.path(), &mock, &images).args(["--budget", "560"]).assert().success();
    assert!(stderr(&ran).contains("Ollama 0.15.0, model gemma4:e2b"));
    let all = mock.all_asked();
    assert!(
        !all.iter().any(|asked| asked.path == "/v1/chat/completions"),
        "it makes two turns of one"
    );
    let asked: Vec<&Asked> = all.iter().filter(|asked| asked.path == "/api/chat").collect();
    // The same room in every request, since another one loads the model again.
    let options = &asked[0].body["options"];
    assert!(
        asked
            .iter()
            .all(|asked| asked.body["options"]["num_ctx"].as_u64() >= options["num_ctx"].as_u64())
    );
    let last = &asked.last().unwrap().body;
    assert!(last["options"]["num_ctx"].as_u64().unwrap() > 560 + 2048);
    assert!(last["options"]["num_batch"].as_u64().unwrap() >= 560);
    assert_eq!(
        (&last["options"]["temperature"], &last["options"]["repeat_penalty"]),
        (&json!(0.0), &json!(1.0))
    );
    assert_eq!((&last["stream"], &last["think"]), (&json!(false), &json!(false)));
    assert_eq!(last["messages"][0]["images"].as_array().unwrap().len(), 1);
    assert_eq!(last["format"]["items"]["properties"]["box_2d"]["maxItems"], 4);
    let record = &journal(dir.path())[0];
    assert!((record["detections"][0]["score"].as_f64().unwrap() - score()).abs() < 1e-4);
    assert_eq!(record["answers"][0]["tokens"]["soft_tokens"], 529);

    let dir = tempfile::tempdir().unwrap();
    let images = self::images(dir.path(), 1);
    let ran = detect(dir.path(), &mock, &images).args(["--server-kind", "openai"]).assert().code(1);
    assert!(stderr(&ran).contains("this is Ollama"), "{}", stderr(&ran));
}

#[test]
fn lm_studio_gives_boxes_without_scores() {
    let (record, asked, said) = one(Settings::of(Kind::LmStudio), &[]);
    assert!(said.contains("boxes have no scores"), "{said}");
    assert_eq!(record["status"], "ok");
    assert_eq!(record["detections"].as_array().unwrap().len(), 1);
    assert!(
        record["detections"][0]["score"].is_null()
            && record["detections"][0]["probabilities"].is_null()
    );
    let body = &asked[0].body;
    assert_eq!(body["response_format"]["json_schema"]["schema"]["type"], "array");
    assert!(
        body.get("chat_template_kwargs").is_none() && body.get("mm_processor_kwargs").is_none()
    );
}

#[test]
fn pictures_are_sent_upright_and_without_a_word_of_orientation() {
    let dir = tempfile::tempdir().unwrap();
    let mock = Mock::start(Settings::of(Kind::Llama));
    let folder = dir.path().join("images");
    fs::create_dir(&folder).unwrap();
    fs::copy(fixture("images/orientation-6.jpg"), folder.join("6.jpg")).unwrap();
    detect(dir.path(), &mock, &folder).assert().success();
    let record = &journal(dir.path())[0];
    assert_eq!(record["orientation"], 6);
    let bytes = mock.asked()[0].pictures().remove(0);
    assert!(bytes.starts_with(b"\x89PNG") && !bytes.windows(4).any(|chunk| chunk == b"eXIf"));
    let sent = image::load_from_memory(&bytes).unwrap();
    let (width, height) = (record["width"].as_u64().unwrap(), record["height"].as_u64().unwrap());
    assert_eq!(sent.width() > sent.height(), width > height);
    assert_ne!(sent.width(), sent.height(), "the fixture is no square");

    fs::remove_dir_all(dir.path().join("run")).unwrap();
    detect(dir.path(), &mock, &folder).args(["--server-pictures", "jpeg"]).assert().success();
    assert!(mock.asked()[0].pictures()[0].starts_with(b"\xff\xd8"));
}

#[test]
fn system_prompt_thinking_and_sampling_are_sent() {
    let sampled = ["--temperature", "0.7", "--top-p", "0.9", "--top-k", "40", "--seed", "5"];
    let more = [&["--system", "Be brief.", "--thinking"], &sampled[..]].concat();
    let settings = Settings { thought: Some("a cat, I think"), ..Settings::of(Kind::Vllm) };
    let (record, asked, _) = one(settings, &more);
    let body = &asked[0].body;
    assert_eq!(body["messages"][0], json!({"role": "system", "content": "Be brief."}));
    assert_eq!(body["chat_template_kwargs"], json!({"enable_thinking": true}));
    assert!((body["temperature"].as_f64().unwrap() - 0.7).abs() < 1e-6 && body["top_k"] == 40);
    assert!(body.get("structured_outputs").is_none(), "a grammar leaves no room for thoughts");
    let text = record["answers"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("<|channel>thought\na cat, I think<channel|>```json"), "{text}");
    // Scores are still those of the box's own tokens.
    assert!((record["detections"][0]["score"].as_f64().unwrap() - score()).abs() < 1e-4);

    let dir = tempfile::tempdir().unwrap();
    let mock = Mock::start(Settings::of(Kind::LmStudio));
    let images = images(dir.path(), 1);
    let ran = detect(dir.path(), &mock, &images).arg("--thinking").assert().code(1);
    assert!(stderr(&ran).contains("leave out --thinking"), "{}", stderr(&ran));
}

/// A rubric of one axis with two words.
fn rubric(dir: &Path) -> PathBuf {
    let path = dir.join("rubric.toml");
    let text = "name = \"look\"\n[[axis]]\nname = \"look\"\nquestion = \"How does it look?\"\n\
                kind = \"level\"\n\
                words = [\"bad\", \"good\"]\n";
    fs::write(&path, text).unwrap();
    path
}

fn critique(dir: &Path, mock: &Mock, images: &Path) -> assert_cmd::Command {
    let mut command = gemscope();
    command.env_remove("OPENAI_API_KEY").env_remove("GEMSCOPE_SERVER_KEY");
    command
        .args(["critique", "--server-wait", "1", "--server", &mock.url, "--rubric"])
        .arg(rubric(dir));
    command.arg("--out").arg(dir.join("run")).arg(images);
    command
}

#[test]
fn frames_are_rated_by_the_first_token() {
    for kind in [Kind::Vllm, Kind::Llama, Kind::Ollama] {
        let dir = tempfile::tempdir().unwrap();
        let mock = Mock::start(Settings::of(kind));
        let images = images(dir.path(), 2);
        let ran = critique(dir.path(), &mock, &images).assert().success();
        let record = &journal(dir.path())[0];
        let rating = &record["ratings"][0];
        assert_eq!(rating["words"], json!(["bad", "good"]), "{}", stderr(&ran));
        let shares: Vec<f64> = rating["probabilities"]
            .as_array()
            .unwrap()
            .iter()
            .map(|share| share.as_f64().unwrap())
            .collect();
        assert!(
            (shares[0] - 0.2222).abs() < 1e-4 && (shares[1] - 0.7778).abs() < 1e-4,
            "{kind:?} {shares:?}"
        );
        assert!((rating["mass"].as_f64().unwrap() - 0.9).abs() < 1e-3);
        let asked = mock.asked();
        assert_eq!(asked.len(), 2);
        match kind {
            Kind::Vllm => {
                assert_eq!(asked[0].body["logprob_token_ids"].as_array().unwrap().len(), 8);
            }
            Kind::Llama => assert_eq!(asked[0].body["top_logprobs"], 200),
            _ => assert_eq!(asked[0].body["top_logprobs"], 20),
        }
    }
}

#[test]
fn ratings_are_never_made_up() {
    // Without probabilities nothing is asked.
    let dir = tempfile::tempdir().unwrap();
    let mock = Mock::start(Settings::of(Kind::LmStudio));
    let images = images(dir.path(), 1);
    let ran = critique(dir.path(), &mock, &images).assert().code(1);
    assert!(stderr(&ran).contains("gives no probabilities of tokens"), "{}", stderr(&ran));
    assert!(mock.asked().is_empty());
    // A list that ends too early says nothing of the other word.
    for (first, reason) in [
        (vec![("good", 0.5), ("The", 0.2)], "too few tokens"),
        (vec![("good", 0.5), ("ba", 0.3), ("x", 1e-6)], "may begin one of the words"),
        (vec![("The", 0.9), ("x", 1e-6)], "none of the words"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mock = Mock::start(Settings { first, ..Settings::of(Kind::Ollama) });
        let images = self::images(dir.path(), 1);
        critique(dir.path(), &mock, &images).assert().code(2);
        let record = &journal(dir.path())[0];
        assert!(record["reason"].as_str().unwrap().contains(reason), "{record}");
        assert!(
            record
                .get("ratings")
                .is_none_or(|ratings| ratings.as_array().is_none_or(Vec::is_empty))
        );
    }
}

#[test]
fn questions_about_one_image_follow_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let mock = Mock::start(Settings::of(Kind::Vllm));
    let images = images(dir.path(), 3);
    let mut command = gemscope();
    command.args([
        "detect",
        "--labels",
        "dog,bird,cat",
        "--per-label",
        "--concurrency",
        "1",
        "--server",
        &mock.url,
    ]);
    command.arg("--out").arg(dir.path().join("run")).arg(&images).assert().success();
    let asked = mock.asked();
    assert_eq!(asked.len(), 9);
    for image in asked.chunks(3) {
        let first = image[0].pictures();
        assert!(image.iter().all(|asked| asked.pictures() == first));
        assert_eq!(
            image.iter().map(Asked::text).collect::<Vec<_>>(),
            ["detect dog", "detect bird", "detect cat"]
        );
    }
}

#[test]
fn what_can_pass_is_tried_again_and_what_cannot_is_not() {
    let busy = |status| Fault::Status(status, vec![("Retry-After", "0")], json!({"error": "busy"}));
    for fault in [
        busy(429),
        busy(503),
        Fault::Status(500, vec![], json!({"error": "x"})),
        Fault::Cut,
        Fault::Silent,
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mock = Mock::start(Settings::of(Kind::Vllm));
        let images = images(dir.path(), 1);
        mock.fail([fault.clone()]);
        detect(dir.path(), &mock, &images).assert().success();
        assert_eq!(mock.asked().len(), 2, "{fault:?}");
    }
    // One question alone: its image fails, and the run goes on.
    let long = json!({"error": {"message": "This model's maximum context length is 1024 tokens",
        "code": 400}});
    for fault in [Fault::Status(400, vec![], long), Fault::NotJson] {
        let dir = tempfile::tempdir().unwrap();
        let mock = Mock::start(Settings::of(Kind::Vllm));
        let images = images(dir.path(), 2);
        mock.fail([fault.clone()]);
        detect(dir.path(), &mock, &images).args(["--concurrency", "1"]).assert().code(2);
        assert_eq!(mock.asked().len(), 2, "{fault:?}");
        let reasons: Vec<_> = journal(dir.path())
            .iter()
            .filter_map(|record| record["reason"].as_str().map(str::to_owned))
            .collect();
        assert!(
            reasons[0].contains("maximum context") || reasons[0].contains("no JSON"),
            "{reasons:?}"
        );
    }
}

/// What a server of OpenAI's API answers, with a token for each letter.
fn body_of(text: &str) -> String {
    let token = |letter: char| json!({"token": letter.to_string(), "logprob": LOG});
    let tokens: Vec<Value> = text.chars().map(token).collect();
    let message = json!({"role": "assistant", "content": text});
    let choice =
        json!({"message": message, "finish_reason": "stop", "logprobs": {"content": tokens}});
    json!({"object": "chat.completion", "choices": [choice]}).to_string()
}

#[test]
fn hostile_bodies_cost_one_image_and_no_more() {
    let good = body_of(r#"[{"box_2d": [0, 0, 500, 500], "label": "cat"}]"#);
    let failed = |body: String, words: &'static str| (body, "failed", words);
    for (body, status, words) in [
        (good.clone(), "ok", ""),
        (good.replace("-0.25", "NaN"), "ok", ""),
        (good.replace("-0.25", "-Infinity"), "ok", ""),
        (good.replace("-0.25", "null"), "ok", ""),
        failed(format!("{}{good}", " ".repeat(65 << 20)), "sends more than 64 MB"),
        failed(body_of(&"[".repeat(2 << 20)), "the answer has 2097152 bytes"),
        failed(r#"{"object": "chat.completion"}"#.to_owned(), "response of a known server"),
        failed(r#"{"choices": []}"#.to_owned(), "no choices"),
        failed(format!("{{\"choices\": {}", "[".repeat(100_000)), "no JSON"),
        failed("[1, 2]".to_owned(), "no JSON"),
        failed(format!("data: {good}\n\ndata: [DONE]\n\n"), "no JSON"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mock = Mock::start(Settings::of(Kind::Vllm));
        let images = images(dir.path(), 2);
        mock.fail([Fault::Raw(body.clone())]);
        let more = ["--concurrency", "1", "--decoding", "free"];
        detect(dir.path(), &mock, &images).args(more).assert().code(if status == "ok" {
            0
        } else {
            2
        });
        let shown: String = body.chars().take(100).collect();
        assert_eq!(mock.asked().len(), 2, "asked once about each image: {shown}");
        let records = journal(dir.path());
        // Either image may be asked about first.
        let is_hit = |record: &Value| {
            record["status"] == status
                && record["reason"].as_str().unwrap_or_default().contains(words)
                && record["detections"][0]["score"].is_number() == (body == good)
        };
        let hit = records.iter().position(is_hit);
        let other = &records[1 - hit.unwrap_or_else(|| panic!("{shown}: {records:?}"))];
        assert!(other["detections"][0]["score"].is_number(), "{shown}: {other}");
    }
}

#[test]
fn a_redirect_is_not_followed_with_key_and_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let (mock, other) =
        (Mock::start(Settings::of(Kind::Vllm)), Mock::start(Settings::of(Kind::Vllm)));
    let images = images(dir.path(), 1);
    let to: &'static str = Box::leak(format!("{}/v1?key=x", other.url).into_boxed_str());
    mock.always_fail(Fault::Status(307, vec![("Location", to)], json!({})));
    let ran =
        detect(dir.path(), &mock, &images).env("GEMSCOPE_SERVER_KEY", "s3cret").assert().code(1);
    assert!(stderr(&ran).contains(&format!("leads to {}/v1,", other.url)), "{}", stderr(&ran));
    assert!(other.all_asked().is_empty(), "nothing reaches the other host");
}

#[test]
fn a_server_that_asks_for_an_hour_stops_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let mock = Mock::start(Settings::of(Kind::Vllm));
    let images = images(dir.path(), 2);
    mock.always_fail(Fault::Status(
        429,
        vec![("Retry-After", "3600")],
        json!({"error": {"message": "quota"}}),
    ));
    let begun = Instant::now();
    let ran = detect(dir.path(), &mock, &images).assert().code(1);
    assert!(
        begun.elapsed() < Duration::from_secs(20) && stderr(&ran).contains("3600 s"),
        "{}",
        stderr(&ran)
    );
}

#[test]
fn a_server_that_goes_stops_the_run_and_one_that_comes_back_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let mock = Mock::start(Settings::of(Kind::Vllm));
    let images = images(dir.path(), 6);
    mock.fail([Fault::Late(0), Fault::Late(0), Fault::Late(60_000)]);
    let mut command = std::process::Command::new(crate::support::binary());
    command.args([
        "detect",
        "--labels",
        "cat",
        "--export",
        "jsonl",
        "--server-wait",
        "1",
        "--concurrency",
        "1",
    ]);
    command
        .args(["--sync-every", "0", "--server", &mock.url])
        .arg("--out")
        .arg(dir.path().join("run"))
        .arg(&images);
    let child = command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    let lines = || {
        fs::read_to_string(dir.path().join("run/journal.jsonl")).unwrap_or_default().lines().count()
    };
    while lines() < 2 {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(20));
    }
    mock.stop();
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains(".png: 127.0.0.1:"), "which server of this machine: {said}");
    assert!(said.contains(" cannot be reached"), "{said}");
    assert_eq!(lines(), 2);

    // The same model at another address is the same run, and what is done stays.
    let other = Mock::start(Settings::of(Kind::Vllm));
    detect(dir.path(), &other, &images).assert().success();
    assert_eq!(other.asked().len(), 4);
    assert_eq!(journal(dir.path()).len(), 6);
    let manifest = fs::read_to_string(dir.path().join("run/run.json")).unwrap();
    assert!(!manifest.contains(&mock.url) && !manifest.contains(&other.url), "{manifest}");
    // Another model is another run.
    let third = Mock::start(Settings {
        models: vec!["google/gemma-4-E4B-it".to_owned()],
        ..Settings::of(Kind::Vllm)
    });
    let ran = detect(dir.path(), &third, &images).assert().code(1);
    assert!(stderr(&ran).contains("E4B"), "{}", stderr(&ran));
}

#[test]
fn other_weights_under_the_same_name_are_another_run() {
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path(), 1);
    let mock = Mock::start(Settings::of(Kind::Ollama));
    detect(dir.path(), &mock, &images).assert().success();
    detect(dir.path(), &mock, &images).assert().success();
    mock.set(|settings| settings.digest = "sha256:bbbb");
    let ran = detect(dir.path(), &mock, &images).assert().code(1);
    assert!(stderr(&ran).contains("digest"), "{}", stderr(&ran));
}

#[test]
fn a_server_that_is_not_there_is_waited_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path(), 1);
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let begin = |wait: &str| {
        let mut command = gemscope();
        command.args(["detect", "--labels", "cat", "--server-wait", wait, "--server", &address]);
        command.arg("--out").arg(dir.path().join("run")).arg(&images);
        command
    };
    let ran = begin("0").assert().code(1);
    assert!(stderr(&ran).contains("cannot be reached"), "{}", stderr(&ran));
    // It starts while it is waited for.
    let late = address.clone();
    let starts = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(700));
        Mock::again(&late, Settings::of(Kind::Vllm))
    });
    let ran = begin("20").assert().success();
    assert!(stderr(&ran).contains("trying again for up to 20 s"), "{}", stderr(&ran));
    drop(starts.join().unwrap());
}

#[test]
fn keys_come_from_the_environment_and_stand_nowhere() {
    const KEY: &str = "sk-very-secret";
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path(), 1);
    let mock = Mock::start(Settings { key: Some(KEY), ..Settings::of(Kind::Vllm) });
    let log = dir.path().join("log.jsonl");
    let with = |key: Option<&str>| {
        let mut command = detect(dir.path(), &mock, &images);
        command.arg("-vvv").arg("--log").arg(&log);
        if let Some(key) = key {
            command.env("GEMSCOPE_SERVER_KEY", key);
        }
        command
    };
    let ran = with(None).assert().code(1);
    assert!(stderr(&ran).contains("wants a key"), "{}", stderr(&ran));
    mock.set(|settings| settings.repeats_key = true);
    let ran = with(Some("sk-wrong-secret")).assert().code(1);
    assert!(
        stderr(&ran).contains("refuses the key") && !stderr(&ran).contains("wrong-secret"),
        "{}",
        stderr(&ran)
    );
    let ran = with(Some(KEY)).assert().success();
    // A 400 that repeats it.
    mock.fail([Fault::Status(
        400,
        vec![],
        json!({"error": {"message": format!("bad request of {KEY}")}}),
    )]);
    fs::remove_dir_all(dir.path().join("run/")).unwrap();
    let failed = with(Some(KEY)).assert().code(2);
    for said in [stderr(&ran), stderr(&failed), fs::read_to_string(&log).unwrap()] {
        assert!(!said.contains("very-secret"), "{said}");
    }
    for entry in walkdir::WalkDir::new(dir.path().join("run"))
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
    {
        let bytes = fs::read(entry.path()).unwrap();
        assert!(
            !String::from_utf8_lossy(&bytes).contains("very-secret"),
            "{}",
            entry.path().display()
        );
    }
    // A password in the address is refused, and not repeated.
    let mut command = gemscope();
    command.args([
        "detect",
        "--labels",
        "cat",
        "--server",
        "http://me:hunter2@127.0.0.1:1",
        "--out",
    ]);
    let ran = command.arg(dir.path().join("other")).arg(&images).assert().code(1);
    assert!(!stderr(&ran).contains("hunter2"), "{}", stderr(&ran));
}

#[test]
fn a_model_is_named_if_there_are_several() {
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path(), 1);
    let models = vec!["gemma4:e2b".to_owned(), "gemma4:latest".to_owned()];
    let mock = Mock::start(Settings { models, ..Settings::of(Kind::Ollama) });
    let ran = detect(dir.path(), &mock, &images).assert().code(1);
    assert!(
        stderr(&ran).contains("gemma4:e2b, gemma4:latest")
            && stderr(&ran).contains("--server-model")
    );
    let ran =
        detect(dir.path(), &mock, &images).args(["--server-model", "gemma3"]).assert().code(1);
    assert!(stderr(&ran).contains("no model \"gemma3\""), "{}", stderr(&ran));
    detect(dir.path(), &mock, &images).args(["--server-model", "gemma4"]).assert().success();
    assert_eq!(mock.asked()[0].body["model"], "gemma4:latest");
    let blind = Mock::start(Settings { vision: false, ..Settings::of(Kind::Llama) });
    let ran = detect(dir.path(), &blind, &images).assert().code(1);
    assert!(stderr(&ran).contains("--mmproj"), "{}", stderr(&ran));
}

#[test]
fn a_slow_answer_fails_its_image_alone() {
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path(), 4);
    let mock = Mock::start(Settings::of(Kind::Vllm));
    mock.fail([Fault::Late(20_000)]);
    let begun = Instant::now();
    let mut command = detect(dir.path(), &mock, &images);
    command.args(["--answer-timeout", "1", "--concurrency", "1"]).assert().code(2);
    assert!(begun.elapsed() < Duration::from_secs(15), "the others do not wait for it");
    let records = journal(dir.path());
    let failed: Vec<&Value> =
        records.iter().filter(|record| record["status"] == "failed").collect();
    assert_eq!((records.len(), failed.len()), (4, 1));
    assert_eq!(failed[0]["reason"], "no answer within 1 s");
}

#[test]
fn odd_answers_have_their_statuses() {
    let answer = |answer: &str, finish, thought| Settings {
        answer: answer.to_owned(),
        finish,
        thought,
        ..Settings::of(Kind::Vllm)
    };
    let (record, ..) = one(answer("", "stop", None), &[]);
    assert_eq!(record["status"], "refused", "{record}");
    let (record, ..) = one(answer("[]", "stop", None), &[]);
    assert_eq!(record["status"], "empty");
    let cut = r#"[{"box_2d": [0, 0, 500, 500], "label": "cat"}, {"box_2d": [1, 2"#;
    let (record, ..) = one(answer(cut, "length", None), &[]);
    assert_eq!(
        (&record["status"], record["detections"].as_array().unwrap().len()),
        (&json!("truncated"), 1)
    );
    // Cut off within the thought: nothing was answered yet.
    let (record, ..) = one(answer("", "length", Some("first I look")), &["--decoding", "free"]);
    assert_eq!(record["status"], "truncated", "{record}");
    assert_eq!(record["answers"][0]["text"], "<|channel>thought\nfirst I look");
}

#[test]
fn offline_leaves_servers_of_this_machine_alone() {
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path(), 1);
    let mock = Mock::start(Settings::of(Kind::Vllm));
    detect(dir.path(), &mock, &images).arg("--offline").assert().success();
    let mut command = gemscope();
    command.args([
        "--offline",
        "detect",
        "--labels",
        "cat",
        "--server",
        "http://example.org",
        "--out",
    ]);
    let ran = command.arg(dir.path().join("other")).arg(&images).assert().code(1);
    assert!(stderr(&ran).contains("going on the network is forbidden"), "{}", stderr(&ran));
    for flag in [&["--model", "demo"][..], &["--device", "cpu"], &["--dtype", "q4"]] {
        detect(dir.path(), &mock, &images).args(flag).assert().code(1);
    }
}

#[test]
fn the_run_keeps_how_it_was_asked_and_what_the_server_is() {
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path(), 1);
    let mock = Mock::start(Settings::of(Kind::Llama));
    detect(dir.path(), &mock, &images).assert().success();
    let run = read_json(dir.path().join("run/run.json"));
    let expected = json!({
        "kind": "llama", "budget_per_request": false, "constraint": "grammar",
            "probabilities": true, "pictures": "png",
    });
    assert_eq!(run["settings"]["server"], expected);
    assert_eq!(run["settings"]["model"]["files"]["server model"], "gemma-4-E2B-it-Q4_K_M.gguf");
    assert_eq!(run["settings"]["model"]["files"]["n_params"], "4600000000");
    assert_eq!(
        (&run["server"]["version"], &run["server"]["fingerprint"]),
        (&json!("b10488-abc"), &json!("b10488-abc"))
    );
    assert_eq!(
        (&run["server"]["soft_tokens_planned"], &run["server"]["soft_tokens_seen"]),
        (&json!(256), &json!(256))
    );
    // A server that is asked in another way is another run.
    let mock = Mock::start(Settings { takes_grammar: false, ..Settings::of(Kind::Llama) });
    let ran = detect(dir.path(), &mock, &images).assert().code(1);
    assert!(stderr(&ran).contains("server.constraint"), "{}", stderr(&ran));
}

#[test]
fn doctor_says_what_a_server_is_and_cannot_do() {
    let doctor = |settings: Settings| {
        let mock = Mock::start(settings);
        let mut command = gemscope();
        command.env_remove("OPENAI_API_KEY").env_remove("GEMSCOPE_SERVER_KEY");
        let ran = command.args(["doctor", "--server", &mock.url, "--json"]).assert();
        let code = ran.get_output().status.code();
        (code, serde_json::from_slice::<Value>(&ran.get_output().stdout).unwrap())
    };
    // The circle lies at 120..260 x 140..280 of 384 pixels.
    let found = r#"[{"box_2d": [365, 312, 729, 677], "label": "red circle"}]"#.to_owned();
    let (code, said) = doctor(Settings { answer: found.clone(), ..Settings::of(Kind::Vllm) });
    assert_eq!((code, &said["ok"]), (Some(0), &json!(true)), "{said}");
    assert_eq!((&said["kind"], &said["version"]), (&json!("vllm"), &json!("0.33.0")));
    assert_eq!(said["constraint"], "grammar");
    let limits = said["limits"].as_array().unwrap();
    assert!(
        limits.len() == 1 && limits[0].as_str().unwrap().contains("takes probabilities after it"),
        "{said}"
    );
    assert_eq!(
        (&said["soft_tokens_planned"], &said["soft_tokens_seen"]),
        (&json!(256), &json!(256))
    );
    let (_, said) =
        doctor(Settings { trusts: false, answer: found.clone(), ..Settings::of(Kind::Vllm) });
    assert_eq!(said["budget_per_request"], false);
    assert!(said["limits"][0].as_str().unwrap().contains("--trust-request-mm-kwargs"), "{said}");
    let (_, said) = doctor(Settings { answer: found, ..Settings::of(Kind::LmStudio) });
    assert_eq!((&said["probabilities"], &said["score"]), (&json!(false), &Value::Null));
    let (code, said) = doctor(Settings::of(Kind::Ollama));
    assert_eq!((code, &said["ok"]), (Some(1), &json!(false)), "an answer of something else");
    assert_eq!(said["not_found_at"].as_array().unwrap().len(), 3, "every budget was tried: {said}");
}

#[test]
fn doctor_says_at_which_budget_a_model_works() {
    let answer = r#"[{"box_2d": [365, 312, 729, 677], "label": "red circle"}]"#.to_owned();
    let mock = Mock::start(Settings { sees_at_most: 70, answer, ..Settings::of(Kind::Vllm) });
    let doctor = |more: &[&str]| {
        let mut command = gemscope();
        command.env_remove("OPENAI_API_KEY").env_remove("GEMSCOPE_SERVER_KEY");
        let ran = command.args(["doctor", "--server", &mock.url]).args(more).assert().code(0);
        String::from_utf8(ran.get_output().stdout.clone()).unwrap()
    };
    let said: Value = serde_json::from_str(&doctor(&["--json"])).unwrap();
    assert_eq!((&said["ok"], &said["budget"]), (&json!(true), &json!(70)), "{said}");
    assert_eq!(said["soft_tokens_planned"], 64, "the figures are of that picture: {said}");
    let budgets = said["not_found_at"]
        .as_array()
        .unwrap()
        .iter()
        .map(|other| other["budget"].as_u64().unwrap());
    assert_eq!(budgets.collect::<Vec<_>>(), [280, 140]);
    assert!(doctor(&[]).contains("Ask it with --budget 70"), "{}", doctor(&[]));
}

#[test]
fn soft_tokens_that_a_server_does_not_tell_are_not_known() {
    let (record, _, said) = one(Settings { wants_pictures: true, ..Settings::of(Kind::Vllm) }, &[]);
    assert!(said.contains("how many soft tokens a picture becomes is not known"), "{said}");
    let tokens = &record["answers"][0]["tokens"];
    assert!(tokens["soft_tokens"].is_null() && tokens["prompt"].is_u64(), "{tokens}");
}
