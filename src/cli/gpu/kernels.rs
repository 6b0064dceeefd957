//! Operations on a card's memory, compared with the same ones in main memory.

use gemscope::device::Device;
use gemscope::model::{DEVICE_CHECKS, DeviceCheck, check_device, demo};
use gemscope::onnxruntime::{self, Runtime};

use super::Check;

/// The checks, in their order.
pub(super) const NAMES: [&str; 9] = DEVICE_CHECKS;

/// All of them on `device`.
pub(super) fn checks(runtime: &Runtime, device: &Device) -> Vec<Check> {
    let checked = || -> anyhow::Result<Vec<DeviceCheck>> {
        let model = demo::unpack(&onnxruntime::cache_dir()?)?;
        Ok(check_device(runtime, device, &model.join("onnx/embed_tokens.onnx"))?)
    };
    match checked() {
        Ok(checks) => checks.into_iter().map(check).collect(),
        Err(error) => NAMES.map(|name| Check::failed(name, &format!("{error:#}"))).into(),
    }
}

fn check(DeviceCheck { name, given, result }: DeviceCheck) -> Check {
    match result {
        Ok((true, took)) => {
            Check::of(name, true, format!("{given}: as in main memory; {took:.1?} with the copies"))
        }
        Ok((false, _)) => Check::of(name, false, format!("{given}: not what main memory gives")),
        Err(error) => Check::failed(name, &error),
    }
}
