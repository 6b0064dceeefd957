"""The settings that stand beside the demo model's weights, as in any Hugging Face directory of a Gemma 4.

In: the tokenizer. Out: tokenizer, chat template, and the processor's and generation's settings, written into a directory.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tokenizers import Tokenizer

from gemscope.onnx_export.processing import MODALITY_TOKENS, SPECIAL_TOKENS

TEMPLATE = Path(__file__).with_name("chat_template.jinja")
BUDGET = 70
"""Soft tokens of a view: what the model is trained on."""


def write(out: Path, tokenizer: Tokenizer) -> None:
    tokenizer.save(str(out / "tokenizer.json"))
    shutil.copyfile(TEMPLATE, out / "chat_template.jinja")
    _json(
        out / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            **SPECIAL_TOKENS,
            **MODALITY_TOKENS,
            **{"add_bos_token": False, "padding_side": "left", "model_max_length": 8192, "clean_up_tokenization_spaces": False},
        },
    )
    token = tokenizer.token_to_id
    _json(
        out / "generation_config.json",
        {"bos_token_id": token("<bos>"), "pad_token_id": token("<pad>"), "eos_token_id": [token("<eos>"), token("<turn|>")], "do_sample": False},
    )
    processor = {
        "processor_class": "Gemma4Processor",
        "image_seq_length": BUDGET,
        "image_processor": {
            "image_processor_type": "Gemma4ImageProcessor",
            **{"do_convert_rgb": True, "do_normalize": False, "do_rescale": True, "do_resize": True, "resample": 3},
            **{"rescale_factor": 1 / 255, "image_mean": [0.0] * 3, "image_std": [1.0] * 3},
            **{"max_soft_tokens": BUDGET, "image_seq_length": BUDGET, "patch_size": 16, "pooling_kernel_size": 3},
        },
    }
    # transformers.js reads the second name.
    for name in ("processor_config.json", "preprocessor_config.json"):
        _json(out / name, processor)


def _json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
