//! Precisions of graphs, by the suffixes of their files.

use std::fmt;
use std::str::FromStr;

use super::layout_error::LayoutError;

/// Suffixes in the order of the automatic choice: full precision first, then the smaller ones
/// (utils/dtypes.js of transformers.js).
pub(super) const SUFFIXES: [&str; 12] = [
    "",
    "_fp16",
    "_quantized",
    "_int8",
    "_uint8",
    "_q4",
    "_q4f16",
    "_bnb4",
    "_q2",
    "_q2f16",
    "_q1",
    "_q1f16",
];

/// The precision that is wanted of each graph, as the suffix of its file says it: `fp32`, `fp16`,
/// `q8`, `q4`, `q4f16` ...
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dtypes {
    /// The vision graph's.
    pub vision: Option<String>,
    /// The embedding graph's.
    pub embedding: Option<String>,
    /// The decoder's.
    pub decoder: Option<String>,
}

impl fmt::Display for Dtypes {
    /// As it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts =
            [("vision", &self.vision), ("embedding", &self.embedding), ("decoder", &self.decoder)];
        if let (Some(one), true) =
            (&self.vision, parts.iter().all(|(_, dtype)| **dtype == self.vision))
        {
            return f.write_str(one);
        }
        let named = parts
            .iter()
            .filter_map(|(graph, dtype)| dtype.as_ref().map(|dtype| format!("{graph}={dtype}")));
        f.write_str(&named.collect::<Vec<_>>().join(","))
    }
}

impl FromStr for Dtypes {
    type Err = LayoutError;

    /// `q4f16` for all three, or `vision=fp16,decoder=q4f16`.
    fn from_str(text: &str) -> Result<Self, LayoutError> {
        if !text.contains('=') {
            let all = Some(text.to_owned());
            return Ok(Self { vision: all.clone(), embedding: all.clone(), decoder: all });
        }
        let mut dtypes = Self::default();
        for part in text.split(',') {
            let wanted = part
                .split_once('=')
                .map(|(graph, dtype)| (graph.trim(), Some(dtype.trim().to_owned())));
            match wanted {
                Some(("vision", dtype)) => dtypes.vision = dtype,
                Some(("embedding", dtype)) => dtypes.embedding = dtype,
                Some(("decoder", dtype)) => dtypes.decoder = dtype,
                _ => return Err(LayoutError::Dtype(part.to_owned())),
            }
        }
        Ok(dtypes)
    }
}

/// The suffix of a precision (utils/dtypes.js of transformers.js).
pub(super) fn suffix(dtype: &str) -> String {
    match dtype {
        "fp32" | "f32" => String::new(),
        "f16" => "_fp16".to_owned(),
        "q8" => "_quantized".to_owned(),
        other => format!("_{other}"),
    }
}

/// The precision that a suffix stands for, as `dtype` names it.
pub(super) fn dtype_of(suffix: &str) -> &str {
    match suffix {
        "" => "fp32",
        "_quantized" => "q8",
        other => other.trim_start_matches('_'),
    }
}
