//! A file on the web as one that can be sought in.
//!
//! In: a download from a server that gives parts of files. Out: its bytes, from wherever they are
//! asked for. Promises: short ways forward are read through, since a request takes longer; what is
//! in the buffer is not asked for twice.

use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::sync::Arc;

use super::address::Address;
use super::download::{Download, Tag, Wanted};
use super::web::Web;

/// Bytes in the buffer.
const BLOCK: usize = 64 << 10;
/// A way forward that is read through.
const READ_THROUGH: u64 = 1 << 20;

/// A file, and a position in it.
pub(super) struct Ranged {
    web: Arc<Web>,
    address: Arc<Address>,
    size: u64,
    tag: Tag,
    /// How many bytes it may still read.
    budget: u64,
    at: u64,
    /// Bytes of the file from `start` on.
    block: Vec<u8>,
    start: u64,
    /// Behind the block, or anywhere after a long way.
    download: Option<Download>,
}

impl Ranged {
    /// The file of `size` bytes of which `download` has given none yet.
    pub(super) fn of(
        web: &Arc<Web>,
        address: &Arc<Address>,
        size: u64,
        budget: u64,
        download: Download,
    ) -> Self {
        Self {
            tag: download.tag().clone(),
            budget,
            web: Arc::clone(web),
            address: Arc::clone(address),
            size,
            at: 0,
            block: Vec::new(),
            start: 0,
            download: Some(download),
        }
    }

    /// The download, at the position.
    fn download(&mut self) -> io::Result<&mut Download> {
        let near = self
            .download
            .take()
            .filter(|download| download.at() <= self.at && self.at - download.at() <= READ_THROUGH);
        let mut download = if let Some(download) = near {
            download
        } else {
            let wanted = Wanted { from: self.at, tries_ranges: true, ..Wanted::default() };
            Download::begin(&self.web, &self.address, wanted)
                .map_err(|failure| io::Error::other(failure.reason))?
        };
        let skipped = self.at - download.at();
        io::copy(&mut (&mut download).take(skipped), &mut io::sink())?;
        if download.at() != self.at
            || download.total().is_some_and(|total| total != self.size)
            || download.tag().differs(&self.tag)
        {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(self.download.insert(download))
    }
}

impl BufRead for Ranged {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let end = self.start + self.block.len() as u64;
        if self.at < self.start || self.at >= end {
            self.block.clear();
            self.start = self.at;
            if self.at < self.size {
                let mut block = std::mem::take(&mut self.block);
                self.download()?.take(BLOCK as u64).read_to_end(&mut block)?;
                let read = block.len() as u64;
                self.block = block;
                self.budget = self.budget.checked_sub(read).ok_or_else(|| {
                    io::Error::other("its directory is larger than any archive's of images")
                })?;
            }
        }
        Ok(&self.block[(self.at - self.start) as usize..])
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount as u64;
    }
}

impl Read for Ranged {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl Seek for Ranged {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (from, by) = match to {
            SeekFrom::Start(at) => (at, 0),
            SeekFrom::Current(by) => (self.at, by),
            SeekFrom::End(by) => (self.size, by),
        };
        self.at = from.checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
