//! A server of files that behaves as it is told by the first part of the path.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// With the query.
    pub path: String,
    pub headers: HashMap<String, String>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// The server. Files are asked for as `/HOW/NAME`; of `HOW`: `ok` (with ranges), `plain` (without),
/// `break` (the connection is closed after a third of what is left), `once` (the same, but only the
/// first time), `bare` (like `once`, and nothing tells its version), `short` (fewer bytes than it says, without ranges), `stall`, `drip`, `gzip`, `huge`
/// (says so, sends for ever), `endless` (does not say so), `changed` (another version each time),
/// `busy` (429 once, with `Retry-After`), `later` (503, with a `Retry-After` of an hour), `500`,
/// `404`, `403`, `empty`, `to/URL` (a redirect), `loop`.
pub struct Server {
    pub origin: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    stopped: Arc<AtomicBool>,
}

impl Server {
    pub fn begin(files: &[(&str, Vec<u8>)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let files: HashMap<String, Vec<u8>> =
            files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect();
        let (files, asked) = (Arc::new(files), Arc::new(Mutex::new(Vec::new())));
        let stopped = Arc::new(AtomicBool::new(false));
        let (log, ends) = (Arc::clone(&asked), Arc::clone(&stopped));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                let (files, log) = (Arc::clone(&files), Arc::clone(&log));
                thread::spawn(move || stream.map(|stream| answer(stream, &files, &log)));
            }
        });
        Self { origin, asked, stopped }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.origin)
    }

    /// The requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How often a path was asked for.
    pub fn count(&self, path: &str) -> usize {
        self.asked().iter().filter(|asked| asked.path == path).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

fn answer(mut stream: TcpStream, files: &HashMap<String, Vec<u8>>, log: &Mutex<Vec<Asked>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let headers: HashMap<String, String> = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        })
        .collect();
    let asked = Asked { path: path.clone(), headers };
    let times = {
        let mut log = log.lock().unwrap();
        log.push(asked.clone());
        log.iter().filter(|other| other.path == path).count()
    };
    // The client may be gone; that is its business.
    let _ = reply(&mut stream, &asked, times, files);
}

fn reply(
    stream: &mut TcpStream,
    asked: &Asked,
    times: usize,
    files: &HashMap<String, Vec<u8>>,
) -> std::io::Result<()> {
    let behind = asked.path.trim_start_matches('/');
    let (how, rest) = behind.split_once('/').unwrap_or((behind, ""));
    let name = rest.split('?').next().unwrap_or_default();
    let mut head = |status: &str, more: &str| {
        write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\n{more}\r\n")
    };
    match how {
        "to" => return head("302 Found", &format!("Location: {rest}\r\nContent-Length: 0\r\n")),
        "loop" => {
            return head("302 Found", &format!("Location: /loop/{times}\r\nContent-Length: 0\r\n"));
        }
        "404" => return head("404 Not Found", "Content-Length: 0\r\n"),
        "403" => return head("403 Forbidden", "Content-Length: 0\r\n"),
        "500" => return head("500 Internal Server Error", "Content-Length: 0\r\n"),
        "busy" if times == 1 => {
            return head("429 Too Many Requests", "Retry-After: 1\r\nContent-Length: 0\r\n");
        }
        "later" => {
            return head("503 Service Unavailable", "Retry-After: 3600\r\nContent-Length: 0\r\n");
        }
        "empty" => return head("200 OK", "Content-Length: 0\r\n"),
        "huge" => head("200 OK", "Content-Length: 99999999999\r\n")?,
        "endless" => head("200 OK", "")?,
        "gzip" => head("200 OK", "Content-Encoding: gzip\r\n")?,
        _ => {}
    }
    if matches!(how, "huge" | "endless" | "gzip") {
        let block = vec![0; 65536];
        loop {
            stream.write_all(&block)?;
        }
    }
    let Some(bytes) = files.get(name) else {
        return head("404 Not Found", "Content-Length: 0\r\n");
    };
    let etag = if how == "changed" { format!("\"{times}\"") } else { "\"1\"".to_owned() };
    let gives_ranges = !matches!(how, "plain" | "short");
    let tag = if how == "bare" { String::new() } else { format!("ETag: {etag}\r\n") };
    let is_same = asked.header("if-range").is_none_or(|tag| tag == etag);
    let range = asked.header("range").filter(|_| gives_ranges && is_same);
    let range = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let length = bytes.len();
    let body = if let Some((first, last)) = range {
        let first: usize = first.parse().unwrap();
        let end = last.parse().map_or(length, |last: usize| length.min(last + 1));
        if first >= end {
            return head("416 Range Not Satisfiable", "Content-Length: 0\r\n");
        }
        let range = format!("Content-Range: bytes {first}-{}/{length}\r\n", end - 1);
        let more = format!("{range}{tag}Content-Length: {}\r\n", end - first);
        head("206 Partial Content", &more)?;
        &bytes[first..end]
    } else {
        let said = if how == "short" { length + 9 } else { length };
        head("200 OK", &format!("{tag}Content-Length: {said}\r\n"))?;
        &bytes[..]
    };
    match how {
        "break" | "changed" => stream.write_all(&body[..body.len().div_ceil(3)]),
        "once" | "bare" if times == 1 => stream.write_all(&body[..body.len() / 2]),
        "stall" => {
            stream.write_all(&body[..body.len() / 2])?;
            thread::sleep(Duration::from_secs(20));
            Ok(())
        }
        "drip" => {
            for byte in body {
                stream.write_all(&[*byte])?;
                thread::sleep(Duration::from_millis(50));
            }
            Ok(())
        }
        _ => stream.write_all(body),
    }
}
