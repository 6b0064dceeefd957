//! Files of the user's that a run moved, since it was asked to.
//!
//! In: where files of a run's folder are to lie. Out: the files there, and `moves.jsonl` in the
//! run's directory, with a line for each before it is moved. Promises: no file is overwritten, and
//! none is removed but one that was copied to another disk and whose copy has the same hash;
//! [`MovedFiles::undo`] brings every file back that is still there, whatever was killed in between.
//!
//! Names are relative to the folder of the run's images, with `/`. A line has that folder, too, so
//! that files are found again if only one of the two was moved.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::directory::RunDirectory;
use super::error::RunDirectoryError;
use super::json_log::{DamagedLine, JournalError, JsonLog, read_entries};
use crate::source::path_of;
use crate::{digest, files};

/// The log's name in a run's directory.
pub(super) const FILE: &str = "moves.jsonl";

/// A line of the log.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
enum Step {
    /// A folder was made for files that were moved.
    Folder {
        /// The folder of the run's images.
        root: PathBuf,
        /// Its name.
        name: String,
    },
    /// A file is about to be moved.
    Move {
        /// The folder of the run's images.
        root: PathBuf,
        /// Its name before.
        from: String,
        /// Its name afterwards.
        to: String,
        /// The hash of its content.
        sha256: String,
    },
    /// A file is back under its first name.
    Back {
        /// The name that it had.
        from: String,
    },
}

/// A file that is to be moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Its name.
    pub from: String,
    /// Its name afterwards.
    pub to: String,
    /// The hash of its content.
    pub sha256: String,
}

/// What became of files that were to come back.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Undone {
    /// The name that each had, and its first one, which it has again.
    pub back: Vec<(String, String)>,
    /// The names of files that stay where they are, each with the reason.
    pub left: Vec<(String, String)>,
}

/// The names that a moved file had, the first first, and the last folder of the images.
#[derive(Debug, Clone)]
struct Trail {
    names: Vec<String>,
    root: PathBuf,
    sha256: String,
}

/// The files that a run moved.
pub struct MovedFiles {
    log: JsonLog,
    state: State,
}

#[derive(Default)]
struct State {
    /// By the name of now.
    files: BTreeMap<String, Trail>,
    folders: Vec<(PathBuf, String)>,
}

impl State {
    fn take_up(&mut self, step: Step) {
        match step {
            Step::Folder { root, name } => self.folders.push((root, name)),
            Step::Move { root, from, to, sha256 } => {
                let names = self.files.remove(&from).map_or_else(Vec::new, |trail| trail.names);
                let names =
                    if names.is_empty() { vec![from, to.clone()] } else { extended(names, &to) };
                self.files.insert(to, Trail { names, root, sha256 });
            }
            Step::Back { from } => {
                self.files.remove(&from);
            }
        }
    }

    /// Takes back the steps of which the file knows nothing: a process was killed before them.
    fn settle(&mut self, root: Option<&Path>) {
        for (name, mut trail) in std::mem::take(&mut self.files) {
            let is_there = |name: &String| trail.place(root, name).is_some();
            if let Some(last) = trail.names.iter().rposition(is_there) {
                trail.names.truncate(last + 1);
            }
            if trail.names.len() > 1 {
                let name = trail.names.last().cloned().unwrap_or(name);
                self.files.insert(name, trail);
            }
        }
    }
}

fn extended(mut names: Vec<String>, to: &str) -> Vec<String> {
    names.push(to.to_owned());
    names
}

impl Trail {
    /// The folder that has a file of that name: the images' folder of now, or of the last move.
    fn place<'t>(&'t self, root: Option<&'t Path>, name: &str) -> Option<&'t Path> {
        let is_there = |root: &&Path| root.join(path_of(name)).symlink_metadata().is_ok();
        root.into_iter().chain([self.root.as_path()]).find(is_there)
    }
}

impl MovedFiles {
    /// The files that the run in `directory` moved; `root` is the folder of its images now.
    ///
    /// # Errors
    /// [`JournalError`]; lines that are no steps are among the second.
    pub fn open(
        directory: &RunDirectory,
        root: Option<&Path>,
    ) -> Result<(Self, Vec<DamagedLine>), JournalError> {
        let mut state = State::default();
        let path = directory.output().join(FILE);
        let (log, lines) = JsonLog::open(path, |step: Step, _| {
            state.take_up(step);
            Ok(())
        })?;
        state.settle(root);
        Ok((Self { log, state }, lines.damaged))
    }

    /// Where the files that the run in `directory` moved lie now, if it moved any.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn paths(directory: &Path, root: Option<&Path>) -> Result<Vec<PathBuf>, JournalError> {
        let path = directory.join(FILE);
        let file = match files::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            file => file.map_err(JournalError::io(&path))?,
        };
        let mut state = State::default();
        read_entries(&path, &file, |step: Step, _| {
            state.take_up(step);
            Ok(())
        })?;
        state.settle(root);
        let path =
            |(name, trail): (&String, &Trail)| Some(trail.place(root, name)?.join(path_of(name)));
        Ok(state.files.iter().filter_map(path).collect())
    }

    /// The first name of the file that is called `name` now.
    pub fn first_name<'m>(&'m self, name: &'m str) -> &'m str {
        let first = self.state.files.get(name).and_then(|trail| trail.names.first());
        first.map_or(name, String::as_str)
    }

    /// Moves files in `root`; of each, why it stays where it is, if it does. Missing folders are
    /// made.
    ///
    /// # Errors
    /// [`JournalError`] if the log cannot be written, before anything is moved.
    pub fn perform(
        &mut self,
        root: &Path,
        moves: &[Move],
    ) -> Result<Vec<Result<(), String>>, JournalError> {
        for one in moves {
            let Move { from, to, sha256 } = one.clone();
            self.step(Step::Move { root: root.to_owned(), from, to, sha256 })?;
        }
        // Before the first file is moved: what the log does not know, nobody brings back.
        self.log.sync()?;
        let mut done = Vec::with_capacity(moves.len());
        for one in moves {
            let [from, to] = [&one.from, &one.to].map(|name| root.join(path_of(name)));
            self.make_folders(root, &to)?;
            let moved = relocate(&from, &to);
            if moved.is_err() && from.symlink_metadata().is_err() {
                self.step(Step::Back { from: one.to.clone() })?;
            }
            done.push(moved.map_err(|error| error.to_string()));
        }
        self.state.settle(Some(root));
        Ok(done)
    }

    /// Brings all files back to where they were first, and removes the folders that were made for
    /// them, if they are empty. `root` is the folder of the images now.
    ///
    /// # Errors
    /// [`JournalError`] if the log cannot be written.
    pub fn undo(&mut self, root: Option<&Path>) -> Result<Undone, JournalError> {
        let mut undone = Undone::default();
        for (name, trail) in self.state.files.clone() {
            let Some(first) = trail.names.first() else { continue };
            let Some(place) = trail.place(root, &name) else {
                undone.left.push((name, "is not there any more".to_owned()));
                continue;
            };
            let (from, to) = (place.join(path_of(&name)), place.join(path_of(first)));
            let folder = to.parent().map_or(Ok(()), fs::create_dir_all);
            match folder.and_then(|()| relocate_back(&from, &to, &trail.sha256)) {
                Ok(()) => {
                    let first = first.clone();
                    self.step(Step::Back { from: name.clone() })?;
                    undone.back.push((name, first));
                }
                Err(error) => undone.left.push((name, error.to_string())),
            }
        }
        self.log.sync()?;
        let mut folders: Vec<PathBuf> = self
            .state
            .folders
            .iter()
            .flat_map(|(then, name)| {
                root.into_iter().chain([then.as_path()]).map(|root| root.join(path_of(name)))
            })
            .collect();
        folders.sort_by_key(|folder| std::cmp::Reverse(folder.components().count()));
        // One that holds anything stays.
        for folder in folders {
            let _ = fs::remove_dir(folder);
        }
        Ok(undone)
    }

    fn step(&mut self, step: Step) -> Result<(), JournalError> {
        self.log.append(&step)?;
        self.state.take_up(step);
        Ok(())
    }

    fn make_folders(&mut self, root: &Path, file: &Path) -> Result<(), JournalError> {
        let missing: Vec<PathBuf> = file
            .ancestors()
            .skip(1)
            .take_while(|folder| folder.starts_with(root) && !folder.exists())
            .map(Path::to_owned)
            .collect();
        for folder in missing.iter().rev() {
            let name = folder.strip_prefix(root).ok().and_then(crate::source::name_of);
            if let Some(name) = name {
                self.step(Step::Folder { root: root.to_owned(), name })?;
            }
            // A folder that cannot be made is the reason why its files stay.
            let _ = fs::create_dir(folder);
        }
        Ok(())
    }
}

/// Gives the records of a run the new names of their images: pairs of the earlier name and the
/// new one.
///
/// # Errors
/// [`RunDirectoryError`] if the journal cannot be read or written.
pub fn rename_records(
    directory: &RunDirectory,
    renamed: &[(String, String)],
) -> Result<(), RunDirectoryError> {
    let (mut journal, known) = directory.journal(Duration::ZERO)?;
    let mut reader = journal.reader(&known)?;
    for (earlier, image) in renamed {
        let Some(record) = known.get(earlier).and_then(|known| reader.read(known)) else {
            continue;
        };
        journal.append(&crate::record::Record {
            image: image.clone(),
            moved_from: Some(earlier.clone()),
            ..record
        })?;
    }
    Ok(journal.sync()?)
}

/// Moves a file to a path where none is.
fn relocate(from: &Path, to: &Path) -> io::Result<()> {
    if to.symlink_metadata().is_ok() {
        let taken = format!("another file is at {}", to.display());
        return Err(io::Error::new(ErrorKind::AlreadyExists, taken));
    }
    match fs::rename(from, to) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => copy_over(from, to),
        renamed => renamed,
    }
}

/// The same on the way back. A process that was killed behind the copy to another disk left both
/// files: then the copy goes.
fn relocate_back(from: &Path, to: &Path, sha256: &str) -> io::Result<()> {
    let is_it =
        |path: &Path| File::open(path).and_then(digest::hex_of).is_ok_and(|hash| hash == sha256);
    if to.is_file() && !files_are_one(from, to) && is_it(from) && is_it(to) {
        fs::remove_file(from)
    } else {
        relocate(from, to)
    }
}

/// Whether both paths lead to one file, so that nothing is left if one of them is removed.
fn files_are_one(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => true,
    }
}

/// Copies a file to another disk, and removes it once the copy has its content.
fn copy_over(from: &Path, to: &Path) -> io::Result<()> {
    let mut part = std::ffi::OsString::from(".");
    part.push(to.file_name().unwrap_or_default());
    part.push(".gemscope-part");
    let part = to.with_file_name(part);
    let copied = || -> io::Result<()> {
        let mut source = File::open(from)?;
        let metadata = source.metadata()?;
        let mut copy = File::create_new(&part)?;
        io::copy(&mut source, &mut copy)?;
        copy.set_permissions(metadata.permissions())?;
        copy.set_modified(metadata.modified()?)?;
        copy.sync_all()?;
        if digest::hex_of(File::open(&part)?)? != digest::hex_of(File::open(from)?)? {
            return Err(io::Error::other("the copy on the other disk has another content"));
        }
        fs::rename(&part, to)
    };
    copied().inspect_err(|error| {
        if error.kind() != ErrorKind::AlreadyExists {
            let _ = fs::remove_file(&part);
        }
    })?;
    files::sync_folder(files::folder_of(to))?;
    fs::remove_file(from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Manifest;

    fn run(dir: &Path) -> RunDirectory {
        let run = RunDirectory::open(&dir.join("run"), false).unwrap();
        run.create_or_verify(&Manifest::new(Some(dir.join("frames")), None)).unwrap();
        run
    }

    fn one(from: &str, to: &str) -> Move {
        Move { from: from.to_owned(), to: to.to_owned(), sha256: digest::hex(from) }
    }

    #[test]
    fn files_go_and_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("frames");
        fs::create_dir_all(root.join("sub")).unwrap();
        for name in ["a.png", "sub/b.png", "c.png"] {
            fs::write(root.join(name), name).unwrap();
        }
        let run = run(dir.path());
        let open = || MovedFiles::open(&run, Some(&root)).unwrap().0;
        let moves = [
            one("a.png", "keep/a.png"),
            one("sub/b.png", "reject/sub/b.png"),
            one("no.png", "keep/no.png"),
        ];
        let done = open().perform(&root, &moves).unwrap();
        assert!(done[0].is_ok() && done[1].is_ok() && done[2].is_err());
        assert!(!root.join("a.png").exists());
        assert_eq!(fs::read(root.join("reject/sub/b.png")).unwrap(), b"sub/b.png");
        // Sorted again by other rules: the log knows where it began.
        let mut moved = open();
        let again = Move { from: "keep/a.png".to_owned(), ..one("a.png", "reject/a.png") };
        assert!(moved.perform(&root, &[again]).unwrap()[0].is_ok());
        assert_eq!(open().first_name("reject/a.png"), "a.png");
        // Nothing is overwritten.
        fs::write(root.join("a.png"), "another").unwrap();
        let undone = open().undo(Some(&root)).unwrap();
        assert_eq!(undone.back, [("reject/sub/b.png".to_owned(), "sub/b.png".to_owned())]);
        assert!(undone.left.len() == 1 && undone.left[0].1.contains("another file"), "{undone:?}");
        fs::remove_file(root.join("a.png")).unwrap();
        let undone = open().undo(Some(&root)).unwrap();
        assert_eq!(undone.back, [("reject/a.png".to_owned(), "a.png".to_owned())]);
        for name in ["a.png", "sub/b.png", "c.png"] {
            assert_eq!(fs::read(root.join(name)).unwrap(), name.as_bytes());
        }
        assert_eq!(fs::read_dir(&root).unwrap().count(), 3, "the folders are gone");
        assert_eq!(open().undo(Some(&root)).unwrap(), Undone::default());
    }

    #[test]
    fn a_kill_between_the_log_and_the_file_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("frames");
        fs::create_dir_all(root.join("keep")).unwrap();
        for name in ["a.png", "b.png"] {
            fs::write(root.join(name), name).unwrap();
        }
        let run = run(dir.path());
        let (mut moved, _) = MovedFiles::open(&run, Some(&root)).unwrap();
        for (from, to) in [("a.png", "keep/a.png"), ("b.png", "keep/b.png")] {
            let Move { from, to, sha256 } = one(from, to);
            moved.step(Step::Move { root: root.clone(), from, to, sha256 }).unwrap();
        }
        // Of the first the log alone knows; the second was copied and not yet removed.
        fs::write(root.join("keep/b.png"), "b.png").unwrap();
        drop(moved);
        let (mut moved, _) = MovedFiles::open(&run, Some(&root)).unwrap();
        assert_eq!(moved.first_name("keep/a.png"), "keep/a.png");
        let undone = moved.undo(Some(&root)).unwrap();
        assert_eq!(undone.back, [("keep/b.png".to_owned(), "b.png".to_owned())]);
        assert_eq!(
            (root.join("keep").exists(), fs::read(root.join("b.png")).unwrap()),
            (true, b"b.png".to_vec())
        );
        assert_eq!(fs::read(root.join("a.png")).unwrap(), b"a.png");
    }

    #[test]
    fn a_folder_that_was_moved_has_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let [before, after] = ["frames", "moved"].map(|name| dir.path().join(name));
        fs::create_dir_all(&before).unwrap();
        fs::write(before.join("a.png"), "a.png").unwrap();
        let run = run(dir.path());
        let (mut moved, _) = MovedFiles::open(&run, Some(&before)).unwrap();
        assert!(moved.perform(&before, &[one("a.png", "keep/a.png")]).unwrap()[0].is_ok());
        fs::rename(&before, &after).unwrap();
        assert_eq!(
            MovedFiles::paths(run.output().path(), Some(&after)).unwrap(),
            [after.join("keep/a.png")]
        );
        let (mut moved, _) = MovedFiles::open(&run, Some(&after)).unwrap();
        assert_eq!(moved.undo(Some(&after)).unwrap().back.len(), 1);
        assert!(after.join("a.png").exists() && !after.join("keep").exists());
    }

    #[test]
    fn a_copy_to_another_disk_is_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let [from, to] = ["a.png", "b.png"].map(|name| dir.path().join(name));
        fs::write(&from, "pixels").unwrap();
        let then = fs::metadata(&from).unwrap().modified().unwrap();
        copy_over(&from, &to).unwrap();
        assert!(!from.exists() && fs::read_dir(dir.path()).unwrap().count() == 1);
        assert_eq!(fs::read(&to).unwrap(), b"pixels");
        assert_eq!(fs::metadata(&to).unwrap().modified().unwrap(), then);
        // A part of another process stays, and so does the file.
        fs::write(dir.path().join(".c.png.gemscope-part"), "another's").unwrap();
        assert!(copy_over(&to, &dir.path().join("c.png")).is_err());
        assert!(to.exists() && dir.path().join(".c.png.gemscope-part").exists());
    }
}
