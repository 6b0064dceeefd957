//! A critique's contact sheet on this machine, and the verdicts by hand that it saves.
//!
//! In: a run with `sheet/`. Out: the page with its pictures over HTTP, and `POST /overrules`, which
//! takes the verdicts of the page into the run's `overrules.csv`. Promises: only the sheet and the
//! images of the run's frames are given out; only its own page saves, since requests of other pages
//! and hosts are refused; saved verdicts are on disk before it is said; files that are on their way
//! take a bounded memory together; the run is free for other commands in between.
//!
//! The page is at the path that it has on disk, so that its links to images lead to these.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, Request, StatusCode};
use serde_json::json;

use super::detect::blocking;
use super::guard::Guard;
use super::listener::Listener;
use super::memory::{Memory, SharedBytes};
use super::reply::{Refusal, Reply, json as reply_json, of_bytes, of_owner};
use super::{SHUTDOWN_TIMEOUT, ServeError};
use crate::critique::Overrules;
use crate::export::add_overrules;
use crate::files;
use crate::journal::{ManifestError, RunDirectory, RunDirectoryError, read_journal};
use crate::percent;
use crate::record::Manifest;
use crate::source::{leads_out, path_of};

/// The most bytes of a table of verdicts: a million rows are fewer.
const MAX_TABLE: u64 = 64 << 20;
/// The most bytes of a page or an image.
const MAX_FILE: u64 = 256 << 20;
/// The page, in the run.
const PAGE: &str = "sheet/index.html";

/// A contact sheet that has its address.
pub struct SheetServer {
    listener: Listener,
    sheet: Arc<Sheet>,
}

impl SheetServer {
    /// Takes the address for the contact sheet of the run in `run`.
    ///
    /// # Errors
    /// [`ServeError`] if there is no such run or no sheet in it, or the address is not of this
    /// machine alone.
    pub fn bind(run: &Path, address: SocketAddr) -> Result<Self, ServeError> {
        if !address.ip().is_loopback() {
            return Err(ServeError::OnlyHere(address));
        }
        let sheet = Arc::new(Sheet::of(run)?);
        Ok(Self { listener: Listener::bind(address)?, sheet })
    }

    /// The address of the page.
    ///
    /// # Errors
    /// The system's reason.
    pub fn url(&self) -> std::io::Result<String> {
        Ok(format!("http://{}/", self.listener.address()?))
    }

    /// Serves until `stop` is raised; how many times verdicts were saved.
    pub fn run(self, stop: &AtomicBool) -> usize {
        let Self { listener, sheet } = self;
        let shared = Arc::clone(&sheet);
        let is_over = || stop.load(Ordering::Relaxed);
        let connections = listener.accept(&is_over, move |request| {
            let sheet = Arc::clone(&shared);
            async move { respond(&sheet, request).await }
        });
        // A table that is being saved is whole.
        let is_saved = || connections.are_closed() || sheet.saving.try_lock().is_ok();
        connections.run_until(Instant::now() + SHUTDOWN_TIMEOUT, is_saved);
        connections.leave();
        sheet.saved.load(Ordering::Relaxed)
    }
}

/// What requests share.
struct Sheet {
    guard: Guard,
    memory: Memory,
    run: PathBuf,
    /// The folder of the page, on disk.
    folder: PathBuf,
    /// The path of that folder in addresses, decoded: it ends in `/`.
    base: String,
    /// Images of frames, by their paths in addresses, decoded.
    images: HashMap<String, PathBuf>,
    saving: Mutex<()>,
    saved: AtomicUsize,
}

impl Sheet {
    fn of(run: &Path) -> Result<Self, ServeError> {
        let manifest = Manifest::read(run).map_err(RunDirectoryError::from)?;
        let no_sheet = |_| ServeError::NoSheet(run.to_owned());
        let page = run.join(PAGE).canonicalize().map_err(no_sheet)?;
        let folder = page.parent().unwrap_or(&page).to_owned();
        let no_run = |_| RunDirectoryError::from(ManifestError::NoRun(run.to_owned()));
        let run = run.canonicalize().map_err(no_run)?;
        let mut images = HashMap::new();
        if let Some(root) = manifest.root.as_ref().and_then(|root| root.canonicalize().ok()) {
            let base = path_in_address(&root);
            for record in read_journal(&run).map_err(RunDirectoryError::from)?.records {
                let path = path_of(&record.image);
                if !leads_out(&path) {
                    images.insert(format!("{base}{}", record.image), root.join(path));
                }
            }
        }
        Ok(Self {
            guard: Guard::new(None, true),
            memory: Memory::new(MAX_TABLE),
            base: path_in_address(&folder),
            run,
            folder,
            images,
            saving: Mutex::default(),
            saved: AtomicUsize::default(),
        })
    }

    /// The file that a path in an address, decoded, stands for.
    fn file(&self, path: &str) -> Option<PathBuf> {
        let Some(name) = path.strip_prefix(&self.base) else {
            return self.images.get(path).cloned();
        };
        let inner = Path::new(name);
        if leads_out(inner) {
            return None;
        }
        let file = self.folder.join(inner).canonicalize().ok()?;
        file.starts_with(&self.folder).then_some(file)
    }

    /// Takes a table of verdicts into those that the run keeps.
    fn save(&self, table: &[u8]) -> Result<(), Refusal> {
        let failed = |error: &dyn std::fmt::Display| {
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
        };
        let text = std::str::from_utf8(table).map_err(|_| Refusal::bad("the table is no UTF-8"))?;
        let later = Overrules::read(text).map_err(|error| Refusal::bad(error.to_string()))?;
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = RunDirectory::of_run(&self.run)
            .map_err(|error| Refusal::new(StatusCode::CONFLICT, error.to_string()))?;
        let records = read_journal(&self.run).map_err(|error| failed(&error))?.records;
        add_overrules(later, &records, directory.output()).map_err(|error| failed(&error))?;
        self.saved.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// The path of a folder in an address, decoded: its parts, each between slashes.
fn path_in_address(folder: &Path) -> String {
    let mut path = String::from("/");
    for part in folder.components() {
        if let Component::Normal(name) = part {
            path.push_str(&name.to_string_lossy());
            path.push('/');
        }
    }
    path
}

/// The response to a request.
async fn respond(sheet: &Arc<Sheet>, request: Request<Incoming>) -> Reply {
    if let Err(refusal) = sheet.guard.admit(request.headers()) {
        return refusal.into_reply();
    }
    let reply = match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => Ok(to_page(sheet)),
        (&Method::GET, path) => {
            let path = String::from_utf8(percent::decoded(path)).ok();
            file(sheet, path.and_then(|path| sheet.file(&path))).await
        }
        (&Method::POST, "/overrules") => save(sheet, request).await,
        (method, path) => Err(Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{path} is not asked by {method}"),
        )),
    };
    reply.unwrap_or_else(Refusal::into_reply)
}

fn to_page(sheet: &Sheet) -> Reply {
    let parts: Vec<String> = sheet.base.split('/').map(percent::segment).collect();
    let mut reply = of_bytes(StatusCode::TEMPORARY_REDIRECT, "text/plain", Vec::new());
    if let Ok(location) = HeaderValue::from_str(&format!("{}index.html", parts.join("/"))) {
        reply.headers_mut().insert(LOCATION, location);
    }
    reply
}

async fn file(sheet: &Sheet, file: Option<PathBuf>) -> Result<Reply, Refusal> {
    let gone = || Refusal::new(StatusCode::NOT_FOUND, "there is no such file here");
    let file = file.ok_or_else(gone)?;
    let kind = kind_of(&file).ok_or_else(gone)?;
    let path = file.clone();
    let length = blocking(move || path.metadata().map(|metadata| metadata.len())).await?;
    let length = length.ok().filter(|length| *length <= MAX_FILE).ok_or_else(gone)?;
    // Until it is sent: many clients may ask, and read slowly.
    let share = sheet.memory.wait_for_file(length).await?;
    blocking(move || {
        let bytes = files::read(&file, length).map_err(|_| gone())?;
        let mut reply = of_owner(kind, SharedBytes { bytes, _share: share });
        reply.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Ok(reply)
    })
    .await?
}

/// What a browser takes a file for; `None` if it shows none such.
fn kind_of(file: &Path) -> Option<&'static str> {
    Some(match file.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "html" => "text/html; charset=utf-8",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "bmp" => "image/bmp",
        "avif" => "image/avif",
        _ => return None,
    })
}

async fn save(sheet: &Arc<Sheet>, request: Request<Incoming>) -> Result<Reply, Refusal> {
    // A form of another page could not send this kind without asking first.
    let kind = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    if !kind.is_some_and(|kind| kind.starts_with(b"text/csv")) {
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a table is text/csv"));
    }
    let (table, share) = sheet.memory.read(request).await?;
    let shared = Arc::clone(sheet);
    blocking(move || {
        let _share = share;
        shared.save(&table)
    })
    .await??;
    Ok(reply_json(&json!({ "saved": "overrules.csv" })))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn files_on_their_way_take_a_bounded_memory() {
        let dir = tempfile::tempdir().unwrap();
        let (small, large) = (dir.path().join("small.png"), dir.path().join("large.png"));
        std::fs::write(&small, [0; 3000]).unwrap();
        std::fs::write(&large, [0; 9000]).unwrap();
        let sheet = Sheet {
            guard: Guard::new(None, true),
            // Room for four of these.
            memory: Memory::new(1024),
            run: dir.path().to_owned(),
            folder: dir.path().to_owned(),
            base: "/".to_owned(),
            images: HashMap::new(),
            saving: Mutex::default(),
            saved: AtomicUsize::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let get = |path: &Path| {
            let limit = Duration::from_millis(300);
            let file = file(&sheet, Some(path.to_owned()));
            runtime.block_on(async { tokio::time::timeout(limit, file).await })
        };
        let sending = get(&small).unwrap().unwrap();
        assert!(get(&small).is_err(), "it waits for the first");
        drop(sending);
        // One that is larger than all room has it alone.
        let sending = get(&large).unwrap().unwrap();
        assert!(get(&small).is_err(), "it waits for the large one");
        drop(sending);
        assert!(get(&small).unwrap().is_ok());
    }
}
