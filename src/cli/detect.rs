//! `gemscope detect`: the main job.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use gemscope::export;
use gemscope::generate::Sampling;
use gemscope::model::demo;
use gemscope::preprocess::{BudgetChoice, Tiling, target_size, views};
use gemscope::run::{self, Engine, Manifest, ModelIdentity, Progress, Question, RunDirectory, Settings, Summary};
use gemscope::source::{self, Source, SourceImage};
use rayon::prelude::*;
use serde::Serialize;

use super::args::{BudgetArgs, RuleArgs, TaskArgs, formats};
use super::engine::{ModelArgs, ModelFiles};
use super::{Ending, Global, messages, output};

/// Find things in images
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools)] // each is a switch of the command line
pub(crate) struct Args {
    /// Folders (searched to any depth) and files
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// The run's directory: journal, exports. The same command again goes on where it was stopped
    #[arg(long, short, value_name = "DIR", required_unless_present = "dry_run")]
    out: Option<PathBuf>,
    #[command(flatten)]
    task: TaskArgs,
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
    /// The most tokens of an answer (a box takes about 25)
    #[arg(long, value_name = "N", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..))]
    max_new_tokens: u32,
    #[command(flatten)]
    sampling: SamplingArgs,
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
    /// Throw away what --out holds of an earlier run
    #[arg(long)]
    overwrite: bool,
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

#[derive(Debug, clap::Args)]
struct SamplingArgs {
    /// Draw tokens instead of taking the most probable; 1.0 is Google's setting
    #[arg(long, value_name = "T", value_parser = positive)]
    temperature: Option<f32>,
    /// With --temperature: only the most probable tokens up to this sum
    #[arg(long, value_name = "P", default_value_t = 0.95, requires = "temperature", value_parser = share)]
    top_p: f32,
    /// With --temperature: only so many of the most probable tokens; 0 is no limit
    #[arg(long, value_name = "K", default_value_t = 64, requires = "temperature")]
    top_k: usize,
    /// With --temperature: the same seed gives the same answers
    #[arg(long, value_name = "N", default_value_t = 0, requires = "temperature")]
    seed: u64,
}

fn positive(text: &str) -> Result<f32, String> {
    text.parse()
        .ok()
        .filter(|value: &f32| value.is_finite() && *value > 0.0)
        .ok_or_else(|| "must be above 0".to_owned())
}

fn share(text: &str) -> Result<f32, String> {
    text.parse().ok().filter(|value| (0.0..=1.0).contains(value)).ok_or_else(|| "must be from 0 to 1".to_owned())
}

impl SamplingArgs {
    fn sampling(&self) -> Sampling {
        match self.temperature {
            None => Sampling::Greedy,
            Some(temperature) => Sampling::Drawn { temperature, top_p: self.top_p, top_k: self.top_k, seed: self.seed },
        }
    }
}

pub(crate) fn run(args: &Args, global: &Global) -> anyhow::Result<Ending> {
    let Some(task) = args.task.task()? else { bail!("say what to find: --labels, --phrase or --prompt") };
    if args.fast_decode && !gemscope::image::CAN_REDUCE {
        bail!("--fast-decode: this build has no libjpeg-turbo; build with `--features turbojpeg`");
    }
    let formats = if args.export == "none" { Vec::new() } else { formats(&args.export)? };
    let source = source::list(&args.inputs, args.out.as_deref())?;
    if args.model.model.is_none() {
        messages::say(&format!("Using {}. For anything else: --model DIR.", demo::DESCRIPTION));
    }
    let model_files = ModelFiles::open(args.model.model.as_deref())?;
    let questions = args.task.questions(&task, &model_files.prompter)?;
    let budget = args.budget.choice(model_files.config.default_budget)?;
    let Some(out) = args.out() else {
        return plan(&source, budget, &questions, args);
    };
    // All that can be wrong without a model is found before one is loaded.
    let graphs = model_files.graphs(&args.model)?;
    let settings = Settings {
        task,
        prompts: questions.iter().map(|question| question.query.rendered.clone()).collect(),
        budget,
        tiles: args.tiles,
        rules: args.rules.rules()?,
        apply_orientation: !args.no_exif,
        fast_decode: args.fast_decode,
        max_new_tokens: args.max_new_tokens as usize,
        sampling: args.sampling.sampling(),
        model: ModelIdentity::of(&model_files.directory, &graphs, &model_files.config)?,
    };
    let runtime = global.load_runtime()?;
    let directory = RunDirectory::open(out, args.overwrite)?;
    let manifest = Manifest::new(Some(source.root.clone()), Some(settings.clone()));
    directory.settle(&manifest.with_model(model_files.name(&args.model)))?;
    let (journal, known) = directory.journal()?;

    let model = model_files.load(graphs, &args.model, runtime)?;
    let mut engine = Engine { prompter: model_files.prompter, model, questions };
    let progress = Progress::new(source.images.len(), messages::quiet());
    let outcome = run::execute(&mut engine, &settings, &source.images, &known, journal, progress)?;

    let records = run::read_journal(out)?;
    let mut summary = Summary::count(&records, settings.task.labels());
    summary.resumed = outcome.resumed;
    summary.wall_seconds = outcome.wall.as_secs_f64();
    summary.onnx_runtime_seconds = outcome.onnx_runtime.as_secs_f64();
    summary.images_per_second = (source.images.len() - outcome.resumed) as f64 / summary.wall_seconds;
    summary.written.push(out.join("journal.jsonl"));
    // The one that is on disk: a run that goes on was begun before.
    let manifest = Manifest::read(out)?;
    let input = export::Input {
        records: &records,
        manifest: Some(&manifest),
        asked: settings.task.labels(),
        images: Some(&source.root),
        apply_orientation: settings.apply_orientation,
        options: &export::Options::default(),
    };
    let exported = export::export(&input, &formats, out);
    if let Ok(exported) = &exported {
        exported.remarks.iter().for_each(|remark| messages::say(remark));
        summary.written.extend(exported.written.iter().cloned());
    }
    // The run's figures are shown also where an export failed, which can be made again.
    report(&summary, &source, args.json)?;
    let complete = exported?.images_missed == 0 && summary.failures.is_empty();
    Ok(if complete { Ending::Complete } else { Ending::SomeFailed })
}

fn report(summary: &Summary, source: &Source, json: bool) -> anyhow::Result<()> {
    if summary.shrunk_below_half > 0 {
        messages::say(&format!(
            "{} images were shrunk below half their size, where small things are lost; --budget auto keeps more.",
            summary.shrunk_below_half
        ));
    }
    if json {
        return Ok(output::json(summary)?);
    }
    let mut labels = vec![vec!["label".to_owned(), "found".to_owned()]];
    labels.extend(summary.labels.iter().map(|(label, count)| vec![label.clone(), count.to_string()]));
    let statuses: Vec<String> =
        summary.statuses.iter().map(|(status, count)| format!("{count} {}", status.as_str())).collect();
    let mut lines = vec![output::table(&labels), format!("{} images: {}", summary.images, statuses.join(", "))];
    if summary.resumed > 0 {
        lines.push(format!("{} of them were answered before", summary.resumed));
    }
    if source.images.len() > summary.resumed {
        let outside = 100.0 * (1.0 - summary.onnx_runtime_seconds / summary.wall_seconds);
        lines.push(format!(
            "{:.2} images/s, {outside:.1} % of the time outside ONNX Runtime",
            summary.images_per_second
        ));
    }
    if !summary.failures.is_empty() {
        lines.push("\nfailed:".to_owned());
        lines.extend(summary.failures.iter().map(|failure| format!("  {}: {}", failure.image, failure.reason)));
    }
    lines.push(String::new());
    lines.extend(summary.written.iter().map(|path| path.display().to_string()));
    Ok(output::text(&(lines.join("\n") + "\n"))?)
}

#[derive(Serialize)]
struct Plan<'p> {
    images: usize,
    prompts: Vec<&'p str>,
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

fn plan(source: &Source, budget: BudgetChoice, questions: &[Question], args: &Args) -> anyhow::Result<Ending> {
    let sizes = |image: &SourceImage| -> Result<PlannedSizes, String> {
        let path = image.path.as_ref().map_err(Clone::clone)?;
        let file = File::open(path).map_err(|error| error.to_string())?;
        let (width, height) =
            gemscope::image::size(BufReader::new(file), !args.no_exif).map_err(|error| error.to_string())?;
        let views = views(width, height, args.tiles, budget.largest()).map_err(|error| error.to_string())?;
        let mut sizes = PlannedSizes { width, height, views: views.len(), ..PlannedSizes::default() };
        for region in views {
            let budget = budget.resolve(region.width, region.height).map_err(|error| error.to_string())?;
            let target = target_size(region.width, region.height, budget).map_err(|error| error.to_string())?;
            if sizes.budget == 0 {
                (sizes.budget, sizes.resized_width, sizes.resized_height) =
                    (budget.soft_tokens(), target.width, target.height);
            }
            sizes.soft_tokens += target.soft_tokens();
            let tokens = |question: &Question| question.query.token_ids(target.soft_tokens()).len();
            sizes.prompt_tokens += questions.iter().map(tokens).sum::<usize>();
        }
        Ok(sizes)
    };
    let planned = |image: &SourceImage| match sizes(image) {
        Ok(sizes) => PlannedImage { image: image.name.clone(), error: None, sizes: Some(sizes) },
        Err(error) => PlannedImage { image: image.name.clone(), error: Some(error), sizes: None },
    };
    let plan = Plan {
        images: source.images.len(),
        prompts: questions.iter().map(|question| question.query.text.as_str()).collect(),
        rendered: questions.iter().map(|question| question.query.rendered.as_str()).collect(),
        files: source.images.par_iter().map(planned).collect(),
    };
    if args.json {
        output::json(&plan)?;
        return Ok(Ending::Complete);
    }
    let header = ["image", "size", "views", "budget", "resized", "soft tokens", "prompt tokens"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for file in &plan.files {
        rows.push(match (&file.sizes, &file.error) {
            (Some(sizes), _) => vec![
                file.image.clone(),
                format!("{}x{}", sizes.width, sizes.height),
                sizes.views.to_string(),
                sizes.budget.to_string(),
                format!("{}x{}", sizes.resized_width, sizes.resized_height),
                sizes.soft_tokens.to_string(),
                sizes.prompt_tokens.to_string(),
            ],
            (None, error) => vec![file.image.clone(), error.clone().unwrap_or_default()],
        });
    }
    let total: u32 = plan.files.iter().filter_map(|file| file.sizes.as_ref()).map(|sizes| sizes.soft_tokens).sum();
    output::text(&format!(
        "{}\n{} images, {total} soft tokens\nprompt: {}\nas the model reads it:\n{}\n",
        output::table(&rows),
        plan.images,
        plan.prompts.join("\n        "),
        plan.rendered.join("\n")
    ))
    .context("stdout")?;
    Ok(Ending::Complete)
}
