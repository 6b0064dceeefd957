//! The bounds of the server for annotation tools: what one client takes does not keep others
//! waiting, and nothing outlives it.

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::serve::{BOX, Server, asked, journal, predict, response, scene, usual};
use crate::support::{gemscope, images};

/// A host that takes connections and never answers: its address, and how many came.
fn silent_host() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let came = Arc::clone(&count);
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            came.fetch_add(1, Ordering::SeqCst);
            open.push(stream);
        }
    });
    (address, count)
}

/// Pixels that no format makes smaller: a PNG of about `side` × `side` × 3 bytes.
fn noise(file: &Path, side: u32, seed: u32) {
    let mut state = seed.wrapping_mul(2_654_435_761).max(1);
    let image = image::RgbImage::from_fn(side, side, |_, _| {
        image::Rgb([0; 3].map(|_: u8| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[0]
        }))
    });
    image.save(file).unwrap();
}

#[test]
fn a_slow_host_of_images_keeps_others_from_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (host, came) = silent_host();
    let flags = ["--fetch-from", &host, "--answer-within", "8"];
    let server = Server::scripted(dir.path(), &usual(), &flags);
    let task =
        |index: usize| json!({"id": index, "data": {"photo": format!("{host}/{index}.png")}});
    let tasks: Vec<Value> = (0..24).map(task).collect();
    let (address, body) = (server.address.clone(), predict(&json!(tasks)).to_string());
    let slow = std::thread::spawn(move || {
        let head = "POST /predict HTTP/1.1\r\nHost: localhost";
        asked(&address, head, body.as_bytes())
    });
    let until = Instant::now() + Duration::from_secs(20);
    while came.load(Ordering::SeqCst) == 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(500));
    let begun = Instant::now();
    let head = "POST /v1/detect?labels=cat HTTP/1.1\r\nHost: localhost";
    assert_eq!(server.ask(head, &fs::read(scene()).unwrap()).0, 200);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!((1..=4).contains(&came.load(Ordering::SeqCst)), "{came:?} fetches at the same time");
    let (status, answer) = slow.join().unwrap();
    assert_eq!(status, 504, "{answer}");
}

/// A request may name any address; one of this machine is asked only if the user named it.
#[test]
fn a_private_address_is_not_fetched_from() {
    let dir = tempfile::tempdir().unwrap();
    let (host, came) = silent_host();
    let server = Server::scripted(dir.path(), &usual(), &["--fetch-urls"]);
    let port = host.rsplit(':').next().unwrap();
    for name in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"] {
        let tasks = json!([{"id": 1, "data": {"photo": format!("http://{name}:{port}/a.png")}}]);
        let (status, answer) = server.post("/predict", &predict(&tasks));
        assert_eq!(status, 400, "{name}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains("not public"), "{answer}");
    }
    assert_eq!(came.load(Ordering::SeqCst), 0, "nothing was asked of it");
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// A request whose body has no length; its first chunk is sent.
fn chunked(address: &str, path: &str, first: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\
         Content-Type: application/json\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&chunk(first)).unwrap();
    stream
}

/// A body takes the memory that it needs, not that of the largest.
#[test]
fn bodies_without_a_length_do_not_wait_for_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let folder = images(dir.path(), 8);
    let flags = ["--images", folder.to_str().unwrap(), "--answer-within", "20"];
    let server = Server::scripted(dir.path(), &usual(), &flags);
    let mut open: Vec<(TcpStream, String)> = (0..8)
        .map(|index| {
            let photo = format!("/data/local-files/?d={index:02}.png");
            let body = predict(&json!([{"id": index, "data": {"photo": photo}}])).to_string();
            let (first, rest) = body.split_at(10);
            (chunked(&server.address, "/predict", first.as_bytes()), rest.to_owned())
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    let head = "POST /v1/detect?labels=cat HTTP/1.1\r\nHost: localhost";
    assert_eq!(server.ask(head, &fs::read(scene()).unwrap()).0, 200, "beside eight open bodies");
    let begun = Instant::now();
    for (stream, rest) in &mut open {
        stream.write_all(&chunk(rest.as_bytes())).unwrap();
        stream.write_all(b"0\r\n\r\n").unwrap();
    }
    for (stream, _) in open {
        let (status, answer) = response(stream);
        assert_eq!(status, 200, "{answer}");
        assert!(answer["results"][0].is_object(), "{answer}");
    }
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    // One that never ends is refused at its limit.
    let small = tempfile::tempdir().unwrap();
    let server = Server::scripted(small.path(), &usual(), &["--max-body", "1"]);
    let mut endless = chunked(&server.address, "/v1/detect", b"{");
    let blanks = chunk(&vec![b' '; 64 << 10]);
    while endless.write_all(&blanks).is_ok() {}
    assert_eq!(server.get("/health").0, 200);
}

/// They are counted as bodies are: a few of the largest, and then it is full.
#[test]
fn files_that_are_named_take_a_bounded_memory() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("large");
    fs::create_dir(&folder).unwrap();
    for index in 0..8 {
        noise(&folder.join(format!("{index}.png")), 560, index + 1);
    }
    let script = json!({"rows": 1, "answers": [{"text": BOX, "after_ms": 1500}]});
    let flags = ["--max-body", "1", "--images", folder.to_str().unwrap()];
    let server = Server::scripted(dir.path(), &script, &flags);
    let ask = |index: usize| {
        let body = json!({"path": format!("{index}.png"), "labels": "cat"});
        server.post("/v1/detect", &body)
    };
    let answers: Vec<(u16, Value)> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..8).map(|index| scope.spawn(move || ask(index))).collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    let count = |status: u16| answers.iter().filter(|answer| answer.0 == status).count();
    assert_eq!((count(200), count(503)), (4, 4), "{answers:?}");
    for index in 0..8 {
        assert_eq!(ask(index).0, 200, "there is room again");
    }
}

/// Exports have a line a name.
#[test]
fn two_images_under_one_name_are_both_kept() {
    let dir = tempfile::tempdir().unwrap();
    let folder = images(dir.path(), 3);
    let read = |index: usize| fs::read(folder.join(format!("{index:02}.png"))).unwrap();
    let head = "POST /v1/detect?labels=cat&name=a/photo.png HTTP/1.1\r\nHost: localhost";
    let names = {
        let server = Server::scripted(dir.path(), &usual(), &[]);
        let name = |index: usize| {
            let (status, answer) = server.ask(head, &read(index));
            assert_eq!(status, 200, "{answer}");
            answer["image"].as_str().unwrap().to_owned()
        };
        let names = [name(0), name(1)];
        assert_eq!(names[0], "a/photo.png");
        let added = names[1].strip_prefix("a/photo-").and_then(|name| name.strip_suffix(".png"));
        assert!(added.is_some(), "{names:?}");
        // Asked again, each has its name.
        assert_eq!([name(0), name(1)], names);
        names
    };
    let server = Server::scripted(dir.path(), &usual(), &[]);
    assert_eq!(server.ask(head, &read(1)).1["image"], names[1], "also after a restart");
    let third = server.ask(head, &read(2)).1["image"].as_str().unwrap().to_owned();
    assert!(!names.contains(&third), "{third}");
    assert_eq!(journal(dir.path()).len(), 3);
    drop(server);
    let out = dir.path().join("out");
    gemscope()
        .args(["export"])
        .arg(dir.path().join("served"))
        .args(["--to", "jsonl", "--out"])
        .arg(&out)
        .assert()
        .success();
    let lines = fs::read_to_string(out.join("detections.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 3);
}

/// A file that has changed is not another image of its name.
#[test]
fn a_file_that_changed_takes_the_place_of_its_older_content() {
    let dir = tempfile::tempdir().unwrap();
    let folder = images(dir.path(), 2);
    let flags = ["--images", folder.to_str().unwrap()];
    let server = Server::scripted(dir.path(), &usual(), &flags);
    let ask = || server.post("/v1/detect", &json!({"path": "00.png", "labels": "cat"}));
    assert_eq!(ask().1["image"], "00.png");
    fs::copy(folder.join("01.png"), folder.join("00.png")).unwrap();
    assert_eq!(ask().1["image"], "00.png");
    assert_eq!(journal(dir.path()).len(), 2);
}

/// Both have a line in exports, whichever came first.
#[test]
fn a_file_takes_no_line_of_an_image_that_was_sent() {
    let dir = tempfile::tempdir().unwrap();
    let folder = images(dir.path(), 2);
    let flags = ["--images", folder.to_str().unwrap()];
    let head = "POST /v1/detect?labels=cat&name=00.png HTTP/1.1\r\nHost: localhost";
    let sent = fs::read(folder.join("01.png")).unwrap();
    let of_file = |server: &Server| {
        let (status, answer) =
            server.post("/v1/detect", &json!({"path": "00.png", "labels": "cat"}));
        assert_eq!(status, 200, "{answer}");
        answer["image"].as_str().unwrap().to_owned()
    };
    {
        let server = Server::scripted(dir.path(), &usual(), &flags);
        assert_eq!(server.ask(head, &sent).1["image"], "00.png");
    }
    // Also after a restart.
    let server = Server::scripted(dir.path(), &usual(), &flags);
    let name = of_file(&server);
    assert!(name.starts_with("00-"), "{name}");
    assert_eq!(of_file(&server), name);
    assert_eq!(server.ask(head, &sent).1["image"], "00.png");
    let names: Vec<Value> =
        journal(dir.path()).into_iter().map(|line| line["image"].clone()).collect();
    assert_eq!(names, [json!("00.png"), json!(name)]);
}

/// An ffmpeg that says its version, and its id when it is to read something, and then nothing.
#[cfg(unix)]
fn hanging_ffmpeg(dir: &Path) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt as _;

    let program = dir.join("ffmpeg");
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = -version ]; then echo 'ffmpeg version 7.1 x'; exit; fi\n\
         echo $$ > {0}.tmp; mv {0}.tmp {0}\nexec sleep 600\n",
        dir.join("id").display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

#[cfg(unix)]
fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(unix)]
fn runs(id: &str) -> bool {
    let state = std::process::Command::new("ps").args(["-o", "stat=", "-p", id]).output().unwrap();
    let state = String::from_utf8(state.stdout).unwrap();
    !state.trim().is_empty() && !state.trim().starts_with('Z')
}

/// Neither the ffmpeg that decodes a still nor its temporary file outlives the command.
#[cfg(unix)]
#[test]
fn ffmpeg_and_its_file_end_with_the_command() {
    let still = crate::support::fixture("images/by-ffmpeg/turned.heic");
    for serves in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let (temporary, id) = (dir.path().join("tmp"), dir.path().join("id"));
        fs::create_dir(&temporary).unwrap();
        let ffmpeg = hanging_ffmpeg(dir.path());
        let variables = [
            ("GEMSCOPE_FFMPEG", ffmpeg.to_str().unwrap()),
            ("TMPDIR", temporary.to_str().unwrap()),
        ];
        let read_id = || fs::read_to_string(&id).unwrap().trim().to_owned();
        let child = if serves {
            let server = Server::begin(dir.path(), &[], &variables);
            let (address, bytes) = (server.address.clone(), fs::read(&still).unwrap());
            let asking = std::thread::spawn(move || {
                let head = "POST /v1/detect?labels=star HTTP/1.1\r\nHost: localhost";
                asked(&address, head, &bytes)
            });
            wait_for("it is not asked", || id.exists());
            let child = read_id();
            assert!(runs(&child));
            let (code, took) = server.interrupt();
            assert_eq!((code, asking.join().unwrap().0), (Some(0), 503));
            assert!(took < Duration::from_secs(2), "{took:?}");
            child
        } else {
            let mut command = std::process::Command::new(crate::support::binary());
            command.args(["detect", "--labels", "star", "--out"]).arg(dir.path().join("run"));
            command.arg(&still).envs(variables).env("GEMSCOPE_DEVICE", "cpu");
            command.env_remove("GEMSCOPE_MODEL").stderr(std::process::Stdio::null());
            let mut run = command.spawn().unwrap();
            wait_for("it is not asked", || id.exists());
            let child = read_id();
            assert!(runs(&child));
            // The second one leaves at once.
            let interrupt = || {
                let id = run.id().to_string();
                std::process::Command::new("kill").args(["-INT", &id]).status().unwrap();
            };
            interrupt();
            std::thread::sleep(Duration::from_millis(300));
            interrupt();
            assert_eq!(run.wait().unwrap().code(), Some(130));
            child
        };
        wait_for("ffmpeg is still there", || !runs(&child));
        let left: Vec<_> = fs::read_dir(&temporary).unwrap().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
