//! The runtime's report for `gemscope doctor`.
//!
//! In: the options of a command. Out: every library that could be used and the one that would be,
//! the devices, and advice. Promises: it changes nothing, fetches nothing and starts no ONNX
//! Runtime; each thing that is missing has a line that says what to do.

use std::path::PathBuf;

use serde::Serialize;

use super::cuda;
use super::needs::CudaState;
use super::{Candidate, Found, MINIMUM_VERSION, Origin, PINNED_VERSION, RuntimeOptions, cache_dir};
use crate::device::Cards;
use crate::device::devices::{self, Cpu, Cuda};

/// The state of ONNX Runtime and the devices on this machine.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The version of Gemscope.
    pub gemscope: &'static str,
    /// The ONNX Runtime that `gemscope setup` installs.
    pub pinned: &'static str,
    /// The oldest ONNX Runtime that serves.
    pub minimum: &'static str,
    /// Every library that was looked at, in the order of the places; a place without one is there
    /// as absent.
    pub candidates: Vec<Candidate>,
    /// The one that a command with the same options would use.
    pub used: Option<Candidate>,
    /// Whether fetching is forbidden.
    pub offline: bool,
    /// The folder for what Gemscope fetches.
    pub cache_dir: Option<PathBuf>,
    /// The CPU.
    pub cpu: Cpu,
    /// The CUDA devices.
    pub cuda: Cuda,
    /// Requirements for computing on a CUDA device, and whether they are met.
    pub cuda_state: CudaState,
    /// What to do about missing parts, one sentence or two a line; empty if nothing is missing.
    pub advice: Vec<String>,
}

/// Looks at everything.
pub fn report(options: &RuntimeOptions) -> Report {
    let candidates = candidates(options);
    let used = used(&candidates).cloned();
    let cache_dir = cache_dir();
    let cpu = devices::cpu();
    let cuda = devices::cuda();

    // A library that is linked in is always found.
    #[cfg(not(feature = "load-dynamic"))]
    let can_install = || Ok(());

    let mut advice = Vec::new();
    if let Err(error) = &cache_dir {
        advice.push(error.to_string());
    }
    advice.extend(library_advice(&candidates, used.as_ref(), options.offline, can_install));
    if cpu.architecture == "x86_64" && !cpu.features.contains(&"avx2") {
        advice.push("This CPU has no AVX2: it works, and slowly.".to_owned());
    }
    let cuda_state = cuda::examine(options, Cards::Best, true);
    // A machine without a card lacks nothing.
    if !cuda.devices.is_empty() && !cuda_state.is_ready() {
        advice.extend(
            cuda_state.advice().into_iter().map(|advice| format!("For the CUDA device: {advice}.")),
        );
    }
    Report {
        gemscope: env!("CARGO_PKG_VERSION"),
        pinned: PINNED_VERSION,
        minimum: MINIMUM_VERSION,
        candidates,
        used,
        offline: options.offline,
        cache_dir: cache_dir.ok(),
        cpu,
        cuda,
        cuda_state,
        advice,
    }
}

/// A named library is the only one that counts; otherwise the first that serves.
fn used(candidates: &[Candidate]) -> Option<&Candidate> {
    let named = candidates.iter().any(|candidate| candidate.origin == Origin::Named);
    candidates
        .iter()
        .filter(|candidate| !named || candidate.origin == Origin::Named)
        .find(|candidate| matches!(candidate.found, Found::Usable { .. }))
}

fn library_advice(
    candidates: &[Candidate],
    used: Option<&Candidate>,
    offline: bool,
    can_install: impl FnOnce() -> Result<(), String>,
) -> Vec<String> {
    let mut advice = Vec::new();
    for candidate in candidates {
        let path = candidate.path.display();
        match (&candidate.found, candidate.origin) {
            (Found::Refused { .. } | Found::Absent, Origin::Named) => advice.push(format!(
                "{path} was named by `ort_lib` or ORT_DYLIB_PATH and cannot be used: name an ONNX \
                 Runtime library of version {MINIMUM_VERSION} or later, or name none."
            )),
            (Found::Refused { .. }, Origin::Cache) => {
                advice.push(format!("{path} cannot be used: run `gemscope setup` to repair it."));
            }
            _ => {}
        }
    }
    let named = candidates.iter().any(|candidate| candidate.origin == Origin::Named);
    if used.is_none() && !named {
        let otherwise = format!(
            "set ORT_DYLIB_PATH to an ONNX Runtime library of version {MINIMUM_VERSION} or later"
        );
        advice.push(match can_install() {
            Err(obstacle) => format!(
                "No ONNX Runtime was found, and `gemscope setup` cannot \
                                      fetch one: {obstacle}; or {otherwise}."
            ),
            Ok(()) if offline => {
                format!(
                    "No ONNX Runtime was found, and fetching is forbidden: run `gemscope setup` \
                     without `offline`, or {otherwise}."
                )
            }
            Ok(()) => format!(
                "No ONNX Runtime was found: run `gemscope setup` (a command that needs it does \
                 the same by itself), or {otherwise}."
            ),
        });
    }
    advice
}

#[cfg(feature = "load-dynamic")]
fn candidates(options: &RuntimeOptions) -> Vec<Candidate> {
    super::find::Search::new(options).all()
}

#[cfg(not(feature = "load-dynamic"))]
fn candidates(_: &RuntimeOptions) -> Vec<Candidate> {
    vec![Candidate {
        origin: Origin::Linked,
        path: super::this_executable(),
        found: Found::Usable { version: super::linked_version() },
    }]
}

/// The obstacle to an installation, as a thing to do.
#[cfg(feature = "load-dynamic")]
fn can_install() -> Result<(), String> {
    if super::wheels::for_cpu().is_none() {
        return Err("none is pinned for this platform, so build or install one".to_owned());
    }
    if super::pip::is_present() { Ok(()) } else { Err("install Python 3 with pip".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(origin: Origin, found: Found) -> Candidate {
        Candidate { origin, path: PathBuf::from("libonnxruntime.so"), found }
    }

    fn usable() -> Found {
        Found::Usable { version: "1.32.0".to_owned() }
    }

    fn refused() -> Found {
        Found::Refused { reason: "it is garbage".to_owned() }
    }

    fn advice(
        candidates: &[Candidate],
        offline: bool,
        can_install: Result<(), String>,
    ) -> Vec<String> {
        library_advice(candidates, used(candidates), offline, || can_install)
    }

    #[test]
    fn nothing_is_used_in_place_of_a_bad_named_library() {
        let candidates = [candidate(Origin::Named, refused()), candidate(Origin::Cache, usable())];
        assert_eq!(used(&candidates), None);
        let advice = advice(&candidates, false, Ok(()));
        assert!(advice.len() == 1 && advice[0].contains("`ort_lib`"), "{advice:?}");
    }

    #[test]
    fn the_first_that_serves_is_used_without_advice() {
        let candidates = [
            candidate(Origin::Cache, Found::Absent),
            candidate(Origin::Python, refused()),
            candidate(Origin::System, usable()),
        ];
        assert_eq!(used(&candidates), Some(&candidates[2]));
        assert!(advice(&candidates, false, Ok(())).is_empty());
    }

    #[test]
    fn each_missing_thing_has_its_advice() {
        let none = [candidate(Origin::Cache, Found::Absent)];
        assert!(advice(&none, false, Ok(()))[0].contains("run `gemscope setup`"));
        assert!(advice(&none, true, Ok(()))[0].contains("without `offline`"));
        assert!(
            advice(&none, false, Err("install Python 3 with pip".to_owned()))[0]
                .contains("install Python 3")
        );
        let damaged = [candidate(Origin::Cache, refused()), candidate(Origin::System, usable())];
        assert!(advice(&damaged, false, Ok(()))[0].contains("to repair it"));
    }

    #[test]
    fn a_report_of_this_machine_is_json() {
        let json = serde_json::to_value(report(&RuntimeOptions {
            ort_lib: Some("missing.so".into()),
            offline: true,
            ..RuntimeOptions::default()
        }))
        .unwrap();
        assert_eq!(json["offline"], true);
        assert!(json["cpu"]["logical_cores"].as_u64().unwrap() >= 1);
        if cfg!(feature = "load-dynamic") {
            assert_eq!(json["candidates"][0]["origin"], "named");
            assert_eq!(json["used"], serde_json::Value::Null);
        }
    }
}
