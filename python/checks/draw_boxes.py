"""Draws a run's boxes on its images, as one sheet: the picture in the README.

    python python/checks/draw_boxes.py RUN IMAGES SHEET.jpg [--columns 6] [--width 210] [--only NAME ...]

Reads RUN/detections.jsonl. Needs pillow.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

GAP = 6
BOX = (255, 255, 255)
EDGE = (20, 20, 20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--columns", type=int, default=6)
    parser.add_argument("--width", type=int, default=210, help="of a picture, in pixels (default: %(default)s)")
    parser.add_argument("--only", nargs="+", help="names of images (default: all)")
    arguments = parser.parse_args()

    lines = (arguments.run / "detections.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    if arguments.only:
        records = [record for record in records if record["image"] in arguments.only]
    pictures = [draw(record, arguments.images, arguments.width) for record in records if record["width"]]
    sheet(pictures, arguments.columns, arguments.width).save(arguments.sheet, optimize=True, quality=88)


def draw(record: dict, images: Path, width: int) -> Image.Image:
    """One image with its boxes, `width` pixels wide."""
    with Image.open(images / record["image"]) as stored:
        picture = ImageOps.exif_transpose(stored).convert("RGB")
    scale = width / picture.width
    picture = picture.resize((width, round(picture.height * scale)), Image.Resampling.LANCZOS)
    canvas = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=12)
    for detection in record["detections"]:
        x0, y0, x1, y1 = (value * scale for value in detection["bbox"])
        canvas.rectangle((x0 - 1, y0 - 1, x1 + 1, y1 + 1), outline=EDGE)
        canvas.rectangle((x0, y0, x1, y1), outline=BOX, width=2)
        place = (x0 + 3, max(0, y0 - 15))
        canvas.rectangle(canvas.textbbox(place, detection["label"], font=font), fill=EDGE)
        canvas.text(place, detection["label"], fill=BOX, font=font)
    return picture


def sheet(pictures: list[Image.Image], columns: int, width: int) -> Image.Image:
    """The pictures row by row; a row is as high as its highest picture."""
    rows = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    heights = [max(picture.height for picture in row) for row in rows]
    size = (columns * (width + GAP) - GAP, sum(heights) + GAP * (len(rows) - 1))
    canvas = Image.new("RGB", size, (255, 255, 255))
    top = 0
    for row, height in zip(rows, heights):
        for column, picture in enumerate(row):
            canvas.paste(picture, (column * (width + GAP), top))
        top += height + GAP
    return canvas


if __name__ == "__main__":
    main()
