"""What a run costs around the model, over folders of growing size: images a second, memory, the journal, and how long it takes to go on."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import data
import programs

from sections import Context, say, table, verdict

TITLE = "Large folders"
COUNTS = (200, 2_000, 20_000)
LARGEST = 200_000
"""Only where it is asked for by GEMSCOPE_BENCH_LARGEST: it takes some minutes and a gigabyte of names."""
ANSWER = '[{"box_2d": [100, 100, 500, 500], "label": "cat"}, {"box_2d": [300, 300, 900, 900], "label": "dog"}]'


def measure(context: Context) -> dict[str, Any]:
    counts = (6, 40) if context.quick else (*COUNTS, *([LARGEST] if os.environ.get("GEMSCOPE_BENCH_LARGEST") else []))
    rows = []
    for count in counts:
        say(f"scale: {count} images")
        folder = data.links(context.work, count)
        # The largest are measured once: they take longer than what disturbs a machine.
        rows.append([_once(folder) for _ in range(context.turns if count < COUNTS[-1] else 1)])
    return {"counts": counts, "rows": rows}


def _once(folder: Path) -> dict[str, float]:
    work = Path(tempfile.mkdtemp(prefix="gemscope-bench-"))
    script, out = work / "script.json", work / "run"
    script.write_text(json.dumps({"rows": 32, "answers": [{"text": ANSWER, "probability": 0.9}]}), encoding="utf-8")
    command = [str(programs.BINARY), "detect", str(folder), "--model", f"script:{script}", "--labels", "cat,dog", "--export", "coco", "--json", "--out", str(out)]
    first, peak = _timed(command)
    again, _ = _timed(command)
    journal = (out / "journal.jsonl").stat().st_size
    shutil.rmtree(work)
    return {"seconds": first, "peak_bytes": peak, "resumed_seconds": again, "journal_bytes": journal}


def _timed(command: list[str]) -> tuple[float, int]:
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}")
    return time.perf_counter() - started, usage.ru_maxrss * 1024


def show(result: dict[str, Any]) -> str:
    rows, peaks = [], []
    for count, turns in zip(result["counts"], result["rows"], strict=True):
        seconds, peak, resumed, journal = (statistics.median(turn[key] for turn in turns) for key in ("seconds", "peak_bytes", "resumed_seconds", "journal_bytes"))
        peaks.append(peak)
        rows.append([count, f"{seconds:.1f}", f"{count / seconds:.0f}", f"{peak / 2**20:.0f}", f"{journal / 2**20:.1f}", f"{resumed:.2f}"])
    counts = result["counts"]
    return "\n\n".join([
        "A scripted engine answers at once, so this is everything but the model: files are read, decoded, resized and cut into patches, answers become boxes, the journal is written, and "
        "COCO files are exported at the end. *Again*: the same command on the finished run, which reads every file to see whether it was changed, and exports anew. The images are hard links "
        "to the 20 scenes of the fixtures.",
        table(["images", "s", "images/s", "peak memory, MiB", "journal, MiB", "again, s"], rows),
        f"- {counts[-1]} images need {verdict(peaks[-1] / peaks[0], 1.1, at_least=False)} times the memory of {counts[0]}.",
    ])  # fmt: skip
