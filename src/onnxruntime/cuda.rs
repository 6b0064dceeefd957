//! ONNX Runtime's provider for CUDA: what it needs, and whether that is there.
//!
//! In: the options of a command. Out: a [`CudaState`] with what was found of each requirement, and
//! if all are met, the libraries to load. Promises: a missing requirement is named, with what to do
//! about it; nothing is fetched, and ONNX Runtime is not started.

#[cfg(feature = "load-dynamic")]
use ort::environment::Environment;
use ort::ep::{self, ExecutionProviderDispatch};
#[cfg(feature = "load-dynamic")]
use ort::session::Session;

use super::RuntimeOptions;
use super::needs::{CudaState, Need};
use crate::device::devices::{self, Cuda, CudaDevice};
use crate::device::{Cards, DeviceChoice, LOWEST_CUDA, choose, version};

const DRIVER_ADVICE: &str = "install NVIDIA's driver, version 580 or later, and see that \
                             `nvidia-smi` lists the card (in a container, that it is passed in)";
const BUILD_ADVICE: &str = "build gemscope with its default features";
const CARD_ADVICE: &str =
    "choose a card that `gemscope doctor` lists, of compute capability 7.5 (Turing) or later";
#[cfg(feature = "load-dynamic")]
pub(super) const SETUP_ADVICE: &str = "run `gemscope setup --gpu`, which installs ONNX Runtime \
                                       with CUDA and NVIDIA's libraries in gemscope's cache (1.2 \
                                       GB are fetched)";

/// The requirements of the CUDA devices that `options` ask for, or of the best one if they ask for
/// none; ONNX Runtime is not started for it.
pub fn cuda_state(options: &RuntimeOptions) -> CudaState {
    let cards = match options.device {
        DeviceChoice::Cuda(cards) => cards,
        DeviceChoice::Auto | DeviceChoice::Cpu => Cards::Best,
    };
    examine(options, cards, true)
}

/// Checks all requirements of CUDA devices. Without `thorough`, libraries are looked for only if
/// there is a card, to save time.
pub(super) fn examine(options: &RuntimeOptions, cards: Cards, thorough: bool) -> CudaState {
    if !cfg!(feature = "cuda") {
        return without_cuda();
    }
    let cuda = devices::cuda();
    let chosen = choose(&cuda.devices, cards);
    let says = chosen.as_ref().map_err(Clone::clone).map(|chosen| {
        let of = |card: &&CudaDevice| {
            let free = card.free_in_words();
            format!(
                "{} {}, compute capability {}, {free} free",
                card.index, card.name, card.compute_capability
            )
        };
        chosen.iter().map(of).collect::<Vec<_>>().join(", and ")
    });
    let needs = vec![
        Need::new("a driver that serves CUDA 13", driver(&cuda), DRIVER_ADVICE),
        Need::new(
            "a card",
            says,
            if cuda.devices.is_empty() { DRIVER_ADVICE } else { CARD_ADVICE },
        ),
    ];
    let mut chosen = chosen.unwrap_or_default().into_iter().cloned();
    let mut state = CudaState {
        device: chosen.next(),
        others: chosen.collect(),
        cards: cuda.devices.len(),
        needs,
        library: None,
        nvidia: Vec::new(),
    };
    if thorough || state.device.is_some() {
        look_for_libraries(options, &mut state);
    }
    state
}

/// A build that has no CUDA needs another build, whatever the machine has.
fn without_cuda() -> CudaState {
    let missing = Need::new(
        "a build of gemscope with CUDA",
        Err("this one has none".to_owned()),
        BUILD_ADVICE,
    );
    CudaState {
        device: None,
        others: Vec::new(),
        cards: 0,
        needs: vec![missing],
        library: None,
        nvidia: Vec::new(),
    }
}

fn driver(cuda: &Cuda) -> Result<String, String> {
    let (major, minor) = LOWEST_CUDA;
    match &cuda.driver {
        None => Err(cuda
            .problem
            .clone()
            .unwrap_or_else(|| "the driver does not say its version".to_owned())),
        Some(driver) if version(driver) < Some(LOWEST_CUDA) => Err(format!(
            "the driver serves CUDA {driver}, and {major}.{minor} is the lowest that will do"
        )),
        Some(driver) => Ok(format!("it serves CUDA {driver}")),
    }
}

#[cfg(feature = "load-dynamic")]
fn look_for_libraries(options: &RuntimeOptions, state: &mut CudaState) {
    use super::find::{Choice, Search};

    let search = Search::for_cuda(options);
    let named = "name a library of ONNX Runtime with CUDA with `ort_lib`, or none";
    let (found, advice) = match search.first_usable() {
        Ok(Choice::Library { origin, path, version }) => {
            let says = format!("{version} in {}", path.display());
            state.library = Some((origin, path, version));
            (Ok(says), SETUP_ADVICE)
        }
        Ok(Choice::None { skipped }) => {
            let places = search.places();
            let skipped = skipped.replace("\n  ", "; ");
            (Err(format!("not in {places}{skipped}")), SETUP_ADVICE)
        }
        Err(error) => (Err(error.to_string()), named),
    };
    state.needs.push(Need::new("ONNX Runtime with CUDA", found, advice));
    let (libraries, found) = super::nvidia::find();
    state.nvidia = libraries;
    state.needs.push(Need::new("NVIDIA's libraries of CUDA 13", found, SETUP_ADVICE));
}

/// No library is looked for by a build that can load none.
#[cfg(not(feature = "load-dynamic"))]
fn look_for_libraries(_: &RuntimeOptions, _: &mut CudaState) {}

/// Makes a session compute on `card`: if that fails, the session is not made.
///
/// TF32 stays off, so that graphs in f32 compute in f32. The arena grows in doubling regions (ONNX
/// Runtime's default): a KV cache that grows with every step would leave a region behind each time
/// if it were given exactly what it asks for.
#[cfg(feature = "cuda")]
pub fn execution_provider(card: &CudaDevice) -> ExecutionProviderDispatch {
    ep::CUDA::default()
        .with_device_id(i32::try_from(card.index).unwrap_or(i32::MAX))
        .with_tf32(false)
        .with_conv_algorithm_search(ep::cuda::ConvAlgorithmSearch::Heuristic)
        .build()
        .error_on_failure()
}

/// No card is chosen by a build that has no CUDA.
#[cfg(not(feature = "cuda"))]
pub fn execution_provider(_: &CudaDevice) -> ExecutionProviderDispatch {
    ep::CPU::default().build()
}

/// Whether ONNX Runtime gives a session this card.
#[cfg(feature = "load-dynamic")]
pub(super) fn try_provider(environment: &Environment, card: &CudaDevice) -> Result<(), String> {
    let builder = Session::builder(environment).map_err(|error| error.to_string())?;
    builder
        .with_execution_providers([execution_provider(card)])
        .map(drop)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(needs: Vec<Need>) -> CudaState {
        CudaState {
            device: None,
            others: Vec::new(),
            cards: 0,
            needs,
            library: None,
            nvidia: Vec::new(),
        }
    }

    #[test]
    fn the_paragraph_says_what_was_looked_for_what_is_missing_and_what_to_do() {
        let state = state(vec![
            Need::new("a driver", Ok("it serves CUDA 13.1".to_owned()), "install it"),
            Need::new("a library", Err("not in /cache".to_owned()), SETUP_ADVICE),
            Need::new("NVIDIA's libraries", Err("no libcublasLt.so.13".to_owned()), SETUP_ADVICE),
        ]);
        assert!(!state.is_ready());
        assert_eq!(state.obstacle(), "not in /cache");
        let text = state.to_string();
        for part in [
            "a driver: it serves CUDA 13.1",
            "NOT MET, not in /cache",
            "libcublasLt.so.13",
            "`device` cpu",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(text.matches("setup --gpu").count(), 1, "{text}");
        assert!(!text.contains("install it") && !text.contains('\n'), "{text}");
    }

    #[test]
    fn an_old_driver_is_named_with_what_it_serves() {
        let of =
            |driver: Option<&str>| Cuda { driver: driver.map(str::to_owned), ..Cuda::default() };
        assert!(driver(&of(Some("12.9"))).unwrap_err().contains("12.9, and 13.0"));
        assert!(driver(&of(Some("13.0"))).is_ok() && driver(&of(Some("14.0"))).is_ok());
        assert!(driver(&of(None)).is_err());
    }

    /// Whichever ONNX Runtime this is: without CUDA it says so, with CUDA and without a driver too,
    /// and the CPU serves afterwards.
    #[cfg(feature = "load-dynamic")]
    #[test]
    fn a_card_that_cannot_be_had_is_a_reason_and_the_cpu_still_serves() {
        let runtime =
            crate::onnxruntime::load(&RuntimeOptions::from_env(None, false), &mut |_| {}).unwrap();
        // A card of a number that no machine has.
        let card = CudaDevice {
            index: 4096,
            name: String::new(),
            compute_capability: String::new(),
            total_bytes: 0,
            free_bytes: None,
        };
        let reason = try_provider(&runtime.environment, &card).unwrap_err();
        assert!(!reason.is_empty());
        Session::builder(&runtime.environment).unwrap();
    }

    #[test]
    fn a_build_without_cuda_says_so() {
        let text = without_cuda().to_string();
        assert!(
            text.contains("a build of gemscope with CUDA: NOT MET, this one has none"),
            "{text}"
        );
        assert!(text.contains("build gemscope with its default features"), "{text}");
    }

    /// Whatever this machine has: every need has an answer, and what is not met an advice.
    #[test]
    fn this_machine_is_examined() {
        let state = examine(&RuntimeOptions::default(), Cards::Best, true);
        assert!(state.needs.len() >= if cfg!(feature = "cuda") { 3 } else { 1 });
        for need in &state.needs {
            assert!(!need.says.is_empty() && need.met == need.advice.is_none(), "{need:?}");
        }
        assert!(state.is_ready() || !state.obstacle().is_empty());
        assert!(examine(&RuntimeOptions::default(), Cards::These(1 << 63), false).device.is_none());
    }
}
