//! `gemscope doctor --gpu`: compares this machine's card with the CPU, and measures its speed.
//!
//! In: the card, and models: the bundled one and a random one of middle size, or any. Out: a table
//! of checks, each passed, failed, skipped or measured, and a verdict. Promises: nothing that could
//! not be tried counts as passed; a driver that fails is a failed check and no panic.

mod kernels;
mod model;
mod scenes;
mod speed;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use gemscope::device::{Device, DeviceChoice};
use gemscope::model::{Dtypes, demo, random};
use gemscope::onnxruntime::{self, CudaState, Runtime};
use gemscope::session::ModelOptions;
use gemscope::session::pipeline::{DeviceSection, ModelSection};
use serde::Serialize;

use super::device;
use super::{Ending, Global, messages, output};

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Passed,
    Failed,
    /// It could not be tried.
    Skipped,
    /// A figure that is neither right nor wrong.
    Measured,
}

/// One check.
#[derive(Debug, Clone, Serialize)]
struct Check {
    name: &'static str,
    /// With which model; of kernels, none.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    outcome: Outcome,
    /// The comparison or measurement, or the reason for having none.
    says: String,
    /// Measurements, in the units that their names say.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    figures: BTreeMap<&'static str, f64>,
}

impl Check {
    fn new(name: &'static str, outcome: Outcome, says: String) -> Self {
        Self { name, model: None, outcome, says, figures: BTreeMap::new() }
    }

    /// One that passed or failed.
    fn of(name: &'static str, passed: bool, says: String) -> Self {
        Self::new(name, if passed { Outcome::Passed } else { Outcome::Failed }, says)
    }

    fn failed(name: &'static str, reason: &(impl ToString + ?Sized)) -> Self {
        Self::new(name, Outcome::Failed, reason.to_string())
    }

    fn skipped(name: &'static str, reason: &(impl ToString + ?Sized)) -> Self {
        Self::new(name, Outcome::Skipped, reason.to_string())
    }

    fn measured(
        name: &'static str,
        says: String,
        figures: impl IntoIterator<Item = (&'static str, f64)>,
    ) -> Self {
        Self { figures: figures.into_iter().collect(), ..Self::new(name, Outcome::Measured, says) }
    }
}

/// A model that is compared.
#[derive(Debug, Clone)]
pub(super) enum Subject {
    /// The bundled one: its answers are right or wrong, but it is so small that a card waits for
    /// its launches.
    Demo,
    /// A random one of middle size, which is made in the cache when it is wanted.
    Random,
    /// The user's.
    Directory(PathBuf, Option<Dtypes>),
}

impl Subject {
    fn name(&self) -> String {
        match self {
            Self::Demo => "the bundled demo model".to_owned(),
            Self::Random => "a random model of middle size".to_owned(),
            Self::Directory(directory, _) => directory.display().to_string(),
        }
    }

    /// The configuration that opens it.
    fn options(&self, device: &DeviceSection, global: &Global) -> anyhow::Result<ModelOptions> {
        let (model, dtype) = match self {
            Self::Demo => (Some(demo::NAME.into()), None),
            Self::Random => (Some(random_model()?), None),
            Self::Directory(directory, dtype) => (Some(directory.clone()), dtype.clone()),
        };
        let model =
            ModelSection { model, dtype, device: device.clone(), ..ModelSection::default() };
        Ok(device::options(&model, global)?)
    }
}

/// The random model's directory, once it is drawn; its size on disk is announced beforehand.
fn random_model() -> anyhow::Result<PathBuf> {
    let cache = onnxruntime::cache_dir()?;
    messages::say(&format!(
        "The random model takes {} MB in {} the first time.",
        random::BYTES / 1_000_000,
        cache.display()
    ));
    Ok(random::unpack(&cache)?)
}

#[derive(Debug, Serialize)]
struct Examined {
    gemscope: &'static str,
    /// The version of ONNX Runtime.
    version: Option<String>,
    cuda: CudaState,
    checks: Vec<Check>,
    passed: usize,
    failed: usize,
    skipped: usize,
    verdict: String,
}

/// Runs all checks; `file` takes them as JSON, `-` prints them so.
pub(super) fn run(
    device: &DeviceSection,
    subjects: &[Subject],
    file: Option<&Path>,
    adopt: bool,
    global: &Global,
) -> anyhow::Result<Ending> {
    let choice = DeviceChoice::Cuda(device::cards(device)?);
    let options = global.runtime_options().with_device(choice);
    let state = onnxruntime::cuda_state(&options);
    let loaded = onnxruntime::load(&options, &mut |line| messages::say(line));
    let guarded = |names: &[&'static str], run: &dyn Fn(&Runtime) -> Vec<Check>| -> Vec<Check> {
        match &loaded {
            // The driver's interface panics if the driver lacks a function.
            Ok(runtime) => catch_unwind(AssertUnwindSafe(|| run(runtime))).unwrap_or_else(|_| {
                names
                    .iter()
                    .map(|name| Check::failed(name, "the driver lacks a function"))
                    .collect()
            }),
            // With a card, a card that cannot be used is a valid result.
            Err(error) if state.is_ready() => {
                names.iter().map(|name| Check::failed(name, error)).collect()
            }
            Err(_) => names.iter().map(|name| Check::skipped(name, state.obstacle())).collect(),
        }
    };
    let mut checks = guarded(&kernels::NAMES, &|runtime| kernels::checks(runtime, &runtime.device));
    let version = loaded.as_ref().ok().map(|runtime| runtime.version.clone());
    for subject in subjects {
        let compared =
            guarded(&model::NAMES, &|runtime| model_checks(subject, device, global, runtime));
        let name = subject.name();
        checks
            .extend(compared.into_iter().map(|check| Check { model: Some(name.clone()), ..check }));
    }
    let count = |outcome| checks.iter().filter(|check| check.outcome == outcome).count();
    let [passed, failed, skipped] = [Outcome::Passed, Outcome::Failed, Outcome::Skipped].map(count);
    let verdict = match (&state.device, failed, skipped) {
        (Some(card), 0, 0) => {
            format!("{} computes what the CPU computes: it can be used", card.name)
        }
        (Some(card), 0, _) => {
            format!(
                "{} is not tried enough to be relied on: {skipped} checks were skipped",
                card.name
            )
        }
        (None, 0, _) => {
            format!(
                "nothing is known: all {skipped} checks were skipped, for there is no card that \
                 can be used"
            )
        }
        (_, failed, _) => {
            format!(
                "do not rely on this card: {failed} checks failed. Use --device cpu, and report \
                 this table"
            )
        }
    };
    let gemscope = env!("CARGO_PKG_VERSION");
    let examined =
        Examined { gemscope, version, cuda: state, checks, passed, failed, skipped, verdict };
    match file {
        Some(file) if file == Path::new("-") => output::json(&examined)?,
        Some(file) => {
            output::json_file(file, &examined, adopt)?;
            output::text(&describe(&examined));
        }
        None => output::text(&describe(&examined)),
    }
    if !examined.cuda.is_ready() {
        messages::error(&examined.cuda.to_string());
    }
    Ok(if failed + skipped == 0 { Ending::Complete } else { Ending::NotReady })
}

fn model_checks(
    subject: &Subject,
    device: &DeviceSection,
    global: &Global,
    runtime: &Runtime,
) -> Vec<Check> {
    let options = match subject.options(device, global) {
        Ok(options) => options,
        Err(error) => {
            return model::NAMES.map(|name| Check::failed(name, &format!("{error:#}"))).into();
        }
    };
    model::checks(&options, runtime, &runtime.device)
}

fn describe(examined: &Examined) -> String {
    let cuda = &examined.cuda;
    let mut lines = vec![format!("gemscope {}", examined.gemscope)];
    for need in &cuda.needs {
        lines.push(format!(
            "{}: {}{}",
            need.what,
            if need.met { "" } else { "missing: " },
            need.says
        ));
    }
    if let Some(card) = cuda.device.clone() {
        lines.push(format!("checked: {}", Device::Cuda(card)));
    }
    let name = |outcome| match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "FAILED",
        Outcome::Skipped => "skipped",
        Outcome::Measured => "measured",
    };
    let width = examined.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut part = Some("");
    for check in &examined.checks {
        let model = check.model.as_deref();
        if part != model {
            lines.push(format!("\n{}:", model.unwrap_or("kernels")));
            part = model;
        }
        lines.push(format!("  {:<width$}  {:<8}  {}", check.name, name(check.outcome), check.says));
    }
    lines.push(String::new());
    let Examined { passed, failed, skipped, verdict, .. } = examined;
    lines.push(format!("{passed} passed, {failed} failed, {skipped} GPU checks skipped"));
    lines.push(format!("verdict: {verdict}"));
    lines.join("\n") + "\n"
}
