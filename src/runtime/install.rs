//! Installing the pinned ONNX Runtime in the cache directory.
//!
//! In: the cache directory. Out: the library of a directory `onnxruntime-VERSION-PLATFORM`, which holds the wheel's libraries, its
//! licences and a manifest of their sizes and hashes. Promises: nothing of a wheel is unpacked before its sha256 equals the pinned
//! one; the directory appears whole, by one rename, so that a killed process leaves none that looks installed; two processes at
//! once fetch once; running it again does nothing, or repairs what is damaged.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zip::ZipArchive;

use super::find::is_library;
use super::{Outcome, PINNED_VERSION, RuntimeError, pip};
use crate::digest;

/// What is pinned for a platform.
#[derive(Debug)]
pub(super) struct Platform {
    /// As in the directory's name.
    name: &'static str,
    /// The wheel's platform tag.
    tag: &'static str,
    /// Of the `cp312` wheel of version [`PINNED_VERSION`].
    sha256: &'static str,
}

/// Hashes of what `pip download` fetched for each tag. A later version needs all four anew.
const PLATFORMS: [Platform; 4] = [
    Platform {
        name: "linux-x86_64",
        tag: "manylinux_2_28_x86_64",
        sha256: "99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8",
    },
    Platform {
        name: "linux-aarch64",
        tag: "manylinux_2_28_aarch64",
        sha256: "e36c187006e7a7c8b8d6d57f1a209dd63f52430dca6c282b177718ad6b841054",
    },
    Platform {
        name: "macos-aarch64",
        tag: "macosx_14_0_arm64",
        sha256: "d52510bbbcc880c13b826f7d75cdf33ac5cf0bb864d960000fc29ce73f0cb83e",
    },
    Platform {
        name: "windows-x86_64",
        tag: "win_amd64",
        sha256: "efe7456952c243a05a53d5b8732953625144642c2f3989094277f6217f0c0c40",
    },
];

impl Platform {
    /// The platform that this was compiled for. The Linux wheels need glibc.
    pub(super) fn current() -> Option<&'static Self> {
        let name = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
        PLATFORMS.iter().find(|platform| platform.name == name && !cfg!(target_env = "musl"))
    }

    fn directory(&self, cache: &Path) -> PathBuf {
        cache.join(format!("onnxruntime-{PINNED_VERSION}-{}", self.name))
    }
}

/// How carefully an installation is compared with its manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Sizes: what every start can afford.
    Sizes,
    /// Sizes and sha256.
    Hashes,
}

/// There is no installation that serves.
#[derive(Debug)]
pub(super) struct Missing {
    /// Where it would be.
    pub(super) directory: PathBuf,
    /// What is wrong with the one that is there; `None` where there is none.
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

/// The library that is installed in `cache`.
pub(super) fn installed(cache: &Path, depth: Depth) -> Result<PathBuf, Missing> {
    match Platform::current() {
        Some(platform) => installed_for(platform, cache, depth),
        None => Err(Missing { directory: cache.to_path_buf(), problem: None }),
    }
}

fn installed_for(platform: &Platform, cache: &Path, depth: Depth) -> Result<PathBuf, Missing> {
    let directory = platform.directory(cache);
    if !directory.exists() {
        return Err(Missing { directory, problem: None });
    }
    check(platform, &directory, depth).map_err(|problem| Missing { directory, problem: Some(problem) })
}

/// Compares a directory with its manifest; the path of its library, or what is wrong.
fn check(platform: &Platform, directory: &Path, depth: Depth) -> Result<PathBuf, String> {
    let manifest = fs::read(directory.join(MANIFEST)).map_err(|e| format!("its {MANIFEST} cannot be read: {e}"))?;
    let manifest: Manifest =
        serde_json::from_slice(&manifest).map_err(|e| format!("its {MANIFEST} is damaged: {e}"))?;
    if manifest.wheel_sha256 != platform.sha256 {
        return Err("it was unpacked from another wheel".to_owned());
    }
    for file in &manifest.files {
        let path = directory.join(&file.name);
        let size = fs::metadata(&path).map_err(|e| format!("{} cannot be read: {e}", file.name))?.len();
        if size != file.size {
            return Err(format!("{} has {size} bytes, not {}", file.name, file.size));
        }
        if depth == Depth::Hashes {
            let found = sha256_of_file(&path).map_err(|e| format!("{} cannot be read: {e}", file.name))?;
            if found != file.sha256 {
                return Err(format!("{} has sha256 {found}, not {}", file.name, file.sha256));
            }
        }
    }
    let library = manifest.files.iter().find(|file| is_library(&file.name)).ok_or("it has no library")?;
    Ok(directory.join(&library.name))
}

/// Installs the pinned ONNX Runtime for this platform in `cache`, unless a whole one is there. With `offline`, nothing is fetched.
pub(super) fn install(
    cache: &Path,
    offline: bool,
    say: &mut dyn FnMut(&str),
) -> Result<(PathBuf, Outcome), RuntimeError> {
    let platform = Platform::current().ok_or_else(|| RuntimeError::UnsupportedPlatform {
        platform: format!(
            "{} {}{}",
            std::env::consts::OS,
            std::env::consts::ARCH,
            if cfg!(target_env = "musl") { " (musl)" } else { "" }
        ),
    })?;
    if offline && installed_for(platform, cache, Depth::Hashes).is_err() {
        return Err(RuntimeError::Offline { directory: platform.directory(cache) });
    }
    install_with(platform, cache, |into| pip::download(platform.tag, into), say)
}

/// [`install`], with the way in which the wheel gets into a directory.
fn install_with(
    platform: &Platform,
    cache: &Path,
    fetch: impl FnOnce(&Path) -> Result<PathBuf, RuntimeError>,
    say: &mut dyn FnMut(&str),
) -> Result<(PathBuf, Outcome), RuntimeError> {
    // First without the lock, so that a cache which an administrator filled may be read-only.
    if let Ok(library) = installed_for(platform, cache, Depth::Hashes) {
        return Ok((library, Outcome::AlreadyThere));
    }
    fs::create_dir_all(cache).map_err(RuntimeError::file("create", cache))?;
    let _lock = lock(cache, say)?;
    let outcome = match installed_for(platform, cache, Depth::Hashes) {
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

    say(&format!("fetching ONNX Runtime {PINNED_VERSION} for {} with pip (about 30 MB)", platform.name));
    let download = make_directory(work.path().join("download"))?;
    let wheel = fetch(&download)?;
    let found = sha256_of_file(&wheel).map_err(RuntimeError::file("read", &wheel))?;
    if found != platform.sha256 {
        return Err(RuntimeError::Hash { wheel: file_name(&wheel), expected: platform.sha256.to_owned(), found });
    }
    let unpacked = make_directory(work.path().join("unpacked"))?;
    unpack(&wheel, &unpacked, &found)?;

    let directory = platform.directory(cache);
    if directory.exists() {
        let aside = work.path().join("damaged");
        fs::rename(&directory, aside).map_err(RuntimeError::file("replace (is it in use?)", &directory))?;
    }
    fs::rename(&unpacked, &directory).map_err(RuntimeError::file("create", &directory))?;
    let library = check(platform, &directory, Depth::Sizes)
        .map_err(|reason| RuntimeError::Wheel { wheel: file_name(&wheel), reason })?;
    say(&format!("installed ONNX Runtime {PINNED_VERSION} in {}", directory.display()));
    Ok((library, outcome))
}

/// Held until it is dropped, or the process dies.
fn lock(cache: &Path, say: &mut dyn FnMut(&str)) -> Result<File, RuntimeError> {
    let path = cache.join("onnxruntime.lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(RuntimeError::file("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            say("another process is installing ONNX Runtime: waiting for it");
            file.lock().map_err(RuntimeError::file("lock", &path))?;
        }
        Err(TryLockError::Error(e)) => return Err(RuntimeError::file("lock", &path)(e)),
    }
    Ok(file)
}

/// Removes what killed processes left; whoever holds the lock is the only one at work. A failure costs disk space and no more.
fn remove_leftovers(cache: &Path) {
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(WORK_PREFIX)
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::debug!(path = %entry.path().display(), %error, "a leftover could not be removed");
        }
    }
}

fn make_directory(path: PathBuf) -> Result<PathBuf, RuntimeError> {
    fs::create_dir(&path).map_err(RuntimeError::file("create", &path))?;
    Ok(path)
}

/// Writes the wheel's libraries and licences into the directory `into`, without their folders, and then the manifest.
fn unpack(wheel: &Path, into: &Path, wheel_sha256: &str) -> Result<(), RuntimeError> {
    let bad = |reason: String| RuntimeError::Wheel { wheel: file_name(wheel), reason };
    let file = File::open(wheel).map_err(RuntimeError::file("open", wheel))?;
    let mut archive = ZipArchive::new(file).map_err(|e| bad(e.to_string()))?;
    let mut files = Vec::new();
    for index in 0..archive.len() {
        let mut member = archive.by_index(index).map_err(|e| bad(e.to_string()))?;
        let name = member.name().map_err(|e| bad(e.to_string()))?;
        let Some(name) = wanted(&name).map_err(bad)? else { continue };
        let path = into.join(&name);
        let mut out = File::create_new(&path).map_err(RuntimeError::file("create", &path))?;
        let (size, sha256) = copy_hashing(&mut member, &mut out).map_err(RuntimeError::file("write", &path))?;
        // What is not on the disk before the rename could be an installation of zeros after a power failure.
        out.sync_all().map_err(RuntimeError::file("write", &path))?;
        files.push(ManifestFile { name, size, sha256 });
    }
    if !files.iter().any(|file| is_library(&file.name)) {
        return Err(bad("it has no ONNX Runtime library".to_owned()));
    }
    let path = into.join(MANIFEST);
    let manifest = Manifest { wheel_sha256: wheel_sha256.to_owned(), files };
    let write = || -> io::Result<()> {
        let mut out = File::create_new(&path)?;
        serde_json::to_writer_pretty(&mut out, &manifest)?;
        out.sync_all()
    };
    write().map_err(RuntimeError::file("write", &path))
}

/// The name under which a member of the wheel is unpacked; `None` for one that is not needed. A name that could lead out of a
/// directory is an error: no official wheel has one.
fn wanted(member: &str) -> Result<Option<String>, String> {
    let plain = Path::new(member).components().all(|component| matches!(component, Component::Normal(_)));
    if !plain || member.contains(['\\', ':', '\0']) {
        return Err(format!("its member {member:?} leads out of the archive"));
    }
    let Some(name) = member.strip_prefix("onnxruntime/") else { return Ok(None) };
    let name = match name.strip_prefix("capi/") {
        Some(library) => (is_library(library) || library.contains("onnxruntime_providers_shared")).then_some(library),
        None => ["LICENSE", "ThirdPartyNotices.txt"].contains(&name).then_some(name),
    };
    Ok(name.filter(|name| !name.contains('/')).map(str::to_owned))
}

/// For a message: the directory that pip fetched into is gone when it is read.
fn file_name(wheel: &Path) -> String {
    wheel.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn sha256_of_file(path: &Path) -> io::Result<String> {
    copy_hashing(&mut File::open(path)?, &mut io::sink()).map(|(_, sha256)| sha256)
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
