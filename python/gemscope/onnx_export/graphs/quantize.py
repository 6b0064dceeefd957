"""Weights in 4 or 8 bits, blocks of 32 values along the axis that a product sums over, symmetric, computed by ONNX Runtime's quantizer. Activations stay as they are in 4 bits;
products of 8 bits round theirs to 8 bits besides, see `INTEGER_PRODUCTS`.

Products with a weight become `MatMulNBits`, look-ups in an embedding table and the experts' matrices `GatherBlockQuantized` (both are operators of ONNX Runtime, domain
com.microsoft). Not quantized: the choice of experts, tables of positions, and weights whose last axis is no multiple of 32, all at the graph's own dtype.
"""

from __future__ import annotations

import onnx_ir as ir
import torch
from torch import nn

from gemscope.onnx_export.graphs.trace import Graph, drop_unused
from gemscope.onnx_export.graphs.weights import BLOCK, Dense, Packed, Scales, dequantize
from gemscope.onnx_export.graphs.weights import quantize as quantize_rows

DOMAIN = "com.microsoft"
INTEGER_PRODUCTS = 4
"""`accuracy_level` of 8-bit products: activations are rounded to 8 bits, a scale for each block. ONNX Runtime (1.32) has no
other kernel for them on CPUs: without it the whole matrix is unpacked to f32 at every step, many times slower than f32."""
MATRIX_TRANSPOSED = (1, 0)
STACK_TRANSPOSED = (0, 2, 1)
WEIGHT_INPUT = {"MatMul": 1, "Gemm": 1, "Gather": 0}
"""`Gemm` is how a product without a batch axis is traced; its weight is as in the checkpoint."""


def quantize(graph: Graph, bits: int) -> None:
    """Rewrites the graph's nodes and weights in place."""
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
            _replace_product(graph, node, weight, bits)
    drop_unused(graph)
    graph.model.graph.opset_imports[DOMAIN] = 1


def is_quantized(name: str, shape: tuple[int, ...]) -> bool:
    """By the model's name of a weight, and its shape in the checkpoint."""
    fitting = len(shape) >= 2 and shape[-1] % BLOCK == 0
    return fitting and "router." not in name and "position_embedding" not in name and "pos_embedding" not in name


def round_weights(model: nn.Module, bits: int) -> None:
    """Gives a model the weights that its quantized graphs compute with."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if is_quantized(name, tuple(parameter.shape)):
                rows = parameter.reshape(-1, parameter.shape[-1]).float().numpy()
                parameter.copy_(torch.from_numpy(dequantize(*quantize_rows(rows, bits), bits)).reshape(parameter.shape))


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
