//! Images on the web: whatever their servers do.

mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gemscope::source::{Choice, Source, SourceError, WebOptions, list_chosen};
use serde_json::Value;
use server::Server;

use crate::support::{fixture, gemscope, json, json_lines};

fn scene(number: u32) -> Vec<u8> {
    let scenes = fs::read_dir(fixture("shapes")).unwrap().map(|entry| entry.unwrap().path());
    let begins = format!("scene-{number:02}.");
    let is_it = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(&begins);
    fs::read(scenes.into_iter().find(is_it).unwrap()).unwrap()
}

/// Bytes that are no image, and of which each tells where it stands.
fn numbers(count: u32) -> Vec<u8> {
    (0..count).flat_map(u32::to_le_bytes).collect()
}

/// Limits under which a test is short.
fn patient(longest: u64) -> WebOptions {
    let mut web = WebOptions::default();
    web.offline = true; // reaches this machine
    web.longest = Duration::from_millis(longest);
    web.pause = Duration::from_millis(10);
    web
}

fn list(inputs: &[String], web: WebOptions) -> Result<Source, SourceError> {
    let inputs: Vec<PathBuf> = inputs.iter().map(PathBuf::from).collect();
    list_chosen(&inputs, None, &Choice { web, ..Choice::default() })
}

/// The bytes of the one image at `url`, or why there are none.
fn fetch_within(url: &str, web: WebOptions) -> Result<Vec<u8>, String> {
    let source = list(&[url.to_owned()], web).unwrap();
    assert_eq!(source.images.len(), 1);
    source.images[0].open().map(|content| content.read_all().unwrap())
}

fn fetch(url: &str) -> Result<Vec<u8>, String> {
    fetch_within(url, patient(10_000))
}

fn names(source: &Source) -> Vec<&str> {
    source.images.iter().map(|image| image.name.as_str()).collect()
}

#[test]
fn a_download_that_breaks_off_goes_on_where_it_was() {
    let bytes = numbers(300_000);
    let server = Server::begin(&[("a.png", bytes.clone())]);
    for how in ["ok", "plain", "once", "bare", "break", "busy"] {
        let fetched = fetch(&server.url(&format!("{how}/a.png")));
        assert!(fetched.as_ref() == Ok(&bytes), "{how}: {:?}", fetched.map(|bytes| bytes.len()));
    }
    let asked = server.asked();
    let again = asked.iter().filter(|asked| asked.path == "/once/a.png").nth(1).unwrap();
    assert_eq!(again.header("range"), Some("bytes=600000-"));
    assert_eq!(again.header("if-range"), Some("\"1\""));
    assert!(asked.iter().all(|asked| asked.header("accept-encoding") == Some("identity")));
    assert_eq!(server.count("/ok/a.png"), 1);
    // Parts of files that may be two are not joined.
    let ranges: Vec<_> = asked
        .iter()
        .filter(|asked| asked.path == "/bare/a.png")
        .map(|asked| asked.header("range"))
        .collect();
    assert_eq!(ranges, [None, Some("bytes=600000-"), None]);
}

#[test]
fn what_a_server_does_wrong_is_a_reason_and_has_an_end() {
    let server = Server::begin(&[("a.png", numbers(2_000))]);
    let began = Instant::now();
    for (how, reason) in [
        ("404/a.png", "the server answers 404"),
        ("403/a.png", "the server answers 403"),
        ("500/a.png", "(4 tries)"),
        ("later/a.png", "asks to be left alone for 3600 s"),
        ("short/a.png", "the download broke off"),
        ("stall/a.png", "was not there within 1 s"),
        ("drip/a.png", "was not there within 1 s"),
        ("huge/a.png", "has 99999999999 bytes, and 1000000 are the limit"),
        ("endless/a.png", "has more bytes, and 1000000 are the limit"),
        ("gzip/a.png", "packed (gzip)"),
        ("changed/a.png", "was changed"),
        ("loop/a.png", "more than 5 redirects"),
        ("to/file:///etc/passwd", "no address of the web"),
        ("to/ftp://host/a.png", "no address of the web"),
        ("to/http://127.0.0.1:9/a.png", "without encryption"),
        ("to/http://example.org/a.png", "without encryption"),
        ("to/https://127.0.0.1/a.png", "not public"),
        ("to/https://localhost/a.png", "not public"),
        ("to/https://[::ffff:169.254.169.254]/a.png", "not public"),
        ("to/https://[::1]/a.png", "not public"),
        ("to/https://2130706433/a.png", "not public"),
        ("to/https://0177.0.0.1/a.png", "not public"),
        ("to/https://0x7f.1/a.png", "not public"),
        ("to/https://0/a.png", "not public"),
    ] {
        let mut web = patient(1_500);
        web.max_bytes = 1_000_000;
        web.offline = false; // no address that is reached is of another machine
        let why = fetch_within(&server.url(how), web).unwrap_err();
        assert!(why.contains(reason), "{how}: {why}");
    }
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    // A signature that is out of date is thought of; it is not repeated.
    let why = fetch(&server.url("403/a.png?X-Amz-Signature=5ec4e7")).unwrap_err();
    assert!(why.contains("out of date") && !why.contains("5ec4e7"), "{why}");
    // An empty file is one.
    assert_eq!(fetch(&server.url("empty/a.png")), Ok(Vec::new()));
}

#[test]
fn redirects_of_the_same_server_are_followed_and_passwords_stay_there() {
    let server = Server::begin(&[("a.png", numbers(9))]);
    let other = Server::begin(&[("a.png", numbers(9))]);
    let url = server.url("to//ok/a.png").replace("http://", "http://me:pass%20word@");
    assert_eq!(fetch(&url), Ok(numbers(9)));
    let sent: Vec<_> = server
        .asked()
        .iter()
        .map(|asked| asked.header("authorization").map(str::to_owned))
        .collect();
    let basic = Some("Basic bWU6cGFzcyB3b3Jk".to_owned());
    assert_eq!(sent, [basic.clone(), basic]);
    // Another server of this machine is not asked, though it may be named elsewhere.
    let inputs = [server.url(&format!("to/{}", other.url("ok/a.png"))), other.url("ok/b.png")];
    let source = list(&inputs, patient(1_000)).unwrap();
    assert!(source.images.iter().all(|image| image.open().is_err()));
    assert_eq!((other.count("/ok/a.png"), other.count("/ok/b.png")), (0, 1));
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    use std::io::Write as _;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (index, (name, bytes)) in files.iter().enumerate() {
        let options = zip::write::SimpleFileOptions::default();
        let method = [zip::CompressionMethod::Deflated, zip::CompressionMethod::Stored][index % 2];
        zip.start_file(*name, options.compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn archives_are_read_in_place_or_from_a_temporary_file() {
    let (large, small) = (numbers(900_000), numbers(77));
    let files: [(&str, &[u8]); 4] =
        [("a.png", &large), ("notes.txt", b"x"), ("in/b.png", &small), ("c.png", &large)];
    let server = Server::begin(&[("s.tar", tar(&files)), ("s.zip", zip(&files))]);
    for how in ["ok", "plain"] {
        for (archive, room) in [("s.tar", 8 << 30), ("s.zip", 8 << 30), ("s.tar", 0), ("s.zip", 0)]
        {
            let url = server.url(&format!("{how}/{archive}"));
            let mut web = patient(10_000);
            web.max_temporary = room;
            let source = list(&[format!("{url}?X-Amz-Signature=1")], web).unwrap();
            if how == "plain" && room == 0 {
                let why = source.images[0].place.as_ref().unwrap_err();
                assert!(why.contains("fetch it first"), "{why}");
                continue;
            }
            let expected = ["a.png", "c.png", "in/b.png"].map(|name| format!("{url}/{name}"));
            assert_eq!(names(&source), expected);
            assert_eq!(source.passed_over.words().unwrap(), "1 .txt");
            for (image, bytes) in source.images.iter().zip([&large, &large, &small]) {
                let content = image.open().unwrap().read_all().unwrap();
                assert!(content == *bytes, "{how} {archive} {room} {}", image.name);
            }
        }
    }
    // A zip is not brought as a whole: its directory, and what is asked for.
    let whole = |asked: &&server::Asked| {
        asked.path.starts_with("/ok/s.zip") && asked.header("range").is_none()
    };
    assert_eq!(server.asked().iter().filter(whole).count(), 0);
    let mut web = patient(1_000);
    web.max_bytes = 1_000_000;
    let source = list(&[server.url("ok/s.tar")], web).unwrap();
    assert!(source.images[0].open().unwrap_err().contains("3600000 bytes"));
    assert!(source.images[2].open().is_ok());
}

#[test]
fn a_tar_whose_list_is_known_is_not_brought_for_it() {
    let small = numbers(77);
    let files: [(&str, &[u8]); 3] = [("a.png", &small), ("notes.txt", b"x"), ("b.png", &small)];
    let server = Server::begin(&[("s.tar", tar(&files))]);
    let cache = tempfile::tempdir().unwrap();
    for how in ["ok", "plain"] {
        let path = format!("/{how}/s.tar");
        let url = server.url(&path[1..]);
        let listed = || {
            let mut web = patient(10_000);
            web.lists = Some(cache.path().join("lists"));
            list(std::slice::from_ref(&url), web).unwrap()
        };
        let first = listed();
        assert_eq!(server.count(&path), 1);
        let again = listed();
        assert_eq!((names(&again), &again.passed_over), (names(&first), &first.passed_over));
        let before = server.count(&path);
        for image in &again.images {
            assert_eq!(image.open().unwrap().read_all().unwrap(), small, "{how}");
        }
        let since: Vec<_> = server.asked().into_iter().filter(|asked| asked.path == path).collect();
        let ranges: Vec<Option<&str>> =
            since[before..].iter().map(|asked| asked.header("range")).collect();
        let second = if how == "ok" {
            // What is read of it, alone.
            Some("bytes=2560-2867")
        } else {
            // All of it, once.
            None
        };
        assert_eq!(ranges, [Some("bytes=512-819"), second], "{how}");
    }
}

/// `detect` with what every test needs, over `inputs` in `dir`.
fn detect(dir: &Path, inputs: &[&str], flags: &[&str]) -> (Vec<Value>, Option<i32>, String) {
    let output = gemscope()
        .current_dir(dir)
        .arg("detect")
        .args(inputs)
        .args(["--prompt", "detect shape", "--budget", "70", "--offline", "--out", "run"])
        .args(flags)
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let records = fs::read_to_string(dir.join("run/detections.jsonl"));
    let records = records.unwrap_or_else(|_| panic!("{said}"));
    (json_lines(records), output.status.code(), said)
}

#[test]
fn a_mixed_list_runs_and_goes_on_with_new_signatures() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::begin(&[
        ("a.png", scene(1)),
        ("b.png", scene(2)),
        ("s.tar", tar(&[("x/c.png", &scene(3))])),
    ]);
    fs::create_dir(dir.path().join("in")).unwrap();
    fs::write(dir.path().join("in/d.png"), scene(4)).unwrap();
    let list = |signature: &str| {
        let signed = format!("X-Amz-Date=1&X-Amz-Signature={signature}");
        let lines = [
            server.url(&format!("ok/a.png?{signed}")),
            server.url(&format!("ok/b.png?id=7&{signed}")),
            server.url(&format!("ok/s.tar?{signed}")),
            server.url("404/e.png"),
            "in/d.png".to_owned(),
        ];
        fs::write(dir.path().join("list.txt"), lines.join("\n")).unwrap();
    };
    list("5ec4e7a");
    let (records, code, said) =
        detect(dir.path(), &["@list.txt"], &["--export", "jsonl,coco,crops"]);
    assert_eq!(code, Some(2), "{said}");
    let of = |path: &str| server.url(path);
    let expected = [
        "d.png".to_owned(),
        of("404/e.png"),
        of("ok/a.png"),
        of("ok/b.png?id=7"),
        of("ok/s.tar/x/c.png"),
    ];
    let images: Vec<&str> =
        records.iter().map(|record| record["image"].as_str().unwrap()).collect();
    assert_eq!(images, expected);
    let failed: Vec<&Value> =
        records.iter().filter(|record| record["status"] == "failed").collect();
    assert_eq!((failed.len(), &failed[0]["image"]), (1, &Value::from(expected[1].as_str())));
    let crops = |folder: &Path| {
        walkdir::WalkDir::new(folder)
            .into_iter()
            .filter(|entry| {
                entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "png")
            })
            .count()
    };
    let boxes: usize =
        records.iter().map(|record| record["detections"].as_array().unwrap().len()).sum();
    assert_eq!(crops(&dir.path().join("run/crops")), boxes, "{said}");
    let instances = json(dir.path().join("run/instances.json"));
    assert_eq!(instances["images"][1]["coco_url"], of("ok/a.png"));
    // An export by itself asks no server, and says so once.
    let (before, mut export) = (server.asked().len(), gemscope());
    export.current_dir(dir.path()).args(["export", "run", "--to", "crops,html"]);
    let exported = export.output().unwrap();
    let told = String::from_utf8_lossy(&exported.stderr).into_owned();
    assert_eq!(exported.status.code(), Some(2), "{told}");
    assert_eq!(told.matches("crops: 2 images: it lies on the web").count(), 1, "{told}");
    assert_eq!(server.asked().len(), before);
    // Signed anew, nothing is fetched again, but for the list of the archive and what failed.
    let before = server.asked().len();
    list("5ec4e7b");
    let (_, code, said) = detect(dir.path(), &["@list.txt"], &["--export", "jsonl"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("5 of them were done before"), "{said}");
    let again: Vec<String> =
        server.asked()[before..].iter().map(|asked| asked.path.clone()).collect();
    let signed = "X-Amz-Date=1&X-Amz-Signature=5ec4e7b";
    assert_eq!(again, [format!("/ok/s.tar?{signed}"), "/404/e.png".to_owned()]);
    // No file that is kept knows a signature.
    for entry in walkdir::WalkDir::new(dir.path().join("run")) {
        let path = entry.unwrap().into_path();
        if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains("5ec4e7"), "{}", path.display());
        }
    }
    assert!(!said.contains("5ec4e7"), "{said}");
}

#[test]
fn many_addresses_come_in_order_whatever_is_slow() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::begin(&[("a.png", scene(1))]);
    let lines: Vec<String> = (0..60)
        .map(|index| {
            let how = ["ok", "once", "plain", "404"][index % 4];
            server.url(&format!("{how}/a.png?id={index:02}"))
        })
        .collect();
    fs::write(dir.path().join("list.txt"), lines.join("\n")).unwrap();
    let (records, code, said) = detect(dir.path(), &["@list.txt"], &["--export", "jsonl"]);
    assert_eq!((records.len(), code), (60, Some(2)), "{said}");
    let good = records.iter().filter(|record| record["status"] == "ok").count();
    assert_eq!(good, 45, "{said}");
    // A plan fetches nothing.
    let before = server.asked().len();
    let output = gemscope()
        .current_dir(dir.path())
        .args(["detect", "@list.txt", "--prompt", "detect shape", "--dry-run"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(server.asked().len(), before);
}

#[test]
fn what_is_no_address_is_refused_without_repeating_it() {
    let dir = tempfile::tempdir().unwrap();
    let output = gemscope()
        .current_dir(dir.path())
        .args(["detect", "https://me:5ec4e7@/a.png", "--prompt", "detect shape", "--out", "run"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("without a host"), "{said}");
    assert!(!said.contains("5ec4e7"), "{said}");
    // Without a network, only this machine is asked.
    let why = fetch("https://example.org/a.png").unwrap_err();
    assert!(why.contains("offline"), "{why}");
}
