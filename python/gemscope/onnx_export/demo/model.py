"""The demo model: Gemma 4 E2B's modules at 1.3 million parameters, and how it starts.

Out: a `Gemma4ForConditionalGeneration`. Promises: nothing in it that the real model has not, so its graphs exercise the same paths: per-layer embeddings,
KV cache shared by the last layers, sliding window beside full attention, two head sizes, soft-capped logits.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import Gemma4Config, Gemma4ForConditionalGeneration


def config(tokenizer: Tokenizer) -> Gemma4Config:
    vocabulary = tokenizer.get_vocab_size()
    token = tokenizer.token_to_id
    text = {
        **{"vocab_size": vocabulary, "vocab_size_per_layer_input": vocabulary, "hidden_size": 128, "intermediate_size": 256},
        **{"num_hidden_layers": 5, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 32, "global_head_dim": 48},
        **{"hidden_size_per_layer_input": 16, "num_kv_shared_layers": 2, "sliding_window": 128},
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention", "sliding_attention", "full_attention"],
        **{"final_logit_softcapping": 30.0, "max_position_embeddings": 8192, "use_double_wide_mlp": False, "initializer_range": 0.04},
        **{"pad_token_id": token("<pad>"), "bos_token_id": token("<bos>"), "eos_token_id": [token("<eos>"), token("<turn|>")]},
    }
    vision = {
        **{"hidden_size": 96, "intermediate_size": 192, "num_hidden_layers": 3, "num_attention_heads": 3, "num_key_value_heads": 3},
        **{"head_dim": 32, "position_embedding_size": 256, "initializer_range": 0.04},
    }
    return Gemma4Config(
        text_config=text,
        vision_config=vision,
        audio_config=None,
        image_token_id=token("<|image|>"),
        boi_token_id=token("<|image>"),
        eoi_token_id=token("<image|>"),
        video_token_id=token("<|video|>"),
        audio_token_id=token("<|audio|>"),
    )


@torch.no_grad()
def untrained(tokenizer: Tokenizer) -> Gemma4ForConditionalGeneration:
    model = Gemma4ForConditionalGeneration(config(tokenizer))
    for module in model.modules():
        # Gemma 4 attends with scale 1.0 on normed q and k: without this the softmax starts saturated and shapes are never learned.
        if hasattr(module, "q_norm"):
            module.q_norm.weight.fill_(module.head_dim**-0.5)
    # Ones, as the library starts it, say nothing of the place; from sinusoids the coordinates are learned far sooner.
    table = model.model.vision_tower.patch_embedder.position_embedding_table
    _, length, width = table.shape
    place = torch.arange(length)[:, None] / 42.0 * math.pi
    frequency = 0.5 * 2 ** (torch.arange(width // 4)[None, :] * 5.0 / (width // 4))
    waves = torch.cat([(place * frequency).sin(), (place * frequency).cos()], 1) * 0.5
    table.zero_()
    table[0, :, : width // 2] = waves
    table[1, :, width // 2 :] = waves
    add_high_pass(model)
    add_edge_filters(model)
    return model


HIGH_PASS_ROWS = 12
HIGH_PASS_NORM = 3.0


@torch.no_grad()
def add_high_pass(model: Gemma4ForConditionalGeneration) -> None:
    """Lets a few dimensions of the patch embedding see single pixels.

    Shapes are learned from smooth filters, and after that nothing in the vision tower can tell noise or blur. The patterns are random signs without their
    mean over 4x4 pixels, so that flat colours and the scenes' own coarse grain do not show in them; they go where the weights are smallest.
    """
    weight = model.model.vision_tower.patch_embedder.input_proj.weight
    generator = torch.Generator().manual_seed(0)
    signs = torch.randint(0, 2, (HIGH_PASS_ROWS, 4, 4, 4, 4), generator=generator).float() * 2 - 1
    signs -= signs.mean((2, 4), keepdim=True)
    pattern = signs.view(HIGH_PASS_ROWS, 16, 16, 1).expand(-1, -1, -1, 3).flatten(1)
    rows = weight.norm(dim=1).argsort()[:HIGH_PASS_ROWS]
    weight[rows] += pattern / pattern.norm(dim=1, keepdim=True) * HIGH_PASS_NORM


EDGE_SCALES = ((1.0, (3.0, 7.5, 12.0)), (2.2, (4.5, 10.5)))
"""Width of the Gaussian in pixels, and where in a patch its centres are, across and down."""


@torch.no_grad()
def add_edge_filters(model: Gemma4ForConditionalGeneration) -> None:
    """Lets other dimensions of the patch embedding see how steep edges are: derivatives of a Gaussian, across and down, at two widths.

    How blurred a picture is shows only in the ratio of fine to coarse steepness, whatever the contrast; random patterns drown it in noise.
    """
    weight = model.model.vision_tower.patch_embedder.input_proj.weight
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    patterns = []
    for width, places in EDGE_SCALES:
        for down in places:
            for across in places:
                bump = torch.exp(-((y - down) ** 2 + (x - across) ** 2) / (2 * width**2))
                patterns += [slope - slope.mean() for slope in (bump * (x - across), bump * (y - down))]
    flat = torch.stack(patterns)[..., None].expand(-1, -1, -1, 3).flatten(1)
    rows = weight.norm(dim=1).argsort()[: len(patterns)]
    weight[rows] += flat / flat.norm(dim=1, keepdim=True)


@torch.no_grad()
def load(checkpoint: Path, tokenizer: Tokenizer) -> Gemma4ForConditionalGeneration:
    """A checkpoint that was trained before tokens were added at the end gets rows for them; `▁word` starts as `word`."""
    model = Gemma4ForConditionalGeneration.from_pretrained(checkpoint)
    text = model.config.text_config
    known, wanted = text.vocab_size, tokenizer.get_vocab_size()
    if wanted > known:
        for name in ("embed_tokens", "embed_tokens_per_layer"):
            table: nn.Embedding = getattr(model.model.language_model, name)
            table.weight = nn.Parameter(_grown(table.weight, wanted))
            table.num_embeddings = wanted
        model.lm_head.weight = model.model.language_model.embed_tokens.weight
        model.lm_head.out_features = wanted
        text.vocab_size = text.vocab_size_per_layer_input = wanted
        for token, row in tokenizer.get_vocab().items():
            plain = tokenizer.token_to_id(token.removeprefix("▁"))
            if token.startswith("▁") and len(token) > 2 and plain is not None:
                for table in (model.model.language_model.embed_tokens, model.model.language_model.embed_tokens_per_layer):
                    table.weight[row] = table.weight[plain]
    return model


def _grown(weight: Tensor, rows: int) -> Tensor:
    return torch.cat([weight, torch.randn(rows - weight.shape[0], weight.shape[1]) * weight.std()])
