//! Files of the user's that a run moved, since it was asked to.
//!
//! In: where files of a run's folder are to lie. Out: the files there, and `moves.jsonl` in the
//! run's directory, with a line for each before it is moved. Promises: no file is overwritten, and
//! none is removed but one that was just copied to another disk and whose copy has the same hash;
//! [`MovedFiles::undo`] brings every file back that is still there, whatever was killed in between.
//! A file that belongs to another one (a caption) goes and comes back with it, or stays with it; if
//! the process was killed between the two, [`MovedFiles::finish`] moves it.
//!
//! Names are relative to the folder of the run's images, with `/`. A line has that folder, too, so
//! that files are found again if only one of the two was moved.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
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

/// Why a file stays that belongs to one which stays.
const BELONGS: &str = "the file that it belongs to stays";

/// The log's name in a run's directory.
pub(super) const FILE: &str = "moves.jsonl";

/// A line of the log.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
        /// The name that the file to which it belongs has afterwards.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        with: Option<String>,
    },
    /// A move that the log announced was not made, and will not be.
    Stay {
        /// The name that the file has.
        from: String,
        /// The name that it was to have.
        to: String,
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
    /// The name of the file that it belongs to, which is moved before it.
    pub with: Option<String>,
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
    with: Option<String>,
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
            Step::Move { root, from, to, sha256, with } => {
                let names =
                    self.files.remove(&from).map_or_else(|| vec![from], |trail| trail.names);
                let names = extended(names, &to);
                self.files.insert(to, Trail { names, root, sha256, with });
            }
            Step::Stay { from, to } => {
                let trail = self.files.remove(&to);
                if let Some(mut trail) = trail.filter(|trail| trail.names.len() > 2) {
                    trail.names.pop();
                    self.files.insert(from, trail);
                }
            }
            Step::Back { from } => {
                self.files.remove(&from);
            }
        }
    }

    /// The last names of files that still have the name before, since a process was killed between
    /// the file that they belong to, which has its last name, and them.
    fn unfinished(&self, root: Option<&Path>) -> BTreeSet<String> {
        let has_moved = |with: &String| {
            let trail = self.files.get(with).filter(|trail| trail.is_at_last_name(root));
            trail.is_some_and(|trail| match trail.names.as_slice() {
                // Another file of that name may have a caption of the same words.
                [.., before, last] => {
                    trail.place(root, last).is_some() && trail.place(root, before).is_none()
                }
                _ => false,
            })
        };
        let waits = |trail: &Trail| match trail.names.as_slice() {
            [.., before, _] => !trail.is_at_last_name(root) && trail.is_called(root, before),
            _ => false,
        };
        let of_moved = |trail: &Trail| trail.with.as_ref().is_some_and(has_moved);
        let others = self.files.iter().filter(|(_, trail)| trail.with.is_some());
        let unfinished = others.filter(|(_, trail)| waits(trail) && of_moved(trail));
        unfinished.map(|(name, _)| name.clone()).collect()
    }

    /// The moves that were announced and not made, since a process was killed before them: as the
    /// steps that take them back. Those to the names `but` are not among them.
    fn not_made(&self, root: Option<&Path>, but: &BTreeSet<String>) -> Vec<Step> {
        let trails = self.files.iter().filter(|(name, _)| !but.contains(*name));
        let trails = trails.map(|(_, trail)| trail).filter(|trail| !trail.is_at_last_name(root));
        let stay = |trail: &Trail| match trail.names.as_slice() {
            [.., from, to] => Some(Step::Stay { from: from.clone(), to: to.clone() }),
            _ => None,
        };
        trails.filter_map(stay).collect()
    }

    /// Takes them back, each as far as the file is.
    fn settle(&mut self, root: Option<&Path>, but: &BTreeSet<String>) -> Vec<Step> {
        let mut taken_back = Vec::new();
        loop {
            let steps = self.not_made(root, but);
            if steps.is_empty() {
                return taken_back;
            }
            for step in steps {
                self.take_up(step.clone());
                taken_back.push(step);
            }
        }
    }
}

fn extended(mut names: Vec<String>, to: &str) -> Vec<String> {
    names.push(to.to_owned());
    names
}

impl Trail {
    /// Whether the file has its last name. It has not if it still has an earlier one, and what has
    /// the last one, if anything, is another file. Of a file that has none of them nothing is known.
    fn is_at_last_name(&self, root: Option<&Path>) -> bool {
        let Some((last, earlier)) = self.names.split_last() else { return true };
        let is_it = |name: &String| self.is_called(root, name);
        if self.place(root, last).is_some() {
            return is_it(last) || !earlier.last().is_some_and(is_it);
        }
        !earlier.iter().any(|name| self.place(root, name).is_some())
    }

    /// Whether the file of that name has its content.
    fn is_called(&self, root: Option<&Path>, name: &str) -> bool {
        let path = self.place(root, name).map(|place| place.join(path_of(name)));
        let hash = path.map(|path| File::open(path).and_then(digest::hex_of));
        hash.is_some_and(|hash| hash.is_ok_and(|hash| hash == self.sha256))
    }

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
        let mut moved = Self { log, state };
        let unfinished = moved.state.unfinished(root);
        for step in moved.state.settle(root, &unfinished) {
            moved.log.append(&step)?;
        }
        Ok((moved, lines.damaged))
    }

    /// Moves the files whose move a killed process announced and did not come to, though it moved
    /// the files that they belong to; how many.
    ///
    /// # Errors
    /// [`JournalError`] if the log cannot be written.
    pub fn finish(&mut self, root: &Path) -> Result<usize, JournalError> {
        let mut finished = 0;
        for to in self.state.unfinished(Some(root)) {
            let names = self.state.files.get(&to).map(|trail| trail.names.clone());
            let Some([.., from, _]) = names.as_deref() else { continue };
            let [old, new] = [from, &to].map(|name| root.join(path_of(name)));
            self.make_folders(root, &new)?;
            if relocate(&old, &new).is_ok() {
                finished += 1;
            } else {
                self.step(Step::Stay { from: from.clone(), to })?;
            }
        }
        self.log.sync()?;
        Ok(finished)
    }

    /// Every moved file: its name, and its first one.
    pub fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        let files = self.state.files.iter();
        files.filter_map(|(name, trail)| Some((name.as_str(), trail.names.first()?.as_str())))
    }

    /// Takes a file that came to lie beside a moved one for one that was moved with it: it comes
    /// back, too.
    ///
    /// # Errors
    /// [`JournalError`] if the log cannot be written.
    pub fn adopt(&mut self, root: &Path, one: Move) -> Result<(), JournalError> {
        let Move { from, to, sha256, with } = one;
        self.step(Step::Move { root: root.to_owned(), from, to, sha256, with })
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
        state.settle(root, &BTreeSet::new());
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
        let afterwards: HashMap<&str, &str> =
            moves.iter().map(|one| (one.from.as_str(), one.to.as_str())).collect();
        for one in moves {
            let with = one.with.as_ref().map(|name| {
                afterwards.get(name.as_str()).map_or_else(|| name.clone(), ToString::to_string)
            });
            let Move { from, to, sha256, .. } = one.clone();
            self.step(Step::Move { root: root.to_owned(), from, to, sha256, with })?;
        }
        // Before the first file is moved: what the log does not know, nobody brings back.
        self.log.sync()?;
        let mut done = Vec::with_capacity(moves.len());
        let mut stay = HashSet::new();
        for one in moves {
            let [from, to] = [&one.from, &one.to].map(|name| root.join(path_of(name)));
            let moved = if one.with.as_ref().is_some_and(|with| stay.contains(with)) {
                Err(BELONGS.to_owned())
            } else {
                self.make_folders(root, &to)?;
                relocate(&from, &to).map_err(|error| error.to_string())
            };
            if moved.is_err() {
                stay.insert(&one.from);
                self.step(Step::Stay { from: one.from.clone(), to: one.to.clone() })?;
            }
            done.push(moved);
        }
        self.log.sync()?;
        Ok(done)
    }

    /// Brings all files back to where they were first, and removes the folders that were made for
    /// them, if they are empty. `root` is the folder of the images now.
    ///
    /// # Errors
    /// [`JournalError`] if the log cannot be written.
    pub fn undo(&mut self, root: Option<&Path>) -> Result<Undone, JournalError> {
        for step in self.state.settle(root, &BTreeSet::new()) {
            self.log.append(&step)?;
        }
        let mut undone = Undone::default();
        // A file that goes back may free the place of another one.
        loop {
            let Undone { back, left } = self.undo_once(root)?;
            let is_over = back.is_empty() || left.is_empty();
            undone.back.extend(back);
            undone.left = left;
            if is_over {
                return Ok(undone);
            }
        }
    }

    fn undo_once(&mut self, root: Option<&Path>) -> Result<Undone, JournalError> {
        let mut undone = Undone::default();
        let mut stay = HashSet::new();
        // Files to which others belong come first.
        let (others, alone): (Vec<_>, Vec<_>) =
            self.state.files.clone().into_iter().partition(|(_, trail)| trail.with.is_some());
        for (name, trail) in alone.into_iter().chain(others) {
            let Some(first) = trail.names.first() else { continue };
            if trail.with.as_ref().is_some_and(|with| stay.contains(with)) {
                undone.left.push((name, BELONGS.to_owned()));
                continue;
            }
            let Some(place) = trail.place(root, &name) else {
                stay.insert(name.clone());
                undone.left.push((name, "is not there any more".to_owned()));
                continue;
            };
            let (from, to) = (place.join(path_of(&name)), place.join(path_of(first)));
            let folder = to.parent().map_or(Ok(()), fs::create_dir_all);
            match folder.and_then(|()| relocate(&from, &to)) {
                Ok(()) => {
                    let first = first.clone();
                    self.step(Step::Back { from: name.clone() })?;
                    undone.back.push((name, first));
                }
                Err(error) => {
                    stay.insert(name.clone());
                    undone.left.push((name, error.to_string()));
                }
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
    let moved = match files::rename_to_free(from, to) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => copy_over(from, to),
        renamed => renamed,
    };
    moved.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            io::Error::new(error.kind(), format!("another file is at {}", to.display()))
        }
        _ => error,
    })
}

/// Copies a file to another disk, and removes it once the copy has its content.
fn copy_over(from: &Path, to: &Path) -> io::Result<()> {
    if to.symlink_metadata().is_ok() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    let mut source = File::open(from)?;
    let metadata = source.metadata()?;
    // Of its own name each time: what a killed process left is in nobody's way.
    let mut copy = files::temporary(0o666).tempfile_in(files::folder_of(to))?;
    io::copy(&mut source, &mut copy)?;
    copy.as_file().set_permissions(metadata.permissions())?;
    copy.as_file().set_modified(metadata.modified()?)?;
    copy.as_file().sync_all()?;
    if digest::hex_of(File::open(copy.path())?)? != digest::hex_of(File::open(from)?)? {
        return Err(io::Error::other("the copy on the other disk has another content"));
    }
    copy.persist_noclobber(to).map_err(|error| error.error)?;
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
        Move { from: from.to_owned(), to: to.to_owned(), sha256: digest::hex(from), with: None }
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
            let Move { from, to, sha256, with } = one(from, to);
            moved.step(Step::Move { root: root.clone(), from, to, sha256, with }).unwrap();
        }
        // Of the first the log alone knows; the second was copied and not yet removed.
        fs::write(root.join("keep/b.png"), "b.png").unwrap();
        drop(moved);
        let (mut moved, _) = MovedFiles::open(&run, Some(&root)).unwrap();
        assert_eq!(moved.first_name("keep/a.png"), "keep/a.png");
        // A copy is never removed: somebody may have put it there.
        let undone = moved.undo(Some(&root)).unwrap();
        assert!(undone.back.is_empty() && undone.left.len() == 1, "{undone:?}");
        for (name, text) in [("a.png", "a.png"), ("b.png", "b.png"), ("keep/b.png", "b.png")] {
            assert_eq!(fs::read_to_string(root.join(name)).unwrap(), text);
        }
    }

    /// A move that cannot be made leaves no trace in the log: neither a later move nor undo takes
    /// another file for the one that was to be moved.
    #[test]
    fn a_move_that_fails_was_none() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("frames");
        fs::create_dir_all(&root).unwrap();
        for (name, text) in [("a.png", "a.png"), ("a.txt", "caption"), ("reject", "in the way")] {
            fs::write(root.join(name), text).unwrap();
        }
        let run = run(dir.path());
        let open = || MovedFiles::open(&run, Some(&root)).unwrap().0;
        let both = |before: &str, after: &str| {
            let name = |folder: &str, end: &str| format!("{folder}a.{end}");
            let frame = one(&name(before, "png"), &name(after, "png"));
            let with = Some(frame.from.clone());
            let caption = one(&name(before, "txt"), &name(after, "txt"));
            [
                Move { sha256: digest::hex("a.png"), ..frame },
                Move { sha256: digest::hex("caption"), with, ..caption },
            ]
        };
        assert!(open().perform(&root, &both("", "keep/")).unwrap().iter().all(Result::is_ok));
        let failed = open().perform(&root, &both("keep/", "reject/")).unwrap();
        assert!(failed[0].is_err() && failed[1] == Err(BELONGS.to_owned()), "{failed:?}");
        fs::remove_file(root.join("reject")).unwrap();
        let again = open().perform(&root, &both("keep/", "reject/")).unwrap();
        assert!(again.iter().all(Result::is_ok), "{again:?}");
        // A file of the user's where one was before: the frame stays, and its caption with it.
        fs::write(root.join("a.png"), "new").unwrap();
        let undone = open().undo(Some(&root)).unwrap();
        assert!(undone.back.is_empty() && undone.left.len() == 2, "{undone:?}");
        fs::remove_file(root.join("a.png")).unwrap();
        assert_eq!(open().undo(Some(&root)).unwrap().back.len(), 2);
        assert_eq!(fs::read_to_string(root.join("a.txt")).unwrap(), "caption");
    }

    /// Two frames may have had the same name, one after the other: each has its own caption.
    #[test]
    fn captions_come_back_with_their_own_frame() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("frames");
        fs::create_dir_all(&root).unwrap();
        let run = run(dir.path());
        let open = || MovedFiles::open(&run, Some(&root)).unwrap().0;
        for (number, stem) in [("first", "a"), ("second", "a-2")] {
            fs::write(root.join("a.png"), number).unwrap();
            fs::write(root.join("a.txt"), number).unwrap();
            let to = |end: &str| format!("keep/{stem}.{end}");
            let frame = Move { sha256: digest::hex(number), ..one("a.png", &to("png")) };
            let with = Some("a.png".to_owned());
            let caption = Move { sha256: digest::hex(number), with, ..one("a.txt", &to("txt")) };
            let done = open().perform(&root, &[frame, caption]).unwrap();
            assert!(done.iter().all(Result::is_ok), "{done:?}");
        }
        let undone = open().undo(Some(&root)).unwrap();
        assert_eq!((undone.back.len(), undone.left.len()), (2, 2), "{undone:?}");
        let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
        assert_eq!(read("a.png"), read("a.txt"));
    }

    /// Files of the same content are files of their own.
    #[test]
    fn no_file_is_removed_since_another_has_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("frames");
        fs::create_dir_all(&root).unwrap();
        fs::write(root.join("a.png"), "a.png").unwrap();
        let run = run(dir.path());
        let open = || MovedFiles::open(&run, Some(&root)).unwrap().0;
        assert!(open().perform(&root, &[one("a.png", "keep/a.png")]).unwrap()[0].is_ok());
        fs::write(root.join("a.png"), "a.png").unwrap();
        let second = Move { to: "keep/a-2.png".to_owned(), ..one("a.png", "") };
        assert!(open().perform(&root, &[second]).unwrap()[0].is_ok());
        let undone = open().undo(Some(&root)).unwrap();
        assert_eq!((undone.back.len(), undone.left.len()), (1, 1), "{undone:?}");
        let there = |name: &str| usize::from(root.join(name).exists());
        assert_eq!(there("a.png") + there("keep/a.png") + there("keep/a-2.png"), 2);
        // One that took the place of another goes first.
        fs::remove_file(root.join("a.png")).unwrap();
        let other = one("b.png", "keep/b.png");
        fs::write(root.join("b.png"), "b.png").unwrap();
        let into = |from: &str| Move { from: from.to_owned(), ..one(from, "b.png") };
        assert!(open().perform(&root, &[other]).unwrap()[0].is_ok());
        let name = ["keep/a.png", "keep/a-2.png"].into_iter().find(|name| root.join(name).exists());
        assert!(open().perform(&root, &[into(name.unwrap())]).unwrap()[0].is_ok());
        let undone = open().undo(Some(&root)).unwrap();
        assert_eq!((undone.back.len(), undone.left.len()), (2, 0), "{undone:?}");
        for name in ["a.png", "b.png"] {
            assert_eq!(fs::read_to_string(root.join(name)).unwrap(), name);
        }
    }

    /// The frame was moved, its caption not yet.
    #[test]
    fn a_caption_follows_its_frame_after_a_kill() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("frames");
        fs::create_dir_all(&root).unwrap();
        let run = run(dir.path());
        let open = || MovedFiles::open(&run, Some(&root)).unwrap().0;
        let caption = || Move { with: Some("a.png".to_owned()), ..one("a.txt", "keep/a.txt") };
        let killed = || {
            fs::write(root.join("a.txt"), "a.txt").unwrap();
            fs::rename(root.join("keep/a.txt"), root.join("a.txt")).unwrap();
        };
        for name in ["a.png", "a.txt"] {
            fs::write(root.join(name), name).unwrap();
        }
        let done = open().perform(&root, &[one("a.png", "keep/a.png"), caption()]).unwrap();
        assert!(done.iter().all(Result::is_ok));
        killed();
        assert_eq!(open().finish(&root).unwrap(), 1);
        assert!(root.join("keep/a.txt").exists() && !root.join("a.txt").exists());
        assert_eq!(open().finish(&root).unwrap(), 0);
        // Undo needs no finishing.
        killed();
        let undone = open().undo(Some(&root)).unwrap();
        assert_eq!((undone.back.len(), undone.left.len()), (1, 0), "{undone:?}");
        assert_eq!(fs::read_dir(&root).unwrap().count(), 2, "both are where they were");
        // A new frame of the old name has the caption, whatever the log says.
        let done = open().perform(&root, &[one("a.png", "keep/a.png"), caption()]).unwrap();
        assert!(done.iter().all(Result::is_ok));
        killed();
        fs::write(root.join("a.png"), "a new frame").unwrap();
        assert_eq!(open().finish(&root).unwrap(), 0);
        assert!(root.join("a.txt").exists() && !root.join("keep/a.txt").exists());
    }

    #[test]
    fn what_came_to_lie_beside_a_moved_file_comes_back_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("frames");
        fs::create_dir_all(&root).unwrap();
        fs::write(root.join("a.png"), "a.png").unwrap();
        let run = run(dir.path());
        let open = || MovedFiles::open(&run, Some(&root)).unwrap().0;
        assert!(open().perform(&root, &[one("a.png", "keep/a.png")]).unwrap()[0].is_ok());
        fs::write(root.join("keep/a.xmp"), "a.xmp").unwrap();
        let rating = Move { with: Some("keep/a.png".to_owned()), ..one("a.xmp", "keep/a.xmp") };
        open().adopt(&root, rating).unwrap();
        let undone = open().undo(Some(&root)).unwrap();
        assert_eq!((undone.back.len(), undone.left.len()), (2, 0), "{undone:?}");
        assert_eq!(fs::read_dir(&root).unwrap().count(), 2, "the folder is gone");
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
        // Where a file is, none is put.
        fs::write(dir.path().join("c.png"), "another's").unwrap();
        assert!(copy_over(&to, &dir.path().join("c.png")).is_err());
        assert!(relocate(&to, &dir.path().join("c.png")).is_err());
        assert_eq!(fs::read(dir.path().join("c.png")).unwrap(), b"another's");
        assert!(to.exists() && fs::read_dir(dir.path()).unwrap().count() == 2);
    }
}
