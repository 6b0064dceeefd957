//! Tensors in and out of ONNX Runtime.
//!
//! In: f32 and i64 values, and the port that they are for. Out: values in the dtype of that port
//! (f32, f16, bf16, i64), and back to f32. Promises: a dtype that cannot be served is an error that
//! names the port. What is made here lies in main memory; what is read may lie on a card.

use std::borrow::Cow;
use std::ops::Range;

use half::{bf16, f16};
use ort::session::SessionInputValue;
use ort::value::{DynValue, Tensor, TensorElementType, TensorRef};

use super::error::GraphError;
use super::graph::{Graph, PortInfo};
pub(super) use crate::device::shape;
use crate::preprocess::Rescaling;

/// A tensor of `shape` with `values`, cast to the dtype of `port`.
pub(super) fn floats(
    graph: &Graph,
    port: &PortInfo,
    shape: &[usize],
    values: Vec<f32>,
) -> Result<DynValue, GraphError> {
    let shape = shape.to_vec();
    let made = match port.dtype {
        TensorElementType::Float32 => Tensor::from_array((shape, values)).map(Tensor::into_dyn),
        TensorElementType::Float16 => {
            Tensor::from_array((shape, values.into_iter().map(f16::from_f32).collect::<Vec<_>>()))
                .map(Tensor::into_dyn)
        }
        TensorElementType::Bfloat16 => {
            Tensor::from_array((shape, values.into_iter().map(bf16::from_f32).collect::<Vec<_>>()))
                .map(Tensor::into_dyn)
        }
        other => {
            return Err(
                graph.contract(format!("`{}` is {other}; expected a float type", port.name))
            );
        }
    };
    made.map_err(|error| graph.runtime(error)).inspect(|value| graph.carries(value))
}

/// `value` in the dtype of `port`: graphs of different precisions may be mixed.
pub(super) fn cast(
    graph: &Graph,
    port: &PortInfo,
    value: DynValue,
) -> Result<DynValue, GraphError> {
    if value.dtype().tensor_type() == Some(port.dtype) {
        return Ok(value);
    }
    let shape = shape(&value);
    floats(graph, port, &shape, all(graph, &port.name, &value)?)
}

/// An i64 tensor for `port`.
pub(super) fn integers(
    graph: &Graph,
    port: &PortInfo,
    shape: &[usize],
    values: Vec<i64>,
) -> Result<DynValue, GraphError> {
    if port.dtype != TensorElementType::Int64 {
        return Err(graph.contract(format!("`{}` is {}; expected int64", port.name, port.dtype)));
    }
    let made = Tensor::from_array((shape.to_vec(), values)).map(Tensor::into_dyn);
    made.map_err(|error| graph.runtime(error)).inspect(|value| graph.carries(value))
}

/// A tensor without elements, in the dtype of `port`.
pub(super) fn empty(
    graph: &Graph,
    port: &PortInfo,
    shape: &[usize],
) -> Result<DynValue, GraphError> {
    debug_assert!(shape.contains(&0));
    graph.tensor(port.dtype, shape)
}

/// A tensor in the dtype of `value`, and of the same kind of memory as its graph's outputs; what is
/// in it is not set.
pub(super) fn like(
    graph: &Graph,
    value: &DynValue,
    shape: &[usize],
) -> Result<DynValue, GraphError> {
    let Some(dtype) = value.dtype().tensor_type() else {
        return Err(graph.contract("a cache that is not a tensor".to_owned()));
    };
    graph.tensor(dtype, shape)
}

/// Calls `$body` with the value's data as a slice of its own float type.
macro_rules! with_floats {
    ($graph:expr, $value:expr, $extract:ident, |$data:ident| $body:expr) => {
        match $value.dtype().tensor_type() {
            Some(TensorElementType::Float32) => $value
                .$extract::<f32>()
                .map(|(_, $data)| $body)
                .map_err(|error| $graph.runtime(error)),
            Some(TensorElementType::Float16) => $value
                .$extract::<f16>()
                .map(|(_, $data)| $body)
                .map_err(|error| $graph.runtime(error)),
            Some(TensorElementType::Bfloat16) => $value
                .$extract::<bf16>()
                .map(|(_, $data)| $body)
                .map_err(|error| $graph.runtime(error)),
            other => Err($graph.contract(format!("a tensor is {other:?}; expected a float type"))),
        }
    };
}

/// Copies stretches of a float tensor to other places of it.
pub(super) fn copy_within(
    graph: &Graph,
    value: &mut DynValue,
    moves: impl Iterator<Item = (Range<usize>, usize)>,
) -> Result<(), GraphError> {
    with_floats!(graph, value, try_extract_tensor_mut, |data| moves
        .for_each(|(from, to)| data.copy_within(from, to)))
}

/// Copies stretches of a float tensor to places of another one of the same dtype.
pub(super) fn copy_between(
    graph: &Graph,
    from: &DynValue,
    to: &mut DynValue,
    moves: impl Iterator<Item = (Range<usize>, usize)>,
) -> Result<(), GraphError> {
    fn copy<T: Copy>(from: &[T], to: &mut [T], moves: impl Iterator<Item = (Range<usize>, usize)>) {
        for (range, place) in moves {
            to[place..place + range.len()].copy_from_slice(&from[range]);
        }
    }
    let failed = |error| graph.runtime(error);
    match to.dtype().tensor_type() {
        Some(TensorElementType::Float32) => {
            let (_, from) = from.try_extract_tensor::<f32>().map_err(failed)?;
            to.try_extract_tensor_mut::<f32>().map(|(_, to)| copy(from, to, moves)).map_err(failed)
        }
        Some(TensorElementType::Float16) => {
            let (_, from) = from.try_extract_tensor::<f16>().map_err(failed)?;
            to.try_extract_tensor_mut::<f16>().map(|(_, to)| copy(from, to, moves)).map_err(failed)
        }
        Some(TensorElementType::Bfloat16) => {
            let (_, from) = from.try_extract_tensor::<bf16>().map_err(failed)?;
            to.try_extract_tensor_mut::<bf16>().map(|(_, to)| copy(from, to, moves)).map_err(failed)
        }
        other => Err(graph.contract(format!("a tensor is {other:?}; expected a float type"))),
    }
}

/// The first `rows` of a float tensor as an input, without a copy.
pub(super) fn first_rows<'v>(
    graph: &Graph,
    value: &'v DynValue,
    rows: usize,
) -> Result<SessionInputValue<'v>, GraphError> {
    let mut shape = shape(value);
    if shape.first() == Some(&rows) {
        return Ok(value.into());
    }
    shape[0] = rows;
    let count: usize = shape.iter().product();
    let view = with_floats!(graph, value, try_extract_tensor, |data| {
        TensorRef::from_array_view((shape.clone(), &data[..count])).map(TensorRef::into_dyn)
    })?;
    view.map(Into::into).map_err(|error| graph.runtime(error))
}

/// A position of `row` in a `[rows, positions, width]` float output, counted from the end, as f32;
/// f32 data is not copied.
pub(super) fn position_from_end<'v>(
    graph: &Graph,
    name: &str,
    value: &'v DynValue,
    row: usize,
    position: usize,
) -> Result<Cow<'v, [f32]>, GraphError> {
    let shape = shape(value);
    let &[rows, positions, width] = shape.as_slice() else {
        return Err(graph.contract(format!(
            "output `{name}` has shape {shape:?}; expected [rows, positions, vocabulary]"
        )));
    };
    if row >= rows || position >= positions || width == 0 {
        return Err(
            graph.contract(format!("output `{name}` has shape {shape:?}: nothing for row {row}"))
        );
    }
    let end = ((row + 1) * positions - position) * width;
    if let Some(resident) = graph.resident_for(value) {
        let floats = resident.memory.floats(value, end - width..end);
        return floats.map(Cow::Owned).map_err(|error| graph.device(error));
    }
    if value.dtype().tensor_type() == Some(TensorElementType::Float32) {
        let data = value.try_extract_tensor::<f32>().map_err(|error| graph.runtime(error))?.1;
        return Ok(Cow::Borrowed(&data[end - width..end]));
    }
    range(graph, name, value, end - width..end).map(Cow::Owned)
}

/// All values of a float output, as f32.
pub(super) fn all(graph: &Graph, name: &str, value: &DynValue) -> Result<Vec<f32>, GraphError> {
    let count = shape(value).iter().product();
    range(graph, name, value, 0..count)
}

/// Consecutive values of a float output, as f32.
pub(super) fn range(
    graph: &Graph,
    name: &str,
    value: &DynValue,
    range: Range<usize>,
) -> Result<Vec<f32>, GraphError> {
    if let Some(resident) = graph.resident_for(value) {
        return resident.memory.floats(value, range).map_err(|error| graph.device(error));
    }
    match value.dtype().tensor_type() {
        Some(TensorElementType::Float32) => value
            .try_extract_tensor::<f32>()
            .map(|(_, data)| data[range].to_vec())
            .map_err(|error| graph.runtime(error)),
        Some(TensorElementType::Float16) => value
            .try_extract_tensor::<f16>()
            .map(|(_, data)| data[range].iter().map(|value| value.to_f32()).collect())
            .map_err(|error| graph.runtime(error)),
        Some(TensorElementType::Bfloat16) => value
            .try_extract_tensor::<bf16>()
            .map(|(_, data)| data[range].iter().map(|value| value.to_f32()).collect())
            .map_err(|error| graph.runtime(error)),
        other => {
            Err(graph.contract(format!("output `{name}` is {other:?}; expected a float type")))
        }
    }
}

/// Overwrites the given rows of a `[1, rows, width]` float value, in its own dtype, with
/// consecutive rows of `source`.
pub(super) fn overwrite_rows(
    graph: &Graph,
    value: &mut DynValue,
    rows: &[usize],
    width: usize,
    source: &[f32],
) -> Result<(), GraphError> {
    fn copy<T>(
        data: &mut [T],
        rows: &[usize],
        width: usize,
        source: &[f32],
        cast: impl Fn(f32) -> T,
    ) {
        for (&row, source) in rows.iter().zip(source.chunks_exact(width)) {
            for (to, &from) in data[row * width..][..width].iter_mut().zip(source) {
                *to = cast(from);
            }
        }
    }
    if let Some(resident) = graph.resident_for(value) {
        let write = |(row, from): (&usize, &[f32])| resident.memory.write(from, value, row * width);
        return rows
            .iter()
            .zip(source.chunks_exact(width))
            .try_for_each(write)
            .map_err(|error| graph.device(error));
    }
    let dtype = value.dtype().tensor_type();
    let written = match dtype {
        Some(TensorElementType::Float32) => value
            .try_extract_tensor_mut::<f32>()
            .map(|(_, data)| copy(data, rows, width, source, |value| value)),
        Some(TensorElementType::Float16) => value
            .try_extract_tensor_mut::<f16>()
            .map(|(_, data)| copy(data, rows, width, source, f16::from_f32)),
        Some(TensorElementType::Bfloat16) => value
            .try_extract_tensor_mut::<bf16>()
            .map(|(_, data)| copy(data, rows, width, source, bf16::from_f32)),
        other => {
            return Err(
                graph.contract(format!("the embeddings are {other:?}; expected a float type"))
            );
        }
    };
    written.map_err(|error| graph.runtime(error))
}

/// Overwrites the given rows of a `[1, rows, width]` value on a device with rows of others there,
/// of the same dtype.
pub(super) fn copy_rows<'v>(
    graph: &Graph,
    from: impl Iterator<Item = (&'v DynValue, usize)>,
    value: &mut DynValue,
    rows: &[usize],
    width: usize,
) -> Result<(), GraphError> {
    let Some(resident) = graph.resident_for(value) else {
        return Err(
            graph.contract("soft tokens lie on a device and the embeddings do not".to_owned())
        );
    };
    // Rows that stand behind each other in both are copied at once: a view's soft tokens do.
    let mut pairs = from.zip(rows).peekable();
    while let Some(((tensor, first), &place)) = pairs.next() {
        let mut count = 1;
        while pairs
            .next_if(|((next, row), to)| {
                std::ptr::eq(*next, tensor) && (*row, **to) == (first + count, place + count)
            })
            .is_some()
        {
            count += 1;
        }
        let elements = first * width..(first + count) * width;
        resident
            .memory
            .copy(tensor, elements, value, place * width)
            .map_err(|error| graph.device(error))?;
    }
    Ok(())
}

/// Fills a float tensor with bytes as floats in 0..1; on a device, only the bytes cross the bus, and
/// [`Rescaling::Multiply`] alone is known there.
pub(super) fn rescale_bytes(
    graph: &Graph,
    value: &mut DynValue,
    bytes: &[u8],
    side: usize,
    rescaling: Rescaling,
) -> Result<(), GraphError> {
    if let Some(resident) = graph.resident_for(value) {
        return resident.memory.patches(bytes, side, value).map_err(|error| graph.device(error));
    }
    let written = match value.dtype().tensor_type() {
        Some(TensorElementType::Float32) => {
            value.try_extract_tensor_mut::<f32>().map(|(_, data)| {
                data.iter_mut().zip(bytes).for_each(|(to, &byte)| *to = rescaling.of(byte));
            })
        }
        Some(TensorElementType::Float16) => value
            .try_extract_tensor_mut::<f16>()
            .map(|(_, data)| look_up(bytes, data, |byte| f16::from_f32(rescaling.of(byte)))),
        Some(TensorElementType::Bfloat16) => value
            .try_extract_tensor_mut::<bf16>()
            .map(|(_, data)| look_up(bytes, data, |byte| bf16::from_f32(rescaling.of(byte)))),
        other => {
            return Err(graph.contract(format!("the pixels are {other:?}; expected a float type")));
        }
    };
    written.map_err(|error| graph.runtime(error))
}

/// The same by a table: halves are slow to convert.
fn look_up<T: Copy>(bytes: &[u8], data: &mut [T], value: impl Fn(u8) -> T) {
    let table: [T; 256] = std::array::from_fn(|byte| value(byte as u8));
    data.iter_mut().zip(bytes).for_each(|(to, &byte)| *to = table[usize::from(byte)]);
}
