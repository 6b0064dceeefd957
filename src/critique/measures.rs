//! stub
use serde::{Deserialize, Serialize};
/// stub
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// stub
    pub laplacian_variance: f64,
}
impl Measures {
    /// stub
    pub const NAMES: &'static [&'static str] = & ["laplacian_variance"];
    /// stub
    pub fn of(_width: u32, _height: u32, _rgb: &[u8]) -> Self { Self { laplacian_variance: 0.0 } }
}
