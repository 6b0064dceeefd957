"""What a critique by the demo model is worth: the figures of docs/CRITIQUE.md.

    python python/checks/critique_figures.py GEMSCOPE [--frames 300] [--records 10000]

Draws frames whose defects are known, lets GEMSCOPE judge them by pipelines/demo-critique.toml, and compares: does the expected level of an axis rank the frames as the true
amount does, and does it better than the most probable word? Then judges a run of many records again by other rules, and measures how long that takes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from gemscope.onnx_export.demo.evaluate import spearman

ROOT = Path(__file__).resolve().parents[2]
RUBRIC = ROOT / "pipelines" / "demo-critique.toml"
LEVELS = ["bad", "poor", "fair", "good", "excellent"]
SEED = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gemscope", type=Path)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--records", type=int, default=10_000)
    arguments = parser.parse_args()
    gemscope = str(arguments.gemscope.resolve())
    with tempfile.TemporaryDirectory() as folder:
        frames, run = Path(folder) / "frames", Path(folder) / "run"
        python = [sys.executable, "-m", "gemscope.onnx_export", "frames", str(frames), "--count", str(arguments.frames), "--seed", str(SEED)]
        subprocess.run(python, check=True, cwd=ROOT, stdout=sys.stderr)
        subprocess.run([gemscope, "critique", str(frames), "--out", str(run), "--rubric", str(RUBRIC), "--quiet", "--export", "jsonl"], check=True, stdout=sys.stderr)
        ranks(json.loads((frames / "truth.json").read_text()), run)
        again(gemscope, run, arguments.records)


def ranks(truth: list[dict], run: Path) -> None:
    lines = [json.loads(line) for line in (run / "verdicts.jsonl").read_text().splitlines()]
    by_name = {line["image"]: {axis["axis"]: axis for axis in line["axes"]} for line in lines}
    print(f"{'axis':10} {'frames':>6} {'expected level':>15} {'most probable word':>19} {'classical measure':>18}")
    measures = {"sharpness": ("laplacian_variance", 1), "noise": ("noise", -1), "contrast": ("luma_deviation", 1)}
    measured = {line["image"]: line["measures"] for line in lines}
    for name in dict.fromkeys(frame["axis"] for frame in truth):
        of_axis = [frame for frame in truth if frame["axis"] == name]
        good = np.array([1 - frame["amounts"][name] for frame in of_axis])
        said = [by_name[frame["image"]][name] for frame in of_axis]
        expected = spearman(np.array([axis["value"] for axis in said]), good)
        word = spearman(np.array([LEVELS.index(axis["word"]) for axis in said]), good)
        classical = "-"
        if name in measures:
            measure, sign = measures[name]
            classical = f"{spearman(np.array([sign * measured[frame['image']][measure] for frame in of_axis]), good):.3f}"
        print(f"{name:10} {len(of_axis):6} {expected:15.3f} {word:19.3f} {classical:>18}")


def again(gemscope: str, run: Path, records: int) -> None:
    """The journal's records under as many names as are wanted, judged by a rule that was not there before."""
    lines = (run / "journal.jsonl").read_text().splitlines()
    with (run / "journal.jsonl").open("w") as journal:
        for index in range(records):
            record = json.loads(lines[index % len(lines)])
            record["image"] = f"{index:06}.png"
            journal.write(json.dumps(record) + "\n")
    changed = run / "changed.toml"
    changed.write_text(RUBRIC.read_text().replace("rules = [", "rules = [\n    'reject if noise < 0.5',", 1))
    started = time.perf_counter()
    command = [gemscope, "critique", "--report-only", "--rubric", str(changed), "--out", str(run), "--quiet", "--export", "jsonl,csv,lists,statistics"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    size = (run / "journal.jsonl").stat().st_size / 1e6
    print(f"{records} records ({size:.0f} MB) judged again by changed rules, and all tables and lists written: {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main()
