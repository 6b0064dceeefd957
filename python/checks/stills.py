"""HEIC and AVIF as gemscope reads them, against the libraries that write them.

    python python/checks/stills.py target/debug/gemscope [--ffmpeg FILE]

60 pictures: a gradient with shapes, in five sizes and with all eight EXIF orientations, as HEIC (whole and of tiles, 8 and 10 bits) by pillow-heif and as AVIF by
Pillow. Each must have the size of the upright picture, and differ from what its own library reads by less than 1.5 levels in the mean (chroma of odd sizes).

Exit code 1 if anything is wrong. Needs `pip install imageio-ffmpeg pillow-heif pillow numpy`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pillow_heif
from PIL import Image, ImageDraw, ImageOps

SIZES = [(320, 200), (257, 129), (64, 64), (1000, 700), (90, 300)]


def picture(size: tuple[int, int]) -> Image.Image:
    width, height = size
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    image = Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8), "RGB")
    pen = ImageDraw.Draw(image)
    pen.ellipse((width // 8, height // 8, width // 2, height // 2), fill=(214, 40, 40))
    pen.rectangle((width * 2 // 3, height // 2, width * 7 // 8, height * 7 // 8), fill=(40, 80, 210))
    return image


def write_all(folder: Path) -> None:
    for index, size in enumerate(SIZES):
        image = picture(size)
        for orientation in range(1, 9):
            exif = Image.Exif()
            exif[0x112] = orientation
            if index in (0, 3):
                image.save(folder / f"{index}-{orientation}.heic", quality=90, exif=exif.tobytes())
            if index == 3:
                image.save(folder / f"{index}-{orientation}-tiles.heic", quality=90, exif=exif.tobytes(), tile_size=256)
            if index in (0, 1, 4):
                image.save(folder / f"{index}-{orientation}.avif", quality=90, exif=exif.tobytes())
        image.save(folder / f"{index}.heic", quality=90)
        image.save(folder / f"{index}.avif", quality=90, subsampling="4:4:4")
    deep = np.asarray(picture((320, 200))).astype(np.uint16) << 8
    pillow_heif.encode("RGB;16", (320, 200), deep.tobytes(), folder / "deep.heic", quality=90)
    pillow_heif.encode("RGB;16", (320, 200), deep.tobytes(), folder / "deep.hif", quality=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path)
    parser.add_argument("--ffmpeg", default=imageio_ffmpeg.get_ffmpeg_exe())
    arguments = parser.parse_args()
    pillow_heif.register_heif_opener()
    wrong, worst = 0, 0.0
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        folder = root / "images"
        folder.mkdir()
        write_all(folder)
        (root / "script.json").write_text(json.dumps({"answers": [{"text": "[]"}]}))
        words = ["detect", "images", "--labels", "cat", "--model", "script:script.json", "--export", "imagefolder", "--out", "run"]
        done = subprocess.run([str(arguments.binary.resolve()), *words], cwd=root, env={**os.environ, "GEMSCOPE_FFMPEG": arguments.ffmpeg}, capture_output=True, text=True)
        lines = (root / "run/journal.jsonl").read_text().splitlines() if done.returncode in (0, 2) else sys.exit(done.stderr)
        by_hash = {record["image"]: record for record in map(json.loads, lines)}
        files = sorted(folder.iterdir())
        made = {path.name: path for path in (root / "run/imagefolder").rglob("*.png")}
        for file in files:
            upright = np.asarray(ImageOps.exif_transpose(Image.open(file)).convert("RGB")).astype(int)
            record = by_hash[file.name]
            ours = next((path for name, path in made.items() if name == f"{file.stem}.png" or name.startswith(f"{file.stem}_")
                         and record["image"] == file.name and np.asarray(Image.open(path)).shape == upright.shape), None)
            candidates = [path for name, path in made.items() if name == f"{file.stem}.png" or name.startswith(f"{file.stem}_")]
            differences = [float(np.abs(np.asarray(Image.open(path)).astype(int) - upright).mean()) for path in candidates
                           if np.asarray(Image.open(path)).shape == upright.shape]
            difference = min(differences, default=255.0)
            right = ours is not None and (record["height"], record["width"]) == upright.shape[:2] and difference < 1.5
            worst = max(worst, difference)
            if not right:
                wrong += 1
                print(f"WRONG {file.name}: {record['width']}x{record['height']}, upright {upright.shape}, difference {difference:.2f}, {record.get('reason')}")
    print(f"{len(files)} files, {wrong} wrong, mean difference at most {worst:.2f} levels")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
