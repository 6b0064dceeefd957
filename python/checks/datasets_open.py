"""Do the tools that dataset formats are for open what `convert` writes, and do round trips keep it?

    python python/checks/datasets_open.py target/release/gemscope

Makes ten sets (sizes, names with folders, spaces and other letters, splits, crowds, polygons,
scores, images without boxes), writes each in every format with its images, and opens it by the
code of the tools that the format is for. Every box is compared: the same labels, each edge within
0.5 pixels. Then every format is converted to every other and back. A tool that is not installed is
named, and the script fails unless --allow-missing says that this is known.

Needs `pip install pycocotools supervision opencv-python-headless datumaro datasets
label-studio-sdk labelme ultralytics megadetector`; not part of the CI, since that is gigabytes.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import random
import subprocess
import sys
import tempfile
import urllib.parse
from collections.abc import Callable, Iterable
from pathlib import Path

from PIL import Image

from boxes import LIMIT, Boxes, worst_distance

ROUNDING = 2e-3
"""Pixels that the float32 or the decimals of some tools may add."""

LABELS = ["cat", "dog", "traffic light", "no", "Köter"]
FOLDERS = {
    "coco": "coco.json",
    "roboflow": "roboflow",
    "yolo": "yolo",
    "voc": "voc",
    "labelme": "labelme",
    "xanylabeling": "xanylabeling",
    "cvat": "cvat",
    "label-studio": "label-studio",
    "imagefolder": "imagefolder",
    "megadetector": "megadetector",
}


def make(root: Path, seed: int) -> tuple[Path, dict]:
    """Images and a COCO file in ROOT, of the kind that SEED says."""
    chance = random.Random(seed)
    polygons, scores, crowds, folders = seed % 3 == 1, seed % 4 == 2, seed % 5 == 3, seed % 2 == 1
    names = [f"{'train/' if folders and i % 3 else ''}img {i:02} é.png" for i in range(8)]
    images, annotations = [], []
    for i, name in enumerate(names):
        size = (chance.randint(40, 900), chance.randint(40, 700))
        path = root / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (i * 20, seed * 20, 99)).save(path)
        images.append({"id": 10 + i, "file_name": name, "width": size[0], "height": size[1]})
        for _ in range(0 if i == 3 else chance.randint(1, 4)):
            w, h = chance.uniform(3, size[0] / 2), chance.uniform(3, size[1] / 2)
            x, y = chance.uniform(0, size[0] - w), chance.uniform(0, size[1] - h)
            x, y, w, h = (round(v, 3) for v in (x, y, w, h))
            annotation = {
                "id": 100 + len(annotations),
                "image_id": 10 + i,
                "category_id": chance.randint(1, len(LABELS)),
                "bbox": [x, y, w, h],
                "area": w * h,
                "iscrowd": int(crowds and chance.random() < 0.3),
                "segmentation": [],
            }
            if polygons and not annotation["iscrowd"]:
                annotation["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
            if scores:
                annotation["score"] = round(chance.random(), 4)
            annotations.append(annotation)
    categories = [
        {"id": i, "name": name, "supercategory": ""} for i, name in enumerate(LABELS, start=1)
    ]
    coco = {"images": images, "annotations": annotations, "categories": categories}
    path = root / "set.json"
    path.write_text(json.dumps(coco), encoding="utf-8")
    return path, coco


def boxes_of(coco: dict, crowds: bool = True) -> Boxes:
    names = {image["id"]: image["file_name"] for image in coco["images"]}
    labels = {category["id"]: category["name"] for category in coco["categories"]}
    found: Boxes = {name: [] for name in names.values()}
    for annotation in coco["annotations"]:
        if crowds or not annotation["iscrowd"]:
            x, y, w, h = annotation["bbox"]
            box = (labels[annotation["category_id"]], x, y, x + w, y + h)
            found[names[annotation["image_id"]]].append(box)
    return found


def flat(name: str) -> str:
    """The end of an image's name: file names are unique in these sets."""
    return Path(name).name.split("__")[-1]


def compare(what: str, found: Boxes, expected: Boxes, limit: float = LIMIT) -> float:
    """The largest distance of an edge; ends the script if anything else differs."""
    found = {flat(name): boxes for name, boxes in found.items()}
    expected = {flat(name): boxes for name, boxes in expected.items()}
    return worst_distance(what, found, expected, lambda _: limit + ROUNDING)


def from_supervision(dataset) -> Boxes:
    found: Boxes = {}
    for path, _, detections in dataset:
        labels = [dataset.classes[class_id] for class_id in detections.class_id]
        found[path] = [(label, *map(float, box)) for label, box in zip(labels, detections.xyxy)]
    return found


def coco_pycocotools(root: Path) -> Boxes:
    from pycocotools.coco import COCO

    return boxes_of(COCO(str(root / "coco.json")).dataset)


def roboflow_supervision(root: Path) -> Boxes:
    import supervision

    found: Boxes = {}
    for split in ("train", "valid", "test"):
        file = root / "roboflow" / split / "_annotations.coco.json"
        if file.is_file():
            images = root / "roboflow" / split
            found |= from_supervision(supervision.DetectionDataset.from_coco(str(images), str(file)))
    return found


def yolo_ultralytics(root: Path) -> Boxes:
    os.environ.setdefault("YOLO_CONFIG_DIR", tempfile.mkdtemp())  # it writes its settings there
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    data = check_det_dataset(str(root / "yolo" / "data.yaml"), autodownload=False)
    found: Boxes = {}
    for part in {str(data[key]) for key in ("train", "val", "test") if data.get(key)}:
        dataset = YOLODataset(img_path=part, data=data, task="detect", augment=False)
        for label in dataset.labels:
            height, width = label["shape"]
            boxes = []
            for (class_id,), (x, y, w, h) in zip(label["cls"], label["bboxes"]):
                edges = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
                boxes.append((data["names"][int(class_id)], *map(float, edges)))
            found[label["im_file"]] = boxes
    return found


def voc_supervision(root: Path) -> Boxes:
    import supervision

    images, annotations = root / "voc" / "JPEGImages", root / "voc" / "Annotations"
    return from_supervision(supervision.DetectionDataset.from_pascal_voc(str(images), str(annotations)))


def from_datumaro(root: Path, name: str) -> Boxes:
    import datumaro

    dataset = datumaro.Dataset.import_from(str(root), name)
    labels = dataset.categories()[datumaro.AnnotationType.label]
    found: Boxes = {}
    for item in dataset:
        boxes = []
        for annotation in item.annotations:
            if annotation.type in (datumaro.AnnotationType.bbox, datumaro.AnnotationType.polygon):
                x, y, w, h = annotation.get_bbox()
                boxes.append((labels[annotation.label].name, x, y, x + w, y + h))
        found[f"{item.id}.png"] = boxes
    return found


def voc_datumaro(root: Path) -> Boxes:
    """It counts VOC's pixels from 0, where the devkit counts from 1."""
    found = from_datumaro(root / "voc", "voc_detection")
    return {name: [(label, x0 - 1, y0 - 1, x1, y1) for label, x0, y0, x1, y1 in boxes] for name, boxes in found.items()}


def cvat_datumaro(root: Path) -> Boxes:
    return from_datumaro(root / "cvat", "cvat")


def labelme_own_reader(root: Path) -> Boxes:
    try:
        from labelme.label_file import LabelFile
    except ImportError:
        from labelme._label_file import LabelFile

    found: Boxes = {}
    for file in sorted((root / "labelme").rglob("*.json")):
        label = LabelFile(str(file))
        boxes = []
        for shape in label.shapes:
            xs, ys = zip(*shape["points"])
            boxes.append((shape["label"], min(xs), min(ys), max(xs), max(ys)))
        found[str(file.with_suffix(".png"))] = boxes
    return found


def xanylabeling_json(root: Path) -> Boxes:
    """X-AnyLabeling is a desktop program: what its `label_file.py` asks of a file is asked here."""
    found: Boxes = {}
    for file in sorted((root / "xanylabeling").rglob("*.json")):
        data = json.loads(file.read_text(encoding="utf-8"))
        for key in ("version", "imageData", "imagePath", "shapes", "flags", "imageHeight", "imageWidth"):
            assert key in data, f"{file}: no {key}"
        boxes = []
        for shape in data["shapes"]:
            assert shape["shape_type"] in ("rectangle", "polygon"), f"{file}: {shape['shape_type']}"
            if shape["shape_type"] == "rectangle":
                assert len(shape["points"]) == 4, f"{file}: a rectangle of {len(shape['points'])}"
            xs, ys = zip(*shape["points"])
            boxes.append((shape["label"], min(xs), min(ys), max(xs), max(ys)))
        found[str(file.parent / data["imagePath"])] = boxes
    return found


def label_studio_converter(root: Path) -> Boxes:
    from label_studio_sdk.converter import Converter

    folder = root / "label-studio"
    config = (folder / "label_config.xml").read_text(encoding="utf-8")
    tasks = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
    names = {}
    accepted = []
    for place, task in enumerate(tasks, start=1):
        names[task["data"]["image"]] = task["data"]["name"]
        results = [r for one in task.get("annotations", task.get("predictions", [])) for r in one["result"]]
        annotation = {"id": place, "result": results, "completed_by": 1}
        accepted.append({"id": place, "data": {"image": task["data"]["image"]}, "annotations": [annotation]})
    with tempfile.TemporaryDirectory() as out:
        exported = Path(out) / "tasks.json"
        exported.write_text(json.dumps(accepted), encoding="utf-8")
        converter = Converter(config=config, project_dir=out, download_resources=False)
        converter.convert_to_coco(str(exported), out, output_image_dir=str(Path(out) / "images"), is_dir=False)
        coco = json.loads((Path(out) / "result.json").read_text(encoding="utf-8"))
    for image in coco["images"]:
        image["file_name"] = names[image["file_name"]]
    found: Boxes = {name: [] for name in names.values()}
    for annotation in coco["annotations"]:
        annotation.setdefault("iscrowd", 0)
    found |= boxes_of(coco)
    return found


def imagefolder_datasets(root: Path) -> Boxes:
    import datasets

    loaded = datasets.load_dataset(
        "imagefolder", data_dir=str(root / "imagefolder"), cache_dir=tempfile.mkdtemp()
    )
    found: Boxes = {}
    for split in loaded.values():
        for row in split.cast_column("image", datasets.Image(decode=False)):
            objects = row["objects"]
            boxes = []
            for label, (x, y, w, h) in zip(objects["labels"], objects["bbox"]):
                boxes.append((label, x, y, x + w, y + h))
            found[row["image"]["path"]] = boxes
    return found


def megadetector_reader(root: Path) -> Boxes:
    from megadetector.postprocessing.validate_batch_results import ValidateBatchResultsOptions, validate_batch_results

    file = root / "megadetector" / "megadetector.json"
    options = ValidateBatchResultsOptions()
    # Without it, only what is wrong with the file comes back.
    options.return_data = True
    data = validate_batch_results(str(file), options)
    errors = data["validation_results"]["errors"]
    if errors:
        sys.exit(f"megadetector: {errors}")
    found: Boxes = {}
    for image in data["images"]:
        with Image.open(root / "megadetector" / image["file"]) as opened:
            width, height = opened.size
        boxes = []
        for detection in image["detections"]:
            x, y, w, h = detection["bbox"]
            label = data["detection_categories"][detection["category"]]
            boxes.append((label, x * width, y * height, (x + w) * width, (y + h) * height))
        found[image["file"]] = boxes
    return found


CHECKS: list[tuple[str, str, Callable[[Path], Boxes]]] = [
    ("coco", "pycocotools", coco_pycocotools),
    ("roboflow", "supervision", roboflow_supervision),
    ("yolo", "ultralytics", yolo_ultralytics),
    ("voc", "supervision", voc_supervision),
    ("voc", "datumaro", voc_datumaro),
    ("cvat", "datumaro", cvat_datumaro),
    ("labelme", "labelme", labelme_own_reader),
    ("xanylabeling", "", xanylabeling_json),
    ("label-studio", "label-studio-sdk", label_studio_converter),
    ("imagefolder", "datasets", imagefolder_datasets),
    ("megadetector", "megadetector", megadetector_reader),
]


def convert(binary: str, *arguments: object) -> str:
    command = [binary, "convert", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.returncode}\n{done.stderr}")
    return done.stderr


def copies(name: str) -> list[str]:
    """Readers of VOC look into flat folders."""
    return ["--copy-images"] * (name != "coco") + ["--flat"] * (name == "voc")


def write_all(binary: str, source: Path, root: Path, images: Path) -> None:
    for name, place in FOLDERS.items():
        convert(binary, source, "--to", name, "--out", root / place, "--images", images, *copies(name))


def expected_of(name: str, coco: dict) -> Boxes:
    """YOLO has no word for crowds."""
    return boxes_of(coco, crowds=name != "yolo")


def round_trips(binary: str, root: Path, images: Path, coco: dict) -> Iterable[tuple[str, str, float]]:
    """Every format to every other, and that to COCO."""
    for first, place in FOLDERS.items():
        for second in FOLDERS:
            out = root / "trips" / f"{first}-{second}{'.json' if second == 'coco' else ''}"
            more = ["--images", images] if first == "coco" else []
            convert(binary, root / place, "--to", second, "--out", out, *copies(second), *more)
            back = root / "trips" / f"{first}-{second}-back.json"
            convert(binary, out, "--to", "coco", "--out", back)
            # YOLO leaves crowds out, if the format before has told it which they are.
            keeps = first in ("coco", "roboflow", "voc", "xanylabeling", "imagefolder")
            lost = first == "yolo" or second == "yolo" and keeps
            expected = boxes_of(coco, crowds=not lost)
            # A whole pixel is rounded twice at most.
            limit = LIMIT + (LIMIT if "voc" in (first, second) else 0)
            found = boxes_of(json.loads(back.read_text(encoding="utf-8")))
            yield first, second, compare(f"{first} to {second} and back", found, expected, limit)


def main() -> None:
    missing: set[str] = set()
    worst: dict[str, float] = {}
    trips: dict[str, float] = {}
    counts = [0, 0]
    for seed in range(ARGUMENTS.sets):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            source, coco = make(root, seed)
            split = root / "split"
            # Through Roboflow's folders, which hold splits.
            convert(
                ARGUMENTS.gemscope, source, "--to", "roboflow", "--out", split,
                "--split", "0.2,0.2", "--images", root / "images", "--copy-images",
            )
            images = root / "images" if seed % 2 else split
            write_all(ARGUMENTS.gemscope, source if seed % 2 else split, root, images)
            counts[0] += len(coco["images"])
            counts[1] += len(coco["annotations"])
            for name, tool, check in CHECKS:
                key = f"{name}: {tool or 'its keys'}"
                try:
                    distance = compare(key, check(root), expected_of(name, coco))
                    worst[key] = max(worst.get(key, 0.0), distance)
                except ImportError as error:
                    missing.add(f"{key}: NOT CHECKED: {error}")
            for first, second, distance in round_trips(ARGUMENTS.gemscope, root, images, coco):
                trips[first] = max(trips.get(first, 0.0), distance)
                trips[second] = max(trips.get(second, 0.0), distance)
    print(f"{ARGUMENTS.sets} sets, {counts[0]} images, {counts[1]} boxes")
    for key, distance in worst.items():
        tool = key.split(": ")[1]
        try:
            tool = f" {importlib.metadata.version(tool)}"
        except importlib.metadata.PackageNotFoundError:
            tool = ""
        print(f"{key}{tool}: every box, at most {distance:.4f} px off")
    for name, distance in trips.items():
        print(f"{name}: to and from every format, at most {distance:.4f} px off")
    for line in sorted(missing):
        print(line)
    if missing and not ARGUMENTS.allow_missing:
        sys.exit(f"{len(missing)} checks could not be made")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gemscope", help="the command")
    parser.add_argument("--sets", type=int, default=10, help="how many sets are made")
    parser.add_argument("--allow-missing", action="store_true", help="succeed if tools are not installed")
    ARGUMENTS = parser.parse_args()
    main()
