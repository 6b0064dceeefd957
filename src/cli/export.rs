//! `gemscope export`: other formats of a run, any time later.

use std::path::PathBuf;

use anyhow::bail;
use gemscope::export;
use gemscope::run::{self, Manifest};

use super::args::formats;
use super::{Ending, messages, output};

/// Write a run's results in other formats
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run's directory
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// What to write, separated by commas: jsonl, coco, counts, crops, overlay, html
    #[arg(long, value_name = "FORMATS")]
    to: String,
    /// Where the images are now. Default: where they were
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Where to write: a new or empty directory. Default: the run's directory
    #[arg(long, short, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Ending> {
    let formats = formats(&args.to)?;
    let manifest = Manifest::read(&args.run)?;
    let out = match args.out.as_deref() {
        // Exports replace what they wrote before; in a folder of the user's they might replace something else.
        Some(out) if std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) => {
            bail!("{} is not empty: choose a new directory, or leave --out away to write into the run", out.display())
        }
        Some(out) => out,
        None => &args.run,
    };
    let records = run::read_journal(&args.run)?;
    let input = export::Input {
        records: &records,
        manifest: &manifest,
        asked: manifest.labels(),
        images: args.images.as_deref().or(manifest.root.as_deref()),
        apply_orientation: manifest.apply_orientation(),
    };
    let exported = export::export(&input, &formats, out)?;
    for remark in &exported.remarks {
        messages::say(remark);
    }
    for path in &exported.written {
        output::text(&format!("{}\n", path.display()))?;
    }
    Ok(if exported.images_missed == 0 { Ending::Complete } else { Ending::SomeFailed })
}
