"""Gives Gemscope every image of Pillow's own test suite, and 100 damaged ones, and compares what opens.

    pip install setuptools pybind11
    pip download --no-binary :all: --no-deps --no-build-isolation pillow==13.0.0
    python python/checks/pillow_images.py target/release/gemscope pillow-13.0.0.tar.gz

Every file is given to `gemscope inspect` by itself, which decodes it and prepares it for the model. Exits 1 if one panics, hangs, or ends without a
reason. Files that open with one and not with the other are printed; docs/IMAGES.md says why.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import random
import subprocess
import sys
import tarfile
import tempfile
import warnings

from PIL import Image, ImageOps

SECONDS = 300  # of wall time: a busy machine makes everything slow
SEED = 6
FORMATS = {"JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF"}


def with_pillow(path: pathlib.Path) -> tuple[str, str | tuple[int, int]]:
    """("opens", size after EXIF) or ("other format" | "fails", reason)."""
    try:
        with Image.open(path) as image:
            kind = image.format
            if kind not in FORMATS:
                return "other format", kind
            image.load()
            return "opens", ImageOps.exif_transpose(image).size
    except Exception as error:  # whatever a decoder throws is its reason
        return "fails", f"{type(error).__name__}: {error}"


def with_gemscope(binary: str, path: pathlib.Path) -> tuple[str, str | tuple[int, int]]:
    """("opens", size) or ("fails" | "panics" | "hangs" | "gives no reason", text)."""
    try:
        ended = subprocess.run(
            [binary, "inspect", "--labels", "x", "--budget", "70", str(path)], capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return "hangs", f"{SECONDS} s"
    text = ended.stderr.decode(errors="replace").strip()
    if "panicked" in text or ended.returncode not in (0, 2):
        return "panics", f"exit code {ended.returncode}: {text[-300:]}"
    if ended.returncode == 0:
        printed = json.loads(ended.stdout)
        return "opens", (printed["width"], printed["height"])
    reason = text.removeprefix("gemscope: ").removeprefix(f"{path}: ")
    return ("fails", reason) if reason else ("gives no reason", text)


def damaged(images: list[pathlib.Path], into: pathlib.Path) -> list[pathlib.Path]:
    """100 files: one byte changed, or the end cut off, of images that Pillow opens."""
    chance = random.Random(SEED)
    sound = sorted(path for path in images if with_pillow(path)[0] == "opens" and path.stat().st_size < 300_000)
    made = []
    for index in range(100):
        source = chance.choice(sound)
        data = bytearray(source.read_bytes())
        if index % 2:
            data = data[: chance.randrange(1, len(data))]
        else:
            for _ in range(chance.randint(1, 8)):
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path = into / f"{index:03}-{'cut' if index % 2 else 'flipped'}-{source.name}"
        path.write_bytes(data)
        made.append(path)
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("source", help="Pillow's source distribution")
    parser.add_argument("--json", help="write every outcome to this file")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        with tarfile.open(args.source) as archive:
            members = [member for member in archive.getmembers() if "/Tests/images/" in member.name and member.isfile()]
            archive.extractall(root, members, filter="data")
        images = sorted(path for path in root.rglob("*") if path.is_file())
        broken = root / "damaged"
        broken.mkdir()
        made = damaged(images, broken)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            ours = list(pool.map(lambda path: with_gemscope(args.binary, path), images + made))
        counts, differing = collections.Counter(), []
        outcomes = []
        for path, (our, our_word) in zip(images + made, ours, strict=True):
            their, their_word = with_pillow(path)
            group = "damaged" if path in made else "suite"
            name = path.name if path in made else str(path).split("/Tests/images/")[1]
            counts[group, our, their] += 1
            outcomes.append({"file": name, "group": group, "gemscope": [our, our_word], "pillow": [their, their_word]})
            if (our == "opens") != (their == "opens") and not (their == "other format" and our == "fails"):
                differing.append((group, name, our, our_word, their, their_word))
            elif our == their == "opens" and tuple(our_word) != tuple(their_word):
                differing.append((group, name, our, our_word, "another size", their_word))
    print(f"Pillow {Image.__version__}, {len(images)} files of its test suite, {len(made)} damaged ones")
    for (group, our, their), count in sorted(counts.items()):
        print(f"{group:8} gemscope {our:16} pillow {their:13} {count}")
    for group, name, our, our_word, their, their_word in differing:
        print(f"DIFFERS {group}: {name}: gemscope {our}: {our_word} | pillow {their}: {their_word}")
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(outcomes, indent=1, default=str))
    bad = [outcome for outcome in outcomes if outcome["gemscope"][0] not in ("opens", "fails")]
    for outcome in bad:
        print("BAD", outcome)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
