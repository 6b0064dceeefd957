//! `gemscope convert`: a dataset, or several as one, in another format.

use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use gemscope::dataset::{
    self, Dataset, DatasetError, Format, Grouping, ReadOptions, Shares, WriteOptions,
};
use gemscope::export;
use gemscope::record::Manifest;

use super::{Ending, messages, output, plain, read_records};

/// Write a dataset in another format; several become one. Boxes are carried, and splits, ids,
/// areas, outlines and scores if the format has a word for them
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Datasets of any format, and runs; of boxes in one place a person's stay, else those of the
    /// first
    #[arg(required = true, value_name = "DATASET")]
    datasets: Vec<PathBuf>,
    /// What to write: coco, roboflow, yolo, voc, labelme, xanylabeling, cvat, label-studio,
    /// imagefolder, megadetector, jsonl
    #[arg(long, value_name = "FORMAT")]
    to: Format,
    /// What DATASET is, of the same words. Default: told from its files
    #[arg(long, value_name = "FORMAT")]
    from: Option<Format>,
    /// Where the images are, if not where DATASET says
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Where to write: a new file for COCO, a new or empty directory for the others, or what an
    /// earlier conversion wrote
    #[arg(long, short, value_name = "PATH")]
    out: PathBuf,
    /// Leave out entries that are wrong, and count them by what is wrong with them. Without it, all
    /// of them are said, each with its place, and nothing is written
    #[arg(long)]
    skip_invalid: bool,
    /// Write into a directory that holds other files, too, and replace those that are in the way
    #[arg(long)]
    adopt: bool,
    #[command(flatten)]
    changes: Changes,
}

/// What is changed on the way.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What is changed on the way")]
struct Changes {
    /// Split anew: the share for validation (0.2), or for validation and test (0.1,0.1). Default:
    /// splits stay
    #[arg(long, value_name = "SHARES")]
    split: Option<Shares>,
    /// Keep images together in a split: folder, clip (names that differ in the number at their
    /// end), or a CSV with image,group
    #[arg(long, value_name = "WHAT", requires = "split")]
    split_by: Option<String>,
    /// Count all ids of COCO anew, from 0 or 1
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(0..=1))]
    ids_from: Option<u64>,
    /// Take the folders out of the images' names: a/b.jpg becomes a__b.jpg
    #[arg(long)]
    flat: bool,
    /// Copy the images to where the format looks for them
    #[arg(long)]
    copy_images: bool,
    /// Write each box's score behind it in yolo, as Ultralytics' save_conf does: for tools that
    /// read predictions. Trainers refuse such labels
    #[arg(long)]
    save_conf: bool,
    /// A TOML file of labels: "red car" = "car" renames, "blur" = "" leaves boxes out
    #[arg(long, value_name = "FILE")]
    labels_map: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Ending> {
    if args.changes.copy_images && args.to == Format::Coco {
        bail!(
            "--copy-images goes with a directory, and coco is one file: --to roboflow holds images"
        );
    }
    let mut remarks = Vec::new();
    let options = ReadOptions { images: args.images.as_deref(), skip_invalid: args.skip_invalid };
    let mut whole: Option<(Dataset, String)> = None;
    for path in &args.datasets {
        let (dataset, format) = read(path, args.from, &options, &mut remarks)?;
        match &mut whole {
            None => whole = Some((dataset, format)),
            Some((whole, formats)) => {
                whole.join(dataset, &path.display().to_string(), &mut remarks);
                *formats = format!("{formats} and {format}");
            }
        }
    }
    // One is required.
    let Some((mut dataset, from)) = whole else { bail!("name a dataset") };
    if let Some(file) = &args.changes.labels_map {
        dataset.map_labels(&export::read_labels_map(file)?, &mut remarks);
    }
    if let Some(shares) = args.changes.split {
        let by = args.changes.split_by.as_deref().map(Grouping::read).transpose()?;
        dataset.split(shares, &by.unwrap_or(Grouping::Image), &mut remarks);
    }
    if args.changes.flat {
        dataset.flatten(&mut remarks);
    }
    dataset.leave_out_unboxed(Some(args.to), &mut remarks);
    if args.to.has_label_files() {
        dataset.check_files(&args.datasets[0], args.skip_invalid, &mut remarks).map_err(advised)?;
    }
    let options = WriteOptions {
        adopt: args.adopt,
        ids_from: args.changes.ids_from,
        copy_images: args.changes.copy_images,
        save_conf: args.changes.save_conf,
    };
    let (written, missing) = dataset::write(&dataset, args.to, &args.out, &options, &mut remarks)?;
    messages::say(&format!(
        "{from} to {}: {}, {}, {}",
        args.to,
        messages::counted(dataset.images.len(), "image", "images"),
        messages::counted(dataset.objects().count(), "box", "boxes"),
        messages::counted(dataset.categories.len(), "category", "categories")
    ));
    for remark in &remarks {
        messages::say(&plain::line(remark));
    }
    for path in written {
        output::text(&format!("{}\n", path.display()));
    }
    Ok(if missing > 0 { Ending::SomeFailed } else { Ending::Complete })
}

/// The dataset at `path`, or what the run there found; and what it is.
pub(crate) fn read(
    path: &Path,
    from: Option<Format>,
    options: &ReadOptions<'_>,
    remarks: &mut Vec<String>,
) -> anyhow::Result<(Dataset, String)> {
    if from.is_none() && path.is_dir() && Manifest::is_there(path)? {
        let manifest = Manifest::read(path)?;
        if manifest.only_rates() {
            bail!(
                "{} is a run of critique that rates frames and finds no boxes: it is no dataset",
                path.display()
            );
        }
        let images = options.images.map(Path::to_owned).or_else(|| manifest.root.clone());
        let filters = manifest.filters.clone();
        let run = export::Run::of(read_records(path)?, manifest, &filters, images);
        remarks.extend(run.selection.remarks());
        let dataset = export::data_set(&run, &export::Options::default(), remarks);
        return Ok((dataset, "run".to_owned()));
    }
    let from = match from {
        Some(format) => format,
        None => Format::of(path)?,
    };
    let dataset = dataset::read(path, from, options, remarks).map_err(advised)?;
    Ok((dataset, from.as_str().to_owned()))
}

/// The error with the flag that mends it.
fn advised(error: DatasetError) -> anyhow::Error {
    match error {
        DatasetError::NoSplit { .. } => {
            anyhow!(
                "{error}; take the line out, or say with --images in which folder all are: \
                 --images DIR"
            )
        }
        DatasetError::Problems(_) => {
            anyhow!("{error}\n--skip-invalid leaves such entries out, and counts them")
        }
        other => other.into(),
    }
}
