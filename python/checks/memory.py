"""Whether the memory of a process stays flat over thousands of images: one a call, and in batches.

    python python/checks/memory.py [IMAGES] [--budget 70]

Asks the bundled model about fixtures/shapes again and again, prints resident memory as it goes, and fails if the last
fifth needs more than the second fifth by over 5 % and 8 MiB. (The first fifth fills buffers that stay.) Linux only.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import gemscope
import numpy as np
from PIL import Image

SHAPES = Path(__file__).resolve().parents[2] / "fixtures" / "shapes"


def resident() -> float:
    """Resident memory of this process in MiB."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=int, nargs="?", default=5000)
    parser.add_argument("--budget", type=int, default=70)
    args = parser.parse_args()
    paths = sorted(path for path in SHAPES.iterdir() if path.suffix in (".png", ".jpg"))
    detector = gemscope.Detector("demo", budget=args.budget, max_new_tokens=64)
    started, measured, done = time.monotonic(), [], 0
    while done < args.images:
        batch = paths[: args.images - done]
        # Half of them as files in one call, half as arrays one by one; two questions in turn.
        label = ("star", "red circle")[done // len(paths) % 2]
        if done // len(paths) % 4 < 2:
            detector.detect(batch, label)
        else:
            for path in batch:
                detector.detect(np.asarray(Image.open(path).convert("RGB")), label)
        done += len(batch)
        measured.append(resident())
        if done % (len(paths) * 25) == 0 or done == args.images:
            speed = done / (time.monotonic() - started)
            print(f"{done} images, {measured[-1]:.1f} MiB, {speed:.1f} images/s", flush=True)
    fifth = max(1, len(measured) // 5)
    before, after = max(measured[fifth : 2 * fifth] or measured), max(measured[-fifth:])
    print(f"most in the second fifth {before:.1f} MiB, in the last {after:.1f} MiB")
    return int(after > before * 1.05 and after > before + 8)


if __name__ == "__main__":
    sys.exit(main())
