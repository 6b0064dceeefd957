"""`tiny VARIANT OUT`: a checkpoint with everything that is special about a variant of Gemma 4, small enough to be a fixture, with random weights.

It is the variant's own configuration, of `fixtures/gemma4/configs`, made small: fewer and narrower layers in the same pattern of sliding and full attention, with the same
sharing of caches, per-layer embeddings, experts and ways of attending to pictures. The window is shorter than a picture. The tokenizer, with its 585 tokens, is
that of the exports in `fixtures/variants`: an early one of the demo model's, which has grown since. The weights are drawn so that answers vary: logits spread over several units, no token repeats itself for ever,
clipping clips, and special tokens are never the best.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedModel

VARIANTS = ("E2B", "E4B", "12B", "26B-A4B", "31B")
UNIFIED = "12B"

SPECIAL_IDS = {"image_token_id": 9, "boi_token_id": 7, "eoi_token_id": 8, "audio_token_id": 12, "video_token_id": 13}
FIRST_ORDINARY_ID = 14
STOP_IDS = [1, 6]
VOCABULARY = 585

# Key-value heads of sliding and of full layers are in the proportion of the variant.
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "head_dim": 8,
    "global_head_dim": 16,
    "vocab_size": VOCABULARY,
    "vocab_size_per_layer_input": VOCABULARY,
    "max_position_embeddings": 8192,
    "sliding_window": 24,
    "bos_token_id": 2,
    "pad_token_id": 0,
    "eos_token_id": STOP_IDS,
}
TEXT_OF: dict[str, dict[str, Any]] = {
    "E2B": {"num_hidden_layers": 10, "num_kv_shared_layers": 5, "hidden_size_per_layer_input": 8, "layer_types": (["sliding_attention"] * 4 + ["full_attention"]) * 2},
    "E4B": {"num_hidden_layers": 12, "num_kv_shared_layers": 6, "hidden_size_per_layer_input": 8},
    "12B": {"num_hidden_layers": 6, "num_key_value_heads": 4, "num_global_key_value_heads": 1, "layer_types": ["sliding_attention"] * 5 + ["full_attention"]},
    "26B-A4B": {
        "num_hidden_layers": 6,
        "num_key_value_heads": 2,
        "num_global_key_value_heads": 1,
        "num_experts": 8,
        "top_k_experts": 2,
        "moe_intermediate_size": 16,
        "use_bidirectional_attention": "vision",
    },
    "31B": {"num_hidden_layers": 6, "num_key_value_heads": 2, "num_global_key_value_heads": 1, "use_bidirectional_attention": "vision"},
}
"""The published configurations of 26B-A4B and 31B attend to pictures in both directions, as 12B's does; the copies in fixtures/ leave the setting out."""

VISION = {
    "model_type": "gemma4_vision",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "position_embedding_size": 256,
}
VISION_OF: dict[str, dict[str, Any]] = {
    "E2B": {"use_clipped_linears": True},
    "E4B": {"use_clipped_linears": True},
    "26B-A4B": {"standardize": True},
    "31B": {"standardize": True},
    UNIFIED: {"mm_embed_dim": 24, "output_proj_dims": 24, "mm_posemb_size": 96},
}

SIDE_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "processor_config.json", "preprocessor_config.json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("variant", choices=VARIANTS)
    parser.add_argument("out", type=Path, help="folder to write to; is made if missing")
    parser.add_argument("--fixtures", type=Path, default=Path("fixtures"), help="the configurations and the tokenizer (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights (default: %(default)s)")
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> None:
    write(arguments.variant, arguments.out, arguments.fixtures, arguments.seed)


def write(variant: str, out: Path, fixtures: Path, seed: int = 0) -> None:
    torch.set_grad_enabled(False)
    torch.manual_seed(seed)
    out.mkdir(parents=True, exist_ok=True)
    config = shrunk(json.loads((fixtures / "gemma4" / "configs" / f"{variant}.json").read_text(encoding="utf-8")), variant)
    _write_json(out / "config.json", config)
    model = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(out), dtype=torch.float32)
    randomize(model)
    model.save_pretrained(out)
    # Not as transformers writes it, but with the keys of the published configurations.
    _write_json(out / "config.json", config)
    _write_json(out / "generation_config.json", {"bos_token_id": 2, "pad_token_id": 0, "eos_token_id": STOP_IDS, "do_sample": False})
    for name in SIDE_FILES:
        shutil.copyfile(fixtures / "variants" / "E2B" / name, out / name)
    if variant == UNIFIED:
        for name in ("processor_config.json", "preprocessor_config.json"):
            text = (out / name).read_text(encoding="utf-8")
            (out / name).write_text(text.replace("Gemma4", "Gemma4Unified"), encoding="utf-8")
    weights = out / "model.safetensors"
    print(f"{weights}: {weights.stat().st_size} bytes, {sum(parameter.numel() for parameter in model.parameters())} parameters")


def shrunk(config: dict[str, Any], variant: str) -> dict[str, Any]:
    """The variant's configuration with small sizes."""
    text = config["text_config"] | TEXT | TEXT_OF[variant]
    if not text.get("hidden_size_per_layer_input"):
        text["hidden_size_per_layer_input"] = 0
    base = config["vision_config"] if variant == UNIFIED else VISION
    small = {"text_config": text, "vision_config": base | VISION_OF[variant], "audio_config": None, "dtype": "float32"}
    return config | SPECIAL_IDS | small


def randomize(model: PreTrainedModel) -> None:
    """Draws every weight and stored buffer. What follows a norm is of size 1, so layers, embeddings and features are of like weight in the sum."""
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        last = name.rsplit(".", 1)[-1]
        if "rotary_emb" in name or last == "embed_scale":
            continue
        if last == "layer_scalar":
            tensor.uniform_(0.8, 1.1)
        elif last in ("input_min", "output_min"):
            tensor.uniform_(-2.0, -1.2)
        elif last in ("input_max", "output_max"):
            tensor.uniform_(1.2, 2.0)
        elif last == "bias" or last == "std_bias":
            tensor.normal_(0.0, 0.3)
        elif last == "std_scale":
            tensor.uniform_(0.2, 1.5)
        elif "q_norm" in name or "k_norm" in name:
            # Attention that is not too sharp, so that rounding errors do not grow from layer to layer.
            tensor.uniform_(0.5, 1.2)
        elif tensor.dim() == 1:
            tensor.uniform_(0.6, 1.6)
        elif "embed_tokens" in name or "pos" in last:
            tensor.normal_(0.0, 1.0)
        else:
            tensor.normal_(0.0, tensor.shape[-1] ** -0.5)
    text = model.model.language_model
    # Signs at the end keep a token from being its own best successor, since the head is the embedding.
    text.norm.weight *= torch.where(torch.rand_like(text.norm.weight) < 0.5, -1.0, 1.0)
    text.embed_tokens.weight[:FIRST_ORDINARY_ID] *= 0.1
    _spread_projection(model.model.embed_vision)


def _spread_projection(module: nn.Module) -> None:
    """Features as large as scaled token embeddings."""
    projection = getattr(module, "multimodal_embedder", module).embedding_projection.weight
    projection *= projection.shape[1] ** 0.5


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8", newline="\n")
