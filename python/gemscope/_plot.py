"""Boxes, drawn into an image."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ._errors import ImageError

if TYPE_CHECKING:
    from ._records import Record

# Told apart by people who see red and green alike (Okabe and Ito), without black.
_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")


def plot(record: Record, image: Any, width: int | None) -> Image.Image:
    """``image``, upright, with the boxes of ``record``."""
    opened: Image.Image
    if isinstance(image, (str, os.PathLike)):
        opened = Image.open(image)
    elif isinstance(image, (bytes, bytearray, memoryview)) and getattr(image, "ndim", 1) == 1:
        opened = Image.open(io.BytesIO(bytes(image)))
    elif isinstance(image, Image.Image):
        opened = image
    else:
        opened = Image.fromarray(np.asarray(image))
    drawn = ImageOps.exif_transpose(opened).convert("RGB")
    if drawn.size != (record.width, record.height):
        asked = f"{record.width}x{record.height}"
        raise ImageError(f"{record.image}: {drawn.width}x{drawn.height} pixels, and not {asked}")
    if drawn is image:
        drawn = drawn.copy()
    pen = ImageDraw.Draw(drawn)
    width = width or max(2, min(drawn.size) // 250)
    font = ImageFont.load_default(size=max(11, min(drawn.size) // 36))
    names = sorted(set(record.labels))
    for found in record.detections:
        colour = _COLOURS[names.index(found.label) % len(_COLOURS)]
        pen.rectangle(found.bbox, outline=colour, width=width)
        score = "" if found.score is None else f" {found.score:.2f}"
        text = f"{found.label}{score}"
        left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
        # Above its box, or in it at the image's edge.
        x = max(0, min(found.bbox[0], drawn.width - (right - left) - 4))
        y = found.bbox[1] - (bottom - top) - 6
        y = found.bbox[1] if y < 0 else y
        pen.rectangle((x, y, x + right - left + 4, y + bottom - top + 6), fill=colour)
        pen.text((x + 2 - left, y + 3 - top), text, fill="black", font=font)
    return drawn
