//! A run over folders, as the command makes it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use gemscope::critique::{GroupBy, Rubric};
use gemscope::export::{self, Critique, SortBy, VerdictFormat, export_verdicts, kept_overrules};
use gemscope::journal::place;
use gemscope::record::AnswerStatus;
use gemscope::session::pipeline::Layer as _;
use gemscope::session::{Config, Observer, Pipeline, RunOptions, Session, ShownRun};
use gemscope::source::{self, Place};
use pyo3::prelude::*;

use crate::engine::{LOG, critique, gates, runtime};
use crate::errors::{Kind, error, of_session, of_settings};
use crate::results::pipeline;
use crate::signals::Signals;

/// How often signals are heeded and progress is told.
const OFTEN: Duration = Duration::from_millis(50);

/// What a run is told beside its settings.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Asked {
    inputs: Vec<PathBuf>,
    out: PathBuf,
    /// The text of a pipeline, over which the settings stand.
    pipeline: Option<String>,
    /// The text of a rubric: then the run is a critique.
    rubric: Option<String>,
    /// Of a critique: a table of settings that frames were made with, what they are grouped by, and
    /// how they are put into folders.
    generation: Option<PathBuf>,
    group_by: Option<String>,
    sort: Option<String>,
    fresh: bool,
    retry_failed: bool,
    adopt: bool,
}

/// Counts what is done.
#[derive(Default)]
struct Counts {
    images: AtomicUsize,
    done: AtomicUsize,
}

impl Counts {
    fn now(&self) -> (usize, usize) {
        (self.done.load(Ordering::Relaxed), self.images.load(Ordering::Relaxed))
    }
}

impl Observer for Counts {
    fn say(&self, message: &str) {
        LOG.say(message);
    }

    fn begun(&self, images: usize) {
        self.images.store(images, Ordering::Relaxed);
    }

    fn done(&self, _status: AnswerStatus) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    fn resumed(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }
}

/// Makes a run, and gives its summary as JSON. `progress` is told how many images of how many are
/// done, by the calling thread. A signal, or an exception of `progress`, stops it: what is in
/// flight is finished and written.
pub(crate) fn run(
    py: Python<'_>,
    settings: &str,
    onnxruntime: Option<PathBuf>,
    asked: &Asked,
    progress: Option<&Py<PyAny>>,
) -> PyResult<String> {
    let signals = Signals::default();
    let (counts, stop) = (Counts::default(), Arc::new(AtomicBool::new(false)));
    let fault: RwLock<Option<PyErr>> = RwLock::default();
    let made = py.detach(|| {
        std::thread::scope(|scope| {
            let worker =
                scope.spawn(|| make(settings, onnxruntime, asked, &counts, Arc::clone(&stop)));
            let mut told = (0, 0);
            loop {
                let ended = worker.is_finished();
                if signals.is_raised() {
                    stop.store(true, Ordering::Relaxed);
                }
                let now = counts.now();
                if let Some(progress) =
                    progress.filter(|_| now != told && !stop.load(Ordering::Relaxed))
                {
                    told = now;
                    if let Err(raised) = Python::attach(|py| progress.call1(py, now)) {
                        stop.store(true, Ordering::Relaxed);
                        *fault.write().unwrap_or_else(PoisonError::into_inner) = Some(raised);
                    }
                }
                if ended {
                    break;
                }
                std::thread::sleep(OFTEN);
            }
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    });
    let fault = fault.into_inner().unwrap_or_else(PoisonError::into_inner);
    match signals.into_error().or(fault) {
        Some(raised) => Err(raised),
        None => made,
    }
}

/// The folder that holds the images of `inputs`, and their names relative to it, sorted; those in
/// `out` are left out. The question of `settings` is read, and nothing is asked.
#[pyfunction]
pub(crate) fn list_images(
    py: Python<'_>,
    inputs: Vec<PathBuf>,
    out: PathBuf,
    settings: &str,
) -> PyResult<(PathBuf, Vec<String>)> {
    let pipeline = pipeline(settings)?;
    pipeline.config().map_err(|problem| of_settings(&problem))?;
    let choice = pipeline.choice().map_err(|problem| of_settings(&problem))?;
    py.detach(|| {
        let source = source::list_chosen(&inputs, Some(&out), &choice)
            .map_err(|problem| error(Kind::Run, problem.to_string()))?;
        let packed = |place: &Place| !matches!(place, Place::File(_));
        if let Some(image) =
            source.images.iter().find(|image| image.place.as_ref().is_ok_and(packed))
        {
            let says = format!(
                "{}: images in archives and frames of videos have to be files first",
                image.name
            );
            return Err(error(Kind::Run, says));
        }
        Ok((source.root, source.images.into_iter().map(|image| image.name).collect()))
    })
}

fn make(
    settings: &str,
    onnxruntime: Option<PathBuf>,
    asked: &Asked,
    observer: &dyn Observer,
    stop: Arc<AtomicBool>,
) -> PyResult<String> {
    let mut pipeline = pipeline(settings)?;
    if let Some(text) = &asked.pipeline {
        pipeline = pipeline.over(Pipeline::parse(text).map_err(|problem| of_settings(&problem))?);
    }
    let inputs =
        if asked.inputs.is_empty() { pipeline.source.inputs.clone() } else { asked.inputs.clone() };
    let detect = pipeline.config().map_err(|problem| of_settings(&problem))?;
    let formats = pipeline.formats().map_err(|problem| of_settings(&problem))?;
    let choice = pipeline.choice().map_err(|problem| of_settings(&problem))?;
    let mut model = detect.model.clone();
    model.runtime = runtime(onnxruntime);
    let (config, rubric) = match &asked.rubric {
        None => (Config::from(detect.with_model(model)), None),
        Some(text) => {
            let mut config = critique(&pipeline, text)?.with_model(model);
            config.generation.clone_from(&asked.generation);
            let rubric = config.rubric.clone();
            (Config::from(config), Some((rubric, text)))
        }
    };
    config.check().map_err(|problem| of_session(&problem))?;
    let unknown = |problem: &dyn std::fmt::Display| error(Kind::Settings, problem.to_string());
    let group_by = asked.group_by.as_deref().map(str::parse::<GroupBy>).transpose();
    let group_by = group_by.map_err(|problem| unknown(&problem))?;
    let sort = asked.sort.as_deref().map(str::parse::<SortBy>).transpose();
    let sort = sort.map_err(|problem| unknown(&problem))?;

    let failed = |problem: &dyn std::fmt::Display| error(Kind::Run, problem.to_string());
    let out = asked.out.as_path();
    let source =
        source::list_chosen(&inputs, Some(out), &choice).map_err(|problem| failed(&problem))?;
    let known = Some(out).filter(|_| !asked.fresh);
    let (source, placement) = place(source, known).map_err(|problem| failed(&problem))?;
    let mut options = RunOptions::of(out);
    (options.fresh, options.adopt, options.sync_every) =
        (asked.fresh, asked.adopt, pipeline.run.sync_every());
    options.control = pipeline.control();
    (options.control.stop, options.control.retry_failed) = (stop, asked.retry_failed);
    options.pipeline = asked.pipeline.as_deref();
    let filters = config.filters().clone();
    let mut session = Session::open(config, observer).map_err(|problem| of_session(&problem))?;
    let finished =
        session.run(&source, &placement, &options).map_err(|problem| of_session(&problem))?;
    // Its memory is better used for the records.
    drop(session);

    let keep_missing = pipeline.run.keep_missing;
    let directory = finished.directory.output();
    let (mut summary, exported) = if let Some((rubric, text)) = &rubric {
        let shown = ShownRun::read(out, Some(&source), Some(&filters), keep_missing);
        let shown = shown.map_err(|problem| of_session(&problem))?;
        let overrules = kept_overrules(out).map_err(|problem| failed(&problem))?;
        let records = &shown.run.selection.records;
        let judged = Critique::of(records, rubric, &gates(rubric)?, &overrules, group_by);
        let kept = directory.write(Rubric::KEPT, text.as_bytes());
        kept.map_err(|problem| failed(&problem))?;
        let exported =
            export_verdicts(&judged, &shown.run, &VerdictFormat::USUAL, sort, None, directory);
        let mut summary = shown.summary();
        summary.add_outcome(&finished.outcome);
        (summary, exported)
    } else {
        let (shown, summary) =
            finished.shown(&source, keep_missing).map_err(|problem| of_session(&problem))?;
        let exported = export::export(&shown.run, &export::Options::default(), &formats, directory);
        (summary, exported)
    };
    if let Some(failure) = exported.failures.first() {
        return Err(failed(failure));
    }
    summary.written.push(out.join("journal.jsonl"));
    summary.written.extend(exported.written);
    serde_json::to_string(&summary).map_err(|problem| failed(&problem))
}
