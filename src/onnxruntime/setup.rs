//! The work of `gemscope setup`.
//!
//! In: whether the network may be used. Out: what was installed, and what had to be done for it.
//! Promises: as those of the installation; of a large one it is said beforehand how large.

use std::path::PathBuf;

use serde::Serialize;

use super::{CudaState, Outcome, RuntimeError, RuntimeOptions, cuda};
#[cfg(feature = "load-dynamic")]
use super::{cache_dir, install, nvidia, probe, wheels};
use crate::device::Cards;

/// The result of `gemscope setup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Installed {
    /// The library; `None` if ONNX Runtime is linked in and there is nothing to install.
    pub library: Option<PathBuf>,
    /// The version that is installed.
    pub version: String,
    /// What had to be done for it.
    pub outcome: Outcome,
}

/// The result of `gemscope setup --gpu`.
#[derive(Debug, Clone, Serialize)]
pub struct GpuSetup {
    /// Each wheel: package and version, and what had to be done.
    pub packages: Vec<(String, Outcome)>,
    /// Requirements that are still missing, for example a driver; all are met if a card can be
    /// used.
    pub state: CudaState,
}

/// Installs the pinned ONNX Runtime in the cache directory, or checks and repairs the one that is
/// there.
///
/// Safe to run again, and to run in several processes at once.
#[cfg(feature = "load-dynamic")]
pub fn setup(
    options: &RuntimeOptions,
    say: &mut dyn FnMut(&str),
) -> Result<Installed, RuntimeError> {
    install_pinned(options, say).map(|(_, installed)| installed)
}

/// Nothing to install: ONNX Runtime is linked in.
#[cfg(not(feature = "load-dynamic"))]
pub fn setup(_: &RuntimeOptions, say: &mut dyn FnMut(&str)) -> Result<Installed, RuntimeError> {
    say("ONNX Runtime is linked into this build: there is nothing to install");
    Ok(Installed {
        library: None,
        version: super::linked_version(),
        outcome: Outcome::AlreadyThere,
    })
}

#[cfg(feature = "load-dynamic")]
pub(super) fn install_pinned(
    options: &RuntimeOptions,
    say: &mut dyn FnMut(&str),
) -> Result<(PathBuf, Installed), RuntimeError> {
    let wheel = wheels::for_cpu().ok_or_else(|| unsupported("ONNX Runtime"))?;
    let (library, outcome) = install::install(wheel, &cache_dir()?, options.offline, say)?;
    match probe::probe(&library) {
        Ok(version) => {
            Ok((library.clone(), Installed { library: Some(library), version, outcome }))
        }
        Err(reason) => Err(RuntimeError::Unloadable { path: library, reason }),
    }
}

/// Installs ONNX Runtime with CUDA and NVIDIA's libraries in the cache directory, or checks and
/// repairs those that are there; then loads the libraries.
///
/// Safe to run again, and to run in several processes at once. Says beforehand how much it fetches
/// and what it takes on the disk. Fetches nothing where no card could use it, unless
/// `without_driver` says so (to make an image of a container).
///
/// # Errors
/// [`RuntimeError`] that names the wheel; [`RuntimeError::NoCard`].
#[cfg(feature = "load-dynamic")]
pub fn setup_gpu(
    options: &RuntimeOptions,
    without_driver: bool,
    say: &mut dyn FnMut(&str),
) -> Result<GpuSetup, RuntimeError> {
    if !cfg!(feature = "cuda") {
        return Err(super::refused(Some(cuda::examine(options, Cards::Best, true))));
    }
    let wheels = wheels::for_cuda().ok_or_else(|| unsupported("ONNX Runtime with CUDA"))?;
    let cache = cache_dir()?;
    let missing: Vec<_> = wheels
        .iter()
        .filter(|wheel| install::installed(wheel, &cache, install::Depth::Sizes).is_err())
        .collect();
    if !missing.is_empty() {
        let state = cuda::examine(options, Cards::Best, false);
        if state.device.is_none() && !without_driver {
            return Err(RuntimeError::NoCard(Box::new(state)));
        }
        let fetched: u32 = missing.iter().map(|wheel| wheel.fetched_mb).sum();
        let kept: u32 = missing.iter().map(|wheel| wheel.unpacked_mb).sum();
        let largest = missing.iter().map(|wheel| wheel.fetched_mb).max().unwrap_or(0);
        say(&format!(
            "{} packages: {fetched} MB to fetch; {kept} MB of disk in {}, and {largest} MB more \
             until it is done",
            missing.len(),
            cache.display()
        ));
    }
    let mut packages = Vec::new();
    for wheel in wheels {
        let (library, outcome) = install::install(wheel, &cache, options.offline, say)?;
        if let wheels::Contents::OnnxRuntime = wheel.contents
            && let Err(reason) = probe::probe(&library)
        {
            return Err(RuntimeError::Unloadable { path: library, reason });
        }
        packages.push((wheel.requirement(), outcome));
    }
    let state = cuda::examine(options, Cards::Best, true);
    // They need no driver: without one, the installation is still checked.
    let state = match nvidia::load_all(&state.nvidia) {
        Ok(()) => state,
        Err(reason) => state.with("loading them", reason, cuda::SETUP_ADVICE),
    };
    Ok(GpuSetup { packages, state })
}

/// Not possible: the ONNX Runtime that is linked in has no CUDA.
#[cfg(not(feature = "load-dynamic"))]
pub fn setup_gpu(
    options: &RuntimeOptions,
    _: bool,
    _: &mut dyn FnMut(&str),
) -> Result<GpuSetup, RuntimeError> {
    Err(super::refused(Some(cuda::examine(options, Cards::Best, true))))
}

#[cfg(feature = "load-dynamic")]
fn unsupported(what: &'static str) -> RuntimeError {
    RuntimeError::UnsupportedPlatform { what, platform: wheels::platform() }
}
