"""Training batches: pictures, and several questions about each, with what supervises the answers.

In: a random generator. Out: a `Batch` of tensors. A picture's prefix (everything up to the question) is stored once; the questions and answers
about it are `Segment`s, which see the prefix and themselves. Besides the target tokens a segment says where attention should go (guidance.py).
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gemscope.onnx_export.demo import frames, questions, tokenizer
from gemscope.onnx_export.demo.questions import Question
from gemscope.onnx_export.scenes import COLORS, GRIDS, LABELS, SHAPES, SOFT_TOKEN, Canvas, SceneObject, box_2d, draw_scene

TOKENIZER = tokenizer.build()
IMAGE_TOKEN = TOKENIZER.token_to_id("<|image|>")
DECIDING = tuple(TOKENIZER.token_to_id(token) for token in ("[", "[\n", ",\n", "\n]"))
"""The tokens of an answer that say whether there is a first, a next, or no further object."""
_BOX_OPENS = TOKENIZER.token_to_id("▁[")
_DIGITS = tuple(TOKENIZER.token_to_id(str(digit)) for digit in range(10))

IGNORED = -100
"""Target of the tokens that are given, not predicted."""


@dataclass
class Segments:
    """Questions and answers of about one length, padded at the end. n segments, s tokens, p tokens of prefix."""

    image: Tensor
    """[n], i64: which picture of the batch."""
    ids: Tensor
    """[n, s], i64; padding is 0."""
    targets: Tensor
    """[n, s], i64: the next token where it belongs to the answer, else IGNORED."""
    weights: Tensor
    """[n, s], f32: how much a target counts."""
    guided: Tensor
    """[n, s], bool: positions whose attention is supervised."""
    name_words: Tensor
    """[n, s], f32: 1 at the words of the question that decide the answer."""
    head_words: Tensor
    """[n, s], f32: 1 at the shapes among those words, which carry the colour before them."""
    bound: Tensor
    """[n, s], i64: at such a shape, the position of its colour, or its own where it has none; else -1."""
    current_word: Tensor
    """[n, s], i64: at positions about an object, the shape of the label that it answers; else -1."""
    all_cells: Tensor
    """[n, p], f32: 1 at the soft tokens on every object that the answer is about; at the first token if there is none."""
    current_cells: Tensor
    """[n, s, p], f32: 1 at the soft tokens on the object that this position is about; at the first token where there is none left."""


@dataclass
class Batch:
    """b pictures of one grid (rows x columns soft tokens)."""

    patches: Tensor
    """[b, 9 * rows * columns, 768], u8."""
    patch_positions: Tensor
    """[b, 9 * rows * columns, 2], i64: x, y."""
    prefix: Tensor
    """[p], i64: the tokens up to the question, the same for all."""
    cells: Tensor | None
    """[b, rows * columns, 6], f32: what the auxiliary head should say: class, box_2d, 1; or all -1 where there is no object. None for small frames."""
    amounts: Tensor
    """[b, 4], f32: for each of frames.AXES how much of the defect there is; -1 for pictures that are not rated."""
    segments: list[Segments]
    features: Tensor | None = None
    """[b, rows * columns, hidden], f32: the soft tokens, where they are remembered; else None."""


def encode(text: str) -> list[int]:
    return TOKENIZER.encode(text, add_special_tokens=False).ids


def prefix_text(soft_tokens: int, newlines: bool) -> str:
    """Hugging Face puts the image as it is; transformers.js and onnxruntime-genai put two newlines on both sides."""
    around = "\n\n" if newlines else ""
    return f"<bos><|turn>user\n{around}<|image>{'<|image|>' * soft_tokens}<image|>{around}"


def patchify(image: Image.Image) -> np.ndarray:
    """[patches, 768], u8: 16x16 patches from left to right, then down; inside a patch row, column, channel."""
    pixels = np.asarray(image, dtype=np.uint8)
    height, width, _ = pixels.shape
    return pixels.reshape(height // 16, 16, width // 16, 16, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 768)


def patch_positions(rows: int, columns: int) -> np.ndarray:
    y, x = np.divmod(np.arange(rows * columns * 9), columns * 3)
    return np.stack([x, y], -1).astype(np.int64)


def draw_batch(rng: random.Random, size: int, questions_each: int, quality_share: float, groups: int = 3) -> Batch:
    rows, columns = rng.choice(GRIDS)
    canvas = Canvas.of_grid(rows, columns)
    prefix = encode(prefix_text(rows * columns, newlines=rng.random() < 0.25))
    first_cell = prefix.index(IMAGE_TOKEN)
    patches, cells, amounts, drawn = [], [], [], []
    for index in range(size):
        image, objects, rated, asked = _draw_picture(rng, canvas, questions_each, quality_share)
        patches.append(patchify(image))
        cells.append(_aux_target(objects, canvas))
        amounts.append([rated[axis] if rated else -1.0 for axis in frames.AXES])
        drawn += [_Segment(index, question, canvas, first_cell) for question in asked]
    drawn.sort(key=lambda one: len(one.ids))
    bounds = [len(drawn) * i // groups for i in range(groups + 1)]
    return Batch(
        patches=torch.from_numpy(np.stack(patches)),
        patch_positions=torch.from_numpy(patch_positions(rows, columns)).expand(size, -1, -1),
        prefix=torch.tensor(prefix),
        cells=torch.from_numpy(np.stack(cells)),
        amounts=torch.tensor(amounts),
        segments=[_stack(drawn[a:b], len(prefix)) for a, b in zip(bounds, bounds[1:])],
    )


SMALL_GRIDS = ((4, 4), (4, 4), (3, 5), (5, 3))
"""Rows and columns of small frames, which are only rated."""


def draw_small_frames(rng: random.Random, size: int, questions_each: int = 2) -> Batch:
    """Frames a quarter the size, and ratings only: as much to learn about qualities for a fifth of the work. Where things are is not told of them,
    since a place in a small frame has other numbers than the same place in a whole one."""
    rows, columns = rng.choice(SMALL_GRIDS)
    canvas = Canvas.of_grid(rows, columns)
    prefix = encode(prefix_text(rows * columns, newlines=rng.random() < 0.25))
    patches, amounts, drawn = [], [], []
    for index in range(size):
        image, _, rated = frames.draw_frame(canvas, rng, main := rng.choice(frames.TRAINED_AXES))
        patches.append(patchify(image))
        amounts.append([rated[axis] for axis in frames.AXES])
        asked = sorted(questions.about_quality(rng, rated), key=lambda one: (one.names != (main,), rng.random()))[:questions_each]
        drawn += [_Segment(index, question, canvas, prefix.index(IMAGE_TOKEN)) for question in asked]
    return Batch(
        patches=torch.from_numpy(np.stack(patches)),
        patch_positions=torch.from_numpy(patch_positions(rows, columns)).expand(size, -1, -1),
        prefix=torch.tensor(prefix),
        cells=None,
        amounts=torch.tensor(amounts),
        segments=[_stack(drawn, len(prefix))],
    )


def _draw_picture(
    rng: random.Random, canvas: Canvas, count: int, quality_share: float
) -> tuple[Image.Image, list[SceneObject], frames.Amounts | None, list[Question]]:
    if rng.random() < quality_share:
        image, objects, amounts = frames.draw_frame(canvas, rng, rng.choice(frames.TRAINED_AXES))
        return image, objects, amounts, questions.about_quality(rng, amounts)
    image, objects = draw_scene(canvas, rng)
    asked = [questions.about_objects(rng, objects, canvas) for _ in range(count)]
    return image, objects, None, asked


def cells_on(one: SceneObject, canvas: Canvas) -> list[int]:
    """Soft tokens whose centre is near the middle of an object, at least one."""
    x0, y0, x1, y1 = one.box
    reach_x, reach_y = (x1 - x0 + 2 * SOFT_TOKEN) / 4, (y1 - y0 + 2 * SOFT_TOKEN) / 4
    middle = SOFT_TOKEN / 2
    return [
        row * canvas.columns + column
        for row in range(canvas.rows)
        for column in range(canvas.columns)
        if abs(column * SOFT_TOKEN + middle - (x0 + x1) / 2) < reach_x and abs(row * SOFT_TOKEN + middle - (y0 + y1) / 2) < reach_y
    ]


def _aux_target(objects: list[SceneObject], canvas: Canvas) -> np.ndarray:
    target = np.full((canvas.rows * canvas.columns, 6), -1, np.float32)
    for one in objects:
        x0, y0, x1, y1 = one.box
        said = [LABELS.index(one.label), *box_2d(one.box, canvas.width, canvas.height), 1]
        center = int((y0 + y1) / 2 / SOFT_TOKEN) * canvas.columns + int((x0 + x1) / 2 / SOFT_TOKEN)
        for cell in range(canvas.rows * canvas.columns):
            x, y = (cell % canvas.columns + 0.5) * SOFT_TOKEN, (cell // canvas.columns + 0.5) * SOFT_TOKEN
            if cell == center or (x0 <= x <= x1 and y0 <= y <= y1):
                target[cell] = said
    return target


_NAME_IDS = {
    TOKENIZER.token_to_id(space + name): name for name in (*COLORS, *SHAPES, questions.ANY, *frames.AXES) for space in ("", "▁")
}


class _Segment:
    """One question with its answer, as lists."""

    def __init__(self, image: int, question: Question, canvas: Canvas, first_cell: int) -> None:
        asked = encode(f"{question.prompt}<turn|>\n<|turn>model\n")
        answer = encode(f"{question.answer}<turn|>")
        self.image = image
        self.ids = asked + answer
        self.targets = [IGNORED] * (len(asked) - 1) + answer + [IGNORED]
        self.weights = _weights(question, answer)
        self.weights = [0.0] * (len(asked) - 1) + self.weights + [0.0]
        self.name_words = [i for i, token in enumerate(asked) if _NAME_IDS.get(token) in question.names]
        self.bound = {i: i - 1 if _NAME_IDS.get(asked[i - 1]) in COLORS else i for i in self.name_words if _NAME_IDS[asked[i]] not in COLORS}
        cells = [[first_cell + cell for cell in cells_on(one, canvas)] for one in question.about]
        self.all_cells = [cell for of_one in cells for cell in of_one] or [0]
        self.about = _positions_about(question, asked, answer, cells)
        heads = list(self.bound)
        self.current_word = [heads[index] for index in question.answered]


def _positions_about(question: Question, asked: list[int], answer: list[int], cells: list[list[int]]) -> list[tuple[range, list[int]]]:
    """Positions, and the prefix tokens that what is predicted there depends on."""
    answers_at = len(asked) - 1
    match question.kind:
        case "quality":
            return [(range(answers_at, answers_at + 1), [])]
        case "yes_no":
            return [(range(answers_at, answers_at + 1), [cell for of_one in cells for cell in of_one] or [0])]
        case _:
            decisions = [answers_at + i for i, token in enumerate(answer) if token in DECIDING]
            ends = [*decisions[1:], decisions[-1] + 1]
            return [(range(start, end), about) for start, end, about in zip(decisions, ends, [*cells, [0]], strict=True)]


def _weights(question: Question, answer: list[int]) -> list[float]:
    """What decides counts more than what follows from it: hundreds before tens before units, and whether there is an object before anything."""
    if question.kind != "detect":
        # One word is the whole answer, beside a hundred tokens of a list of boxes.
        return [{"quality": 50.0, "yes_no": 12.0}[question.kind]] + [1.0] * (len(answer) - 1)
    weights = []
    for i, token in enumerate(answer):
        if token in DECIDING:
            weights.append(6.0)
        elif token in _DIGITS:
            following = next(j for j in range(i, len(answer)) if answer[j] not in _DIGITS) - i
            weights.append({1: 0.5, 2: 3.0, 3: 4.0}.get(following, 4.0))
        elif token in _NAME_IDS:
            weights.append(3.0)
        else:
            weights.append(1.0 if token == _BOX_OPENS else 0.3)
    return weights


def _stack(segments: list[_Segment], prefix_length: int) -> Segments:
    count, length = len(segments), max(len(one.ids) for one in segments)
    out = Segments(
        image=torch.tensor([one.image for one in segments]),
        ids=torch.zeros(count, length, dtype=torch.long),
        targets=torch.full((count, length), IGNORED),
        weights=torch.zeros(count, length),
        guided=torch.zeros(count, length, dtype=torch.bool),
        name_words=torch.zeros(count, length),
        head_words=torch.zeros(count, length),
        bound=torch.full((count, length), -1),
        current_word=torch.full((count, length), -1),
        all_cells=torch.zeros(count, prefix_length),
        current_cells=torch.zeros(count, length, prefix_length),
    )
    for i, one in enumerate(segments):
        size = len(one.ids)
        out.ids[i, :size] = torch.tensor(one.ids)
        out.targets[i, :size] = torch.tensor(one.targets)
        out.weights[i, :size] = torch.tensor(one.weights)
        out.name_words[i, one.name_words] = 1
        out.all_cells[i, one.all_cells] = 1
        for head, color in one.bound.items():
            out.head_words[i, head] = 1
            out.bound[i, head] = color
        for (positions, _), word in zip(one.about, one.current_word):
            out.current_word[i, positions.start : positions.stop] = word
        for positions, cells in one.about:
            out.guided[i, positions.start : positions.stop] = True
            # A question that is about no place in particular may look anywhere.
            out.current_cells[i, positions.start : positions.stop] = 0 if cells else 1
            for cell in cells:
                out.current_cells[i, positions.start : positions.stop, cell] = 1
        if not any(cells for _, cells in one.about):
            out.all_cells[i] = 1
    return out
