//! The devices of this machine.
//!
//! In: nothing. Out: the CPU and what ONNX Runtime's kernels make use of in it; the CUDA devices.
//! Promises: a machine without a driver, or with one that fails, gets a sentence and never a panic.

#[cfg(feature = "cuda")]
mod driver;

use std::process::Command;
use std::thread::available_parallelism;

use serde::Serialize;

#[cfg(feature = "cuda")]
pub use driver::cuda;
#[cfg(feature = "cuda")]
pub(super) use driver::driver_words;

/// The CPU.
#[derive(Debug, Clone, Serialize)]
pub struct Cpu {
    /// The maker's name for it, if the system tells.
    pub model: Option<String>,
    /// As Rust names it: `x86_64`, `aarch64`.
    pub architecture: &'static str,
    /// Logical cores that this process may use.
    pub logical_cores: usize,
    /// Vector and matrix instructions that it has, of those that the kernels make use of.
    pub features: Vec<&'static str>,
}

/// The CUDA devices.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Cuda {
    /// The newest CUDA that the driver serves, for example `13.0`.
    pub driver: Option<String>,
    /// The devices, by their number.
    pub devices: Vec<CudaDevice>,
    /// The reason why there are none, or not all of them.
    pub problem: Option<String>,
}

/// One CUDA device.
#[derive(Debug, Clone, Serialize)]
pub struct CudaDevice {
    /// Its number.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// For example `9.0`.
    pub compute_capability: String,
    /// Memory in bytes.
    pub total_bytes: u64,
    /// Free memory in bytes; `None` if the device takes no context, for example because another
    /// process uses it exclusively.
    pub free_bytes: Option<u64>,
}

impl CudaDevice {
    /// The free memory, or that it is unknown.
    pub fn free_in_words(&self) -> String {
        self.free_bytes.map_or("unknown".to_owned(), |bytes| format!("{} MiB", bytes >> 20))
    }
}

/// Looks at the CPU.
pub fn cpu() -> Cpu {
    Cpu {
        model: cpu_model().map(|model| model.trim().to_owned()).filter(|model| !model.is_empty()),
        architecture: std::env::consts::ARCH,
        logical_cores: available_parallelism().map_or(1, usize::from),
        features: cpu_features(),
    }
}

fn cpu_model() -> Option<String> {
    if cfg!(target_os = "linux") {
        let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        return Some(line.split_once(':')?.1.to_owned());
    }
    if cfg!(target_os = "macos") {
        let output = Command::new("/usr/sbin/sysctl")
            .args(["-n", "machdep.cpu.brand_string"])
            .output()
            .ok()?;
        return String::from_utf8(output.stdout).ok();
    }
    std::env::var("PROCESSOR_IDENTIFIER").ok()
}

/// The names of a list that this CPU has.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! present {
    ($($feature:tt),+) => {{
        let mut features = Vec::new();
        $(if detected!($feature) { features.push($feature); })+
        features
    }};
}

#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<&'static str> {
    use std::arch::is_x86_feature_detected as detected;
    present!(
        "sse4.1",
        "avx",
        "avx2",
        "fma",
        "f16c",
        "avxvnni",
        "avx512f",
        "avx512vnni",
        "avx512bf16",
        "avx512fp16"
    )
}

#[cfg(target_arch = "aarch64")]
fn cpu_features() -> Vec<&'static str> {
    use std::arch::is_aarch64_feature_detected as detected;
    present!("neon", "fp16", "dotprod", "i8mm", "bf16", "sve", "sve2")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn cpu_features() -> Vec<&'static str> {
    Vec::new()
}

/// No driver is asked by a build without CUDA.
#[cfg(not(feature = "cuda"))]
pub fn cuda() -> Cuda {
    Cuda { problem: Some("this build of gemscope has no CUDA".to_owned()), ..Cuda::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_has_cores() {
        let cpu = cpu();
        assert!(cpu.logical_cores >= 1);
        assert!(!cpu.architecture.is_empty());
    }

    /// Whatever this machine has: an answer, no panic, and never silence.
    #[test]
    fn cuda_devices_or_a_reason() {
        let cuda = cuda();
        assert!(!cuda.devices.is_empty() || cuda.problem.is_some(), "{cuda:?}");
    }
}
