//! `gemscope detect`: the main job.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use gemscope::export::{self, Filters};
use gemscope::generate::Decoding;
use gemscope::image::size_within;
use gemscope::model::Model;
use gemscope::preprocess::{BudgetChoice, Tiling, plan_views};
use gemscope::record::AnswerStatus;
use gemscope::run::{
    self, Asked, Failure, Known, Manifest, ModelIdentity, Progress, Question, Questions, RunDirectory, Settings,
    Summary,
};
use gemscope::runtime::Device;
use gemscope::source::{self, Besides, Source, SourceImage};
use rayon::prelude::*;
use serde::Serialize;

use super::args::{BudgetArgs, ControlArgs, FilterArgs, RuleArgs, TaskArgs, formats};
use super::choice::{ChoiceArgs, besides, made_good, say_advice};
use super::decoding::{DecodingArgs, Grammars};
use super::engine::{ModelArgs, ModelFiles, engines, place};
use super::{Ending, Global, ending, messages, output, plain, prompts, say_damaged, signals};

/// Find things in images
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools)] // each is a switch of the command line
pub(crate) struct Args {
    /// Folders (searched to any depth), files, "patterns*" (** for any depth), .tar archives, @FILE with one path a line, - for such a list on
    /// standard input
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// The run's directory: journal, exports. The same command again goes on where it was stopped
    #[arg(long, short, value_name = "DIR", required_unless_present = "dry_run")]
    out: Option<PathBuf>,
    #[command(flatten)]
    task: TaskArgs,
    /// What is asked about each image: a CSV with the columns image, and labels or prompt, or JSON lines with these keys. What a row leaves
    /// out, and images without a row, are asked as the other flags say
    #[arg(long, value_name = "FILE")]
    prompts: Option<PathBuf>,
    #[command(flatten)]
    choice: ChoiceArgs,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    budget: BudgetArgs,
    /// Show tiles besides the whole image: SIZE[:OVERLAP] in pixels, COLUMNSxROWS[:OVERLAP], or auto (where the budget would shrink the
    /// image). OVERLAP is a share (0.25) or pixels (100) [default: 0.2]
    #[arg(long, value_name = "TILES")]
    tiles: Option<Tiling>,
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    filters: FilterArgs,
    #[command(flatten)]
    decoding: DecodingArgs,
    /// Take the pixels as they are stored; do not turn them as EXIF says
    #[arg(long)]
    no_exif: bool,
    /// Decode only as many pixels of a JPEG as the budget needs. Faster with large images, and answers may change: it is not what
    /// decoding all and resizing gives. Needs a build with the feature turbojpeg
    #[arg(long, conflicts_with = "tiles")]
    fast_decode: bool,
    /// What to write, separated by commas: jsonl, csv, coco, yolo, voc, label-studio, counts, crops, overlay, html; or none
    #[arg(long, value_name = "FORMATS", default_value = "jsonl,coco,counts,crops")]
    export: String,
    #[command(flatten)]
    control: ControlArgs,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
    /// Print what would be done, without a model run
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    /// The run's directory, where one is made.
    pub(crate) fn out(&self) -> Option<&std::path::Path> {
        self.out.as_deref().filter(|_| !self.dry_run)
    }
}

pub(crate) fn run(args: &Args, global: &Global) -> anyhow::Result<Ending> {
    run_pipeline(args, global, None)
}

/// The same for the flags of a pipeline, whose text is kept in the run so that it can be made again.
pub(super) fn run_pipeline(args: &Args, global: &Global, pipeline: Option<&str>) -> anyhow::Result<Ending> {
    let task = args.task.task()?;
    if task.is_none() && args.prompts.is_none() {
        bail!("say what to find: --labels, --phrase or --prompt, or for each image by itself: --prompts FILE");
    }
    if args.fast_decode && !gemscope::image::CAN_REDUCE {
        bail!("--fast-decode: this build has no libjpeg-turbo; build with `--features turbojpeg`");
    }
    let formats = if args.export == "none" { Vec::new() } else { formats(&args.export)? };
    let filters = args.filters.over(Filters::default())?;
    let model = args.model.choice();
    if let Some(task) = task.as_ref().filter(|task| !task.lacks_labels()) {
        model.check(task, &args.task.conversation())?;
    }
    let choice = args.choice.choice(&args.decoding.sampling)?;
    let source = source::list_chosen(&args.inputs, args.out.as_deref(), &choice)?;
    say_advice(&source);
    let (source, placement) = run::place(source, args.out().filter(|_| !args.control.fresh))?;
    model.say();
    let model_files = ModelFiles::open(&model)?;
    // A plan needs no grammars, which take a second to make.
    let grammars = args.out().map(|_| args.decoding.grammars(args.task.thinking, &model_files.config)).transpose()?;
    let questions = match &args.prompts {
        Some(file) => {
            let (prompter, grammars) = (&model_files.prompter, grammars.as_ref());
            let asks = prompts::Asks { args: &args.task, model: &model, prompter, grammars };
            prompts::questions(file, task.as_ref(), &asks, &source)?
        }
        None => Questions::about_every(
            task.as_ref().map(|task| args.task.asked(task, &model_files.prompter, grammars.as_ref())).transpose()?,
        ),
    };
    let budget = args.budget.choice(model_files.config.default_budget)?;
    let Some(out) = args.out() else {
        return plan(&source, budget, &questions, args);
    };
    // All that can be wrong without a model is found before one is loaded.
    let graphs = model_files.graphs(&args.model)?;
    let mut settings = Settings {
        task: task.filter(|_| questions.every.is_some()),
        prompts: questions.every.iter().flat_map(|asked| asked.rendered()).map(str::to_owned).collect(),
        image_prompts: questions.image_prompts(),
        critique: None,
        budget,
        tiles: args.tiles,
        rules: args.rules.rules(),
        answer: args.task.answer,
        apply_orientation: !args.no_exif,
        fast_decode: args.fast_decode,
        decoding: grammars.as_ref().map_or(Decoding::Free, Grammars::used),
        max_new_tokens: args.decoding.max_new_tokens as usize,
        sampling: args.decoding.sampling.sampling(),
        model: ModelIdentity::of(&model_files.directory, &graphs, &model_files.config)?,
        device: Device::Cpu.kind().to_owned(),
    };
    let runtime = args.model.device.load_runtime(global)?;
    let placements = place(&graphs, settings.budget.largest(), &args.model, runtime)?;
    placements[0].device.kind().clone_into(&mut settings.device);
    let directory = RunDirectory::open(out, args.control.fresh)?.adopting(args.control.adopt);
    let manifest = Manifest::new(Some(source.root.clone()), Some(settings.clone())).with_filters(filters);
    directory.settle_placed(&manifest.with_model(model_files.name(&args.model)), &placement)?;
    let (journal, known) = directory.journal(args.control.sync_every)?;
    say_what_was_left(out, &directory, &known);
    if let Some(text) = pipeline {
        let path = directory.output().write("pipeline.toml", text.as_bytes())?;
        messages::say(&format!("The pipeline is kept in {}", path.display()));
    }

    let limits = |model: &Model| args.decoding.limits(model, settings.budget.largest());
    let mut engines = engines(&model_files, &graphs, &args.model, runtime, placements, limits)?;
    let progress = Progress::new(source.images.len(), messages::quiet());
    let control = args.control.control(signals::stop_flag()?);
    let plan = run::Plan {
        images: &source.images,
        root: &source.root,
        questions: &questions,
        settings: &settings,
        known: &known,
        control: &control,
    };
    let outcome = run::execute(&mut engines, &plan, journal, progress)?;
    // Their memory is better used for the records now.
    drop(engines);

    let mut records = run::read_journal(out)?.records;
    let listed = source.images.iter().map(|image| image.name.as_str()).collect();
    let missing = super::leave_out_missing(&mut records, Some(&source.root), Some(&listed), args.control.keep_missing);
    // The one that is on disk: a run that goes on was begun before, and may have asked for more labels.
    let manifest = Manifest::read(out)?;
    let filters = manifest.filters.clone();
    let shown = export::Run::of(records, manifest, &filters, Some(source.root.clone()));
    let mut summary = Summary::count(&shown.selection, &shown.models.join(", "));
    summary.went(&outcome);
    summary.missing = missing;
    summary.besides = source.besides();
    summary.written.push(out.join("journal.jsonl"));
    let exported = export::export(&shown, &export::Options::default(), &formats, directory.output());
    exported.remarks.iter().for_each(|remark| messages::say(&plain::line(remark)));
    summary.written.extend(exported.written.iter().cloned());
    report(&summary, args.json)?;
    if outcome.left > 0 {
        messages::say(&format!("Stopped with {} images left; the same command goes on.", outcome.left));
    } else if outcome.resumed > 0 && !summary.failures.is_empty() && !args.control.retry_failed {
        messages::say("Images that failed before were left as they are; --retry-failed tries them again.");
    }
    Ok(ending(&exported, outcome.left, summary.failures.len()))
}

/// What an earlier process left behind that was killed, or a disk that lost something.
pub(super) fn say_what_was_left(out: &std::path::Path, directory: &RunDirectory, known: &Known) {
    if let Some(holder) = &directory.killed {
        messages::say(&format!("An earlier process was killed while it wrote this run ({holder}); going on."));
    }
    if let Some(copies) = &directory.last_copies {
        messages::say(&format!("{}: {copies}.", out.display()));
    }
    if let [first, others @ ..] = directory.kept.as_slice() {
        let others = if others.is_empty() { String::new() } else { format!(" and {} others", others.len()) };
        messages::say(&format!(
            "{first}{others} stay in {}: gemscope has no record of writing them, or they were changed since. --adopt replaces what is in the \
             way of an export.",
            out.display()
        ));
    }
    if known.torn > 0 {
        messages::say(
            "The last line of the journal was not written to its end, and is cut off; its image is asked about again.",
        );
    }
    say_damaged(out, &known.damaged);
}

/// How many images of an earlier command were known again.
pub(super) fn under_other_names(moved: usize) -> String {
    if moved == 0 { String::new() } else { format!(" ({moved} under other names)") }
}

fn report(summary: &Summary, json: bool) -> anyhow::Result<()> {
    if summary.shrunk_below_half > 0 {
        messages::say(&format!(
            "{} images were shrunk below half their size, where small things are lost; --budget auto keeps more.",
            summary.shrunk_below_half
        ));
    }
    if let Some(texts) = summary.statuses.get(&AnswerStatus::Text) {
        messages::say(&format!(
            "{texts} answers are text: it stands in jsonl, csv and html, and in no data set; if boxes were asked for, \
             say --answer boxes."
        ));
    }
    if json {
        return Ok(output::json(summary)?);
    }
    let mut labels = vec![vec!["label".to_owned(), "found".to_owned()]];
    labels.extend(summary.labels.iter().map(|(label, count)| vec![label.clone(), count.to_string()]));
    let statuses: Vec<String> =
        summary.statuses.iter().map(|(status, count)| format!("{count} {}", status.as_str())).collect();
    let mut lines = vec![
        output::table(&labels),
        format!("{} images: {}", summary.images, statuses.join(", ")),
        left_out_by_score(summary),
        format!("model: {}", plain::line(&summary.model)),
    ];
    if summary.resumed > 0 {
        lines.push(format!("{} of them were done before{}", summary.resumed, under_other_names(summary.moved)));
    }
    lines.extend(besides(&summary.besides, summary.done + summary.left + summary.resumed));
    lines.extend(made_good(summary));
    if summary.done > 0 {
        let outside = 100.0 * summary.share_outside_onnx_runtime();
        lines.push(format!(
            "{:.2} images/s, {outside:.1} % of the time outside ONNX Runtime",
            summary.images_per_second
        ));
    }
    if summary.stopped {
        lines.push(format!("stopped: {} images are left", summary.left));
    }
    if !summary.failures.is_empty() {
        lines.push("\nfailed:".to_owned());
        let failed = |failure: &Failure| plain::line(&format!("{}: {}", failure.image, failure.reason)).into_owned();
        lines.extend(summary.failures.iter().map(|failure| format!("  {}", failed(failure))));
    }
    lines.push(String::new());
    lines.extend(summary.written.iter().map(|path| path.display().to_string()));
    output::text(&(lines.join("\n") + "\n"));
    Ok(())
}

/// How many boxes were left out for their scores, and how they are had.
pub(super) fn left_out_by_score(summary: &Summary) -> String {
    let Summary { left_out_by_score: count, min_score: least, .. } = summary;
    match (*count, summary.min_score_is_default) {
        (0, true) => format!("0 boxes left out by score (below {least}, the default)"),
        (_, true) => format!("{count} boxes left out by score (below {least}, the default; --min-score 0 keeps them)"),
        (_, false) => format!("{count} boxes left out by score (--min-score {least})"),
    }
}

#[derive(Serialize)]
struct Plan<'p> {
    images: usize,
    #[serde(flatten)]
    besides: Besides,
    prompts: Vec<String>,
    rendered: Vec<&'p str>,
    files: Vec<PlannedImage>,
}

#[derive(Serialize)]
struct PlannedImage {
    image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(flatten)]
    sizes: Option<PlannedSizes>,
    /// Those of its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prompts: Vec<String>,
}

/// `budget` and the resized size are those of the whole image; the tokens are those of all views and questions.
#[derive(Default, Serialize)]
struct PlannedSizes {
    width: u32,
    height: u32,
    views: usize,
    budget: u32,
    resized_width: u32,
    resized_height: u32,
    soft_tokens: u32,
    prompt_tokens: usize,
}

fn plan(source: &Source, budget: BudgetChoice, questions: &Questions, args: &Args) -> anyhow::Result<Ending> {
    let sizes = |image: &SourceImage| -> Result<PlannedSizes, String> {
        let asked = questions.of(&image.name);
        let tiles = args.tiles.filter(|_| asked.is_none_or(|asked| !asked.is_for_text()));
        let asked = asked.map_or(&[][..], |asked| &asked.questions);
        let (upright, most) = (!args.no_exif, args.control.max_pixels);
        let size = size_within(image.open()?, upright, most);
        let (width, height) = size.map_err(|error| error.to_string())?;
        let views = plan_views(width, height, tiles, budget).map_err(|error| error.to_string())?;
        let mut sizes = PlannedSizes { width, height, views: views.len(), ..PlannedSizes::default() };
        if let Some(whole) = views.first() {
            sizes.budget = whole.budget.soft_tokens();
            (sizes.resized_width, sizes.resized_height) = (whole.size.width, whole.size.height);
        }
        for view in &views {
            let soft_tokens = view.size.soft_tokens();
            sizes.soft_tokens += soft_tokens;
            let tokens = |question: &Question| question.query().token_count(soft_tokens);
            sizes.prompt_tokens += asked.iter().map(tokens).sum::<usize>();
        }
        Ok(sizes)
    };
    let texts = |asked: &Arc<Asked>| asked.questions.iter().map(|question| question.query().text.clone()).collect();
    let planned = |image: &SourceImage| {
        let (sizes, error) = match sizes(image) {
            Ok(sizes) => (Some(sizes), None),
            Err(error) => (None, Some(error)),
        };
        let prompts = questions.single.get(&image.name).map(texts).unwrap_or_default();
        PlannedImage { image: image.name.clone(), error, sizes, prompts }
    };
    let plan = Plan {
        images: source.images.len(),
        besides: source.besides(),
        prompts: questions.every.as_ref().map(texts).unwrap_or_default(),
        rendered: questions.every.iter().flat_map(|asked| asked.rendered()).collect(),
        files: source.images.par_iter().map(planned).collect(),
    };
    if args.json {
        output::json(&plan)?;
        return Ok(Ending::Complete);
    }
    let header = ["image", "size", "views", "budget", "resized", "soft tokens", "prompt tokens", "its own prompt"];
    let columns = if questions.single.is_empty() { header.len() - 1 } else { header.len() };
    let mut rows = vec![header[..columns].iter().map(|name| (*name).to_owned()).collect()];
    for file in &plan.files {
        let mut row = match (&file.sizes, &file.error) {
            (Some(sizes), _) => vec![
                file.image.clone(),
                format!("{}x{}", sizes.width, sizes.height),
                sizes.views.to_string(),
                sizes.budget.to_string(),
                format!("{}x{}", sizes.resized_width, sizes.resized_height),
                sizes.soft_tokens.to_string(),
                sizes.prompt_tokens.to_string(),
                file.prompts.join(" | ").replace('\n', " "),
            ],
            (None, error) => vec![file.image.clone(), error.clone().unwrap_or_default()],
        };
        row.truncate(columns);
        rows.push(row);
    }
    let total: u32 = plan.files.iter().filter_map(|file| file.sizes.as_ref()).map(|sizes| sizes.soft_tokens).sum();
    let mut text = format!("{}\n{} images, {total} soft tokens\n", output::table(&rows), plan.images);
    for line in besides(&plan.besides, plan.images) {
        let _ = writeln!(text, "{line}");
    }
    if !plan.prompts.is_empty() {
        let (prompts, rendered) = (plan.prompts.join("\n        "), plan.rendered.join("\n"));
        let _ = writeln!(text, "prompt: {prompts}\nas the model reads it:\n{rendered}");
    }
    output::text(&text);
    Ok(Ending::Complete)
}
