"""The default least scores (`ScoreKind::default_min_score`), as they were chosen: on held-out scenes of the demo model.

    python python/checks/min_score.py GEMSCOPE [--out DIR] [--scenes N] [--seed N]

GEMSCOPE is the built command. Draws scenes of a seed that neither training nor the figures of docs/EVALUATION.md have, asks three kinds of questions
about them (every shape; single labels, most of them absent; two shapes at once, of which one is often absent), each under the grammar where
`--labels` asks, and keeps all boxes. A box is right where it has its label and an IoU of at least 0.5 with an object that no better box has.
For each kind of score it prints F1 over all questions at a few least scores, and the one that the rule takes: of the steps 0, 0.01, 0.02,
0.05, 0.1, 0.2, 0.5 the lowest whose F1 is within 0.01 of the best one, so that a model whose right boxes score lower than this one's
loses few. Fails where that is not what the code has. Needs numpy and pillow, and `python/` on the PYTHONPATH.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from demo_figures import FOUND, overlap
from gemscope.onnx_export import shapes

SEED, SCENES = 301, 200
STEPS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
WITHIN = 0.01
"""Of the best F1."""
DEFAULTS = {"coordinates": 0.0, "label": 0.2, "joint": 0.05}
"""What the code has."""

Box = list[float]
Scored = tuple[bool, dict[str, float]]
"""Whether a box is right, and its scores by kind."""


def of_label(asked: str) -> Callable[[str], str | None]:
    """The label that an object has in a question about `asked`; `None` for one that it does not ask for."""
    return lambda name: asked if name == asked or name.endswith(f" {asked}") else None


QUESTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "every shape": (("--prompt", "detect shape"), ()),
    "single labels": (
        ("--labels", "red circle,blue star,green square,yellow triangle,purple circle,orange star", "--per-label"),
        ("red circle", "blue star", "green square", "yellow triangle", "purple circle", "orange star"),
    ),
    "two shapes": (("--labels", "star,circle"), ("star", "circle")),
}
"""Flags of detect, and the labels that are asked for; none for every one."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gemscope", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(arguments.gemscope.resolve(), arguments.out or Path(folder), arguments.scenes, arguments.seed)


def measure(gemscope: Path, out: Path, count: int, seed: int) -> None:
    images = out / "images"
    images.mkdir(parents=True)
    truth = objects(shapes.write_scenes(images, count, seed))
    boxes: list[Scored] = []
    there = 0
    for number, (name, (flags, asked)) in enumerate(QUESTIONS.items()):
        run = out / f"run-{number}"
        command = [gemscope, "detect", images, *flags, "--export", "none", "--quiet", "--out", run]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        judged, objects_asked_for = judge(run / "journal.jsonl", truth, asked)
        right = sum(is_right for is_right, _ in judged)
        print(f"{name}: {objects_asked_for} objects, {len(judged)} boxes, {right} of them right")
        boxes += judged
        there += objects_asked_for
    chosen = {}
    for kind in DEFAULTS:
        figures = {step: f1(boxes, there, kind, step) for step in STEPS}
        chosen[kind] = min(step for step, figure in figures.items() if figure >= max(figures.values()) - WITHIN)
        print(f"{kind:<12} " + "  ".join(f"{step:g}: {figure:.3f}" for step, figure in figures.items()) + f"  -> {chosen[kind]:g}")
        for which in (True, False):
            scores = sorted(scores[kind] for is_right, scores in boxes if is_right == which)
            print(f"    {'right' if which else 'wrong'}: half of them from {scores[len(scores) // 4]:.4f} to {scores[3 * len(scores) // 4]:.4f}, least {scores[0]:.4f}")
    assert chosen == DEFAULTS, f"{chosen}, but the code has {DEFAULTS}"


def objects(truth: dict) -> dict[str, list[tuple[str, Box]]]:
    """Label and `[x0, y0, x1, y1]` of every object, by the name of its image."""
    names = {category["id"]: category["name"] for category in truth["categories"]}
    images = {image["id"]: Path(image["file_name"]).name for image in truth["images"]}
    by_image: dict[str, list[tuple[str, Box]]] = {name: [] for name in images.values()}
    for annotation in truth["annotations"]:
        x, y, width, height = annotation["bbox"]
        by_image[images[annotation["image_id"]]].append((names[annotation["category_id"]], [x, y, x + width, y + height]))
    return by_image


def judge(journal: Path, truth: dict[str, list[tuple[str, Box]]], asked: tuple[str, ...]) -> tuple[list[Scored], int]:
    """Every box of a run with whether it is right, and how many objects were asked for."""
    named = [of_label(label) for label in asked]
    judged: list[Scored] = []
    there = 0
    for line in journal.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        labelled = [(next((label for name in named if (label := name(own))), None) if asked else own, box) for own, box in truth[record["image"]]]
        open_objects = [one for one in labelled if one[0] is not None]
        there += len(open_objects)
        for found in sorted(record["detections"], key=lambda found: -found["score"]):
            mine = next((one for one in open_objects if one[0] == found["label"] and overlap(one[1], found["bbox"])[0] >= FOUND), None)
            if mine:
                open_objects.remove(mine)
            probabilities = found["probabilities"]
            scores = {"coordinates": probabilities["coordinates"], "label": probabilities["label"], "joint": found["score"]}
            judged.append((mine is not None, scores))
    return judged, there


def f1(boxes: list[Scored], there: int, kind: str, least: float) -> float:
    kept = [is_right for is_right, scores in boxes if scores[kind] >= least]
    return 2 * sum(kept) / (len(kept) + there)


if __name__ == "__main__":
    main()
