"""The `vision_encoder` graph: patches of several images to soft tokens in the decoder's space.

In: `pixel_values` f32 [images, patches, values], each 0..1, and `pixel_position_ids` i64 [images, patches, 2], the (column, row) of each patch, (-1, -1) where an
image has fewer patches than the tensor. Out: `image_features` f32 [soft tokens of all images, hidden], image after image, padding left out.

Two forms. `VisionTower`: patches of 16x16x3 = 768 values, any number divisible by 9, of which 3x3 make one soft token. `PatchEmbedder`, of `gemma4_unified`: patches
of 48x48x3 = 6912 values, each one soft token.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedModel

from gemscope.onnx_export.graphs.attention import additive


class VisionTower(nn.Module):
    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.tower = model.model.vision_tower
        self.projection = model.model.embed_vision
        self.config = model.config.vision_config

    def forward(self, pixel_values: torch.Tensor, pixel_position_ids: torch.Tensor) -> torch.Tensor:
        padding = (pixel_position_ids == -1).all(-1)
        hidden = self.tower.patch_embedder(pixel_values, pixel_position_ids, padding).float()
        mask = additive(~padding)[:, None, None, :]
        rotation = self.tower.encoder.rotary_emb(hidden, pixel_position_ids)
        for layer in self.tower.encoder.layers:
            hidden = layer(hidden, attention_mask=mask, position_embeddings=rotation, position_ids=pixel_position_ids)
        features = self._pool(hidden, pixel_position_ids, padding)
        if self.config.standardize:
            features = (features - self.tower.std_bias) * self.tower.std_scale
        return self.projection(features)

    def _pool(self, hidden: torch.Tensor, positions: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        """The mean of every 3x3 patches, row after row of an image, times the square root of the width, f32."""
        side = self.config.pooling_kernel_size
        images, patches, width = hidden.shape
        cells = patches // side**2
        hidden = hidden.masked_fill(padding[..., None], 0.0)
        positions = positions.clamp(min=0)
        columns = (positions[..., 0].amax(-1, keepdim=True) + 1) // side
        cell = positions[..., 0] // side + columns * (positions[..., 1] // side)
        sums = torch.zeros(images, cells, width, device=hidden.device).scatter_add(1, cell[..., None].expand(-1, -1, width), hidden)
        used = (~padding).sum(-1, keepdim=True) // side**2
        filled = torch.arange(cells, device=hidden.device)[None, :] < used
        return (sums / side**2 * width**0.5)[filled]


class PatchEmbedder(nn.Module):
    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.embedder = model.model.embed_vision

    def forward(self, pixel_values: torch.Tensor, pixel_position_ids: torch.Tensor) -> torch.Tensor:
        features = self.embedder(pixel_values, pixel_position_ids).pooler_output
        return features[(pixel_position_ids != -1).all(-1)]


def vision_module(model: PreTrainedModel) -> nn.Module:
    return PatchEmbedder(model) if model.config.model_type == "gemma4_unified" else VisionTower(model)


def patch_values(model: PreTrainedModel) -> int:
    """Values of one patch: the last axis of `pixel_values`."""
    config = model.config.vision_config
    side = config.model_patch_size if model.config.model_type == "gemma4_unified" else config.patch_size
    return 3 * side**2
