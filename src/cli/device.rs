//! Notes for the user about the model and the device that flags name.

use gemscope::device::{Cards, DeviceChoice};
use gemscope::model::demo;
use gemscope::session::pipeline::{DeviceSection, ModelSection, PipelineError};
use gemscope::session::{ModelChoice, ModelOptions};

use super::{Global, messages};

/// The options that these flags and the environment say.
///
/// # Errors
/// If `GEMSCOPE_DEVICE` is no device.
pub(crate) fn options(
    model: &ModelSection,
    global: &Global,
) -> Result<ModelOptions, PipelineError> {
    let mut options = model.options()?;
    options.runtime = global.runtime_options();
    Ok(options)
}

/// Says which model answers if none was named.
pub(crate) fn say(model: &ModelSection) {
    if model.choice() == ModelChoice::Unnamed {
        messages::say(&format!("Using {}. For anything else: --model DIR.", demo::DESCRIPTION));
    }
}

/// The cards that were asked for; the best one if none was.
///
/// # Errors
/// As [`options`].
pub(crate) fn cards(device: &DeviceSection) -> Result<Cards, PipelineError> {
    Ok(match device.asked()? {
        Some(DeviceChoice::Cuda(cards)) => cards,
        _ => Cards::Best,
    })
}
