"""How long until the first image of a folder has its record, with full batches and with one row at a time."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import data
import programs

from sections import Context, in_turn, ratio, table, verdict

TITLE = "The first record"
IMAGES = 64
LIMIT = 1.3
PAUSE = 0.02
"""Seconds between two looks at the journal."""
FLAGS: dict[str, tuple[str, ...]] = {"one row at a time (`--batch 1`)": ("--batch=1",), "batched": ()}


def measure(context: Context) -> dict[str, Any]:
    model = data.midsize_model(context.work)
    folder = data.folder_of(context.work, context.images(IMAGES), "photos")

    def first(*flags: str) -> Callable[[], float]:
        return lambda: _seconds_to_first(model, folder, ("--dtype=fp32", "--decoding=free", *flags), context.max_new_tokens)

    whole = {name: programs.gemscope(model, [folder], "--dtype=fp32", "--decoding=free", *flags, max_new_tokens=context.max_new_tokens) for name, flags in FLAGS.items() if not flags}
    rate = {name: run.summary["images_per_second"] for name, run in whole.items()}
    return {"images": context.images(IMAGES), "limit": context.max_new_tokens, "seconds": in_turn(context.turns, {name: first(*flags) for name, flags in FLAGS.items()}), "rate": rate}


def _seconds_to_first(model: data.Model, folder: Path, flags: tuple[str, ...], limit: int) -> float:
    work = Path(tempfile.mkdtemp(prefix="gemscope-bench-"))
    journal = work / "run" / "journal.jsonl"
    command = [str(programs.BINARY), "detect", str(folder), "--model", str(model.onnx), "--budget", str(model.budget), "--prompt", model.prompt, *flags]
    command += ["--max-new-tokens", str(limit), "--export", "none", "--out", str(work / "run")]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (journal.exists() and journal.stat().st_size):
        time.sleep(PAUSE)
    seconds = time.perf_counter() - started
    if process.poll() is not None and not journal.exists():
        raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}")
    process.kill()
    process.wait()
    shutil.rmtree(work)
    return seconds


def show(result: dict[str, Any]) -> str:
    alone, batched = result["seconds"].values()
    rows = [[name, f"{statistics.median(seconds):.2f}"] for name, seconds in result["seconds"].items()]
    rate = next(iter(result["rate"].values()))
    return "\n\n".join([
        f"Mid-size model in f32, {result['images']} photographs, {result['limit']} tokens each; from the start of the program, which opens the graphs first, to the first line of the journal. Then "
        "the program is stopped. Until its first answer, an engine gives at most a sixth of its time to other images; after that, all rows are filled.",
        table(["", "s to the first record"], rows),
        f"- Batched, the first record comes after {verdict(ratio(batched, alone), LIMIT, at_least=False)} times the time of one row at a time. The whole folder: {rate:.2f} images/s.",
    ])  # fmt: skip
