"""Writes frames into a folder at random intervals, some slowly in pieces, while `gemscope critique --watch` judges it.

    python python/checks/watched_frames.py GEMSCOPE [--frames 500] [--seed 1]

GEMSCOPE is the built command. Every frame must be judged once, and none half: the hash in its record is that of the whole
file. Needs pillow.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP")


def frame(draw: random.Random) -> tuple[str, bytes]:
    """A picture of noise over a gradient, and the ending of its format."""
    size = draw.choice(((96, 96), (192, 128), (256, 256)))
    picture = Image.linear_gradient("L").resize(size).convert("RGB")
    noise = Image.effect_noise(size, draw.uniform(5, 60)).convert("RGB")
    file, kind = io.BytesIO(), draw.choice(FORMATS)
    Image.blend(picture, noise, draw.uniform(0.1, 0.6)).save(file, kind)
    return kind.lower(), file.getvalue()


def write_slowly(path: Path, content: bytes, draw: random.Random) -> None:
    """In two to five pieces, up to six seconds apart: longer than a file needs to count as written."""
    cuts = sorted(draw.sample(range(1, len(content)), draw.randint(1, 4)))
    with path.open("wb") as file:
        for start, end in zip([0, *cuts], [*cuts, len(content)]):
            file.write(content[start:end])
            file.flush()
            time.sleep(draw.uniform(0.1, 6))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gemscope", type=Path)
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        frames, out = Path(folder) / "frames", Path(folder) / "run"
        frames.mkdir()
        command = [arguments.gemscope, "critique", frames, "--watch", "--idle", "40s", "--model", "demo", "--export", "jsonl,lists", "--out", out]
        watching = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        written: dict[str, str] = {}
        writers: list[threading.Thread] = []
        for number in range(arguments.frames):
            ending, content = frame(draw)
            path = frames / f"frame_{number:04}.{ending}"
            written[path.name] = hashlib.sha256(content).hexdigest()
            if number % 10 == 3:
                writers.append(threading.Thread(target=write_slowly, args=(path, content, random.Random(number))))
                writers[-1].start()
            else:
                path.write_bytes(content)
            time.sleep(draw.expovariate(10))
        for writer in writers:
            writer.join()
        code = watching.wait()
        records = [json.loads(line) for line in (out / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
        judged = {record["image"]: record["sha256"] for record in records}
        assert code == 0, code
        assert len(records) == len(judged) == len(written), (len(records), len(judged), len(written))
        assert judged == written, "each is judged whole"
        assert all(record["status"] == "ok" and not record.get("notes") for record in records)
        print(f"{len(records)} frames, {len(writers)} of them in pieces: each judged once, none half")
    return 0


if __name__ == "__main__":
    sys.exit(main())
