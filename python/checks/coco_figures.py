"""What pycocotools says of the sample of COCO in fixtures/coco: the figures that `gemscope eval` has to equal.

    python python/checks/coco_figures.py trim INSTANCES.json RESULTS.json fixtures/coco
    python python/checks/coco_figures.py expect fixtures/coco

`trim` writes truth.json (boxes without segmentations; only the licences that its images use) and results.json out of the sample files of the
cocoapi repository, and fails where a figure of the trimmed files differs from the originals'. `expect` writes expected.json. Needs
`pip install pycocotools==2.0.11`.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import io
import json
import sys
from pathlib import Path

import numpy
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
IMAGE = ("id", "file_name", "width", "height", "license")
ANNOTATION = ("id", "image_id", "category_id", "bbox", "area", "iscrowd")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    trimming = commands.add_parser("trim")
    trimming.add_argument("instances", type=Path)
    trimming.add_argument("results", type=Path)
    trimming.add_argument("out", type=Path)
    trimming.set_defaults(run=lambda given: trim(given.instances, given.results, given.out))
    expecting = commands.add_parser("expect")
    expecting.add_argument("folder", type=Path)
    expecting.set_defaults(run=lambda given: expect(given.folder))
    arguments = parser.parse_args()
    arguments.run(arguments)


def trim(instances: Path, results: Path, out: Path) -> None:
    full = json.loads(instances.read_text(encoding="utf-8"))
    used = {image["license"] for image in full["images"]}
    trimmed = {
        "info": full["info"],
        "licenses": [licence for licence in full["licenses"] if licence["id"] in used],
        "images": [{key: image[key] for key in IMAGE} for image in full["images"]],
        "annotations": [{key: annotation[key] for key in ANNOTATION} for annotation in full["annotations"]],
        "categories": full["categories"],
    }
    out.mkdir(parents=True, exist_ok=True)
    write(out / "truth.json", trimmed)
    write(out / "results.json", json.loads(results.read_text(encoding="utf-8")))
    if evaluate(instances, results) != evaluate(out / "truth.json", out / "results.json"):
        sys.exit("trimming changed a figure")


def expect(folder: Path) -> None:
    figures, labels = evaluate(folder / "truth.json", folder / "results.json")
    versions = {name: importlib.metadata.version(name) for name in ("pycocotools", "numpy")}
    text = json.dumps({"made_by": versions, "figures": figures, "labels": labels}, indent=1)
    (folder / "expected.json").write_text(text + "\n", encoding="utf-8")


def evaluate(truth: Path, results: Path) -> tuple[dict[str, float], dict[str, dict[str, float | None]]]:
    """The twelve figures, and of every label that the truth has: AP, AP50 and AR100."""
    with contextlib.redirect_stdout(io.StringIO()):
        instances = COCO(str(truth))
        evaluation = COCOeval(instances, instances.loadRes(str(results)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    figures = dict(zip(NAMES, map(float, evaluation.stats), strict=True))
    labels = {}
    for place, category in enumerate(evaluation.params.catIds):
        precision = evaluation.eval["precision"][:, :, place, 0, -1]
        recall = evaluation.eval["recall"][:, place, 0, -1]
        if numpy.any(precision > -1):
            name = instances.cats[category]["name"]
            labels[name] = {"AP": float(precision.mean()), "AP50": float(precision[0].mean()), "AR100": float(recall.mean())}
    return figures, labels


def write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
