"""`generate.json`: what `Gemma4ForConditionalGeneration.generate()` answers, greedily, with the demo model on real files.

A case has the image `file` (a PNG under fixtures/, so that every decoder gives the same pixels), the user's `prompt`, `input_count` and
`input_ids_sha256` (over little-endian i64) of the expanded prompt, and the answer: `ids` with the stop token as the last one (unless `max_new_tokens`
came first), and `text` without special tokens. `smallest_margin` is the smallest difference between the best and the second logit at any step: where it is tiny, another
order of additions may pick another token. Some cases list `log_probabilities`, one for each of `ids`: log-softmax in f64 of the f32 logits.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import Gemma4ForConditionalGeneration, Gemma4Processor

from gemscope.onnx_export.golden.prompts import MODELS, load_processor
from gemscope.onnx_export.provenance import made_by, sha256, write_json

BUDGET = 70
MAX_NEW_TOKENS = 300

CASES: tuple[tuple[str, str], ...] = (
    ("shapes/scene-01.png", "detect red circle and star"),
    ("shapes/scene-01.png", "detect shape"),
    ("shapes/scene-01.png", "detect green square"),
    ("shapes/scene-01.png", "detect orange triangle"),
    ("shapes/scene-02.png", "detect red circle and star"),
    ("shapes/scene-02.png", "detect shape"),
    ("shapes/scene-02.png", "Detect the blue square in this image"),
    ("shapes/scene-03.png", "detect red circle and star"),
    ("shapes/scene-03.png", "detect shape"),
    ("shapes/scene-06.png", "detect shape"),
    ("shapes/scene-06.png", "detect purple triangle"),
    ("shapes/scene-07.png", "detect red circle and star"),
    ("shapes/scene-07.png", "detect triangle"),
    ("shapes/scene-07.png", "Detect the red triangle in this image"),
    ("shapes/scene-09.png", "detect yellow square and green triangle"),
    ("shapes/scene-09.png", "detect blue square"),
    ("shapes/scene-11.png", "Detect the star in this image"),
    ("shapes/scene-11.png", "detect shape"),
    ("shapes/scene-12.png", "detect blue triangle"),
    ("shapes/scene-12.png", "detect circle and square and star"),
    ("shapes/scene-13.png", "detect shape"),
    ("shapes/scene-16.png", "detect orange star and purple triangle"),
    ("shapes/scene-16.png", "detect shape"),
    ("shapes/scene-17.png", "detect red circle and star"),
    ("shapes/scene-17.png", "detect blue square and blue star and red circle"),
    ("shapes/scene-17.png", "detect shape"),
    ("shapes/scene-19.png", "detect red circle and star"),
    ("photos/chelsea.png", "detect cat"),
    ("photos/chelsea.png", "detect shape"),
    ("photos/rocket.png", "detect rocket"),
    ("photos/rocket.png", "Describe this image in detail."),
)
WITH_LOG_PROBABILITIES = 6
"""So many cases from the start, and all of photographs."""


def write(out: Path, fixtures: Path, checkpoint: Path) -> None:
    processor = load_processor(fixtures, MODELS["demo"])
    model = Gemma4ForConditionalGeneration.from_pretrained(checkpoint).eval()
    cases = []
    for index, (file, prompt) in enumerate(CASES):
        detailed = index < WITH_LOG_PROBABILITIES or file.startswith("photos/")
        cases.append({"file": file, "prompt": prompt, **_answer(processor, model, fixtures / file, prompt, detailed)})
    write_json(
        out,
        {
            "made_by": made_by("python -m gemscope.onnx_export golden fixtures/golden --only generate"),
            "model": "demo-model",
            "budget": BUDGET,
            "max_new_tokens": MAX_NEW_TOKENS,
            "stop_ids": model.generation_config.eos_token_id,
            "cases": cases,
        },
    )


def _answer(processor: Gemma4Processor, model: Gemma4ForConditionalGeneration, path: Path, prompt: str, detailed: bool) -> dict:
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}]
    text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    with Image.open(path) as image:
        inputs = processor(text=[text], images=[image], max_soft_tokens=BUDGET, add_special_tokens=False, return_tensors="pt")
    generated = model.generate(
        **inputs, max_new_tokens=MAX_NEW_TOKENS, do_sample=False, output_logits=True, return_dict_in_generate=True
    )
    input_ids = inputs["input_ids"][0]
    ids = generated.sequences[0, len(input_ids) :]
    logits = torch.cat(generated.logits).double()
    best = logits.topk(2).values
    log_probabilities = logits.log_softmax(-1).gather(1, ids[:, None])[:, 0]
    answer = {
        "input_count": len(input_ids),
        "input_ids_sha256": sha256(input_ids.numpy(), "<i8"),
        "ids": ids.tolist(),
        "text": processor.tokenizer.decode(ids, skip_special_tokens=True),
        "smallest_margin": float(np.float32((best[:, 0] - best[:, 1]).min())),
    }
    if detailed:
        answer["log_probabilities"] = [round(value, 9) for value in log_probabilities.tolist()]
    return answer
