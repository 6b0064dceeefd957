//! Patches to soft tokens.
//!
//! In: the patches of one view, or of several of one size, unpadded. Out: one row of the text
//! model's width for each soft token. Promises: another number of rows than the view has soft
//! tokens is an error; patches are padded only if the graph has a fixed number of them; soft tokens
//! that are needed on a card stay there.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2};
use ort::value::DynValue;

use super::error::GraphError;
use super::graph::{Feeds, Graph};
use super::tensor;
use crate::preprocess::{PatchGrid, Rescaling, SOFT_TOKEN_SIDE};
use crate::record::Budget;

/// The soft tokens of one view, in the width of the text model.
#[derive(Debug, Clone)]
pub struct Features {
    soft: SoftTokens,
    /// One row a soft token.
    pub rows: usize,
    /// The text model's hidden size.
    pub width: usize,
}

/// The memory of soft tokens.
#[derive(Debug, Clone)]
pub(super) enum SoftTokens {
    /// In main memory, `[rows, width]`, row by row.
    Host(Vec<f32>),
    /// On a device, one segment behind the other.
    Device(Vec<Segment>),
}

/// Consecutive rows of a tensor of soft tokens.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) tensor: Arc<DynValue>,
    pub(super) first: usize,
    pub(super) rows: usize,
}

impl Features {
    /// Soft tokens in main memory, `[rows, width]`, f32.
    pub fn new(values: Array2<f32>) -> Self {
        let (rows, width) = values.dim();
        // Row by row, without a copy if they are that already.
        let values = if values.is_standard_layout() {
            values.into_raw_vec_and_offset().0
        } else {
            values.iter().copied().collect()
        };
        Self { soft: SoftTokens::Host(values), rows, width }
    }

    /// The values, `[rows, width]`, f32, if they lie in main memory.
    pub fn values(&self) -> Option<ArrayView2<'_, f32>> {
        match &self.soft {
            SoftTokens::Host(values) => {
                ArrayView2::from_shape((self.rows, self.width), values).ok()
            }
            SoftTokens::Device(_) => None,
        }
    }

    pub(super) fn soft(&self) -> &SoftTokens {
        &self.soft
    }

    /// Soft tokens of several views as one, for a query about all of them. Views of one model lie
    /// in one memory.
    pub fn joined(views: &[&Self]) -> Self {
        let (mut here, mut device) = (Vec::new(), Vec::new());
        for view in views {
            match &view.soft {
                SoftTokens::Host(values) => here.extend(values),
                SoftTokens::Device(segments) => device.extend(segments.iter().cloned()),
            }
        }
        Self {
            soft: if device.is_empty() {
                SoftTokens::Host(here)
            } else {
                SoftTokens::Device(device)
            },
            rows: views.iter().map(|view| view.rows).sum(),
            width: views.first().map_or(0, |view| view.width),
        }
    }

    /// Splits them into parts of the given numbers of rows.
    fn split(self, parts: Vec<usize>) -> Vec<Self> {
        let Self { soft, width, .. } = self;
        let mut split = Vec::with_capacity(parts.len());
        match soft {
            SoftTokens::Host(mut values) => {
                for rows in parts {
                    let rest = values.split_off(rows * width);
                    let soft = SoftTokens::Host(std::mem::replace(&mut values, rest));
                    split.push(Self { soft, rows, width });
                }
            }
            SoftTokens::Device(segments) => {
                let Some(Segment { tensor, mut first, .. }) = segments.into_iter().next() else {
                    return split;
                };
                for rows in parts {
                    let segment = Segment { tensor: Arc::clone(&tensor), first, rows };
                    first += rows;
                    split.push(Self { soft: SoftTokens::Device(vec![segment]), rows, width });
                }
            }
        }
        split
    }
}

pub(super) struct VisionEncoder {
    pub(super) graph: Graph,
    /// Whether soft tokens are left on the device: the embedding or decoder graph reads them there.
    pub(super) keeps: bool,
    positions: String,
    patch_values: usize,
    /// The last feed: the next views of that shape are written over it.
    pixels: Option<DynValue>,
}

const PIXELS: &str = "pixel_values";

impl VisionEncoder {
    pub(super) fn new(graph: Graph) -> Result<Self, GraphError> {
        let pixels = graph.require_input(PIXELS)?;
        let rank = pixels.shape.len();
        // 768 = 16x16x3 by default; 6912 = 48x48x3 is the encoder-free variant (gemma4_unified).
        let patch_values = rank.checked_sub(1).and_then(|axis| pixels.fixed(axis)).unwrap_or(768);
        if !matches!(rank, 2 | 3) || !matches!(patch_values, 768 | 6912) {
            return Err(graph.contract(format!(
                "`{PIXELS}` has shape {:?}; expected [views, patches, 768] or [views, patches, \
                 6912]",
                pixels.shape
            )));
        }
        // The largest budget has 1120 x 9 patches; a graph made for many times more would only cost
        // memory, or all of it.
        let most = Budget::MAX.max_patches() as usize * 4;
        if let Some(count) = pixels.fixed(rank - 2).filter(|count| !(1..=most).contains(count)) {
            return Err(
                graph.contract(format!("`{PIXELS}` is for {count} patches; expected 1 to {most}"))
            );
        }
        let other_name = graph.input("image_position_ids");
        let positions = graph
            .require_input("pixel_position_ids")
            .or_else(|missing| other_name.ok_or(missing))?;
        let positions = positions.name.clone();
        Ok(Self { graph, keeps: false, positions, patch_values, pixels: None })
    }

    pub(super) fn patch_side(&self) -> u32 {
        if self.patch_values == 6912 { SOFT_TOKEN_SIDE } else { crate::preprocess::PATCH_SIDE }
    }

    /// Views of the same patch count; each with the soft tokens that are expected of it.
    pub(super) fn encode(
        &mut self,
        views: Vec<(PatchGrid, usize)>,
    ) -> Result<Vec<Features>, GraphError> {
        let (grids, expected): (Vec<_>, Vec<_>) = views.into_iter().unzip();
        let all = self.run(grids)?;
        if all.rows != expected.iter().sum::<usize>() {
            return Err(self.graph.contract(format!(
                "gave {} soft tokens for views of {expected:?}; the graph was exported for a \
                 fixed size (try a smaller `budget`)",
                all.rows
            )));
        }
        Ok(all.split(expected))
    }

    /// The values of soft tokens, `[rows, width]`, wherever they lie.
    pub(super) fn values(&self, features: &Features) -> Result<Vec<f32>, GraphError> {
        let segments = match &features.soft {
            SoftTokens::Host(values) => return Ok(values.clone()),
            SoftTokens::Device(segments) => segments,
        };
        let mut values = Vec::with_capacity(features.rows * features.width);
        for segment in segments {
            let elements =
                segment.first * features.width..(segment.first + segment.rows) * features.width;
            values.extend(tensor::range(&self.graph, "soft tokens", &segment.tensor, elements)?);
        }
        Ok(values)
    }

    /// Views of the same patch count in one run; the soft tokens of all of them.
    pub(super) fn run(&mut self, mut views: Vec<PatchGrid>) -> Result<Features, GraphError> {
        let pixels = self.graph.require_input(PIXELS)?;
        let rank = pixels.shape.len();
        // Pad only if the graph has a fixed number of patches: padding changes nothing but costs
        // time.
        let fixed = pixels.fixed(rank - 2);
        let count = fixed.unwrap_or_else(|| views.iter().map(PatchGrid::count).max().unwrap_or(0));
        if let Some(view) = views.iter().find(|view| view.count() > count) {
            return Err(self.graph.contract(format!(
                "takes {count} patches and the view has {}; use a smaller `budget`",
                view.count()
            )));
        }
        for view in &mut views {
            view.pad_to(count);
        }
        let batch = views.len();
        let rescaling = views.first().map(|view| view.rescaling).unwrap_or_default();
        let mut views = views.into_iter();
        let (mut bytes, mut positions) =
            views.next().map(|view| (view.pixels, view.positions)).unwrap_or_default();
        for view in views {
            bytes.extend(view.pixels);
            positions.extend(view.positions);
        }
        let (pixel_shape, position_shape) = match rank {
            2 => (vec![count, self.patch_values], vec![count, 2]),
            _ => (vec![batch, count, self.patch_values], vec![batch, count, 2]),
        };
        let last = self.pixels.take().filter(|last| tensor::shape(last) == pixel_shape);
        let fed = if rescaling == Rescaling::Divide && self.graph.is_resident() {
            // The card's kernel multiplies.
            let values = bytes.iter().map(|byte| rescaling.of(*byte)).collect();
            tensor::floats(&self.graph, pixels, &pixel_shape, values)?
        } else {
            let mut fed = match last {
                Some(last) => last,
                None => self.graph.tensor(pixels.dtype, &pixel_shape)?,
            };
            let side = self.patch_side() as usize;
            tensor::rescale_bytes(&self.graph, &mut fed, &bytes, side, rescaling)?;
            fed
        };
        let fed = &*self.pixels.insert(fed);
        let position_port = self.graph.require_input(&self.positions)?;
        let feeds: Feeds<'_> = vec![
            (PIXELS.into(), fed.into()),
            (
                self.positions.clone().into(),
                tensor::integers(&self.graph, position_port, &position_shape, positions)?.into(),
            ),
        ];
        let name = match self.graph.outputs.as_slice() {
            [only] => only.name.clone(),
            _ => self.graph.require_output("image_features")?.name.clone(),
        };
        let mut outputs = self.graph.run(feeds)?;
        let Some(value) = outputs.remove(&name) else {
            return Err(self.graph.contract(format!("gave no output `{name}`")));
        };
        let shape = tensor::shape(&value);
        let width = shape.last().copied().unwrap_or(0);
        let rows = shape.iter().rev().skip(1).product();
        if width == 0 {
            return Err(self.graph.contract(format!(
                "output `{name}` has shape {shape:?}; expected [soft tokens, width]"
            )));
        }
        if self.keeps {
            let whole = Segment { tensor: Arc::new(value), first: 0, rows };
            return Ok(Features { soft: SoftTokens::Device(vec![whole]), rows, width });
        }
        Ok(Features {
            soft: SoftTokens::Host(tensor::all(&self.graph, &name, &value)?),
            rows,
            width,
        })
    }
}
