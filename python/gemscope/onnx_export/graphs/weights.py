"""Weights as a graph's file stores them, made from those of the checkpoint in pieces of bounded size.

`Dense` is a weight as it is, in the graph's dtype and perhaps transposed. `Packed` and `Scales` are the two halves of a weight in 4 or 8 bits: symmetric, one scale for
each block of 32 values along the last axis, computed by ONNX Runtime's own quantizer. `WholeRows` and `WholeScales` are those of a weight in 8 bits with one scale for each
row of the checkpoint's matrix, an output of the product.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import onnx_ir as ir
import torch
from onnxruntime.capi._pybind_state import quantize_matmul_4bits, quantize_matmul_8bits

from gemscope.onnx_export.refusal import RefusalError

if TYPE_CHECKING:
    from gemscope.onnx_export.graphs.checkpoint import Checkpoint

PIECE_VALUES = 1 << 24
"""At most so many values are in memory at once (or one row of the first axis)."""

BLOCK = 32
"""Values that share a scale."""

WHOLE = 127
"""The largest number of a weight or activation that has one scale for its row."""

TORCH_DTYPE = {ir.DataType.FLOAT: torch.float32, ir.DataType.FLOAT16: torch.float16}


@dataclass(frozen=True)
class Weight(ABC):
    """`source` is the model's name for it, `shape` and `dtype` are what the graph's file holds."""

    source: str
    shape: tuple[int, ...]
    dtype: ir.DataType

    @property
    def bytes(self) -> int:
        return int(prod(self.shape) * self.dtype.itemsize)

    @abstractmethod
    def pieces(self, checkpoint: Checkpoint) -> Iterator[np.ndarray]:
        """The elements in order, flat or not."""

    def array(self, checkpoint: Checkpoint) -> np.ndarray:
        return np.concatenate([piece.reshape(-1) for piece in self.pieces(checkpoint)]).reshape(self.shape)


@dataclass(frozen=True)
class Dense(Weight):
    permutation: tuple[int, ...] | None = None
    """Of the source's axes."""

    def transposed(self, permutation: tuple[int, ...]) -> Dense:
        return replace(self, shape=tuple(self.shape[axis] for axis in permutation), permutation=permutation)

    def pieces(self, checkpoint: Checkpoint) -> Iterator[np.ndarray]:
        tensor = checkpoint.weight(self.source)
        if self.permutation:
            tensor = tensor.permute(self.permutation)
        if tuple(tensor.shape) != self.shape:
            raise RefusalError(f"{self.source}: the files have shape {tuple(tensor.shape)}, the configuration says {self.shape}")
        for rows in _row_pieces(tensor) if self.shape else [tensor]:
            yield rows.to(TORCH_DTYPE[self.dtype]).contiguous().numpy()


@dataclass(frozen=True)
class _Quantized(Weight):
    bits: int

    def _quantized(self, checkpoint: Checkpoint) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Packed [rows, blocks, bytes] and scales [rows, blocks] of rows of the last axis."""
        tensor = checkpoint.weight(self.source)
        for rows in _row_pieces(tensor.reshape(-1, tensor.shape[-1])):
            yield quantize(rows.float().numpy(), self.bits)


@dataclass(frozen=True)
class Packed(_Quantized):
    def pieces(self, checkpoint: Checkpoint) -> Iterator[np.ndarray]:
        for packed, _ in self._quantized(checkpoint):
            yield packed


@dataclass(frozen=True)
class Scales(_Quantized):
    def pieces(self, checkpoint: Checkpoint) -> Iterator[np.ndarray]:
        for _, scales in self._quantized(checkpoint):
            yield scales.astype(self.dtype.numpy())


@dataclass(frozen=True)
class WholeRows(Weight):
    """[inputs, outputs], as integer products take it."""

    kind: ClassVar[str] = "rows"

    def pieces(self, checkpoint: Checkpoint) -> Iterator[np.ndarray]:
        tensor = checkpoint.weight(self.source)
        scales = np.concatenate(list(_all_scales(tensor)))
        for columns in _row_pieces(tensor.T):
            yield np.ascontiguousarray(round_rows(columns.T.float().numpy(), scales).T).astype(np.int8)


@dataclass(frozen=True)
class WholeScales(Weight):
    """[outputs]"""

    kind: ClassVar[str] = "row_scales"

    def pieces(self, checkpoint: Checkpoint) -> Iterator[np.ndarray]:
        yield from _all_scales(checkpoint.weight(self.source))


def _all_scales(tensor: torch.Tensor) -> Iterator[np.ndarray]:
    for rows in _row_pieces(tensor):
        yield row_scales(rows.float().numpy())


def row_scales(rows: np.ndarray) -> np.ndarray:
    """f32 [rows] of f32 [rows, values]: what the largest value of a row is `WHOLE` times of; 1 for a row of zeros."""
    largest = np.abs(rows).max(axis=1)
    return np.where(largest > 0, largest / np.float32(WHOLE), np.float32(1)).astype(np.float32)


def round_rows(rows: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """f32 [rows, values] of whole numbers from -127 to 127."""
    return np.clip(np.rint(rows / scales[:, None]), -WHOLE, WHOLE)


def quantize(rows: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """f32 [rows, values] to packed u8 [rows, blocks, bytes], 4-bit values low half first, and scales f32 [rows, blocks]."""
    count, width = rows.shape
    blocks = -(-width // BLOCK)
    columns = np.ascontiguousarray(np.pad(rows, ((0, 0), (0, blocks * BLOCK - width))).T)
    packed = np.zeros((count, blocks, BLOCK * bits // 8), np.uint8)
    scales = np.zeros((count, blocks), np.float32)
    unused_zero_points = np.zeros((count, -(-blocks * bits // 8)), np.uint8)
    kernel = {4: quantize_matmul_4bits, 8: quantize_matmul_8bits}[bits]
    kernel(packed, columns, scales, unused_zero_points, BLOCK, count, width, True)
    return packed, scales


def dequantize(packed: np.ndarray, scales: np.ndarray, bits: int) -> np.ndarray:
    """f32 [rows, values] of what `quantize` gave for a width that is a multiple of the block."""
    values = np.stack([packed & 15, packed >> 4], axis=-1).reshape(*packed.shape[:2], BLOCK) if bits == 4 else packed
    return ((values.astype(np.float32) - 2 ** (bits - 1)) * scales[..., None]).reshape(len(packed), -1)


def _row_pieces(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    step = max(1, PIECE_VALUES // max(1, prod(tensor.shape[1:])))
    yield from tensor.split(step)
