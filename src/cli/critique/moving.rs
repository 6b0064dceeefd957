//! What is done with the frames themselves: `--sort move`, `--undo`, `--xmp`.

use std::path::PathBuf;

use gemscope::export::{self, Critique, bring_along, move_frames, rate_in_xmp};
use gemscope::journal::{MovedFiles, RunDirectory, rename_records};
use gemscope::record::Manifest;

use super::super::{messages, plain};
use super::Args;

/// How many files are named of those that stay where they are.
const NAMED: usize = 10;

/// The inputs, and the frames that the run moved away from them earlier.
pub(super) fn inputs(args: &Args) -> anyhow::Result<Vec<PathBuf>> {
    let mut inputs = args.inputs.clone();
    if !args.control.fresh {
        // Of files beside frames there is nothing to be asked.
        let is_image = |path: &PathBuf| {
            let end = path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase());
            end.is_some_and(|end| gemscope::source::EXTENSIONS.contains(&end.as_str()))
        };
        inputs.extend(MovedFiles::paths(&args.out, None)?.into_iter().filter(is_image));
    }
    Ok(inputs)
}

/// Moves the frames of `judged` into folders of their verdict; the earlier and the new name of
/// each.
pub(super) fn by_verdict(
    judged: &Critique<'_>,
    run: &export::Run,
    directory: &RunDirectory,
) -> anyhow::Result<Vec<(String, String)>> {
    let moved = move_frames(judged, run, directory)?;
    say_left("stays where it is", &moved.stay);
    let (frames, beside) = (moved.frames.len(), moved.beside);
    let beside =
        if beside == 0 { String::new() } else { format!(", and {beside} files beside them") };
    messages::say(&format!(
        "{frames} frames were moved{beside}. gemscope critique --undo --out {} brings them back.",
        directory.output().path().display()
    ));
    Ok(moved.frames)
}

/// Brings all moved files back.
pub(super) fn undo(directory: &RunDirectory) -> anyhow::Result<()> {
    let root = Manifest::read(directory.output().path())?.root;
    let (mut moved, damaged) = MovedFiles::open(directory, root.as_deref())?;
    super::super::say_damaged(directory.output().path(), &damaged);
    if let Some(root) = &root {
        bring_along(&mut moved, root)?;
    }
    let undone = moved.undo(root.as_deref())?;
    rename_records(directory, &undone.back)?;
    say_left("stays where it is", &undone.left);
    messages::say(&format!("{} files are back where they were.", undone.back.len()));
    Ok(())
}

/// Writes the verdicts into files beside the frames.
pub(super) fn rate(judged: &Critique<'_>, run: &export::Run) -> anyhow::Result<()> {
    let rated = rate_in_xmp(judged, run)?;
    say_left("has no rating", &rated.left);
    messages::say(&format!("{} frames have their rating in an .xmp file.", rated.rated));
    Ok(())
}

fn say_left(what: &str, files: &[(String, String)]) {
    for (name, reason) in files.iter().take(NAMED) {
        messages::say(&plain::line(&format!("{name} {what}: {reason}")));
    }
    if files.len() > NAMED {
        messages::say(&format!("{} more files: the same", files.len() - NAMED));
    }
}
