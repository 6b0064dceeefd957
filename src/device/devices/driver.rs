//! Asking the CUDA driver.
//!
//! In: nothing. Out: the CUDA devices. Promises: a machine without a driver, or with one that
//! fails, gets a sentence and never a panic.
#![allow(unsafe_code)]

use std::panic::catch_unwind;

use cudarc::driver::sys::{self, CUdevice_attribute as Attribute};
use cudarc::driver::{CudaContext, DriverError, result};

use super::{Cuda, CudaDevice};

/// Looks for CUDA devices. Asking a device for its free memory takes a moment: the driver makes a
/// context for it.
pub fn cuda() -> Cuda {
    // cudarc panics if it finds no driver, and if a driver lacks a function: the first is checked
    // beforehand, the second is caught. SAFETY: loads the driver's library, as every program that
    // uses CUDA does.
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
        cuda.problem =
            Some("the CUDA driver knows no device (is CUDA_VISIBLE_DEVICES set?)".to_owned());
    }
    for index in 0..count {
        match ask_device(index) {
            Ok(device) => cuda.devices.push(device),
            Err(error) => {
                cuda.problem =
                    Some(format!("CUDA device {index} does not answer: {}", driver_words(error)));
            }
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

pub(in crate::device) fn driver_words(error: DriverError) -> String {
    error
        .error_string()
        .map_or_else(|_| error.to_string(), |words| words.to_string_lossy().into_owned())
}
