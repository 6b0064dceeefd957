"""Peak memory of `gemscope convert` over a large COCO file, as a ratio to hotcoco's loading of the same file.

    pip install hotcoco
    cargo build --release
    python benches/convert_memory.py target/release/gemscope --megabytes 1000

Writes a COCO file of that size with boxes and polygons, has both read it, each in a process of its own, and prints the largest resident set of each.
Fails if convert needs more than --most times as much. Needs Linux: a process says its peak in /proc, in the same unit for both.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LOAD = "import sys, hotcoco; coco = hotcoco.COCO(sys.argv[1]); print(len(coco.get_ann_ids() if hasattr(coco, 'get_ann_ids') else coco.getAnnIds()))"


def write(path: Path, megabytes: int) -> tuple[int, int]:
    """Images of 1000 x 800 with ten objects each; one of four objects has a polygon. Returns how many there are of both."""
    drawn = random.Random(0)
    images, annotations = 0, 0
    head = {"info": {"description": "made by benches/convert_memory.py"}, "licenses": []}
    categories = [{"id": place, "name": f"thing {place}", "supercategory": ""} for place in range(1, 81)]
    count = megabytes * 1_000_000 // 1_713
    with path.open("w", encoding="utf-8") as file:
        file.write(json.dumps(head)[:-1] + f', "categories": {json.dumps(categories)}, "images": [')
        for image in range(1, count + 1):
            images += 1
            file.write((", " if image > 1 else "") + json.dumps({"id": image, "file_name": f"folder/{image:09}.jpg", "width": 1000, "height": 800}))
        file.write('], "annotations": [')
        for image in range(1, count + 1):
            for _ in range(10):
                annotations += 1
                x, y, w, h = drawn.uniform(0, 500), drawn.uniform(0, 400), drawn.uniform(5, 400), drawn.uniform(5, 300)
                polygon = [[round(value, 2) for value in (x, y, x + w, y, x + w, y + h, x, y + h)]] if annotations % 4 == 0 else []
                made = {"id": annotations, "image_id": image, "category_id": drawn.randint(1, 80), "bbox": [round(v, 2) for v in (x, y, w, h)],
                        "area": round(w * h, 2), "iscrowd": 0, "segmentation": polygon}
                file.write((", " if annotations > 1 else "") + json.dumps(made))
        file.write("]}")
    return images, annotations


def peak(command: list[str]) -> tuple[int, float]:
    """The peak of a process in KiB, and its seconds."""
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    most, status = 0, Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        try:
            text = status.read_text()
            most = max(most, *(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM")), 0)
        except (OSError, TypeError):
            pass
        time.sleep(0.02)
    if process.returncode != 0:
        sys.exit(f"{command[0]} ends with {process.returncode}")
    return most, time.monotonic() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gemscope")
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--most", type=float, default=1.5, help="the largest ratio that is no failure")
    parser.add_argument("--python", default=sys.executable, help="a Python with hotcoco")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        file, out = Path(name) / "instances.json", Path(name) / "out.json"
        images, annotations = write(file, arguments.megabytes)
        print(f"{file.stat().st_size / 1e6:.0f} MB: {images} images, {annotations} objects", flush=True)
        theirs, their_time = peak([arguments.python, "-c", LOAD, str(file)])
        ours, our_time = peak([arguments.gemscope, "convert", str(file), "--to", "coco", "--out", str(out), "--quiet"])
        written = out if out.is_file() else next(Path(name).rglob("instances.json"))
        ratio = ours / theirs
        print(f"hotcoco loads it in {theirs / 1024:.0f} MiB and {their_time:.1f} s")
        print(f"convert reads and writes it ({written.stat().st_size / 1e6:.0f} MB) in {ours / 1024:.0f} MiB and {our_time:.1f} s: {ratio:.2f} times the memory")
        if ratio > arguments.most:
            sys.exit(f"more than {arguments.most} times")


if __name__ == "__main__":
    main()
