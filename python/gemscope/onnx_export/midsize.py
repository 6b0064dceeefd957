"""`midsize OUT`: a random model that costs what a real one costs, for benchmarks: 330 million parameters in the shape of E2B, with Gemma 4's whole vocabulary.

OUT/checkpoint is the model as Hugging Face writes it, OUT/model its graphs in f32 and in 4 bits (`_q4`), or in what --dtype says. Layers, sharing of caches, per-layer embeddings, the double-wide
MLP of shared layers and the vision tower are those of E2B's configuration, made smaller; tokenizer and chat template are Gemma 4's (`fixtures/gemma4`). Its answers are
noise and never end by themselves, since special tokens, the stop ids among them, are never the best: so every program generates the same number of tokens, its limit.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedModel

from gemscope.onnx_export import tiny
from gemscope.onnx_export.graphs import DTYPES, dtypes_of, export
from gemscope.onnx_export.processing import MODALITY_TOKENS, SPECIAL_TOKENS

TEXT: dict[str, Any] = {
    "hidden_size": 512,
    "intermediate_size": 1536,
    "num_hidden_layers": 20,
    "num_kv_shared_layers": 10,
    "num_attention_heads": 4,
    "head_dim": 128,
    "global_head_dim": 256,
    "hidden_size_per_layer_input": 16,
    "layer_types": (["sliding_attention"] * 4 + ["full_attention"]) * 4,
    "bos_token_id": 2,
    "pad_token_id": 0,
    "eos_token_id": [1, 106],
}
VISION: dict[str, Any] = {
    "model_type": "gemma4_vision",
    "hidden_size": 384,
    "intermediate_size": 1536,
    "num_hidden_layers": 8,
    "num_attention_heads": 6,
    "num_key_value_heads": 6,
    "head_dim": 64,
    "position_embedding_size": 10240,
    "default_output_length": 280,
    "use_clipped_linears": True,
}
SPECIAL_RANGES = (slice(0, 256), slice(255_999, 262_144))
"""Control tokens stand at both ends of the vocabulary."""
LOGIT_SPREAD = 5.0
"""Standard deviation of the logits, as in a trained model, not flattened by the soft cap at 30."""

TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    **SPECIAL_TOKENS,
    **MODALITY_TOKENS,
    "add_bos_token": False,
    "padding_side": "left",
    "model_max_length": 131072,
    "clean_up_tokenization_spaces": False,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, help="folder to write to; is made if missing (3 GB)")
    parser.add_argument("--fixtures", type=Path, default=Path("fixtures"), help="the configuration and the tokenizer (default: %(default)s)")
    names = ", ".join(DTYPES)
    parser.add_argument("--dtype", default="fp32,q4", help=f"of the graphs: some of {names} (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights (default: %(default)s)")
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> None:
    dtypes = [DTYPES[name] for name in dtypes_of(arguments.dtype)]
    checkpoint = arguments.out / "checkpoint"
    write(checkpoint, arguments.fixtures, arguments.seed)
    for dtype, quantization in dtypes:
        export(checkpoint, arguments.out / "model", dtype, quantization)


def write(out: Path, fixtures: Path, seed: int) -> None:
    gemma4 = fixtures / "gemma4"
    write_weights(out, fixtures, seed, TEXT, VISION, {"boi_token_id": 255_999, "eoi_token_id": 258_882})
    _write_json(out / "tokenizer_config.json", TOKENIZER_CONFIG)
    (out / "tokenizer.json").write_bytes(gzip.decompress((gemma4 / "tokenizer.json.gz").read_bytes()))
    shutil.copyfile(gemma4 / "chat_template.e2b.jinja", out / "chat_template.jinja")
    for name in ("processor_config.json", "generation_config.json"):
        shutil.copyfile(gemma4 / name, out / name)


def write_weights(out: Path, fixtures: Path, seed: int, text: dict[str, Any], vision: dict[str, Any], tokens: dict[str, int]) -> None:
    """A random checkpoint without a tokenizer: E2B's configuration with `text`, `vision` and the ids of `tokens`."""
    torch.set_grad_enabled(False)
    torch.manual_seed(seed)
    out.mkdir(parents=True, exist_ok=True)
    config = json.loads((fixtures / "gemma4" / "configs" / "E2B.json").read_text(encoding="utf-8"))
    small = {"text_config": config["text_config"] | text, "vision_config": vision, "audio_config": None, "dtype": "float32"}
    document = config | small | tokens | {"architectures": ["Gemma4ForConditionalGeneration"]}
    _write_json(out / "config.json", document)
    model = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(out), dtype=torch.float32)
    randomize(model)
    model.save_pretrained(out)
    # Not as transformers writes it, but with the keys of the published configurations.
    _write_json(out / "config.json", document)
    print(f"{out}: {sum(parameter.numel() for parameter in model.parameters())} parameters", flush=True)


def randomize(model: PreTrainedModel) -> None:
    """As `tiny` draws its weights, scaled for more channels, so that logits spread as a trained model's."""
    tiny.randomize(model)
    text = model.model.language_model
    scale = LOGIT_SPREAD * text.embed_tokens.weight.shape[1] ** -0.5
    text.embed_tokens.weight *= scale
    model.model.embed_vision.embedding_projection.weight *= scale
    for special in SPECIAL_RANGES:
        text.embed_tokens.weight[special] *= 0.1


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8", newline="\n")
