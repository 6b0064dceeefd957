//! The server for annotation tools: its protocols, its bounds, and what is left when it ends.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{binary, fixture, gemscope, images, json_lines};

pub(crate) const BOX: &str = r#"[{"box_2d": [0, 0, 500, 500], "label": "cat"}]"#;

/// A server that is ended with the test.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: String,
}

impl Server {
    /// One over a script, with its journal in `dir`.
    pub(crate) fn scripted(dir: &Path, script: &Value, flags: &[&str]) -> Self {
        let file = dir.join("script.json");
        fs::write(&file, script.to_string()).unwrap();
        let model = format!("script:{}", file.display());
        Self::begin(dir, &[&["--model", &model], flags].concat(), &[])
    }

    /// One with the demo model, or the one that `flags` name; with these variables.
    pub(crate) fn begin(dir: &Path, flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(binary());
        command.args(["serve", "--listen", "0", "--out"]).arg(dir.join("served")).args(flags);
        for name in ["GEMSCOPE_MODEL", "LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"] {
            command.env_remove(name);
        }
        command.env("GEMSCOPE_DEVICE", "cpu").envs(variables.iter().copied());
        Self::of(command)
    }

    /// One that shows the contact sheet of a run.
    pub(crate) fn showing(run: &Path) -> Self {
        let mut command = Command::new(binary());
        command.args(["serve", "--listen", "0", "--sheet"]).arg(run);
        Self::of(command)
    }

    fn of(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().trim_end_matches('/').strip_prefix("http://");
        let address = address.unwrap_or_default().to_owned();
        assert!(!address.is_empty(), "the server does not begin: {:?}", child.wait());
        Self { child, address }
    }

    /// The status and the body of a response.
    pub(crate) fn ask(&self, head: &str, body: &[u8]) -> (u16, Value) {
        asked(&self.address, head, body)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json");
        self.ask(&head, body.to_string().as_bytes())
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost"), b"")
    }

    /// Ends it as Ctrl-C does, and gives its exit code and how long that took.
    #[cfg(unix)]
    pub(crate) fn interrupt(mut self) -> (Option<i32>, Duration) {
        let begun = Instant::now();
        Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        let code = self.child.wait().unwrap().code();
        (code, begun.elapsed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn asked(address: &str, head: &str, body: &[u8]) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("{head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    // A server that refuses a body closes while it is sent.
    let _ = stream.write_all(body);
    response(stream)
}

/// The status and the body of the response that comes next.
pub(crate) fn response(mut stream: TcpStream) -> (u16, Value) {
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_default(), serde_json::from_str(body).unwrap_or_default())
}

pub(crate) fn journal(dir: &Path) -> Vec<Value> {
    json_lines(fs::read_to_string(dir.join("served/journal.jsonl")).unwrap_or_default())
}

pub(crate) fn scene() -> PathBuf {
    fixture("shapes/scene-01.png")
}

fn data_url(path: &Path) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(fs::read(path).unwrap()))
}

pub(crate) fn usual() -> Value {
    json!({"answers": [{"text": BOX, "probability": 0.9}]})
}

#[test]
fn one_question_is_asked_once_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = fs::read(scene()).unwrap();
    let of = |labels: &str| format!("POST /v1/detect?labels={labels} HTTP/1.1\r\nHost: localhost");
    let first = {
        let server = Server::scripted(dir.path(), &usual(), &[]);
        let (status, first) = server.ask(&of("cat"), &bytes);
        assert_eq!((status, &first["status"]), (200, &json!("ok")), "{first}");
        let (width, height) = (first["width"].as_f64().unwrap(), first["height"].as_f64().unwrap());
        let found = &first["detections"][0];
        assert_eq!(found["label"], "cat");
        assert_eq!(found["bbox"], json!([0.0, 0.0, width / 2.0, height / 2.0]));
        // The same as JSON, and another question.
        let image = STANDARD.encode(&bytes);
        let again = server.post("/v1/detect", &json!({"image": image, "labels": ["cat"]}));
        assert_eq!(again, (200, first.clone()));
        assert_eq!(server.ask(&of("cat,dog"), &bytes).0, 200);
        assert_eq!(journal(dir.path()).len(), 2);
        first
    };
    // Killed, and begun again with other answers.
    let server = Server::scripted(dir.path(), &json!({"answers": [{"text": "[]"}]}), &[]);
    assert_eq!(server.get("/health").1["known"], 2);
    assert_eq!(server.ask(&of("cat"), &bytes), (200, first));
    assert_eq!(server.ask(&of("bird"), &bytes).1["detections"], json!([]));
    assert_eq!(journal(dir.path()).len(), 3);
    drop(server);
    // The journal is a run.
    let out = dir.path().join("coco");
    let export = gemscope()
        .args(["export"])
        .arg(dir.path().join("served"))
        .args(["--to", "coco", "--out"])
        .arg(&out)
        .output()
        .unwrap();
    assert!(export.status.success(), "{}", String::from_utf8_lossy(&export.stderr));
    let names: Value = crate::support::json(out.join("instances.json"));
    let names: Vec<&Value> =
        names["categories"].as_array().unwrap().iter().map(|category| &category["name"]).collect();
    assert_eq!(names, ["cat", "dog", "bird"]);
}

#[test]
fn a_web_page_and_a_stranger_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::scripted(dir.path(), &usual(), &["--token", "sixteen letters!"]);
    let status = |headers: &str| server.ask(&format!("GET /health HTTP/1.1\r\n{headers}"), b"").0;
    let token = "Token: sixteen letters!";
    assert_eq!(status(&format!("Host: localhost:1\r\n{token}")), 200);
    assert_eq!(status("Host: localhost:1"), 401);
    assert_eq!(status(&format!("Host: evil.example\r\n{token}")), 403);
    assert_eq!(status(&format!("Host: localhost\r\nOrigin: https://evil.example\r\n{token}")), 403);
    for (flags, says) in [
        (vec!["--listen", "0.0.0.0:0"], "needs a token"),
        (vec!["--listen", "0", "--token", "short"], "shorter than 16"),
        (vec!["--listen", "nowhere"], "neither a port nor an address"),
        (vec!["--listen", "0", "--label-studio-url", "ls.example:8080"], "http:// or https://"),
        (vec!["--listen", "0", "--fetch-from", "10.0.0.5"], "http:// or https://"),
    ] {
        let output = gemscope()
            .args(["serve", "--model"])
            .arg(format!("script:{}", dir.path().join("script.json").display()))
            .arg("--out")
            .arg(dir.path().join("other"))
            .args(&flags)
            .timeout(Duration::from_mins(1))
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains(says), "{flags:?}: {stderr}");
    }
}

#[test]
fn what_makes_no_sense_is_answered_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--max-body", "1", "--max-pixels", "200000"];
    let server = Server::scripted(dir.path(), &usual(), &flags);
    let detect = |query: &str, body: &[u8]| {
        server.ask(&format!("POST /v1/detect{query} HTTP/1.1\r\nHost: localhost"), body)
    };
    let scene = fs::read(scene()).unwrap();
    for (answer, status, says) in [
        (detect("", &scene), 400, "nothing is asked"),
        (detect("?labels=cat", b"no image"), 422, "not a JPEG"),
        (detect("?labels=cat", b""), 400, "no image"),
        (detect("?lables=cat", &scene), 400, "lables"),
        (detect("?labels=cat&min_score=7", &scene), 400, "from 0 to 1"),
        (detect("?labels=cat&name=../x.png", &scene), 400, "no name"),
        (detect("?labels=a%1Bb", &scene), 400, "control characters"),
        (detect(&format!("?phrase={}", "x".repeat(2000)), &scene), 400, "longer than 1024"),
        (server.post("/v1/detect", &json!({"prompt": "x".repeat(70_000)})), 400, "64 kB"),
        (server.post("/v1/detect", &json!({"labels": vec!["a"; 40_000]})), 400, "64 kB"),
        (server.post("/predict", &predict(&json!(vec![json!({}); 10_001]))), 400, "10000 tasks"),
        (detect("?labels=cat", &vec![0; 2 << 20]), 413, "1 MB"),
        (server.post("/v1/detect", &json!({"labels": "cat", "path": "a.png"})), 400, "folder"),
        (server.post("/v1/detect", &json!({"labels": "cat", "image": "%%"})), 400, "Base64"),
        (server.post("/v1/detect", &json!([1])), 400, ""),
        (server.get("/v1/detect"), 405, "not asked by GET"),
        (server.get("/favicon.ico"), 404, "there is no"),
        (
            server.post("/predict", &json!({"tasks": [], "label_config": "<View/>"})),
            400,
            "Rectangle",
        ),
    ] {
        let (given, body) = answer;
        let error = body["error"].as_str().unwrap_or_default();
        assert_eq!(given, status, "{error}");
        assert!(error.contains(says), "{error}");
    }
    let mut large = Vec::new();
    let pixels = image::RgbImage::new(500, 500);
    pixels.write_to(&mut std::io::Cursor::new(&mut large), image::ImageFormat::Png).unwrap();
    let (status, body) = detect("?labels=cat", &large);
    assert_eq!(status, 413, "{body}");
    assert!(journal(dir.path()).is_empty(), "nothing was asked");
    assert_eq!(detect("?labels=cat", &scene).0, 200, "and it goes on");
}

#[test]
fn x_anylabeling_gets_rectangles_of_four_corners() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::scripted(dir.path(), &usual(), &[]);
    let (_, models) = server.get("/v1/models");
    let model = &models["data"]["gemscope"];
    assert_eq!(model["batch_processing_mode"], "text_prompt");
    assert_eq!(model["available_tasks"][0]["id"], "detection");
    let params = json!({"conf_threshold": 0.0, "iou_threshold": 0.0, "epsilon_factor": 0.001,
        "text_prompt": "cat.dog", "current_task": "detection"});
    let body = json!({"model": "gemscope", "image": data_url(&scene()), "params": params});
    let (status, answer) = server.post("/v1/predict", &body);
    assert_eq!((status, &answer["success"]), (200, &json!(true)), "{answer}");
    let shape = &answer["data"]["shapes"][0];
    assert_eq!((&shape["label"], &shape["shape_type"]), (&json!("cat"), &json!("rectangle")));
    assert_eq!(shape["points"], json!([[0.0, 0.0], [192.0, 0.0], [192.0, 192.0], [0.0, 192.0]]));
    assert!(shape["score"].as_f64().is_some_and(|score| (0.5..=1.0).contains(&score)));
    // A threshold asks nothing of the model.
    let mut strict = body.clone();
    strict["params"]["conf_threshold"] = json!(1.0);
    assert_eq!(server.post("/v1/predict", &strict).1["data"]["shapes"], json!([]));
    assert_eq!(journal(dir.path()).len(), 1);
    // An error, as the protocol has it.
    let mut none = body;
    none["params"]["text_prompt"] = json!("");
    let (status, answer) = server.post("/v1/predict", &none);
    assert_eq!((status, &answer["success"]), (200, &json!(false)));
    assert!(answer["error"]["message"].as_str().unwrap().contains("nothing is asked"), "{answer}");
    assert_eq!(answer["data"]["replace"], false, "no boxes are taken away");
}

const PROJECT: &str = r#"<View><Image name="pic" value="$photo"/><RectangleLabels name="boxes"
    toName="pic"><Label value="Cat"/><Label value="Dog"/></RectangleLabels></View>"#;

pub(crate) fn predict(tasks: &Value) -> Value {
    json!({"tasks": tasks, "project": "1.17", "label_config": PROJECT,
        "params": {"login": null, "password": null, "context": null}})
}

#[test]
fn label_studio_gets_predictions_with_the_names_of_its_project() {
    let dir = tempfile::tempdir().unwrap();
    let folder = images(dir.path(), 3);
    let flags = ["--images", folder.to_str().unwrap()];
    let server = Server::scripted(dir.path(), &usual(), &flags);
    assert_eq!(server.get("/health").1["status"], "UP");
    let setup = json!({"project": "1.17", "schema": PROJECT, "hostname": "http://localhost:8080",
        "access_token": "abc", "extra_params": null});
    let (status, answer) = server.post("/setup", &setup);
    assert_eq!(status, 200);
    let version = answer["model_version"].as_str().unwrap().to_owned();
    assert!(version.starts_with("gemscope "), "{version}");
    let tasks = json!([
        {"id": 1, "data": {"photo": "/data/local-files/?d=00.png"}},
        {"id": 2, "data": {"photo": "/data/local-files/?d=../script.json"}},
        {"id": 3, "data": {"photo": data_url(&scene())}},
        {"id": 4, "data": {"other": 1}},
    ]);
    let (status, answer) = server.post("/predict", &predict(&tasks));
    assert_eq!(status, 200, "{answer}");
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 4);
    assert_eq!((&results[1], &results[3]), (&json!([]), &json!([])), "passed over");
    for result in [&results[0], &results[2]] {
        assert_eq!(result["model_version"], version);
        let region = &result["result"][0];
        assert_eq!((&region["from_name"], &region["to_name"]), (&json!("boxes"), &json!("pic")));
        assert_eq!(region["value"]["rectanglelabels"], json!(["Cat"]), "as the project has it");
        assert_eq!(region["value"]["width"], 50.0);
    }
    assert_eq!(results[0]["result"][0]["original_width"], 96);
    let names: Vec<Value> =
        journal(dir.path()).into_iter().map(|record| record["image"].clone()).collect();
    assert!(names.contains(&json!("00.png")), "{names:?}");
    // If nothing can be answered, it is told why.
    let (status, answer) = server.post("/predict", &predict(&json!([tasks[3]])));
    assert_eq!(status, 400);
    assert!(answer["error"].as_str().unwrap().contains("photo"), "{answer}");
}

/// It sends a hundred tasks and waits: what is done in time is sent, and the next request goes on.
#[test]
fn label_studio_gets_what_is_done_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let folder = images(dir.path(), 60);
    let flags = ["--images", folder.to_str().unwrap(), "--answer-within", "2", "--queue", "4"];
    let script = json!({"rows": 8, "answers": [{"text": BOX, "after_ms": 150}]});
    let server = Server::scripted(dir.path(), &script, &flags);
    let task = |index: usize| json!({"id": index, "data": {"photo": format!("/data/local-files/?d={index:02}.png")}});
    let tasks: Vec<Value> = (0..60).map(task).collect();
    // On a machine that is busy, nothing may be done in time at first.
    let answered = |answer: &Value| {
        if answer["error"].as_str().is_some_and(|error| error.contains("no answer in time")) {
            return 0;
        }
        let results = answer["results"].as_array().unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(results.len(), 60);
        results.iter().filter(|result| result.is_object()).count()
    };
    let begun = Instant::now();
    let first = answered(&server.post("/predict", &predict(&json!(tasks))).1);
    assert!(first < 60, "{first} of 60");
    assert!(begun.elapsed() < Duration::from_secs(8));
    let mut done = first;
    for _ in 0..20 {
        if done == 60 {
            break;
        }
        done = answered(&server.post("/predict", &predict(&json!(tasks))).1);
    }
    assert_eq!(done, 60);
    assert_eq!(journal(dir.path()).len(), 60, "each was asked about once");
}

/// Each gets a record or a 503; each record is in the journal, once; the memory is bounded.
#[cfg(unix)]
#[test]
fn two_hundred_at_once_are_answered_or_told_to_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let folder = images(dir.path(), 100);
    let script = json!({"rows": 8, "answers": [{"text": BOX, "after_ms": 20}]});
    let server = Server::scripted(dir.path(), &script, &["--queue", "16"]);
    let address = &server.address;
    let folder = &folder;
    let answers: Vec<(usize, u16, Value)> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..200)
            .map(|index| {
                scope.spawn(move || {
                    // Each image twice.
                    let bytes = fs::read(folder.join(format!("{:02}.png", index / 2))).unwrap();
                    let head = format!(
                        "POST /v1/detect?labels=cat&name={:02}.png HTTP/1.1\r\nHost: localhost",
                        index / 2
                    );
                    let (status, answer) = asked(address, &head, &bytes);
                    (index / 2, status, answer)
                })
            })
            .collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    let count = |status: u16| answers.iter().filter(|answer| answer.1 == status).count();
    assert_eq!(count(200) + count(503), 200, "{answers:?}");
    assert!(count(200) > 0);
    let mut names: Vec<String> = journal(dir.path())
        .iter()
        .map(|record| record["image"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all, "an image was asked about twice");
    for (image, status, answer) in &answers {
        let is_there = names.contains(&format!("{image:02}.png"));
        assert!(*status != 200 || is_there, "{answer}");
    }
    let peak = fs::read_to_string(format!("/proc/{}/status", server.child.id()));
    if let Ok(peak) = peak {
        let peak = peak.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kilobytes: u64 = peak.split_whitespace().next().unwrap().parse().unwrap();
        assert!(kilobytes < 600_000, "{kilobytes} kB");
    }
}

#[cfg(unix)]
#[test]
fn it_ends_within_two_seconds_and_its_journal_is_whole() {
    for does in ["wait", "hang"] {
        let dir = tempfile::tempdir().unwrap();
        let folder = images(dir.path(), 4);
        let script = json!({"answers": [{"image": "00.png", "text": BOX},
            {"text": BOX, "does": does}]});
        let server = Server::scripted(dir.path(), &script, &["--labels", "cat"]);
        let ask = |name: &str| {
            let bytes = fs::read(folder.join(name)).unwrap();
            let head = format!("POST /v1/detect?name={name} HTTP/1.1\r\nHost: localhost");
            asked(&server.address, &head, &bytes)
        };
        assert_eq!(ask("00.png").0, 200, "the question of the command");
        let (address, folder) = (server.address.clone(), folder.clone());
        let waits = std::thread::spawn(move || {
            let bytes = fs::read(folder.join("01.png")).unwrap();
            let head = "POST /v1/detect?name=01.png HTTP/1.1\r\nHost: localhost";
            asked(&address, head, &bytes)
        });
        std::thread::sleep(Duration::from_millis(400));
        let (code, took) = server.interrupt();
        assert_eq!(code, Some(0));
        assert!(took < Duration::from_secs(2), "{took:?}");
        assert_eq!(waits.join().unwrap().0, 503, "who waits is told");
        let text = fs::read_to_string(dir.path().join("served/journal.jsonl")).unwrap();
        assert!(text.ends_with('\n') && json_lines(&text).len() == 1);
    }
}

/// The demo model answers as a run of the command does.
#[test]
fn a_model_answers_as_in_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--images", fixture("shapes").to_str().unwrap().to_owned().leak()];
    let server = Server::begin(dir.path(), &flags, &[]);
    let out = dir.path().join("run");
    gemscope()
        .args(["detect", "--labels", "star,red circle", "--export", "jsonl", "--out"])
        .arg(&out)
        .arg(fixture("shapes"))
        .assert()
        .success();
    let lines = json_lines(fs::read_to_string(out.join("detections.jsonl")).unwrap());
    for line in lines.iter().take(4) {
        let body = json!({"path": line["image"], "labels": ["star", "red circle"]});
        assert_eq!(server.post("/v1/detect", &body), (200, line.clone()));
    }
    let (status, answer) =
        server.post("/v1/detect", &json!({"path": "scene-01.png", "labels": "giraffe"}));
    assert_eq!(status, 400, "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("needs a model"), "{answer}");
}
