//! A hub of the tests' own: the four routes of huggingface.co that are used, and a host of files
//! beside it under another name, which can be made to fail.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fs, thread};

use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

use crate::support::{fixture, sha256};

/// The commit of every repository.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// From this size on, files are large files.
const LARGE: usize = 10_000;

/// How the host of files fails.
#[derive(Debug, Clone, Default)]
pub enum Fault {
    #[default]
    None,
    /// The next answers of large files end after a part of their bytes, drawn from a seed.
    Cut { times: usize, seed: u64 },
    /// Every answer ends before its first byte.
    Silent,
    /// All bytes are sent, whatever range was asked for; the first answers end in their middle.
    NoRanges { cuts: usize },
    /// A byte of every large file is another one.
    OtherBytes,
    /// Bytes come slowly.
    SlowImage,
    /// A page in place of every file.
    Page,
}

/// What is answered to the routes of the API in place of what they are for.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub times: usize,
}

#[derive(Debug, Clone)]
pub struct Asked {
    /// Host and port that were asked, as the request says.
    pub host: String,
    pub path: String,
    pub token: Option<String>,
    pub range: Option<String>,
}

#[derive(Default)]
struct State {
    repositories: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    fault: Fault,
    refusal: Option<Refusal>,
    /// In place of every page of files; true if it names itself as the next one.
    page: Option<(Value, bool)>,
    asked: Vec<Asked>,
    cdn: String,
}

pub struct TestHub {
    pub endpoint: String,
    state: Arc<Mutex<State>>,
}

impl TestHub {
    /// With the demo model in two layouts: `demo/shapes-ONNX`, beside it another precision and
    /// audio, and `demo/shapes-genai`, whose weights are external data.
    pub fn start() -> Self {
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (hub, cdn) = (listen(), listen());
        let endpoint = format!("http://{}", hub.local_addr().unwrap());
        // Another name of this machine, so that it is another host.
        let cdn_url = format!("http://localhost:{}", cdn.local_addr().unwrap().port());
        let state = Arc::new(Mutex::new(State { cdn: cdn_url, ..State::default() }));
        for (listener, is_cdn) in [(hub, false), (cdn, true)] {
            let state = Arc::clone(&state);
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let state = Arc::clone(&state);
                    thread::spawn(move || serve(&stream, &state, is_cdn));
                }
            });
        }
        let hub = Self { endpoint, state };
        let mut files = read_folder(&fixture("demo-model"));
        for graph in ["vision_encoder", "embed_tokens", "decoder_model_merged", "audio_encoder"] {
            files.insert(format!("onnx/{graph}_q4.onnx"), vec![1; 50_000]);
            files.insert(format!("onnx/{graph}_q4.onnx_data"), vec![2; 50_000]);
        }
        hub.put("demo/shapes-ONNX", files);
        hub.put("demo/shapes-genai", read_folder(&fixture("demo-model-mobius")));
        hub
    }

    pub fn put(&self, repository: &str, files: BTreeMap<String, Vec<u8>>) {
        self.lock().repositories.insert(repository.to_owned(), files);
    }

    pub fn fail(&self, fault: Fault) {
        self.lock().fault = fault;
    }

    pub fn refuse(&self, refusal: Refusal) {
        self.lock().refusal = Some(refusal);
    }

    /// Every page of files is this one; `endless` names it as the next one too.
    pub fn list(&self, page: Value, endless: bool) {
        self.lock().page = Some((page, endless));
    }

    /// What was asked so far, and is then forgotten.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.lock().asked)
    }

    /// The bytes of a file.
    pub fn file(&self, repository: &str, path: &str) -> Vec<u8> {
        self.lock().repositories[repository][path].clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn read_folder(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    let files =
        entries.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path);
    let name =
        |path: &PathBuf| path.strip_prefix(folder).unwrap().to_str().unwrap().replace('\\', "/");
    files.map(|path| (name(&path), fs::read(&path).unwrap())).collect()
}

/// The SHA-1 that git has for a file.
pub fn git_sha1(bytes: &[u8]) -> String {
    let hash =
        Sha1::new_with_prefix(format!("blob {}\0", bytes.len())).chain_update(bytes).finalize();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One connection: one request, as a proxy after the word that opens a way.
fn serve(stream: &TcpStream, state: &Mutex<State>, is_cdn: bool) {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        match line.trim_end() {
            "" if lines.first().is_some_and(|line: &String| line.starts_with("CONNECT ")) => {
                let host = lines.remove(0).split(' ').nth(1).unwrap_or_default().to_owned();
                let asked = Asked { host, path: "CONNECT".to_owned(), token: None, range: None };
                state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).asked.push(asked);
                lines.clear();
                let mut answer = stream;
                let _ = answer.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n");
            }
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let header = |name: &str| {
        lines[1..].iter().find_map(|line| {
            line.split_once(':')
                .filter(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim().to_owned())
        })
    };
    let path = lines[0].split(' ').nth(1).unwrap_or("/").to_owned();
    let range = header("range");
    let asked = Asked {
        host: header("host").unwrap_or_default(),
        path: path.clone(),
        token: header("authorization"),
        range: range.clone(),
    };
    let from = range
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let mut locked = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    locked.asked.push(asked);
    // Waiting for a write must not hold up the others.
    let answer = if is_cdn { locked.blob(&path, from) } else { locked.route(&path, from) };
    drop(locked);
    answer.send(stream);
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// So many bytes of the body are sent.
    sent: usize,
    slow: bool,
}

impl Answer {
    fn of(status: u16, body: Vec<u8>) -> Self {
        Self { status, headers: Vec::new(), sent: body.len(), body, slow: false }
    }

    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    fn send(&self, mut stream: &TcpStream) {
        let mut head = format!(
            "HTTP/1.1 {} x\r\nConnection: close\r\nContent-Length: {}\r\n",
            self.status,
            self.body.len()
        );
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        // Who asked may be gone.
        let _ = stream.write_all((head + "\r\n").as_bytes());
        for chunk in self.body[..self.sent].chunks(if self.slow { 100_000 } else { 1 << 20 }) {
            if self.slow {
                thread::sleep(Duration::from_millis(50));
            }
            let _ = stream.write_all(chunk);
        }
    }
}

impl State {
    fn route(&mut self, path: &str, from: Option<usize>) -> Answer {
        let (route, query) = path.split_once('?').unwrap_or((path, ""));
        if let Some(refusal) = self.refusal.as_mut().filter(|refusal| refusal.times > 0) {
            refusal.times -= 1;
            let answer = Answer::of(refusal.status, Vec::new());
            return refusal
                .headers
                .clone()
                .iter()
                .fold(answer, |answer, (name, value)| answer.with(name, value));
        }
        let parts: Vec<_> = route.trim_start_matches('/').split('/').collect();
        let missing = |code: &str| Answer::of(404, Vec::new()).with("X-Error-Code", code);
        match parts.as_slice() {
            ["api", "models", owner, name, "revision", revision] => {
                if !self.repositories.contains_key(&format!("{owner}/{name}")) {
                    return Answer::of(401, Vec::new()).with("X-Error-Code", "RepoNotFound");
                }
                if !["main", "v1", "refs%2Fpr%2F1", COMMIT].contains(revision) {
                    return missing("RevisionNotFound");
                }
                Answer::of(
                    200,
                    json!({ "sha": COMMIT, "id": format!("{owner}/{name}") })
                        .to_string()
                        .into_bytes(),
                )
            }
            ["api", "models", owner, name, "tree", _] => {
                const PAGE: usize = 4;
                if let Some((page, endless)) = &self.page {
                    let answer = Answer::of(200, serde_json::to_vec(page).unwrap());
                    let next = format!("<{path}>; rel=\"next\"");
                    return if *endless { answer.with("Link", next) } else { answer };
                }
                let files = &self.repositories[&format!("{owner}/{name}")];
                let page: usize =
                    query.split_once("cursor=").map_or(0, |(_, page)| page.parse().unwrap());
                let entry = |(path, bytes): (&String, &Vec<u8>)| {
                    let mut entry = json!({ "type": "file", "path": path, "size": bytes.len(),
                        "oid": git_sha1(bytes) });
                    if bytes.len() >= LARGE {
                        let lfs = json!({ "oid": sha256(bytes), "size": bytes.len(),
                            "pointerSize": 130 });
                        entry["lfs"] = lfs;
                    }
                    entry
                };
                let mut entries: Vec<_> =
                    files.iter().skip(page * PAGE).take(PAGE).map(entry).collect();
                entries
                    .push(json!({ "type": "directory", "path": "onnx", "size": 0, "oid": COMMIT }));
                let answer = Answer::of(200, serde_json::to_vec(&entries).unwrap());
                if files.len() <= (page + 1) * PAGE {
                    return answer;
                }
                answer.with(
                    "Link",
                    format!("<{route}?recursive=true&cursor={}>; rel=\"next\"", page + 1),
                )
            }
            [owner, name, "resolve", _, file @ ..] => {
                let file = file.join("/");
                match self
                    .repositories
                    .get(&format!("{owner}/{name}"))
                    .and_then(|files| files.get(&file))
                {
                    None => missing("EntryNotFound"),
                    Some(bytes) if bytes.len() >= LARGE => {
                        let location =
                            format!("{}/{owner}/{name}/{file}?X-Signature=secret", self.cdn);
                        Answer::of(302, Vec::new()).with("Location", location)
                    }
                    // As the hub does it with small files: a redirect within itself.
                    Some(_) if !path.contains("cached") => {
                        Answer::of(307, Vec::new()).with("Location", format!("{route}?cached"))
                    }
                    Some(bytes) => part(bytes.clone(), from),
                }
            }
            _ => Answer::of(404, Vec::new()),
        }
    }

    fn blob(&mut self, path: &str, from: Option<usize>) -> Answer {
        let path = path.split('?').next().unwrap().trim_start_matches('/');
        let mut parts = path.splitn(3, '/');
        let repository = format!("{}/{}", parts.next().unwrap(), parts.next().unwrap());
        let mut bytes = self.repositories[&repository][parts.next().unwrap()].clone();
        match &mut self.fault {
            Fault::None => part(bytes, from),
            Fault::Cut { times, seed } => {
                let mut answer = part(bytes, from);
                if *times > 0 {
                    *times -= 1;
                    // Of the generators that fit in a line, Knuth's.
                    *seed = seed
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    // Not more than a fiftieth or so, so that all of the cuts are met.
                    answer.sent = (*seed >> 33) as usize % (answer.body.len() / 40).max(2);
                }
                answer
            }
            Fault::Silent => Answer { sent: 0, ..part(bytes, from) },
            Fault::NoRanges { cuts } => {
                let mut answer = Answer::of(200, bytes);
                if *cuts > 0 {
                    answer.sent /= *cuts + 1;
                    *cuts -= 1;
                }
                answer
            }
            Fault::OtherBytes => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                part(bytes, from)
            }
            Fault::SlowImage => Answer { slow: true, ..part(bytes, from) },
            Fault::Page => Answer::of(200, b"<html>Log in</html>".to_vec())
                .with("Content-Type", "text/html; charset=utf-8"),
        }
    }
}

/// The rest of a file.
fn part(bytes: Vec<u8>, from: Option<usize>) -> Answer {
    match from {
        None => Answer::of(200, bytes),
        Some(from) if from >= bytes.len() => {
            Answer::of(416, Vec::new()).with("Content-Range", format!("bytes */{}", bytes.len()))
        }
        Some(from) => {
            let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
            Answer::of(206, bytes[from..].to_vec()).with("Content-Range", range)
        }
    }
}
