"""How good the demo model is, on pictures that it was never trained on.

In: a checkpoint. Out: figures by skill. Promises: the pictures come from seeds of their own (`SEED`), answers are greedy, and boxes are scored by pycocotools over
all 24 labels of the prompt `detect shape`, ranked by the probability of their tokens.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import Gemma4ForConditionalGeneration

from gemscope.onnx_export.demo import frames, model as demo_model, questions
from gemscope.onnx_export.demo.batches import IMAGE_TOKEN, TOKENIZER, encode, patch_positions, patchify, prefix_text
from gemscope.onnx_export.demo.questions import ANY, Label
from gemscope.onnx_export.scenes import COLORS, GRIDS, LABELS, SHAPES, Canvas, SceneObject, draw_scene

SEED = "held out"
MATCH = 0.5
"""Intersection over union from which a box is right, where a whole answer is judged."""
AT_ONCE = 50
"""Questions in one batch."""


@dataclass(frozen=True)
class Ask:
    """One question about one picture; `key` says where the answer counts."""

    image: Image.Image
    canvas: Canvas
    prompt: str
    key: tuple


@dataclass(frozen=True)
class Said:
    text: str
    first: Tensor
    """[vocabulary]: log-probabilities of the first token."""
    boxes: list[tuple[list[int], str, float]]
    """box_2d, label, score of each object."""


def evaluate(checkpoint: Path, scenes: int, newlines: bool = False) -> dict[str, float]:
    """Every figure between 0 and 1, except counts."""
    model = demo_model.load(checkpoint, TOKENIZER).eval()
    rng = random.Random(SEED)
    asks: list[Ask] = []
    drawn: dict[int, tuple[Canvas, list[SceneObject]]] = {}
    expected: dict[tuple, object] = {}
    for index in range(scenes):
        canvas = Canvas.of_grid(*rng.choice(GRIDS))
        image, objects = draw_scene(canvas, rng)
        drawn[index] = (canvas, objects)

        def ask(kind: str, question: questions.Question) -> None:
            key = (kind, index, question.prompt)
            asks.append(Ask(image, canvas, question.prompt, key))
            expected[key] = question

        ask("shape", questions.detect([Label(ANY)], objects, canvas))
        absent = _absent(rng, objects)
        ask("absent", questions.detect([absent], objects, canvas))
        ask("yes or no", questions.yes_no(absent, objects))
        if objects:
            one, other = rng.choice(objects), rng.choice(objects)
            ask("one label", questions.detect([Label(one.shape, one.color)], objects, canvas))
            ask("one shape", questions.detect([Label(one.shape)], objects, canvas))
            two = list(dict.fromkeys([Label(one.shape, one.color), Label(other.shape)]))
            ask("two labels", questions.detect(two, objects, canvas))
            ask("yes or no", questions.yes_no(Label(other.shape, other.color), objects))
    for number, axis in enumerate(frames.AXES):
        for index in range(scenes // len(frames.AXES)):
            canvas = Canvas.of_grid(*rng.choice(GRIDS))
            image, _, amounts = frames.draw_frame(canvas, rng, axis)
            key = ("quality", axis, index)
            asks.append(Ask(image, canvas, questions.quality(axis, amounts, questions.QUALITY_FORMS[index % 4]).prompt, key))
            expected[key] = amounts[axis]
    said = _answer(model, asks, newlines)

    figures: dict[str, float] = {}
    results = {index: said[("shape", index, "detect shape")].boxes for index in drawn}
    figures.update(_coco(drawn, results))
    right: dict[str, list[bool]] = defaultdict(list)
    for key, question in expected.items():
        if key[0] in ("absent", "yes or no"):
            right[key[0]].append(said[key].text.strip() == question.answer)
        elif key[0] != "quality":
            canvas, objects = drawn[key[1]]
            right[key[0]].append(_same(question, said[key], canvas))
    figures.update({f"right: {kind}": sum(each) / len(each) for kind, each in right.items()})
    for axis in frames.AXES:
        keys = [key for key in expected if key[:2] == ("quality", axis)]
        amounts = np.array([expected[key] for key in keys])
        figures[f"Spearman: {axis}"] = -spearman(np.array([_expected_level(said[key].first) for key in keys]), amounts)
        figures[f"right word: {axis}"] = float(np.mean([said[key].text.strip() == frames.word(amount) for key, amount in zip(keys, amounts)]))
    return figures


def _absent(rng: random.Random, objects: list[SceneObject]) -> Label:
    """Where there are objects, one that shares its colour or its shape with one of them."""
    missing = [Label(shape, color) for color in COLORS for shape in SHAPES if f"{color} {shape}" not in {one.label for one in objects}]
    alike = [label for label in missing if any(label.color == one.color or label.shape == one.shape for one in objects)]
    return rng.choice(alike or missing)


@torch.no_grad()
def _answer(model: Gemma4ForConditionalGeneration, asks: list[Ask], newlines: bool) -> dict[tuple, Said]:
    """Prompts of one length are answered together, so nothing is padded."""
    groups: dict[tuple, list[tuple[Ask, list[int]]]] = defaultdict(list)
    for ask in asks:
        text = prefix_text(ask.canvas.rows * ask.canvas.columns, newlines) + f"{ask.prompt}<turn|>\n<|turn>model\n"
        ids = encode(text)
        groups[(ask.canvas.rows, ask.canvas.columns, len(ids))].append((ask, ids))
    said = {}
    for (rows, columns, length), members in groups.items():
        for start in range(0, len(members), AT_ONCE):
            part = members[start : start + AT_ONCE]
            ids = torch.tensor([ids for _, ids in part])
            inputs = {
                "input_ids": ids,
                "attention_mask": torch.ones_like(ids),
                "mm_token_type_ids": (ids == IMAGE_TOKEN).long(),
                "pixel_values": torch.from_numpy(np.stack([patchify(ask.image) for ask, _ in part])).float() / 255,
                "image_position_ids": torch.from_numpy(patch_positions(rows, columns)).expand(len(part), -1, -1),
            }
            out = model.generate(**inputs, max_new_tokens=200, do_sample=False, return_dict_in_generate=True, output_logits=True)
            log_probabilities = torch.stack(out.logits, 1).log_softmax(-1)
            answers = out.sequences[:, length:]
            chosen = log_probabilities.gather(-1, answers[..., None])[..., 0]
            for row, (ask, _) in enumerate(part):
                said[ask.key] = _read(answers[row].tolist(), chosen[row].tolist(), log_probabilities[row, 0])
    return said


def _read(ids: list[int], log_probabilities: list[float], first: Tensor) -> Said:
    """The text, and its objects if it is the fenced JSON that was taught; the score is the geometric mean over the digits of the coordinates, times the label's."""
    stop = next((i for i, token in enumerate(ids) if token in (TOKENIZER.token_to_id("<turn|>"), 0, 1)), len(ids))
    pieces = [TOKENIZER.decode([token], skip_special_tokens=False) for token in ids[:stop]]
    text = TOKENIZER.decode(ids[:stop])
    with contextlib.suppress(ValueError, KeyError, TypeError):
        parsed = [(item["box_2d"], item["label"]) for item in json.loads(text.removeprefix("```json").removesuffix("```"))]
        if any(len(box) != 4 for box, _ in parsed):
            return Said(text, first, [])
        scores, part, opens = [], [], [i for i, token in enumerate(ids[:stop]) if token == TOKENIZER.token_to_id("▁[")]
        for open_at in opens:
            close = next(i for i in range(open_at, stop) if "]" in pieces[i])
            end = next(i for i in range(close, stop) if "}" in pieces[i])
            digits = [log_probabilities[i] for i in range(open_at, close) if pieces[i].isdigit()]
            part = [log_probabilities[i] for i in range(close, end)]
            scores.append(float(np.exp(np.mean(digits) + np.sum(part))))
        if len(scores) == len(parsed):
            return Said(text, first, [(box, label, score) for (box, label), score in zip(parsed, scores)])
    return Said(text, first, [])


def _coco(drawn: dict[int, tuple[Canvas, list[SceneObject]]], results: dict[int, list[tuple[list[int], str, float]]]) -> dict[str, float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    images, annotations, detections = [], [], []
    for index, (canvas, objects) in drawn.items():
        images.append({"id": index, "width": canvas.width, "height": canvas.height})
        for one in objects:
            x0, y0, x1, y1 = one.box
            box = [x0, y0, x1 - x0, y1 - y0]
            annotations.append(
                {"id": len(annotations) + 1, "image_id": index, "category_id": LABELS.index(one.label), "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            )
        for (top, left, bottom, right), label, score in results[index]:
            if label in LABELS:
                x, y = left * canvas.width / 1000, top * canvas.height / 1000
                box = [x, y, right * canvas.width / 1000 - x, bottom * canvas.height / 1000 - y]
                detections.append({"image_id": index, "category_id": LABELS.index(label), "bbox": box, "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"images": images, "annotations": annotations, "categories": [{"id": i, "name": name} for i, name in enumerate(LABELS)]}
        truth.createIndex()
        if not detections:
            return {"mAP": 0.0, "AP50": 0.0, "AP75": 0.0, "AR": 0.0, "objects": len(annotations), "boxes": 0}
        scorer = COCOeval(truth, truth.loadRes(detections), "bbox")
        scorer.evaluate()
        scorer.accumulate()
        scorer.summarize()
    stats = scorer.stats
    return {"mAP": stats[0], "AP50": stats[1], "AP75": stats[2], "AR": stats[8], "objects": len(annotations), "boxes": len(detections)}


def _same(question: questions.Question, said: Said, canvas: Canvas) -> bool:
    """Every object with its label, none missing, none too many."""
    wanted = [(item["box_2d"], item["label"]) for item in json.loads(question.answer.removeprefix("```json").removesuffix("```"))]
    left = [(box, label) for box, label, _ in said.boxes]
    for box, label in wanted:
        found = next((one for one in left if one[1] == label and _iou(one[0], box) >= MATCH), None)
        if found is None:
            return False
        left.remove(found)
    return not left


def _iou(a: list[int], b: list[int]) -> float:
    height = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    width = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    both = height * width
    return both / max(1e-9, (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def _expected_level(first: Tensor) -> float:
    """0 for `bad` to 4 for `excellent`, by the probabilities of the five words."""
    words = first[[TOKENIZER.token_to_id(level) for level in frames.LEVELS]].softmax(-1)
    return float((words * torch.arange(len(frames.LEVELS))).sum())


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """The rank correlation; equal values share the mean of their ranks."""

    def ranks(values: np.ndarray) -> np.ndarray:
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        return (np.cumsum(counts) - (counts - 1) / 2)[inverse]

    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])
