"""A module without weights to an ONNX graph that knows which weight of the checkpoint goes where.

Every axis that a caller may vary is dynamic and has a name that says what it counts; transformers.js makes empty caches by these names. Nothing of the exporting
machine stays in the graph: exporters write stack traces and file names into it, which are removed.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from onnxscript import optimizer
from torch import nn
from transformers import PreTrainedModel

from gemscope.onnx_export.graphs import experts
from gemscope.onnx_export.graphs.weights import Dense, Weight

OPSET = 20
OPSET_OF_ATTENTION = 23
"""The first that has the operator `Attention`; only graphs that use it ask for it."""
DYNAMIC = torch.export.Dim.DYNAMIC

TOKENS = ("batch_size", "sequence_length")
AXES: dict[str, tuple[str | None, ...]] = {
    "pixel_values": ("num_images", "num_patches"),
    "pixel_position_ids": ("num_images", "num_patches"),
    "image_features": ("num_image_tokens",),
    "input_ids": TOKENS,
    "inputs_embeds": TOKENS,
    "per_layer_inputs": TOKENS,
    "attention_mask": ("batch_size", "total_sequence_length"),
    "position_ids": TOKENS,
    "num_logits_to_keep": (),
    "past_key_values": ("batch_size", None, "past_sequence_length"),
    "logits": ("batch_size", "num_logits"),
    "present": ("batch_size", None, "total_sequence_length"),
}
"""Names of the dynamic axes, by what stands before the first dot of an input's or output's name. None and further axes are fixed."""


@dataclass
class Graph:
    """`weights` by name of the initializer; those have no value in `model` yet."""

    name: str
    model: ir.Model
    weights: dict[str, Weight] = field(default_factory=dict)


def trace(
    name: str, module: nn.Module, source: PreTrainedModel, constants: dict[str, torch.Tensor], arguments: dict[str, Any], outputs: list[str], opset: int = OPSET
) -> Graph:
    """`arguments`: forward's by name, in its order; a list or dict of tensors stands for inputs of their own names, None for an input that is not there."""
    inputs = [key for argument in arguments.items() for key, _ in _flat(*argument)]
    dynamic_shapes = tuple(_dynamic_axes(key, value) for key, value in arguments.items())
    values = tuple(list(value.values()) if isinstance(value, dict) else value for value in arguments.values())
    with torch.no_grad():
        program = torch.onnx.export(
            module.eval(),
            values,
            dynamo=True,
            verbose=False,
            optimize=False,
            opset_version=opset,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=dynamic_shapes,
            custom_translation_table=experts.TRANSLATION,
        )
    graph = Graph(name, program.model)
    _attach(graph, module, source, constants)
    # It warns of each initializer without a value.
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)
    optimizer.optimize(graph.model)
    _fold_transposes(graph)
    _fold_clamps(graph.model.graph)
    _take_roots_in_norms(graph)
    _name_axes(graph.model)
    _strip(graph.model)
    return graph


def _flat(key: str, value: Any) -> list[tuple[str, torch.Tensor]]:
    if value is None:
        return []
    return list(value.items()) if isinstance(value, dict) else [(key, value)]


def _dynamic_axes(key: str, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, dict):
        return [_dynamic_axes(name, tensor) for name, tensor in value.items()]
    return {axis: DYNAMIC for axis, name in enumerate(AXES[key.split(".")[0]]) if name}


def _attach(graph: Graph, module: nn.Module, source: PreTrainedModel, constants: dict[str, torch.Tensor]) -> None:
    """Gives each initializer its value, or says which weight it is and takes the empty value away, so that nothing tries to read it."""
    names = {id(tensor): name for name, tensor in [*source.named_buffers(), *source.named_parameters()]}
    own = dict([*module.named_buffers(remove_duplicate=False), *module.named_parameters(remove_duplicate=False)])
    for initializer in graph.model.graph.initializers.values():
        name = names[id(own[initializer.name])]
        if name in constants:
            initializer.const_value = ir.tensor(constants[name].numpy(), name=initializer.name)
        else:
            graph.weights[initializer.name] = Dense(name, tuple(initializer.shape.numpy()), initializer.dtype)
            initializer.const_value = None


def _fold_transposes(graph: Graph) -> None:
    """A transposed weight becomes a weight that is stored transposed."""
    for node in list(graph.model.graph):
        if node.op_type != "Transpose" or node.inputs[0].name not in graph.weights:
            continue
        old = node.inputs[0]
        new = graph.weights[old.name].transposed(tuple(node.attributes["perm"].as_ints()))
        value = ir.Value(name=f"{old.name}.transposed", shape=ir.Shape(new.shape), type=ir.TensorType(new.dtype))
        graph.model.graph.initializers[value.name] = value
        graph.weights[value.name] = new
        ir.convenience.replace_all_uses_with(node.outputs[0], value)
        graph.model.graph.remove(node, safe=True)
    drop_unused(graph)


def _fold_clamps(graph: ir.Graph) -> None:
    """A maximum and then a minimum with numbers are one `Clip`, which goes over a tensor once: vision towers with clipped layers take a tenth less time.

    onnxscript 0.7.2 has a rule for that (`FuseMaxMinToClip`), but it names the bounds after what is clamped: where several layers clamp the same tensor, as query, key and
    value do, the graph it leaves is broken.
    """

    def is_number(value: ir.Value) -> bool:
        return value.is_initializer() and value.shape is not None and not value.shape.dims

    for low in list(graph):
        high = next(iter(low.outputs[0].uses()), (None,))[0]
        if low.op_type != "Max" or high is None or high.op_type != "Min" or len(low.outputs[0].uses()) > 1:
            continue
        bounds = [low.inputs[1], high.inputs[1]]
        if len(low.inputs) > 2 or len(high.inputs) > 2 or high.inputs[0] is not low.outputs[0] or not all(map(is_number, bounds)):
            continue
        clip = ir.node("Clip", [low.inputs[0], *bounds])
        graph.insert_before(high, clip)
        ir.convenience.replace_all_uses_with(high.outputs[0], clip.outputs[0])
        graph.remove([high, low], safe=True)


def _take_roots_in_norms(graph: Graph) -> None:
    """Norms divide by a root, and have a weight, rather than multiply with a power of -1/2, as Hugging Face writes them: the same to the last digit or two, in a form that ONNX
    Runtime makes one operator of (`SimplifiedLayerNormFusion`). A norm without a weight gets one of ones."""
    whole = graph.model.graph
    for power in list(whole):
        if power.op_type != "Pow" or not _is_number(power.inputs[1], -0.5):
            continue
        product, _ = next(iter(power.outputs[0].uses()), (None, 0))
        squares = _squares(power)
        if product is None or product.op_type != "Mul" or len(power.outputs[0].uses()) > 1 or squares is None:
            continue
        normed = next(value for value in product.inputs if value is not power.outputs[0])
        if squares is not normed:
            continue
        root = ir.node("Sqrt", [power.inputs[0]])
        quotient = ir.node("Div", [normed, root.outputs[0]])
        new = [root, quotient]
        width = _width(graph, product.outputs[0])
        if width is None and normed.shape is not None and isinstance(normed.shape[-1], int):
            ones = f"norm.ones_{normed.shape[-1]}"
            if ones not in whole.initializers:
                tensor = ir.tensor(np.ones(normed.shape[-1], np.float32), name=ones)
                whole.initializers[ones] = ir.Value(name=ones, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
            new.append(ir.node("Mul", [quotient.outputs[0], whole.initializers[ones]]))
        whole.insert_before(product, new)
        ir.convenience.replace_all_uses_with(product.outputs[0], new[-1].outputs[0])
        whole.remove([product, power], safe=True)


def _is_number(value: ir.Value | None, number: float) -> bool:
    return value is not None and value.const_value is not None and value.const_value.size == 1 and float(value.const_value.numpy().item()) == number


def _squares(power: ir.Node) -> ir.Value | None:
    """What the mean of squares under a norm's power is of."""
    node: ir.Node | None = power.inputs[0].producer()
    for kind in ("Add", "ReduceMean", "Pow"):
        if node is None or node.op_type != kind:
            return None
        if kind == "Pow":
            return node.inputs[0] if _is_number(node.inputs[1], 2.0) else None
        node = next((value.producer() for value in node.inputs if value is not None and value.producer() is not None), None)
    return None


def _width(graph: Graph, value: ir.Value) -> int | None:
    """The length of a norm's weight, if `value` is multiplied with one and nothing else is done with it."""
    uses = list(value.uses())
    if len(uses) != 1 or uses[0][0].op_type != "Mul":
        return None
    other = next((one for one in uses[0][0].inputs if one is not value), None)
    is_weight = other is not None and other.is_initializer() and other.shape is not None and len(other.shape) == 1
    return other.shape[0] if is_weight else None


def drop_unused(graph: Graph) -> None:
    for name, value in list(graph.model.graph.initializers.items()):
        if not value.uses():
            del graph.model.graph.initializers[name]
            graph.weights.pop(name, None)


def _name_axes(model: ir.Model) -> None:
    for value in [*model.graph.inputs, *model.graph.outputs]:
        names = AXES[value.name.split(".")[0]]
        fixed = [dimension if isinstance(dimension, int) else None for dimension in value.shape]
        value.shape = ir.Shape([name or fixed[axis] for axis, name in enumerate(names)] + fixed[len(names) :])


def _strip(model: ir.Model) -> None:
    model.doc_string = model.graph.doc_string = None
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    model.producer_name, model.producer_version = "gemscope_export", None
    borders = {*model.graph.inputs, *model.graph.outputs}
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        node.doc_string = None
        node.metadata_props.clear()
        for value in node.outputs:
            value.doc_string = None
            value.metadata_props.clear()
            if node.graph is model.graph and value not in borders:
                value.shape = value.type = None
    for value in [*borders, *model.graph.initializers.values()]:
        value.doc_string = None
        value.metadata_props.clear()
