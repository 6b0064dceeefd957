//! One file of gemscope's in a folder of the user's.
//!
//! In: a place, and what writes the content. Out: the file. Promises: no other file is replaced
//! unless the caller says so; the content is written piece by piece and is never in memory as a
//! whole.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Read as _, Seek as _, Write};
use std::path::Path;

use super::{OwnershipError, io_at, looked_at};
use crate::{digest, files};

/// Writes a file that must not be there yet, into a folder of the user's; one with the same content
/// may. With `adopt`, another one is replaced.
///
/// `content` writes the file. It is called again if there is a file to compare with, and writes the
/// same each time.
///
/// The file is written as `.NAME.gemscope-part` first. A part that a killed process left is gone on
/// with if it is the beginning of this content.
///
/// # Errors
/// [`OwnershipError::InTheWay`] for another file, [`OwnershipError::InUse`] if a second process
/// writes the same, and those of `content`.
pub fn write_new_file(
    path: &Path,
    adopt: bool,
    content: &dyn Fn(&mut dyn Write) -> io::Result<()>,
) -> Result<(), OwnershipError> {
    let in_the_way = |path: &Path| OwnershipError::InTheWay { path: path.to_owned(), others: 0 };
    let is_written = || match looked_at(path).map_err(io_at(path))? {
        None => Ok(false),
        Some(metadata) if metadata.is_file() => {
            let mut file = files::open_unlinked(path).map_err(io_at(path))?;
            let same = matches(&mut file, End::Here, content).map_err(io_at(path))?;
            if same || adopt { Ok(same) } else { Err(in_the_way(path)) }
        }
        Some(metadata) if adopt && !metadata.is_dir() => Ok(false),
        Some(_) => Err(in_the_way(path)),
    };
    let folder = files::folder_of(path);
    let part = folder.join(part_name(path.file_name().unwrap_or_default()));
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        let reason = io::Error::new(
            ErrorKind::IsADirectory,
            "a folder is named, and one file is written: name the file",
        );
        return Err(io_at(path)(reason));
    }
    // A second process may have been killed once the first was done: its part is still there.
    if is_written()? && looked_at(&part).map_err(io_at(&part))?.is_none() {
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(io_at(folder))?;
    let mut file = files::open_to_write(&part).map_err(io_at(&part))?;
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        return Err(OwnershipError::InUse { path: path.to_owned(), holder: None });
    }
    let is_new = file.metadata().map_err(io_at(&part))?.len() == 0;
    let begun = matches(&mut file, End::Open, content);
    if begun.is_err() && is_new {
        // It would be in the way of another content.
        let _ = fs::remove_file(&part);
    }
    if !begun.map_err(io_at(&part))? {
        if is_written()? {
            return Ok(());
        }
        if !adopt {
            return Err(in_the_way(&part));
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(io_at(&part))?;
        matches(&mut file, End::Open, content).map_err(io_at(&part))?;
    }
    file.sync_all().map_err(io_at(&part))?;
    // Another process may have been faster.
    if is_written()? { fs::remove_file(&part) } else { fs::rename(&part, path) }
        .map_err(io_at(path))
}

/// What becomes of content that a file does not reach.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// It is another file.
    Here,
    /// The rest is added.
    Open,
}

/// Whether `file` is the content, or, with [`End::Open`], the beginning of it; the rest is then
/// added.
fn matches(
    file: &mut File,
    end: End,
    content: &dyn Fn(&mut dyn Write) -> io::Result<()>,
) -> io::Result<bool> {
    let left = file.metadata()?.len();
    let mut compared = Compared { file, end, left, differs: false };
    let mut sink = BufWriter::with_capacity(1 << 16, &mut compared);
    let written = content(&mut sink).and_then(|()| sink.flush());
    // Without what a failed comparison leaves in it.
    drop(sink.into_parts());
    if compared.differs {
        return Ok(false);
    }
    written.map(|()| compared.left == 0)
}

/// A writer that compares as long as there is something to compare with.
struct Compared<'f> {
    file: &'f mut File,
    end: End,
    /// Bytes of the file that are not compared yet.
    left: u64,
    differs: bool,
}

impl Write for Compared<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.left == 0 && self.end == End::Open {
            return self.file.write(bytes);
        }
        let length = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let mut there = vec![0; length];
        self.file.read_exact(&mut there)?;
        if there != bytes[..length] || length == 0 && !bytes.is_empty() {
            self.differs = true;
            return Err(io::Error::other("another file"));
        }
        self.left -= length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The name of a file's temporary part; for a long one, there is only room for a hash of the file's
/// name.
fn part_name(name: &OsStr) -> OsString {
    const MAX_LENGTH: usize = 255;
    let mut part = OsString::from(".");
    part.push(name);
    part.push(".gemscope-part");
    if part.len() > MAX_LENGTH {
        part = format!(".{:016x}.gemscope-part", digest::number(name.as_encoded_bytes())).into();
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path, text: &str, adopt: bool) -> Result<(), OwnershipError> {
        // In pieces, some larger than what is kept back.
        write_new_file(path, adopt, &|sink| {
            text.as_bytes().chunks(100_000).try_for_each(|piece| sink.write_all(piece))
        })
    }

    #[test]
    fn a_new_file_is_written_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/a.json");
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        put(&path, "one", false).unwrap();
        put(&path, "one", false).unwrap();
        for other in ["two", "on", "one more", ""] {
            let said = put(&path, other, false);
            assert!(matches!(said, Err(OwnershipError::InTheWay { .. })), "{other}");
        }
        put(&path, "two", true).unwrap();
        let part = dir.path().join("deep/.a.json.gemscope-part");
        fs::write(&part, "tw").unwrap();
        put(&path, "two", false).unwrap();
        assert!(!part.exists(), "of a second process that was killed");
        // A killed process left a part of the same file; somebody has a file of that name.
        let other = dir.path().join("b.json");
        let part = dir.path().join(".b.json.gemscope-part");
        fs::write(&part, "th").unwrap();
        put(&other, "three", false).unwrap();
        assert_eq!((read(&path), read(&other)), ("two".into(), "three".into()));
        fs::remove_file(&other).unwrap();
        for mine in ["mine", "three and mine"] {
            fs::write(&part, mine).unwrap();
            assert!(put(&other, "three", false).is_err());
            assert_eq!(read(&part), mine);
        }
        put(&other, "three", true).unwrap();
        assert_eq!(read(&other), "three");
    }

    #[test]
    fn a_large_file_is_gone_on_with() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        let text = "0123456789".repeat(50_000);
        for length in [0, 1, 65_536, 123_456, 500_000] {
            fs::write(dir.path().join(".a.json.gemscope-part"), &text[..length]).unwrap();
            put(&path, &text, false).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "{length}");
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn what_fails_to_write_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        let failed = write_new_file(&path, false, &|sink| {
            sink.write_all(b"th")?;
            Err(io::Error::other("broken"))
        });
        assert!(failed.unwrap_err().to_string().contains("broken"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        put(&path, "three", false).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three");
    }
}
