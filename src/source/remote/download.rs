//! The bytes of a file on the web, one after the other.
//!
//! In: an address, and the first and the last byte that is wanted. Out: these bytes, to be read.
//! Promises: a download that breaks off goes on where it was, as long as the file is the same
//! (`Range` with `If-Range`); tries that bring nothing are few, and all waiting has an end; packed
//! bytes (`Content-Encoding`) are refused, so that no more come than the server says.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::address::Address;
use super::web::{Failure, Web};
use crate::http::{Response, is_timeout};

/// Tries that bring next to nothing, one after another, before a file is given up.
const MAX_FAILURES: u32 = 4;
/// The longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_secs(8);
/// Fewer bytes than this count as nothing.
const PROGRESS: u64 = 64 << 10;
/// A server that sends fewer bytes than [`PROGRESS`] in this time counts as broken off.
const SLOWEST: Duration = Duration::from_mins(2);
/// Bytes that are read again to come to where a download was, if the server gives no ranges.
const MAX_SKIPPED: u64 = 256 << 20;

/// Which bytes of a file, and how long they may take.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    /// The first byte.
    pub(super) from: u64,
    /// The byte behind the last one; the file's end without it.
    pub(super) to: Option<u64>,
    /// By when all of them must be there.
    pub(super) deadline: Option<Instant>,
    /// Whether to find out if the server gives parts of the file.
    pub(super) tries_ranges: bool,
    /// Raised once nothing is to be waited for any more.
    pub(super) stop: Option<Arc<AtomicBool>>,
}

impl Wanted {
    /// Waits, unless it is stopped or it would be later than the deadline; whether it did.
    fn wait(&self, time: Duration) -> bool {
        const STEP: Duration = Duration::from_millis(100);
        let end = Instant::now() + time;
        if self.deadline.is_some_and(|deadline| end > deadline) {
            return false;
        }
        loop {
            if self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed)) {
                return false;
            }
            match end.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => std::thread::sleep(left.min(STEP)),
                _ => return true,
            }
        }
    }
}

/// A download.
pub(super) struct Download {
    web: Arc<Web>,
    address: Arc<Address>,
    wanted: Wanted,
    /// The next byte.
    at: u64,
    /// How many bytes the file has, once it is known.
    total: Option<u64>,
    /// Whether the server gave a range.
    ranged: bool,
    tag: Tag,
    body: Option<Box<dyn Read + Send + Sync>>,
    failures: u32,
    /// The position, and when it was there: of the last failure, and of the present time slice.
    failed_at: u64,
    slice: (u64, Instant),
}

/// What tells one version of a file from the next.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tag {
    etag: Option<String>,
    modified: Option<String>,
}

impl Tag {
    fn of(response: &Response) -> Self {
        let header = |name: &str| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        Self { etag: header("etag"), modified: header("last-modified") }
    }

    /// The value of `If-Range`, which takes strong tags alone (RFC 9110, 13.1.5).
    fn if_range(&self) -> Option<&str> {
        let strong = self.etag.as_deref().filter(|etag| !etag.starts_with("W/"));
        strong.or(self.modified.as_deref())
    }

    /// Whether it is another one of another version.
    pub(super) fn tells_versions(&self) -> bool {
        self.if_range().is_some()
    }

    #[cfg(test)]
    pub(super) fn named(etag: &str) -> Self {
        Self { etag: Some(etag.to_owned()), modified: None }
    }

    /// Whether it is the same version; `None` if nothing says so.
    fn compare(&self, other: &Self) -> Option<bool> {
        let same = |a: &Option<String>, b: &Option<String>| match (a, b) {
            (Some(a), Some(b)) => Some(a == b),
            _ => None,
        };
        same(&self.etag, &other.etag).or(same(&self.modified, &other.modified))
    }

    /// Whether something says that it is another version.
    pub(super) fn differs(&self, other: &Self) -> bool {
        self.compare(other) == Some(false)
    }
}

impl Download {
    /// Asks for the bytes; returns once the first response is there.
    ///
    /// # Errors
    /// Why they are not to be had, in words.
    pub(super) fn begin(
        web: &Arc<Web>,
        address: &Arc<Address>,
        wanted: Wanted,
    ) -> Result<Self, Failure> {
        let mut download = Self {
            web: Arc::clone(web),
            address: Arc::clone(address),
            at: wanted.from,
            total: None,
            ranged: false,
            tag: Tag::default(),
            body: None,
            failures: 0,
            failed_at: wanted.from,
            slice: (wanted.from, Instant::now()),
            wanted,
        };
        while let Err(failure) = download.open() {
            download.wait_after(failure)?;
        }
        Ok(download)
    }

    /// How many bytes the file has, if the server says so.
    pub(super) fn total(&self) -> Option<u64> {
        self.total
    }

    /// Whether the server gives any part of the file.
    pub(super) fn is_ranged(&self) -> bool {
        self.ranged
    }

    /// What tells this version of the file from others.
    pub(super) fn tag(&self) -> &Tag {
        &self.tag
    }

    /// Time for which the reader, and not the server, was waited for.
    pub(super) fn excuse(&mut self, time: Duration) {
        self.wanted.deadline = self.wanted.deadline.and_then(|end| end.checked_add(time));
        self.slice.1 += time;
    }

    /// The next byte, from the beginning of the file.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Asks for what is not there yet.
    fn open(&mut self) -> Result<(), Failure> {
        let Wanted { from, to, deadline, tries_ranges, .. } = self.wanted;
        if !self.wanted.wait(self.web.pause_of(&self.address)) {
            return Err(Failure::lasting("its server asks to be left alone for too long"));
        }
        let mut headers = Vec::new();
        if self.at > 0 || to.is_some() || tries_ranges {
            let last = to.map_or_else(String::new, |to| to.saturating_sub(1).to_string());
            headers.push(("range", format!("bytes={}-{last}", self.at)));
        }
        if self.at > from
            && let Some(tag) = self.tag.if_range()
        {
            headers.push(("if-range", tag.to_owned()));
        }
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(self.too_late());
        }
        let response = self.web.get(&self.address, &headers, deadline)?;
        let tag = Tag::of(&response);
        let header =
            |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let packed = header("content-encoding").filter(|packed| !packed.trim().is_empty());
        if let Some(packed) = packed.filter(|packed| !packed.eq_ignore_ascii_case("identity")) {
            let packed: String = packed.chars().filter(char::is_ascii_graphic).take(20).collect();
            return Err(Failure::lasting(format!(
                "the server sends it packed ({packed}), which was not asked for"
            )));
        }
        if self.at > from {
            match self.tag.compare(&tag) {
                Some(true) => {}
                Some(false) => return Err(Failure::lasting(CHANGED)),
                None => return Err(Failure::lasting(UNSURE)),
            }
        }
        let length = header("content-length").and_then(|length| length.trim().parse::<u64>().ok());
        let mut skipped = 0;
        if response.status().as_u16() == 206 {
            let range = header("content-range").and_then(ContentRange::parse);
            let Some(range) = range.filter(|range| range.first == self.at) else {
                return Err(Failure::lasting("the server sends another part than was asked for"));
            };
            if range.total.is_some() && self.total.is_some() && range.total != self.total {
                return Err(Failure::lasting(CHANGED));
            }
            // Without a total, an open range ends with the file.
            let end = to.is_none().then_some(range.last + 1);
            self.total = range.total.or(self.total).or(end);
            self.ranged = true;
        } else {
            if self.total.is_some() && length.is_some() && length != self.total {
                return Err(Failure::lasting(CHANGED));
            }
            self.total = length.or(self.total);
            self.ranged = false;
            skipped = self.at;
        }
        if skipped > 0 && to.is_some() || skipped > MAX_SKIPPED {
            return Err(Failure::lasting(NO_PARTS));
        }
        if self.at == from {
            self.tag = tag;
        }
        let mut body: Box<dyn Read + Send + Sync> = Box::new(response.into_body().into_reader());
        if skipped > 0 {
            skip(&mut body, skipped)?;
        }
        self.slice = (self.at, Instant::now());
        self.body = Some(body);
        Ok(())
    }

    /// Waits before the next try; gives up after a failure that lasts, or too many.
    fn wait_after(&mut self, failure: Failure) -> Result<(), Failure> {
        self.body = None;
        let rest = self.end().map_or(u64::MAX, |end| end.saturating_sub(self.failed_at));
        if self.at - self.failed_at >= PROGRESS.min(rest / 8).max(1) {
            self.failures = 0;
        }
        self.failed_at = self.at;
        if !failure.passes {
            return Err(failure);
        }
        self.failures += 1;
        let pause = (self.web.options.pause * (1 << self.failures.min(8)) / 2).min(MAX_PAUSE);
        let pause = match failure.asked {
            Some(asked) => {
                self.web.pause_server(&self.address, asked);
                asked
            }
            None => pause,
        };
        if self.wanted.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(self.too_late());
        }
        if self.failures >= MAX_FAILURES || !self.wanted.wait(pause) {
            let tries = self.failures;
            let at = if self.at > self.wanted.from {
                let of = self.total.map_or_else(String::new, |total| format!(" of {total}"));
                format!(" at byte {}{of}", self.at)
            } else {
                String::new()
            };
            return Err(Failure::lasting(format!("{}{at} ({tries} tries)", failure.reason)));
        }
        Ok(())
    }

    fn too_late(&self) -> Failure {
        let longest = self.web.options.longest.as_secs();
        Failure::lasting(format!("was not there within {longest} s"))
    }

    /// The end of what is wanted, if it is known.
    fn end(&self) -> Option<u64> {
        match (self.wanted.to, self.total) {
            (Some(to), Some(total)) => Some(to.min(total)),
            (to, total) => to.or(total),
        }
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        loop {
            let left = self.end().map_or(u64::MAX, |end| end.saturating_sub(self.at));
            if left == 0 || buffer.is_empty() {
                return Ok(0);
            }
            let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let Some(body) = &mut self.body else {
                if let Err(failure) = self.open() {
                    self.wait_after(failure)?;
                }
                continue;
            };
            let failure = match body.read(&mut buffer[..wanted]) {
                Ok(0) if self.end().is_none() => return Ok(0),
                Ok(0) => Failure::passing("the download broke off"),
                Ok(read) => {
                    self.at += read as u64;
                    let (from, since) = self.slice;
                    if self.at - from >= PROGRESS {
                        self.slice = (self.at, Instant::now());
                    } else if since.elapsed() > SLOWEST {
                        self.wait_after(Failure::passing("the server sends next to nothing"))?;
                    }
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Failure::passing(words(&error)),
            };
            self.wait_after(failure)?;
        }
    }
}

/// Reads what is there already.
fn skip(body: &mut impl Read, bytes: u64) -> Result<(), Failure> {
    /// At the slowest that counts as sending.
    const LONGEST: Duration = Duration::from_mins(10);
    let began = Instant::now();
    let mut left = bytes;
    while left > 0 {
        let read = io::copy(&mut body.take(left.min(PROGRESS)), &mut io::sink());
        match read.map_err(|error| Failure::passing(words(&error)))? {
            0 => return Err(Failure::passing("the download broke off")),
            read => left -= read,
        }
        if began.elapsed() > LONGEST {
            return Err(Failure::lasting("the server sends next to nothing"));
        }
    }
    Ok(())
}

/// The reason if a file is another one than it was when its first bytes came.
pub(super) const CHANGED: &str = "was changed on its server while it was read";

/// The reason if only whole files are to be had.
pub(super) const NO_PARTS: &str = "the server gives no parts of files (Range)";

/// The reason if nothing says whether a file is still the same.
pub(super) const UNSURE: &str = "broke off, and its server does not say if it is the same file now";

/// A broken connection in words.
fn words(error: &io::Error) -> String {
    if is_timeout(error) {
        "the server stopped sending".to_owned()
    } else {
        format!("the download broke off: {error}")
    }
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_some(buffer).map_err(|failure| io::Error::other(failure.reason))
    }
}

/// `bytes 0-99/1234`.
#[derive(Debug, PartialEq, Eq)]
struct ContentRange {
    first: u64,
    last: u64,
    total: Option<u64>,
}

impl ContentRange {
    fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.trim().strip_prefix("bytes")?.trim().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        let total = total.trim().parse().ok();
        (first <= last && total.is_none_or(|total| last < total)).then_some(Self {
            first,
            last,
            total,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        let range = |first, last, total| Some(ContentRange { first, last, total });
        assert_eq!(ContentRange::parse("bytes 0-99/1234"), range(0, 99, Some(1234)));
        assert_eq!(ContentRange::parse("bytes 5-9/*"), range(5, 9, None));
        for wrong in ["", "bytes */9", "bytes 9-5/10", "bytes 0-9/9", "items 0-1/9", "bytes 0-1"] {
            assert_eq!(ContentRange::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn versions_are_told_apart() {
        let tag = |etag: Option<&str>, modified: Option<&str>| Tag {
            etag: etag.map(str::to_owned),
            modified: modified.map(str::to_owned),
        };
        let known = tag(Some("\"1\""), Some("Mon"));
        assert_eq!(known.if_range(), Some("\"1\""));
        assert_eq!(tag(Some("W/\"1\""), Some("Mon")).if_range(), Some("Mon"));
        let same = known.compare(&tag(Some("\"1\""), Some("Tue")));
        assert_eq!(same, Some(true), "the tag decides");
        assert!(known.differs(&tag(Some("\"2\""), Some("Mon"))));
        assert!(known.differs(&tag(None, Some("Tue"))));
        assert_eq!(known.compare(&Tag::default()), None);
    }
}
