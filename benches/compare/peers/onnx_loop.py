"""The loop that anybody writes: onnxruntime in Python on the same graphs as Gemscope's, one image and one token at a time, Hugging Face's processor before it."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import numpy as np
import onnxruntime
from PIL import Image, ImageOps

from gemscope.onnx_export.processing import processor_around, prompt_inputs

DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


def open_model(arguments: argparse.Namespace) -> Callable[[Path], dict[str, Any]]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    vision, embed, decoder = (
        onnxruntime.InferenceSession(arguments.model / "onnx" / f"{name}{arguments.suffix}.onnx", options, providers=["CPUExecutionProvider"])
        for name in ("vision_encoder", "embed_tokens", "decoder_model_merged")
    )
    processor = processor_around(arguments.model / "tokenizer.json", arguments.model / "chat_template.jinja")
    config = json.loads((arguments.model / "config.json").read_text(encoding="utf-8"))
    generation = json.loads((arguments.model / "generation_config.json").read_text(encoding="utf-8"))
    suppressed = generation.get("suppress_tokens") or []
    inputs = {port.name: port for port in decoder.get_inputs()}
    outputs = [port.name for port in decoder.get_outputs()]
    inside = 0.0

    def timed(session: onnxruntime.InferenceSession, feeds: dict[str, Any]) -> list[np.ndarray]:
        nonlocal inside
        started = time.perf_counter()
        values = session.run(None, feeds)
        inside += time.perf_counter() - started
        return values

    def answer(path: Path) -> dict[str, Any]:
        nonlocal inside
        inside = 0.0
        with Image.open(path) as stored:
            image = ImageOps.exif_transpose(stored).convert("RGB")
        prompt = prompt_inputs(processor, [image], arguments.prompt, arguments.budget)
        ids = prompt["input_ids"].numpy()
        image_rows = ids == config["image_token_id"]
        pixels = {"pixel_values": prompt["pixel_values"].numpy(), "pixel_position_ids": prompt["image_position_ids"].numpy()}
        (features,) = timed(vision, pixels)
        past = {name: np.zeros((1, port.shape[1], 0, port.shape[3]), DTYPES[port.type]) for name, port in inputs.items() if name.startswith("past")}
        length, answered = 0, []
        while True:
            embeds, per_layer = timed(embed, {"input_ids": np.where(ids == config["image_token_id"], 0, ids)})
            if not answered:
                embeds[image_rows] = features.reshape(-1, embeds.shape[-1])
            length += ids.shape[1]
            feeds = {
                "inputs_embeds": embeds,
                "per_layer_inputs": per_layer,
                "attention_mask": np.ones((1, length), np.int64),
                "position_ids": np.arange(length - ids.shape[1], length)[None],
                "num_logits_to_keep": np.array(1),
                **past,
            }
            logits, *present = timed(decoder, {name: value for name, value in feeds.items() if name in inputs})
            past = {name.replace("present", "past_key_values"): value for name, value in zip(outputs[1:], present, strict=True)}
            scores = logits[0, -1]
            scores[suppressed] = -np.inf
            answered.append(int(scores.argmax()))
            if answered[-1] in generation["eos_token_id"] or len(answered) == arguments.max_new_tokens:
                return {"ids": answered, "onnx_runtime_seconds": inside}
            ids = np.array([answered[-1:]])

    return answer


if __name__ == "__main__":
    common.run(__doc__, open_model)
