"""`variants.json`: what Hugging Face answers, greedily, with the tiny checkpoint of each variant that `tiny` writes; `fixtures/variants` are their exports.

A case has the `model` (a folder of fixtures/variants), the image `file`, `prompt` and `budget`, and then what a case of `generate.json` has: `input_count`,
`input_ids_sha256`, `ids`, `text`, `smallest_margin`. The weights are random, so the answers mean nothing. Of the candidates those were taken whose
answer is not cut short, varies, and is nowhere a close call.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, PreTrainedModel, ProcessorMixin

from gemscope.onnx_export import tiny
from gemscope.onnx_export.processing import processor_around, prompt_inputs
from gemscope.onnx_export.provenance import made_by, sha256, write_json
from gemscope.onnx_export.reference import generate

MAX_NEW_TOKENS = 32
SMALLEST_MARGIN = 5e-3
DIFFERENT_TOKENS = 8
CASES_AT_BUDGET = {70: 3, 280: 1}

FILES = ("shapes/scene-01.png", "photos/chelsea.png", "shapes/scene-09.png", "photos/rocket.png", "shapes/scene-12.png", "shapes/scene-13.png")
PROMPTS = ("detect red circle and star", "detect shape", "Describe this image in detail.", "detect cat", "detect blue square")


def write(out: Path, fixtures: Path, checkpoint: Path) -> None:
    cases = []
    for variant in tiny.VARIANTS:
        with tempfile.TemporaryDirectory() as folder:
            tiny.write(variant, Path(folder), fixtures)
            model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
            processor = processor_around(Path(folder) / "tokenizer.json", Path(folder) / "chat_template.jinja", model.config.model_type)
        for budget, wanted in CASES_AT_BUDGET.items():
            cases += _cases(variant, model, processor, fixtures, budget, wanted)
    write_json(
        out,
        {
            "made_by": made_by("python -m gemscope.onnx_export golden fixtures/golden --only variants"),
            "max_new_tokens": MAX_NEW_TOKENS,
            "stop_ids": tiny.STOP_IDS,
            "cases": cases,
        },
    )


def _cases(variant: str, model: PreTrainedModel, processor: ProcessorMixin, fixtures: Path, budget: int, wanted: int) -> list[dict]:
    """The first `wanted` candidates that are good, no image twice."""
    cases: list[dict] = []
    for file in FILES:
        for prompt in PROMPTS:
            answer = _answer(model, processor, fixtures / file, prompt, budget)
            if answer:
                cases.append({"model": variant, "file": file, "prompt": prompt, "budget": budget, **answer})
                break
        if len(cases) == wanted:
            return cases
    raise SystemExit(f"{variant}: only {len(cases)} of {wanted} cases at budget {budget} are good enough")


def _answer(model: PreTrainedModel, processor: ProcessorMixin, path: Path, prompt: str, budget: int) -> dict | None:
    with Image.open(path) as image:
        inputs = prompt_inputs(processor, [image.convert("RGB")], prompt, budget)
    generated = generate(model, inputs, MAX_NEW_TOKENS)
    input_ids = inputs["input_ids"][0]
    ids = generated.sequences[0, len(input_ids) :]
    best = torch.cat(generated.logits).topk(2).values
    margin = float(np.float32((best[:, 0] - best[:, 1]).min()))
    if len(ids) < MAX_NEW_TOKENS or len(ids.unique()) < DIFFERENT_TOKENS or margin < SMALLEST_MARGIN:
        return None
    return {
        "input_count": len(input_ids),
        "input_ids_sha256": sha256(input_ids.numpy(), "<i8"),
        "ids": ids.tolist(),
        "text": processor.tokenizer.decode(ids, skip_special_tokens=True),
        "smallest_margin": margin,
    }
