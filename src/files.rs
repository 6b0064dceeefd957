//! Reading and writing files.
//!
//! In: paths. Out: bytes and texts that a user gave; files that are whole or not there. Promises: a
//! FIFO, a device or an endless file is refused and never waited for; a text is the same whether an
//! editor wrote it as UTF-8 with a byte order mark or as UTF-16.
//!
//! ```
//! assert_eq!(gemscope::files::decode_text(b"\xef\xbb\xbfdog".to_vec())?, "dog");
//! # Ok::<(), std::io::Error>(())
//! ```

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write as _};
use std::path::Path;

/// The largest text that is read: lists, tables, settings, prompts.
pub const MAX_TEXT_BYTES: u64 = 1 << 30;

/// Opens a regular file for reading.
///
/// # Errors
/// [`ErrorKind::IsADirectory`] for a folder, [`ErrorKind::InvalidInput`] for a FIFO, a device or a
/// socket, which may never end, and whatever the file system says.
pub fn open(path: &Path) -> io::Result<File> {
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_dir() {
        return Err(io::Error::new(ErrorKind::IsADirectory, "this is a folder, not a file"));
    }
    if !kind.is_file() {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "not a regular file (a pipe or a device, which may never end)",
        ));
    }
    File::open(path)
}

/// All bytes of a regular file that has at most `max` of them.
///
/// # Errors
/// As [`open`], and [`ErrorKind::FileTooLarge`].
pub fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    read_within(open(path)?, max)
}

/// The text of a regular file, as [`decode_text`] reads it.
///
/// # Errors
/// As [`read`] with [`MAX_TEXT_BYTES`], and as [`decode_text`].
pub fn read_text(path: &Path) -> io::Result<String> {
    decode_text(read(path, MAX_TEXT_BYTES)?)
}

/// All that a reader gives, if that is at most `max` bytes.
///
/// # Errors
/// [`ErrorKind::FileTooLarge`], and those of the reader.
pub fn read_within(reader: impl Read, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("larger than {max} bytes")));
    }
    Ok(bytes)
}

/// The text in `bytes`: UTF-8 with or without a byte order mark, or UTF-16 with one. The mark is no
/// part of the text. Lines that end with a carriage return alone, as those of old Macs do, end with
/// a line feed.
///
/// # Errors
/// [`ErrorKind::InvalidData`] if it is neither, or has a NUL byte, which UTF-16 without its mark is
/// full of.
pub fn decode_text(bytes: Vec<u8>) -> io::Result<String> {
    let text = String::from_utf8(without_mark(bytes)?).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        invalid(&format!("line {} is not valid UTF-8; save the file as UTF-8", line_after(before)))
    })?;
    match text.find('\0') {
        Some(at) => Err(invalid(&format!(
            "line {} has a NUL byte; if the file is UTF-16, save it as UTF-8 or with a byte order \
             mark",
            line_after(&text.as_bytes()[..at])
        ))),
        None if text.contains('\r') && !text.contains('\n') => Ok(text.replace('\r', "\n")),
        None => Ok(text),
    }
}

/// `bytes` without a byte order mark: of UTF-16 its text in UTF-8, of all else, which may be no
/// text at all, the rest as it is.
///
/// # Errors
/// [`ErrorKind::InvalidData`] if the mark of UTF-16 stands before something else.
pub(crate) fn without_mark(mut bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    let utf_16 = |unit: fn([u8; 2]) -> u16| {
        let (units, rest) = bytes[2..].as_chunks::<2>();
        let text = String::from_utf16(&units.iter().map(|pair| unit(*pair)).collect::<Vec<_>>());
        text.ok()
            .filter(|_| rest.is_empty())
            .map(String::into_bytes)
            .ok_or_else(|| invalid("not valid UTF-16"))
    };
    match bytes.as_slice() {
        [0xff, 0xfe, ..] => utf_16(u16::from_le_bytes),
        [0xfe, 0xff, ..] => utf_16(u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, ..] => {
            bytes.drain(..3);
            Ok(bytes)
        }
        _ => Ok(bytes),
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

/// The number of the line that follows `before`, counted from 1.
fn line_after(before: &[u8]) -> usize {
    before.split(|byte| *byte == b'\n').count()
}

/// Opens a file of gemscope's own for reading and writing, and makes it if it is missing. A
/// symbolic link is never followed: its target may be a file of the user's.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for a link and for anything else that is no regular file, and
/// whatever the file system says.
pub(crate) fn open_to_write(path: &Path) -> io::Result<File> {
    open_without_links(path, OpenOptions::new().read(true).write(true).create(true).truncate(false))
}

/// [`open_to_write`] for reading alone; the file must be there.
///
/// # Errors
/// As [`open_to_write`].
pub(crate) fn open_unlinked(path: &Path) -> io::Result<File> {
    open_without_links(path, OpenOptions::new().read(true))
}

/// All bytes of a file of gemscope's own that has at most `max` of them.
///
/// # Errors
/// As [`open_unlinked`], and [`ErrorKind::FileTooLarge`].
pub(crate) fn read_unlinked(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    read_within(open_unlinked(path)?, max)
}

/// Opens the log `path` for more lines, and makes it if it is missing. Nothing is appended to a
/// file that does not begin as a log does.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for another file, a link, and anything that is no regular file,
/// which may have no reader; whatever the file system says.
pub fn open_log(path: &Path) -> io::Result<File> {
    const BEGINNING: &[u8] = b"{\"timestamp\":";
    let mut file =
        open_without_links(path, OpenOptions::new().read(true).append(true).create(true))?;
    let mut beginning = Vec::new();
    (&mut file).take(BEGINNING.len() as u64).read_to_end(&mut beginning)?;
    if beginning.is_empty() || beginning == BEGINNING {
        return Ok(file);
    }
    Err(io::Error::new(
        ErrorKind::InvalidInput,
        "this file is no log of gemscope's, and nothing is appended to it",
    ))
}

fn open_without_links(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let link = || {
        io::Error::new(
            ErrorKind::InvalidInput,
            "a symbolic link, which is not followed here: move it away",
        )
    };
    let other = || io::Error::new(ErrorKind::InvalidInput, "not a regular file");
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => return Err(link()),
        Ok(metadata) if !metadata.is_file() => return Err(other()),
        _ => {}
    }
    // The system refuses what was put there since: a link, or a pipe that would be waited for.
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    }
    let file = options.open(path).map_err(|error| if is_loop(&error) { link() } else { error })?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(other()) }
}

#[cfg(unix)]
fn is_loop(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ELOOP)
}

#[cfg(not(unix))]
fn is_loop(_: &io::Error) -> bool {
    false
}

/// Writes `bytes` to `path`, and makes its folder if it is missing. The bytes go to a temporary
/// file that is then renamed, so that no reader and no crash ever sees a part.
///
/// # Errors
/// Whatever the file system says; the file is then as it was.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    put(path, bytes, |_| Ok(()))
}

/// [`replace`], skipped if a regular file of the same length is there, so that its time (a cache
/// key of probes) is unchanged. A symbolic link is no such file: it is replaced, and its target
/// stays as it is.
///
/// # Errors
/// As [`replace`].
pub(crate) fn replace_unless_there(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let metadata = std::fs::symlink_metadata(path);
    let there =
        metadata.is_ok_and(|metadata| metadata.is_file() && metadata.len() == bytes.len() as u64);
    if there { Ok(()) } else { replace(path, bytes) }
}

/// [`replace`], and waits until the file is on disk, under its name.
///
/// # Errors
/// As [`replace`].
pub(crate) fn replace_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    put(path, bytes, File::sync_all)?;
    sync_folder(folder_of(path))
}

fn put(path: &Path, bytes: &[u8], settle: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    let folder = folder_of(path);
    std::fs::create_dir_all(folder)?;
    let mut temporary = temporary(0o666).tempfile_in(folder)?;
    temporary.write_all(bytes)?;
    settle(temporary.as_file())?;
    temporary.persist(path)?;
    Ok(())
}

/// [`replace`] that waits until the file is on disk, and gives it `permissions`.
///
/// # Errors
/// As [`replace`].
pub(crate) fn replace_alike(
    path: &Path,
    bytes: &[u8],
    permissions: Option<Permissions>,
) -> io::Result<()> {
    put(path, bytes, |file| {
        if let Some(permissions) = permissions {
            // Where all files have the same, a change of them may be refused.
            if file.metadata()?.permissions() != permissions {
                file.set_permissions(permissions)?;
            }
        }
        file.sync_all()
    })
}

/// The folder that `path` lies in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Waits until the names in a folder are on disk. Not all file systems can say that, and Windows
/// has no such call.
///
/// # Errors
/// Whatever the file system says.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    match File::open(folder)?.sync_all() {
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
            Ok(())
        }
        synced => synced,
    }
}

/// How the names of temporaries begin.
pub(crate) const TEMPORARY: &str = ".gemscope-";

/// Renames a file to a path where none is. The system looks and renames in one step, where it can.
///
/// # Errors
/// [`ErrorKind::AlreadyExists`] if anything is there.
pub(crate) fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;

        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // A file system, or an old kernel, that knows only the other way.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            renamed => return Ok(renamed?),
        }
    }
    if to.symlink_metadata().is_ok() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    std::fs::rename(from, to)
}

/// A temporary file (`mode` 0o666) or folder (0o777) that will be renamed: hidden meanwhile, with
/// the permissions of any new one (`mode` less the umask) instead of those of a private temporary.
pub(crate) fn temporary(mode: u32) -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = mode; // such systems have no modes
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_the_same_in_every_encoding_that_editors_write() {
        let text = "dog\r\nKüche 犬 🐕\n";
        let units: Vec<u16> = text.encode_utf16().collect();
        let little: Vec<u8> =
            [0xfeff].iter().chain(&units).flat_map(|unit: &u16| unit.to_le_bytes()).collect();
        let big: Vec<u8> =
            [0xfeff].iter().chain(&units).flat_map(|unit: &u16| unit.to_be_bytes()).collect();
        for bytes in [
            text.as_bytes().to_vec(),
            [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            little.clone(),
            big,
        ] {
            assert_eq!(decode_text(bytes).unwrap(), text);
        }
        for wrong in [&little[..little.len() - 1], b"\xff\xfe\x00\xd8", b"caf\xe9"] {
            assert_eq!(decode_text(wrong.to_vec()).unwrap_err().kind(), ErrorKind::InvalidData);
        }
        let error = decode_text(b"dog\ncaf\xe9\n".to_vec()).unwrap_err().to_string();
        assert!(error.starts_with("line 2 is not valid UTF-8"), "{error}");
        // UTF-16 whose mark was left out.
        let error = decode_text(little[2..].to_vec()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        let error = decode_text(b"d\0o\0g\0".to_vec()).unwrap_err().to_string();
        assert!(error.starts_with("line 1 has a NUL byte"), "{error}");
        assert_eq!(decode_text(b"dog\rcat\r".to_vec()).unwrap(), "dog\ncat\n");
        assert_eq!(without_mark(b"\xe9 no text\0".to_vec()).unwrap(), b"\xe9 no text\0");
    }

    #[test]
    fn only_regular_files_of_a_bounded_size_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("four");
        std::fs::write(&path, "four").unwrap();
        assert_eq!(read(&path, 4).unwrap(), b"four");
        assert_eq!(read(&path, 3).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(open(dir.path()).unwrap_err().kind(), ErrorKind::IsADirectory);
        if cfg!(unix) {
            assert_eq!(
                read_text(Path::new("/dev/zero")).unwrap_err().kind(),
                ErrorKind::InvalidInput
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn no_file_of_gemscopes_is_opened_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (mine, link) = (dir.path().join("mine"), dir.path().join("link"));
        std::fs::write(&mine, "mine").unwrap();
        std::os::unix::fs::symlink(&mine, &link).unwrap();
        for opened in [
            open_to_write(&link),
            open_unlinked(&link),
            open_to_write(dir.path()),
            open_unlinked(dir.path()),
        ] {
            assert_eq!(opened.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        // As long as the user's file behind the link.
        replace_unless_there(&link, b"ours").unwrap();
        assert_eq!(
            (std::fs::read(&mine).unwrap(), std::fs::read(&link).unwrap()),
            (b"mine".to_vec(), b"ours".to_vec())
        );
        assert_eq!(open_to_write(&dir.path().join("new")).unwrap().metadata().unwrap().len(), 0);
    }

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/file.txt");
        replace(&path, b"one").unwrap();
        replace_durably(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
