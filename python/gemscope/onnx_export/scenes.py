"""Synthetic scenes of coloured shapes.

In: a random generator and a canvas. Out: a picture, and what is on it with exact boxes. The demo model was trained on nothing else,
so whoever changes the distribution here (sizes, colours, noise, spacing) has to train it again.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (214, 40, 40),
    "green": (44, 160, 60),
    "blue": (38, 84, 200),
    "yellow": (245, 205, 40),
    "purple": (130, 50, 160),
    "orange": (245, 130, 30),
}
SHAPES: tuple[str, ...] = ("circle", "square", "triangle", "star")
LABELS: tuple[str, ...] = tuple(f"{color} {shape}" for color in COLORS for shape in SHAPES)

SOFT_TOKEN = 48
"""Pixels covered by one soft token, in each direction."""

GRIDS: tuple[tuple[int, int], ...] = ((8, 8), (8, 8), (7, 9), (9, 7))
"""Rows and columns of soft tokens that fit the budget of 70: square (twice, so that it is drawn as often as both others), 4:3, 3:4."""

OBJECT_COUNTS: tuple[int, ...] = (0, 1, 1, 2, 2, 3, 3, 4)
"""How many objects a scene has, each entry equally often."""

OUTLINE = (20, 20, 20)
MIN_GAP = 3
"""Pixels that stay free between two objects."""

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels."""


@dataclass(frozen=True)
class Canvas:
    """Size of a picture and the grid of soft tokens that Gemma 4 will see of it at budget 70."""

    width: int
    height: int
    rows: int
    columns: int

    @classmethod
    def of_grid(cls, rows: int, columns: int) -> Canvas:
        """The canvas that needs no resize."""
        return cls(columns * SOFT_TOKEN, rows * SOFT_TOKEN, rows, columns)

    @property
    def seen_size(self) -> tuple[int, int]:
        """Width and height after the resize to the budget; scenes are composed at this size."""
        return self.columns * SOFT_TOKEN, self.rows * SOFT_TOKEN


@dataclass(frozen=True)
class SceneObject:
    """One shape of a scene, its box in pixels of the picture."""

    color: str
    shape: str
    box: Box

    @property
    def label(self) -> str:
        return f"{self.color} {self.shape}"


@dataclass(frozen=True)
class _Placed:
    """A shape as composed: everything that is needed to draw it at any scale."""

    color: str
    shape: str
    box: Box
    fill: tuple[int, int, int]
    outlined: bool


def draw_scene(
    canvas: Canvas, rng: random.Random, object_count: int | None = None, blur_chance: float = 0.25
) -> tuple[Image.Image, list[SceneObject]]:
    """Draws one scene; the same generator state gives the same scene on every machine.

    The scene is composed at the size that the model sees and drawn at the size of the canvas, so a large canvas shows larger shapes, not more room.
    """
    seen_width, seen_height = canvas.seen_size
    scale_x, scale_y = canvas.width / seen_width, canvas.height / seen_height
    background = _background(seen_width, seen_height, rng)
    placed = _compose(seen_width, seen_height, rng, object_count)
    blur_radius = rng.uniform(0.3, 1.2) if rng.random() < blur_chance else 0.0

    image = background
    if (canvas.width, canvas.height) != (seen_width, seen_height):
        image = background.resize((canvas.width, canvas.height), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    objects = []
    for one in placed:
        box = (one.box[0] * scale_x, one.box[1] * scale_y, one.box[2] * scale_x, one.box[3] * scale_y)
        _draw_shape(pen, one, box, scale_x)
        objects.append(SceneObject(one.color, one.shape, box))
    if blur_radius:
        image = image.filter(ImageFilter.GaussianBlur(blur_radius * scale_x))
    return image, objects


def _background(width: int, height: int, rng: random.Random) -> Image.Image:
    """A grey with a tint; often a slope of brightness, often noise in cells of 4x4 pixels."""
    kind = rng.random()
    base = np.array([rng.randint(60, 235)] * 3, dtype=np.float32) + np.array([rng.randint(-25, 25) for _ in range(3)])
    pixels = np.broadcast_to(base, (height, width, 3)).astype(np.float32).copy()
    if kind < 0.6:
        across = np.linspace(-1, 1, width)[None, :, None] * rng.uniform(-40, 40)
        down = np.linspace(-1, 1, height)[:, None, None] * rng.uniform(-40, 40)
        pixels += across + down
    if rng.random() < 0.7:
        noise_rng = np.random.default_rng(rng.getrandbits(32))
        cells = noise_rng.normal(0, rng.uniform(2, 14), (height // 4, width // 4, 3)).astype(np.float32)
        pixels += np.repeat(np.repeat(cells, 4, 0), 4, 1)[:height, :width]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _compose(width: int, height: int, rng: random.Random, object_count: int | None) -> list[_Placed]:
    """Chooses shapes and puts them where nothing overlaps; a shape that finds no room in 20 tries is left out."""
    placed: list[_Placed] = []
    count = rng.choice(OBJECT_COUNTS) if object_count is None else object_count
    for _ in range(count):
        box = _free_box(width, height, rng, [one.box for one in placed])
        if box is None:
            continue
        shape, color = rng.choice(SHAPES), rng.choice(list(COLORS))
        fill = _jitter(COLORS[color], rng)
        placed.append(_Placed(color, shape, box, fill, outlined=rng.random() < 0.4))
    return placed


def _free_box(width: int, height: int, rng: random.Random, taken: list[Box]) -> Box | None:
    for _ in range(20):
        size, aspect = rng.uniform(52, 125), rng.uniform(0.8, 1.25)
        half_width, half_height = size * aspect / 2 * 1.3, size / aspect / 2 * 1.3
        if 2 * half_width > width - 4 or 2 * half_height > height - 4:
            continue
        center_x = rng.uniform(half_width + 1, width - half_width - 1)
        center_y = rng.uniform(half_height + 1, height - half_height - 1)
        box = (center_x - half_width, center_y - half_height, center_x + half_width, center_y + half_height)
        if not any(_too_close(box, other) for other in taken):
            return box
    return None


def _too_close(a: Box, b: Box) -> bool:
    apart = a[2] < b[0] - MIN_GAP or a[0] > b[2] + MIN_GAP or a[3] < b[1] - MIN_GAP or a[1] > b[3] + MIN_GAP
    return not apart


def _jitter(color: tuple[int, int, int], rng: random.Random) -> tuple[int, int, int]:
    red, green, blue = (min(255, max(0, channel + rng.randint(-18, 18))) for channel in color)
    return red, green, blue


def _draw_shape(pen: ImageDraw.ImageDraw, one: _Placed, box: Box, scale: float) -> None:
    outline = OUTLINE if one.outlined else None
    if one.shape == "circle":
        pen.ellipse(box, fill=one.fill, outline=outline, width=round(2 * scale))
    else:
        pen.polygon(_corners(one.shape, box), fill=one.fill, outline=outline, width=max(1, round(scale)))


def _corners(shape: str, box: Box) -> list[tuple[float, float]]:
    """Corners of a shape that fills its box exactly."""
    x0, y0, x1, y1 = box
    match shape:
        case "square":
            return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        case "triangle":
            return [((x0 + x1) / 2, y0), (x1, y1), (x0, y1)]
        case "star":
            radii = [1.0 if i % 2 == 0 else 0.42 for i in range(10)]
            angles = [-math.pi / 2 + i * math.pi / 5 for i in range(10)]
            xs = [radius * math.cos(angle) for radius, angle in zip(radii, angles)]
            ys = [radius * math.sin(angle) for radius, angle in zip(radii, angles)]
            across, down = max(xs) - min(xs), max(ys) - min(ys)
            return [(x0 + (x1 - x0) * (x - min(xs)) / across, y0 + (y1 - y0) * (y - min(ys)) / down) for x, y in zip(xs, ys)]
        case _:
            raise ValueError(f"no such shape: {shape}")


def box_2d(box: Box, width: int, height: int) -> list[int]:
    """`[ymin, xmin, ymax, xmax]`, 0..1000 over the picture: the form of Gemma 4's answers."""
    x0, y0, x1, y1 = box
    return [round(1000 * y0 / height), round(1000 * x0 / width), round(1000 * y1 / height), round(1000 * x1 / width)]
