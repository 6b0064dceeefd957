"""Hugging Face transformers: processor and `generate()` over batches that are padded on the left, as its documentation shows. The model is a checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import batched
import torch
from PIL import Image, ImageOps
from transformers import AutoModelForImageTextToText

from gemscope.onnx_export.processing import processor_around


def open_model(arguments: argparse.Namespace) -> batched.Answer:
    processor = processor_around(arguments.model / "tokenizer.json", arguments.model / "chat_template.jinja")
    dtype = getattr(torch, arguments.dtype)
    model = AutoModelForImageTextToText.from_pretrained(arguments.model, dtype=dtype).eval()
    content = [{"type": "image"}, {"type": "text", "text": arguments.prompt}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False)

    @torch.inference_mode()
    def of_batch(paths: list[Path]) -> list[dict[str, Any]]:
        images = []
        for path in paths:
            with Image.open(path) as stored:
                images.append([ImageOps.exif_transpose(stored).convert("RGB")])
        inputs = processor(
            text=[text] * len(images), images=images, max_soft_tokens=arguments.budget, add_special_tokens=False, padding=True, return_tensors="pt"
        )
        inputs.pop("num_soft_tokens_per_image", None)
        inputs["pixel_values"] = inputs["pixel_values"].to(dtype)
        generated = model.generate(**inputs, max_new_tokens=arguments.max_new_tokens, do_sample=False)
        return [{"ids": row[inputs["input_ids"].shape[1] :].tolist()} for row in generated]

    def answer(paths: list[Path]) -> list[dict[str, Any]]:
        told = []
        for first in range(0, len(paths), arguments.rows):
            told += of_batch(paths[first : first + arguments.rows])
        return told

    return answer


if __name__ == "__main__":
    batched.run(__doc__, open_model)
