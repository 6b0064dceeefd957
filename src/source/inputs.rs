//! The inputs from the command line, one by one.
//!
//! In: folders, files, patterns, archives, addresses, `@LIST` files and `-`. Out: each folder, file and
//! archive that they stand for, with the folder that its names may be relative to. Promises: what
//! is named by itself must be there; what a list names may be missing, and is then an image that
//! cannot be read. A list is the same list whether it was written as UTF-8, with or without a byte
//! order mark, or as UTF-16 with one.

use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::archive::is_archive;
use super::remote::{Address, shown};
use super::walk::{self, Search};
use super::{SourceError, list_file, run_list, tidy};
use crate::files;

/// One input, at an absolute path without `.` and `..`.
pub(super) struct Input {
    pub(super) path: PathBuf,
    /// The folder that its names may be relative to.
    pub(super) base: PathBuf,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Folder,
    File,
    Archive,
    /// The path is an address on the web, or what is wrong with it.
    Address(Result<Address, String>),
}

/// Expands `given` into inputs.
///
/// # Errors
/// [`SourceError`] if it matches nothing.
pub(super) fn expand(
    given: &Path,
    search: Search<'_>,
    inputs: &mut Vec<Input>,
) -> Result<(), SourceError> {
    let text = given.to_string_lossy();
    if text == "-" {
        return list(&read_list(given, io::stdin().lock())?, inputs);
    }
    if let Some(file) = text.strip_prefix('@') {
        let file = Path::new(file);
        let error = |error| SourceError::List { path: file.to_owned(), error };
        let mut paths = read_list(file, files::open(file).map_err(error)?)?;
        if let Some(root) = run_list::root(file) {
            let of_run = |line: PathBuf| {
                let is_address = Address::parse(&line.to_string_lossy()).is_some();
                if is_address { line } else { run_list::path(&root, line) }
            };
            paths = paths.into_iter().map(of_run).collect();
        }
        return list(&paths, inputs);
    }
    if let Some(address) = Address::parse(&text) {
        let wrong = |reason| SourceError::Address { address: shown(&text), reason };
        inputs.push(of_address(given, Ok(address.map_err(wrong)?)));
        return Ok(());
    }
    let address = list_file::of_address(&text).filter(|path| path.exists() && !given.exists());
    let given = address.as_deref().unwrap_or(given);
    if given.exists() {
        let path = absolute(given)?;
        if is_other_archive(&path) && path.is_file() {
            return Err(SourceError::OtherArchive(path));
        }
        inputs.push(input(path)?);
        return Ok(());
    }
    if text.contains(SPECIAL) {
        pattern(given, search, inputs)
    } else {
        Err(SourceError::NotFound(given.to_owned()))
    }
}

/// Characters that make a pattern of a path that does not exist.
pub(super) const SPECIAL: [char; 4] = ['*', '?', '[', '{'];

pub(super) fn absolute(path: &Path) -> Result<PathBuf, SourceError> {
    let resolved = std::path::absolute(path);
    resolved
        .map(|path| tidy(&path))
        .map_err(|error| SourceError::Resolve { path: path.to_owned(), error })
}

/// An address has no folder.
fn of_address(given: &Path, address: Result<Address, String>) -> Input {
    Input { path: given.to_owned(), base: PathBuf::new(), kind: Kind::Address(address) }
}

fn input(path: PathBuf) -> Result<Input, SourceError> {
    let parent = || path.parent().unwrap_or(&path).to_owned();
    if path.is_dir() {
        return Ok(Input { base: path.clone(), path, kind: Kind::Folder });
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    if [".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2"]
        .iter()
        .any(|ending| name.ends_with(ending))
    {
        return Err(SourceError::Compressed(path));
    }
    let kind = if is_archive(&path) { Kind::Archive } else { Kind::File };
    Ok(Input { base: parent(), path, kind })
}

/// One that is never read, not even after it is decompressed.
pub(super) fn is_other_archive(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| {
        ["7z", "rar"].iter().any(|other| other.eq_ignore_ascii_case(extension))
    })
}

/// Bytes of one line of a list, which may be JSON as a whole.
const LONGEST_LINE: usize = 64 << 20;

/// The paths in a list.
fn read_list(path: &Path, list: impl io::Read) -> Result<Vec<PathBuf>, SourceError> {
    let bytes = read_bounded(list).and_then(files::without_mark);
    let bytes = bytes.map_err(|error| SourceError::List { path: path.to_owned(), error })?;
    list_file::paths(&bytes)
        .map_err(|reason| SourceError::ListEntry { path: path.to_owned(), reason })
}

/// All bytes of a list; a line or name of more than [`LONGEST_LINE`] bytes, or an empty name, is an
/// error, so that an endless input is given up soon.
fn read_bounded(list: impl io::Read) -> io::Result<Vec<u8>> {
    let mut list = list.take(files::MAX_TEXT_BYTES + 1);
    let mut bytes = Vec::new();
    let mut line = 0;
    loop {
        let before = bytes.len();
        if list.by_ref().take(1 << 16).read_to_end(&mut bytes)? == 0 {
            return Ok(bytes);
        }
        if bytes.len() as u64 > files::MAX_TEXT_BYTES {
            let reason = format!("larger than {} bytes", files::MAX_TEXT_BYTES);
            return Err(io::Error::new(ErrorKind::FileTooLarge, reason));
        }
        // With the end of the part before.
        if bytes[before.saturating_sub(3)..].windows(4).any(|bytes| bytes == [0; 4]) {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "NUL bytes in a row are no list of paths",
            ));
        }
        let end = bytes[before..].iter().rposition(|byte| matches!(byte, b'\n' | 0));
        line = end.map_or(line, |end| before + end);
        if bytes.len() - line > LONGEST_LINE {
            let reason = format!("one line is larger than {LONGEST_LINE} bytes");
            return Err(io::Error::new(ErrorKind::FileTooLarge, reason));
        }
    }
}

fn list(paths: &[PathBuf], inputs: &mut Vec<Input>) -> Result<(), SourceError> {
    for path in paths {
        inputs.push(match Address::parse(&path.to_string_lossy()) {
            Some(address) => of_address(path, address),
            None => input(absolute(path)?)?,
        });
    }
    Ok(())
}

/// The folders, images and archives that a pattern matches, `**` for any depth.
fn pattern(given: &Path, search: Search<'_>, inputs: &mut Vec<Input>) -> Result<(), SourceError> {
    let special =
        |part: &std::path::Component<'_>| part.as_os_str().to_string_lossy().contains(SPECIAL);
    let fixed: PathBuf = given.components().take_while(|part| !special(part)).collect();
    let varying: PathBuf = given.components().skip_while(|part| !special(part)).collect();
    let matcher = glob(&varying)
        .map_err(|error| SourceError::Pattern { pattern: given.to_owned(), error })?;
    let base = absolute(if fixed.as_os_str().is_empty() { Path::new(".") } else { &fixed })?;
    if !base.is_dir() {
        return Err(SourceError::NotFound(given.to_owned()));
    }
    let parts: Vec<_> = varying.components().collect();
    let deep = parts.iter().any(|part| part.as_os_str().to_string_lossy().contains("**"));
    let before = inputs.len();
    let mut entries = walk::entries(&base, search, if deep { usize::MAX } else { parts.len() });
    while let Some(entry) = entries.next() {
        let Ok(entry) = entry else { continue };
        let relative = entry.path().strip_prefix(&base).unwrap_or(entry.path());
        if entry.depth() == 0 || !matcher.is_match(relative) {
            continue;
        }
        let kind = match entry.file_type() {
            kind if kind.is_dir() => Kind::Folder,
            _ if is_archive(entry.path()) => Kind::Archive,
            kind if kind.is_file() && search.takes(entry.path()) => {
                if search.written.borrow_mut().has(entry.path()) {
                    continue;
                }
                Kind::File
            }
            _ => continue,
        };
        if matches!(kind, Kind::Folder) {
            entries.skip_current_dir();
        }
        inputs.push(Input { path: entry.into_path(), base: base.clone(), kind });
    }
    if inputs.len() == before { Err(SourceError::NoMatch(given.to_owned())) } else { Ok(()) }
}

fn glob(pattern: &Path) -> Result<GlobMatcher, globset::Error> {
    Ok(GlobBuilder::new(&pattern.to_string_lossy())
        .literal_separator(true)
        .build()?
        .compile_matcher())
}
