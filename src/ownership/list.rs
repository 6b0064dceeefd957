//! The list of the files that gemscope wrote into a directory: `.gemscope/files.jsonl`.
//!
//! In: entries, one a file, link or folder. Out: for a path, whether its content is one that
//! gemscope wrote. Promises: an entry is on disk before its file is put in place, so every file of
//! gemscope's has an entry, and a file without one is the user's; an entry whose name leads out of
//! the directory counts as none, so a list from elsewhere cannot point at other files.
//!
//! A name may have several entries: while files are replaced, the old content is gemscope's and so
//! is the new. A line that a kill tore is cut off: its file was not put in place yet.

use std::collections::{BTreeMap, HashSet};
use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{digest, files};

/// The list's name in [`super::PRIVATE`].
pub(super) const FILE: &str = "files.jsonl";

/// One line: a name relative to the directory, with `/`, and its content.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    name: String,
    #[serde(flatten)]
    content: Content,
}

/// The entry under a name. Paths of links are text for comparison: bytes that are not UTF-8 are
/// replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Content {
    /// A second name of the file `hard_link`.
    HardLink { size: u64, sha256: String, hard_link: String },
    /// A copy of the user's image `copy_of`: of its bytes or of its pixels.
    Copy { size: u64, sha256: String, copy_of: String },
    /// A file.
    File { size: u64, sha256: String },
    /// A symbolic link to `link`.
    Link { link: String },
    /// A folder that was made for files of gemscope's.
    Folder { folder: bool },
}

impl Content {
    pub(super) fn file(bytes: &[u8]) -> Self {
        Self::File { size: bytes.len() as u64, sha256: digest::hex(bytes) }
    }

    /// A copy, as `bytes`, of the image at `original`.
    pub(super) fn copy(bytes: &[u8], original: &Path) -> Self {
        let copy_of = original.to_string_lossy().into_owned();
        Self::Copy { size: bytes.len() as u64, sha256: digest::hex(bytes), copy_of }
    }

    /// The image of the user's that this is a copy or a second name of, and the hash of the
    /// content.
    fn original(&self) -> Option<(&Path, &str)> {
        match self {
            Self::HardLink { sha256, hard_link: original, .. }
            | Self::Copy { sha256, copy_of: original, .. } => Some((Path::new(original), sha256)),
            Self::File { .. } | Self::Link { .. } | Self::Folder { .. } => None,
        }
    }

    /// Whether `path` has this very content; `metadata` is its own, with links not followed.
    pub(super) fn is_at(&self, path: &Path, metadata: &Metadata) -> io::Result<bool> {
        match self {
            Self::Folder { .. } => Ok(metadata.is_dir()),
            Self::Link { link } => Ok(metadata.is_symlink()
                && std::fs::read_link(path)?.to_string_lossy() == link.as_str()),
            Self::HardLink { hard_link, .. }
                if metadata.is_file() && is_same_file(metadata, Path::new(hard_link)) =>
            {
                Ok(true)
            }
            Self::File { size, sha256 }
            | Self::HardLink { size, sha256, .. }
            | Self::Copy { size, sha256, .. } => {
                let as_long = metadata.is_file() && metadata.len() == *size;
                Ok(as_long && digest::hex_of(files::open_unlinked(path)?)? == *sha256)
            }
        }
    }

    /// The hash of the file's bytes.
    pub(super) fn sha256(&self) -> Option<&str> {
        match self {
            Self::File { sha256, .. }
            | Self::HardLink { sha256, .. }
            | Self::Copy { sha256, .. } => Some(sha256),
            Self::Link { .. } | Self::Folder { .. } => None,
        }
    }

    /// Whether a file with this content may be another one all the same: a copy is wanted, and a
    /// second name of a file is there, or the other way round.
    pub(super) fn is_shared(&self, metadata: &Metadata) -> bool {
        match self {
            Self::File { .. } | Self::Copy { .. } => names_of(metadata) != 1,
            Self::HardLink { .. } => true,
            Self::Link { .. } | Self::Folder { .. } => false,
        }
    }

    /// [`Self::is_at`] without reading the file: its size decides.
    fn looks_as_at(&self, path: &Path, metadata: &Metadata) -> bool {
        match self {
            Self::File { size, .. } | Self::HardLink { size, .. } | Self::Copy { size, .. } => {
                metadata.is_file() && metadata.len() == *size
            }
            other => other.is_at(path, metadata).unwrap_or(false),
        }
    }
}

/// Whether `metadata` is of the file at `path`: the same inode.
#[cfg(unix)]
fn is_same_file(metadata: &Metadata, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let other = std::fs::symlink_metadata(path);
    other.is_ok_and(|other| (other.dev(), other.ino()) == (metadata.dev(), metadata.ino()))
}

/// How many names the file has.
#[cfg(unix)]
fn names_of(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(metadata)
}

#[cfg(not(unix))]
fn names_of(_: &Metadata) -> u64 {
    0 // not known
}

#[cfg(not(unix))]
fn is_same_file(_: &Metadata, _: &Path) -> bool {
    false // the hash decides
}

/// The files of gemscope's in a directory.
#[derive(Debug, Default)]
pub(crate) struct FileList {
    entries: BTreeMap<String, Vec<Content>>,
}

impl FileList {
    /// The list of `directory`; empty if there is none. Damaged lines are skipped: their files
    /// count as the user's.
    ///
    /// # Errors
    /// Whatever the file system says, and that the list is a link.
    pub(crate) fn read(directory: &Path) -> io::Result<Self> {
        match files::open_unlinked(&directory.join(super::PRIVATE).join(FILE)) {
            Ok(file) => Ok(Self::parse(BufReader::new(file))?.0),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// The list, and how many bytes its whole lines have.
    fn parse(mut reader: impl BufRead) -> io::Result<(Self, u64)> {
        let mut list = Self::default();
        let (mut line, mut whole) = (Vec::new(), 0);
        loop {
            line.clear();
            reader.read_until(b'\n', &mut line)?;
            if !line.ends_with(b"\n") {
                return Ok((list, whole));
            }
            whole += line.len() as u64;
            if let Ok(Line { name, content }) = serde_json::from_slice(&line)
                && stays_inside(&name)
            {
                list.add(name, content);
            }
        }
    }

    fn add(&mut self, name: String, content: Content) {
        let contents = self.entries.entry(name).or_default();
        if !contents.contains(&content) {
            contents.push(content);
        }
    }

    /// Whether gemscope wrote an image of that name and size: without reading it.
    pub(crate) fn looks_own(&self, directory: &Path, name: &str) -> bool {
        let path = directory.join(name);
        self.entries.get(name).is_some_and(|contents| {
            let metadata = std::fs::symlink_metadata(&path);
            metadata.is_ok_and(|metadata| {
                contents.iter().any(|content| content.looks_as_at(&path, &metadata))
            })
        })
    }

    /// The names of all files and folders.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Whether the content at `path` is one that the list has for `name`. Of an empty file nothing
    /// can be lost: it is what a power cut leaves of a file whose name was on disk before its bytes
    /// were.
    pub(super) fn owns(&self, name: &str, path: &Path, metadata: &Metadata) -> io::Result<bool> {
        let Some(contents) = self.entries.get(name) else { return Ok(false) };
        if metadata.is_file() && metadata.len() == 0 {
            return Ok(true);
        }
        for content in contents {
            if content.is_at(path, metadata)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Names in `scope` (names, folders of names, or `""` for all), without folders.
    pub(super) fn files_in(&self, scope: &[&str]) -> Vec<String> {
        self.names_in(scope, false)
    }

    /// Whether `name` may be the last copy of an image of the user's: the image is not there any
    /// more, and its content is not `among` others that are. An image that cannot be looked up (a
    /// folder without permission) counts as there.
    pub(super) fn may_be_last_copy(&self, name: &str, among: &HashSet<&str>) -> bool {
        let is_gone = |original: &Path| {
            let missing = |error: io::Error| {
                matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
            };
            original.symlink_metadata().is_err_and(missing)
        };
        let originals = self.entries.get(name).into_iter().flatten().filter_map(Content::original);
        originals.into_iter().any(|(original, sha256)| is_gone(original) && !among.contains(sha256))
    }

    /// Folders in `scope`, the deepest first.
    pub(super) fn folders_in(&self, scope: &[&str]) -> Vec<String> {
        let mut folders = self.names_in(scope, true);
        folders.reverse();
        folders
    }

    fn names_in(&self, scope: &[&str], folders: bool) -> Vec<String> {
        let is_in = |name: &str, one: &str| {
            one.is_empty()
                || name
                    .strip_prefix(one)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let inside = |name: &str| scope.iter().any(|one| is_in(name, one));
        let is_folder = |contents: &[Content]| {
            contents.iter().all(|content| matches!(content, Content::Folder { .. }))
        };
        let wanted = self
            .entries
            .iter()
            .filter(|(name, contents)| inside(name) && is_folder(contents) == folders);
        wanted.map(|(name, _)| name.clone()).collect()
    }
}

/// A relative path of plain names: nothing that leads out of a directory.
fn stays_inside(name: &str) -> bool {
    !name.is_empty()
        && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

/// The list of a directory that this process alone writes.
#[derive(Debug)]
pub(super) struct WrittenList {
    list: FileList,
    folder: PathBuf,
    /// Opened with the first entry.
    file: Option<File>,
}

impl WrittenList {
    /// The list of `directory`. A line that was not written to its end is cut off.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let folder = directory.join(super::PRIVATE);
        let file = match files::open_unlinked(&folder.join(FILE)) {
            Ok(_) => files::open_to_write(&folder.join(FILE))?,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Self { list: FileList::default(), folder, file: None });
            }
            Err(error) => return Err(error),
        };
        let (list, whole) = FileList::parse(BufReader::new(&file))?;
        if file.metadata()?.len() > whole {
            file.set_len(whole)?;
        }
        Ok(Self { list, folder, file: Some(file) })
    }

    /// Its entries.
    pub(super) fn list(&self) -> &FileList {
        &self.list
    }

    /// Adds `entries`, which are on disk when this returns.
    pub(super) fn promise(&mut self, entries: &BTreeMap<String, Content>) -> io::Result<()> {
        let new = entries.iter().filter(|(name, content)| !self.has(name, content));
        let mut lines = Vec::new();
        for (name, content) in new {
            let line = Line { name: name.clone(), content: content.clone() };
            serde_json::to_writer(&mut lines, &line)?;
            lines.push(b'\n');
        }
        if lines.is_empty() {
            return Ok(());
        }
        let mut file = if let Some(file) = self.file.take() {
            file
        } else {
            std::fs::create_dir_all(&self.folder)?;
            let file = files::open_to_write(&self.folder.join(FILE))?;
            files::sync_folder(&self.folder)?;
            file
        };
        file.seek(SeekFrom::End(0))?;
        file.write_all(&lines)?;
        file.sync_data()?;
        self.file = Some(file);
        for (name, content) in entries {
            self.list.add(name.clone(), content.clone());
        }
        Ok(())
    }

    fn has(&self, name: &str, content: &Content) -> bool {
        self.list.entries.get(name).is_some_and(|contents| contents.contains(content))
    }

    /// For each name in `entries`, keep only that content.
    pub(super) fn settle(&mut self, entries: BTreeMap<String, Content>) {
        for (name, content) in entries {
            if let Some(contents) = self.list.entries.get_mut(&name) {
                *contents = vec![content];
            }
        }
    }

    /// Nothing of gemscope's is under these names any more.
    pub(super) fn forget<'n>(&mut self, names: impl IntoIterator<Item = &'n String>) {
        for name in names {
            self.list.entries.remove(name);
        }
    }

    /// Writes the list anew, sorted and without what is no longer needed; removes it if nothing is
    /// on it.
    pub(super) fn tidy(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let path = self.folder.join(FILE);
        if self.list.entries.is_empty() {
            self.file = None;
            return std::fs::remove_file(path);
        }
        let mut lines = Vec::new();
        for (name, contents) in &self.list.entries {
            for content in contents {
                serde_json::to_writer(
                    &mut lines,
                    &Line { name: name.clone(), content: content.clone() },
                )?;
                lines.push(b'\n');
            }
        }
        let mut written = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut written)?;
        if written == lines { Ok(()) } else { files::replace_durably(&path, &lines) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(of: &[(&str, &[u8])]) -> BTreeMap<String, Content> {
        of.iter().map(|(name, bytes)| ((*name).to_owned(), Content::file(bytes))).collect()
    }

    fn owns(list: &FileList, directory: &Path, name: &str) -> bool {
        let path = directory.join(name);
        list.owns(name, &path, &std::fs::symlink_metadata(&path).unwrap()).unwrap()
    }

    #[test]
    fn a_list_outlives_a_kill_and_a_torn_line() {
        let dir = tempfile::tempdir().unwrap();
        let mut written = WrittenList::open(dir.path()).unwrap();
        written.promise(&entries(&[("a.txt", b"one"), ("crops/b.png", b"two")])).unwrap();
        written.promise(&entries(&[("a.txt", b"another")])).unwrap();
        drop(written);
        let path = dir.path().join(".gemscope/files.jsonl");
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [whole.as_slice(), b"nonsense\n{\"name\":\"c"].concat()).unwrap();
        let mut written = WrittenList::open(dir.path()).unwrap();
        for (bytes, own) in
            [("one", true), ("another", true), ("", true), ("two", false), ("more", false)]
        {
            std::fs::write(dir.path().join("a.txt"), bytes).unwrap();
            assert_eq!(owns(written.list(), dir.path(), "a.txt"), own, "{bytes}");
        }
        written.settle(entries(&[("a.txt", b"another")]));
        written.forget(&["crops/b.png".to_owned()]);
        written.tidy().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
        let list = FileList::read(dir.path()).unwrap();
        std::fs::write(dir.path().join("a.txt"), "one").unwrap();
        assert!(
            !owns(&list, dir.path(), "a.txt"),
            "an old content is the user's once the file was replaced"
        );
        std::fs::write(dir.path().join("a.txt"), "changed").unwrap();
        assert!(
            list.looks_own(dir.path(), "a.txt") && !owns(&list, dir.path(), "a.txt"),
            "as long as \"another\""
        );
    }

    #[test]
    fn a_list_from_elsewhere_names_nothing_outside() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(".gemscope")).unwrap();
        let line = |name: &str| format!("{{\"name\":{name:?},\"size\":0,\"sha256\":\"\"}}\n");
        let lines = ["../a", "/etc/passwd", "a/../../b", "", "fine"].map(line).concat();
        std::fs::write(dir.path().join(".gemscope/files.jsonl"), lines).unwrap();
        assert_eq!(FileList::read(dir.path()).unwrap().files_in(&[""]), ["fine"]);
    }

    #[test]
    fn a_scope_is_a_name_or_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let mut written = WrittenList::open(dir.path()).unwrap();
        let mut all =
            entries(&[("crops", b""), ("crops/a", b""), ("crops/a/b", b""), ("crops.csv", b"")]);
        all.insert("crops/a".into(), Content::Folder { folder: true });
        all.insert("crops/a/c".into(), Content::Folder { folder: true });
        written.promise(&all).unwrap();
        let list = FileList::read(dir.path()).unwrap();
        assert_eq!(list.files_in(&["crops"]), ["crops", "crops/a/b"]);
        assert_eq!(list.folders_in(&[""]), ["crops/a/c", "crops/a"]);
    }
}
