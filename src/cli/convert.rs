//! `gemscope convert`: a dataset in another format.

use std::path::PathBuf;

use anyhow::anyhow;
use gemscope::dataset::{self, DatasetError, Format};

use super::{Ending, messages, output};

/// Write a dataset in another format: COCO, YOLO or Pascal VOC. Boxes are carried, and splits, ids
/// and areas if the format has a word for them
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// COCO instances (a .json), or a directory with YOLO's data.yaml or VOC's Annotations
    #[arg(value_name = "DATASET")]
    dataset: PathBuf,
    /// What to write: coco, yolo, voc
    #[arg(long, value_name = "FORMAT")]
    to: Format,
    /// What DATASET is: coco, yolo, voc. Default: told from its files
    #[arg(long, value_name = "FORMAT")]
    from: Option<Format>,
    /// Where the images are, if not where DATASET says; only their headers are read, for their
    /// sizes
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Where to write: a new file for COCO, a new or empty directory for the others, or what an
    /// earlier conversion wrote
    #[arg(long, short, value_name = "PATH")]
    out: PathBuf,
    /// Write into a directory that holds other files, too, and replace those that are in the way
    #[arg(long)]
    adopt: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Ending> {
    let from = match args.from {
        Some(format) => format,
        None => Format::of(&args.dataset)?,
    };
    let mut remarks = Vec::new();
    let dataset = dataset::read(&args.dataset, from, args.images.as_deref(), &mut remarks);
    let dataset = dataset.map_err(|error| match error {
        DatasetError::NoSplit { .. } => {
            anyhow!("{error}; take the line out, or say where all images are with --images DIR")
        }
        other => other.into(),
    })?;
    let written = dataset::write(&dataset, args.to, &args.out, args.adopt, &mut remarks)?;
    let boxes: usize = dataset.images.iter().map(|image| image.objects.len()).sum();
    messages::say(&format!(
        "{from} to {}: {} images, {boxes} boxes, {} categories",
        args.to,
        dataset.images.len(),
        dataset.categories.len()
    ));
    for remark in &remarks {
        messages::say(remark);
    }
    for path in written {
        output::text(&format!("{}\n", path.display()));
    }
    Ok(Ending::Complete)
}
