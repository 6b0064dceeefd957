"""`verify CHECKPOINT OUT`: do the exported graphs compute what Hugging Face's model computes?

Prints a table: the check, the difference, the tolerance. In f32 a difference is the largest one, relative to the largest number of the expected tensor; in f16 it is
the root of the mean square, relative to that of the expected tensor; of tokens, it is the number of those that differ. Ends with exit code 1 if any is past its
tolerance, or if any graph gives a number that is not finite.

In f16, a model with experts is judged by the median of all positions: where two experts are nearly equal, rounding chooses the other one, and from such a position on
the numbers are others, but not wrong.

Checked are the features of pictures at every budget, with and without padding and of several pictures at once; the logits of prompts with one picture, with
two, and without, of all positions and of the last ones only; a prompt in two runs; 64 greedy tokens with their logits; and rows of different length in a batch,
padded on the left, against single runs. Graphs of 4 and 8 bits are compared with Hugging Face's model after its weights were rounded in the same way. Products of 8 bits round their
activations too: `q8` is compared without that, and then, as it runs, with what it was without; `int8` with Hugging Face's model that rounds what goes into its products, by
the root of the mean square, and then with one that does not.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from transformers import AutoModelForImageTextToText, BatchFeature, PreTrainedModel, ProcessorMixin

from gemscope.onnx_export import scenes
from gemscope.onnx_export.exported import ExportedModel, Row
from gemscope.onnx_export.graphs import QUANTIZATIONS, SUFFIXES
from gemscope.onnx_export.graphs.quantize import round_activations, round_weights
from gemscope.onnx_export.processing import processor_around, prompt_inputs
from gemscope.onnx_export.reference import generate, logits_of
from gemscope.onnx_export.refusal import RefusalError, read_config

BUDGETS = (70, 140, 280, 560, 1120)
GREEDY_TOKENS = 64
DEFAULT_IMAGES = ("photos/chelsea.png", "photos/rocket.png", "shapes/scene-01.png")
DRAWN = ((640, 480), (333, 500), (384, 384))
"""Width and height of the pictures that are drawn."""
PROMPTS = ("detect shape", "detect red circle and blue star and green square", "Describe this image in detail.")
SEED = 7

FEATURE_TOLERANCE = {"f32": 1e-5, "f16": 5e-3}
LOGIT_TOLERANCE = {"f32": 1e-4, "f16": 5e-2}
TOKEN_TOLERANCE = {"f32": 0, "f16": None}
"""In f16 two tokens of nearly equal logits may change places, after which answers go different ways: not a fault, so tokens are only counted."""

INTEGER_TOLERANCE = 5e-2
"""Of 8-bit graphs as they run, to the same without rounded activations: root of the mean square, relative."""


@dataclass(frozen=True)
class Check:
    name: str
    difference: float
    tolerance: float | None

    @property
    def passed(self) -> bool:
        return self.tolerance is None or self.difference <= self.tolerance

    def __str__(self) -> str:
        tolerance = "-" if self.tolerance is None else f"{self.tolerance:.0e}" if self.tolerance else "0"
        number = f"{self.difference:.1e}" if isinstance(self.difference, float) else str(self.difference)
        return f"{self.name:58} {number:>10} {tolerance:>9}  {'pass' if self.passed else 'FAIL'}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="the checkpoint that was exported")
    parser.add_argument("out", type=Path, help="what `graphs` wrote")
    parser.add_argument("--dtype", choices=("f32", "f16"), default="f32", help="as for `graphs` (default: %(default)s)")
    parser.add_argument("--quantize", choices=("none", *QUANTIZATIONS), default="none", help="as for `graphs` (default: %(default)s)")
    parser.add_argument("--images", type=Path, help="folder with pictures to use (default: some of fixtures/)")
    parser.add_argument("--budgets", default=",".join(map(str, BUDGETS)), help="of soft tokens (default: %(default)s)")
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> None:
    budgets = budgets_of(arguments.budgets)
    read_config(arguments.checkpoint)
    checks = verify(arguments.checkpoint, arguments.out, arguments.dtype, arguments.quantize, arguments.images, budgets)
    if not all(check.passed for check in checks):
        raise SystemExit(1)


def budgets_of(text: str) -> tuple[int, ...]:
    """Numbers that are separated by commas."""
    known = {str(budget): budget for budget in BUDGETS}
    budgets = text.split(",")
    if unknown := [budget for budget in budgets if budget not in known]:
        raise RefusalError(f"--budgets: {', '.join(unknown)} is none of {', '.join(known)}")
    return tuple(known[budget] for budget in budgets)


def verify(
    checkpoint: Path, out: Path, dtype: str, quantization: str = "none", images: Path | None = None, budgets: tuple[int, ...] = BUDGETS
) -> list[Check]:
    """Runs and prints all checks."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    comparison = Comparison(checkpoint, out, dtype, quantization, _pictures(images), budgets)
    print(f"{out} {dtype} {quantization}\n{'check':58} {'difference':>10} {'tolerance':>9}")
    checks = []
    for check in comparison.checks():
        print(check, flush=True)
        checks.append(check)
    return checks


def _pictures(folder: Path | None) -> list[Image.Image]:
    """Three pictures, the first of them again if there are fewer. Drawn ones where the project's are not at hand."""
    paths = [Path("fixtures") / name for name in DEFAULT_IMAGES]
    if folder is None and not all(path.exists() for path in paths):
        draw = random.Random(SEED)
        return [scenes.draw_scene(scenes.Canvas(width, height, 8, 8), draw)[0] for width, height in DRAWN]
    if folder:
        if not folder.is_dir():
            raise RefusalError(f"--images: {folder} is no folder")
        paths = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp")]
    if not paths:
        raise RefusalError(f"{folder}: no PNG, JPEG or WebP pictures")
    paths = (paths * len(DEFAULT_IMAGES))[: len(DEFAULT_IMAGES)]
    return [ImageOps.exif_transpose(Image.open(path)).convert("RGB") for path in paths]


class Comparison:
    def __init__(
        self, checkpoint: Path, out: Path, dtype: str, quantization: str, pictures: list[Image.Image], budgets: tuple[int, ...]
    ) -> None:
        self.dtype, self.pictures, self.budgets = dtype, pictures, budgets
        self.model: PreTrainedModel = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.float32).eval()
        self.model.generation_config.eos_token_id = None
        if quantization != "none":
            round_weights(self.model, quantization)
        self.has_experts = getattr(self.model.config.text_config, "enable_moe_block", False)
        self.processor: ProcessorMixin = processor_around(
            checkpoint / "tokenizer.json", checkpoint / "chat_template.jinja", self.model.config.model_type
        )
        suffix, image_token = SUFFIXES[dtype, quantization], self.model.config.image_token_id
        self.graphs = ExportedModel(out, suffix, image_token, float_products=quantization == "q8")
        self.as_they_run = ExportedModel(out, suffix, image_token) if quantization == "q8" else None
        self.rounding = round_activations(self.model) if quantization == "int8" else []
        # An activation between two whole numbers is rounded to one here and to the other there, for a difference in its last digit.
        self.tolerances = "f16" if self.rounding else dtype

    def checks(self) -> Iterator[Check]:
        yield from self._features()
        yield from self._prompts()
        yield from self._answers()
        if self.as_they_run:
            yield from self._rounded_activations(self.as_they_run)
        if self.rounding:
            yield from self._without_rounding()

    def _features(self) -> Iterator[Check]:
        for budget in self.budgets:
            pixels, positions = self._processed(self.pictures[:1], budget)
            yield self._compare_features(f"features, budget {budget}, padded", pixels, positions)
            used = int((positions[0, :, 0] >= 0).sum())
            yield self._compare_features(f"features, budget {budget}, without padding", pixels[:, :used], positions[:, :used])
        pixels, positions = self._processed(self.pictures, self.budgets[0])
        yield self._compare_features("features, three pictures at once", pixels, positions)
        random = np.random.default_rng(SEED).random(pixels.shape, np.float32)
        random[positions[..., 0] < 0] = 0
        yield self._compare_features("features, random pixels, three at once", random, positions)

    def _prompts(self) -> Iterator[Check]:
        for budget in self.budgets[:3]:
            inputs = prompt_inputs(self.processor, self.pictures[:1], PROMPTS[0], budget)
            yield self._compare_logits(f"logits, one picture, budget {budget}", inputs)
        inputs = prompt_inputs(self.processor, self.pictures[:2], PROMPTS[1], self.budgets[0])
        yield self._compare_logits("logits, two pictures", inputs)
        yield self._compare_logits("logits, last three tokens", inputs, keep=3)
        text = prompt_inputs(self.processor, [], PROMPTS[2], self.budgets[0])
        yield self._compare_logits("logits, no picture", text)

        row = self._row(text)
        whole, _ = self.graphs.prefill([row])
        _, prefix = self.graphs.prefill([Row(row.ids[:4], row.features)])
        rest = np.array([row.ids[4:]])
        in_two = self.graphs.step(prefix, rest, np.ones_like(rest), keep=0)
        yield Check("logits, prompt in two runs", self._difference(in_two, whole[:, 4:]), LOGIT_TOLERANCE[self.tolerances])

    def _answers(self) -> Iterator[Check]:
        rows, ids, logits = [], [], []
        for index, prompt in enumerate(PROMPTS):
            pictures = self.pictures[index : index + 1] if index < 2 else []
            inputs = prompt_inputs(self.processor, pictures, prompt, self.budgets[index % len(self.budgets)])
            rows.append(self._row(inputs))
            expected = generate(self.model, inputs, GREEDY_TOKENS)
            expected_ids = expected.sequences[0, inputs["input_ids"].shape[1] :].numpy()
            row_ids, row_logits = self.graphs.generate(rows[-1:], GREEDY_TOKENS)
            differ = int((row_ids[0] != expected_ids).sum())
            yield Check(f"{GREEDY_TOKENS} tokens, {prompt!r}, {len(set(expected_ids.tolist()))} different", differ, TOKEN_TOLERANCE[self.tolerances])
            same = _common(row_ids[0], expected_ids)
            yield Check(
                f"logits of the {same} common tokens", self._difference(row_logits[0, :same], torch.cat(expected.logits[:same]).numpy()), LOGIT_TOLERANCE[self.tolerances]
            )
            ids.append(row_ids[0])
            logits.append(row_logits[0])
        batch_ids, batch_logits = self.graphs.generate(rows, GREEDY_TOKENS)
        lengths = ", ".join(str(len(row.ids)) for row in rows)
        same = min(_common(ours, single) for ours, single in zip(batch_ids, ids, strict=True))
        yield Check(f"tokens, rows of {lengths} in a batch, to single runs", int((batch_ids != np.stack(ids)).sum()), TOKEN_TOLERANCE[self.tolerances])
        yield Check("logits, rows in a batch, to single runs", self._difference(batch_logits[:, :same], np.stack(logits)[:, :same]), LOGIT_TOLERANCE[self.tolerances])

    def _rounded_activations(self, graphs: ExportedModel) -> Iterator[Check]:
        pixels, positions = self._processed(self.pictures, self.budgets[0])
        features = self.graphs.features(pixels, positions)
        difference = _root_mean_square(graphs.features(pixels, positions), features)
        yield Check("features, activations in 8 bits", difference, INTEGER_TOLERANCE)
        row = self._row(prompt_inputs(self.processor, self.pictures[:1], PROMPTS[0], self.budgets[0]))
        expected, _ = self.graphs.prefill([row])
        logits, _ = graphs.prefill([row])
        yield Check("logits, activations in 8 bits", _root_mean_square(logits, expected), INTEGER_TOLERANCE)
        ids, _ = self.graphs.generate([row], GREEDY_TOKENS)
        rounded, _ = graphs.generate([row], GREEDY_TOKENS)
        yield Check(f"{GREEDY_TOKENS} tokens, activations in 8 bits", int((ids != rounded).sum()), None)

    def _without_rounding(self) -> Iterator[Check]:
        for handle in self.rounding:
            handle.remove()
        pixels, positions = self._processed(self.pictures, self.budgets[0])
        expected = torch.cat(self.model.get_image_features(torch.from_numpy(pixels), torch.from_numpy(positions)).pooler_output).numpy()
        yield Check("features, activations in 8 bits", _root_mean_square(self.graphs.features(pixels, positions), expected), INTEGER_TOLERANCE)
        inputs = prompt_inputs(self.processor, self.pictures[:1], PROMPTS[0], self.budgets[0])
        logits, _ = self.graphs.prefill([self._row(inputs)])
        yield Check("logits, activations in 8 bits", _root_mean_square(logits, logits_of(self.model, inputs).numpy()), INTEGER_TOLERANCE)
        ids, _ = self.graphs.generate([self._row(inputs)], GREEDY_TOKENS)
        tokens = generate(self.model, inputs, GREEDY_TOKENS).sequences[0, inputs["input_ids"].shape[1] :].numpy()
        yield Check(f"{GREEDY_TOKENS} tokens, activations in 8 bits", int((ids[0] != tokens).sum()), None)

    def _processed(self, pictures: list[Image.Image], budget: int) -> tuple[np.ndarray, np.ndarray]:
        processed = self.processor.image_processor(pictures, max_soft_tokens=budget, return_tensors="np")
        return processed["pixel_values"], processed["image_position_ids"]

    def _compare_features(self, name: str, pixels: np.ndarray, positions: np.ndarray) -> Check:
        expected = self.model.get_image_features(torch.from_numpy(pixels), torch.from_numpy(positions)).pooler_output
        return Check(name, self._difference(self.graphs.features(pixels, positions), torch.cat(expected).numpy()), FEATURE_TOLERANCE[self.tolerances])

    def _row(self, inputs: BatchFeature) -> Row:
        if "pixel_values" in inputs:
            features = self.graphs.features(inputs["pixel_values"].numpy(), inputs["image_position_ids"].numpy())
        else:
            features = np.zeros((0, self.model.config.text_config.hidden_size), np.float32)
        return Row(inputs["input_ids"][0].tolist(), features)

    def _compare_logits(self, name: str, inputs: BatchFeature, keep: int = 0) -> Check:
        expected = logits_of(self.model, inputs).numpy()
        logits, _ = self.graphs.prefill([self._row(inputs)], keep)
        return Check(name, self._difference(logits, expected[:, -keep:]), LOGIT_TOLERANCE[self.tolerances])

    def _difference(self, actual: np.ndarray, expected: np.ndarray) -> float:
        if actual.shape != expected.shape:
            return float("inf")
        if self.tolerances == "f32":
            return float(np.abs(actual - expected).max(initial=0.0) / np.abs(expected).max(initial=1e-30))
        squares = np.square(actual - expected).mean(-1)
        square = np.median(squares) if self.has_experts else squares.mean()
        return float(np.sqrt(square / np.square(expected).mean()))


def _root_mean_square(actual: np.ndarray, expected: np.ndarray) -> float:
    return float(np.sqrt(np.square(actual - expected).mean() / np.square(expected).mean()))


def _common(first: np.ndarray, second: np.ndarray) -> int:
    """How many tokens from the start are the same, and one more, whose logits still have the same prefix."""
    differing = np.flatnonzero(first != second)
    return int(differing[0]) + 1 if len(differing) else len(first)
