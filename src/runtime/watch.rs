//! How busy a card is.
//!
//! In: a card. Out: the share of the time in which nothing ran on it, as NVML tells. Promises: NVML is loaded when it is asked for, and where it
//! is missing or does not answer, that is a sentence and never a panic.
#![allow(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use cudarc::driver::result;
use nvml_wrapper::Nvml;

use super::devices::{CudaDevice, driver_words};

/// NVML's own figures are of a sixth of a second at the shortest.
const BETWEEN: Duration = Duration::from_millis(150);

/// A card that is looked at again and again, by a thread of its own.
pub struct Watch {
    stopped: Arc<AtomicBool>,
    looking: JoinHandle<Result<f64, String>>,
}

impl Watch {
    /// Begins to look at `card`.
    ///
    /// # Errors
    /// A reason, where the driver does not say which card that is.
    pub fn begin(card: &CudaDevice) -> Result<Self, String> {
        let uuid = uuid(card.index)?;
        let stopped = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stopped);
        let looking = std::thread::Builder::new().name("watch".to_owned()).spawn(move || look(&uuid, &flag));
        Ok(Self { stopped, looking: looking.map_err(|error| error.to_string())? })
    }

    /// Ends it: the share of the time, 0 to 1, in which nothing ran on the card.
    ///
    /// # Errors
    /// A reason, where NVML is not there or gave no figures.
    pub fn end(self) -> Result<f64, String> {
        self.stopped.store(true, Ordering::Relaxed);
        self.looking.join().map_err(|_| "NVML failed".to_owned())?
    }
}

fn look(uuid: &str, stopped: &AtomicBool) -> Result<f64, String> {
    let nvml = Nvml::init().map_err(|error| format!("NVML: {error}"))?;
    let card = nvml.device_by_uuid(uuid).map_err(|error| format!("NVML: {error}"))?;
    let mut idle = Vec::new();
    // The first figure is of the time before.
    std::thread::sleep(BETWEEN);
    while !stopped.load(Ordering::Relaxed) {
        std::thread::sleep(BETWEEN);
        let busy = card.utilization_rates().map_err(|error| format!("NVML: {error}"))?.gpu;
        idle.push(1.0 - f64::from(busy.min(100)) / 100.0);
    }
    if idle.is_empty() {
        return Err("it was over before NVML had a figure".to_owned());
    }
    Ok(idle.iter().sum::<f64>() / idle.len() as f64)
}

/// What NVML knows the card by: its numbers are in another order than CUDA's, and `CUDA_VISIBLE_DEVICES` hides none from it.
fn uuid(index: usize) -> Result<String, String> {
    let device = result::device::get(i32::try_from(index).unwrap_or(i32::MAX)).map_err(driver_words)?;
    let bytes = result::device::get_uuid(device).map_err(driver_words)?.bytes;
    // A character of C has a sign on some machines, and none on others.
    Ok(written(&bytes.map(|byte| byte.to_ne_bytes()[0])))
}

fn written(bytes: &[u8; 16]) -> String {
    let hex = format!("{:032x}", u128::from_be_bytes(*bytes));
    format!("GPU-{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_written_as_nvml_writes_it() {
        let bytes = std::array::from_fn(|place| place as u8 * 17);
        assert_eq!(written(&bytes), "GPU-00112233-4455-6677-8899-aabbccddeeff");
    }

    #[test]
    fn a_card_that_nvml_does_not_know_is_a_sentence() {
        let reason = look("GPU-00000000-0000-0000-0000-000000000000", &AtomicBool::new(true)).unwrap_err();
        assert!(reason.starts_with("NVML: "), "{reason}");
    }
}
