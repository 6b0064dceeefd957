//! What this machine computes with.
//!
//! In: nothing. Out: the CPU and what ONNX Runtime's kernels make use of in it; the CUDA devices. Promises: a machine without a
//! driver, or with one that fails, gets a sentence and never a panic.
#![allow(unsafe_code)]

use std::panic::catch_unwind;
use std::process::Command;
use std::thread::available_parallelism;

use cudarc::driver::sys::{self, CUdevice_attribute as Attribute};
use cudarc::driver::{CudaContext, DriverError, result};
use serde::Serialize;

/// The CPU.
#[derive(Debug, Clone, Serialize)]
pub struct Cpu {
    /// The maker's name for it, where the system tells.
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
    /// Why there are none, or not all of them.
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
    /// Memory in bytes that nobody uses; `None` where the device takes no context, for example because another process has it to
    /// itself.
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
        let output = Command::new("/usr/sbin/sysctl").args(["-n", "machdep.cpu.brand_string"]).output().ok()?;
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
    present!("sse4.1", "avx", "avx2", "fma", "f16c", "avxvnni", "avx512f", "avx512vnni", "avx512bf16", "avx512fp16")
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

/// Looks for CUDA devices. Asking a device for its free memory takes a moment: the driver makes a context for it.
pub fn cuda() -> Cuda {
    // cudarc panics where it finds no driver, and where a driver lacks a function: the first is asked beforehand, the second is
    // caught.
    // SAFETY: loads the driver's library, as every program that uses CUDA does.
    let present = catch_unwind(|| unsafe { sys::is_culib_present() }).unwrap_or(false);
    if !present {
        return Cuda { problem: Some("there is no CUDA driver".to_owned()), ..Cuda::default() };
    }
    catch_unwind(ask_driver).unwrap_or_else(|_| Cuda {
        problem: Some("the CUDA driver is too old: it lacks a function".to_owned()),
        ..Cuda::default()
    })
}

fn ask_driver() -> Cuda {
    let mut cuda = Cuda::default();
    let mut version = 0;
    // SAFETY: writes one number; it is the one function that needs no initialisation.
    if unsafe { sys::cuDriverGetVersion(&raw mut version) }.result().is_ok() {
        cuda.driver = Some(format!("{}.{}", version / 1000, version % 1000 / 10));
    }
    let count = match result::init().and_then(|()| result::device::get_count()) {
        Ok(count) => usize::try_from(count).unwrap_or(0),
        Err(error) => {
            cuda.problem = Some(format!("the CUDA driver does not start: {}", driver_words(error)));
            return cuda;
        }
    };
    if count == 0 {
        cuda.problem = Some("the CUDA driver knows no device (is CUDA_VISIBLE_DEVICES set?)".to_owned());
    }
    for index in 0..count {
        match ask_device(index) {
            Ok(device) => cuda.devices.push(device),
            Err(error) => cuda.problem = Some(format!("CUDA device {index} does not answer: {}", driver_words(error))),
        }
    }
    cuda
}

fn ask_device(index: usize) -> Result<CudaDevice, DriverError> {
    let device = result::device::get(i32::try_from(index).unwrap_or(i32::MAX))?;
    // SAFETY: the device is one that the driver just named.
    let attribute = |attribute| unsafe { result::device::get_attribute(device, attribute) };
    let major = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    Ok(CudaDevice {
        index,
        name: result::device::get_name(device)?,
        compute_capability: format!("{major}.{minor}"),
        // SAFETY: as above.
        total_bytes: unsafe { result::device::total_mem(device) }? as u64,
        free_bytes: CudaContext::new(index)
            .and_then(|context| context.mem_get_info())
            .ok()
            .map(|(free, _)| free as u64),
    })
}

pub(super) fn driver_words(error: DriverError) -> String {
    error.error_string().map_or_else(|_| error.to_string(), |words| words.to_string_lossy().into_owned())
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
