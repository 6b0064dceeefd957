//! How exact the numbers of a record are.

/// What a probability or a score is multiplied by before it is rounded to a whole number: four decimals are kept.
pub(crate) const DECIMALS: f64 = 1e4;

/// `value` to four decimals.
pub(crate) fn to_four_decimals(value: f64) -> f64 {
    (value * DECIMALS).round() / DECIMALS
}
