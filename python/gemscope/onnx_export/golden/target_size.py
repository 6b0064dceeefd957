"""`target_size.json`: the size that Gemma 4 resizes an image to, for a few thousand sizes.

`sizes` maps a budget of soft tokens to a flat list of width, height, target width, target height, and so on. Random sizes, thin and huge ones, and those
whose ideal size falls exactly on a multiple of 48, where one wrongly rounded operation gives a row or a column less.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from transformers.models.gemma4.image_processing_gemma4 import get_aspect_ratio_preserving_size

from gemscope.onnx_export.provenance import made_by, write_json

BUDGETS = (70, 140, 280, 560, 1120)
PATCH = 16
POOLING = 3
SOFT_TOKEN = PATCH * POOLING
SEED = 5


def write(out: Path, fixtures: Path, checkpoint: Path) -> None:
    rng = random.Random(SEED)
    sizes = {}
    for budget in BUDGETS:
        flat = []
        for width, height in sorted(set(_exact_sizes(budget)) | set(_random_sizes(rng))):
            target_height, target_width = get_aspect_ratio_preserving_size(height, width, PATCH, budget * POOLING**2, POOLING)
            flat += [width, height, target_width, target_height]
        sizes[str(budget)] = flat
    write_json(
        out,
        {"made_by": made_by("python -m gemscope.onnx_export golden fixtures/golden --only target_size"), "sizes": sizes},
    )


def _exact_sizes(budget: int) -> Iterator[tuple[int, int]]:
    """Sizes with the aspect ratio of a grid that uses up the budget, smaller and larger, and one pixel beside."""
    for rows in range(1, budget + 1):
        if budget % rows == 0:
            columns = budget // rows
            for width, height in ((columns, rows), (columns * 7, rows * 7), (columns * SOFT_TOKEN, rows * SOFT_TOKEN), (columns * 101, rows * 101)):
                yield width, height
                yield width + 1, height
                yield width, height + 1


def _random_sizes(rng: random.Random) -> Iterator[tuple[int, int]]:
    for _ in range(350):
        yield rng.randint(1, 6000), rng.randint(1, 6000)
    for _ in range(80):
        yield rng.randint(1, 120), rng.randint(1, 120)
    for _ in range(60):
        yield rng.randint(1, 60), rng.randint(1000, 60000)
        yield rng.randint(1000, 60000), rng.randint(1, 60)
    for _ in range(20):
        side = rng.randint(1, 70000)
        yield side, side
