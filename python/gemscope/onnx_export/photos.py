"""`photos OUT`: a handful of real photographs from the sample images of scikit-image and scikit-learn, made small.

Needs `pip install scikit-image scikit-learn`. Sources, authors and licences are in fixtures/photos/README.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import skimage
import sklearn
from PIL import Image

SKIMAGE = Path(skimage.__file__).parent / "data"
SKLEARN = Path(sklearn.__file__).parent / "datasets" / "images"

ORIENTATION_TAG = 0x0112
ROTATE_CLOCKWISE_TO_SHOW = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, help="folder to write to; is made if missing")
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> None:
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    _open(SKIMAGE / "astronaut.png").save(out / "astronaut.jpg", quality=88)
    _open(SKLEARN / "china.jpg").save(out / "china.jpg", quality=82)
    _open(SKLEARN / "flower.jpg").save(out / "flower.jpg", quality=88)
    _save_turned(_open(SKIMAGE / "coffee.png"), out / "coffee-orientation-6.jpg", quality=88)
    _shrink(_open(SKIMAGE / "chelsea.png"), 270, 180).save(out / "chelsea.png", optimize=True)
    _shrink(_open(SKIMAGE / "rocket.jpg"), 300, 200).save(out / "rocket.png", optimize=True)
    for path in sorted(out.glob("*.*g")):
        print(f"{path}: {path.stat().st_size} bytes")


def _open(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB")


def _shrink(image: Image.Image, width: int, height: int) -> Image.Image:
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _save_turned(upright: Image.Image, path: Path, quality: int) -> None:
    """Stores the picture as a camera that was held on its side does: pixels a quarter turn to the left, and a tag that says so."""
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = ROTATE_CLOCKWISE_TO_SHOW
    stored.save(path, quality=quality, exif=exif)
