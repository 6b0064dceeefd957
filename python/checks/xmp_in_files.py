"""Do other programs read the ratings that `critique --xmp=file` writes into frames, and is nothing else of them changed?

    python python/checks/xmp_in_files.py GEMSCOPE FOLDER...

The JPEG, PNG and WebP files of each FOLDER are copied and judged by the demo model. Of every file exiftool must read the rating and the label of its verdict, find no fault that it
did not find before, and read the same of everything else; its pixels must be equal; and after `--undo` its bytes. Needs exiftool and pillow.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}
LABELS = {"keep": (5, "Green"), "review": (3, "Yellow"), "reject": (-1, "Red")}
# What a changed file says of itself, and what the packet adds.
OTHERWISE = ("System:", "ExifTool:", "XMP-xmp:", "XMP-x:", "RIFF:WebP_Flags", "RIFF:Image", "File:")


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    gemscope, folders = Path(sys.argv[1]).resolve(), [Path(folder) for folder in sys.argv[2:]]
    with tempfile.TemporaryDirectory() as top:
        frames, out = Path(top) / "frames", Path(top) / "run"
        for number, folder in enumerate(folders):
            for file in sorted(folder.iterdir()):
                if file.suffix.lower() in ENDINGS:
                    (frames / str(number)).mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, frames / str(number) / file.name)
        files = sorted(file for file in frames.rglob("*") if file.is_file())
        before = {file: (hashlib.sha256(file.read_bytes()).hexdigest(), described(file), pixels(file)) for file in files}
        command = [gemscope, "critique", "--out", out, "--quiet", "--export", "jsonl"]
        print(subprocess.run([*command, frames, "--model", "demo", "--xmp=file"], capture_output=True, text=True).stderr.strip())
        lines = (out / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()
        verdicts = {frames / line["image"]: line["verdict"] for line in map(json.loads, lines)}
        rated = [file for file in files if hashlib.sha256(file.read_bytes()).hexdigest() != before[file][0]]
        for file in rated:
            now = described(file)
            rating, label = LABELS[verdicts[file]]
            name = file.relative_to(frames)
            assert (now.get("XMP-xmp:Rating"), now.get("XMP-xmp:Label")) == (rating, label), (name, now.get("XMP-xmp:Rating"))
            assert faults(now) <= faults(before[file][1]), (name, faults(now), faults(before[file][1]))
            assert kept(now) == kept(before[file][1]), (name, set(kept(now).items()) ^ set(kept(before[file][1]).items()))
            assert pixels(file) == before[file][2], name
        subprocess.run([*command, "--undo"], check=False, capture_output=True)
        different = [file for file in files if hashlib.sha256(file.read_bytes()).hexdigest() != before[file][0]]
        assert not different, different
        print(f"{len(rated)} of {len(files)} files rated, read by exiftool, equal in everything else, and taken back")


def described(file: Path) -> dict:
    told = subprocess.run(["exiftool", "-j", "-G1", "-a", "-validate", "-warning", "-error", "-all", file], capture_output=True, text=True)
    return {name: value for name, value in json.loads(told.stdout)[0].items() if name != "SourceFile"}


def faults(told: dict) -> set[str]:
    return {str(value) for name, value in told.items() if name.endswith((":Warning", ":Error"))}


def kept(told: dict) -> dict[str, str]:
    return {name: str(value) for name, value in told.items() if not name.startswith(OTHERWISE)}


def pixels(file: Path) -> str:
    try:
        with Image.open(file) as image:
            return hashlib.sha256(image.convert("RGBA").tobytes()).hexdigest()
    except (OSError, ValueError, SyntaxError) as error:  # a broken picture stays as broken as it is
        return type(error).__name__


if __name__ == "__main__":
    main()
