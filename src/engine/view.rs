//! Views in the form that an engine takes.

use std::any::Any;
use std::sync::Arc;

use ndarray::Array3;

use crate::image::{ReducedImage, UprightImage};
use crate::preprocess::{
    PatchGrid, PlannedView, Region, ResizeError, TargetSize, plan_frame, prepare_frame,
    prepare_reduced, prepare_view, resize,
};
use crate::record::{BBox, Budget, BudgetChoice};

/// The form in which an engine takes views.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewForm {
    /// Patches of this many pixels a side, as the vision graph takes them.
    Patches {
        /// 16, or 48 for the encoder-free variant.
        side: u32,
    },
    /// Rows of RGB pixels, as an encoder of PNG takes them.
    Rgb,
}

/// The pixels of a view at the size of its budget.
#[derive(Debug, Clone)]
pub enum ViewPixels {
    /// Cut into patches.
    Patches(PatchGrid),
    /// `[height, width, 3]`, u8.
    Rgb(Array3<u8>),
}

/// A part of an image, ready to be asked about.
#[derive(Clone)]
pub struct ShownView {
    /// Its region of the image.
    pub region: Region,
    /// The budget that was used.
    pub budget: Budget,
    /// The size that the part was resized to.
    pub size: TargetSize,
    /// Its pixels.
    pub pixels: ViewPixels,
    /// Dropped with the pixels: who bounds the memory of views that wait counts by it.
    pub hold: Option<Arc<dyn Any + Send + Sync>>,
}

impl ShownView {
    /// The part of an image that `view` plans, resized.
    ///
    /// # Errors
    /// [`ResizeError`] if the resizer refuses the buffers.
    ///
    /// # Panics
    /// If the view's region does not lie inside the image.
    pub fn of(
        image: &UprightImage,
        view: &PlannedView,
        form: ViewForm,
    ) -> Result<Self, ResizeError> {
        let PlannedView { region, budget, size } = *view;
        let pixels = match form {
            ViewForm::Patches { side } => {
                ViewPixels::Patches(prepare_view(image, view, side)?.patches)
            }
            ViewForm::Rgb => {
                let Region { x, y, width, height } = region;
                rgb(
                    size,
                    resize(&image.pixels(x, y, width, height), width, height, size)?.into_owned(),
                )
            }
        };
        Ok(Self { region, budget, size, pixels, hold: None })
    }

    /// A frame of a whole video.
    ///
    /// # Errors
    /// As [`Self::of`], and if no target size exists.
    pub fn of_frame(image: &UprightImage, form: ViewForm) -> Result<Self, ResizeError> {
        let PlannedView { region, budget, size } = plan_frame(image.width, image.height)?;
        let pixels = match form {
            ViewForm::Patches { side } => ViewPixels::Patches(prepare_frame(image, side)?.patches),
            ViewForm::Rgb => {
                let resized = resize(&image.rgb, image.width, image.height, size)?;
                rgb(size, resized.into_owned())
            }
        };
        Ok(Self { region, budget, size, pixels, hold: None })
    }

    /// The whole image, of which fewer pixels may have been decoded.
    ///
    /// # Errors
    /// As [`Self::of`], and if no target size exists.
    pub fn of_reduced(
        image: &ReducedImage,
        choice: BudgetChoice,
        form: ViewForm,
    ) -> Result<Self, ResizeError> {
        let PlannedView { region, budget, size } =
            PlannedView::of(Region::whole(image.width, image.height), choice)?;
        let pixels = match form {
            ViewForm::Patches { side } => {
                ViewPixels::Patches(prepare_reduced(image, choice, side)?.patches)
            }
            ViewForm::Rgb => {
                let decoded = &image.decoded;
                rgb(size, resize(&decoded.rgb, decoded.width, decoded.height, size)?.into_owned())
            }
        };
        Ok(Self { region, budget, size, pixels, hold: None })
    }

    /// How many bytes its pixels hold.
    pub fn bytes(&self) -> usize {
        match &self.pixels {
            ViewPixels::Patches(patches) => patches.bytes(),
            ViewPixels::Rgb(rgb) => rgb.len(),
        }
    }

    /// Its region of the image.
    pub fn bbox(&self) -> BBox {
        let [x, y, width, height] =
            [self.region.x, self.region.y, self.region.width, self.region.height].map(f64::from);
        BBox { x0: x, y0: y, x1: x + width, y1: y + height }
    }
}

/// The bytes of a resized view; the resizer gives as many as `size` says.
fn rgb(size: TargetSize, bytes: Vec<u8>) -> ViewPixels {
    let shape = (size.height as usize, size.width as usize, 3);
    ViewPixels::Rgb(Array3::from_shape_vec(shape, bytes).unwrap_or_else(|_| Array3::zeros(shape)))
}
