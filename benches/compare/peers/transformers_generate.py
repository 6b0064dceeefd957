"""Hugging Face transformers: processor and `generate()`, greedy, f32, as its documentation shows. The model is a checkpoint."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import torch
from PIL import Image, ImageOps
from transformers import AutoModelForImageTextToText

from gemscope.onnx_export.processing import processor_around, prompt_inputs


def open_model(arguments: argparse.Namespace) -> Callable[[Path], dict[str, Any]]:
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    processor = processor_around(arguments.model / "tokenizer.json", arguments.model / "chat_template.jinja")
    model = AutoModelForImageTextToText.from_pretrained(arguments.model, dtype=torch.float32).eval()

    @torch.inference_mode()
    def answer(path: Path) -> dict[str, Any]:
        with Image.open(path) as stored:
            image = ImageOps.exif_transpose(stored).convert("RGB")
        inputs = prompt_inputs(processor, [image], arguments.prompt, arguments.budget)
        inputs.pop("num_soft_tokens_per_image", None)
        generated = model.generate(**inputs, max_new_tokens=arguments.max_new_tokens, do_sample=False)
        return {"ids": generated[0, inputs["input_ids"].shape[1] :].tolist()}

    return answer


if __name__ == "__main__":
    common.run(__doc__, open_model)
