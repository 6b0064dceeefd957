//! The kernels of a build without CUDA: there is no card, so they cannot be loaded.

use super::{Address, KernelError, PickRow, RowAt, TopK};
use crate::device::devices::CudaDevice;

/// None can be loaded.
pub(in crate::device) enum Kernels {}

impl Kernels {
    pub(in crate::device) fn load(_: &CudaDevice) -> Result<Self, KernelError> {
        Err(KernelError::NotBuilt)
    }

    pub(in crate::device) unsafe fn copy(
        &self,
        _: Address,
        _: Address,
        _: usize,
    ) -> Result<(), KernelError> {
        match *self {}
    }

    pub(in crate::device) unsafe fn write(&self, _: &[u8], _: Address) -> Result<(), KernelError> {
        match *self {}
    }

    pub(in crate::device) unsafe fn read(
        &self,
        _: Address,
        _: &mut [u8],
    ) -> Result<(), KernelError> {
        match *self {}
    }

    pub(in crate::device) unsafe fn patches_to(
        &self,
        _: &[u8],
        _: usize,
        _: usize,
        _: Address,
        _: bool,
    ) -> Result<(), KernelError> {
        match *self {}
    }

    pub(in crate::device) unsafe fn pick_at(
        &self,
        _: Address,
        _: bool,
        _: usize,
        _: &[PickRow<'_>],
        _: usize,
    ) -> Result<Vec<TopK>, KernelError> {
        match *self {}
    }

    pub(in crate::device) unsafe fn gather_to(
        &self,
        _: &[RowAt],
        _: [usize; 3],
        _: usize,
        _: Address,
    ) -> Result<(), KernelError> {
        match *self {}
    }

    pub(in crate::device) unsafe fn mask_to(
        &self,
        _: &[u32],
        _: usize,
        _: Address,
    ) -> Result<(), KernelError> {
        match *self {}
    }
}
