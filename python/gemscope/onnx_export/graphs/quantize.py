"""Weights in 4 or 8 bits, symmetric.

`q4` and `q8`: blocks of 32 values along the axis that a product sums over, computed by ONNX Runtime's quantizer. Products with a weight become `MatMulNBits`, look-ups in an
embedding table and the experts' matrices `GatherBlockQuantized` (both are operators of ONNX Runtime, domain com.microsoft). Activations stay as they are in 4 bits;
products of 8 bits round theirs to 8 bits besides, see `INTEGER_PRODUCTS`.

`int8`: a scale for each output of a product, and for each row of activations, so that whole products run in integers, which processors do several times
faster than in f32 (ONNX Runtime's `MatMulIntegerToFloat`). A row's scale is its own largest number, so no other row is in a product's result. Look-ups are those of `q8`.

Not quantized: the choice of experts, tables of positions, and weights whose last axis is no multiple of 32, all at the graph's own dtype.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import torch
from torch import nn
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel

from gemscope.onnx_export.graphs.trace import Graph, drop_unused
from gemscope.onnx_export.graphs.weights import BLOCK, WHOLE, Dense, Packed, Scales, WholeRows, WholeScales, dequantize, round_rows, row_scales
from gemscope.onnx_export.graphs.weights import quantize as quantize_rows

DOMAIN = "com.microsoft"
INTEGER_PRODUCTS = 4
"""`accuracy_level` of 8-bit products: activations are rounded to 8 bits, a scale for each block. ONNX Runtime (1.32) has no
other kernel for them on CPUs: without it the whole matrix is unpacked to f32 at every step, many times slower than f32."""
BITS = {"q4": 4, "q8": 8, "int8": 8}
ZERO_POINT = 128
"""Of rounded activations, which are unsigned: the kernels multiply unsigned by signed numbers."""
SMALLEST_SCALE = 1e-30
"""Of a row of zeros."""
MATRIX_TRANSPOSED = (1, 0)
STACK_TRANSPOSED = (0, 2, 1)
WEIGHT_INPUT = {"MatMul": 1, "Gemm": 1, "Gather": 0}
"""`Gemm` is how a product without a batch axis is traced; its weight is as in the checkpoint."""


def quantize(graph: Graph, kind: str) -> None:
    """Rewrites the graph's nodes and weights in place. `kind`: q4, q8 or int8."""
    bits = BITS[kind]
    replace_product: Callable[[ir.Node, Dense], None]
    if kind == "int8":
        replace_product = _WholeProducts(graph).replace
    else:

        def replace_product(node: ir.Node, weight: Dense) -> None:
            _replace_product(graph, node, weight, bits)

    for node in list(ir.traversal.RecursiveGraphIterator(graph.model.graph)):
        position = WEIGHT_INPUT.get(node.op_type)
        if position is None:
            continue
        weight = graph.weights.get(node.inputs[position].name)
        if not isinstance(weight, Dense) or not is_quantized(weight.source, _stored_shape(weight)):
            continue
        if node.op_type == "Gather":
            _replace_look_up(graph, node, weight, bits)
        elif weight.permutation == MATRIX_TRANSPOSED or (node.op_type == "Gemm" and len(node.inputs) == 2):
            replace_product(node, weight)
    drop_unused(graph)
    graph.model.graph.opset_imports[DOMAIN] = 1


def is_quantized(name: str, shape: tuple[int, ...]) -> bool:
    """By the model's name of a weight, and its shape in the checkpoint."""
    fitting = len(shape) >= 2 and shape[-1] % BLOCK == 0
    return fitting and "router." not in name and "position_embedding" not in name and "pos_embedding" not in name


def is_looked_up(name: str) -> bool:
    """Whether rows are taken out of a weight, rather than multiplied with all of it."""
    return "embed_tokens" in name or ".experts." in name


def round_weights(model: PreTrainedModel, kind: str) -> None:
    """Gives a model the weights that its quantized graphs compute with."""
    bits = BITS[kind]
    with torch.no_grad():
        if kind == "int8" and model.lm_head.weight is model.get_input_embeddings().weight:
            # The table of tokens and the head are the same weight, and rounded in two ways.
            model.lm_head.weight = nn.Parameter(model.lm_head.weight.clone())
        for name, parameter in model.named_parameters():
            if is_quantized(name, tuple(parameter.shape)):
                rows = parameter.reshape(-1, parameter.shape[-1]).float().numpy()
                if kind == "int8" and not is_looked_up(name):
                    scales = row_scales(rows)
                    rounded = round_rows(rows, scales) * scales[:, None]
                else:
                    rounded = dequantize(*quantize_rows(rows, bits), bits)
                parameter.copy_(torch.from_numpy(rounded).reshape(parameter.shape))


def round_activations(model: nn.Module) -> list[RemovableHandle]:
    """Lets a model round what goes into its products as `int8` graphs do, until the handles are removed."""

    def rounded(_: nn.Module, arguments: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        largest = arguments[0].abs().amax(-1, keepdim=True)
        scale = (largest * np.float32(1 / WHOLE)).clamp(min=SMALLEST_SCALE)
        return ((arguments[0] / scale).round() * scale,)

    return [
        module.register_forward_pre_hook(rounded)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and is_quantized(f"{name}.weight", tuple(module.weight.shape))
    ]


def _stored_shape(weight: Dense) -> tuple[int, ...]:
    if weight.permutation is None:
        return weight.shape
    return tuple(weight.shape[weight.permutation.index(axis)] for axis in range(len(weight.shape)))


def _initializers(graph: Graph, weight: Dense, shape: tuple[int, ...], scale_shape: tuple[int, ...], bits: int) -> tuple[ir.Value, ir.Value]:
    """The packed weight and its scales; one pair a weight, however often it is used."""
    values = []
    for kind, part_shape, dtype, part in (("packed", shape, ir.DataType.UINT8, Packed), ("scales", scale_shape, weight.dtype, Scales)):
        name = f"{weight.source}.{kind}"
        if name not in graph.model.graph.initializers:
            graph.model.graph.initializers[name] = ir.Value(name=name, shape=ir.Shape(part_shape), type=ir.TensorType(dtype))
            graph.weights[name] = part(weight.source, part_shape, dtype, bits)
        values.append(graph.model.graph.initializers[name])
    return values[0], values[1]


def _replace_product(graph: Graph, node: ir.Node, weight: Dense, bits: int) -> None:
    outputs, inner = _stored_shape(weight)
    blocks = inner // BLOCK
    packed, scales = _initializers(graph, weight, (outputs, blocks, BLOCK * bits // 8), (outputs, blocks), bits)
    attributes = {"K": inner, "N": outputs, "bits": bits, "block_size": BLOCK}
    if bits == 8:
        attributes["accuracy_level"] = INTEGER_PRODUCTS
    _replace(node, ir.node("MatMulNBits", [node.inputs[0], packed, scales], attributes, domain=DOMAIN))


class _WholeProducts:
    """Products whose operands are both rounded: activations to a scale a row, weights to a scale an output."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.rows: dict[ir.Value, tuple[ir.Value, ir.Value]] = {}
        """What goes into products, with its rounded form and the scales of its rows: query, key and value share theirs."""

    def replace(self, node: ir.Node, weight: Dense) -> None:
        outputs, inner = _stored_shape(weight)
        packed = self._initializer(WholeRows(weight.source, (inner, outputs), ir.DataType.INT8))
        scales = self._initializer(WholeScales(weight.source, (outputs,), ir.DataType.FLOAT))
        rounded, row_scale = self._rounded(node)
        one, zero_point = self._constant("one", np.float32(1)), self._constant("zero_point", np.uint8(ZERO_POINT))
        # It takes one scale for all rows, so theirs follows.
        products = ir.node("MatMulIntegerToFloat", [rounded, packed, one, scales, zero_point], domain=DOMAIN)
        _replace(node, products, ir.node("Mul", [products.outputs[0], row_scale]))

    def _rounded(self, node: ir.Node) -> tuple[ir.Value, ir.Value]:
        """The rounded form of a product's input, made before it where it is not there yet."""
        source = node.inputs[0]
        if source not in self.rows:
            size = ir.node("Abs", [source])
            largest = ir.node("ReduceMax", [size.outputs[0], self._constant("last_axis", np.array([-1]))], {"keepdims": 1})
            scale = ir.node("Mul", [largest.outputs[0], self._constant("of_largest", np.float32(1 / WHOLE))])
            positive = ir.node("Max", [scale.outputs[0], self._constant("smallest_scale", np.float32(SMALLEST_SCALE))])
            ratio = ir.node("Div", [source, positive.outputs[0]])
            rounded = ir.node("QuantizeLinear", [ratio.outputs[0], self._constant("one", np.float32(1)), self._constant("zero_point", np.uint8(ZERO_POINT))])
            node.graph.insert_before(node, [size, largest, scale, positive, ratio, rounded])
            self.rows[source] = rounded.outputs[0], positive.outputs[0]
        return self.rows[source]

    def _initializer(self, weight: WholeRows | WholeScales) -> ir.Value:
        name = f"{weight.source}.{weight.kind}"
        if name not in self.graph.model.graph.initializers:
            self.graph.model.graph.initializers[name] = ir.Value(name=name, shape=ir.Shape(weight.shape), type=ir.TensorType(weight.dtype))
            self.graph.weights[name] = weight
        return self.graph.model.graph.initializers[name]

    def _constant(self, name: str, value: np.ndarray | np.generic) -> ir.Value:
        name = f"rounding.{name}"
        if name not in self.graph.model.graph.initializers:
            tensor = ir.tensor(np.asarray(value), name=name)
            self.graph.model.graph.initializers[name] = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
        return self.graph.model.graph.initializers[name]


def _replace_look_up(graph: Graph, node: ir.Node, weight: Dense, bits: int) -> None:
    stored = _stored_shape(weight)
    packed_shape = (*stored[:-1], stored[-1] * bits // 8)
    packed, scales = _initializers(graph, weight, packed_shape, (*stored[:-1], stored[-1] // BLOCK), bits)
    attributes = {"gather_axis": 0, "quantize_axis": len(stored) - 1, "block_size": BLOCK, "bits": bits}
    look_up = ir.node("GatherBlockQuantized", [packed, node.inputs[1], scales], attributes, domain=DOMAIN)
    if weight.permutation == STACK_TRANSPOSED:
        _replace(node, look_up, ir.node("Transpose", [look_up.outputs[0]], {"perm": [1, 0]}))
    else:
        _replace(node, look_up)


def _replace(old: ir.Node, *new: ir.Node) -> None:
    """Puts a chain of nodes in the place of one; the last one's output is the old one's."""
    output = new[-1].outputs[0]
    output.name, output.type, output.shape = old.outputs[0].name, old.outputs[0].type, old.outputs[0].shape
    ir.convenience.replace_nodes_and_values(old.graph, old, [old], list(new), [old.outputs[0]], [output])
