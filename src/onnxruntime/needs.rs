//! Requirements for computing on a CUDA device, and which of them are met.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::device::devices::CudaDevice;

/// One thing that computing on a CUDA device needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Need {
    /// Its name.
    pub what: &'static str,
    /// Whether it is there and serves.
    pub met: bool,
    /// What was found, or what was looked for and where.
    pub says: String,
    /// What to do if it is not met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Need {
    pub(super) fn new(what: &'static str, found: Result<String, String>, advice: &str) -> Self {
        match found {
            Ok(says) => Self { what, met: true, says, advice: None },
            Err(says) => Self { what, met: false, says, advice: Some(advice.to_owned()) },
        }
    }
}

/// Whether a CUDA device can be used, and if not, why. As text it is the paragraph that says so.
#[derive(Debug, Clone, Serialize)]
pub struct CudaState {
    /// The card that would be used.
    pub device: Option<CudaDevice>,
    /// Others that would be used beside it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<CudaDevice>,
    /// How many cards there are, usable or not.
    pub cards: usize,
    /// Everything that is needed, from the driver up.
    pub needs: Vec<Need>,
    /// The ONNX Runtime that has a provider for CUDA, and its version.
    #[serde(skip)]
    #[cfg_attr(not(feature = "load-dynamic"), allow(dead_code))]
    // nothing is loaded if ONNX Runtime is linked in
    pub(super) library: Option<(super::Origin, PathBuf, String)>,
    /// NVIDIA's libraries, in the order in which they are loaded.
    #[serde(skip)]
    #[cfg_attr(not(feature = "load-dynamic"), allow(dead_code))]
    pub(super) nvidia: Vec<PathBuf>,
}

impl CudaState {
    /// Whether all is there.
    pub fn is_ready(&self) -> bool {
        self.needs.iter().all(|need| need.met)
    }

    /// The first requirement that is not met, in one line; empty if all are.
    pub fn obstacle(&self) -> &str {
        self.needs.iter().find(|need| !need.met).map_or("", |need| &need.says)
    }

    /// The advice of all requirements that are not met, without repetitions.
    pub fn advice(&self) -> Vec<&str> {
        let mut advice: Vec<&str> =
            self.needs.iter().filter_map(|need| need.advice.as_deref()).collect();
        advice.dedup();
        advice
    }

    /// The same with one more thing that did not work.
    #[must_use]
    #[cfg(feature = "load-dynamic")]
    pub(super) fn with(mut self, what: &'static str, failed: String, advice: &str) -> Self {
        self.needs.push(Need::new(what, Err(failed), advice));
        self
    }
}

impl fmt::Display for CudaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no CUDA device can be used. Looked for")?;
        for (index, need) in self.needs.iter().enumerate() {
            let (before, missing) =
                (if index == 0 { " " } else { "; " }, if need.met { "" } else { "NOT MET, " });
            write!(f, "{before}{}: {missing}{}", need.what, need.says)?;
        }
        write!(
            f,
            ". What to do: {}; or compute on the CPU with `device` cpu",
            self.advice().join("; ")
        )
    }
}

impl std::error::Error for CudaState {}
