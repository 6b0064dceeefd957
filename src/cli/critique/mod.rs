//! `gemscope critique`: which frames to keep.
//!
//! In: frames, a rubric, a model; or a run that was made before, and other rules. Out: a journal with a rating an axis, verdicts, lists, statistics.
//! Promises: what is in the journal is never asked about again, unless its file has changed; rules and weights can be changed without a model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use gemscope::critique::{Gates, GroupBy, Kind, Rubric, Verdict};
use gemscope::export::{self, Critique, SortBy, VerdictFormat, export_verdicts};
use gemscope::files;
use gemscope::journal::{RunDirectory, place, read_journal};
use gemscope::model::demo;
use gemscope::record::{Filters, Manifest, MinScore, Record};
use gemscope::run::Outcome;
use gemscope::session::{CritiqueConfig, FinishedRun, ModelChoice, Session, SessionError, Summary};
use gemscope::source::{self, Besides, Source};
use serde::Serialize;

use super::args::{BudgetArgs, ControlArgs, share};
use super::choice::{ChoiceArgs, besides, made_good, say_advice};
use super::decoding::DecodingArgs;
use super::device::ModelArgs;
use super::progress::Progress;
use super::{Ending, Global, detect, ending, messages, output, pairs, plain, raised, signals};

/// The rubric that a run was judged by last, in the run's directory.
const KEPT_RUBRIC: &str = "rubric.toml";

/// Judge generated frames by a rubric: keep, review or reject
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools)] // each is a switch of the command line
pub(crate) struct Args {
    /// Folders, files, "patterns*", .tar archives, @FILE with one path a line, - for such a list on standard input
    #[arg(required_unless_present = "report_only", value_name = "INPUT")]
    pub(super) inputs: Vec<PathBuf>,
    /// The run's directory: journal, verdicts, lists. The same command again goes on where it was stopped
    #[arg(long, short, value_name = "DIR")]
    pub(super) out: PathBuf,
    /// What frames are rated by, and the rules of the gate; or demo, the rubric that the demo model knows (./demo is a file of that name).
    /// Default: the ready one for SDXL and the like; with --model demo that of the demo model; with --report-only the run's own
    #[arg(long, short, value_name = "FILE")]
    rubric: Option<PathBuf>,
    /// Judge again what the run's journal holds, by other rules or weights; asks no model
    #[arg(long, conflicts_with = "inputs")]
    report_only: bool,
    /// Compare the frames of one name in two folders, each pair in both orders: which is better. Needs a model that looks at two images
    #[arg(long, conflicts_with_all = ["report_only", "generation", "group_by", "sort", "export"])]
    pair: bool,
    /// What frames were meant to be, where their files do not say: a CSV with the columns image and prompt, negative_prompt, model, seed ...
    #[arg(long, value_name = "FILE", conflicts_with = "report_only")]
    generation: Option<PathBuf>,
    /// Name the best frame of each group: of one seed, one prompt, or one folder
    #[arg(long, value_name = "KEY")]
    group_by: Option<GroupBy>,
    /// Put the frames into folders by their verdict, as links or copies: link or copy
    #[arg(long, value_name = "HOW")]
    sort: Option<SortBy>,
    /// What to write, separated by commas: jsonl, csv, lists, statistics, sheet; or none
    #[arg(long, value_name = "FORMATS", default_value = "jsonl,csv,lists,statistics,sheet")]
    export: String,
    #[command(flatten)]
    pub(super) choice: ChoiceArgs,
    #[command(flatten)]
    pub(super) model: ModelArgs,
    #[command(flatten)]
    pub(super) budget: BudgetArgs,
    #[command(flatten)]
    pub(super) decoding: DecodingArgs,
    /// Count no boxes of defects below this score, and none without one. Default: none below 0.05; 0 counts all that have a score. Needs no
    /// model: --report-only can change it
    #[arg(long, value_name = "SCORE", value_parser = share::<f64>)]
    min_score: Option<f64>,
    /// Put the image between blank lines, as transformers.js and onnxruntime-genai do
    #[arg(long)]
    pub(super) image_newlines: bool,
    /// Take the pixels as they are stored; do not turn them as EXIF says
    #[arg(long)]
    pub(super) no_exif: bool,
    #[command(flatten)]
    pub(super) control: ControlArgs,
    /// Print the summary as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    /// The configuration that these flags say.
    fn config(&self, rubric: Rubric, global: &Global) -> anyhow::Result<CritiqueConfig> {
        let mut config = CritiqueConfig::of(rubric);
        config.generation.clone_from(&self.generation);
        config.image_newlines = self.image_newlines;
        config.model = self.model.options(global)?;
        config.budget = self.budget.choice()?;
        config.apply_orientation = !self.no_exif;
        config.decoding = self.decoding.options();
        config.filters = self.filters(Filters::default());
        Ok(config)
    }

    /// `base`, but for what the flags say.
    fn filters(&self, base: Filters) -> Filters {
        Filters { min_score: self.min_score.map_or(base.min_score, MinScore::Asked), ..base }
    }
}

pub(crate) fn run(args: &Args, global: &Global) -> anyhow::Result<Ending> {
    let formats = match args.export.as_str() {
        "none" => Vec::new(),
        names => names.split(',').map(|name| Ok(name.trim().parse()?)).collect::<anyhow::Result<Vec<_>>>()?,
    };
    let text = rubric_text(args)?;
    let rubric = Rubric::read(&text.content).with_context(|| text.name.clone())?;
    // A rule that cannot be understood is better found before hours of work than after them.
    let gates = Gates::new(&rubric).with_context(|| text.name.clone())?;
    let config = if args.report_only { None } else { Some(args.config(rubric.clone(), global)?) };
    if let Some(config) = &config {
        config.check()?;
        if args.pair && config.model.model == ModelChoice::Unnamed {
            return Err(SessionError::RubricNeedsModel { rubric: rubric.name }.into());
        }
    }
    if args.pair {
        return pairs::run(args, &rubric, global);
    }
    let (directory, mut records, manifest, rated) = if let Some(config) = config {
        let choice = args.choice.choice(&args.decoding.sampling)?;
        let source = source::list_chosen(&args.inputs, Some(&args.out), &choice)?;
        say_advice(&source);
        let (source, placement) = place(source, Some(args.out.as_path()).filter(|_| !args.control.fresh))?;
        args.model.say();
        let progress = Progress::new();
        let options = args.control.run_options(&args.out, signals::stop_flag()?);
        let finished = Session::open(config, &progress)?.run(&source, &placement, &options).map_err(raised)?;
        let FinishedRun { directory, outcome, rows_of_no_frame } = finished;
        let records = read_journal(&args.out)?.records;
        (directory, records, Manifest::read(&args.out)?, Some((source, outcome, rows_of_no_frame)))
    } else {
        let directory = RunDirectory::of_run(&args.out)?.adopting(args.control.adopt);
        let manifest = Manifest::read(&args.out)?;
        let Some(asked) = manifest.settings.as_ref().and_then(|settings| settings.critique.as_ref()) else {
            bail!("{}: this run is no critique: its frames were not rated", args.out.display());
        };
        asked.check(&rubric).with_context(|| {
            format!(
                "{} cannot judge {}, whose lists stay as they are: ask the frames again, without --report-only and into another --out",
                text.name,
                args.out.display()
            )
        })?;
        (directory, super::read_records(&args.out)?, manifest, None)
    };
    let source = rated.as_ref().map(|(source, ..)| source);
    let root = source.map_or(manifest.root.as_deref(), |source| Some(source.root.as_path()));
    let listed = source.map(|source| source.images.iter().map(|image| image.name.as_str()).collect());
    let missing = super::leave_out_missing(&mut records, root, listed.as_ref(), args.control.keep_missing);
    let besides = source.map(Source::besides).unwrap_or_default();
    let shown = shown(args, records, manifest)?;
    let judged = Critique::of(&shown.selection.records, &rubric, &gates, args.group_by);
    let (outcome, strangers) = rated.map_or((None, None), |(_, outcome, strangers)| (Some(outcome), strangers));
    let judgement = Judgement {
        args,
        rubric: &rubric,
        text: &text,
        formats: &formats,
        directory: &directory,
        missing,
        besides,
        strangers,
    };
    judgement.finish(&judged, &shown, outcome)
}

/// The run, with the boxes that are counted as defects.
fn shown(args: &Args, records: Vec<Record>, manifest: Manifest) -> anyhow::Result<export::Run> {
    let filters = args.filters(manifest.filters.clone());
    manifest.can_show(&filters).with_context(|| args.out.display().to_string())?;
    let images = manifest.root.clone();
    Ok(export::Run::of(records, manifest, &filters, images))
}

/// A rubric as it is written, and what it is called.
struct RubricText {
    name: String,
    content: String,
}

fn rubric_text(args: &Args) -> anyhow::Result<RubricText> {
    let read = |path: &Path| -> anyhow::Result<RubricText> {
        let name = path.display().to_string();
        let content = files::read_text(path).with_context(|| name.clone())?;
        Ok(RubricText { name, content })
    };
    let ready = |name: &str, content: &str| RubricText { name: name.to_owned(), content: content.to_owned() };
    match &args.rubric {
        Some(name) if name.as_os_str() == demo::NAME => Ok(ready("the demo model's rubric", Rubric::DEMO)),
        Some(path) => read(path),
        None if args.report_only => read(&args.out.join(KEPT_RUBRIC)).context("say by which rubric with --rubric FILE"),
        // The demo model knows nothing of hands and faces.
        None if args.model.choice() == ModelChoice::Demo => Ok(ready("the demo model's rubric", Rubric::DEMO)),
        None => Ok(ready("the ready rubric", Rubric::SDXL)),
    }
}

/// What is done once frames are rated.
struct Judgement<'a> {
    args: &'a Args,
    rubric: &'a Rubric,
    text: &'a RubricText,
    formats: &'a [VerdictFormat],
    directory: &'a RunDirectory,
    missing: usize,
    besides: Besides,
    strangers: Option<usize>,
}

/// The figures of a critique, for the table at its end and for `--json`.
#[derive(Serialize)]
struct Figures {
    /// What readers know the model by that answered.
    model: String,
    frames: usize,
    /// Frames that are not there any more. Unless they are kept on request, they are not judged.
    missing: usize,
    /// Rows of the table of generation settings that are of no frame, if there is a table.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows_of_no_frame: Option<usize>,
    verdicts: BTreeMap<Verdict, usize>,
    /// How many frames each rule decided.
    rules: Vec<(String, usize)>,
    /// How many frames are to be reviewed since they were not asked about an axis that a rule names, by the axis.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    not_asked: BTreeMap<String, usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<Summary>,
    written: Vec<PathBuf>,
}

impl Judgement<'_> {
    fn finish(&self, judged: &Critique<'_>, shown: &export::Run, outcome: Option<Outcome>) -> anyhow::Result<Ending> {
        let (args, out) = (self.args, self.directory.output());
        let kept = out.write(KEPT_RUBRIC, self.text.content.as_bytes())?;
        let exported = export_verdicts(judged, shown, self.formats, args.sort, out);
        let mut figures = Figures {
            model: shown.models.join(", "),
            frames: judged.records.len(),
            missing: self.missing,
            rows_of_no_frame: self.strangers,
            verdicts: Verdict::ALL.map(|verdict| (verdict, 0)).into(),
            rules: Vec::new(),
            not_asked: BTreeMap::new(),
            run: None,
            written: vec![out.join("journal.jsonl"), kept],
        };
        for one in &judged.judged {
            *figures.verdicts.entry(one.verdict).or_default() += 1;
            for axis in &one.not_asked {
                *figures.not_asked.entry(axis.clone()).or_default() += 1;
            }
            let rule = one.decided_by();
            match figures.rules.iter_mut().find(|(known, _)| known == rule) {
                Some((_, count)) => *count += 1,
                None => figures.rules.push((rule.to_owned(), 1)),
            }
        }
        figures.rules.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let mut summary = Summary::count(&shown.selection, &figures.model);
        summary.missing = self.missing;
        summary.besides = self.besides.clone();
        if let Some(outcome) = outcome {
            summary.went(&outcome);
        }
        exported.remarks.iter().for_each(|remark| messages::say(&plain::line(remark)));
        figures.written.extend(exported.written.iter().cloned());
        let (failed, left) = (summary.failures.len(), summary.left);
        figures.run = outcome.map(|_| summary);
        self.report(judged.records, &figures)?;
        if left > 0 {
            messages::say(&format!("Stopped with {left} frames left; the same command goes on."));
        }
        Ok(ending(&exported, left, failed))
    }

    fn report(&self, records: &[Record], figures: &Figures) -> anyhow::Result<()> {
        if self.args.json {
            return Ok(output::json(figures)?);
        }
        let mut verdicts = vec![vec!["verdict".to_owned(), "frames".to_owned()]];
        verdicts.extend(figures.verdicts.iter().map(|(verdict, count)| vec![verdict.to_string(), count.to_string()]));
        let mut rules = vec![vec!["rule that fired".to_owned(), "frames".to_owned()]];
        rules.extend(figures.rules.iter().map(|(rule, count)| vec![rule.clone(), count.to_string()]));
        let known =
            records.iter().filter(|record| record.generation.as_ref().is_some_and(|made| made.prompt.is_some()));
        let mut lines = vec![
            output::table(&verdicts),
            output::table(&rules),
            format!("{} frames by {:?}; the prompt of {} is known", figures.frames, self.rubric.name, known.count()),
            format!("model: {}", plain::line(&figures.model)),
        ];
        lines.extend(figures.not_asked.iter().map(|(axis, count)| {
            format!("to review, since they were not asked about {axis} (their prompt is not known): {count}")
        }));
        if let Some(run) = &figures.run {
            if run.resumed > 0 {
                let moved = detect::under_other_names(run.moved);
                lines.push(format!("{} of them were rated before{moved}", run.resumed));
            }
            if self.rubric.axes.iter().any(|axis| matches!(axis.kind, Kind::Defects { .. })) {
                lines.push(detect::left_out_by_score(run));
            }
            lines.extend(besides(&run.besides, run.done + run.left + run.resumed));
            lines.extend(made_good(run));
            if run.done > 0 {
                lines.push(format!("{:.2} frames/s", run.images_per_second));
            }
            if run.stopped {
                lines.push(format!("stopped: {} frames are left", run.left));
            }
            let failed = run.failures.iter();
            lines
                .extend(failed.map(|failure| {
                    plain::line(&format!("failed: {}: {}", failure.image, failure.reason)).into_owned()
                }));
        }
        lines.push(String::new());
        lines.extend(figures.written.iter().map(|path| path.display().to_string()));
        output::text(&(lines.join("\n") + "\n"));
        Ok(())
    }
}
