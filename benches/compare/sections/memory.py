"""Does a long run need more memory, and how soon does a run over a large folder begin?"""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable
from typing import Any

import data
import programs

from sections import Context, in_turn, ratio, table, verdict

TITLE = "Memory, and large folders"
SHORT, LONG, LISTED = 200, 10_000, 100_000


def measure(context: Context) -> dict[str, Any]:
    model = data.demo_model(context.work)
    counts = (6, 40) if context.quick else (SHORT, LONG)
    listed = 2000 if context.quick else LISTED

    def peak_of(count: int) -> Callable[[], float]:
        # An answer's length does not matter here; short ones save time.
        return lambda: programs.gemscope(model, [data.links(context.work, count)], max_new_tokens=24).peak_bytes

    peaks = in_turn(context.turns, {str(count): peak_of(count) for count in counts})
    folder = data.links(context.work, listed)
    program = [str(programs.BINARY), "detect", str(folder), "--labels", "shape", "--dry-run", "--json"]

    def plan() -> float:
        started = time.perf_counter()
        subprocess.run(program, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.perf_counter() - started

    def walk() -> float:
        """What the system itself takes to list the folder and open every file."""
        started = time.perf_counter()
        for path in folder.iterdir():
            with path.open("rb") as file:
                os.read(file.fileno(), 4096)
        return time.perf_counter() - started

    plan()
    seconds = in_turn(context.turns, {"plan": plan, "Python opens and reads 4 KiB of each": walk})
    return {"peaks": peaks, "listed": listed, "seconds": seconds, "command": " ".join(program).replace(f"{data.ROOT}{os.sep}", "")}


def show(result: dict[str, Any]) -> str:
    (short, low), (long, high) = result["peaks"].items()
    rows = [[count, f"{statistics.median(peaks) / 2**20:.0f}"] for count, peaks in result["peaks"].items()]
    seconds = statistics.median(result["seconds"]["plan"])
    others = statistics.median(result["seconds"]["Python opens and reads 4 KiB of each"])
    return "\n\n".join([
        "Demo model; the images are hard links to the 20 scenes of the fixtures.",
        table(["images", "peak memory, MiB"], rows),
        f"- {long} images need {verdict(ratio(high, low), 1.1, at_least=False)} times the memory of {short}.",
        f"- {result['listed']} files are listed and planned (`--dry-run`: every header read, every size computed) in {verdict(seconds, 2, at_least=False)} seconds, files in the page "
        f"cache; a single-threaded loop that opens each file and reads 4 KiB takes {others:.2f} s.",
        f"    {result['command']}",
    ])  # fmt: skip
