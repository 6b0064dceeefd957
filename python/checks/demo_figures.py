"""What the demo model's scores and tiles are worth: the figures of docs/EVALUATION.md.

    python python/checks/demo_figures.py GEMSCOPE [--out DIR] [--only scores|tiles]

GEMSCOPE is the built command. `scores` draws 300 scenes of a seed that training cannot have (it draws from other generators), asks `detect shape`, and
compares the AP of boxes that are ranked by their score with that of boxes of one score; then it learns a calibration from one half of the scenes and
measures it on the other, both ways round. `tiles` draws one picture of 2304x1728 pixels full of shapes of 20 to 60 pixels and asks the same with and without
tiles. The script fails where a figure is not what the project promises. With --out the pictures and runs are kept. Needs numpy and pillow, and
`python/` on the PYTHONPATH.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import tempfile
from pathlib import Path

from gemscope.onnx_export import scenes, shapes

SEED, SCENES = 300, 300
WIDTH, HEIGHT, SHAPES = 2304, 1728, 120
SMALLEST, LARGEST = 20, 60
TILE = "192"
FOUND = 0.5
"""Intersection over union from which a box is found, as in AP50."""
SHARED = 0.5
"""A box is about an object from this intersection over the smaller area on ..."""
HUGE = 4
"""... but for boxes that are so many times as large: they are about something else."""

Box = list[float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gemscope", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", choices=("scores", "tiles"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = arguments.out or Path(folder)
        if arguments.only != "tiles":
            scores(arguments.gemscope.resolve(), out / "scores")
        if arguments.only != "scores":
            tiles(arguments.gemscope.resolve(), out / "tiles")


def scores(gemscope: Path, out: Path) -> None:
    images, run = out / "images", out / "run"
    images.mkdir(parents=True)
    truth = write_truth(out, shapes.write_scenes(images, SCENES, SEED))
    detect(gemscope, images, run, "--export", "none")
    ranked, constant = ({score: evaluate(gemscope, truth, run, "--score", score) for score in names} for names in (("joint", "coordinates", "label"), ("none",)))
    print(f"{SCENES} scenes of seed {SEED}, {ranked['joint']['counts']['truths']} objects, {ranked['joint']['counts']['detections']} boxes")
    for score, evaluation in {**ranked, **constant}.items():
        figures = evaluation["figures"]
        print(f"  ranked by {score:<12} AP {figures['AP']:.3f}  AP50 {figures['AP50']:.3f}  AP75 {figures['AP75']:.3f}  best F1 {evaluation['best_f1']['f1']:.3f}")
    calibration = evaluate(gemscope, truth, run, "--calibrate", str(out / "calibration.json"))["calibration"]
    error = calibration["ece"]
    print(f"  expected calibration error: {error['before']:.4f} before, {error['cross_validated']:.4f} after, learned from the other half of the scenes")
    print(f"  ({calibration['made_from']['right']} of {calibration['made_from']['detections']} boxes are right; a = {calibration['a']:.2f}, b = {calibration['b']:.2f})")
    assert ranked["joint"]["figures"]["AP"] > constant["none"]["figures"]["AP"], "the score ranks no better than none"
    assert error["cross_validated"] < 0.05, "not calibrated"


def tiles(gemscope: Path, out: Path) -> None:
    images = out / "images"
    images.mkdir(parents=True)
    truth = write_truth(out, large_scene(images, random.Random(SEED)))
    recalls = {}
    for name, flags in (("without tiles", ()), (f"--tiles {TILE}", ("--tiles", TILE))):
        run = out / ("tiled" if flags else "whole")
        detect(gemscope, images, run, "--export", "jsonl", *flags)
        record = json.loads((run / "journal.jsonl").read_text(encoding="utf-8"))
        exported = json.loads((run / "detections.jsonl").read_text(encoding="utf-8"))["detections"]
        found, doubled = judge(json.loads(truth.read_text(encoding="utf-8")), exported)
        recalls[name] = found
        print(f"{name}: {found} of {SHAPES} shapes found, {len(exported)} boxes, {doubled} shapes boxed twice, {len(record['answers'])} views")
        assert doubled == 0, "an object is doubled"
    whole, tiled = recalls.values()
    assert tiled > 0 and tiled >= 2 * whole, "tiles do not double the recall"


def large_scene(images: Path, rng: random.Random) -> dict[str, list]:
    """One picture of the scenes' own shapes and colours; a truth as `shapes` writes it."""
    image = scenes._background(WIDTH, HEIGHT, rng)
    pen = scenes.ImageDraw.Draw(image)
    placed: list[scenes._Placed] = []
    while len(placed) < SHAPES:
        width, height = rng.uniform(SMALLEST, LARGEST), 0.0
        height = min(LARGEST, max(SMALLEST, width * rng.uniform(0.8, 1.25)))
        x, y = rng.uniform(2, WIDTH - width - 2), rng.uniform(2, HEIGHT - height - 2)
        box = (x, y, x + width, y + height)
        if any(scenes._too_close(box, other.box) for other in placed):
            continue
        color = rng.choice(list(scenes.COLORS))
        placed.append(scenes._Placed(color, rng.choice(scenes.SHAPES), box, scenes._jitter(scenes.COLORS[color], rng), outlined=False))
    annotations = []
    for number, one in enumerate(placed, 1):
        scenes._draw_shape(pen, one, one.box, 1.0)
        x0, y0, x1, y1 = one.box
        category = scenes.LABELS.index(f"{one.color} {one.shape}") + 1
        annotations.append({"id": number, "image_id": 1, "category_id": category, "bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0), "iscrowd": 0})
    image.save(images / "large.png")
    return {
        "images": [{"id": 1, "file_name": "large.png", "width": WIDTH, "height": HEIGHT}],
        "annotations": annotations,
        "categories": [{"id": number, "name": label} for number, label in enumerate(scenes.LABELS, 1)],
    }


def judge(truth: dict, detections: list[dict]) -> tuple[int, int]:
    """How many objects are found with their label, and how many of them have another box, whatever its label."""
    names = {category["id"]: category["name"] for category in truth["categories"]}
    found = doubled = 0
    for annotation in truth["annotations"]:
        x, y, width, height = annotation["bbox"]
        there = [x, y, x + width, y + height]
        label = names[annotation["category_id"]]
        if any(one["label"] == label and overlap(there, one["bbox"])[0] >= FOUND for one in detections):
            found += 1
            alike = (one["bbox"] for one in detections if area(one["bbox"]) < HUGE * width * height)
            doubled += sum(overlap(there, bbox)[1] >= SHARED for bbox in alike) > 1
    return found, doubled


def overlap(a: Box, b: Box) -> tuple[float, float]:
    """Intersection over union, and over the smaller area."""
    both = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = area(a), area(b)
    return both / (sum(areas) - both), both / min(areas)


def area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def write_truth(out: Path, truth: dict) -> Path:
    path = out / "truth.json"
    path.write_text(json.dumps(truth), encoding="utf-8")
    return path


def detect(gemscope: Path, images: Path, run: Path, *flags: str) -> None:
    command = [gemscope, "detect", images, "--prompt", "detect shape", "--quiet", "--out", run, *flags]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def evaluate(gemscope: Path, truth: Path, run: Path, *flags: str) -> dict:
    command = [gemscope, "eval", "--truth", truth, "--run", run, "--json", "--quiet", *flags]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


if __name__ == "__main__":
    main()
