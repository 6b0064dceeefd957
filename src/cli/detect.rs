//! `gemscope detect`: the main job.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gemscope::dataset::ReadOptions;
use gemscope::export::{self, Format};
use gemscope::journal::place;
use gemscope::record::AnswerStatus;
use gemscope::session::{DetectConfig, FinishedRun, Pipeline, PipelineError, Session, Summary};
use gemscope::source::{self, Source, SourceError};

use super::args::ControlArgs;
use super::choice::{besides, made_good, say_advice};
use super::device;
use super::progress::Progress;
use super::watch::{self, WatchArgs};
use super::{Ending, Global, convert, dry_run, ending, messages, output, plain, raised, signals};

/// Find things in images
#[derive(Debug, clap::Args)]
#[command(override_usage = "gemscope detect [OPTIONS] --out <DIR> <INPUT>...")]
pub(crate) struct Args {
    /// Folders (searched to any depth), files, "patterns*" (** for any depth), .tar and .zip
    /// archives, addresses (https://...) of images and archives, @FILE with one path or address a
    /// line, - for such a list on standard input
    #[arg(required = true, value_name = "INPUT")]
    pub(super) inputs: Vec<PathBuf>,
    /// Ask only about images of which this dataset (of any format) has no boxes
    #[arg(long, value_name = "DATASET", help_heading = "Images")]
    only_unlabelled: Option<PathBuf>,
    /// What a pipeline can say, too.
    #[command(flatten)]
    pub(super) pipeline: Pipeline,
    /// The run's directory: journal, exports. The same command again resumes the run
    #[arg(
        long,
        short,
        value_name = "DIR",
        required_unless_present = "dry_run",
        help_heading = "Output",
        display_order = 0
    )]
    out: Option<PathBuf>,
    #[command(flatten)]
    control: ControlArgs,
    #[command(flatten)]
    watch: WatchArgs,
    /// Print the summary as JSON
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Print the plan of the run: images, sizes, prompts; runs no model
    #[arg(long, help_heading = "Output")]
    dry_run: bool,
}

impl Args {
    /// The configuration that these flags say.
    fn config(&self, global: &Global) -> Result<DetectConfig, PipelineError> {
        let mut config = self.pipeline.config()?;
        config.model.runtime = global.runtime_options();
        Ok(config)
    }

    /// The run's directory; `None` for a dry run.
    pub(crate) fn out(&self) -> Option<&Path> {
        self.out.as_deref().filter(|_| !self.dry_run)
    }
}

/// The flags that were meant, if an input is not there.
pub(super) fn flags(args: &Args, error: &SourceError) -> Option<String> {
    let SourceError::NotFound(path) = error else { return None };
    let is_word = path.extension().is_none() && path.components().count() == 1;
    let word = path.to_str().filter(|_| is_word)?;
    if let Some(labels) = &args.pipeline.task.task.labels {
        let labels = labels.split().join(",");
        return Some(format!("if {word:?} is a further label: --labels \"{labels},{word}\""));
    }
    let asks = (args.pipeline.config())
        .is_ok_and(|config| config.task.is_some() || config.prompts.is_some());
    let others = args.inputs.iter().any(|input| input.exists());
    (!asks && others).then(|| format!("did you mean --labels {word:?}?"))
}

/// The names of the images of which the dataset at `path` has boxes.
fn labelled(path: &Path) -> anyhow::Result<HashSet<String>> {
    let mut remarks = Vec::new();
    let (dataset, _) = convert::read(path, None, &ReadOptions::default(), &mut remarks)?;
    for remark in &remarks {
        messages::say(&plain::line(remark));
    }
    let labelled = dataset.images.into_iter().filter(|image| !image.objects.is_empty());
    Ok(labelled.map(|image| image.name).collect())
}

pub(crate) fn run(args: &Args, global: &Global) -> anyhow::Result<Ending> {
    run_pipeline(args, global, None)
}

/// The same for the flags of a pipeline, whose text is kept in the run so that it can be made
/// again.
pub(super) fn run_pipeline(
    args: &Args,
    global: &Global,
    pipeline: Option<&str>,
) -> anyhow::Result<Ending> {
    let config = args.config(global)?;
    if let Err(error) = config.check() {
        // A label that stands alone is an input that is not there: that says more.
        return Err(source::first_missing(&args.inputs).map_or_else(|| error.into(), Into::into));
    }
    let Pipeline { model, preprocess, run, .. } = &args.pipeline;
    let formats = args.pipeline.formats()?;
    let mut choice = args.pipeline.choice()?;
    if let Some(dataset) = &args.only_unlabelled {
        choice.known.names = labelled(dataset)?;
    }
    choice.say = Some(messages::say);
    choice.web.archives = !args.watch.watch;
    choice.web.offline = config.model.runtime.offline;
    if let (true, Some(out)) = (args.watch.watch, args.out()) {
        device::say(model);
        let progress = Progress::new();
        let mut session = Session::open(config, &progress)?;
        let stop = signals::stop_flag()?;
        choice.stop = Some(Arc::clone(&stop));
        let list = |fresh: bool| -> anyhow::Result<_> {
            let source = source::list_chosen(&args.inputs, Some(out), &choice)?;
            Ok(place(source, Some(out).filter(|_| !fresh))?)
        };
        let mut options = args.control.run_options(out, run, &preprocess.limits, stop);
        options.pipeline = pipeline;
        let (source, finished) =
            watch::run(&args.watch, &mut session, &mut options, list, |source, _| {
                messages::say(&format!("{} images", source.images.len()));
                Ok(())
            })?;
        drop(session);
        return finish(args, &source, &finished, &formats);
    }
    let source = source::list_chosen(&args.inputs, args.out.as_deref(), &choice)?;
    if let Some(dataset) = &args.only_unlabelled {
        let dataset = dataset.display();
        messages::say(&format!(
            "{} images are left out, of which {dataset} has boxes, or which are beyond a limit",
            source.not_chosen.len()
        ));
    }
    say_advice(&source);
    let (source, placement) = place(source, args.out().filter(|_| !args.control.fresh))?;
    if let Some(remark) = placement.remark(&source.root) {
        messages::say(&plain::line(&remark));
    }
    device::say(model);
    let progress = Progress::new();
    let mut session = Session::open(config, &progress)?;
    let Some(out) = args.out() else {
        let plan = session.plan(&source, preprocess.limits.max_pixels())?;
        return plan.map_or(Ok(Ending::Complete), |plan| {
            dry_run::show(&plan, args.out.as_deref(), args.json)
        });
    };
    let mut options = args.control.run_options(out, run, &preprocess.limits, signals::stop_flag()?);
    options.pipeline = pipeline;
    // Drop the session and its memory first: the records need room.
    let finished = session.run(&source, &placement, &options).map_err(raised)?;
    drop(session);
    finish(args, &source, &finished, &formats)
}

/// Exports, the summary, and how it ended.
fn finish(
    args: &Args,
    source: &Source,
    finished: &FinishedRun,
    formats: &[Format],
) -> anyhow::Result<Ending> {
    let run = &args.pipeline.run;
    let (shown, mut summary) = finished.shown(source, run.keep_missing).map_err(raised)?;
    super::say_missing(shown.missing, &source.root, run.keep_missing);
    summary.written.push(finished.directory.output().join("journal.jsonl"));
    let (sort, group_by) = (args.pipeline.export.sort, args.pipeline.export.group_by);
    let options = export::Options { sort, group_by, ..Default::default() };
    let exported = export::export(&shown.run, &options, formats, finished.directory.output());
    let of_labels = shown.run.selection.remarks_of_labels();
    for remark in of_labels.chain(exported.remarks.iter().cloned()) {
        messages::say(&plain::line(&remark));
    }
    summary.written.extend(exported.written.iter().cloned());
    let outcome = &finished.outcome;
    report(&summary, args.pipeline.source.clip.clip, args.json)?;
    if outcome.left > 0 {
        messages::say(&format!(
            "Stopped with {} images left; the same command goes on.",
            outcome.left
        ));
    } else if let (Some(shard), Some(out)) = (source.shard, args.out()) {
        messages::say(&format!(
            "This is shard {shard}. Once all are done, they are joined by: gemscope export {} RUN \
             ... --to run,coco --out DIR",
            plain::line(&out.display().to_string())
        ));
    }
    if outcome.left == 0
        && outcome.resumed > 0
        && !summary.failures.is_empty()
        && !args.control.retry_failed
    {
        messages::say(
            "Images that failed before were left as they are; --retry-failed tries them again.",
        );
    }
    Ok(ending(&exported, outcome.left, summary.failures.len()))
}

/// How many images of an earlier command were known again.
pub(super) fn under_other_names(moved: usize) -> String {
    if moved == 0 { String::new() } else { format!(" ({moved} under other names)") }
}

fn report(summary: &Summary, clip: bool, json: bool) -> anyhow::Result<()> {
    if summary.shrunk_below_half > 0 {
        messages::say(&format!(
            "{} images were shrunk below half their size, where small things are lost; --budget \
             auto keeps more.",
            summary.shrunk_below_half
        ));
    }
    if let Some(texts) = summary.statuses.get(&AnswerStatus::Text).filter(|_| !clip) {
        messages::say(&format!(
            "{texts} answers are text: it stands in jsonl, csv and html, and in no data set (but \
             the fields of --schema do); if boxes were asked for, say --answer boxes."
        ));
    }
    if json {
        return Ok(output::json(summary)?);
    }
    let mut labels = vec![vec!["label".to_owned(), "found".to_owned()]];
    labels
        .extend(summary.labels.iter().map(|(label, count)| vec![label.clone(), count.to_string()]));
    let statuses: Vec<String> = summary
        .statuses
        .iter()
        .map(|(status, count)| format!("{count} {}", status.as_str()))
        .collect();
    let mut lines = vec![
        output::table(&labels),
        format!("{} images: {}", summary.images, statuses.join(", ")),
        left_out_by_score(summary),
        format!("model: {}", plain::line(&summary.model)),
    ];
    if summary.resumed > 0 {
        lines.push(format!(
            "{} of them were done before{}",
            summary.resumed,
            under_other_names(summary.moved)
        ));
    }
    lines.extend(besides(&summary.besides, summary.done + summary.left + summary.resumed));
    lines.extend(made_good(summary));
    if summary.done > 0 {
        let model = 100.0 * (1.0 - summary.share_outside_onnx_runtime());
        lines.push(format!(
            "{:.2} images/s; the model took {model:.0} % of the time, and reading, preparing and \
             writing the rest",
            summary.images_per_second
        ));
    }
    if summary.stopped {
        lines.push(format!("stopped: {} images are left", summary.left));
    }
    if !summary.failures.is_empty() {
        lines.push("\nfailed:".to_owned());
        lines.extend(failed(summary).map(|line| format!("  {line}")));
    }
    lines.push(String::new());
    lines.extend(summary.written.iter().map(|path| path.display().to_string()));
    output::text(&(lines.join("\n") + "\n"));
    Ok(())
}

/// Which images failed, and why.
pub(super) fn failed(summary: &Summary) -> impl Iterator<Item = String> {
    let failures = summary.failures.iter().map(|failure| (&failure.image, &failure.reason));
    output::failures(failures).into_iter()
}

/// How many boxes were left out for their scores, and how they are had.
pub(super) fn left_out_by_score(summary: &Summary) -> String {
    let Summary { left_out_by_score: count, min_score: least, min_scores, .. } = summary;
    let boxes = match count {
        0 => "no boxes".to_owned(),
        1 => "1 box".to_owned(),
        count => format!("{count} boxes"),
    };
    if !min_scores.is_empty() {
        let labels = min_scores.iter().map(|(label, least)| format!("{label} {least}"));
        let labels: Vec<String> = labels.collect();
        let labels = labels.join(", ");
        return format!("{boxes} left out by score (below {labels}, others {least})");
    }
    match (*count, summary.min_score_is_default) {
        (0, true) => format!("{boxes} left out by score (below {least}, the default)"),
        (_, true) => format!(
            "{boxes} left out by score (below {least}, the default; --min-score 0 keeps them)"
        ),
        (_, false) => format!("{boxes} left out by score (--min-score {least})"),
    }
}
