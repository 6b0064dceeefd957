//! A device's memory against main memory, call by call.
//!
//! In: a device, and a graph that can be loaded for it. Out: for every call that the engine makes
//! to [`DeviceMemory`], whether its result on the device equals that in main memory, computed by
//! the reference implementations of the kernels. Promises: both sides get the same data by the same
//! calls; a call that fails does not prevent others from being tried.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ort::value::{DynValue, TensorElementType};

use super::error::GraphError;
use super::graph::{Form, Graph};
use crate::device::kernels::{Allowed, PickRow, TopK};
use crate::device::{CacheRow, Device, DeviceMemory, DeviceMemoryError};
use crate::onnxruntime::Runtime;

/// The checks, in their order.
pub const DEVICE_CHECKS: [&str; 9] = [
    "kernel patches, f32",
    "kernel patches, f16",
    "kernel pick, f32, the most probable token",
    "kernel pick, f16, the most probable token",
    "kernel pick, f32, the 64 most probable under a grammar",
    "kernel gather_rows, 16 bits",
    "kernel gather_rows, 32 bits",
    "kernel mask_rows",
    "copy from tensor to tensor",
];

/// How one call went on the device.
#[derive(Debug)]
pub struct DeviceCheck {
    /// One of [`DEVICE_CHECKS`].
    pub name: &'static str,
    /// Size of the data.
    pub given: &'static str,
    /// Whether it gave twice what it gives in main memory, and how long the second call took, with
    /// the copies.
    pub result: Result<(bool, Duration), GraphError>,
}

/// Gemma 4's.
const VOCABULARY: usize = 262_144;
/// Rows of logits and of caches.
const ROWS: usize = 4;
/// Side of a patch.
const SIDE: usize = 16;

/// Tries every call on `device`; `graph` is only loaded, for the memory that its session gives.
///
/// # Errors
/// [`GraphError`] if the graph cannot be loaded for the device.
pub fn check_device(
    runtime: &Runtime,
    device: &Device,
    graph: &Path,
) -> Result<Vec<DeviceCheck>, GraphError> {
    let host = Memory::open(runtime, &Device::EmulatedCuda, graph)?;
    let sides = [host, Memory::open(runtime, device, graph)?];
    Ok(compare(&sides))
}

/// A device's memory, as the engine has it.
struct Memory {
    graph: Graph,
    memory: Arc<DeviceMemory>,
}

type Result<T, E = GraphError> = std::result::Result<T, E>;

impl Memory {
    fn open(runtime: &Runtime, device: &Device, graph: &Path) -> Result<Self> {
        let mut graph = Graph::open(graph, &runtime.environment, Form::default(), device, None)?;
        let memory = DeviceMemory::of(device).map_err(|error| graph.device(error))?;
        let memory = Arc::new(
            memory.ok_or_else(|| graph.contract("the CPU needs no device memory".to_owned()))?,
        );
        graph.stay_in(Arc::clone(&memory))?;
        Ok(Self { graph, memory })
    }

    /// Calls the memory, with errors of the graph.
    fn call<T>(
        &self,
        call: impl FnOnce(&DeviceMemory) -> Result<T, DeviceMemoryError>,
    ) -> Result<T> {
        call(&self.memory).map_err(|error| self.graph.device(error))
    }

    /// A tensor of these values, in its own dtype.
    fn tensor(
        &self,
        dtype: TensorElementType,
        shape: &[usize],
        values: &[f32],
    ) -> Result<DynValue> {
        let mut tensor = self.graph.tensor(dtype, shape)?;
        self.call(|memory| memory.write(values, &mut tensor, 0))?;
        Ok(tensor)
    }

    fn bytes(&self, tensor: &DynValue) -> Result<Vec<u8>> {
        let elements = super::tensor::shape(tensor).iter().product();
        self.call(|memory| memory.bytes(tensor, 0..elements))
    }

    fn patches(&self, dtype: TensorElementType, rgb: &[u8]) -> Result<Vec<u8>> {
        let values = SIDE * SIDE * 3;
        let mut patches = self.graph.tensor(dtype, &[rgb.len() / values, values])?;
        self.call(|memory| memory.patches(rgb, SIDE, &mut patches))?;
        self.bytes(&patches)
    }

    fn pick(
        &self,
        dtype: TensorElementType,
        logits: &[f32],
        rows: &[PickRow<'_>],
        most: usize,
    ) -> Result<Vec<TopK>> {
        let logits = self.tensor(dtype, &[ROWS, 1, VOCABULARY], logits)?;
        self.call(|memory| memory.pick(&logits, rows, most))
    }

    fn gather(&self, dtype: TensorElementType, values: &[f32]) -> Result<Vec<u8>> {
        let (heads, size) = (2, 256);
        let cache = self.tensor(dtype, &[3, heads, 600, size], values)?;
        let row = |(row, first, length)| CacheRow { cache: &cache, row, first, length };
        let rows = [(0, 0, 600), (2, 100, 500), (1, 7, 0), (2, 0, 450)].map(row);
        let mut gathered = self.graph.tensor(dtype, &[ROWS, heads, 700, size])?;
        self.call(|memory| memory.gather(&rows, &mut gathered))?;
        self.bytes(&gathered)
    }

    fn mask(&self) -> Result<Vec<u8>> {
        let mut mask = self.graph.tensor(TensorElementType::Int64, &[ROWS, 700])?;
        self.call(|memory| memory.mask(&[0, 17, 699, 300], &mut mask))?;
        self.bytes(&mask)
    }

    fn copy(&self, values: &[f32]) -> Result<Vec<u8>> {
        let dtype = TensorElementType::Float16;
        let from = self.tensor(dtype, &[values.len()], values)?;
        let mut to = self.tensor(dtype, &[values.len()], &vec![0.5; values.len()])?;
        self.call(|memory| memory.copy(&from, 300..values.len() - 100, &mut to, 77))?;
        self.bytes(&to)
    }
}

/// `sides` are main memory and the device.
fn compare(sides: &[Memory; 2]) -> Vec<DeviceCheck> {
    use TensorElementType::{Float16, Float32};

    let mut random = Random(0x9e37_79b9);
    let [patches_f32, patches_f16, greedy_f32, greedy_f16, drawn, others @ ..] = DEVICE_CHECKS;
    let [gather_16, gather_32, mask, copy] = others;
    let rgb: Vec<u8> = (0..912 * 672 * 3).map(|_| (random.next() >> 9) as u8).collect();
    let logits: Vec<f32> =
        (0..ROWS * VOCABULARY).map(|_| (random.next() % 4096) as f32 / 100.0 - 20.0).collect();
    let words = VOCABULARY / 32;
    let bits: Vec<u32> =
        (0..ROWS * words).map(|_| random.next() & random.next() & random.next()).collect();
    let listed: Vec<u32> = (0..300).map(|_| random.next() % VOCABULARY as u32).collect();
    let all: Vec<_> = (0..ROWS).map(|line| PickRow { line, ..PickRow::default() }).collect();
    // Masks of bits, and one list of ids.
    let allowed = |line| {
        if line == 2 {
            Allowed::Ids(&listed)
        } else {
            Allowed::Bits(&bits[line * words..][..words])
        }
    };
    let masked: Vec<_> =
        (0..ROWS).map(|line| PickRow { line, allowed: allowed(line), temperature: 0.7 }).collect();
    // Whole numbers, which f16 holds exactly.
    let cache: Vec<f32> =
        (0..3 * 2 * 600 * 256).map(|_| (random.next() % 4096) as f32 - 2048.0).collect();

    let (image, rows, columns) = ("912x672", "4 rows of 262144", "4 rows of 700 columns");
    let same = |a: &Vec<u8>, b: &Vec<u8>| a == b;
    let agree = |a: &Vec<TopK>, b: &Vec<TopK>| a.iter().zip(b).all(|(a, b)| a.agrees_with(b));
    vec![
        judge(sides, patches_f32, image, |memory| memory.patches(Float32, &rgb), same),
        judge(sides, patches_f16, image, |memory| memory.patches(Float16, &rgb), same),
        judge(sides, greedy_f32, rows, |memory| memory.pick(Float32, &logits, &all, 1), agree),
        judge(sides, greedy_f16, rows, |memory| memory.pick(Float16, &logits, &all, 1), agree),
        judge(sides, drawn, rows, |memory| memory.pick(Float32, &logits, &masked, 64), agree),
        judge(sides, gather_16, columns, |memory| memory.gather(Float16, &cache), same),
        judge(sides, gather_32, columns, |memory| memory.gather(Float32, &cache), same),
        judge(sides, mask, columns, Memory::mask, same),
        judge(sides, copy, "921200 values", |memory| memory.copy(&cache), same),
    ]
}

fn judge<T>(
    [host, device]: &[Memory; 2],
    name: &'static str,
    given: &'static str,
    call: impl Fn(&Memory) -> Result<T>,
    agrees: impl Fn(&T, &T) -> bool,
) -> DeviceCheck {
    let tried = || {
        let expected = call(host)?;
        // The driver translates a kernel at its first launch.
        let first = call(device)?;
        let began = Instant::now();
        let again = call(device)?;
        let took = began.elapsed();
        Ok((agrees(&first, &expected) && agrees(&again, &expected), took))
    };
    DeviceCheck { name, given, result: tried() }
}

/// Numbers that look random, the same each time (xorshift).
struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnxruntime::{self, RuntimeOptions};

    fn graph() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/demo-model/onnx/embed_tokens.onnx")
    }

    fn runtime() -> &'static Runtime {
        onnxruntime::load(&RuntimeOptions::from_env(None, false), &mut |_| {}).unwrap()
    }

    #[test]
    fn a_device_that_computes_the_same_passes_every_check() {
        let checks = check_device(runtime(), &Device::EmulatedCuda, &graph()).unwrap();
        assert_eq!(checks.iter().map(|check| check.name).collect::<Vec<_>>(), DEVICE_CHECKS);
        assert!(checks.iter().all(|check| matches!(check.result, Ok((true, _)))), "{checks:?}");
        assert!(check_device(runtime(), &Device::Cpu, &graph()).is_err());
    }

    #[test]
    fn what_differs_does_not_pass() {
        let side = || Memory::open(runtime(), &Device::EmulatedCuda, &graph()).unwrap();
        let sides = [side(), side()];
        let calls = std::cell::Cell::new(0);
        let counted = |_: &Memory| Ok(calls.replace(calls.get() + 1));
        let check = judge(&sides, DEVICE_CHECKS[0], "", counted, |a, b| a == b);
        assert!(matches!(check.result, Ok((false, _))) && calls.get() == 3, "{check:?}");
    }
}
