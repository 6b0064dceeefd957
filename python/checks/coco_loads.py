"""Does pycocotools read what Gemscope wrote, and how good is it?

    python python/checks/coco_loads.py runs/shapes/instances.json
    python python/checks/coco_loads.py runs/shapes/instances.json --results runs/shapes/results.json
    python python/checks/coco_loads.py runs/shapes/instances.json --truth fixtures/shapes/truth.json

The first form checks the file: unique ids, references that resolve, boxes inside their image. The second also loads the detections. With --truth the
detections (those of --results, or else the annotations of INSTANCES) are scored: images are matched by file name and categories by name, since ids
of two files need not agree. Needs `pip install pycocotools`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from pathlib import Path, PurePosixPath

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

SLACK = 0.01
"""Pixels that a rounded box may stick out."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("instances", type=Path, help="COCO instances file")
    parser.add_argument("--results", type=Path, help="COCO results file: a list of detections with scores, ids as in INSTANCES")
    parser.add_argument("--truth", type=Path, help="COCO instances file with the truth")
    arguments = parser.parse_args()

    instances = load(arguments.instances)
    check_instances(instances)
    print(f"{arguments.instances}: {len(instances.imgs)} images, {len(instances.anns)} boxes, {len(instances.cats)} categories")

    detections = list(instances.anns.values())
    if arguments.results:
        detections = json.loads(arguments.results.read_text(encoding="utf-8"))
        check_boxes(instances, detections)
        if detections:
            with contextlib.redirect_stdout(io.StringIO()):
                instances.loadRes(str(arguments.results))
        print(f"{arguments.results}: {len(detections)} detections")
    if arguments.truth:
        score(load(arguments.truth), instances, detections)


def load(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def check_instances(instances: COCO) -> None:
    for key, index in (("images", instances.imgs), ("annotations", instances.anns), ("categories", instances.cats)):
        if len(instances.dataset[key]) != len(index):
            sys.exit(f"ids of {key} are not unique")
    check_boxes(instances, instances.dataset["annotations"])


def check_boxes(instances: COCO, boxes: list[dict]) -> None:
    for box in boxes:
        if box["image_id"] not in instances.imgs or box["category_id"] not in instances.cats:
            sys.exit(f"refers to what is not there: {box}")
        image = instances.imgs[box["image_id"]]
        x, y, width, height = box["bbox"]
        inside = x >= -SLACK and y >= -SLACK and x + width <= image["width"] + SLACK and y + height <= image["height"] + SLACK
        if not inside or width <= 0 or height <= 0:
            sys.exit(f"not inside {image['file_name']} ({image['width']}x{image['height']}): {box}")


def score(truth: COCO, instances: COCO, detections: list[dict]) -> None:
    """Prints COCO's twelve numbers. Images of the truth that INSTANCES lacks count as images where nothing was found."""
    image_ids = match_images(truth, instances)
    category_ids = {category["name"]: category["id"] for category in truth.cats.values()}
    scored, unknown = [], set()
    for detection in detections:
        name = instances.cats[detection["category_id"]]["name"]
        image_id = image_ids.get(detection["image_id"])
        if image_id is None or name not in category_ids:
            unknown.add(name if image_id is not None else instances.imgs[detection["image_id"]]["file_name"])
            continue
        scored.append({**detection, "image_id": image_id, "category_id": category_ids[name], "score": detection.get("score", 1.0)})
    if unknown:
        print(f"not in the truth, so not scored: {', '.join(sorted(unknown))}")
    if not scored:
        sys.exit("no detection of an image and a category of the truth: mAP 0")
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, truth.loadRes(scored), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    evaluation.summarize()


def match_images(truth: COCO, instances: COCO) -> dict[int, int]:
    """Image id in INSTANCES to image id in the truth: the same relative path, or else the same file name where that is unique."""
    by_path = {image["file_name"]: image["id"] for image in truth.imgs.values()}
    by_name: dict[str, list[int]] = {}
    for image in truth.imgs.values():
        by_name.setdefault(PurePosixPath(image["file_name"]).name, []).append(image["id"])
    matches = {}
    for image in instances.imgs.values():
        same_name = by_name.get(PurePosixPath(image["file_name"]).name, [])
        if image["file_name"] in by_path:
            matches[image["id"]] = by_path[image["file_name"]]
        elif len(same_name) == 1:
            matches[image["id"]] = same_name[0]
    return matches


if __name__ == "__main__":
    main()
