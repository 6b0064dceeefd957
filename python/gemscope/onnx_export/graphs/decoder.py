"""The `decoder_model_merged` graph: embedded tokens and the cache of earlier ones to logits and the longer cache.

In: `inputs_embeds` f32 [batch, sequence, hidden], with the images' rows in place; `per_layer_inputs` f32 [batch, sequence, layers, width] for models that have them;
`attention_mask` i64 [batch, past + sequence], 0 for padding, which may stand on the left; `position_ids` i64 [batch, sequence]; `num_logits_to_keep` i64 scalar: logits of
so many last tokens, 0 for all; `past_key_values.{i}.key` and `.value` [batch, kv_heads, past, head_dim] for each layer that has a cache of its own, past = 0 at
first; and, last, for models whose images attend to themselves in both directions, `input_ids` i64 [batch, sequence].
Out: `logits` [batch, kept, vocabulary] and `present.{i}.key`, `.value`: past and new, nothing trimmed. Cache and logits are f16 in f16 graphs.

In those models a run of image tokens within the given `input_ids` is a block: on sliding layers, and inside the window, its tokens see each other. A picture must
therefore not be split over two runs.
"""

from __future__ import annotations

import inspect

import torch
from torch import nn
from transformers import PreTrainedModel

from gemscope.onnx_export.graphs.attention import FUSED, additive
from gemscope.onnx_export.graphs.experts import SelectedExperts


class GrowingCache:
    """What the layers take for their cache: appends to the past that was fed, and keeps the result for the outputs."""

    def __init__(self, past: list[torch.Tensor]) -> None:
        self.tensors = list(past)

    def update(
        self, key: torch.Tensor, value: torch.Tensor, layer: int, **_: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Layers of transformers 5.24 also hand over their own arguments, which nothing here needs."""
        for index, new in ((2 * layer, key), (2 * layer + 1, value)):
            self.tensors[index] = torch.cat([self.tensors[index], new.to(self.tensors[index].dtype)], dim=2)
        return self.tensors[2 * layer], self.tensors[2 * layer + 1]


def _cache_argument(layer: nn.Module) -> str:
    """`cache` from transformers 5.24 on, where the older name is deprecated."""
    parameters = inspect.signature(layer.forward).parameters
    return "cache" if "cache" in parameters else "past_key_values"


class Decoder(nn.Module):
    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.config = model.config.text_config
        self.vision_ids = [model.config.image_token_id, model.config.video_token_id]
        self.text = model.model.language_model
        self.head = model.lm_head
        self.first_shared_layer = self.config.num_hidden_layers - self.config.num_kv_shared_layers
        self.has_per_layer_inputs = bool(getattr(self.config, "hidden_size_per_layer_input", 0))
        self.needs_input_ids = self.config.use_bidirectional_attention == "vision"
        fused = self.config._attn_implementation == FUSED
        self.fused_dtype = model.lm_head.weight.dtype if fused else None
        for layer in self.text.layers:
            if getattr(layer, "enable_moe_block", False) and not isinstance(layer.experts, SelectedExperts):
                layer.experts = SelectedExperts(layer.experts)

    def forward(
        self,
        inputs_embeds: torch.Tensor,
        per_layer_inputs: torch.Tensor | None,
        attention_mask: torch.Tensor,
        position_ids: torch.Tensor,
        num_logits_to_keep: torch.Tensor,
        past: list[torch.Tensor],
        input_ids: torch.Tensor | None,
    ) -> tuple[torch.Tensor, ...]:
        sequence = inputs_embeds.shape[1]
        first_kept = torch.where(num_logits_to_keep > 0, sequence - num_logits_to_keep, 0)
        kept = torch.nonzero(torch.arange(sequence, device=inputs_embeds.device) >= first_kept).squeeze(1)

        hidden = inputs_embeds
        masks = self._masks(attention_mask, sequence, input_ids)
        rotations = {kind: self.text.rotary_emb(hidden, position_ids, kind) for kind in masks}
        if self.has_per_layer_inputs:
            per_layer_inputs = self.text.project_per_layer_inputs(hidden, per_layer_inputs)

        cache = GrowingCache(past)
        cache_argument = {_cache_argument(self.text.layers[0]): cache}
        shared: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        for index, layer in enumerate(self.text.layers):
            if index == self.first_shared_layer:
                # From here on no layer adds to the cache, so only the tokens whose logits are wanted go on.
                hidden = hidden.index_select(1, kept)
                masks = {kind: mask.index_select(2, kept) for kind, mask in masks.items()}
                rotations = {kind: tuple(part.index_select(1, kept) for part in rotation) for kind, rotation in rotations.items()}
                if self.has_per_layer_inputs:
                    per_layer_inputs = per_layer_inputs.index_select(1, kept)
            kind = self.config.layer_types[index]
            own_input = (per_layer_inputs[:, :, index],) if self.has_per_layer_inputs else ()
            hidden = layer(
                hidden, *own_input, shared_kv_states=shared, position_embeddings=rotations[kind], attention_mask=masks[kind], **cache_argument
            )
        if self.first_shared_layer == self.config.num_hidden_layers:
            hidden = hidden.index_select(1, kept)
        return self._logits(self.text.norm(hidden)), *cache.tensors

    def _masks(self, attention_mask: torch.Tensor, sequence: int, input_ids: torch.Tensor | None) -> dict[str, torch.Tensor]:
        """By kind of layer, [batch, 1, queries, keys], f32, or in the dtype of the weights where attention is fused. Queries and keys are counted as they stand, padding included."""
        total = attention_mask.shape[1]
        device = attention_mask.device
        query = torch.arange(sequence, device=device)[:, None] + (total - sequence)
        key = torch.arange(total, device=device)[None, :]
        real = (attention_mask != 0)[:, None, None, :]
        causal = (key <= query)[None, None]
        in_window = (query - key < self.config.sliding_window)[None, None]
        near = (causal | self._same_block(input_ids, total)) & in_window if self.needs_input_ids else causal & in_window
        return {"full_attention": additive(causal & real, self.fused_dtype), "sliding_attention": additive(near & real, self.fused_dtype)}

    def _same_block(self, input_ids: torch.Tensor, total: int) -> torch.Tensor:
        """[batch, 1, queries, keys]: whether both are tokens of the same picture. Earlier runs' keys are of none."""
        is_vision = (input_ids == self.vision_ids[0]) | (input_ids == self.vision_ids[1])
        starts = is_vision & ~torch.cat([torch.zeros_like(is_vision[:, :1]), is_vision[:, :-1]], dim=1)
        block = torch.where(is_vision, torch.cumsum(starts.long(), dim=1), 0)
        past = torch.zeros(input_ids.shape[0], total - input_ids.shape[1], dtype=block.dtype, device=block.device)
        of_key = torch.cat([past, block], dim=1)
        return ((block[:, :, None] == of_key[:, None, :]) & (block[:, :, None] > 0))[:, None]

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        logits = self.head(hidden)
        if cap := self.config.final_logit_softcapping:
            logits = cap * torch.tanh(logits / cap)
        return logits.to(self.head.weight.dtype)
