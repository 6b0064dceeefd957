//! Tensors in and out of ONNX Runtime.
//!
//! In: f32 and i64 values, and the port that they are for. Out: values in the dtype of that port (f32, f16, bf16, i64), and back to f32.
//! Promises: a dtype that cannot be served is an error that names the port.

use half::{bf16, f16};
use ort::memory::Allocator;
use ort::value::{DynTensor, DynValue, Tensor, TensorElementType};

use super::graph::{Graph, GraphError, PortInfo};

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
            Tensor::from_array((shape, values.into_iter().map(f16::from_f32).collect::<Vec<_>>())).map(Tensor::into_dyn)
        }
        TensorElementType::Bfloat16 => {
            Tensor::from_array((shape, values.into_iter().map(bf16::from_f32).collect::<Vec<_>>()))
                .map(Tensor::into_dyn)
        }
        other => return Err(graph.contract(format!("`{}` is {other}; expected a float type", port.name))),
    };
    made.map_err(|error| graph.runtime(error))
}

/// `value` in the dtype of `port`: graphs of different precisions may be mixed.
pub(super) fn cast(graph: &Graph, port: &PortInfo, value: DynValue) -> Result<DynValue, GraphError> {
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
    Tensor::from_array((shape.to_vec(), values)).map(Tensor::into_dyn).map_err(|error| graph.runtime(error))
}

/// A tensor without elements, in the dtype of `port`.
pub(super) fn empty(graph: &Graph, port: &PortInfo, shape: &[usize]) -> Result<DynValue, GraphError> {
    debug_assert!(shape.contains(&0));
    DynTensor::new(&Allocator::default(), port.dtype, shape.to_vec())
        .map(DynTensor::into_dyn)
        .map_err(|error| graph.runtime(error))
}

/// The last row of a `[1, rows, width]` float output, and its width.
pub(super) fn last_row(graph: &Graph, name: &str, value: &DynValue) -> Result<Vec<f32>, GraphError> {
    let shape = shape(value);
    let Some(&width) = shape.last().filter(|&&width| width > 0) else {
        return Err(graph.contract(format!("output `{name}` has shape {shape:?}; expected [1, rows, vocabulary]")));
    };
    let count: usize = shape.iter().product();
    if count < width {
        return Err(graph.contract(format!("output `{name}` has shape {shape:?}: no rows")));
    }
    range(graph, name, value, count - width..count)
}

/// All values of a float output, as f32.
pub(super) fn all(graph: &Graph, name: &str, value: &DynValue) -> Result<Vec<f32>, GraphError> {
    let count = shape(value).iter().product();
    range(graph, name, value, 0..count)
}

fn range(graph: &Graph, name: &str, value: &DynValue, range: std::ops::Range<usize>) -> Result<Vec<f32>, GraphError> {
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
        other => Err(graph.contract(format!("output `{name}` is {other:?}; expected a float type"))),
    }
}

/// The shape of a value.
pub(super) fn shape(value: &DynValue) -> Vec<usize> {
    let shape = value.dtype().tensor_shape();
    shape.map(|shape| shape.iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect()).unwrap_or_default()
}

/// Overwrites the given rows of a `[1, rows, width]` float value, in its own dtype, with consecutive rows of `source`.
pub(super) fn overwrite_rows(
    graph: &Graph,
    value: &mut DynValue,
    rows: &[usize],
    width: usize,
    source: &[f32],
) -> Result<(), GraphError> {
    fn copy<T>(data: &mut [T], rows: &[usize], width: usize, source: &[f32], cast: impl Fn(f32) -> T) {
        for (&row, source) in rows.iter().zip(source.chunks_exact(width)) {
            for (to, &from) in data[row * width..][..width].iter_mut().zip(source) {
                *to = cast(from);
            }
        }
    }
    let dtype = value.dtype().tensor_type();
    let written = match dtype {
        Some(TensorElementType::Float32) => {
            value.try_extract_tensor_mut::<f32>().map(|(_, data)| copy(data, rows, width, source, |value| value))
        }
        Some(TensorElementType::Float16) => {
            value.try_extract_tensor_mut::<f16>().map(|(_, data)| copy(data, rows, width, source, f16::from_f32))
        }
        Some(TensorElementType::Bfloat16) => {
            value.try_extract_tensor_mut::<bf16>().map(|(_, data)| copy(data, rows, width, source, bf16::from_f32))
        }
        other => return Err(graph.contract(format!("the embeddings are {other:?}; expected a float type"))),
    };
    written.map_err(|error| graph.runtime(error))
}
