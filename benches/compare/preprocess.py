"""Gemscope's preprocessing against Hugging Face's, on the same files, in turn, so that a noisy machine is noisy for both.

    python benches/compare/preprocess.py [--budgets 70 280 1120] [--turns 5] [FILES...]

Without files: fixtures/photos. Prints a table with the median of each and the median of the ratios of neighbouring turns. Needs what
preprocess_hf.py needs, and cargo.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def last_json(command: list[str]) -> float:
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return json.loads(output.strip().splitlines()[-1])["images_per_second"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--budgets", nargs="+", default=["70", "280", "1120"])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--rounds", default="5", help="times that all files are done in a turn")
    arguments = parser.parse_args()
    photos = sorted(path for path in (ROOT / "fixtures/photos").iterdir() if path.suffix in (".jpg", ".png"))
    files = [str(path.resolve()) for path in arguments.files or photos]

    subprocess.run(["cargo", "bench", "--bench", "throughput", "--no-run"], cwd=ROOT, check=True)
    print(f"{len(files)} files, one thread each, medians of {arguments.turns} turns")
    print(f"{'budget':>6}  {'Hugging Face':>14}  {'Gemscope':>14}  {'ratio':>6}")
    for budget in arguments.budgets:
        options = ["--budget", budget, "--rounds", arguments.rounds, *files]
        theirs, ours = [], []
        for _ in range(arguments.turns):
            theirs.append(last_json([sys.executable, "benches/compare/preprocess_hf.py", "--json", *options]))
            ours.append(last_json(["cargo", "bench", "--quiet", "--bench", "throughput", "--", *options]))
        ratio = statistics.median(our / their for our, their in zip(ours, theirs))
        print(f"{budget:>6}  {statistics.median(theirs):>12.1f}/s  {statistics.median(ours):>12.1f}/s  {ratio:>6.1f}")


if __name__ == "__main__":
    main()
