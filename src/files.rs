//! Files that are whole or not there.

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

/// Writes `bytes` to `path`, making its folder where that is missing: beside it first and then in its place, so that no reader and no
/// crash ever sees a part.
///
/// # Errors
/// Whatever the file system says; the file is then as it was.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    put(path, bytes, |_| Ok(()))
}

/// [`replace`], unless a file of that length is there: its time stays as it is, which what is known of it may be kept by.
///
/// # Errors
/// As [`replace`].
pub(crate) fn replace_unless_there(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let there = path.metadata().is_ok_and(|metadata| metadata.len() == bytes.len() as u64);
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

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Waits until the names in a folder are on disk. Not all file systems can say that, and Windows has no such call.
///
/// # Errors
/// Whatever the file system says.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    match File::open(folder)?.sync_all() {
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

/// How the names of temporaries begin.
pub(crate) const TEMPORARY: &str = ".gemscope-";

/// What will take the place of a file (`mode` 0o666) or folder (0o777): hidden while it is made, with the permissions of any new one
/// (`mode` less the umask) and not those of a private temporary.
pub(crate) fn temporary(mode: u32) -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = mode; // such systems have no modes
    builder
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/file.txt");
        super::replace(&path, b"one").unwrap();
        super::replace_durably(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
