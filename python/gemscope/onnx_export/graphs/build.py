"""The three graphs of a checkpoint, with the names that clients of the layout know. What goes in and out of each is in the module that computes it."""

from __future__ import annotations

import torch

from gemscope.onnx_export.graphs.attention import FUSED
from gemscope.onnx_export.graphs.checkpoint import Checkpoint
from gemscope.onnx_export.graphs.decoder import Decoder
from gemscope.onnx_export.graphs.embedding import TokenEmbedding
from gemscope.onnx_export.graphs.trace import OPSET, OPSET_OF_ATTENTION, Graph, trace
from gemscope.onnx_export.graphs.vision import patch_values, vision_module

# Sizes of the traced example. All differ and none is 1, which tracing would take for a fixed axis.
BATCH, SEQUENCE, PAST, PATCHES = 2, 5, 6, 18


def vision(checkpoint: Checkpoint) -> Graph:
    arguments = {"pixel_values": _floats(BATCH, PATCHES, patch_values(checkpoint.model)), "pixel_position_ids": _integers(BATCH, PATCHES, 2)}
    module = vision_module(checkpoint.model)
    return trace("vision_encoder", module, checkpoint.model, checkpoint.constants, arguments, ["image_features"])


def embed(checkpoint: Checkpoint) -> Graph:
    module = TokenEmbedding(checkpoint.model)
    outputs = ["inputs_embeds"] + ["per_layer_inputs"] * (module.tokens_per_layer is not None)
    return trace("embed_tokens", module, checkpoint.model, checkpoint.constants, {"input_ids": _integers(BATCH, SEQUENCE)}, outputs)


def decoder(checkpoint: Checkpoint) -> Graph:
    module = Decoder(checkpoint.model)
    config = module.config
    dtype = checkpoint.model.lm_head.weight.dtype
    caches = {}
    for layer in range(module.first_shared_layer):
        own = config.per_layer_config[layer]
        for kind in ("key", "value"):
            caches[f"{layer}.{kind}"] = torch.empty(BATCH, own.num_key_value_heads, PAST, own.head_dim, dtype=dtype, device="meta")
    per_layer = (BATCH, SEQUENCE, config.num_hidden_layers, getattr(config, "hidden_size_per_layer_input", 0))
    arguments = {
        "inputs_embeds": _floats(BATCH, SEQUENCE, config.hidden_size),
        "per_layer_inputs": _floats(*per_layer) if module.has_per_layer_inputs else None,
        "attention_mask": _integers(BATCH, PAST + SEQUENCE),
        "position_ids": _integers(BATCH, SEQUENCE),
        "num_logits_to_keep": _integers(),
        "past": {f"past_key_values.{name}": tensor for name, tensor in caches.items()},
        "input_ids": _integers(BATCH, SEQUENCE) if module.needs_input_ids else None,
    }
    outputs = ["logits", *(f"present.{name}" for name in caches)]
    opset = OPSET_OF_ATTENTION if config._attn_implementation == FUSED else OPSET
    return trace("decoder_model_merged", module, checkpoint.model, checkpoint.constants, arguments, outputs, opset)


BUILDERS = {"vision": vision, "embed": embed, "decoder": decoder}


def _floats(*shape: int) -> torch.Tensor:
    return torch.empty(shape, device="meta")


def _integers(*shape: int) -> torch.Tensor:
    return torch.empty(shape, dtype=torch.int64, device="meta")
