//! Detects in a folder of images and writes COCO. Run again, it goes on where it was stopped.
//!
//!     cargo run --example folder_to_coco -- fixtures/shapes runs/example

#![allow(clippy::print_stdout)] // what an example shows

use std::path::PathBuf;

use gemscope::export::{self, Format, Options};
use gemscope::journal::place;
use gemscope::session::{DetectConfig, RunOptions, Session};
use gemscope::source;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [folder, out]: [PathBuf; 2] = std::env::args_os()
        .skip(1)
        .map(PathBuf::from)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| "FOLDER OUT")?;
    let mut session = Session::open(DetectConfig::of_labels(["star", "circle"]), &())?;
    let (source, placement) = place(source::list(&[folder], Some(&out))?, Some(&out))?;
    let finished = session.run(&source, &placement, &RunOptions::of(&out))?;

    let (shown, summary) = finished.shown(&source, false)?;
    let exported = export::export(
        &shown.run,
        &Options::default(),
        &[Format::Coco],
        finished.directory.output(),
    );
    println!("{} images done, {} left: {:?}", summary.done, summary.left, summary.labels);
    for path in exported.written {
        println!("{}", path.display());
    }
    Ok(())
}
