//! Finding, installing and starting ONNX Runtime.
//!
//! In: the option and variables that name a library, and whether the network may be used. Out: the
//! one [`Runtime`] of the process, in which every session is made, and the [`Report`] of `gemscope
//! doctor`. Promises: a missing or broken library is a [`RuntimeError`] and never a panic; a
//! library that the user named is used or refused, never replaced; a download is checked against a
//! pinned hash before any of it is unpacked; telemetry is off, from the first event on in a process
//! that begins with [`disable_telemetry`].
//!
//! ```no_run
//! use gemscope::onnxruntime::{RuntimeOptions, report};
//!
//! let report = report(&RuntimeOptions::from_env(None, true));
//! match report.used {
//!     Some(library) => println!("ONNX Runtime: {}", library.path.display()),
//!     None => println!("{}", report.advice.join("\n")),
//! }
//! ```

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use ort::environment::Environment;
use serde::Serialize;

use crate::device::{Cards, Device, DeviceChoice};

mod cuda;
mod error;
#[cfg(feature = "load-dynamic")]
mod find;
#[cfg(feature = "load-dynamic")]
mod install;
mod needs;
#[cfg(feature = "load-dynamic")]
mod nvidia;
mod outcome;
#[cfg(feature = "load-dynamic")]
mod pip;
#[cfg(feature = "load-dynamic")]
mod probe;
mod report;
mod setup;
#[cfg(feature = "load-dynamic")]
mod wheels;

pub use cuda::{cuda_state, execution_provider};
pub use error::RuntimeError;
pub use needs::{CudaState, Need};
pub use outcome::Outcome;
pub use report::{Report, report};
pub use setup::{GpuSetup, Installed, setup, setup_gpu};

#[cfg(not(any(feature = "load-dynamic", feature = "download-ort")))]
compile_error!(
    "choose how gemscope gets ONNX Runtime: the feature `load-dynamic` (a shared library, found \
     at run time and installed by \
     `gemscope setup`) or the feature `download-ort` (ort's static library, fetched at build time)"
);

/// The ONNX Runtime that `gemscope setup` installs.
pub const PINNED_VERSION: &str = "1.32.0";

/// The oldest ONNX Runtime that serves: the `api-NN` feature of ort in Cargo.toml says so.
pub const MINIMUM_VERSION: &str = "1.24";

/// The user's options for the runtime.
#[derive(Debug, Clone, Default)]
pub struct RuntimeOptions {
    /// The library to use and no other; without it, the one that `ORT_DYLIB_PATH` names.
    pub ort_lib: Option<PathBuf>,
    /// Nothing may be fetched. `GEMSCOPE_OFFLINE` says the same.
    pub offline: bool,
    /// The device to compute on.
    pub device: DeviceChoice,
    /// A library that is tried before all others but one that is named: that of the package
    /// onnxruntime which was installed with Gemscope's own package of Python.
    pub first: Option<PathBuf>,
}

impl RuntimeOptions {
    /// These options, completed by the environment variables. An option wins over its variable; an
    /// empty variable counts as unset, and `GEMSCOPE_OFFLINE=0` allows the network.
    pub fn from_env(ort_lib: Option<PathBuf>, offline: bool) -> Self {
        Self::from_variables(ort_lib, offline, |name| env::var_os(name))
    }

    fn from_variables(
        ort_lib: Option<PathBuf>,
        offline: bool,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        Self {
            ort_lib: ort_lib.or_else(|| set("ORT_DYLIB_PATH").map(PathBuf::from)),
            offline: offline
                || set("GEMSCOPE_OFFLINE").is_some_and(|value| value != "0" && value != "false"),
            device: DeviceChoice::Cpu,
            first: None,
        }
    }

    /// The same with another device than the CPU.
    #[must_use]
    pub fn with_device(self, device: DeviceChoice) -> Self {
        Self { device, ..self }
    }
}

/// The place of a library, in the order in which places are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// `ort_lib` or `ORT_DYLIB_PATH`.
    Named,
    /// Gemscope's cache directory: `gemscope setup` installs it there.
    Cache,
    /// Beside the executable, or in `lib` beside the executable's folder.
    Executable,
    /// The package onnxruntime of the active Python environment.
    Python,
    /// The system's folders of shared libraries.
    System,
    /// Linked into the executable (feature `download-ort`).
    Linked,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Named => "`ort_lib` or ORT_DYLIB_PATH",
            Self::Cache => "gemscope's cache",
            Self::Executable => "beside the executable",
            Self::Python => "Python environment",
            Self::System => "system",
            Self::Linked => "linked in",
        })
    }
}

/// One library that could be used, or a place that has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// Why it was looked at.
    pub origin: Origin,
    /// The library; for a place without one, the place.
    pub path: PathBuf,
    /// Its result.
    #[serde(flatten)]
    pub found: Found,
}

/// The result of looking at a candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Found {
    /// An ONNX Runtime that serves.
    Usable {
        /// Its version, for example `1.32.0`.
        version: String,
    },
    /// There is a library, and it does not serve.
    Refused {
        /// Why not.
        reason: String,
    },
    /// There is nothing.
    Absent,
}

/// The ONNX Runtime of this process.
#[derive(Debug)]
pub struct Runtime {
    /// The environment of sessions.
    pub environment: Environment,
    /// The shared library; `None` if ONNX Runtime is linked in.
    pub library: Option<PathBuf>,
    /// The place of the library.
    pub origin: Origin,
    /// The version of the library, for example `1.32.0`.
    pub version: String,
    /// The device that was chosen; a model is opened with it.
    pub device: Device,
    /// Other cards that compute beside it.
    pub others: Vec<Device>,
    /// Why [`DeviceChoice::Auto`] came to the CPU.
    pub without_cuda: Option<CudaState>,
}

/// Starts ONNX Runtime, or hands back the one that was started: there is one a process, and the
/// options of the first call count.
///
/// If no library is found and `options` allow it, the pinned one is installed as by [`setup`], and
/// `say` is called with a message.
pub fn load(
    options: &RuntimeOptions,
    say: &mut dyn FnMut(&str),
) -> Result<&'static Runtime, RuntimeError> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    // OnceLock alone cannot hold back a second thread from an initialisation that may fail; two
    // environments are an error of ort.
    static STARTING: Mutex<()> = Mutex::new(());

    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let runtime = start(options, say)?;
    Ok(RUNTIME.get_or_init(|| runtime))
}

#[cfg(feature = "load-dynamic")]
fn start(options: &RuntimeOptions, say: &mut dyn FnMut(&str)) -> Result<Runtime, RuntimeError> {
    let mut cuda = match options.device {
        DeviceChoice::Cpu => None,
        DeviceChoice::Auto => Some(cuda::examine(options, Cards::Best, false)),
        DeviceChoice::Cuda(cards) => Some(cuda::examine(options, cards, true)),
    };
    if let Some(ready) = cuda.take_if(|state| state.is_ready()) {
        cuda = Some(match nvidia::load_all(&ready.nvidia) {
            Ok(()) => ready,
            Err(reason) => ready.with("loading them", reason, cuda::SETUP_ADVICE),
        });
    }
    let insists = matches!(options.device, DeviceChoice::Cuda(_));
    let usable =
        cuda.as_ref().filter(|state| state.is_ready()).and_then(|state| state.library.clone());
    let (origin, path, version) = match usable {
        Some(library) => library,
        None if insists => return Err(refused(cuda)),
        None => for_cpu(options, say)?,
    };
    let failed = |reason: String| RuntimeError::Start { path: path.clone(), reason };
    // init_from comes before any other call of ort: every call, even the making of an error,
    // otherwise loads a library of ort's own choice, and panics if there is none.
    let builder = ort::init_from(&path).map_err(|e| failed(e.to_string()))?;
    let environment = builder
        .with_name("gemscope")
        .with_telemetry(false)
        .build()
        .map_err(|e| failed(e.to_string()))?;
    tracing::info!(library = %path.display(), version, %origin, "ONNX Runtime started");
    let mut devices = Vec::new();
    if let Some(ready) = cuda.take_if(|state| state.is_ready()) {
        let cards: Vec<_> = ready.device.iter().chain(&ready.others).cloned().collect();
        match cards.iter().try_for_each(|card| cuda::try_provider(&environment, card)) {
            Ok(()) => devices.extend(cards.into_iter().map(Device::Cuda)),
            Err(reason) => {
                cuda =
                    Some(ready.with("ONNX Runtime's provider for CUDA", reason, PROVIDER_ADVICE));
            }
        }
    }
    if insists && devices.is_empty() {
        return Err(refused(cuda));
    }
    let mut devices = devices.into_iter();
    let (device, others) = (devices.next().unwrap_or_default(), devices.collect());
    Ok(Runtime {
        environment,
        library: Some(path),
        origin,
        version,
        device,
        others,
        without_cuda: cuda,
    })
}

#[cfg(feature = "load-dynamic")]
const PROVIDER_ADVICE: &str = "see what `gemscope doctor --gpu -vv` says";

/// The library of a run on the CPU, installed if there is none.
#[cfg(feature = "load-dynamic")]
fn for_cpu(
    options: &RuntimeOptions,
    say: &mut dyn FnMut(&str),
) -> Result<(Origin, PathBuf, String), RuntimeError> {
    match find::Search::new(options).first_usable()? {
        find::Choice::Library { origin, path, version } => Ok((origin, path, version)),
        find::Choice::None { skipped } if options.offline => {
            Err(RuntimeError::NotFound { skipped })
        }
        find::Choice::None { skipped } => {
            say(&format!("no ONNX Runtime was found{skipped}"));
            let (path, installed) = setup::install_pinned(options, say)?;
            Ok((Origin::Cache, path, installed.version))
        }
    }
}

#[cfg(not(feature = "load-dynamic"))]
fn start(options: &RuntimeOptions, _: &mut dyn FnMut(&str)) -> Result<Runtime, RuntimeError> {
    let without_cuda = match options.device {
        DeviceChoice::Cpu => None,
        DeviceChoice::Auto => Some(cuda::examine(options, Cards::Best, false)),
        DeviceChoice::Cuda(cards) => {
            return Err(refused(Some(cuda::examine(options, cards, true))));
        }
    };
    let environment = ort::init()
        .with_name("gemscope")
        .with_telemetry(false)
        .build()
        .map_err(|e| RuntimeError::Start { path: this_executable(), reason: e.to_string() })?;
    let (origin, device) = (Origin::Linked, Device::Cpu);
    Ok(Runtime {
        environment,
        library: None,
        origin,
        version: linked_version(),
        device,
        others: Vec::new(),
        without_cuda,
    })
}

/// The error of a command that requires CUDA. Without a state there is none to report, and the CPU
/// was not asked for.
fn refused(state: Option<CudaState>) -> RuntimeError {
    RuntimeError::Cuda(Box::new(
        state.unwrap_or_else(|| cuda::examine(&RuntimeOptions::default(), Cards::Best, true)),
    ))
}

/// Turns ONNX Runtime's telemetry off before its first event, for this process and those that it
/// starts.
///
/// ONNX Runtime 1.29 and later write a device id into the user's cache and send an event when the
/// environment is made. Only this variable keeps them from it: `DisableTelemetryEvents` needs an
/// environment.
///
/// # Safety
/// As [`env::set_var`]: no other thread may use the environment at the same time. Call it at the
/// beginning of `main`.
#[allow(unsafe_code)]
pub unsafe fn disable_telemetry() {
    // SAFETY: the caller's.
    unsafe { env::set_var("ORT_DISABLE_TELEMETRY", "1") };
}

/// The folder for what Gemscope fetches: `GEMSCOPE_CACHE`, else the folder `gemscope` in the user's
/// cache directory. It need not exist.
pub fn cache_dir() -> Result<PathBuf, RuntimeError> {
    let named = env::var_os("GEMSCOPE_CACHE").filter(|value| !value.is_empty()).map(PathBuf::from);
    let directory = named
        .or_else(|| Some(dirs::cache_dir()?.join("gemscope")))
        .ok_or(RuntimeError::NoCacheDirectory)?;
    absolute(&directory)
}

fn absolute(path: &Path) -> Result<PathBuf, RuntimeError> {
    std::path::absolute(path).map_err(RuntimeError::file("find the current directory for", path))
}

#[cfg(not(feature = "load-dynamic"))]
fn this_executable() -> PathBuf {
    env::current_exe().unwrap_or_else(|_| PathBuf::from("gemscope"))
}

/// The version of the ONNX Runtime that is linked in.
#[cfg(not(feature = "load-dynamic"))]
#[allow(unsafe_code)]
fn linked_version() -> String {
    // SAFETY: the linker resolved the entry point, which returns a static table, whose version is a
    // static NUL-terminated string.
    unsafe {
        let base = ort::sys::OrtGetApiBase();
        std::ffi::CStr::from_ptr(((*base).GetVersionString)()).to_string_lossy().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(flag: Option<&str>, offline: bool, variables: &[(&str, &str)]) -> RuntimeOptions {
        RuntimeOptions::from_variables(flag.map(PathBuf::from), offline, |name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn a_flag_wins_over_its_variable_and_an_empty_variable_is_none() {
        let both = options(Some("flag.so"), false, &[("ORT_DYLIB_PATH", "variable.so")]);
        assert_eq!(both.ort_lib.as_deref(), Some(Path::new("flag.so")));
        let variable = options(None, false, &[("ORT_DYLIB_PATH", "variable.so")]);
        assert_eq!(variable.ort_lib.as_deref(), Some(Path::new("variable.so")));
        assert_eq!(options(None, false, &[("ORT_DYLIB_PATH", "")]).ort_lib, None);
    }

    #[test]
    fn offline_is_a_flag_or_a_variable_that_is_not_zero() {
        assert!(options(None, true, &[]).offline);
        assert!(options(None, false, &[("GEMSCOPE_OFFLINE", "1")]).offline);
        for off in ["", "0", "false"] {
            assert!(!options(None, false, &[("GEMSCOPE_OFFLINE", off)]).offline, "{off:?}");
        }
    }

    #[test]
    fn the_minimum_version_is_the_one_that_ort_was_built_for() {
        assert_eq!(MINIMUM_VERSION, format!("1.{}", ort::MINOR_VERSION));
    }

    /// As every test that makes a session does: the one runtime of the process, from wherever this
    /// machine has it.
    #[test]
    fn all_threads_share_one_runtime() {
        let load = || load(&RuntimeOptions::from_env(None, false), &mut |_| {}).unwrap();
        let [first, second] = std::thread::scope(|scope| {
            [scope.spawn(load), scope.spawn(load)].map(|thread| thread.join().unwrap())
        });
        assert!(std::ptr::eq(first, second));
        assert!(first.version.starts_with("1."), "{}", first.version);
        assert_eq!(first.library.is_some(), cfg!(feature = "load-dynamic"));
    }
}
