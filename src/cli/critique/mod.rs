//! `gemscope critique`: which frames to keep.
//!
//! In: frames, a rubric, a model; or an earlier run, and other rules. Out: a journal with a rating
//! an axis, verdicts, lists, statistics. Promises: a frame in the journal is never asked about
//! again, unless its file has changed; rules and weights can be changed without a model.

mod agreement;
mod args;
mod moving;
mod pairs;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use gemscope::critique::{Agreement, Gates, Kind, Overrules, Rubric, Verdict};
use gemscope::export::{self, Critique, VerdictFormat, export_verdicts};
use gemscope::files;
use gemscope::journal::{RunDirectory, place, read_journal};
use gemscope::model::demo;
use gemscope::record::{Manifest, Record};
use gemscope::run::Outcome;
use gemscope::session::{FinishedRun, ModelChoice, Session, SessionError, ShownRun, Summary};
use gemscope::source::{self, Besides, Choice, Source};
use serde::Serialize;

pub(crate) use self::args::Args;
use self::args::Sort;
use super::choice::{besides, made_good, say_advice};
use super::device;
use super::progress::Progress;
use super::{Ending, Global, detect, ending, messages, output, plain, raised, signals, watch};

pub(crate) fn run(args: &Args, global: &Global) -> anyhow::Result<Ending> {
    let formats = match args.export.as_str() {
        "none" => Vec::new(),
        names => names
            .split(',')
            .map(|name| Ok(name.trim().parse()?))
            .collect::<anyhow::Result<Vec<_>>>()?,
    };
    let text = rubric_text(args)?;
    let rubric = Rubric::read(&text.content).with_context(|| text.name.clone())?;
    // A rule that cannot be understood is better found before hours of work than after them.
    let gates = Gates::new(&rubric).with_context(|| text.name.clone())?;
    let config = if args.report_only || args.undo {
        None
    } else {
        Some(args.config(rubric.clone(), global)?)
    };
    if let Some(config) = &config {
        config.check()?;
        if args.pair && config.model.model == ModelChoice::Unnamed {
            return Err(SessionError::RubricNeedsModel { rubric: rubric.name }.into());
        }
    }
    if args.watch.watch && (args.pair || config.is_none()) {
        bail!("--watch asks about frames as they come: not with --pair, --report-only, --undo");
    }
    let config = match config {
        Some(config) if args.pair => return pairs::run(args, config),
        config => config,
    };
    let labels = args
        .agree
        .as_deref()
        .map(|path| files::read_text(path).with_context(|| path.display().to_string()));
    let labels = labels.transpose()?;
    moving::settle(args)?;
    let by_hand = args.overrule.as_deref().map(export::read_overrules).transpose()?;
    let (directory, rated) = if let Some(config) = config {
        let mut choice = args.choice.choice(&args.decoding.sampling)?;
        choice.say = Some(messages::say);
        choice.web.archives = !args.watch.watch;
        choice.web.offline = config.model.runtime.offline;
        let list = |choice: &Choice, fresh: bool| -> anyhow::Result<_> {
            let source = source::list_chosen(&moving::inputs(args)?, Some(&args.out), choice)?;
            if !args.watch.watch {
                say_advice(&source);
            }
            Ok(place(source, Some(args.out.as_path()).filter(|_| !fresh))?)
        };
        let first = if args.watch.watch { None } else { Some(list(&choice, args.control.fresh)?) };
        let joined = first.as_ref().and_then(|(source, placed)| placed.remark(&source.root));
        if let Some(remark) = joined {
            messages::say(&plain::line(&remark));
        }
        device::say(&args.model);
        let progress = Progress::new();
        let stop = signals::stop_flag()?;
        choice.stop = Some(Arc::clone(&stop));
        let mut options = args.control.run_options(&args.out, &args.run, &args.limits, stop);
        let mut session = Session::open(config, &progress)?;
        let (source, finished) = if let Some((source, placement)) = first {
            let finished = session.run(&source, &placement, &options).map_err(raised)?;
            (source, finished)
        } else {
            let watched = Watched { args, rubric: &rubric, gates: &gates, formats: &formats };
            let list = |fresh| list(&choice, fresh);
            watch::run(&args.watch, &mut session, &mut options, list, |source, finished| {
                watched.write(source, finished)
            })?
        };
        drop(session);
        let FinishedRun { directory, outcome, besides, rows_of_no_frame } = finished;
        (directory, Some((source, outcome, besides, rows_of_no_frame)))
    } else {
        (may_judge_again(args, &rubric, &text)?, None)
    };
    let overrules = overrules(args, by_hand, &directory)?;
    let (mut source, rated) = match rated {
        Some((source, outcome, besides, strangers)) => {
            (Some(source), Some((outcome, besides, strangers)))
        }
        None => (None, None),
    };
    if args.undo {
        moving::undo(&directory)?;
    }
    let mut shown = show(args, source.as_ref(), rated.is_none())?;
    super::say_missing(
        shown.missing,
        shown.run.images.as_deref().unwrap_or(Path::new("")),
        args.run.keep_missing,
    );
    if args.sort == Some(Sort::Move) {
        let records = &shown.run.selection.records;
        let judged = Critique::of(records, &rubric, &gates, &overrules, args.grouping());
        let renamed = moving::by_verdict(&judged, &shown.run, &directory)?;
        source = source.map(|source| source.renamed(&renamed));
        shown = show(args, source.as_ref(), false)?;
    }
    let missing = shown.missing.count();
    let records = &shown.run.selection.records;
    let judged = Critique::of(records, &rubric, &gates, &overrules, args.grouping());
    let (outcome, besides, strangers) = match rated {
        Some((outcome, besides, strangers)) => (Some(outcome), besides, strangers),
        None => (None, Besides::default(), None),
    };
    let judgement = Judgement {
        args,
        rubric: &rubric,
        text: &text,
        formats: &formats,
        directory: &directory,
        missing,
        besides,
        strangers,
        labels: labels.as_deref(),
    };
    judgement.finish(&judged, &shown.run, outcome)
}

/// What is written while frames come.
struct Watched<'a> {
    args: &'a Args,
    rubric: &'a Rubric,
    gates: &'a Gates,
    formats: &'a [VerdictFormat],
}

impl Watched<'_> {
    /// Lists and tables; what takes longer is written in the end.
    fn write(&self, source: &Source, finished: &FinishedRun) -> anyhow::Result<()> {
        let quick = [VerdictFormat::Jsonl, VerdictFormat::Csv, VerdictFormat::Lists];
        let formats: Vec<_> =
            self.formats.iter().copied().filter(|format| quick.contains(format)).collect();
        let shown = show(self.args, Some(source), false)?;
        let overrules = export::kept_overrules(&self.args.out)?;
        let records = &shown.run.selection.records;
        let judged =
            Critique::of(records, self.rubric, self.gates, &overrules, self.args.grouping());
        let out = finished.directory.output();
        let exported = export_verdicts(&judged, &shown.run, &formats, None, None, out);
        for failure in &exported.failures {
            messages::error(&plain::line(&failure.to_string()));
        }
        let count =
            |verdict: Verdict| judged.judged.iter().filter(|one| one.verdict == verdict).count();
        let counts = Verdict::ALL.map(|verdict| format!("{verdict} {}", count(verdict)));
        messages::say(&format!("{} frames: {}", judged.records.len(), counts.join(", ")));
        Ok(())
    }
}

/// The records of the run. Unless they were asked for just now, damaged lines are said.
fn show(args: &Args, source: Option<&Source>, judged_alone: bool) -> anyhow::Result<ShownRun> {
    let filters = args.filters(Manifest::read(&args.out)?.filters);
    let shown = ShownRun::read(&args.out, source, Some(&filters), args.run.keep_missing);
    let shown = shown.map_err(raised).with_context(|| args.out.display().to_string())?;
    // A run that has just been opened has said it.
    if judged_alone {
        super::say_damaged(&args.out, &shown.damaged);
    }
    Ok(shown)
}

/// The verdicts by hand: those that the run keeps, and `later` ones, which it keeps from now on.
fn overrules(
    args: &Args,
    later: Option<Overrules>,
    directory: &RunDirectory,
) -> anyhow::Result<Overrules> {
    match later {
        Some(later) => {
            let records = read_journal(&args.out)?.records;
            Ok(export::add_overrules(later, &records, directory.output())?)
        }
        None => Ok(export::kept_overrules(&args.out)?),
    }
}

/// The directory of a run that `rubric` may judge without asking a model.
fn may_judge_again(
    args: &Args,
    rubric: &Rubric,
    text: &RubricText,
) -> anyhow::Result<RunDirectory> {
    let directory = RunDirectory::of_run(&args.out)?.adopting(args.control.adopt);
    let manifest = Manifest::read(&args.out)?;
    let Some(asked) = manifest.settings.as_ref().and_then(|settings| settings.critique.as_ref())
    else {
        bail!("{}: this run is no critique: its frames were not rated", args.out.display());
    };
    asked.check(rubric).with_context(|| {
        format!(
            "{} cannot judge {}, whose lists stay as they are: without --report-only, the frames are \
             asked what they were not, and keep their other answers",
            text.name,
            args.out.display()
        )
    })?;
    Ok(directory)
}

/// A rubric's text, and its name.
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
    let ready = |name: &str, content: &str| RubricText {
        name: name.to_owned(),
        content: content.to_owned(),
    };
    match &args.rubric {
        Some(name) if name.as_os_str() == demo::NAME => {
            Ok(ready("the demo model's rubric", Rubric::DEMO))
        }
        Some(path) => read(path),
        None if args.report_only || args.undo => {
            read(&args.out.join(Rubric::KEPT)).context("say by which rubric with --rubric FILE")
        }
        // The demo model knows nothing of hands and faces.
        None if args.model.choice() == ModelChoice::Demo => {
            Ok(ready("the demo model's rubric", Rubric::DEMO))
        }
        None => Ok(ready("the ready rubric", Rubric::SDXL)),
    }
}

/// The steps that follow once frames are rated.
struct Judgement<'a> {
    args: &'a Args,
    rubric: &'a Rubric,
    text: &'a RubricText,
    formats: &'a [VerdictFormat],
    directory: &'a RunDirectory,
    missing: usize,
    besides: Besides,
    strangers: Option<usize>,
    /// The text of the table of what people said.
    labels: Option<&'a str>,
}

/// The figures of a critique, for the table at its end and for `--json`.
#[derive(Serialize)]
struct Figures {
    /// The name of the model that answered.
    model: String,
    frames: usize,
    /// Frames that are not there any more. Unless they are kept on request, they are not judged.
    missing: usize,
    /// Rows of the table of generation settings that are of no frame, if there is a table.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows_of_no_frame: Option<usize>,
    /// Verdicts by hand that are of no frame.
    #[serde(skip_serializing_if = "is_zero")]
    overrules_of_no_frame: usize,
    /// Frames that are near copies of better ones.
    near_copies: usize,
    /// Frames of which an earlier version kept no hash of how they look: near copies of them are
    /// not known.
    #[serde(skip_serializing_if = "is_zero")]
    without_look: usize,
    verdicts: BTreeMap<Verdict, usize>,
    /// How many frames each rule decided.
    rules: Vec<(String, usize)>,
    /// How many frames are to be reviewed since they were not asked about an axis that a rule
    /// names, by the axis.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    not_asked: BTreeMap<String, usize>,
    /// How far people's labels agree, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    agreement: Option<Agreement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<Summary>,
    written: Vec<PathBuf>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Judgement<'_> {
    fn agreement(&self, judged: &Critique<'_>) -> anyhow::Result<Option<Agreement>> {
        let of =
            |text| Agreement::of(text, judged.records, &judged.frames, &judged.judged, self.rubric);
        let name =
            || self.args.agree.as_ref().map_or_else(String::new, |path| path.display().to_string());
        self.labels.map(of).transpose().with_context(name)
    }

    fn finish(
        &self,
        judged: &Critique<'_>,
        shown: &export::Run,
        outcome: Option<Outcome>,
    ) -> anyhow::Result<Ending> {
        let (args, out) = (self.args, self.directory.output());
        let kept = out.write(Rubric::KEPT, self.text.content.as_bytes())?;
        let into = match args.sort {
            Some(Sort::Into(sort)) => Some(sort),
            Some(Sort::Move) | None => None,
        };
        if args.sort.is_none() && out.join("sorted").is_dir() {
            messages::say(
                "sorted/ is as the rules were when it was made: --sort link (or copy) makes it anew",
            );
        }
        let best = args.sort.map(Sort::beside);
        let exported = export_verdicts(judged, shown, self.formats, into, best, out);
        let mut figures = Figures {
            model: shown.models.join(", "),
            frames: judged.records.len(),
            missing: self.missing,
            rows_of_no_frame: self.strangers,
            overrules_of_no_frame: judged.overrules_of_no_frame,
            near_copies: judged.frames.iter().filter(|one| one.duplicate_of.is_some()).count(),
            without_look: judged.without_look(),
            verdicts: Verdict::ALL.map(|verdict| (verdict, 0)).into(),
            rules: Vec::new(),
            not_asked: BTreeMap::new(),
            agreement: self.agreement(judged)?,
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
            summary.add_outcome(&outcome);
        }
        exported.remarks.iter().for_each(|remark| messages::say(&plain::line(remark)));
        if let Some(place) = args.xmp {
            moving::rate(judged, shown, place, self.directory)?;
        }
        if let Some(agreement) = &figures.agreement {
            let text = serde_json::to_vec_pretty(agreement)?;
            figures.written.push(out.write("agreement.json", &text)?);
        }
        figures.written.extend(exported.written.iter().cloned());
        let (failed, left) = (summary.failures.len() + summary.not_asked_again, summary.left);
        figures.run = outcome.map(|_| summary);
        self.report(judged.records, &figures)?;
        if left > 0 {
            messages::say(&format!("Stopped with {left} frames left; the same command goes on."));
        }
        let ending = ending(&exported, left, failed);
        let worst = judged.judged.iter().map(|one| one.verdict).max();
        Ok(match worst.filter(|_| args.exit_by_verdict && ending == Ending::Complete) {
            Some(worst) => Ending::Judged(worst),
            None => ending,
        })
    }

    fn report(&self, records: &[Record], figures: &Figures) -> anyhow::Result<()> {
        if self.args.json {
            return Ok(output::json(figures)?);
        }
        let mut verdicts = vec![vec!["verdict".to_owned(), "frames".to_owned()]];
        verdicts.extend(
            figures
                .verdicts
                .iter()
                .map(|(verdict, count)| vec![verdict.to_string(), count.to_string()]),
        );
        let mut rules = vec![vec!["rule that fired".to_owned(), "frames".to_owned()]];
        rules.extend(
            figures.rules.iter().map(|(rule, count)| vec![rule.clone(), count.to_string()]),
        );
        let known = records
            .iter()
            .filter(|record| record.generation.as_ref().is_some_and(|made| made.prompt.is_some()));
        let mut lines = vec![
            output::table(&verdicts),
            output::table(&rules),
            format!(
                "{} frames by {:?}; the prompt of {} is known",
                figures.frames,
                self.rubric.name,
                known.count()
            ),
            format!("model: {}", plain::line(&figures.model)),
        ];
        lines.extend(figures.not_asked.iter().map(|(axis, count)| {
            format!(
                "to review, since they were not asked about {axis} (their prompt is not \
                     known, or says nothing that a picture can show): {count}"
            )
        }));
        if figures.near_copies > 0 {
            lines.push(format!("near copies of better frames: {}", figures.near_copies));
        }
        if figures.without_look > 0 {
            lines.push(format!(
                "near copies are not known of {} frames: an earlier version kept no hash of how \
                 they look, and --fresh asks about them again",
                figures.without_look
            ));
        }
        lines.extend(figures.agreement.iter().flat_map(agreement::lines));
        if figures.overrules_of_no_frame > 0 {
            lines.push(format!(
                "verdicts by hand that are of no frame here: {}",
                figures.overrules_of_no_frame
            ));
        }
        if let Some(run) = &figures.run {
            if run.resumed > 0 {
                let moved = detect::under_other_names(run.moved);
                lines.push(format!("{} of them were rated before{moved}", run.resumed));
            }
            if run.not_asked_again > 0 {
                lines.push(format!(
                    "{} could not be asked what is new, and keep their answers; the same command \
                     tries again",
                    run.not_asked_again
                ));
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
            lines.extend(detect::failed(run).map(|line| format!("failed: {line}")));
        }
        lines.push(String::new());
        lines.extend(figures.written.iter().map(|path| path.display().to_string()));
        output::text(&(lines.join("\n") + "\n"));
        Ok(())
    }
}
