//! Lists of tars on the web that were brought once.
//!
//! In: the name of a tar, and what its server says of its version. Out: what it holds, if that is
//! known. Promises: a list is of the version that the server has now, or there is none; without a
//! tag or a time of change no list is kept; a list that cannot be read, or written, is none.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::download::Tag;
use crate::digest;
use crate::files;
use crate::source::archive::{Listing, Span};
use crate::source::passed_over::PassedOver;

/// Longer lists are made anew.
const MOST_BYTES: u64 = 256 << 20;

/// The first byte and the number of bytes, or why there are none.
type KeptPlace = Result<(u64, u64), String>;

/// A list as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    tar: String,
    tag: Tag,
    bytes: u64,
    /// Name and place.
    entries: Vec<(String, KeptPlace)>,
    others: PassedOver,
}

/// The list of the tar of that name and version.
pub(super) fn read(folder: &Path, tar: &str, tag: &Tag, bytes: u64) -> Option<Listing> {
    let file = place(folder, tar);
    if !tag.tells_versions() || fs::metadata(&file).ok()?.len() > MOST_BYTES {
        return None;
    }
    let kept: Kept = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    if kept.tar != tar || kept.tag != *tag || kept.bytes != bytes {
        return None;
    }
    let span = |(offset, size)| Span::plain(offset, size);
    let entries = kept.entries.into_iter().map(|(name, place)| (name, place.map(span))).collect();
    Some(Listing { entries, others: kept.others, broken: None })
}

/// Keeps the list of a tar, unless it may lack something.
pub(super) fn write(folder: &Path, tar: &str, tag: &Tag, bytes: u64, listing: &Listing) {
    if listing.broken.is_some() || !tag.tells_versions() {
        return;
    }
    let span = |span: &Span| (span.offset, span.size);
    let entries = listing.entries.iter();
    let kept = Kept {
        tar: tar.to_owned(),
        tag: tag.clone(),
        bytes,
        entries: entries
            .map(|(name, place)| (name.clone(), place.as_ref().map(span).map_err(Clone::clone)))
            .collect(),
        others: listing.others.clone(),
    };
    let written = serde_json::to_vec(&kept).map_err(Into::into).and_then(|kept| {
        fs::create_dir_all(folder)?;
        files::replace(&place(folder, tar), &kept)
    });
    if let Err(error) = written {
        tracing::info!("the list of {tar} is not kept: {error}");
    }
}

fn place(folder: &Path, tar: &str) -> PathBuf {
    folder.join(format!("{}.json", digest::hex(tar.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_of_one_version() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("lists");
        let tag = |etag: &str| Tag::named(etag);
        let mut listing = Listing::default();
        listing.entries.insert("a.png".to_owned(), Ok(Span::plain(512, 7)));
        listing.entries.insert("../b.png".to_owned(), Err("its path leaves".to_owned()));
        listing.others.count(Path::new("x.txt"), true);
        write(&folder, "https://h/a.tar", &tag("\"1\""), 2048, &listing);
        let read = |name: &str, tag: &Tag, bytes| read(&folder, name, tag, bytes);
        let found = read("https://h/a.tar", &tag("\"1\""), 2048).unwrap();
        assert_eq!(
            (found.entries, found.others),
            (listing.entries.clone(), listing.others.clone())
        );
        assert!(read("https://h/a.tar", &tag("\"2\""), 2048).is_none());
        assert!(read("https://h/a.tar", &tag("\"1\""), 2049).is_none());
        assert!(read("https://h/b.tar", &tag("\"1\""), 2048).is_none());
        // Nothing tells this version from the next.
        write(&folder, "https://h/c.tar", &Tag::default(), 2048, &listing);
        assert!(read("https://h/c.tar", &Tag::default(), 2048).is_none());
        let broken = Listing { broken: Some("it breaks off".to_owned()), ..listing };
        write(&folder, "https://h/d.tar", &tag("\"1\""), 2048, &broken);
        assert!(read("https://h/d.tar", &tag("\"1\""), 2048).is_none());
    }
}
