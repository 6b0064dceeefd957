"""`images OUT`: tiny files in every format and with every oddity that a folder of pictures may hold, and the upright RGB to expect of each.

`expected.json` has a list `images`: `file`, upright `width` and `height`, and either `rgb_sha256` (over height, width, RGB as bytes; the decoder must give
exactly these) or `expected` (a PNG) with `tolerance`, the largest difference of a channel value. A list `cut` names JPEGs that end early: of them `rows` are
there, and `expected` is what Pillow makes of them with `LOAD_TRUNCATED_IMAGES`. A list `bad` names files that must give an error, and why.

Expected is what Pillow decodes, upright by `ImageOps.exif_transpose`, with alpha composited over white as transformers' `convert_to_rgb` does. 16-bit
pictures are the exception: Pillow cuts RGB down by `>> 8` and clips grey at 255, here `v * 255 / 65535` is expected, rounded.
"""

from __future__ import annotations

import argparse
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps
from transformers.image_transforms import convert_to_rgb

from gemscope.onnx_export.provenance import made_by, sha256, write_json

ORIENTATION_TAG = 0x0112

TURN_TO_STORE = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How the pixels of an upright picture lie in a file with each EXIF orientation."""


@dataclass(frozen=True)
class Oddity:
    """A written file and how exact a decoder must be. `upright` where Pillow's own decoding is not what to expect."""

    file: str
    tolerance: int = 0
    upright: Image.Image | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, help="folder to write to: fixtures/images")
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> None:
    out: Path = arguments.out
    (out / "expected").mkdir(parents=True, exist_ok=True)
    (out / "bad").mkdir(exist_ok=True)
    oddities = [*_alpha(out), *_grey(out), *_sixteen_bits(out), *_jpeg(out), *_orientations(out), *_other_formats(out)]
    write_json(
        out / "expected.json",
        {
            "made_by": made_by("python -m gemscope.onnx_export images fixtures/images"),
            "images": [_expectation(out, oddity) for oddity in oddities],
            "cut": _cut(out),
            "bad": _bad(out),
        },
    )


def _expectation(out: Path, oddity: Oddity) -> dict:
    upright = oddity.upright
    if upright is None:
        with Image.open(out / oddity.file) as stored:
            upright = Image.fromarray(convert_to_rgb(ImageOps.exif_transpose(stored), return_numpy=True))
    entry = {"file": oddity.file, "width": upright.width, "height": upright.height}
    if oddity.tolerance == 0:
        return entry | {"rgb_sha256": sha256(np.asarray(upright), "u1")}
    expected = f"expected/{oddity.file}.png"
    upright.save(out / expected, optimize=True)
    return entry | {"expected": expected, "tolerance": oddity.tolerance}


def smooth(width: int = 40, height: int = 24) -> Image.Image:
    """A picture with slopes in all three channels and no edges: lossy formats keep it well."""
    y, x = np.mgrid[0:height, 0:width]
    red = 20 + 200 * x / width
    green = 230 - 180 * y / height
    blue = 60 + 60 * (x / width + y / height)
    return Image.fromarray(np.stack([red, green, blue], -1).round().astype(np.uint8))


def blocks() -> Image.Image:
    """48x32, six blocks of six colours: whichever way it is turned, it looks different, and JPEG's 16x16 cells hold one colour each."""
    colors = np.array([[[220, 30, 30], [30, 200, 40], [30, 60, 220]], [[240, 230, 40], [120, 30, 140], [250, 250, 250]]], dtype=np.uint8)
    return Image.fromarray(colors.repeat(16, axis=0).repeat(16, axis=1))


def _alpha(out: Path) -> list[Oddity]:
    opaque = np.asarray(smooth(32, 17))
    y, x = np.mgrid[0:17, 0:32]
    alpha = np.where(y == 16, 255 * (x % 2), (x * 8 + y * 5) % 256).astype(np.uint8)
    rgba = Image.fromarray(np.dstack([opaque, alpha]))
    rgba.save(out / "rgba.png")
    rgba.save(out / "rgba-lossless.webp", lossless=True, exact=True)
    rgba.convert("LA").save(out / "grey-alpha.png")

    palette = smooth(16, 16).quantize(16)
    palette.save(out / "palette.png")
    palette.save(out / "palette-transparent.png", transparency=bytes([0, 64, 128, 200] + [255] * 12))
    return [Oddity(name) for name in ("rgba.png", "rgba-lossless.webp", "grey-alpha.png", "palette.png", "palette-transparent.png")]


def _grey(out: Path) -> list[Oddity]:
    grey = smooth().convert("L")
    grey.save(out / "grey.png")
    grey.convert("1").save(out / "one-bit.png")
    grey.save(out / "grey.jpg", quality=95)
    return [Oddity("grey.png"), Oddity("one-bit.png"), Oddity("grey.jpg", tolerance=2)]


def _sixteen_bits(out: Path) -> list[Oddity]:
    y, x = np.mgrid[0:12, 0:20].astype(np.uint32)
    grey = (x * 3449 + y * 1000) % 65536
    color = np.stack([grey, (x * 777 + y * 5003) % 65536, 65535 - grey], -1)
    (out / "grey-16-bit.png").write_bytes(_png(grey[..., None], color_type=0))
    (out / "rgb-16-bit.png").write_bytes(_png(color, color_type=2))

    def eight_bits(values: np.ndarray) -> Image.Image:
        return Image.fromarray(np.rint(values * 255 / 65535).astype(np.uint8))

    grey_rgb = np.repeat(grey[..., None], 3, axis=-1)
    return [
        Oddity("grey-16-bit.png", tolerance=1, upright=eight_bits(grey_rgb)),
        Oddity("rgb-16-bit.png", tolerance=1, upright=eight_bits(color)),
    ]


def _jpeg(out: Path) -> list[Oddity]:
    picture = smooth()
    picture.save(out / "444.jpg", quality=95, subsampling="4:4:4")
    picture.save(out / "420.jpg", quality=90, subsampling="4:2:0")
    picture.save(out / "422.jpg", quality=90, subsampling="4:2:2")
    picture.save(out / "progressive.jpg", quality=90, progressive=True, subsampling="4:2:0")
    cmyk = np.dstack([255 - np.asarray(picture), np.full((picture.height, picture.width), 30, np.uint8)])
    Image.fromarray(cmyk, mode="CMYK").save(out / "cmyk-adobe.jpg", quality=95)
    return [
        Oddity("444.jpg", tolerance=2),
        Oddity("420.jpg", tolerance=5),
        Oddity("422.jpg", tolerance=5),
        Oddity("progressive.jpg", tolerance=5),
        Oddity("cmyk-adobe.jpg", tolerance=5),
    ]


def _orientations(out: Path) -> list[Oddity]:
    upright = blocks()
    oddities = []
    for orientation, turn in TURN_TO_STORE.items():
        stored = upright if turn is None else upright.transpose(turn)
        exif = Image.Exif()
        exif[ORIENTATION_TAG] = orientation
        name = f"orientation-{orientation}.jpg"
        stored.save(out / name, quality=100, subsampling="4:4:4", exif=exif)
        oddities.append(Oddity(name, tolerance=3, upright=upright))
        if orientation in (6, 8):
            stored.save(out / f"orientation-{orientation}.png", exif=exif)
            stored.save(out / f"orientation-{orientation}.webp", lossless=True, exif=exif)
            oddities += [Oddity(f"orientation-{orientation}.png"), Oddity(f"orientation-{orientation}.webp")]
    return oddities


def _other_formats(out: Path) -> list[Oddity]:
    picture = blocks()
    picture.save(out / "plain.bmp")
    picture.save(out / "lzw.tiff", compression="tiff_lzw")
    picture.save(out / "plain.tif")
    picture.save(out / "lossless.webp", lossless=True)
    smooth().save(out / "lossy.webp", quality=90)
    picture.crop((0, 0, 1, 1)).save(out / "one-pixel.png")
    frames = [picture.quantize(8), picture.rotate(180).quantize(8), Image.new("RGB", picture.size, "black").quantize(8)]
    frames[0].save(out / "animated.gif", save_all=True, append_images=frames[1:], duration=100, loop=0)
    transparent = picture.quantize(8)
    transparent.save(out / "transparent.gif", transparency=transparent.getpixel((0, 0)))
    exact = ("plain.bmp", "lzw.tiff", "plain.tif", "lossless.webp", "one-pixel.png", "animated.gif", "transparent.gif")
    return [*(Oddity(name) for name in exact), Oddity("lossy.webp", tolerance=4)]


def _cut(out: Path) -> list[dict]:
    """JPEGs that end early: file, how it is written, the share of its scans that is kept, the rows that are there. Pillow leaves the others grey."""
    (out / "cut").mkdir(exist_ok=True)
    (out / "expected" / "cut").mkdir(exist_ok=True)
    picture = smooth(96, 120)
    cases = [
        ("cut/420.jpg", {"quality": 90}, 0.6, 64),
        ("cut/444-restarts.jpg", {"quality": 90, "subsampling": "4:4:4", "restart_marker_blocks": 5}, 0.8, 96),
        ("cut/grey.jpg", {"quality": 90, "grey": True}, 0.9, 104),
        ("cut/no-end.jpg", {"quality": 90, "drop": 2}, 1, 120),
        ("cut/progressive-no-end.jpg", {"quality": 90, "progressive": True, "drop": 2}, 1, 120),
    ]
    entries = []
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    for name, options, share, rows in cases:
        stored = picture.convert("L") if options.pop("grey", False) else picture
        drop = options.pop("drop", 0)
        stored.save(out / name, **options)
        data = (out / name).read_bytes()
        start = data.index(b"\xff\xda")
        kept = start + round((len(data) - start) * share) - drop
        (out / name).write_bytes(data[:kept])
        expected = f"expected/{name}.png"
        with Image.open(out / name) as decoded:
            upright = decoded.convert("RGB")
        edge = np.asarray(upright)[:, -1].astype(int)  # the last pixel of each row; grey where it is not there
        assert (edge[:rows] != 128).any(-1).all() and (abs(edge[rows + 4 :] - 128) < 3).all(), name
        upright.save(out / expected, optimize=True)
        entries.append({"file": name, "rows": rows, "expected": expected, "tolerance": 5})
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    return entries


def _bad(out: Path) -> list[dict[str, str]]:
    whole = (out / "420.jpg").read_bytes()
    png = (out / "rgba.png").read_bytes()
    content = {
        "bad/truncated.jpg": (whole[: whole.index(b"\xff\xda") + 16], "cut off before the first row of pixels; the header is whole"),
        "bad/truncated.png": (png[: len(png) // 2], "cut off in the middle of the picture; the header is whole"),
        "bad/empty.jpg": (b"", "no bytes"),
        "bad/text.png": (b"This is not a picture, whatever its name says.\n", "text with the name of a picture"),
        "bad/60000x60000.png": (_bomb(60000, 60000), "a header that claims 60000x60000 pixels, and next to no data: to be refused before memory is asked for"),
    }
    for name, (data, _) in content.items():
        (out / name).write_bytes(data)
    return [{"file": name, "why": why} for name, (_, why) in content.items()]


def _png(samples: np.ndarray, color_type: int) -> bytes:
    """A PNG with 16 bits a sample; Pillow writes only some of these. samples: [height, width, channels]."""
    height, width, _ = samples.shape
    rows = samples.astype(">u2")
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    return _png_file(width, height, 16, color_type, zlib.compress(raw, 9))


def _bomb(width: int, height: int) -> bytes:
    return _png_file(width, height, 8, 2, zlib.compress(b"\0" * 64))


def _png_file(width: int, height: int, bits: int, color_type: int, data: bytes) -> bytes:
    def chunk(kind: bytes, payload: bytes) -> bytes:
        return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))

    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
