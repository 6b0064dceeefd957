//! Tensors that stay on the device, and operations on them.
//!
//! In: ONNX Runtime's values in a card's memory. Out: others there, or the few numbers of them that
//! are asked for. Promises: only what a function says goes over the bus, and it is counted; shapes
//! and dtypes are checked before an address is used. The references do all of it in main memory: so
//! everything but the driver's own calls is tried without a card.
#![allow(unsafe_code)]

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use half::{bf16, f16};
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::Session;
use ort::value::{DynTensor, DynTensorValueType, DynValue, TensorElementType};
use thiserror::Error;

use super::choice::Device;
use super::host_tensor::{
    CacheRow, bytes_of, bytes_of_mut, dtype, element_bytes, gather_here, pointer, shape, slice,
    slice_mut,
};
use super::kernels::{
    AllowedIds, GatherRow, KernelError, Kernels, Logits, PickInput, PickRow, RowAt, TopK, reference,
};

/// Errors of operations on a device's tensors.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeviceMemoryError {
    /// The driver.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// ONNX Runtime's own words.
    #[error("{0}")]
    Runtime(#[from] ort::Error),
    /// A tensor of another dtype or shape than the kernels serve.
    #[error("the kernels cannot {0}")]
    Unserved(String),
}

type Result<T> = std::result::Result<T, DeviceMemoryError>;

/// Bytes over the bus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BusTraffic {
    /// To the device.
    pub to_device: u64,
    /// From it.
    pub from_device: u64,
}

/// The memory of the device that graphs compute on.
pub struct DeviceMemory {
    worker: Worker,
    info: MemoryInfo<'static>,
    to_device: AtomicU64,
    from_device: AtomicU64,
}

enum Worker {
    Card(Box<Kernels>),
    Twins,
}

impl DeviceMemory {
    /// The memory of `device`; `None` for the CPU, which needs none.
    ///
    /// # Errors
    /// [`DeviceMemoryError`] if the driver refuses the kernels.
    pub fn of(device: &Device) -> Result<Option<Self>> {
        let (worker, info) = match device {
            Device::Cpu => return Ok(None),
            Device::EmulatedCuda => (
                Worker::Twins,
                MemoryInfo::new(
                    AllocationDevice::CPU,
                    0,
                    AllocatorType::Device,
                    MemoryType::Default,
                )?,
            ),
            Device::Cuda(card) => {
                let number = i32::try_from(card.index).unwrap_or(i32::MAX);
                let info = MemoryInfo::new(
                    AllocationDevice::CUDA,
                    number,
                    AllocatorType::Device,
                    MemoryType::Default,
                )?;
                (Worker::Card(Box::new(Kernels::load(card)?)), info)
            }
        };
        Ok(Some(Self {
            worker,
            info,
            to_device: AtomicU64::new(0),
            from_device: AtomicU64::new(0),
        }))
    }

    /// The memory for the outputs of graphs.
    pub fn info(&self) -> &MemoryInfo<'static> {
        &self.info
    }

    /// The allocator of device memory for tensors of `session`.
    ///
    /// # Errors
    /// [`DeviceMemoryError::Runtime`].
    pub fn allocator(&self, session: &Session) -> Result<Allocator> {
        Ok(match self.worker {
            Worker::Card(_) => Allocator::new(session, self.info.clone())?,
            Worker::Twins => Allocator::default(),
        })
    }

    /// Bytes over the bus so far by the functions of this room.
    pub fn traffic(&self) -> BusTraffic {
        BusTraffic {
            to_device: self.to_device.load(Ordering::Relaxed),
            from_device: self.from_device.load(Ordering::Relaxed),
        }
    }

    /// Whether a tensor lies in this memory.
    pub fn holds(&self, value: &DynValue) -> bool {
        match self.worker {
            Worker::Card(_) => value.view().downcast::<DynTensorValueType>().is_ok_and(|tensor| {
                tensor.memory_info().allocation_device() == AllocationDevice::CUDA
            }),
            Worker::Twins => true,
        }
    }

    /// Counts what ONNX Runtime carries over the bus for a graph.
    pub fn carried(&self, to_device: usize) {
        self.to_device.fetch_add(to_device as u64, Ordering::Relaxed);
    }

    fn brought(&self, bytes: usize) {
        self.from_device.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Whether [`Self::pick`] serves logits of this dtype.
    pub fn picks(logits: &DynValue) -> bool {
        matches!(dtype(logits), Some(TensorElementType::Float32 | TensorElementType::Float16))
    }

    /// The best ids of some lines of `logits`, `[.., vocabulary]` in f32 or f16; the lines are
    /// counted over all of its other dimensions. What goes over the bus: lists of ids, masks that
    /// were not used before, and of each row the ids and numbers that are wanted.
    ///
    /// # Errors
    /// [`DeviceMemoryError`].
    pub fn pick(&self, logits: &DynValue, rows: &[PickRow<'_>], most: usize) -> Result<Vec<TopK>> {
        let shape = shape(logits);
        let vocabulary = shape.last().copied().unwrap_or(0);
        let lines = shape.iter().product::<usize>().checked_div(vocabulary).unwrap_or(0);
        if rows.iter().any(|row| row.line >= lines) || !Self::picks(logits) {
            return Err(unserved("pick of", logits));
        }
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let halves = dtype(logits) == Some(TensorElementType::Float16);
        let sent: Vec<_> = rows.iter().map(|row| AllowedIds::of(row.allowed, vocabulary)).collect();
        let rows: Vec<_> = rows
            .iter()
            .zip(&sent)
            .map(|(row, sent)| PickRow { allowed: sent.allowed(), ..*row })
            .collect();
        let rows = rows.as_slice();
        self.carried(rows.iter().map(PickRow::sent_bytes).sum());
        self.brought(rows.len() * (most * 8 + 12));
        match &self.worker {
            // SAFETY: dtype and lines were asked of the tensor, which lies on the card.
            Worker::Card(kernels) => {
                Ok(unsafe { kernels.pick_at(address(logits), halves, vocabulary, rows, most) }?)
            }
            Worker::Twins => {
                // SAFETY: f16 is 16 bits, and u16 no more strict.
                let logits = unsafe {
                    if halves { Logits::F16(slice(logits)) } else { Logits::F32(slice(logits)) }
                };
                Ok(reference::pick(&PickInput { logits, vocabulary, rows, most }))
            }
        }
    }

    /// Fills `to`, `[rows, heads, columns, size]`, with rows of other caches of the same dtype,
    /// heads and size: tokens end in the last column, what is left of them is 0.
    ///
    /// # Errors
    /// [`DeviceMemoryError`].
    pub fn gather(&self, rows: &[CacheRow<'_>], to: &mut DynValue) -> Result<()> {
        let target = shape(to);
        let &[count, heads, columns, size] = target.as_slice() else {
            return Err(unserved("gather into", to));
        };
        let element = element_bytes(to);
        let fits = |row: &CacheRow<'_>| {
            let of = shape(row.cache);
            matches!(of.as_slice(), &[rows, of_heads, of_columns, of_size]
                if row.row < rows
                    && (of_heads, of_size) == (heads, size)
                    && row.first + row.length <= of_columns)
                && row.length <= columns
                && dtype(row.cache) == dtype(to)
        };
        if count != rows.len() || !matches!(element, 2 | 4) || !rows.iter().all(fits) {
            return Err(unserved("gather into", to));
        }
        if target.contains(&0) {
            return Ok(());
        }
        let taken = |source: usize, row: &CacheRow<'_>| GatherRow {
            source,
            row: row.row,
            first: row.first,
            length: row.length,
        };
        match &self.worker {
            Worker::Card(kernels) => {
                let at = |row: &CacheRow<'_>| RowAt {
                    source: address(row.cache),
                    columns: shape(row.cache)[2],
                    taken: taken(0, row),
                };
                self.carried(rows.len() * 24);
                // SAFETY: rows, columns and dtypes were asked of the tensors, which lie on the
                // card.
                let done = unsafe {
                    kernels.gather_to(
                        &rows.iter().map(at).collect::<Vec<_>>(),
                        [heads, columns, size],
                        element,
                        address(to),
                    )
                };
                Ok(done?)
            }
            Worker::Twins if element == 2 => {
                // SAFETY: elements of 16 bits.
                unsafe { gather_here::<u16>(rows, taken, [heads, columns, size], to) };
                Ok(())
            }
            Worker::Twins => {
                // SAFETY: elements of 32 bits.
                unsafe { gather_here::<u32>(rows, taken, [heads, columns, size], to) };
                Ok(())
            }
        }
    }

    /// Fills `to`, i64 `[rows, columns]`, with the mask of rows whose first columns are padding.
    ///
    /// # Errors
    /// [`DeviceMemoryError`].
    pub fn mask(&self, pads: &[usize], to: &mut DynValue) -> Result<()> {
        let target = shape(to);
        let &[rows, columns] = target.as_slice() else {
            return Err(unserved("write a mask into", to));
        };
        if rows != pads.len() || dtype(to) != Some(TensorElementType::Int64) || columns == 0 {
            return Err(unserved("write a mask into", to));
        }
        let pads: Vec<u32> = pads.iter().map(|&pad| pad as u32).collect();
        self.carried(pads.len() * 4);
        match &self.worker {
            // SAFETY: `to` is i64 of that shape and lies on the card.
            Worker::Card(kernels) => Ok(unsafe { kernels.mask_to(&pads, columns, address(to)) }?),
            Worker::Twins => {
                // SAFETY: i64, as was asked.
                unsafe { slice_mut::<i64>(to) }.copy_from_slice(&reference::mask(&pads, columns));
                Ok(())
            }
        }
    }

    /// Fills `to`, f32 or f16 `[.., values of a patch]`, with `bytes` times 1/255. Only the bytes
    /// go over the bus, through pinned pages.
    ///
    /// # Errors
    /// [`DeviceMemoryError`].
    pub fn patches(&self, bytes: &[u8], side: usize, to: &mut DynValue) -> Result<()> {
        let halves = dtype(to) == Some(TensorElementType::Float16);
        let whole = side > 0 && bytes.len().is_multiple_of(side * side * 3);
        if shape(to).iter().product::<usize>() != bytes.len()
            || !whole
            || !halves && dtype(to) != Some(TensorElementType::Float32)
        {
            return Err(unserved("cut patches into", to));
        }
        self.carried(bytes.len());
        match &self.worker {
            // SAFETY: there is a value for each byte, of that dtype, on the card. Patches one after
            // the other are an image as wide as one.
            Worker::Card(kernels) => {
                Ok(unsafe { kernels.patches_to(bytes, side, side, address(to), halves) }?)
            }
            Worker::Twins if halves => {
                // SAFETY: f16, as was asked.
                unsafe { slice_mut::<u16>(to) }
                    .copy_from_slice(&reference::patches_f16(bytes, side, side));
                Ok(())
            }
            Worker::Twins => {
                // SAFETY: f32, as was asked.
                unsafe { slice_mut::<f32>(to) }
                    .copy_from_slice(&reference::patches(bytes, side, side));
                Ok(())
            }
        }
    }

    /// Copies elements of one tensor to another place, in another one of the same dtype. Nothing
    /// goes over the bus.
    ///
    /// # Errors
    /// [`DeviceMemoryError`].
    pub fn copy(
        &self,
        from: &DynValue,
        elements: Range<usize>,
        to: &mut DynValue,
        place: usize,
    ) -> Result<()> {
        let (element, count) = (element_bytes(to), elements.len());
        let (from_count, to_count): (usize, usize) =
            (shape(from).iter().product(), shape(to).iter().product());
        if dtype(from) != dtype(to)
            || element == 0
            || elements.end > from_count
            || place + count > to_count
        {
            return Err(unserved("copy into", to));
        }
        match &self.worker {
            Worker::Card(kernels) => {
                let (from, to) = (
                    address(from) + (elements.start * element) as u64,
                    address(to) + (place * element) as u64,
                );
                // SAFETY: both stretches were found to lie in their tensors, which are on the card.
                Ok(unsafe { kernels.copy(from, to, count * element) }?)
            }
            Worker::Twins => {
                // SAFETY: bytes of both, which are two tensors.
                let (from, to) = unsafe { (bytes_of(from), bytes_of_mut(to)) };
                to[place * element..][..count * element]
                    .copy_from_slice(&from[elements.start * element..][..count * element]);
                Ok(())
            }
        }
    }

    /// Writes floats of main memory to a place of a float tensor, in its own dtype.
    ///
    /// # Errors
    /// [`DeviceMemoryError`].
    pub fn write(&self, from: &[f32], to: &mut DynValue, place: usize) -> Result<()> {
        let element = element_bytes(to);
        let bytes: Vec<u8> = match dtype(to) {
            Some(TensorElementType::Float32) => {
                from.iter().flat_map(|value| value.to_ne_bytes()).collect()
            }
            Some(TensorElementType::Float16) => {
                from.iter().flat_map(|&value| f16::from_f32(value).to_ne_bytes()).collect()
            }
            Some(TensorElementType::Bfloat16) => {
                from.iter().flat_map(|&value| bf16::from_f32(value).to_ne_bytes()).collect()
            }
            _ => return Err(unserved("write into", to)),
        };
        if place + from.len() > shape(to).iter().product::<usize>() {
            return Err(unserved("write into", to));
        }
        self.carried(bytes.len());
        match &self.worker {
            // SAFETY: the stretch was found to lie in the tensor, which is on the card.
            Worker::Card(kernels) => {
                Ok(unsafe { kernels.write(&bytes, address(to) + (place * element) as u64) }?)
            }
            Worker::Twins => {
                // SAFETY: bytes of the tensor.
                let there = unsafe { bytes_of_mut(to) };
                there[place * element..][..bytes.len()].copy_from_slice(&bytes);
                Ok(())
            }
        }
    }

    /// Elements of a float tensor, as f32, in main memory.
    ///
    /// # Errors
    /// [`DeviceMemoryError`].
    pub fn floats(&self, value: &DynValue, elements: Range<usize>) -> Result<Vec<f32>> {
        let bytes = self.bytes(value, elements)?;
        let pairs = || bytes.as_chunks::<2>().0.iter();
        Ok(match dtype(value) {
            Some(TensorElementType::Float32) => {
                bytes.as_chunks::<4>().0.iter().map(|four| f32::from_ne_bytes(*four)).collect()
            }
            Some(TensorElementType::Float16) => {
                pairs().map(|two| f16::from_ne_bytes(*two).to_f32()).collect()
            }
            Some(TensorElementType::Bfloat16) => {
                pairs().map(|two| bf16::from_ne_bytes(*two).to_f32()).collect()
            }
            _ => return Err(unserved("read", value)),
        })
    }

    /// Elements of a tensor as they are, in main memory.
    ///
    /// # Errors
    /// [`DeviceMemoryError`].
    pub(crate) fn bytes(&self, value: &DynValue, elements: Range<usize>) -> Result<Vec<u8>> {
        let element = element_bytes(value);
        if elements.end > shape(value).iter().product::<usize>() || element == 0 {
            return Err(unserved("read", value));
        }
        let mut bytes = vec![0; elements.len() * element];
        self.brought(bytes.len());
        match &self.worker {
            Worker::Card(kernels) => {
                // SAFETY: the elements were found to lie in the tensor, which is on the card.
                unsafe {
                    kernels.read(address(value) + (elements.start * element) as u64, &mut bytes)
                }?;
            }
            Worker::Twins => {
                // SAFETY: bytes of the tensor.
                let all = unsafe { bytes_of(value) };
                bytes.copy_from_slice(&all[elements.start * element..elements.end * element]);
            }
        }
        Ok(bytes)
    }
}

/// A tensor of memory that `allocator` gives; what is in it is not set.
///
/// # Errors
/// [`DeviceMemoryError::Runtime`] if there is no memory.
pub fn tensor(
    allocator: &Allocator,
    dtype: TensorElementType,
    shape: &[usize],
) -> Result<DynValue> {
    Ok(DynTensor::new(allocator, dtype, shape.to_vec())?.into_dyn())
}

fn unserved(what: &str, value: &DynValue) -> DeviceMemoryError {
    DeviceMemoryError::Unserved(format!("{what} {} {:?}", value.dtype(), shape(value)))
}

/// The address of a tensor's data on the card.
fn address(value: &DynValue) -> u64 {
    pointer(value) as u64
}

#[cfg(test)]
mod tests {
    use ort::value::Tensor;

    use super::*;
    use crate::device::kernels::Allowed;
    use crate::onnxruntime::{self, RuntimeOptions};

    fn of<T: ort::value::PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static>(
        shape: &[usize],
        values: Vec<T>,
    ) -> DynValue {
        Tensor::from_array((shape.to_vec(), values)).unwrap().into_dyn()
    }

    fn rehearsal() -> DeviceMemory {
        onnxruntime::load(&RuntimeOptions::from_env(None, false), &mut |_| {}).unwrap();
        DeviceMemory::of(&Device::EmulatedCuda).unwrap().unwrap()
    }

    #[test]
    fn what_lies_outside_of_a_tensor_is_refused_before_an_address_is_used() {
        let memory = rehearsal();
        let logits = of(&[2, 1, 3], vec![0.0_f32, 2.0, 1.0, 5.0, 4.0, 3.0]);
        let row = |line| PickRow { line, allowed: Allowed::All, temperature: 0.0 };
        assert_eq!(
            memory
                .pick(&logits, &[row(1), row(0)], 1)
                .unwrap()
                .iter()
                .map(|one| one.ids[0])
                .collect::<Vec<_>>(),
            [0, 1]
        );
        assert!(memory.pick(&logits, &[row(2)], 1).is_err());
        assert!(memory.pick(&of(&[1, 3], vec![1_i64, 2, 3]), &[row(0)], 1).is_err());
        assert!(memory.pick(&logits, &[], 1).unwrap().is_empty());

        let cache = of(&[1, 1, 4, 2], (0..8).map(|value| value as f32).collect());
        let taken = |first, length| [CacheRow { cache: &cache, row: 0, first, length }];
        let mut to = of(&[1, 1, 3, 2], vec![9.0_f32; 6]);
        memory.gather(&taken(2, 2), &mut to).unwrap();
        assert_eq!(memory.floats(&to, 0..6).unwrap(), [0.0, 0.0, 4.0, 5.0, 6.0, 7.0]);
        assert!(memory.gather(&taken(3, 2), &mut to).is_err(), "past the source's columns");
        assert!(memory.gather(&taken(0, 4), &mut to).is_err(), "more than there is room for");
        let mut halves = of(&[1, 1, 3, 2], vec![f16::ONE; 6]);
        assert!(memory.gather(&taken(0, 3), &mut halves).is_err(), "another dtype");

        assert!(
            memory.copy(&cache, 0..2, &mut to, 5).is_err()
                && memory.copy(&cache, 7..9, &mut to, 0).is_err()
        );
        memory.copy(&cache, 6..8, &mut to, 0).unwrap();
        assert_eq!(memory.floats(&to, 0..2).unwrap(), [6.0, 7.0]);
        assert!(
            memory.write(&[1.0, 2.0], &mut to, 5).is_err() && memory.floats(&to, 5..7).is_err()
        );
        memory.write(&[0.5], &mut halves, 1).unwrap();
        assert_eq!(memory.floats(&halves, 0..2).unwrap(), [1.0, 0.5]);
        assert!(
            memory.mask(&[0], &mut to).is_err() && memory.patches(&[1; 12], 2, &mut to).is_err()
        );
    }

    #[test]
    fn what_goes_over_the_bus_is_counted() {
        let memory = rehearsal();
        let mut patches = of(&[1, 12], vec![f16::ZERO; 12]);
        memory.patches(&[255; 12], 2, &mut patches).unwrap();
        assert_eq!(memory.floats(&patches, 0..12).unwrap(), [1.0; 12]);
        assert_eq!(memory.traffic(), BusTraffic { to_device: 12, from_device: 24 });
        let mut mask = of(&[2, 3], vec![0_i64; 6]);
        memory.mask(&[1, 0], &mut mask).unwrap();
        assert_eq!(memory.traffic().to_device, 20);
    }

    #[test]
    fn the_cpu_needs_none() {
        assert!(DeviceMemory::of(&Device::Cpu).unwrap().is_none());
    }
}
