//! Classical measures of a frame's pixels.

use serde::{Deserialize, Serialize};

/// Measures of one frame. Luma is that of ITU-R BT.601 from 0 to 255, rounded, as `OpenCV` and
/// Pillow make grey of RGB. Each number is rounded to four significant digits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Measures {
    /// The variance of luma's Laplacian: low if the frame is blurred. Pech-Pacheco et al., "Diatom
    /// autofocusing in brightfield microscopy", ICPR 2000; the kernel with four neighbours, without
    /// the outermost pixels, over at most a megapixel.
    pub laplacian_variance: f64,
    /// The standard deviation of the noise in steps of luma, estimated. Immerkær, "Fast Noise
    /// Variance Estimation", CVIU 64(2), 1996; fine texture counts as noise; over at most a
    /// megapixel.
    pub noise: f64,
    /// The share of pixels that are black, 0..1.
    pub clipped_shadows: f64,
    /// The share of pixels that are white, 0..1.
    pub clipped_highlights: f64,
    /// Luma's mean.
    pub luma_mean: f64,
    /// Luma's standard deviation, which is the contrast in Peli, "Contrast in complex images", JOSA
    /// A 7(10), 1990.
    pub luma_deviation: f64,
    /// The entropy of luma's histogram in bits, 0..8. Shannon, "A Mathematical Theory of
    /// Communication", 1948.
    pub luma_entropy: f64,
}

impl Measures {
    /// The names of all measures, as rules and tables call them.
    pub const NAMES: &'static [&'static str] = &[
        "laplacian_variance",
        "noise",
        "clipped_shadows",
        "clipped_highlights",
        "luma_mean",
        "luma_deviation",
        "luma_entropy",
    ];
    /// Those that are worse the higher they are.
    pub const BAD_WHEN_HIGH: &'static [&'static str] =
        &["noise", "clipped_shadows", "clipped_highlights"];

    /// The measure of one of [`Self::NAMES`].
    pub fn by_name(&self, name: &str) -> Option<f64> {
        Some(match name {
            "laplacian_variance" => self.laplacian_variance,
            "noise" => self.noise,
            "clipped_shadows" => self.clipped_shadows,
            "clipped_highlights" => self.clipped_highlights,
            "luma_mean" => self.luma_mean,
            "luma_deviation" => self.luma_deviation,
            "luma_entropy" => self.luma_entropy,
            _ => return None,
        })
    }
}
