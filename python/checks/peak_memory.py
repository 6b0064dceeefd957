"""Peak memory of runs over awkward folders, as a ratio to a plain one in the same turn.

    python python/checks/peak_memory.py target/release/gemscope [--turns 3] [--images 20000]

- Shapes: an image of one row or of one column against a square one of as many pixels; at most 1.3.
- Rubbish: twelve images and 1.4 GB of files that are no images, though they are called so, against the twelve alone; at most 1.1.
- Length: many images against 200; at most 1.1.

Everything is made in a temporary folder (some 2 GB while it runs; the zeros are sparse). Exit code 1 if a ratio is above its bound.
Needs nothing but Python; the demo model answers.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import struct
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

SCENES = Path(__file__).resolve().parents[2] / "fixtures" / "shapes"
# Just below the most pixels of an image that is read by default.
PIXELS = 178_000_000
SIDE = 13_341
RUBBISH = 1_400_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--images", type=int, default=20_000)
    arguments = parser.parse_args()
    binary = str(arguments.binary.resolve())
    with tempfile.TemporaryDirectory() as folder:
        bounds = [bound for section in (shapes, rubbish, length) for bound in section(Path(folder), arguments.images)]
        peaks: dict[Path, list[int]] = {}
        for turn in range(arguments.turns):
            for path in dict.fromkeys(path for _, path, plain, _ in bounds for path in (plain, path)):
                peaks.setdefault(path, []).append(peak(binary, path, Path(folder) / f"run-{turn}"))
    failed = False
    for what, path, plain, most in bounds:
        high, low = (statistics.median(peaks[one]) / 2**20 for one in (path, plain))
        failed |= high / low > most
        print(f"{what}: {high:.0f} MiB to {low:.0f} MiB, {high / low:.2f} times (at most {most})")
    sys.exit(failed)


Bound = tuple[str, Path, Path, float]


def shapes(root: Path, _: int) -> Iterator[Bound]:
    square = one_image(root / "square", SIDE, SIDE)
    yield "one row", one_image(root / "row", PIXELS, 1), square, 1.3
    yield "one column", one_image(root / "column", 1, PIXELS), square, 1.3


def rubbish(root: Path, _: int) -> Iterator[Bound]:
    plain, full = (scenes(root / name, 12) for name in ("twelve", "rubbish"))
    for index, name in enumerate(("zeros.png", "zeros.jpg", "zeros.webp", "zeros.tiff")):
        with (full / name).open("wb") as file:
            # One begins as its name says.
            file.write(b"\x89PNG\r\n\x1a\n" if index == 0 else b"")
            file.truncate(RUBBISH // 4 if index else RUBBISH)
    yield "1.4 GB that is no image", full, plain, 1.1


def length(root: Path, count: int) -> Iterator[Bound]:
    yield f"{count} images", scenes(root / "many", count), scenes(root / "few", 200), 1.1


def scenes(folder: Path, count: int) -> Path:
    """Hard links to scenes of the fixtures, each under `count // 20` names."""
    files = sorted(SCENES.glob("*.png"))
    folder.mkdir()
    copies = [Path(shutil.copy(file, folder.parent / f"{folder.name}-{file.name}")) for file in files]
    for index in range(count):
        os.link(copies[index % len(copies)], folder / f"{index:06}.png")
    return folder


def one_image(folder: Path, width: int, height: int) -> Path:
    """A folder with one grey PNG of zeros, written row by row or in pieces of a row."""
    folder.mkdir()
    packer = zlib.compressobj(9)
    rows, piece = (height, bytes(1 + width)) if width < 1_000_000 else (1, b"")
    packed = []
    if piece:
        many = max(1, 1_000_000 // len(piece))
        for start in range(0, rows, many):
            packed.append(packer.compress(piece * min(many, rows - start)))
    else:
        left = 1 + width
        while left:
            packed.append(packer.compress(bytes(min(left, 1_000_000))))
            left -= min(left, 1_000_000)
    packed.append(packer.flush())

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = b"".join(packed)
    (folder / "image.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )
    return folder


def peak(binary: str, images: Path, out: Path) -> int:
    """Bytes at the highest of one run."""
    shutil.rmtree(out, ignore_errors=True)
    arguments = [binary, "-q", "detect", str(images), "--labels", "star", "--max-new-tokens", "24", "--export", "none", "--out", str(out)]
    child = os.posix_spawn(binary, arguments, {**os.environ, "GEMSCOPE_DEVICE": "cpu"}, file_actions=[
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
    ])  # fmt: skip
    _, status, usage = os.wait4(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, 2):
        sys.exit(f"{' '.join(arguments)} ended with {code}")
    return usage.ru_maxrss * (1024 if sys.platform != "darwin" else 1)


if __name__ == "__main__":
    main()
