//! `gemscope export`: other formats of a run, any time later.

use std::path::PathBuf;

use gemscope::export::{self, Format};
use gemscope::run::{self, Manifest};

use super::{Ending, messages, output};

/// Write a run's results in other formats
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run's directory
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// What to write, separated by commas: jsonl, coco, counts, crops
    #[arg(long, value_name = "FORMATS", required = true, value_delimiter = ',')]
    to: Vec<Format>,
    /// Where the images are now. Default: where they were
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Where to write. Default: the run's directory
    #[arg(long, short, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Ending> {
    let manifest = Manifest::read(&args.run)?;
    let records = run::read_journal(&args.run)?;
    let input = export::Input {
        records: &records,
        asked: manifest.labels(),
        images: args.images.as_deref().or(manifest.root.as_deref()),
        apply_orientation: manifest.apply_orientation(),
    };
    let exported = export::export(&input, &args.to, args.out.as_deref().unwrap_or(&args.run))?;
    for remark in &exported.remarks {
        messages::say(remark);
    }
    for path in &exported.written {
        output::text(&format!("{}\n", path.display()))?;
    }
    Ok(Ending::Complete)
}
