"""Attention and number formats of the exported graphs.

`attend` is what every attention layer of Hugging Face's model calls: query [batch, heads, queries, head_dim], key and value [batch, kv_heads, keys, head_dim],
mask f32, added to the scores and broadcast over heads. Softmax and sums with the mask are in f32. A row whose keys are all masked gives finite numbers, since the
mask is f32's lowest number and not minus infinity. Query heads that share a key head are rows of one matrix product: keys and values are never repeated.

`attend_fused` is the same as one operator, ONNX `Attention`, which ONNX Runtime computes on a card without writing the scores out. Its mask is in the dtype of the products.

`use_f16` makes the matrix products of a model f16 and leaves everything between them f32: residual stream, norms, rotation, activation and gating. A
product's input that could exceed f16's range (the gated input of an MLP's last layer) is clamped to it.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import AttentionInterface

NAME, FUSED = "gemscope", "gemscope_fused"
"""Of the attention functions, as `attn_implementation`."""

LOWEST = torch.finfo(torch.float32).min
LOWEST_FUSED = {torch.float32: -1e30, torch.float16: -(2.0**15)}
"""What stands in a mask where nothing is to be seen: far below any score, and still finite with a score added. Kernels for cards multiply it by log2(e) besides, which
would make f32's lowest number infinite."""
F16_MAX = torch.finfo(torch.float16).max

KEPT_F32 = ("router.", "embed_vision.patch_dense")
"""Weights that stay f32 in f16 graphs: the choice of experts is sensitive, and the 12B model's first product exceeds f16's range."""


def attend(
    module: nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: torch.Tensor, **_: object
) -> tuple[torch.Tensor, None]:
    """Result [batch, queries, heads, head_dim]. Gemma's scores are not scaled."""
    batch, heads, queries, head_dim = query.shape
    kv_heads = key.shape[1]
    dtype = getattr(module.o_proj, "linear", module.o_proj).weight.dtype
    query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)

    grouped = query.reshape(batch, kv_heads, (heads // kv_heads) * queries, head_dim)
    scores = (grouped @ key.transpose(2, 3)).reshape(batch, heads, queries, -1)
    weights = torch.softmax(scores.float() + attention_mask, dim=-1).to(dtype)
    result = weights.reshape(batch, kv_heads, (heads // kv_heads) * queries, -1) @ value
    return result.reshape(batch, heads, queries, head_dim).transpose(1, 2), None


def attend_fused(
    module: nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: torch.Tensor, **_: object
) -> tuple[torch.Tensor, None]:
    """As `attend`; `attention_mask` is in the dtype of the layer's weights. Key heads that several query heads share are the operator's business."""
    dtype = attention_mask.dtype
    result, *_ = torch.onnx.ops.attention(query.to(dtype), key.to(dtype), value.to(dtype), attn_mask=attention_mask, scale=1.0)
    return result.transpose(1, 2), None


def additive(allowed: torch.Tensor, fused_dtype: torch.dtype | None = None) -> torch.Tensor:
    """A mask to add: 0 where allowed, the lowest number elsewhere; f32, or for fused attention in the dtype of its products."""
    if fused_dtype is None:
        return torch.where(allowed, 0.0, LOWEST)
    return torch.where(allowed, 0.0, LOWEST_FUSED[fused_dtype]).to(fused_dtype)


def use_f16(model: nn.Module) -> None:
    for name, parameter in model.named_parameters():
        if parameter.dim() >= 2 and not any(part in name for part in KEPT_F32):
            parameter.data = parameter.data.half()
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and module.weight.dtype == torch.float16:
            module.register_forward_pre_hook(_clamped_input if name.endswith("down_proj") else _input)
            module.register_forward_hook(_output)


def _input(_: nn.Module, arguments: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    return (arguments[0].half(),)


def _clamped_input(_: nn.Module, arguments: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    return (arguments[0].clamp(-F16_MAX, F16_MAX).half(),)


def _output(_: nn.Module, __: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
    return output.float()


def use_fused(model: nn.Module) -> None:
    """Of the decoder only: above some 2,400 patches the operator gave NaN for the vision tower, and there is no past to read there."""
    model.config.text_config._attn_implementation = FUSED


AttentionInterface.register(NAME, attend)
AttentionInterface.register(FUSED, attend_fused)
