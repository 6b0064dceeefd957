//! A contact sheet over HTTP: what is shown, and who may save verdicts.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use crate::serve::Server;
use crate::support::{gemscope, images};

/// A judged run over frames beside a file that is none of them.
fn judged(dir: &Path) -> std::path::PathBuf {
    let frames = images(dir, 3);
    fs::write(frames.join("secret.png"), "not a frame's").unwrap();
    let out = dir.join("run");
    let mut critique = gemscope();
    critique.args(["critique", "--model", "demo"]).arg(&frames).arg("--out").arg(&out);
    critique.output().unwrap();
    assert!(out.join("sheet/index.html").is_file());
    fs::rename(frames.join("secret.png"), dir.join("secret.png")).unwrap();
    fs::copy(dir.join("secret.png"), frames.join("later.png")).unwrap();
    out
}

/// The head and the bytes of a response.
fn whole(server: &Server, head: &str, body: &[u8]) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(&server.address).unwrap();
    let length = body.len();
    let head = format!("{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    (String::from_utf8(answer[..end].to_vec()).unwrap(), answer[end + 4..].to_vec())
}

#[test]
fn a_sheet_is_shown_and_only_its_own_page_saves_verdicts() {
    let dir = tempfile::tempdir().unwrap();
    let out = judged(dir.path());
    let server = Server::showing(&out);
    let get = |path: &str, more: &str| {
        whole(&server, &format!("GET {path} HTTP/1.1\r\nHost: localhost{more}"), b"")
    };
    let (head, _) = get("/", "");
    let page = head.lines().find_map(|line| line.strip_prefix("location: ")).unwrap().to_owned();
    let (head, text) = get(&page, "");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/html"), "{head}");
    assert_eq!(text, fs::read(out.join("sheet/index.html")).unwrap());
    let folder = page.strip_suffix("index.html").unwrap();
    let (head, _) = get(&format!("{folder}thumbnails/000001.jpg"), "");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("image/jpeg"), "{head}");
    // The page's links to the frames themselves.
    let run = page.strip_suffix("run/sheet/index.html").unwrap();
    let (head, bytes) = get(&format!("{run}images/00.png"), "");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(bytes, fs::read(dir.path().join("images/00.png")).unwrap());
    for path in [
        format!("{run}images/later.png"),
        format!("{run}secret.png"),
        format!("{run}run/run.json"),
        format!("{folder}../run.json"),
        format!("{folder}%2e%2e/run.json"),
        "/etc/passwd".to_owned(),
    ] {
        assert!(get(&path, "").0.starts_with("HTTP/1.1 404"), "{path}");
    }
    for strange in ["\r\nOrigin: https://evil.example", "\r\nSec-Fetch-Site: cross-site"] {
        assert!(get(&page, strange).0.starts_with("HTTP/1.1 403"), "{strange}");
    }
    let table = b"image,verdict\n00.png,keep\n01.png,reject\n";
    let save = |headers: &str, table: &[u8]| {
        let head = format!("POST /overrules HTTP/1.1\r\n{headers}");
        let (head, body) = whole(&server, &head, table);
        (head[9..12].parse::<u16>().unwrap(), String::from_utf8(body).unwrap())
    };
    let kept = || fs::read_to_string(out.join("overrules.csv")).unwrap_or_default();
    let csv = "Content-Type: text/csv";
    for (headers, status) in [
        (format!("Host: localhost\r\nOrigin: https://evil.example\r\n{csv}"), 403),
        (format!("Host: localhost\r\nOrigin: null\r\n{csv}"), 403),
        (format!("Host: evil.example\r\n{csv}"), 403),
        ("Host: localhost\r\nContent-Type: text/plain".to_owned(), 415),
    ] {
        assert_eq!(save(&headers, table).0, status, "{headers}");
    }
    let own = format!("Host: localhost:1\r\nOrigin: http://localhost:1\r\n{csv}");
    let (status, said) = save(&own, b"image,verdict\n00.png,perhaps\n");
    assert!(status == 400 && said.contains("perhaps"), "{status}: {said}");
    assert!(kept().is_empty());
    assert_eq!(save(&own, table).0, 200);
    assert!(kept().contains("00.png,keep,") && kept().contains("01.png,reject,"), "{}", kept());
    // A later one counts before it; others stay.
    assert_eq!(save(&own, b"image,verdict\n00.png,review\n").0, 200);
    assert!(kept().contains("00.png,review,") && kept().contains("01.png,reject,"), "{}", kept());
    // The run is free: it is judged again beside the server.
    gemscope().args(["critique", "--report-only", "--out"]).arg(&out).output().unwrap();
    let verdicts = fs::read_to_string(out.join("verdicts.jsonl")).unwrap();
    assert!(verdicts.contains("overruled by hand"), "{verdicts}");
}

#[test]
fn a_sheet_is_for_this_machine_alone() {
    let dir = tempfile::tempdir().unwrap();
    let says = |flags: &[&str]| {
        let mut command = gemscope();
        command.args(["serve", "--sheet"]).arg(dir.path()).args(flags);
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    assert!(says(&["--listen", "0.0.0.0:0"]).contains("127.0.0.1 alone"));
    assert!(says(&["--listen", "0"]).contains("run.json"), "{}", says(&["--listen", "0"]));
    for flags in [["--out", "x"], ["--model", "demo"], ["--labels", "cat"], ["--token", "t"]] {
        assert!(says(&flags).contains("cannot be used with"), "{flags:?}: {}", says(&flags));
    }
}
