//! Tensors in main memory, as slices: what the references are given.
//!
//! In: ONNX Runtime's values. Out: their dtype, shape, address and elements. Promises: only those
//! that the caller makes: the caller knows whether a tensor lies in main memory.
#![allow(unsafe_code)]

use std::ffi::c_void;

use ort::value::{DynTensorValueType, DynValue, TensorElementType};

use super::kernels::{GatherRow, reference};

/// A row of a cache that is taken into another one.
pub struct CacheRow<'v> {
    /// The cache, `[rows, heads, columns, size]`.
    pub cache: &'v DynValue,
    /// Which row.
    pub row: usize,
    /// The column of its first token.
    pub first: usize,
    /// How many of them are taken.
    pub length: usize,
}

/// The dtype of a tensor.
pub(super) fn dtype(value: &DynValue) -> Option<TensorElementType> {
    value.dtype().tensor_type()
}

/// Its shape.
pub(crate) fn shape(value: &DynValue) -> Vec<usize> {
    let shape = value.dtype().tensor_shape();
    shape
        .map(|shape| shape.iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect())
        .unwrap_or_default()
}

/// Bytes of one of its elements; 0 if they have no size of their own.
pub(super) fn element_bytes(value: &DynValue) -> usize {
    dtype(value).and_then(|dtype| dtype.byte_size(1)).unwrap_or(0)
}

/// The address of a tensor's data; null if it is no tensor, or has no elements.
pub(super) fn pointer(value: &DynValue) -> *mut c_void {
    let tensor = value.view().downcast::<DynTensorValueType>();
    tensor.map_or(std::ptr::null_mut(), |tensor| tensor.data_ptr().cast_mut().cast())
}

/// The tensor's elements.
///
/// # Safety
/// It lies in main memory, and its elements are as large as `T` and may be read as one.
pub(super) unsafe fn slice<T>(value: &DynValue) -> &[T] {
    let (count, start) = (shape(value).iter().product(), pointer(value));
    if start.is_null() {
        return &[];
    }
    // SAFETY: by this function's own condition; ONNX Runtime's tensors are aligned for every dtype.
    unsafe { std::slice::from_raw_parts(start.cast::<T>(), count) }
}

/// The same, to be written.
///
/// # Safety
/// As [`slice`].
pub(super) unsafe fn slice_mut<T>(value: &mut DynValue) -> &mut [T] {
    let (count, start) = (shape(value).iter().product(), pointer(value));
    if start.is_null() {
        return &mut [];
    }
    // SAFETY: by this function's own condition, and nothing else has the tensor.
    unsafe { std::slice::from_raw_parts_mut(start.cast::<T>(), count) }
}

/// The tensor's bytes.
///
/// # Safety
/// It lies in main memory.
pub(super) unsafe fn bytes_of(value: &DynValue) -> &[u8] {
    let (bytes, start) =
        (shape(value).iter().product::<usize>() * element_bytes(value), pointer(value));
    if start.is_null() {
        return &[];
    }
    // SAFETY: by this function's own condition.
    unsafe { std::slice::from_raw_parts(start.cast::<u8>(), bytes) }
}

/// The same, to be written.
///
/// # Safety
/// It lies in main memory.
pub(super) unsafe fn bytes_of_mut(value: &mut DynValue) -> &mut [u8] {
    let (bytes, start) =
        (shape(value).iter().product::<usize>() * element_bytes(value), pointer(value));
    if start.is_null() {
        return &mut [];
    }
    // SAFETY: by this function's own condition, and nothing else has the tensor.
    unsafe { std::slice::from_raw_parts_mut(start.cast::<u8>(), bytes) }
}

/// [`reference::gather`] on tensors.
///
/// # Safety
/// They lie in main memory, and their elements are as large as `T`.
pub(super) unsafe fn gather_here<T: Copy + Default>(
    rows: &[CacheRow<'_>],
    taken: impl Fn(usize, &CacheRow<'_>) -> GatherRow,
    at: [usize; 3],
    to: &mut DynValue,
) {
    // SAFETY: by this function's own condition.
    let sources: Vec<(&[T], usize)> =
        rows.iter().map(|row| (unsafe { slice(row.cache) }, shape(row.cache)[2])).collect();
    let rows: Vec<GatherRow> =
        rows.iter().enumerate().map(|(source, row)| taken(source, row)).collect();
    // SAFETY: by this function's own condition.
    unsafe { slice_mut::<T>(to) }.copy_from_slice(&reference::gather(&sources, &rows, at));
}
