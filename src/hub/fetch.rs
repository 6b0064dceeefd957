//! Fetching files into the cache.
//!
//! In: a listing, and the files that are wanted. Out: the folder of the snapshot. Promises: a file
//! that is there is hashed before it is used, and fetched again if it is damaged; a partial file is
//! continued; one process at a time writes a file; a file appears under its name complete, by one
//! rename, after its hash was compared.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::cache::{self, Paths};
use super::client::Hub;
use super::hash::Hasher;
use super::retry::pause;
use super::{FetchObserver, HubError, HubFile, Listing, in_words};
use crate::files;

/// The outcome for one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// It was there, and has the right hash.
    AlreadyThere,
    /// It was fetched.
    Fetched,
    /// The rest of it was fetched.
    Resumed,
    /// A file with other bytes was there, and was replaced.
    Repaired,
}

impl Hub {
    /// Brings `wanted` files of `listing` into the cache; the folder of its snapshot.
    ///
    /// # Errors
    /// [`HubError`]. What was fetched stays, and the same call goes on there.
    pub fn fetch(
        &self,
        listing: &Listing,
        wanted: &[&HubFile],
        observer: &dyn FetchObserver,
    ) -> Result<(PathBuf, Vec<Fetched>), HubError> {
        let options = &self.options;
        let paths = Paths::of(&options.cache, &listing.id.repository);
        let total: u64 = wanted.iter().map(|file| file.size).sum();
        let there: Vec<u64> =
            wanted.iter().map(|file| bytes_there(&paths, &listing.commit, file)).collect();
        let mut there_now: u64 = there.iter().sum();
        let needed = total - there_now;
        let free = (options.free_bytes)(&options.cache).map_err(HubError::io(&options.cache))?;
        let count = wanted.len();
        let of = format!("{} ({count} files, {})", listing.id, in_words(total));
        observer.say(&match needed {
            0 => format!("{of} is in {}; its hashes are compared.", options.cache.display()),
            _ => format!(
                "{of}: {} to fetch into {}, where {} is free.",
                in_words(needed),
                options.cache.display(),
                in_words(free)
            ),
        });
        if needed > free {
            return Err(HubError::NoRoom { needed, free, cache: options.cache.clone() });
        }
        cache::tag(&options.cache).map_err(HubError::io(&options.cache))?;
        observer.begun(total, there_now);
        let mut outcomes = Vec::new();
        for (file, counted) in wanted.iter().zip(&there) {
            let others = there_now - counted;
            let work = Work { hub: self, listing, paths: &paths, file, others, observer };
            match work.do_it() {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) => {
                    observer.ended();
                    return Err(error);
                }
            }
            there_now = others + file.size;
            observer.at(there_now);
        }
        observer.ended();
        Ok((paths.snapshot(&listing.commit), outcomes))
    }

    /// Keeps which commit the revision is, once all that is wanted of it is there.
    ///
    /// # Errors
    /// [`HubError::Io`].
    pub fn keep_revision(&self, listing: &Listing) -> Result<(), HubError> {
        Paths::of(&self.options.cache, &listing.id.repository)
            .keep_reference(&listing.id, &listing.commit)
    }
}

/// Bytes of a file that seem to be there, judged by lengths.
fn bytes_there(paths: &Paths, commit: &str, file: &HubFile) -> u64 {
    let length = |path: PathBuf| {
        fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|metadata| metadata.len())
    };
    let whole = [paths.blob(file), paths.pointer(commit, file)].map(length);
    if whole.contains(&Some(file.size)) {
        return file.size;
    }
    length(paths.partial(file)).filter(|length| *length <= file.size).unwrap_or(0)
}

/// One file on its way into the cache.
struct Work<'f> {
    hub: &'f Hub,
    listing: &'f Listing,
    paths: &'f Paths,
    file: &'f HubFile,
    /// Bytes of other files that are there.
    others: u64,
    observer: &'f dyn FetchObserver,
}

/// The bytes that are there of a file, and their hash.
struct Partial {
    file: File,
    hasher: Hasher,
    length: u64,
}

impl Work<'_> {
    fn do_it(&self) -> Result<Fetched, HubError> {
        let (paths, file) = (self.paths, self.file);
        let (blob, pointer) = (paths.blob(file), paths.pointer(&self.listing.commit, file));
        for path in [&blob, &pointer] {
            let folder = files::folder_of(path);
            fs::create_dir_all(folder).map_err(HubError::io(folder))?;
        }
        let lock = paths.lock(file, |line| self.observer.say(line))?;
        let mut repaired = false;
        for path in [&blob, &pointer] {
            // A link of the snapshot leads to the blob, or will.
            if !path.exists() || path == &pointer && path.is_symlink() {
                continue;
            }
            match self.wrong(path)? {
                None => {
                    if path != &pointer {
                        self.point(&blob, &pointer, false)?;
                    }
                    return Ok(Fetched::AlreadyThere);
                }
                Some(wrong) => {
                    repaired = true;
                    self.observer.say(&format!("{wrong}. It is fetched again."));
                }
            }
        }
        let resumed = self.fetch()?;
        let partial = paths.partial(file);
        fs::rename(&partial, &blob).map_err(HubError::io(&blob))?;
        self.point(&blob, &pointer, true)?;
        drop(lock);
        Ok(match (repaired, resumed) {
            (true, _) => Fetched::Repaired,
            (false, true) => Fetched::Resumed,
            (false, false) => Fetched::Fetched,
        })
    }

    /// The fault of a file that is there; `None` if it is whole.
    fn wrong(&self, path: &Path) -> Result<Option<HubError>, HubError> {
        let opened = files::open(path).map_err(HubError::io(path))?;
        let length = opened.metadata().map_err(HubError::io(path))?.len();
        if length != self.file.size {
            return Ok(Some(self.wrong_size(length)));
        }
        let mut hasher = Hasher::of(&self.file.hash, self.file.size);
        hasher.read(opened).map_err(HubError::io(path))?;
        Ok(self.wrong_hash(&hasher.finish()))
    }

    fn wrong_size(&self, length: u64) -> HubError {
        HubError::WrongContent {
            path: self.file.path.clone(),
            what: "its bytes are",
            found: length.to_string(),
            expected: self.file.size.to_string(),
        }
    }

    fn wrong_hash(&self, found: &str) -> Option<HubError> {
        let (path, hash) = (self.file.path.clone(), &self.file.hash);
        let wrong = found != hash.as_str();
        wrong.then(|| HubError::WrongContent {
            path,
            what: hash.kind(),
            found: found.to_owned(),
            expected: hash.as_str().to_owned(),
        })
    }

    /// Brings all bytes into the partial file, and compares their hash. Whether some were there.
    fn fetch(&self) -> Result<bool, HubError> {
        let path = self.paths.partial(self.file);
        let io = || HubError::io(&path);
        let mut part = self.open(&path)?;
        let resumed = part.length > 0;
        let mut may_repeat = resumed;
        loop {
            self.complete(&mut part, &path)?;
            part.file.sync_all().map_err(io())?;
            let hasher =
                std::mem::replace(&mut part.hasher, Hasher::of(&self.file.hash, self.file.size));
            let Some(wrong) = self.wrong_hash(&hasher.finish()) else { return Ok(resumed) };
            // A partial file of an earlier process may be of another version; a complete one is not
            // fetched twice.
            self.restart(&mut part, &path)?;
            if !std::mem::take(&mut may_repeat) {
                drop(part);
                fs::remove_file(&path).map_err(io())?;
                return Err(wrong);
            }
            self.observer.say(&format!("{wrong}. It is fetched again from its first byte."));
        }
    }

    fn open(&self, path: &Path) -> Result<Partial, HubError> {
        let mut file = files::open_to_write(path).map_err(HubError::io(path))?;
        let mut hasher = Hasher::of(&self.file.hash, self.file.size);
        let length = hasher.read(&mut file).map_err(HubError::io(path))?;
        let mut part = Partial { file, hasher, length };
        if length > self.file.size {
            self.restart(&mut part, path)?;
        }
        Ok(part)
    }

    /// Throws away the bytes that are there.
    fn restart(&self, part: &mut Partial, path: &Path) -> Result<(), HubError> {
        part.file.set_len(0).map_err(HubError::io(path))?;
        part.file.seek(SeekFrom::Start(0)).map_err(HubError::io(path))?;
        part.hasher = Hasher::of(&self.file.hash, self.file.size);
        part.length = 0;
        self.observer.at(self.others);
        Ok(())
    }

    /// Asks until all bytes are there.
    fn complete(&self, part: &mut Partial, path: &Path) -> Result<(), HubError> {
        let (mut failures, mut most) = (0, part.length);
        while part.length < self.file.size {
            let Err(error) = self.go_on(part, path) else { continue };
            if part.length > most {
                (failures, most) = (0, part.length);
            } else {
                failures += 1;
            }
            let Some(wait) = pause(&error, failures) else {
                return Err(match error {
                    HubError::Cut { path, there, size, reason, .. } => {
                        HubError::Cut { path, times: failures, there, size, reason }
                    }
                    error => error,
                });
            };
            tracing::info!(path = self.file.path, there = part.length, %error, "asked again");
            if wait.as_secs() > 2 {
                self.observer.say(&format!(
                    "{}: waiting {} seconds.",
                    self.file.path,
                    wait.as_secs()
                ));
            }
            std::thread::sleep(wait);
        }
        Ok(())
    }

    /// One request: takes what it brings.
    fn go_on(&self, part: &mut Partial, path: &Path) -> Result<(), HubError> {
        let Listing { id, commit, .. } = self.listing;
        let escaped: Vec<_> = self.file.path.split('/').map(crate::percent::segment).collect();
        let url =
            self.hub.url(&format!("/{}/resolve/{commit}/{}", id.repository, escaped.join("/")))?;
        let from = Some(part.length).filter(|length| *length > 0);
        let (response, _) = match self.hub.get(id, &url, from) {
            // Nothing behind the bytes that are there: they are not of this file.
            Err(HubError::Status { status: 416, .. }) if from.is_some() => {
                return self.restart(part, path);
            }
            response => response?,
        };
        let header = |name: &str| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
        };
        if header("content-type").starts_with("text/html") && !self.file.path.ends_with("html") {
            return Err(HubError::NoHub {
                url: url.to_string(),
                reason: "a web page in place of a file".to_owned(),
            });
        }
        let starts_there = header("content-range").starts_with(&format!("bytes {}-", part.length));
        if from.is_some() && !(response.status().as_u16() == 206 && starts_there) {
            // A server that knows no ranges sends all of it.
            self.restart(part, path)?;
            if response.status().as_u16() == 206 {
                return Ok(());
            }
        }
        let cut = |part: &Partial, reason: String| HubError::Cut {
            path: self.file.path.clone(),
            times: 1,
            there: part.length,
            size: self.file.size,
            reason,
        };
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 256 << 10];
        while part.length < self.file.size {
            let read = match body.read(&mut buffer) {
                Ok(0) => return Err(cut(part, "it ended early".to_owned())),
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(cut(part, error.to_string())),
            };
            if part.length + read as u64 > self.file.size {
                return Err(self.wrong_size(part.length + read as u64));
            }
            part.file.write_all(&buffer[..read]).map_err(HubError::io(path))?;
            part.hasher.update(&buffer[..read]);
            part.length += read as u64;
            self.observer.at(self.others + part.length);
        }
        Ok(())
    }

    /// Has the snapshot point to the blob. Without links a new blob moves there, and one that was
    /// there, which other snapshots may link to, is copied: as Python does it.
    fn point(&self, blob: &Path, pointer: &Path, is_new: bool) -> Result<(), HubError> {
        let link = Paths::link(self.file);
        if fs::read_link(pointer).is_ok_and(|there| there == link) {
            return Ok(());
        }
        if self.hub.options.links && linked(&link, pointer).is_ok() {
            return Ok(());
        }
        if !is_new && pointer.exists() && self.wrong(pointer)?.is_none() {
            return Ok(());
        }
        if is_new {
            return fs::rename(blob, pointer).map_err(HubError::io(pointer));
        }
        let copy = files::temporary(0o666)
            .tempfile_in(files::folder_of(pointer))
            .map_err(HubError::io(pointer))?;
        fs::copy(blob, copy.path()).map_err(HubError::io(pointer))?;
        copy.persist(pointer)
            .map_err(|error| HubError::Io { path: pointer.to_owned(), error: error.error })?;
        Ok(())
    }
}

/// Makes a link under a name of its own first, so that a reader finds the old file or the new one.
#[cfg(any(unix, windows))]
fn linked(target: &Path, at: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    let make = |path: &Path| std::os::unix::fs::symlink(target, path);
    #[cfg(windows)]
    let make = |path: &Path| {
        let target: PathBuf = target.components().collect();
        std::os::windows::fs::symlink_file(target, path)
    };
    let folder = files::folder_of(at);
    let made = tempfile::Builder::new().prefix(files::TEMPORARY).make_in(folder, make)?;
    made.persist(at).map_err(|error| error.error)?;
    Ok(())
}
