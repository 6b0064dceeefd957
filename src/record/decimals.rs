//! How exact the numbers of a record are.

/// Factor for rounding probabilities and scores: four decimals are kept.
const DECIMALS: f64 = 1e4;

/// `value` to four decimals.
pub(crate) fn to_four_decimals(value: f64) -> f64 {
    (value * DECIMALS).round() / DECIMALS
}

/// Whether a probability would be rounded otherwise if it were a little different.
pub(crate) fn is_near_rounding(probability: f64) -> bool {
    ((probability * DECIMALS).fract() - 0.5).abs() < DOUBT * DECIMALS
}

/// Probabilities of one token in runs of different shapes were seen to differ by less than 1e-7 in
/// f32.
const DOUBT: f64 = 3e-6;

/// The index of the greatest value, the first of equal ones.
pub(crate) fn index_of_greatest(values: &[f64]) -> Option<usize> {
    let later = |best: usize, index: usize| if values[index] > values[best] { index } else { best };
    (0..values.len()).reduce(later)
}
