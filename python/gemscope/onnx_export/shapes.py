"""`shapes OUT`: writes a folder of scenes and `truth.json` (COCO instances), the same for the same seed.

Canvas sizes go round, and every eight scenes have the numbers of objects that the training had: so even a small set has scenes with nothing in
them, all three grids of soft tokens, and pictures that must be scaled down to reach them.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from PIL import Image

from gemscope.onnx_export.scenes import LABELS, OBJECT_COUNTS, Canvas, SceneObject, draw_scene

PICTURES: tuple[tuple[Canvas, str], ...] = (
    (Canvas(384, 384, 8, 8), "png"),
    (Canvas(432, 336, 7, 9), "png"),
    (Canvas(336, 432, 9, 7), "png"),
    (Canvas(768, 768, 8, 8), "jpg"),
    (Canvas(384, 384, 8, 8), "jpg"),
    (Canvas(640, 480, 7, 9), "png"),
    (Canvas(336, 432, 9, 7), "png"),
    (Canvas(600, 600, 8, 8), "jpg"),
    (Canvas(432, 336, 7, 9), "png"),
    (Canvas(480, 640, 9, 7), "jpg"),
)
"""Width, height, the rows and columns of soft tokens that Gemma 4's resize to budget 70 makes of them, and the file format.

PNG gives every decoder the same pixels, JPEG keeps the folder small.
"""

JPEG_QUALITY = 95


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, help="folder to write to; is made if missing")
    parser.add_argument("--count", type=int, default=20, help="number of pictures (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same pictures (default: %(default)s)")
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> None:
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    truth = write_scenes(out, arguments.count, arguments.seed)
    with (out / "truth.json").open("w", encoding="utf-8", newline="\n") as file:
        json.dump(truth, file, indent=1)
        file.write("\n")
    print(f"{out}: {len(truth['images'])} images, {len(truth['annotations'])} objects")


def write_scenes(out: Path, count: int, seed: int) -> dict[str, list]:
    """Writes `count` pictures and returns what is on them as a COCO instances document."""
    rng = random.Random(seed)
    images: list[dict] = []
    annotations: list[dict] = []
    digits = max(2, len(str(count)))
    object_counts: list[int] = []
    for index in range(count):
        canvas, extension = PICTURES[index % len(PICTURES)]
        if not object_counts:
            object_counts = rng.sample(OBJECT_COUNTS, len(OBJECT_COUNTS))
        picture, objects = draw_scene(canvas, rng, object_counts.pop())
        name = f"scene-{index + 1:0{digits}}.{extension}"
        _save(picture, out / name)
        image_id = index + 1
        images.append({"id": image_id, "file_name": name, "width": canvas.width, "height": canvas.height})
        for one in objects:
            annotations.append(_annotation(len(annotations) + 1, image_id, one))
    categories = [{"id": number, "name": label, "supercategory": label.split()[1]} for number, label in enumerate(LABELS, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def _save(picture: Image.Image, path: Path) -> None:
    if path.suffix == ".jpg":
        picture.save(path, quality=JPEG_QUALITY)
    else:
        picture.save(path, optimize=True)


def _annotation(annotation_id: int, image_id: int, one: SceneObject) -> dict:
    x0, y0, x1, y1 = (round(value, 2) for value in one.box)
    width, height = round(x1 - x0, 2), round(y1 - y0, 2)
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": LABELS.index(one.label) + 1,
        "bbox": [x0, y0, width, height],
        "area": round(width * height, 2),
        "iscrowd": 0,
        "segmentation": [],
    }
