//! Kernels for CUDA devices.
//!
//! In: bytes, logits or cache rows in main memory. Out: what the kernel made of them, in main memory again. Promises: nothing that a kernel
//! computes differs from what the CPU's code computes, but for the last digits of a sum of exponentials; a driver that refuses is an error and
//! no panic. Runs do not use them yet: whether they may is to be found out on a card first.
//!
//! The `.cu` files are the sources and say what a kernel is given. The `.ptx` files beside them are compiled from them by
//! `export/checks/kernels_ptx.py` (NVRTC 13.0, for compute capability 7.5), so that nobody needs a compiler; the driver translates them for
//! its card.
#![allow(unsafe_code)]

#[cfg(all(test, unix, feature = "load-dynamic"))]
mod on_cpu;
pub mod twin;
mod weights;

use std::sync::Arc;

use cudarc::driver::{
    CudaContext, CudaFunction, CudaSlice, CudaStream, DeviceRepr, DriverError, LaunchConfig, PushKernelArg as _,
    ValidAsZeroBits,
};
use cudarc::nvrtc::Ptx;
use thiserror::Error;

use super::devices::{self, CudaDevice};
pub use weights::Weights;

/// Threads of a block, of every kernel: `pick` has shared memory for so many.
const THREADS: u32 = 256;

/// How many blocks have a thread for each of `count` elements.
fn blocks(count: usize) -> u32 {
    u32::try_from(count.div_ceil(THREADS as usize)).unwrap_or(u32::MAX)
}

/// How many values the patches of an image have; what fills no patch is left out.
fn patch_values(bytes: usize, width: usize, side: usize) -> usize {
    let height = bytes / 3 / width;
    (width / side) * (height / side) * side * side * 3
}

/// Why a kernel cannot be run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KernelError {
    /// The driver's own words.
    #[error("the CUDA driver refuses to {action}: {}", devices::driver_words(*error))]
    Driver {
        /// What was to be done.
        action: &'static str,
        /// Its reason.
        error: DriverError,
    },
}

fn failed(action: &'static str) -> impl Fn(DriverError) -> KernelError {
    move |error| KernelError::Driver { action, error }
}

/// Logits of several rows, one row after the other.
#[derive(Debug, Clone, Copy)]
pub enum Logits<'l> {
    /// As they are.
    F32(&'l [f32]),
    /// Bits of f16.
    F16(&'l [u16]),
}

/// What `pick` is given.
#[derive(Debug, Clone, Copy)]
pub struct PickInput<'l> {
    /// `[rows, vocabulary]`.
    pub logits: Logits<'l>,
    /// Ids of a row.
    pub vocabulary: usize,
    /// A bit for each id, `[rows, words]`, the lowest bit first.
    pub allowed: &'l [u32],
    /// Words of a row; 0 where every id is allowed.
    pub words: usize,
    /// Divides the logits before they are ordered; 0 for the most probable token.
    pub temperature: f32,
    /// How many ids are wanted of each row.
    pub most: usize,
}

impl PickInput<'_> {
    /// How many rows.
    pub fn rows(&self) -> usize {
        let values = match self.logits {
            Logits::F32(logits) => logits.len(),
            Logits::F16(logits) => logits.len(),
        };
        values / self.vocabulary
    }
}

/// What was picked of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Picked {
    /// The best allowed ids, the best first, of equals the lowest; `u32::MAX` where there are no more.
    pub ids: Vec<u32>,
    /// Their logits.
    pub logits: Vec<f32>,
    /// The largest logit of all ids, allowed or not; NaN where a logit is, or none is finite.
    pub largest: f32,
    /// The sum of `exp(logit - largest)` over all ids.
    pub sum: f64,
}

impl Picked {
    /// Natural logarithm of the probability that the decoder gave to the id at `place`.
    pub fn log_probability(&self, place: usize) -> f64 {
        f64::from(self.logits[place]) - (self.sum.ln() + f64::from(self.largest))
    }

    /// Whether both picked the same, and know the sum of exponentials to a millionth.
    pub fn agrees_with(&self, other: &Self) -> bool {
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let same = |a: f32, b: f32| a.total_cmp(&b).is_eq() || a.is_nan() && b.is_nan();
        let near = (self.sum - other.sum).abs() <= 1e-6 * other.sum.abs() || self.sum.is_nan() && other.sum.is_nan();
        let found = self.ids.iter().filter(|id| **id != u32::MAX).count();
        self.ids == other.ids
            && bits(&self.logits[..found]) == bits(&other.logits[..found])
            && same(self.largest, other.largest)
            && near
    }
}

/// A row of a KV cache that is taken into another one.
#[derive(Debug, Clone, Copy)]
pub struct GatherRow {
    /// Which of the sources it is in.
    pub source: usize,
    /// Its row there.
    pub row: usize,
    /// The column where its tokens begin.
    pub first: usize,
    /// How many of its tokens are taken.
    pub length: usize,
}

/// The kernels, loaded on a card.
pub struct Kernels {
    stream: Arc<CudaStream>,
    patches_f32: CudaFunction,
    patches_f16: CudaFunction,
    resize_pass: CudaFunction,
    pick_f32: CudaFunction,
    pick_f16: CudaFunction,
    gather_rows_16: CudaFunction,
    gather_rows_32: CudaFunction,
}

impl Kernels {
    /// Loads them on `card`, of which [`devices::cuda`] told.
    ///
    /// # Errors
    /// [`KernelError`] where the driver refuses the card or a kernel.
    pub fn load(card: &CudaDevice) -> Result<Self, KernelError> {
        let context = CudaContext::new(card.index).map_err(failed("make a context"))?;
        let module = |ptx: &str| context.load_module(Ptx::from_src(ptx)).map_err(failed("load a kernel"));
        let patches = module(include_str!("patches.ptx"))?;
        let resize = module(include_str!("resize.ptx"))?;
        let logits = module(include_str!("logits.ptx"))?;
        let cache = module(include_str!("cache.ptx"))?;
        let found = failed("find a kernel");
        Ok(Self {
            stream: context.default_stream(),
            patches_f32: patches.load_function("patches_f32").map_err(&found)?,
            patches_f16: patches.load_function("patches_f16").map_err(&found)?,
            resize_pass: resize.load_function("resize_pass").map_err(&found)?,
            pick_f32: logits.load_function("pick_f32").map_err(&found)?,
            pick_f16: logits.load_function("pick_f16").map_err(&found)?,
            gather_rows_16: cache.load_function("gather_rows_16").map_err(&found)?,
            gather_rows_32: cache.load_function("gather_rows_32").map_err(&found)?,
        })
    }

    fn upload<T: DeviceRepr>(&self, values: &[T]) -> Result<CudaSlice<T>, KernelError> {
        self.stream.clone_htod(values).map_err(failed("take data"))
    }

    fn room<T: DeviceRepr + ValidAsZeroBits>(&self, count: usize) -> Result<CudaSlice<T>, KernelError> {
        self.stream.alloc_zeros(count).map_err(failed("give memory"))
    }

    fn download<T: DeviceRepr>(&self, values: &CudaSlice<T>) -> Result<Vec<T>, KernelError> {
        self.stream.clone_dtoh(values).map_err(failed("give data back"))
    }

    fn grid(count: usize) -> LaunchConfig {
        LaunchConfig { grid_dim: (blocks(count), 1, 1), block_dim: (THREADS, 1, 1), shared_mem_bytes: 0 }
    }

    /// As [`twin::patches`].
    ///
    /// # Errors
    /// [`KernelError`].
    pub fn patches(&self, rgb: &[u8], width: usize, side: usize) -> Result<Vec<f32>, KernelError> {
        self.cut(&self.patches_f32, rgb, width, side)
    }

    /// As [`twin::patches_f16`].
    ///
    /// # Errors
    /// [`KernelError`].
    pub fn patches_f16(&self, rgb: &[u8], width: usize, side: usize) -> Result<Vec<u16>, KernelError> {
        self.cut(&self.patches_f16, rgb, width, side)
    }

    fn cut<T: DeviceRepr + ValidAsZeroBits>(
        &self,
        kernel: &CudaFunction,
        rgb: &[u8],
        width: usize,
        side: usize,
    ) -> Result<Vec<T>, KernelError> {
        let count = patch_values(rgb.len(), width, side);
        let (from, mut to) = (self.upload(rgb)?, self.room::<T>(count)?);
        let (width, side, elements) = (width as u32, side as u32, count as u32);
        let mut launch = self.stream.launch_builder(kernel);
        launch.arg(&from).arg(&mut to).arg(&width).arg(&side).arg(&elements);
        // SAFETY: the arguments are those of the kernel's declaration in patches.cu, and it writes `count` elements, of which each reads
        // a byte of a whole patch inside the image.
        unsafe { launch.launch(Self::grid(count)) }.map_err(failed("run patches"))?;
        self.download(&to)
    }

    /// As [`twin::resize`].
    ///
    /// # Errors
    /// [`KernelError`].
    pub fn resize(&self, rgb: &[u8], from: (u32, u32), to: (u32, u32)) -> Result<Vec<u8>, KernelError> {
        let mut now = self.upload(rgb)?;
        if from.0 != to.0 {
            now = self.resize_pass(&now, &Weights::bicubic(from.0, to.0), from.0 * 3, (to.0, from.1), false)?;
        }
        if from.1 != to.1 {
            now = self.resize_pass(&now, &Weights::bicubic(from.1, to.1), to.0 * 3, to, true)?;
        }
        self.download(&now)
    }

    fn resize_pass(
        &self,
        from: &CudaSlice<u8>,
        weights: &Weights,
        from_row: u32,
        size: (u32, u32),
        vertical: bool,
    ) -> Result<CudaSlice<u8>, KernelError> {
        let to_row = size.0 * 3;
        let count = to_row as usize * size.1 as usize;
        let mut to = self.room(count)?;
        let (starts, sizes) = (self.upload(&weights.starts)?, self.upload(&weights.sizes)?);
        let values = self.upload(&weights.values)?;
        let (window, elements, vertical) = (weights.window as u32, count as u32, u32::from(vertical));
        let mut launch = self.stream.launch_builder(&self.resize_pass);
        launch.arg(from).arg(&mut to).arg(&starts).arg(&sizes).arg(&values).arg(&window).arg(&from_row).arg(&to_row);
        launch.arg(&elements).arg(&vertical).arg(&weights.precision);
        // SAFETY: the arguments are those of the kernel's declaration in resize.cu; it writes `count` bytes, and the weights are those of
        // the side that `from` has.
        unsafe { launch.launch(Self::grid(count)) }.map_err(failed("run resize_pass"))?;
        Ok(to)
    }

    /// As [`twin::pick`].
    ///
    /// # Errors
    /// [`KernelError`].
    pub fn pick(&self, input: &PickInput<'_>) -> Result<Vec<Picked>, KernelError> {
        let rows = input.rows();
        // A pointer is wanted also where there is no mask.
        let allowed = self.upload(if input.allowed.is_empty() { &[0] } else { input.allowed })?;
        let mut ids = self.room::<u32>(rows * input.most)?;
        let mut values = self.room::<f32>(rows * input.most)?;
        let (mut largest, mut sum) = (self.room::<f32>(rows)?, self.room::<f64>(rows)?);
        let (vocabulary, words, most) = (input.vocabulary as u32, input.words as u32, input.most as u32);
        let (singles, halves) = match input.logits {
            Logits::F32(logits) => (Some(self.upload(logits)?), None),
            Logits::F16(logits) => (None, Some(self.upload(logits)?)),
        };
        let kernel = if singles.is_some() { &self.pick_f32 } else { &self.pick_f16 };
        let mut launch = self.stream.launch_builder(kernel);
        if let Some(logits) = &singles {
            launch.arg(logits);
        }
        if let Some(logits) = &halves {
            launch.arg(logits);
        }
        launch.arg(&vocabulary).arg(&allowed).arg(&words).arg(&input.temperature).arg(&most);
        launch.arg(&mut ids).arg(&mut values).arg(&mut largest).arg(&mut sum);
        let grid = LaunchConfig { grid_dim: (rows as u32, 1, 1), block_dim: (THREADS, 1, 1), shared_mem_bytes: 0 };
        // SAFETY: the arguments are those of the kernel's declaration in logits.cu, the first of them the logits in its dtype; there is one
        // block of THREADS a row, and every output has room for `rows`.
        unsafe { launch.launch(grid) }.map_err(failed("run pick"))?;
        let (ids, values) = (self.download(&ids)?, self.download(&values)?);
        let (largest, sum) = (self.download(&largest)?, self.download(&sum)?);
        let picked = |row: usize| Picked {
            ids: ids[row * input.most..][..input.most].to_vec(),
            logits: values[row * input.most..][..input.most].to_vec(),
            largest: largest[row],
            sum: sum[row],
        };
        Ok((0..rows).map(picked).collect())
    }

    /// As [`twin::gather`], of elements of 2 or 4 bytes.
    ///
    /// # Errors
    /// [`KernelError`].
    pub fn gather<T: DeviceRepr + ValidAsZeroBits>(
        &self,
        sources: &[(&[T], usize)],
        rows: &[GatherRow],
        [heads, columns, size]: [usize; 3],
    ) -> Result<Vec<T>, KernelError> {
        use cudarc::driver::DevicePtr as _;

        let kept: Vec<CudaSlice<T>> =
            sources.iter().map(|(values, _)| self.upload(values)).collect::<Result<_, _>>()?;
        // The pointers live as long as `kept` does, to the end of this function; all is done on one stream, in order.
        let pointers: Vec<u64> = rows.iter().map(|row| kept[row.source].device_ptr(&self.stream).0).collect();
        let numbers = |of: &dyn Fn(&GatherRow) -> usize| rows.iter().map(|row| of(row) as u32).collect::<Vec<_>>();
        let from = self.upload(&pointers)?;
        let rows_from = self.upload(&numbers(&|row| row.row))?;
        let columns_from = self.upload(&numbers(&|row| sources[row.source].1))?;
        let first = self.upload(&numbers(&|row| row.first))?;
        let lengths = self.upload(&numbers(&|row| row.length))?;
        let count = rows.len() * heads * columns * size;
        let mut to = self.room::<T>(count)?;
        let (heads, columns, size, elements) = (heads as u32, columns as u32, size as u32, count as u64);
        let kernel = if size_of::<T>() == 2 { &self.gather_rows_16 } else { &self.gather_rows_32 };
        let mut launch = self.stream.launch_builder(kernel);
        launch.arg(&from).arg(&rows_from).arg(&columns_from).arg(&first).arg(&lengths).arg(&mut to);
        launch.arg(&heads).arg(&columns).arg(&size).arg(&elements);
        // SAFETY: the arguments are those of the kernel's declaration in cache.cu; it writes `count` elements, and reads of every source
        // the rows and columns that the caller says it has.
        unsafe { launch.launch(Self::grid(count)) }.map_err(failed("run gather_rows"))?;
        self.download(&to)
    }
}
