//! Devices: the CPU, or a CUDA card; its memory, and the kernels that run there.
//!
//! In: what a user asks for, and what the machine has. Out: the [`Device`] of a session, memory on
//! it, and how much of a model fits. Promises: a driver that is missing or too old is a reason in
//! words, never a panic; what is computed on a card has a reference on the host that it is compared
//! with.
//!
//! ```
//! use gemscope::device::{Cards, DeviceChoice, devices};
//!
//! let choice: DeviceChoice = "cuda:all".parse()?;
//! assert_eq!(choice, DeviceChoice::Cuda(Cards::All));
//! // Without a driver there are no cards, and the reason is in `problem`.
//! let cuda = devices::cuda();
//! println!("{} cards, {:?}", cuda.devices.len(), cuda.problem);
//! # Ok::<(), String>(())
//! ```

mod choice;
pub mod devices;
mod host_tensor;
pub mod kernels;
mod memory;

pub use choice::{Cards, Device, DeviceChoice, MemoryBudget, ModelSize, memory_budget};
pub(crate) use choice::{LOWEST_CUDA, choose, version};
pub use host_tensor::CacheRow;
pub(crate) use host_tensor::shape;
pub use memory::{BusTraffic, DeviceMemory, DeviceMemoryError, tensor};
