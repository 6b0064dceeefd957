//! What is done with the frames themselves: `--sort move`, `--undo`, `--xmp`.

use std::path::PathBuf;

use gemscope::export::{self, Critique, bring_along, move_frames, rate_in_files, rate_in_xmp};
use gemscope::journal::{MovedFiles, RatedFiles, RunDirectory, rename_records};
use gemscope::record::Manifest;

use super::super::{messages, plain};
use super::Args;
use super::args::XmpPlace;

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

/// Has frames that the run wrote ratings into known again, if a killed process did not come to it.
pub(super) fn settle(args: &Args) -> anyhow::Result<()> {
    if args.control.fresh || !RatedFiles::is_there(&args.out) || !Manifest::is_there(&args.out)? {
        return Ok(());
    }
    let directory = RunDirectory::of_run(&args.out)?;
    if let Some(root) = Manifest::read(&args.out)?.root {
        RatedFiles::open(&directory)?.settle(&directory, &root)?;
    }
    Ok(())
}

/// Takes the ratings out of all frames that have them, and brings all moved files back.
pub(super) fn undo(directory: &RunDirectory) -> anyhow::Result<()> {
    let out = directory.output().path();
    let root = Manifest::read(out)?.root;
    if let Some(root) = root.as_deref().filter(|_| RatedFiles::is_there(out)) {
        let unrated = RatedFiles::open(directory)?.undo(directory, root)?;
        say_left("keeps its rating", &unrated.left);
        messages::say(&format!("{} files are without their rating again.", unrated.back));
    }
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

/// Writes the verdicts into the frames, or into files beside them.
pub(super) fn rate(
    judged: &Critique<'_>,
    run: &export::Run,
    place: XmpPlace,
    directory: &RunDirectory,
) -> anyhow::Result<()> {
    let rated = match place {
        XmpPlace::Sidecar => rate_in_xmp(judged, run)?,
        XmpPlace::File => rate_in_files(judged, run, directory)?,
    };
    say_left("has no rating", &rated.left);
    let said = format!("{} frames have their rating", rated.rated);
    messages::say(&match place {
        XmpPlace::Sidecar => format!("{said} in an .xmp file."),
        XmpPlace::File => format!(
            "{said} in themselves. gemscope critique --undo --out {} takes it out.",
            directory.output().path().display()
        ),
    });
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
