"""The experts of a mixture-of-experts layer, in a form that exports.

Hugging Face loops over the experts that were chosen by at least one token, which a graph cannot trace. Here the same loop is one ONNX `Loop` per layer, over the
chosen experts only: its body takes that expert's two matrices out of the stacked weights, and computes the tokens that chose it. A decoding step thus reads
the `top_k` experts' weights and no others, a prompt computes every token with its own experts only, and the graph's size does not depend on the number of experts.
(Computing all experts for all tokens would multiply the work by experts / top_k; gathering the matrices per token needs gigabytes for a prompt.)
"""

from __future__ import annotations

import torch
from onnxscript import INT64, opset18 as op, script
from onnxscript.onnx_types import FLOAT, TensorType
from torch import nn


class SelectedExperts(nn.Module):
    """Around `Gemma4TextExperts`, with the same weights: [experts, 2 * width, hidden] and [experts, hidden, width]."""

    def __init__(self, experts: nn.Module) -> None:
        super().__init__()
        self.gate_up_proj = experts.gate_up_proj
        self.down_proj = experts.down_proj

    def forward(self, hidden: torch.Tensor, chosen: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        return torch.ops.gemscope.selected_experts(hidden, chosen, shares, self.gate_up_proj.transpose(1, 2), self.down_proj.transpose(1, 2))


@torch.library.custom_op("gemscope::selected_experts", mutates_args=())
def selected_experts(
    hidden: torch.Tensor, chosen: torch.Tensor, shares: torch.Tensor, gate_up: torch.Tensor, down: torch.Tensor
) -> torch.Tensor:
    """Stands for the loop while tracing; only its translation to ONNX is ever run."""
    raise NotImplementedError("the experts run in the exported graph only")


@selected_experts.register_fake
def _(hidden: torch.Tensor, chosen: torch.Tensor, shares: torch.Tensor, gate_up: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(hidden)


@script()
def selected_experts_loop(hidden: FLOAT, chosen: INT64, shares: FLOAT, gate_up: TensorType, down: TensorType) -> FLOAT:
    """hidden [tokens, width], chosen and shares [tokens, top_k], gate_up [experts, width, 2 * inner], down [experts, inner, width]."""
    zero = op.CastLike(op.Constant(value_float=0.0), shares)
    used = op.Unique(chosen, sorted=1)
    result = op.Sub(hidden, hidden)
    count = op.Squeeze(op.Shape(used))
    for step in range(count):
        expert = op.Gather(used, step)
        mine = op.Equal(chosen, expert)
        share = op.ReduceSum(op.Where(mine, shares, zero), op.Constant(value_ints=[1]), keepdims=1)
        tokens = op.Transpose(op.NonZero(op.ReduceMax(op.Cast(mine, to=6), op.Constant(value_ints=[1]), keepdims=0)))
        matrix = op.Gather(gate_up, expert)
        inputs = op.CastLike(op.GatherND(hidden, tokens), matrix)
        gate, up = op.Split(op.CastLike(op.MatMul(inputs, matrix), hidden), axis=-1, num_outputs=2)
        # Gelu in its tanh form, written out: an operator of its own came after the opset that functions are traced in.
        bent = op.Tanh(0.7978845608028654 * (gate + 0.044715 * gate * gate * gate))
        inner = op.CastLike(op.Mul(0.5 * gate * (1.0 + bent), up), matrix)
        outputs = op.CastLike(op.MatMul(inner, op.Gather(down, expert)), hidden)
        result = op.ScatterND(result, tokens, op.Mul(outputs, op.GatherND(share, tokens)), reduction="add")
    return result


TRANSLATION = {torch.ops.gemscope.selected_experts.default: selected_experts_loop}
"""For `torch.onnx.export`."""
