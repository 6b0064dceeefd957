"""How long it takes from a wheel to the first answers, in an environment that has neither cargo nor this package.

    python python/checks/fresh.py dist/gemscope-*.whl

Makes a virtual environment, installs the wheel with what it needs, runs the command on fixtures/shapes and the module's
first example, and prints the seconds of each.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = """
import gemscope
detector = gemscope.Detector()
record = detector.detect("fixtures/shapes/scene-01.png", labels=["star", "red circle"])
assert record.detections
"""


def main() -> int:
    (wheel,) = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "venv"
        scripts = environment / ("Scripts" if os.name == "nt" else "bin")
        # A cache of its own: nothing that was fetched or unpacked before is there.
        kept = {name: value for name, value in os.environ.items() if name in ("SYSTEMROOT", "TEMP")}
        kept |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
        env = kept | {"PATH": str(scripts), "HOME": folder, "GEMSCOPE_CACHE": str(Path(folder) / "cache")}
        steps = {
            "pip install": [scripts / "python", "-m", "pip", "install", "-q", wheel],
            "gemscope detect fixtures/shapes": [
                scripts / "gemscope", "detect", "fixtures/shapes", "--labels", "star", "-q",
                "--offline", "--out", Path(folder) / "run",
            ],
            "the module's first example": [scripts / "python", "-c", EXAMPLE],
        }
        started = time.monotonic()
        venv.create(environment, with_pip=True)
        print(f"{time.monotonic() - started:6.1f} s  a virtual environment")
        for name, words in steps.items():
            started = time.monotonic()
            subprocess.run(
                [os.fspath(word) for word in words], cwd=ROOT, env=env, check=True, stdout=subprocess.DEVNULL
            )
            print(f"{time.monotonic() - started:6.1f} s  {name}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
