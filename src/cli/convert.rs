//! `gemscope convert`: a dataset in another format.

use std::path::PathBuf;

use anyhow::anyhow;
use gemscope::dataset::{self, DatasetError, Format, ReadOptions, WriteOptions};

use super::{Ending, messages, output};

/// Write a dataset in another format: COCO, Roboflow's COCO folders, YOLO or Pascal VOC. Boxes are
/// carried, and splits, ids, areas, outlines and scores if the format has a word for them
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// COCO instances (a .json), or a directory: Roboflow's train|valid|test, YOLO's data.yaml,
    /// VOC's Annotations
    #[arg(value_name = "DATASET")]
    dataset: PathBuf,
    /// What to write: coco, roboflow, yolo, voc
    #[arg(long, value_name = "FORMAT")]
    to: Format,
    /// What DATASET is: coco, roboflow, yolo, voc. Default: told from its files
    #[arg(long, value_name = "FORMAT")]
    from: Option<Format>,
    /// The folder of the images, if DATASET does not lead to them; only their headers are read, for
    /// their sizes
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Output path: a new file for COCO, a new or empty directory for the others, or the output of
    /// an earlier conversion
    #[arg(long, short, value_name = "PATH")]
    out: PathBuf,
    /// Leave out entries that are wrong, and count them by what is wrong with them. Without it, all
    /// of them are said, each with its place, and nothing is written
    #[arg(long)]
    skip_invalid: bool,
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
    let options = ReadOptions { images: args.images.as_deref(), skip_invalid: args.skip_invalid };
    let dataset = dataset::read(&args.dataset, from, &options, &mut remarks);
    let mut dataset = dataset.map_err(|error| match error {
        DatasetError::NoSplit { .. } => {
            anyhow!("{error}; take the line out, or say where all images are with --images DIR")
        }
        DatasetError::Problems(_) => {
            anyhow!("{error}\n--skip-invalid leaves such entries out, and counts them")
        }
        other => other.into(),
    })?;
    if args.to.has_label_files() {
        dataset.check_files(&args.dataset, args.skip_invalid, &mut remarks)?;
    }
    let options = WriteOptions { adopt: args.adopt };
    let written = dataset::write(&dataset, args.to, &args.out, &options, &mut remarks)?;
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
