"""Do the tools that the formats are for open them, and do they see the journal's boxes?

    gemscope export RUN --to csv,jsonl,coco,yolo,voc,label-studio --min-score 0 --duplicates 0 --out OUT
    python python/checks/formats_open.py RUN OUT

Every format is read by the code of the tools that use it, and every box that they find is compared with those of RUN/journal.jsonl: the same boxes of the
same labels of every image, each edge within 0.5 pixels. Boxes thinner than a pixel are compared with a whole one in VOC, which knows nothing smaller.
OUT must have been made with these options and no others that leave boxes out or rename them: the journal has every box that was read. Nothing is skipped in silence: a tool that is not installed is named, and the
script fails unless --allow-missing says that this is known.

Needs `pip install pycocotools supervision opencv-python-headless ultralytics torchvision label-studio-sdk`; not part of the CI, since that is gigabytes.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import importlib.metadata
import json
import os
import sys
import tempfile
import urllib.parse
from collections.abc import Callable, Iterable
from pathlib import Path

from boxes import LIMIT, Box, Boxes, worst_distance

ROUNDING = 1e-3
"""Pixels that the float32 of some tools may add."""


class Journal:
    """The images that data sets are to hold, with their boxes, by the image's name."""

    def __init__(self, run: Path) -> None:
        records = {}
        for line in (run / "journal.jsonl").read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            records[record["image"]] = record
        self.records = records
        self.all = {name: boxes_of(record["detections"]) for name, record in records.items()}
        # A record without boxes is an example only where the answer says "nothing".
        self.examples = {name: boxes for name, boxes in self.all.items() if boxes or records[name]["status"] == "empty"}
        self.by_hash: dict[str, list[str]] = {}
        for name, record in records.items():
            self.by_hash.setdefault(record["sha256"], []).append(name)

    def name_of(self, file: Path, stem: str) -> str:
        """The image that FILE of a data set is: the same bytes, or else (it was written anew) the same name but for folders' marks and extension."""
        same = self.by_hash.get(hashlib.sha256(file.read_bytes()).hexdigest(), [])
        if len(same) == 1:
            return same[0]
        plain = stem.replace("__", "/").replace("images_/", "images/")
        candidates = same or [name for name in self.examples if os.path.splitext(name)[0] == plain]
        exact = [name for name in candidates if os.path.splitext(name)[0] == plain] or candidates
        if len(exact) != 1:
            sys.exit(f"{file}: cannot tell which image of the journal this is: {exact}")
        return exact[0]


def boxes_of(detections: list[dict]) -> list[Box]:
    return [(detection["label"], *detection["bbox"]) for detection in detections]


def compare(what: str, found: Boxes, expected: Boxes, whole_pixels: bool = False) -> str:
    """Ends the script where FOUND is not what is EXPECTED, else says what was compared."""

    def limit(box: Box) -> float:
        thin = whole_pixels and min(box[3] - box[1], box[4] - box[2]) < 1
        return (1 if thin else LIMIT) + ROUNDING

    worst = worst_distance(what, found, expected, limit)
    count = sum(map(len, expected.values()))
    return f"{len(expected)} images, {count} boxes, at most {worst:.4f} px off"


def from_supervision(dataset, name_of: Callable[[Path], str]) -> Boxes:
    found: Boxes = {}
    for path, _, detections in dataset:
        labels = [dataset.classes[class_id] for class_id in detections.class_id]
        found[name_of(Path(path))] = [(label, *map(float, box)) for label, box in zip(labels, detections.xyxy)]
    return found


def check_csv(journal: Journal, out: Path) -> Iterable[tuple[str, str]]:
    def plain(cell: str) -> str:
        return cell[1:] if cell[:1] == "'" and cell[1:2] in set("=+-@\t\r") else cell

    found: Boxes = {}
    with (out / "detections.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            boxes = found.setdefault(plain(row["image"]), [])
            if row["x0"]:
                boxes.append((plain(row["label"]), *(float(row[edge]) for edge in ("x0", "y0", "x1", "y1"))))
    yield "csv (standard library)", compare("csv", found, journal.all)


def check_jsonl(journal: Journal, out: Path) -> Iterable[tuple[str, str]]:
    lines = [json.loads(line) for line in (out / "detections.jsonl").read_text(encoding="utf-8").splitlines()]
    found = {line["image"]: boxes_of(line["detections"]) for line in lines}
    yield "json (standard library)", compare("jsonl", found, journal.all)


def coco_images(journal: Journal, out: Path) -> tuple[Path, Callable[[Path], str]]:
    """The folder that file names of COCO are relative to, and what gives the image of a file in it."""
    if (out / "upright").is_dir():  # --write-upright
        images = out / "upright"
        return images, lambda path: journal.name_of(path, path.relative_to(images).with_suffix("").as_posix())
    images = Path(json.loads((Path(ARGUMENTS.run) / "run.json").read_text(encoding="utf-8"))["root"])
    return images, lambda path: path.relative_to(images).as_posix()


def check_coco(journal: Journal, out: Path) -> Iterable[tuple[str, str]]:
    from pycocotools.coco import COCO

    instances = COCO(str(out / "instances.json"))
    images, name_of = coco_images(journal, out)
    names = {image["id"]: name_of(images / image["file_name"]) for image in instances.imgs.values()}
    found: Boxes = {name: [] for name in names.values()}
    for annotation in instances.anns.values():
        x, y, width, height = annotation["bbox"]
        label = instances.cats[annotation["category_id"]]["name"]
        found[names[annotation["image_id"]]].append((label, x, y, x + width, y + height))
    yield f"pycocotools {version('pycocotools')}", compare("coco", found, journal.examples)
    if json.loads((out / "results.json").read_text()):
        scored = instances.loadRes(str(out / "results.json"))
        yield f"pycocotools {version('pycocotools')}, loadRes", f"{len(scored.anns)} scored boxes"


def check_coco_supervision(journal: Journal, out: Path) -> Iterable[tuple[str, str]]:
    import supervision

    images, name_of = coco_images(journal, out)
    dataset = supervision.DetectionDataset.from_coco(str(images), str(out / "instances.json"))
    found = from_supervision(dataset, name_of)
    yield f"supervision {version('supervision')}", compare("coco", found, journal.examples)


def check_yolo(journal: Journal, out: Path) -> Iterable[tuple[str, str]]:
    os.environ.setdefault("YOLO_CONFIG_DIR", tempfile.mkdtemp())  # it writes its settings there
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    data = check_det_dataset(str(out / "yolo" / "data.yaml"), autodownload=False)
    found: Boxes = {}
    for part in dict.fromkeys((data["train"], data["val"])):
        dataset = YOLODataset(img_path=part, data=data, task="detect", augment=False)
        for label in dataset.labels:
            path = Path(label["im_file"])
            height, width = label["shape"]
            boxes = []
            for (class_id,), (x, y, w, h) in zip(label["cls"], label["bboxes"]):
                edges = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
                boxes.append((data["names"][int(class_id)], *map(float, edges)))
            found[journal.name_of(path, path.relative_to(part).with_suffix("").as_posix())] = boxes
    for cache in (out / "yolo" / "labels").glob("*.cache"):
        cache.unlink()
    yield f"ultralytics {version('ultralytics')}", compare("yolo", found, journal.examples)


def check_voc(journal: Journal, out: Path) -> Iterable[tuple[str, str]]:
    import supervision

    images, annotations = out / "voc" / "JPEGImages", out / "voc" / "Annotations"
    dataset = supervision.DetectionDataset.from_pascal_voc(str(images), str(annotations))
    found = from_supervision(dataset, lambda path: journal.name_of(path, path.stem))
    yield f"supervision {version('supervision')}", compare("voc", found, journal.examples, whole_pixels=True)


def check_voc_torchvision(journal: Journal, out: Path) -> Iterable[tuple[str, str]]:
    from xml.etree import ElementTree

    from torchvision.datasets import VOCDetection

    # Its constructor takes .jpg alone and a folder called VOCdevkit; what it parses every annotation with is this.
    found: Boxes = {}
    images = {path.name: path for path in (out / "voc" / "JPEGImages").iterdir()}
    for stem in (out / "voc" / "ImageSets" / "Main" / "trainval.txt").read_text(encoding="utf-8").splitlines():
        tree = ElementTree.parse(out / "voc" / "Annotations" / f"{stem}.xml")
        annotation = VOCDetection.parse_voc_xml(tree.getroot())["annotation"]
        boxes = []
        for thing in annotation.get("object", []):
            xmin, ymin, xmax, ymax = (int(thing["bndbox"][edge]) for edge in ("xmin", "ymin", "xmax", "ymax"))
            boxes.append((thing["name"], xmin - 1, ymin - 1, xmax, ymax))
        found[journal.name_of(images[annotation["filename"]], stem)] = boxes
    yield f"torchvision {version('torchvision')}, VOCDetection.parse_voc_xml", compare("voc", found, journal.examples, whole_pixels=True)


def check_label_studio(journal: Journal, out: Path) -> Iterable[tuple[str, str]]:
    from label_studio_sdk.converter import Converter
    from label_studio_sdk.label_interface import LabelInterface
    from label_studio_sdk.label_interface.objects import PredictionValue

    config = (out / "label-studio" / "label_config.xml").read_text(encoding="utf-8")
    tasks = json.loads((out / "label-studio" / "tasks.json").read_text(encoding="utf-8"))
    interface = LabelInterface(config)
    regions = 0
    for task in tasks:
        # Without the predictions, which it would hand on without their argument.
        if not interface.validate_task({"data": task["data"]}):
            sys.exit(f"label-studio: {task['data']}: the task does not go with label_config.xml")
        for prediction in task["predictions"]:
            value = {key: prediction[key] for key in ("model_version", "score", "result") if key in prediction}
            PredictionValue(**value)
            if not interface.validate_prediction(value):
                sys.exit(f"label-studio: {task['data']}: the prediction does not go with label_config.xml")
            regions += len(prediction["result"])
    yield f"label-studio-sdk {version('label-studio-sdk')}, LabelInterface", f"{len(tasks)} tasks, {regions} regions"

    # Label Studio's own way from its JSON to COCO, once somebody has accepted the predictions as they are.
    names = {}
    with tempfile.TemporaryDirectory() as folder:
        accepted = []
        for place, task in enumerate(tasks, start=1):
            image = urllib.parse.unquote(task["data"]["image"].split("?d=")[-1])
            served, _, image = image.partition("/")
            if image != task["data"]["name"]:
                sys.exit(f"label-studio: {task['data']}: the address is not the image's name in {served}")
            annotations = [{"id": place, "result": prediction["result"], "completed_by": 1} for prediction in task["predictions"]]
            if annotations:
                names[task["data"]["image"]] = image
                accepted.append({"id": place, "data": {"image": task["data"]["image"]}, "annotations": annotations})
        exported = Path(folder) / "tasks.json"
        exported.write_text(json.dumps(accepted), encoding="utf-8")
        converter = Converter(config=config, project_dir=folder, download_resources=False)
        converter.convert_to_coco(str(exported), folder, output_image_dir=str(Path(folder) / "images"), is_dir=False)
        result = json.loads((Path(folder) / "result.json").read_text(encoding="utf-8"))
    labels = {category["id"]: category["name"] for category in result["categories"]}
    images = {image["id"]: names[image["file_name"]] for image in result["images"]}
    # It has no images without boxes.
    found: Boxes = {name: [] for name in names.values()}
    for annotation in result["annotations"]:
        x, y, width, height = annotation["bbox"]
        found[images[annotation["image_id"]]].append((labels[annotation["category_id"]], x, y, x + width, y + height))
    yield f"label-studio-sdk {version('label-studio-sdk')}, Converter to COCO", compare("label-studio", found, journal.examples)


def version(package: str) -> str:
    return importlib.metadata.version(package)


CHECKS = (
    ("jsonl", check_jsonl),
    ("csv", check_csv),
    ("coco", check_coco),
    ("coco", check_coco_supervision),
    ("yolo", check_yolo),
    ("voc", check_voc),
    ("voc", check_voc_torchvision),
    ("label-studio", check_label_studio),
)


def main() -> None:
    journal = Journal(Path(ARGUMENTS.run))
    missing = 0
    for name, check in CHECKS:
        try:
            for tool, result in check(journal, Path(ARGUMENTS.out)):
                print(f"{name}: {tool}: {result}")
        except ImportError as error:
            missing += 1
            print(f"{name}: NOT CHECKED with {check.__name__}: {error}")
    if missing and not ARGUMENTS.allow_missing:
        sys.exit(f"{missing} checks could not be made")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="the run's directory")
    parser.add_argument("out", help="what was exported of it")
    parser.add_argument("--allow-missing", action="store_true", help="succeed where tools are not installed")
    ARGUMENTS = parser.parse_args()
    main()
