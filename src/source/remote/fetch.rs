//! Files on the web, and archives there.
//!
//! In: an address that was named. Out: the bytes of its file, or of one file in its archive.
//! Promises: a file of more bytes than allowed is refused before it is read if its server says so,
//! and while it is read otherwise; an archive is read where it lies, if its server gives parts of
//! it, or else from a temporary file, of which there are never more bytes than allowed.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::address::Address;
use super::download::{CHANGED, Download, NO_PARTS, Tag, UNSURE, Wanted};
use super::lists;
use super::options::WebOptions;
use super::ranged::Ranged;
use super::web::{Failure, Web};
use crate::source::archive::{self, Listing, Span};
use crate::source::content::{Content, behind_header, unpacked};

/// The most bytes of the directory of a zip that is read where it lies.
const MAX_DIRECTORY: u64 = 1 << 30;
/// How often a file is begun anew.
const MAX_ANEW: usize = 3;
/// The longest that the list of an archive may take.
const LONGEST_LIST: Duration = Duration::from_hours(6);
/// Bytes that are read at a time.
const CHUNK: u64 = 256 << 10;

/// What the addresses of one source share.
#[derive(Debug, Clone)]
pub(in crate::source) struct Fetcher {
    web: Arc<Web>,
    /// Bytes in temporary files.
    temporary: Arc<AtomicU64>,
    /// Told what takes long.
    say: Option<fn(&str)>,
}

impl Fetcher {
    pub(in crate::source) fn new(options: WebOptions, say: Option<fn(&str)>) -> Self {
        Self { web: Arc::new(Web::new(options)), temporary: Arc::default(), say }
    }

    /// The file at `address`. Nothing is asked yet.
    pub(in crate::source) fn file(&self, address: Address) -> RemoteFile {
        let (kept, listed, bringing) = (OnceLock::new(), OnceLock::new(), Mutex::default());
        RemoteFile { fetcher: self.clone(), address: Arc::new(address), kept, bringing, listed }
    }
}

/// A file at an address.
pub struct RemoteFile {
    fetcher: Fetcher,
    address: Arc<Address>,
    /// The temporary file that it was brought into.
    kept: OnceLock<Mutex<File>>,
    /// Held while it is brought, and not as it was listed.
    bringing: Mutex<()>,
    /// The version of the archive that was listed.
    listed: OnceLock<Tag>,
}

/// One address is one file.
impl PartialEq for RemoteFile {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}

impl Eq for RemoteFile {}

impl fmt::Debug for RemoteFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// Who waits for a download.
pub(super) struct Waiting<'w> {
    /// Counts bytes that are held; `false` ends the download.
    pub(super) count: &'w mut dyn FnMut(u64) -> bool,
    /// Raised once nothing is to be waited for any more.
    pub(super) stop: Option<Arc<AtomicBool>>,
}

impl RemoteFile {
    /// Its name in records.
    pub fn name(&self) -> &str {
        self.address.name()
    }

    fn options(&self) -> &WebOptions {
        &self.fetcher.web.options
    }

    fn deadline(&self) -> Option<Instant> {
        Instant::now().checked_add(self.options().longest)
    }

    /// The bytes of the file, or of a part of it.
    ///
    /// # Errors
    /// Why they are not to be had, in words.
    pub(in crate::source) fn open(&self, span: Option<Span>) -> Result<Content, String> {
        self.fetch(span, &mut Waiting { count: &mut |_| true, stop: None })
    }

    /// [`Self::open`], with bytes that are counted.
    pub(super) fn fetch(
        &self,
        span: Option<Span>,
        waiting: &mut Waiting<'_>,
    ) -> Result<Content, String> {
        let bytes = match span {
            None => self.whole(waiting),
            Some(span) => {
                let most = self.options().max_bytes;
                if span.size > most {
                    return Err(too_large(Some(span.size), most));
                }
                self.part(span, waiting)
            }
        };
        bytes.map(Content::of_bytes).map_err(|failure| failure.reason)
    }

    /// All bytes of the file.
    fn whole(&self, waiting: &mut Waiting<'_>) -> Result<Vec<u8>, Failure> {
        let most = self.options().max_bytes;
        let (deadline, stop) = (self.deadline(), waiting.stop.clone());
        let wanted = Wanted { deadline, stop, ..Wanted::default() };
        let begin = || Download::begin(&self.fetcher.web, &self.address, wanted.clone());
        let mut download = begin()?;
        let mut bytes = Vec::new();
        let mut times = 0;
        loop {
            let total = download.total();
            if total.is_some_and(|total| total > most) {
                return Err(Failure::lasting(too_large(total, most)));
            }
            match read_counted(&mut download, &mut bytes, most, waiting) {
                // From the beginning, it may come whole.
                Err(failure)
                    if times < MAX_ANEW && [CHANGED, UNSURE].contains(&&*failure.reason) =>
                {
                    times += 1;
                    bytes.clear();
                    download = begin()?;
                }
                read => return read.map(|()| bytes),
            }
        }
    }

    /// The bytes of a part of an archive, unpacked.
    fn part(&self, span: Span, waiting: &mut Waiting<'_>) -> Result<Vec<u8>, Failure> {
        /// Room for a name and more behind the header of a zip's entry.
        const HEADER: u64 = 30 + 1024;
        let Some(packed) = span.packed else {
            let bytes = self.range(span.offset, span.size, waiting)?;
            let is_whole = bytes.len() as u64 == span.size;
            return if is_whole { Ok(bytes) } else { Err(Failure::lasting("is cut off")) };
        };
        if packed.bytes > self.options().max_bytes {
            return Err(Failure::lasting(too_large(Some(packed.bytes), self.options().max_bytes)));
        }
        let mut bytes = self.range(span.offset, packed.bytes + HEADER, waiting)?;
        let wrong = |error: io::Error| Failure::lasting(format!("cannot be read: {error}"));
        let start = behind_header(&mut Cursor::new(&bytes), 0).map_err(wrong)?;
        let needed = start.saturating_add(packed.bytes);
        if let Some(more) = needed.checked_sub(bytes.len() as u64).filter(|more| *more > 0) {
            bytes.extend(self.range(span.offset + bytes.len() as u64, more, waiting)?);
        }
        if !(waiting.count)(span.size) {
            return Err(stopped());
        }
        let raw = bytes.get(start as usize..needed as usize);
        let raw = raw.ok_or_else(|| Failure::lasting("is cut off"))?;
        unpacked(raw, packed, span.size).map_err(wrong)
    }

    fn range(&self, from: u64, length: u64, waiting: &mut Waiting<'_>) -> Result<Vec<u8>, Failure> {
        if length == 0 {
            return Ok(Vec::new());
        }
        let mut bytes = Vec::new();
        if let Some(kept) = self.kept.get() {
            if !(waiting.count)(length) {
                return Err(stopped());
            }
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let read = kept.seek(SeekFrom::Start(from));
            let read = read.and_then(|_| (&mut *kept).take(length).read_to_end(&mut bytes));
            let wrong = |error| Failure::lasting(format!("the temporary file: {error}"));
            return read.map(|_| bytes).map_err(wrong);
        }
        let deadline = self.deadline();
        let to = from.checked_add(length).ok_or_else(|| Failure::lasting("is cut off"))?;
        let stop = waiting.stop.clone();
        let wanted = Wanted { from, to: Some(to), deadline, tries_ranges: true, stop };
        let mut download = match Download::begin(&self.fetcher.web, &self.address, wanted) {
            Ok(download) if download.is_ranged() => download,
            Err(failure) if failure.reason != NO_PARTS => return Err(failure),
            Ok(_) | Err(_) => {
                self.bring_listed(waiting)?;
                return self.range(from, length, waiting);
            }
        };
        if self.listed.get().is_some_and(|listed| listed.differs(download.tag())) {
            return Err(Failure::lasting("was changed on its server since it was listed"));
        }
        read_counted(&mut download, &mut bytes, length, waiting)?;
        Ok(bytes)
    }

    /// What the archive at the address holds. A zip is read where it lies, if its server gives
    /// parts of it; a tar, and any other archive, is brought into a temporary file, if there is
    /// room for it.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    pub(in crate::source) fn list(&self) -> Result<Listing, String> {
        let web = &self.fetcher.web;
        if !self.options().archives {
            return Err("an archive on the web is not watched".to_owned());
        }
        let deadline = Instant::now().checked_add(LONGEST_LIST);
        let wanted = Wanted { deadline, tries_ranges: true, ..Wanted::default() };
        let download =
            Download::begin(web, &self.address, wanted).map_err(|failure| failure.reason)?;
        let _ = self.listed.set(download.tag().clone());
        let is_zip = archive::has_extension(Path::new(self.address.path()), "zip");
        let known = self.options().lists.as_deref().zip(download.total()).filter(|_| !is_zip);
        let known = known.map(|(folder, bytes)| (folder.to_owned(), bytes));
        let tag = download.tag().clone();
        if let Some((folder, bytes)) = &known
            && let Some(listing) = lists::read(folder, self.name(), &tag, *bytes)
        {
            return Ok(listing);
        }
        let size = download.total().filter(|_| download.is_ranged());
        let room = self.options().max_temporary;
        let free = room.saturating_sub(self.fetcher.temporary.load(Ordering::Relaxed));
        let listing = match size {
            Some(size) if is_zip || size > free => {
                let budget = if is_zip { MAX_DIRECTORY } else { u64::MAX };
                let ranged = Ranged::of(web, &self.address, size, budget, download);
                archive::list_in(ranged, is_zip)
            }
            _ => {
                let kept = self.bring(download)?;
                let listing = archive::list_in(BufReader::new(&kept), is_zip);
                // Nobody lists a file twice at a time.
                let _ = self.kept.set(Mutex::new(kept));
                listing
            }
        };
        let listing = listing.map_err(|error| error.to_string())?;
        if let Some((folder, bytes)) = known {
            lists::write(&folder, self.name(), &tag, bytes, &listing);
        }
        Ok(listing)
    }

    /// Brings an archive whose list was known, for what is read of it.
    fn bring_listed(&self, waiting: &Waiting<'_>) -> Result<(), Failure> {
        let _one = self.bringing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.kept.get().is_some() {
            return Ok(());
        }
        let deadline = Instant::now().checked_add(LONGEST_LIST);
        let wanted = Wanted { deadline, stop: waiting.stop.clone(), ..Wanted::default() };
        let download = Download::begin(&self.fetcher.web, &self.address, wanted)?;
        if self.listed.get().is_some_and(|listed| listed.differs(download.tag())) {
            return Err(Failure::lasting("was changed on its server since it was listed"));
        }
        let kept = self.bring(download).map_err(Failure::lasting)?;
        // The lock is held.
        let _ = self.kept.set(Mutex::new(kept));
        Ok(())
    }

    /// Brings the file into a temporary one.
    fn bring(&self, mut download: Download) -> Result<File, String> {
        let room = self.options().max_temporary;
        if let Some(say) = self.fetcher.say {
            let size = download
                .total()
                .map_or_else(String::new, |size| format!(" ({:.1} MB)", size as f64 / 1e6));
            say(&format!("{}{size} is fetched as a whole into a temporary file", self.name()));
        }
        let failed = |error: &io::Error| format!("the temporary file: {error}");
        let mut file = tempfile::tempfile().map_err(|error| failed(&error))?;
        let mut chunk = Vec::new();
        let mut brought = 0;
        let result = loop {
            chunk.clear();
            match (&mut download).take(CHUNK).read_to_end(&mut chunk) {
                Ok(0) => break Ok(()),
                Ok(_) => {}
                Err(error) => break Err(error.to_string()),
            }
            let more = chunk.len() as u64;
            let before = self.fetcher.temporary.fetch_add(more, Ordering::Relaxed);
            brought += more;
            if before + more > room {
                break Err(format!(
                    "the server gives no parts of it (Range), and archives may fill {} MB of \
                     temporary files: fetch it first",
                    room >> 20
                ));
            }
            if let Err(error) = file.write_all(&chunk) {
                break Err(failed(&error));
            }
        };
        if let Err(reason) = result {
            self.fetcher.temporary.fetch_sub(brought, Ordering::Relaxed);
            return Err(reason);
        }
        file.rewind().map_err(|error| failed(&error))?;
        Ok(file)
    }
}

/// Reads on into `bytes`, up to `most` of them.
fn read_counted(
    download: &mut Download,
    bytes: &mut Vec<u8>,
    most: u64,
    waiting: &mut Waiting<'_>,
) -> Result<(), Failure> {
    loop {
        let read = (&mut *download).take(CHUNK).read_to_end(bytes);
        let read = read.map_err(|error| Failure::lasting(error.to_string()))?;
        if bytes.len() as u64 > most {
            return Err(Failure::lasting(too_large(None, most)));
        }
        if read == 0 {
            return Ok(());
        }
        let began = Instant::now();
        if !(waiting.count)(read as u64) {
            return Err(stopped());
        }
        download.excuse(began.elapsed());
    }
}

fn stopped() -> Failure {
    Failure::lasting("was stopped")
}

fn too_large(size: Option<u64>, most: u64) -> String {
    let size = size.map_or_else(|| "more bytes".to_owned(), |size| format!("{size} bytes"));
    format!("has {size}, and {most} are the limit (`max_bytes`)")
}
