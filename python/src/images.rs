//! Images as Python hands them over.

use std::borrow::Cow;
use std::path::PathBuf;

use gemscope::image::UprightImage;
use gemscope::session::{BatchContent, BatchImage};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::errors::{Kind, error};

/// `(name, path, data, size, orientation)`: a file with a path; the bytes of a file with `data`;
/// RGB pixels, row by row, with `data` and `size`, which is width and height. The orientation is
/// that of a file which was turned already.
#[derive(FromPyObject)]
pub(crate) struct Image(String, Option<PathBuf>, Option<PyBackedBytes>, Option<(u32, u32)>, u8);

impl Image {
    /// The same for the library; only pixels are copied.
    pub(crate) fn content(&self) -> PyResult<BatchImage<'_>> {
        let Self(name, path, data, size, orientation) = self;
        let content = match (path, data, size) {
            (Some(path), ..) => BatchContent::File(path.clone()),
            (None, Some(data), None) => BatchContent::Bytes(Cow::Borrowed(data.as_ref())),
            (None, Some(data), Some((width, height))) => {
                let (width, height) = (*width, *height);
                let whole = u64::from(width) * u64::from(height) * 3;
                if whole == 0 || whole != data.len() as u64 {
                    let bytes = data.len();
                    let says = format!("{bytes} bytes are no RGB image of {width}x{height} pixels");
                    return Err(error(Kind::Image, says));
                }
                let image = UprightImage {
                    width,
                    height,
                    rgb: data.to_vec(),
                    orientation: *orientation,
                    rows_there: 1.0,
                    notes: Vec::new(),
                };
                BatchContent::Pixels(Cow::Owned(image))
            }
            (None, None, _) => return Err(error(Kind::Image, format!("{name}: no image"))),
        };
        Ok(BatchImage { name: name.clone(), content })
    }
}
