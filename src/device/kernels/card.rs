//! The kernels on a card.
//!
//! In: main memory, or addresses of the card's. Out: as [`reference`](super::reference) says of
//! each kernel. Promises: what was to be done is done when a function returns; what a grammar
//! allows is sent once and kept on the card.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::{
    CudaContext, CudaFunction, CudaSlice, CudaStream, DevicePtr as _, DeviceRepr, DriverError,
    LaunchConfig, PinnedHostSlice, PushKernelArg as _, ValidAsZeroBits, result,
};
use cudarc::nvrtc::Ptx;

use super::{Address, Allowed, KernelError, PickRow, RowAt, THREADS, TopK, blocks, patch_values};
use crate::device::devices::{CudaDevice, driver_words};

/// The most masks that are kept on the card: 32 KiB each with a vocabulary of 262144.
const MASKS_KEPT: usize = 512;

fn failed(action: &'static str) -> impl Fn(DriverError) -> KernelError {
    move |error| KernelError::Driver { action, reason: driver_words(error) }
}

/// The kernels, loaded on a card.
pub(in crate::device) struct Kernels {
    stream: Arc<CudaStream>,
    patches_f32: CudaFunction,
    patches_f16: CudaFunction,
    pick_f32: CudaFunction,
    pick_f16: CudaFunction,
    gather_rows_16: CudaFunction,
    gather_rows_32: CudaFunction,
    mask_rows: CudaFunction,
    /// Masks that grammars allowed before: the same ones return again and again.
    masks: Mutex<HashMap<Box<[u32]>, CudaSlice<u32>>>,
    /// Pinned pages, which the card reads directly.
    pinned: Mutex<Option<PinnedHostSlice<u8>>>,
}

impl Kernels {
    /// Loads them on `card`, which [`devices::cuda`](crate::device::devices::cuda) found.
    ///
    /// # Errors
    /// [`KernelError`] if the driver refuses the card or a kernel.
    pub(in crate::device) fn load(card: &CudaDevice) -> Result<Self, KernelError> {
        let context = CudaContext::new(card.index).map_err(failed("make a context"))?;
        let module =
            |ptx: &str| context.load_module(Ptx::from_src(ptx)).map_err(failed("load a kernel"));
        let patches = module(include_str!("patches.ptx"))?;
        let logits = module(include_str!("logits.ptx"))?;
        let cache = module(include_str!("cache.ptx"))?;
        let found = failed("find a kernel");
        Ok(Self {
            stream: context.default_stream(),
            patches_f32: patches.load_function("patches_f32").map_err(&found)?,
            patches_f16: patches.load_function("patches_f16").map_err(&found)?,
            pick_f32: logits.load_function("pick_f32").map_err(&found)?,
            pick_f16: logits.load_function("pick_f16").map_err(&found)?,
            gather_rows_16: cache.load_function("gather_rows_16").map_err(&found)?,
            gather_rows_32: cache.load_function("gather_rows_32").map_err(&found)?,
            mask_rows: cache.load_function("mask_rows").map_err(&found)?,
            masks: Mutex::default(),
            pinned: Mutex::default(),
        })
    }

    fn upload<T: DeviceRepr>(&self, values: &[T]) -> Result<CudaSlice<T>, KernelError> {
        self.stream.clone_htod(values).map_err(failed("take data"))
    }

    fn room<T: DeviceRepr + ValidAsZeroBits>(
        &self,
        count: usize,
    ) -> Result<CudaSlice<T>, KernelError> {
        self.stream.alloc_zeros(count).map_err(failed("give memory"))
    }

    fn download<T: DeviceRepr>(&self, values: &CudaSlice<T>) -> Result<Vec<T>, KernelError> {
        self.stream.clone_dtoh(values).map_err(failed("give data back"))
    }

    fn address<T>(&self, values: &CudaSlice<T>) -> Address {
        values.device_ptr(&self.stream).0
    }

    fn done(&self) -> Result<(), KernelError> {
        self.stream.synchronize().map_err(failed("finish"))
    }

    fn grid(count: usize) -> LaunchConfig {
        LaunchConfig {
            grid_dim: (blocks(count), 1, 1),
            block_dim: (THREADS, 1, 1),
            shared_mem_bytes: 0,
        }
    }

    /// Copies from one place of the card's memory to another; they do not overlap.
    ///
    /// # Safety
    /// There are `bytes` bytes at both addresses.
    pub(in crate::device) unsafe fn copy(
        &self,
        from: Address,
        to: Address,
        bytes: usize,
    ) -> Result<(), KernelError> {
        let copying = failed("copy");
        self.stream.context().bind_to_thread().map_err(&copying)?;
        // SAFETY: by this function's own condition.
        unsafe { result::memcpy_dtod_async(to, from, bytes, self.stream.cu_stream()) }
            .map_err(&copying)?;
        self.done()
    }

    /// Copies from main memory to the card's.
    ///
    /// # Safety
    /// There are as many bytes at `to` as `from` has.
    pub(in crate::device) unsafe fn write(
        &self,
        from: &[u8],
        to: Address,
    ) -> Result<(), KernelError> {
        let writing = failed("take data");
        self.stream.context().bind_to_thread().map_err(&writing)?;
        // SAFETY: by this function's own condition; `from` lives until the stream is done.
        unsafe { result::memcpy_htod_async(to, from, self.stream.cu_stream()) }
            .map_err(&writing)?;
        self.done()
    }

    /// Copies what lies on the card to main memory.
    ///
    /// # Safety
    /// There are as many bytes at `from` as `to` has.
    pub(in crate::device) unsafe fn read(
        &self,
        from: Address,
        to: &mut [u8],
    ) -> Result<(), KernelError> {
        let reading = failed("give data back");
        self.stream.context().bind_to_thread().map_err(&reading)?;
        // SAFETY: by this function's own condition; `to` is not touched before the stream is done.
        unsafe { result::memcpy_dtoh_async(to, from, self.stream.cu_stream()) }
            .map_err(&reading)?;
        self.done()
    }

    /// [`reference::patches`](super::reference::patches) to an address, through pinned pages: only
    /// the bytes go over the bus.
    ///
    /// # Safety
    /// There is room for all values at `to`: 2 bytes each if they are `halves`, else 4.
    pub(in crate::device) unsafe fn patches_to(
        &self,
        rgb: &[u8],
        width: usize,
        side: usize,
        to: Address,
        halves: bool,
    ) -> Result<(), KernelError> {
        let count = patch_values(rgb.len(), width, side);
        if count == 0 {
            return Ok(());
        }
        let mut pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        if pinned.as_ref().is_none_or(|pages| pages.len() < rgb.len()) {
            *pinned = None;
            // SAFETY: what is unset of it is never read: only what was written before each copy is.
            let pages = unsafe { self.stream.context().alloc_pinned::<u8>(rgb.len()) };
            *pinned = Some(pages.map_err(failed("pin memory"))?);
        }
        let Some(pages) = pinned.as_mut() else { return Ok(()) };
        let pages = pages.as_mut_slice().map_err(failed("use pinned memory"))?;
        pages[..rgb.len()].copy_from_slice(rgb);
        let from = self.upload(&pages[..rgb.len()])?;
        let kernel = if halves { &self.patches_f16 } else { &self.patches_f32 };
        let (width, side, elements) = (width as u32, side as u32, count as u32);
        let mut launch = self.stream.launch_builder(kernel);
        launch.arg(&from).arg(&to).arg(&width).arg(&side).arg(&elements);
        // SAFETY: the arguments are those of the kernel's declaration in patches.cu, and it writes
        // `count` elements, of which each reads a byte of a whole patch inside the image.
        unsafe { launch.launch(Self::grid(count)) }.map_err(failed("run patches"))?;
        self.done()
    }

    /// [`reference::pick`](super::reference::pick) of logits that lie on the card.
    ///
    /// # Safety
    /// At `logits` there are as many lines of `vocabulary` as `rows` name, in f16 if they are
    /// `halves`, else in f32.
    pub(in crate::device) unsafe fn pick_at(
        &self,
        logits: Address,
        halves: bool,
        vocabulary: usize,
        rows: &[PickRow<'_>],
        most: usize,
    ) -> Result<Vec<TopK>, KernelError> {
        let mut masks = self.masks.lock().unwrap_or_else(PoisonError::into_inner);
        if masks.len() + rows.len() > MASKS_KEPT {
            masks.clear();
        }
        let mut listed: Vec<u32> = Vec::new();
        for row in rows {
            match row.allowed {
                Allowed::Bits(bits) if !masks.contains_key(bits) => {
                    let sent = self.upload(bits)?;
                    masks.insert(bits.into(), sent);
                }
                Allowed::Ids(ids) => listed.extend(ids),
                Allowed::Bits(_) | Allowed::All => {}
            }
        }
        // An address is needed even if there is no list.
        listed.push(0);
        let lists = self.upload(&listed)?;
        let mut next = self.address(&lists);
        let (mut allowed, mut counts) =
            (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for row in rows {
            let (address, count) = match row.allowed {
                Allowed::All => (0, 0),
                Allowed::Bits(bits) => (masks.get(bits).map_or(0, |kept| self.address(kept)), 0),
                Allowed::Ids(ids) => (next, ids.len()),
            };
            next += count as u64 * 4;
            allowed.push(address);
            counts.push(count as u32);
        }
        let (allowed, counts) = (self.upload(&allowed)?, self.upload(&counts)?);
        let lines = self.upload(&rows.iter().map(|row| row.line as u32).collect::<Vec<_>>())?;
        let temperatures =
            self.upload(&rows.iter().map(|row| row.temperature).collect::<Vec<_>>())?;
        let mut ids = self.room::<u32>(rows.len() * most)?;
        let mut values = self.room::<f32>(rows.len() * most)?;
        let (mut largest, mut sum) = (self.room::<f32>(rows.len())?, self.room::<f64>(rows.len())?);
        let (vocabulary, wanted) = (vocabulary as u32, most as u32);
        let mut launch =
            self.stream.launch_builder(if halves { &self.pick_f16 } else { &self.pick_f32 });
        launch
            .arg(&logits)
            .arg(&lines)
            .arg(&vocabulary)
            .arg(&allowed)
            .arg(&counts)
            .arg(&temperatures)
            .arg(&wanted);
        launch.arg(&mut ids).arg(&mut values).arg(&mut largest).arg(&mut sum);
        let grid = LaunchConfig {
            grid_dim: (rows.len() as u32, 1, 1),
            block_dim: (THREADS, 1, 1),
            shared_mem_bytes: 0,
        };
        // SAFETY: the arguments are those of the kernel's declaration in logits.cu, the first of
        // them the logits in its dtype; there is one block of THREADS a row, and every output has
        // room for all rows. Masks and lists live on, to the end of this function at least.
        unsafe { launch.launch(grid) }.map_err(failed("run pick"))?;
        let (ids, values) = (self.download(&ids)?, self.download(&values)?);
        let (largest, sum) = (self.download(&largest)?, self.download(&sum)?);
        self.done()?;
        let picked = |row: usize| TopK {
            ids: ids[row * most..][..most].to_vec(),
            logits: values[row * most..][..most].to_vec(),
            largest: largest[row],
            sum: sum[row],
        };
        Ok((0..rows.len()).map(picked).collect())
    }

    /// [`reference::gather`](super::reference::gather) of rows that lie on the card, to an address.
    ///
    /// # Safety
    /// The sources are as `rows` say, in elements of `element` bytes (2 or 4), and at `to` there is
    /// room for `rows` of `[heads, columns, size]`.
    pub(in crate::device) unsafe fn gather_to(
        &self,
        rows: &[RowAt],
        [heads, columns, size]: [usize; 3],
        element: usize,
        to: Address,
    ) -> Result<(), KernelError> {
        let count = rows.len() * heads * columns * size;
        if count == 0 {
            return Ok(());
        }
        let numbers = |of: &dyn Fn(&RowAt) -> usize| {
            rows.iter().map(|row| of(row) as u32).collect::<Vec<_>>()
        };
        let from = self.upload(&rows.iter().map(|row| row.source).collect::<Vec<_>>())?;
        let rows_from = self.upload(&numbers(&|row| row.taken.row))?;
        let columns_from = self.upload(&numbers(&|row| row.columns))?;
        let first = self.upload(&numbers(&|row| row.taken.first))?;
        let lengths = self.upload(&numbers(&|row| row.taken.length))?;
        let (heads, columns, size, elements) =
            (heads as u32, columns as u32, size as u32, count as u64);
        let kernel = if element == 2 { &self.gather_rows_16 } else { &self.gather_rows_32 };
        let mut launch = self.stream.launch_builder(kernel);
        launch.arg(&from).arg(&rows_from).arg(&columns_from).arg(&first).arg(&lengths).arg(&to);
        launch.arg(&heads).arg(&columns).arg(&size).arg(&elements);
        // SAFETY: the arguments are those of the kernel's declaration in cache.cu; it writes
        // `count` elements, and reads of every source the rows and columns that the caller says it
        // has.
        unsafe { launch.launch(Self::grid(count)) }.map_err(failed("run gather_rows"))?;
        self.done()
    }

    /// [`reference::mask`](super::reference::mask) to an address.
    ///
    /// # Safety
    /// There is room for `[pads, columns]` in i64 at `to`.
    pub(in crate::device) unsafe fn mask_to(
        &self,
        pads: &[u32],
        columns: usize,
        to: Address,
    ) -> Result<(), KernelError> {
        let pads_there = self.upload(pads)?;
        let count = pads.len() * columns;
        let (columns, elements) = (columns as u32, count as u32);
        let mut launch = self.stream.launch_builder(&self.mask_rows);
        launch.arg(&pads_there).arg(&to).arg(&columns).arg(&elements);
        // SAFETY: the arguments are those of the kernel's declaration in cache.cu, and it writes
        // `count` elements.
        unsafe { launch.launch(Self::grid(count)) }.map_err(failed("run mask_rows"))?;
        self.done()
    }
}
