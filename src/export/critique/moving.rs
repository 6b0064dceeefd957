//! The frames themselves, in a folder of their verdict.
//!
//! In: a judged run. Out: each frame, and the files of its name beside it, in `keep`, `review` or
//! `reject` in the folder of the frames, and its record under the new name. Promises: only a file
//! that is the one which was judged is moved; no file is overwritten: a taken name gets a number;
//! all of it is in the log of [`MovedFiles`] before it is done.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::super::upright::Images;
use super::super::{ExportError, Run};
use super::Critique;
use crate::critique::Verdict;
use crate::digest;
use crate::frame_metadata::SIDECAR_EXTENSIONS;
use crate::journal::{Move, MovedFiles, RunDirectory, rename_records};
use crate::record::Record;
use crate::source::{EXTENSIONS, name_of, path_of};

/// Endings of files beside a frame that belong to it, besides those with its settings.
const BESIDE: [&str; 3] = ["xmp", "yaml", "npz"];

/// What was moved.
#[derive(Debug, Default)]
pub struct MovedFrames {
    /// The earlier name and the new one of each frame.
    pub frames: Vec<(String, String)>,
    /// How many files beside frames were moved along.
    pub beside: usize,
    /// The names of frames that stay where they are, each with the reason.
    pub stay: Vec<(String, String)>,
}

/// Moves the frames of `critique` into folders of their verdict, in the folder of the images of
/// `run`, whose records in `directory` get the new names. A frame that lies where it belongs stays.
///
/// # Errors
/// [`ExportError`] if the folder is not known or out of reach, or the log or the journal cannot be
/// written.
pub fn move_frames(
    critique: &Critique<'_>,
    run: &Run,
    directory: &RunDirectory,
) -> Result<MovedFrames, ExportError> {
    let root = run.images.as_deref().ok_or(ExportError::NoImages)?;
    let images = Images::of(run, critique.records)?;
    let (mut log, _) = MovedFiles::open(directory, Some(root))?;
    let mut moved = MovedFrames { beside: log.finish(root)?, ..MovedFrames::default() };
    let mut moves: Vec<Move> = Vec::new();
    let mut frames: Vec<usize> = Vec::new();
    let mut taken = HashSet::new();
    let mut leaving = HashSet::new();
    for (record, judged) in critique.records.iter().zip(&critique.judged) {
        let path = match movable(&images, record) {
            Ok(Some(path)) => path,
            Ok(None) => continue,
            Err(reason) => {
                moved.stay.push((record.image.clone(), reason));
                continue;
            }
        };
        leaving.insert(path.clone());
        let beside = files_beside(&path, &leaving);
        let wanted = place_of(log.first_name(&record.image), judged.verdict);
        let Some(target) = free_place(root, &record.image, &wanted, &path, &beside, &mut taken)
        else {
            leaving.remove(&path);
            continue;
        };
        frames.push(moves.len());
        moves.extend(one_move(root, &path, &target, record.sha256.clone()));
        let ends = beside.iter().filter_map(|file| Some((file, ending(&path, file)?)));
        for (file, end) in ends {
            let along = one_move(root, file, &with_ending(&target, &end), None);
            moves.extend(along.map(|one| Move { with: Some(record.image.clone()), ..one }));
        }
    }
    let done = log.perform(root, &moves)?;
    for (place, (one, done)) in moves.iter().zip(done).enumerate() {
        match (done, frames.binary_search(&place).is_ok()) {
            (Ok(()), true) => moved.frames.push((one.from.clone(), one.to.clone())),
            (Ok(()), false) => moved.beside += 1,
            (Err(reason), _) => moved.stay.push((one.from.clone(), reason)),
        }
    }
    rename_records(directory, &moved.frames)?;
    Ok(moved)
}

/// Has files that came to lie beside moved frames (ratings, captions) come back with them.
///
/// # Errors
/// [`ExportError`] if the log cannot be written.
pub fn bring_along(log: &mut MovedFiles, root: &Path) -> Result<(), ExportError> {
    let is_frame = |name: &str| {
        let end = Path::new(name).extension().map(|end| end.to_string_lossy().to_ascii_lowercase());
        end.is_some_and(|end| EXTENSIONS.contains(&end.as_str()))
    };
    let frames = log.names().filter(|(name, _)| is_frame(name));
    let frames: Vec<(String, String)> =
        frames.map(|(name, first)| (name.to_owned(), first.to_owned())).collect();
    let leaving: HashSet<PathBuf> =
        frames.iter().map(|(name, _)| root.join(path_of(name))).collect();
    let mut known: HashSet<String> = log.names().map(|(name, _)| name.to_owned()).collect();
    for (name, first) in frames {
        let (path, target) = (root.join(path_of(&name)), root.join(path_of(&first)));
        for file in files_beside(&path, &leaving) {
            let back = ending(&path, &file).map(|end| with_ending(&target, &end));
            // What has the earlier name by now is another file.
            let hash = File::open(&file).and_then(digest::hex_of).ok();
            let one =
                back.zip(hash).and_then(|(back, hash)| one_move(root, &back, &file, Some(hash)));
            let Some(one) = one else { continue };
            if known.insert(one.to.clone()) {
                log.adopt(root, Move { with: Some(name.clone()), ..one })?;
            }
        }
    }
    Ok(())
}

/// The file of a frame, if it is the one that was judged; `None` if it is gone.
fn movable(images: &Images<'_>, record: &Record) -> Result<Option<PathBuf>, String> {
    if !images.is_there(record) {
        return Ok(None);
    }
    let path = images.file(record).ok_or("is in an archive")?;
    let metadata = path.symlink_metadata().map_err(|error| error.to_string())?;
    if metadata.is_symlink() {
        return Err("is a link".to_owned());
    }
    let hash = File::open(&path).and_then(digest::hex_of).map_err(|error| error.to_string())?;
    if record.sha256.as_ref() != Some(&hash) {
        return Err("was changed since it was judged, or could not be read then".to_owned());
    }
    Ok(Some(path))
}

/// Where the frame that was called `first` belongs: in the folder of its verdict, instead of
/// another verdict's that it may lie in already.
fn place_of(first: &str, verdict: Verdict) -> String {
    let rest = first.split_once('/').filter(|(folder, _)| is_of_verdict(folder));
    format!("{verdict}/{}", rest.map_or(first, |(_, rest)| rest))
}

fn is_of_verdict(folder: &str) -> bool {
    Verdict::ALL.iter().any(|verdict| verdict.as_str() == folder)
}

/// The path for a frame that belongs at `wanted`, with a number if that is taken. `None` if it lies
/// there.
fn free_place(
    root: &Path,
    image: &str,
    wanted: &str,
    path: &Path,
    beside: &[PathBuf],
    taken: &mut HashSet<PathBuf>,
) -> Option<PathBuf> {
    let wanted = root.join(path_of(wanted));
    let stem = wanted.file_stem()?.to_owned();
    let extension = wanted.extension().map(ToOwned::to_owned).unwrap_or_default();
    for number in 1_u32.. {
        let mut name = stem.clone();
        if number > 1 {
            name.push(format!("-{number}"));
        }
        let mut target = wanted.with_file_name(name);
        if !extension.is_empty() {
            target.as_mut_os_string().push(".");
            target.as_mut_os_string().push(&extension);
        }
        if target == root.join(path_of(image)) {
            return None;
        }
        let ends = beside.iter().filter_map(|file| ending(path, file));
        let targets: Vec<PathBuf> = std::iter::once(target.clone())
            .chain(ends.map(|end| with_ending(&target, &end)))
            .collect();
        let is_free = |path: &PathBuf| !taken.contains(path) && path.symlink_metadata().is_err();
        if targets.iter().all(is_free) {
            taken.extend(targets);
            return Some(target);
        }
    }
    None
}

/// Files beside the frame at `path` that belong to it. One that belongs to another frame of that
/// name as well goes with the last of them.
fn files_beside(path: &Path, leaving: &HashSet<PathBuf>) -> Vec<PathBuf> {
    let stays = |other: &PathBuf| other != path && !leaving.contains(other) && other.exists();
    let shared = EXTENSIONS.iter().map(|end| path.with_extension(end)).any(|other| stays(&other));
    let ends = || SIDECAR_EXTENSIONS.iter().chain(&BESIDE);
    let of_stem = ends().filter(|_| !shared).map(|end| path.with_extension(end));
    let of_name = ends().map(|end| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{end}"));
        PathBuf::from(name)
    });
    let is_file = |path: &PathBuf| path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    of_stem.chain(of_name).filter(|file| file != path && is_file(file)).collect()
}

/// How the name of a file beside a frame ends: behind the whole name of the frame, or behind its
/// stem, which is the first.
fn ending(frame: &Path, file: &Path) -> Option<(bool, String)> {
    let [whole, stem, name] = [frame.file_name()?, frame.file_stem()?, file.file_name()?]
        .map(|name| name.to_string_lossy().into_owned());
    match name.strip_prefix(&whole) {
        Some(end) => Some((false, end.to_owned())),
        None => Some((true, name.strip_prefix(&stem)?.to_owned())),
    }
}

fn with_ending(frame: &Path, (of_stem, end): &(bool, String)) -> PathBuf {
    let name = if *of_stem { frame.file_stem() } else { frame.file_name() };
    let mut name = name.unwrap_or_default().to_owned();
    name.push(end);
    frame.with_file_name(name)
}

fn one_move(root: &Path, from: &Path, to: &Path, sha256: Option<String>) -> Option<Move> {
    let hash = || File::open(from).and_then(digest::hex_of).ok();
    let name = |path: &Path| name_of(path.strip_prefix(root).ok()?);
    Some(Move { from: name(from)?, to: name(to)?, sha256: sha256.or_else(hash)?, with: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_one_place_a_verdict() {
        assert_eq!(place_of("a.png", Verdict::Keep), "keep/a.png");
        assert_eq!(place_of("sub/a.png", Verdict::Reject), "reject/sub/a.png");
        assert_eq!(place_of("keep/sub/a.png", Verdict::Reject), "reject/sub/a.png");
        assert_eq!(place_of("keep.png", Verdict::Review), "review/keep.png");
    }

    #[test]
    fn files_beside_a_frame_are_told_by_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["a.png", "a.txt", "a.swarm.json", "a.png.json", "a.b.txt", "b.txt"] {
            std::fs::write(path(name), "").unwrap();
        }
        let beside = files_beside(&path("a.png"), &HashSet::new());
        assert_eq!(beside, ["a.swarm.json", "a.txt", "a.png.json"].map(path));
        let to = |file: &str| {
            with_ending(&path("a-2.png"), &ending(&path("a.png"), &path(file)).unwrap())
        };
        assert_eq!(to("a.txt"), path("a-2.txt"));
        assert_eq!(to("a.png.json"), path("a-2.png.json"));
        std::fs::write(path("a.jpg"), "").unwrap();
        assert_eq!(files_beside(&path("a.png"), &HashSet::new()), [path("a.png.json")]);
        let gone = HashSet::from([path("a.png")]);
        assert_eq!(files_beside(&path("a.jpg"), &gone), ["a.swarm.json", "a.txt"].map(path));
    }

    #[test]
    fn a_taken_name_gets_a_number() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        std::fs::create_dir(root.join("keep")).unwrap();
        std::fs::write(root.join("keep/a.txt"), "").unwrap();
        let mut taken = HashSet::new();
        let mut place = |image: &str, beside: &[PathBuf]| {
            free_place(root, image, "keep/a.png", &root.join("a.png"), beside, &mut taken)
        };
        assert_eq!(place("a.png", &[root.join("a.txt")]), Some(root.join("keep/a-2.png")));
        assert_eq!(place("a.png", &[]), Some(root.join("keep/a.png")));
        assert_eq!(place("a.png", &[]), Some(root.join("keep/a-3.png")));
        assert_eq!(place("keep/a-3.png", &[]), None, "it lies there");
    }
}
