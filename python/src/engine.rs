//! A model that answers about batches.

use std::path::PathBuf;
use std::process;
use std::sync::{Mutex, MutexGuard, OnceLock, TryLockError};
use std::time::Duration;

use gemscope::critique::{Gates, Grouping, Overrules, Rubric};
use gemscope::export::Critique;
use gemscope::onnxruntime::RuntimeOptions;
use gemscope::record::Record;
use gemscope::session::{
    Config, CritiqueConfig, DetectConfig, Observer, Pipeline, Session, SessionError,
};
use pyo3::prelude::*;

use crate::errors::{Kind, error, of_session, of_settings};
use crate::images::Image;
use crate::results::{pipeline, tell};
use crate::run::{Asked, run};
use crate::signals::Signals;

/// So long a thread sleeps that waits for another one's images.
const TURN: Duration = Duration::from_millis(10);

/// The process that first opened a model: threads of it are not there in a process that was forked
/// from it.
static OPENED_IN: OnceLock<u32> = OnceLock::new();

/// Whether models can be asked in this process.
///
/// # Errors
/// `ForkError` in a process that was forked from one that had opened a model.
pub(crate) fn check_process() -> PyResult<()> {
    if *OPENED_IN.get_or_init(process::id) == process::id() {
        return Ok(());
    }
    let says = "this process was forked from one that had opened a model, whose threads are not \
                here; start it with the method \"spawn\", or open the model here alone";
    Err(error(Kind::Fork, says))
}

/// Hands what a session says to Python's logging.
pub(crate) struct Log;

pub(crate) static LOG: Log = Log;

impl Observer for Log {
    fn say(&self, message: &str) {
        // A handler that fails is no reason for a model to stop.
        let _ = Python::try_attach(|py| -> PyResult<()> {
            let logger = py.import("logging")?.call_method1("getLogger", ("gemscope",))?;
            logger.call_method1("info", ("%s", message))?;
            Ok(())
        });
    }
}

/// A model, and what it was asked last.
struct State {
    session: Session<'static>,
    /// The settings and the rubric.
    asked: (String, Option<String>),
    /// What judges, if a rubric was asked.
    judge: Option<Rubric>,
}

/// A model. Any number of threads may ask it; each waits for its turn.
#[pyclass(frozen)]
pub(crate) struct Engine {
    state: Mutex<State>,
}

#[pymethods]
impl Engine {
    /// The model of `settings`, which are JSON. `onnxruntime` is a library that is tried before all
    /// others, unless the user names one.
    #[new]
    fn open(py: Python<'_>, settings: &str, onnxruntime: Option<PathBuf>) -> PyResult<Self> {
        check_process()?;
        let pipeline = pipeline(settings)?;
        let config = pipeline.config().map_err(|problem| of_settings(&problem))?;
        let mut model = config.model;
        model.runtime = runtime(onnxruntime);
        py.detach(|| {
            // Nothing is asked yet; of the question, which every model may be asked, nothing is
            // used.
            let nothing = DetectConfig::of_labels(["star"]).with_model(model);
            let session = Session::open(nothing, &LOG).map_err(|problem| of_session(&problem))?;
            let state = State { session, asked: (String::new(), None), judge: None };
            Ok(Self { state: Mutex::new(state) })
        })
    }

    /// Records of `images` as JSON, in their order, for the question of `settings`, or of the text
    /// of a rubric.
    fn answer(
        &self,
        py: Python<'_>,
        settings: String,
        rubric: Option<String>,
        images: Vec<Image>,
    ) -> PyResult<Vec<String>> {
        check_process()?;
        let signals = Signals::default();
        let answered = py.detach(|| {
            let images = images.iter().map(Image::content).collect::<PyResult<Vec<_>>>()?;
            let Some(mut state) = self.turn(&signals) else { return Ok(Vec::new()) };
            state.ask(settings, rubric)?;
            match state.session.answer(&images, &|| signals.is_raised()) {
                Ok(records) => state.told(records),
                Err(SessionError::Stopped) => Ok(Vec::new()),
                Err(problem) => Err(of_session(&problem)),
            }
        });
        match signals.into_error() {
            Some(raised) => Err(raised),
            None => answered,
        }
    }

    /// Makes a run as `asked` says, and gives its summary as JSON. What is loaded is let go first.
    fn run(
        &self,
        py: Python<'_>,
        settings: &str,
        onnxruntime: Option<PathBuf>,
        asked: Asked,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<String> {
        self.unload(py)?;
        run(py, settings, onnxruntime, &asked, progress.as_ref())
    }

    /// Lets go what is loaded; the next image loads it again.
    fn unload(&self, py: Python<'_>) -> PyResult<()> {
        check_process()?;
        let signals = Signals::default();
        py.detach(|| self.turn(&signals).map(|mut state| state.session.unload()));
        signals.into_error().map_or(Ok(()), Err)
    }

    /// What computes, once an image was answered.
    #[getter]
    fn device(&self, py: Python<'_>) -> Option<String> {
        let signals = Signals::default();
        py.detach(|| self.turn(&signals)?.session.device().map(ToString::to_string))
    }
}

impl Engine {
    /// The model, once no other thread asks it; `None` if a signal came first.
    fn turn(&self, signals: &Signals) -> Option<MutexGuard<'_, State>> {
        loop {
            match self.state.try_lock() {
                Ok(state) => return Some(state),
                Err(TryLockError::Poisoned(state)) => {
                    // The panic of another thread may have left images in the engine.
                    self.state.clear_poison();
                    let mut state = state.into_inner();
                    state.session.unload();
                    return Some(state);
                }
                Err(TryLockError::WouldBlock) if signals.is_raised() => return None,
                Err(TryLockError::WouldBlock) => std::thread::sleep(TURN),
            }
        }
    }
}

impl State {
    /// Sees that the session asks what `settings` and `rubric` say.
    fn ask(&mut self, settings: String, rubric: Option<String>) -> PyResult<()> {
        let asked = (settings, rubric);
        if self.asked == asked {
            return Ok(());
        }
        let pipeline = pipeline(&asked.0)?;
        let (config, judge) = match &asked.1 {
            None => {
                (Config::from(pipeline.config().map_err(|problem| of_settings(&problem))?), None)
            }
            Some(text) => {
                let config = critique(&pipeline, text)?;
                let rubric = config.rubric.clone();
                (Config::from(config), Some(rubric))
            }
        };
        self.session.ask(config).map_err(|problem| of_session(&problem))?;
        self.session.set_control(pipeline.control());
        (self.asked, self.judge) = (asked, judge);
        Ok(())
    }

    fn told(&self, records: Vec<Record>) -> PyResult<Vec<String>> {
        let shown = self.session.show(records).records;
        let Some(rubric) = &self.judge else {
            return shown.iter().map(|record| tell(record, None)).collect();
        };
        let judged = Critique::of(
            &shown,
            rubric,
            &gates(rubric)?,
            &Overrules::default(),
            Grouping::default(),
        );
        let line = |(place, record): (usize, &Record)| {
            let line =
                judged.line(place).map_err(|problem| error(Kind::Model, problem.to_string()))?;
            tell(record, line)
        };
        shown.iter().enumerate().map(line).collect()
    }
}

/// ONNX Runtime as the environment says, `first` before what is found otherwise.
pub(crate) fn runtime(first: Option<PathBuf>) -> RuntimeOptions {
    RuntimeOptions { first, ..RuntimeOptions::from_env(None, false) }
}

/// A critique by the rubric of `text`, with the settings of `pipeline` that a critique has.
pub(crate) fn critique(pipeline: &Pipeline, text: &str) -> PyResult<CritiqueConfig> {
    let rubric = Rubric::read(text).map_err(|problem| of_rubric(&problem))?;
    // A rule that cannot be understood is better found before the work than after it.
    gates(&rubric)?;
    let detect = pipeline.config().map_err(|problem| of_settings(&problem))?;
    let mut config = CritiqueConfig::of(rubric);
    config.image_newlines = detect.conversation.image_newlines;
    config.budget = detect.budget;
    config.apply_orientation = detect.apply_orientation;
    config.decoding = detect.decoding;
    config.filters = detect.filters;
    Ok(config)
}

/// What judges by a rubric. It stays in its thread, so it is made when it is needed.
pub(crate) fn gates(rubric: &Rubric) -> PyResult<Gates> {
    Gates::new(rubric).map_err(|problem| of_rubric(&problem))
}

fn of_rubric(problem: &dyn std::fmt::Display) -> PyErr {
    error(Kind::Settings, format!("the rubric: {problem}"))
}
