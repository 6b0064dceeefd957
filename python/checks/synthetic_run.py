"""Writes a run of many made-up images, without a model: what the report's browser check and a look at large runs need.

    python python/checks/synthetic_run.py OUT [--images 5000]

OUT/images holds the pictures, OUT/run the journal and the manifest. Some names and labels are hostile: markup, quotes, line ends,
letters that turn the direction of text. Needs pillow.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw

COLOURS = {"red": (206, 58, 50), "blue": (58, 96, 190), "green": (70, 150, 88), "yellow": (224, 190, 70), "violet": (140, 88, 170)}
SHAPES = ("ellipse", "rectangle")
SIZES = ((640, 480), (480, 640), (800, 450), (512, 512), (320, 240))
MARKUP = '"><script>alert(1)</script>'
# Names that a file system takes and a page must not.
HOSTILE_NAMES = (f"{MARKUP}.jpg", "<img src=x onerror=alert(1)>.jpg", "'-alert(1)-'.jpg", "&lt;b&gt;.jpg",
                 "#?% ä 猫.jpg", "gpj.\u202eexe.jpg", "javascript:alert(1).jpg", "line\nend.jpg")
HOSTILE_LABELS = (f"{MARKUP}", "</script><img src=x onerror=alert(1)>", "<!--", "{{script}}", "\u2028\u202elabel", "猫")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, default=5000)
    arguments = parser.parse_args()
    write(arguments.out, arguments.images)


def write(out: Path, count: int) -> None:
    """A run of `count` images; the same every time."""
    draw = random.Random(5)
    images, run = out / "images", out / "run"
    run.mkdir(parents=True)
    names = [f"batch-{index // 500:02}/frame-{index:05}.jpg" for index in range(count - len(HOSTILE_NAMES))]
    if sys.platform != "win32":
        names += HOSTILE_NAMES
    with (run / "journal.jsonl").open("w", encoding="utf-8") as journal:
        for index, name in enumerate(names):
            journal.write(json.dumps(record(images, name, index, draw)) + "\n")
    settings = {
        "task": {"labels": [f"{colour} {shape}" for colour in COLOURS for shape in SHAPES]},
        "prompts": [], "budget": {"fixed": 560}, "tiles": None, "rules": {"score": "joint", "join": 0.5}, "apply_orientation": True,
        "max_new_tokens": 2048, "sampling": "greedy",
        "model": {"files": {}, "stop_ids": [], "suppressed_ids": []},
    }
    manifest = {"gemscope": "0.1.0", "root": str(images.resolve()), "started": 1_770_000_000, "model": "gemma-4-E2B-it-ONNX",
                "settings": settings}
    (run / "run.json").write_text(json.dumps(manifest), encoding="utf-8")


def record(images: Path, name: str, index: int, draw: random.Random) -> dict:
    """The picture of one image, and its record."""
    size = draw.choice(SIZES)
    picture = Image.new("RGB", size, tuple(draw.randint(170, 235) for _ in range(3)))
    canvas = ImageDraw.Draw(picture)
    detections = []
    for _ in range(draw.choice((0, 1, 2, 3, 3, 4, 5, 6, 9))):
        colour, shape = draw.choice(list(COLOURS)), draw.choice(SHAPES)
        width, height = draw.randint(30, size[0] // 3), draw.randint(30, size[1] // 3)
        x, y = draw.randint(0, size[0] - width - 1), draw.randint(0, size[1] - height - 1)
        getattr(canvas, shape)((x, y, x + width, y + height), fill=COLOURS[colour])
        score = None if draw.random() < 0.03 else round(draw.betavariate(6, 1.6), 6)
        detections.append({"label": f"{colour} {shape}", "bbox": [x, y, x + width, y + height], "score": score})
    if index % 400 == 7:
        detections.append({"label": HOSTILE_LABELS[index // 400 % len(HOSTILE_LABELS)], "bbox": [20, 20, 120, 90], "score": 0.5})
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    path = images / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())
    made = {"schema": 1, "image": name, "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(), "width": size[0],
            "height": size[1], "orientation": 1, "status": "ok" if detections else "empty", "detections": detections, "notes": [],
            "answers": [{"view": [0, 0, *size], "text": f"an answer about {name}", "ended": "stop_token"}]}
    return unlucky(made, draw) if draw.random() < 0.06 else made


def unlucky(made: dict, draw: random.Random) -> dict:
    """The same record with another ending."""
    status = draw.choice(("salvaged", "truncated", "looped", "refused", "failed"))
    made["status"] = status
    if status in ("salvaged", "truncated", "looped"):
        made["notes"] = [{"kind": "clamped", "count": 2}, {"kind": "malformed_json", "count": 1}]
        made["answers"][0]["text"] = '```json\n[{"box_2d": [12, 40, 230, 610], "label": "<b>red ellipse</b>"}, {"box_2d": [12, '
    if status == "refused":
        made["detections"] = []
        made["answers"][0]["text"] = "I see a picture with some coloured shapes. " + MARKUP
    if status == "failed":
        reason = draw.choice(("cannot decode: the JPEG data end before the image does", "the file is empty", f"not an image: {MARKUP}"))
        made |= {"width": 0, "height": 0, "detections": [], "answers": [], "reason": reason}
    return made


if __name__ == "__main__":
    main()
