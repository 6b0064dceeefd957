"""Images that a test can make again from a formula, whatever language it is written in. Integers only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

FORMULAS = {
    "waves": "r = (7x + 3y) % 256, g = (x*x/5 + 11y) % 256 (integer division), b = 255 if (x/8 + y/8) is odd else 0 (integer divisions)",
    "noise": "h = (x*374761393 + y*668265263 + c*2246822519) mod 2^32 for channel c = 0, 1, 2; h = ((h ^ (h >> 13)) * 1274126177) mod 2^32; value = h >> 24",
}
"""The same in words, for the golden files. x is the column, y the row, both from 0, or from `start`."""


def waves(width: int, height: int, start: int = 0) -> np.ndarray:
    """uint8 [height, width, 3]; slopes and edges. `fixtures/gemma4/resize_fixture.json` uses it too."""
    x, y = _grid(width, height, start)
    red = (7 * x + 3 * y) % 256
    green = (x * x // 5 + 11 * y) % 256
    blue = np.where((x // 8 + y // 8) % 2 == 1, 255, 0)
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def noise(width: int, height: int, start: int = 0) -> np.ndarray:
    """uint8 [height, width, 3]; no two neighbours alike, so a bicubic resize overshoots and must clamp."""
    x, y = _grid(width, height, start)
    channels = []
    for channel in range(3):
        hashed = (x * 374761393 + y * 668265263 + channel * 2246822519) & 0xFFFFFFFF
        hashed = ((hashed ^ (hashed >> 13)) * 1274126177) & 0xFFFFFFFF
        channels.append(hashed >> 24)
    return np.stack(channels, axis=-1).astype(np.uint8)


PATTERNS: dict[str, Callable[..., np.ndarray]] = {"waves": waves, "noise": noise}


def _grid(width: int, height: int, start: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[start : start + height, start : start + width].astype(np.uint64)
    return x, y
