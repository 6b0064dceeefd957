//! `gemscope doctor --gpu`: whether this machine's card computes what the CPU computes, and how fast.
//!
//! In: the card, a model (the bundled one, or any). Out: a table of checks, each passed, failed, skipped or measured, and a verdict. Promises:
//! nothing that could not be tried counts as passed; a driver that fails is a failed check and no panic.

mod kernels;
mod model;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use anyhow::Context as _;
use gemscope::runtime::{self, CudaState, Device, DeviceChoice};
use serde::Serialize;

use super::engine::{DeviceArgs, ModelArgs};
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
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    outcome: Outcome,
    /// What was compared or measured, or why not.
    says: String,
}

impl Check {
    /// One that passed or failed.
    fn of(name: &'static str, passed: bool, says: String) -> Self {
        Self { name, outcome: if passed { Outcome::Passed } else { Outcome::Failed }, says }
    }

    fn failed(name: &'static str, reason: &(impl ToString + ?Sized)) -> Self {
        Self { name, outcome: Outcome::Failed, says: reason.to_string() }
    }

    fn skipped(name: &'static str, reason: &(impl ToString + ?Sized)) -> Self {
        Self { name, outcome: Outcome::Skipped, says: reason.to_string() }
    }
}

#[derive(Debug, Serialize)]
struct Examined {
    gemscope: &'static str,
    /// Of ONNX Runtime.
    version: Option<String>,
    cuda: CudaState,
    /// What was compared.
    model: String,
    checks: Vec<Check>,
    passed: usize,
    failed: usize,
    skipped: usize,
    verdict: String,
}

/// Runs all checks; `file` takes them as JSON, `-` prints them so.
pub(super) fn run(
    device: DeviceArgs,
    model: &ModelArgs,
    file: Option<&Path>,
    global: &Global,
) -> anyhow::Result<Ending> {
    let choice = DeviceChoice::Cuda(device.cards()?);
    let options = global.runtime_options().with_device(choice);
    let state = runtime::cuda_state(&options);
    let mut checks = kernel_checks(&state);
    let (mut version, mut named) = (None, "none".to_owned());
    match runtime::load(&options, &mut |line| messages::say(line)) {
        Ok(runtime) => {
            version = Some(runtime.version.clone());
            let (name, compared) = model::checks(model, runtime, &runtime.device);
            named = name;
            checks.extend(compared);
        }
        Err(error) => checks.extend(model::NAMES.map(|name| {
            // With a card, that it cannot be used is what was to be found out.
            if state.is_ready() { Check::failed(name, &error) } else { Check::skipped(name, state.obstacle()) }
        })),
    }
    let count = |outcome| checks.iter().filter(|check| check.outcome == outcome).count();
    let [passed, failed, skipped] = [Outcome::Passed, Outcome::Failed, Outcome::Skipped].map(count);
    let verdict = match (&state.device, failed, skipped) {
        (Some(card), 0, 0) => format!("{} computes what the CPU computes: it can be used", card.name),
        (Some(card), 0, _) => {
            format!("{} is not tried enough to be relied on: {skipped} checks were skipped", card.name)
        }
        (None, 0, _) => {
            format!("nothing is known: all {skipped} checks were skipped, for there is no card that can be used")
        }
        (_, failed, _) => {
            format!("do not rely on this card: {failed} checks failed. Use --device cpu, and report this table")
        }
    };
    let gemscope = env!("CARGO_PKG_VERSION");
    let examined = Examined { gemscope, version, cuda: state, model: named, checks, passed, failed, skipped, verdict };
    match file {
        Some(file) if file == Path::new("-") => output::json(&examined)?,
        Some(file) => {
            let text = serde_json::to_string_pretty(&examined)? + "\n";
            std::fs::write(file, text).with_context(|| file.display().to_string())?;
            output::text(&describe(&examined))?;
        }
        None => output::text(&describe(&examined))?,
    }
    if !examined.cuda.is_ready() {
        messages::error(&examined.cuda.to_string());
    }
    Ok(if failed + skipped == 0 { Ending::Complete } else { Ending::NotReady })
}

/// The kernels need a card and its driver, and no ONNX Runtime.
fn kernel_checks(state: &CudaState) -> Vec<Check> {
    let Some(card) = &state.device else {
        return kernels::NAMES.map(|name| Check::skipped(name, state.obstacle())).into();
    };
    // The driver's interface panics where a driver lacks a function.
    catch_unwind(AssertUnwindSafe(|| kernels::checks(card)))
        .unwrap_or_else(|_| kernels::NAMES.map(|name| Check::failed(name, "the driver lacks a function")).into())
}

fn describe(examined: &Examined) -> String {
    let cuda = &examined.cuda;
    let mut lines = vec![format!("gemscope {}", examined.gemscope)];
    for need in &cuda.needs {
        lines.push(format!("{}: {}{}", need.what, if need.met { "" } else { "missing: " }, need.says));
    }
    if let Some(card) = cuda.device.clone() {
        lines.push(format!("checked: {}", Device::Cuda(card)));
    }
    lines.push(format!("model: {}", examined.model));
    lines.push(String::new());
    let name = |outcome| match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "FAILED",
        Outcome::Skipped => "skipped",
        Outcome::Measured => "measured",
    };
    let width = examined.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    for check in &examined.checks {
        lines.push(format!("{:<width$}  {:<8}  {}", check.name, name(check.outcome), check.says));
    }
    lines.push(String::new());
    let Examined { passed, failed, skipped, verdict, .. } = examined;
    lines.push(format!("{passed} passed, {failed} failed, {skipped} GPU checks skipped"));
    lines.push(format!("verdict: {verdict}"));
    lines.join("\n") + "\n"
}
