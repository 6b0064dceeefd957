"""The `embed_tokens` graph: token ids to what the decoder takes in.

In: `input_ids` i64 [batch, sequence]. Out: `inputs_embeds` f32 [batch, sequence, hidden], and for models with per-layer embeddings `per_layer_inputs` f32
[batch, sequence, layers, width]: the part that depends on the token alone. Ids of images, videos and sounds get what the padding token gets, as in Hugging
Face's model; the caller then puts `image_features` in the place of the images' rows of `inputs_embeds`, and leaves `per_layer_inputs` as they are.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel


class TokenEmbedding(nn.Module):
    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        config = model.config
        self.text_config = config.text_config
        self.placeholder_ids = [config.image_token_id, config.video_token_id, config.audio_token_id]
        self.tokens = model.model.language_model.embed_tokens
        self.tokens_per_layer = getattr(model.model.language_model, "embed_tokens_per_layer", None)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        placeholder = torch.zeros_like(input_ids, dtype=torch.bool)
        for placeholder_id in self.placeholder_ids:
            placeholder = placeholder | (input_ids == placeholder_id)
        ids = torch.where(placeholder, self.text_config.pad_token_id, input_ids)
        embeds = _look_up(self.tokens, ids)
        if self.tokens_per_layer is None:
            return embeds
        width = self.text_config.hidden_size_per_layer_input
        per_layer = _look_up(self.tokens_per_layer, ids)
        return embeds, per_layer.reshape(*input_ids.shape, self.text_config.num_hidden_layers, width)


def _look_up(table: nn.Embedding, ids: torch.Tensor) -> torch.Tensor:
    """Rows of a table that scales what it gives; scaled in f32 whatever the table's dtype."""
    return functional.embedding(ids, table.weight).float() * table.scalar_embed_scale
