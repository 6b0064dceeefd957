//! `gemscope export`: other formats of one run or several, any time later.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use gemscope::critique::Rubric;
use gemscope::export::{
    self, CropFormat, CropOptions, Format, GroupBy, Missing, Options, Padding, SortBy,
};
use gemscope::journal::{
    JoinedShards, RunDirectory, RunDirectoryError, ShardRun, join_shards, read_journal, unfinished,
};
use gemscope::ownership::OutputDirectory;
use gemscope::record::{AnswerStatus, Manifest, Record};
use gemscope::session::pipeline::word::share;
use gemscope::session::pipeline::{FilterSection, Names};

use super::{Ending, ending, messages, output, plain, read_records, say_missing};

/// Write a run's results in other formats
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run's directory; the images of several become one set. Shards of one run (detect
    /// --shard) become that run: they must be all of it, each once, and of one configuration
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// What to write, separated by commas: jsonl, csv, coco, yolo, voc, label-studio, counts,
    /// crops, overlay, html, roboflow, labelme, xanylabeling, cvat, imagefolder, megadetector; of
    /// shards also run, which makes a run of them in --out
    #[arg(long, value_name = "FORMATS")]
    to: Names,
    /// Folder of the images, once for all runs or once for each, in order. Default: the folder that
    /// each run read
    #[arg(long, value_name = "DIR")]
    images: Vec<PathBuf>,
    /// Output directory: new, empty, or that of an earlier export. Default, for one run: the run's
    /// directory
    #[arg(long, short, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write into a directory that holds other files, too, and replace those that are in the way
    #[arg(long)]
    adopt: bool,
    /// Put the images into folders by what was found in them, as links or copies: link or copy
    #[arg(long, value_name = "HOW")]
    sort: Option<SortBy>,
    /// Sum up frames of videos by their clip, in clips.csv: clip
    #[arg(long, value_name = "KEY")]
    group_by: Option<GroupBy>,
    /// Export what there is of a run's shards, though some are missing or not finished
    #[arg(long)]
    partial: bool,
    #[command(flatten)]
    filters: FilterSection,
    #[command(flatten)]
    select: SelectArgs,
    #[command(flatten)]
    data_set: DataSetArgs,
    #[command(flatten)]
    crops: CropArgs,
}

/// Which records are exported, and under which categories.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Which images and categories are exported")]
struct SelectArgs {
    /// Only images whose answers have these statuses, separated by commas: ok,empty
    #[arg(long, value_name = "STATUSES")]
    include_status: Option<String>,
    /// Keep images that are not there any more. Without it they are left out and counted
    #[arg(long)]
    keep_missing: bool,
    /// A file that fixes the categories, their order and ids: one name a line, or COCO. Boxes with
    /// other labels are left out
    #[arg(long, value_name = "FILE")]
    categories: Option<PathBuf>,
}

/// How data sets are made.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Data sets")]
struct DataSetArgs {
    /// The share of images for validation, 0 to 1; a hash of its name decides which part an image
    /// belongs to
    #[arg(long, value_name = "SHARE", value_parser = share::<f64>)]
    split: Option<f64>,
    /// Copy images; without it they are linked (hard, or symbolic from another disk)
    #[arg(long)]
    copy_images: bool,
    /// Write upright PNG copies of images that EXIF turns, for tools that ignore EXIF; coco then
    /// writes its images too
    #[arg(long)]
    write_upright: bool,
    /// Write each box's score behind it in yolo, as Ultralytics' save_conf does: for tools that
    /// read predictions. Trainers refuse such labels
    #[arg(long)]
    save_conf: bool,
    /// The prefix that Label Studio needs in front of image names; "" for plain names. Default:
    /// /data/local-files/?d=FOLDER/
    #[arg(long, value_name = "URL")]
    label_studio_url: Option<String>,
}

/// How crops are cut.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Crops")]
struct CropArgs {
    /// Pad every side: a share of the box (0.1) or pixels (12px)
    #[arg(long = "crop-padding", value_name = "PADDING")]
    padding: Option<Padding>,
    /// Enlarge crops until each side has at least this many pixels
    #[arg(
        long = "crop-min-size",
        value_name = "PIXELS",
        default_value_t = 0,
        hide_default_value = true
    )]
    min_size: u32,
    /// Grow crops to squares
    #[arg(long = "crop-square")]
    square: bool,
    /// The files of crops: png, jpeg, or auto for JPEG where the image is one
    #[arg(long = "crop-format", value_name = "FORMAT", default_value = "auto")]
    format: CropFormat,
}

impl Args {
    fn options(&self) -> anyhow::Result<Options> {
        let Self { select, data_set, crops, .. } = self;
        Ok(Options {
            categories: select.categories.as_deref().map(export::read_categories).transpose()?,
            include_status: select.include_status.as_deref().map(statuses).transpose()?,
            split: data_set.split,
            copy_images: data_set.copy_images,
            write_upright: data_set.write_upright,
            save_conf: data_set.save_conf,
            crops: CropOptions {
                padding: crops.padding.unwrap_or_default(),
                min_size: crops.min_size,
                square: crops.square,
                format: crops.format,
            },
            label_studio_url: data_set.label_studio_url.clone(),
            sort: self.sort,
            group_by: self.group_by,
        })
    }

    /// Whether the runs are parts of one, of which the whole is asked for.
    fn joins_shards(&self) -> anyhow::Result<bool> {
        match (self.runs.as_slice(), self.out.as_deref()) {
            // What a shard's own directory shows is that shard.
            ([_], None) => return Ok(false),
            ([run], Some(out)) if is_same(out, run) => return Ok(false),
            _ => {}
        }
        for run in &self.runs {
            if Manifest::read(run)?.shard.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The run of which the runs are shards, and what is to be said about it.
    fn read_shards(&self, formats: &[Format]) -> anyhow::Result<(export::Run, Vec<String>)> {
        if self.images.len() > 1 {
            bail!("shards are of one folder: --images once, for all of them");
        }
        let shard = |path: &PathBuf| {
            let mut manifest = Manifest::read(path)?;
            manifest.filters = self.filters.over_filters(manifest.filters.clone())?;
            manifest.can_show(&manifest.filters).with_context(|| path.display().to_string())?;
            Ok(ShardRun { path: path.clone(), manifest, records: read_records(path)? })
        };
        let shards = self.runs.iter().map(shard).collect::<anyhow::Result<Vec<_>>>()?;
        let joined = join_shards(shards, self.images.first().cloned(), self.partial)?;
        let JoinedShards { manifest, mut records, mut remarks } = joined;
        check_for_boxes(&manifest, &records, formats, &self.runs[0])?; // clap wants one at least
        let images = manifest.root.clone();
        let renamed = Missing::leave_out_renamed(&mut records, images.as_deref());
        if renamed > 0 {
            remarks.push(format!(
                "{renamed} images were renamed between the shards: each counts once"
            ));
        }
        let missing =
            Missing::leave_out(&mut records, images.as_deref(), None, self.select.keep_missing);
        say_missing(missing, images.as_deref().unwrap_or(Path::new("")), self.select.keep_missing);
        let filters = manifest.filters.clone();
        Ok((export::Run::of(records, manifest, &filters, images), remarks))
    }

    fn read_runs(&self, formats: &[Format]) -> anyhow::Result<Vec<export::Run>> {
        if self.images.len() > 1 && self.images.len() != self.runs.len() {
            bail!(
                "--images once for all runs, or once for each: {} for {}",
                self.images.len(),
                self.runs.len()
            );
        }
        let run = |(index, path): (usize, &PathBuf)| {
            let manifest = Manifest::read(path)?;
            let images =
                self.images.get(index).or(self.images.first()).or(manifest.root.as_ref()).cloned();
            let filters = self.filters.over_filters(manifest.filters.clone())?;
            manifest.can_show(&filters).with_context(|| path.display().to_string())?;
            let mut records = read_records(path)?;
            check_for_boxes(&manifest, &records, formats, path)?;
            let missing =
                Missing::leave_out(&mut records, images.as_deref(), None, self.select.keep_missing);
            say_missing(
                missing,
                images.as_deref().unwrap_or(Path::new("")),
                self.select.keep_missing,
            );
            Ok(export::Run::of(records, manifest, &filters, images))
        };
        self.runs.iter().enumerate().map(run).collect()
    }
}

impl Args {
    /// What is to be said about the runs, and about what earlier exports wrote into one.
    fn remarks(
        &self,
        formats: &[Format],
        out: &OutputDirectory,
        exported: &export::Exported,
    ) -> anyhow::Result<Vec<String>> {
        let mut remarks = Vec::new();
        let mut filtered = false;
        for path in &self.runs {
            let manifest = Manifest::read(path)?;
            filtered |= self.filters.over_filters(manifest.filters.clone())? != manifest.filters;
            if let Some(all) = unfinished(path) {
                let there = read_journal(path)?.records.len();
                // It may have been begun again with fewer images.
                let of_all = if there <= all { format!(" of {all}") } else { String::new() };
                remarks.push(format!(
                    "{}: {there}{of_all} images: the run has not come to its end",
                    path.display()
                ));
            }
            if manifest.only_rates() && formats.contains(&Format::Html) {
                remarks.push(format!(
                    "{}: a critique: html shows no ratings. The page of its verdicts is made by \
                     gemscope critique --report-only --export sheet --out {}",
                    path.display(),
                    path.display()
                ));
            }
        }
        let is_older = |name: &&&str| {
            let path = out.join(name);
            path.exists() && !exported.written.iter().any(|written| written.starts_with(&path))
        };
        let older: Vec<&str> = export::NAMES.iter().filter(is_older).copied().collect();
        if filtered && !older.is_empty() {
            remarks.push(format!(
                "as an earlier export with other filters wrote them: {} (--to makes them anew)",
                older.join(", ")
            ));
        }
        Ok(remarks)
    }
}

/// That the records of the run in `path` have something for `formats`.
fn check_for_boxes(
    manifest: &Manifest,
    records: &[Record],
    formats: &[Format],
    path: &Path,
) -> anyhow::Result<()> {
    if let Some(format) = formats.iter().find(|format| is_data_set(**format))
        && manifest.only_rates()
        && records.iter().all(|record| record.detections.is_empty())
    {
        bail!(
            "{} is a run of critique that rates frames and finds no boxes: there is nothing for \
             {format}; its lists are made by critique --report-only",
            path.display()
        );
    }
    Ok(())
}

/// Whether it is a set of images with boxes to learn from.
fn is_data_set(format: Format) -> bool {
    use Format::{Cvat, ImageFolder, LabelMe, MegaDetector, Roboflow, XAnyLabeling};
    matches!(format, Format::Coco | Format::Yolo | Format::Voc | Format::LabelStudio)
        || matches!(format, Roboflow | LabelMe | XAnyLabeling | Cvat | ImageFolder | MegaDetector)
}

fn statuses(text: &str) -> anyhow::Result<BTreeSet<AnswerStatus>> {
    let status = |name: &str| AnswerStatus::ALL.into_iter().find(|status| status.as_str() == name);
    let known = || AnswerStatus::ALL.map(AnswerStatus::as_str).join(", ");
    let parse = |name: &str| {
        status(name).with_context(|| format!("no status {name:?}; there are: {}", known()))
    };
    text.split(',').map(|name| parse(name.trim())).collect()
}

/// The directory that is written, which no other process writes meanwhile.
enum Target {
    Run(RunDirectory),
    Other(OutputDirectory),
}

impl Target {
    fn output(&self) -> &OutputDirectory {
        match self {
            Self::Run(directory) => directory.output(),
            Self::Other(directory) => directory,
        }
    }
}

/// Whether the format is no export, but the shards as a run.
fn is_run(format: &str) -> bool {
    format == "run"
}

fn target(args: &Args) -> anyhow::Result<Target> {
    if args.to.split().iter().any(|name| is_run(name)) {
        let Some(out) =
            args.out.as_deref().filter(|out| !args.runs.iter().any(|run| is_same(out, run)))
        else {
            bail!("--to run needs --out DIR: a new directory, or that of an earlier --to run");
        };
        if !args.joins_shards()? {
            bail!("--to run is for the shards of a run (detect --shard, critique --shard)");
        }
        return Ok(Target::Run(RunDirectory::open(out, false)?.adopting(args.adopt)));
    }
    let into_run = |run: &Path| match RunDirectory::of_run(run) {
        Err(RunDirectoryError::InUse { path, holder }) => {
            Err(anyhow!(RunDirectoryError::InUse { path, holder }).context(
                "what there is of the run can be exported with --out DIR, into another directory",
            ))
        }
        opened => Ok(Target::Run(opened?.adopting(args.adopt))),
    };
    match (args.out.as_deref(), args.runs.as_slice()) {
        (Some(out), [run]) if is_same(out, run) => into_run(run),
        (Some(out), _) if Manifest::is_there(out)? => {
            bail!(
                "{} is a run, and not the one that is exported: choose a new directory",
                out.display()
            )
        }
        (Some(out), _) => {
            Ok(Target::Other(OutputDirectory::open_new(out, &export::NAMES, args.adopt)?))
        }
        (None, [run]) => into_run(run),
        (None, _) => bail!("several runs need --out DIR: a new directory"),
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    one.canonicalize().ok().zip(other.canonicalize().ok()).is_some_and(|(one, other)| one == other)
}

/// Makes the run of the shards that `run` shows in `directory`, or goes on with one that was made
/// of them before.
fn write_run(args: &Args, run: &export::Run, directory: &RunDirectory) -> anyhow::Result<()> {
    let Some(manifest) = &run.manifest else { return Ok(()) };
    directory.create_or_verify(manifest)?;
    directory.add_shards(&args.runs)?;
    // What they were judged by last, if that is one rubric.
    let kept = |run: &PathBuf| std::fs::read(run.join(Rubric::KEPT)).ok();
    let rubrics: BTreeSet<Option<Vec<u8>>> = args.runs.iter().map(kept).collect();
    if let (1, Some(Some(rubric))) = (rubrics.len(), rubrics.first()) {
        directory.output().write(Rubric::KEPT, rubric)?;
    }
    output::text(&format!("{}\n", directory.output().join("journal.jsonl").display()));
    Ok(())
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Ending> {
    let names = args.to.split();
    let formats = names.iter().filter(|name| !is_run(name)).map(|name| name.parse());
    let formats = formats.collect::<Result<Vec<Format>, _>>()?;
    let options = args.options()?;
    let target = target(args)?;
    let (run, remarks) = if args.joins_shards()? {
        args.read_shards(&formats)?
    } else {
        export::merge(args.read_runs(&formats)?)?
    };
    if let (Target::Run(directory), true) = (&target, names.iter().any(|name| is_run(name))) {
        write_run(args, &run, directory)?;
    }
    let exported = export::export(&run, &options, &formats, target.output());
    let by_filters = run.selection.remarks();
    let of_runs = args.remarks(&formats, target.output(), &exported)?;
    for remark in remarks.iter().chain(&of_runs).chain(&by_filters).chain(&exported.remarks) {
        messages::say(&plain::line(remark));
    }
    for path in &exported.written {
        output::text(&format!("{}\n", path.display()));
    }
    Ok(ending(&exported, 0, 0))
}
