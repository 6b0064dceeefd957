"""Gemscope's preprocessing against Hugging Face's, on the same files, in turn, so that a noisy machine is noisy for both.

    python benches/compare/preprocess.py [--budgets 70 280 1120] [--turns 5] [--workers 1] [--threads 1] [FILES...]

Without files: fixtures/photos. Prints a table with the median of each and the median of the ratios of neighbouring turns. Needs what
preprocess_hf.py needs, and cargo. `run.py --only preprocessing` measures larger JPEGs, on all cores.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def hugging_face(files: list[Path], budget: str, rounds: int, threads: int) -> float:
    """Images a second; `threads` of torch, 0 for its own choice."""
    options = ["--json", "--budget", budget, "--rounds", str(rounds), "--threads", str(threads)]
    return _images_per_second([sys.executable, "benches/compare/preprocess_hf.py", *options, *map(str, files)])


def build(features: str = "") -> Path:
    """Compiles `benches/throughput.rs` and gives the program."""
    command = ["cargo", "bench", "--bench", "throughput", "--no-run", "--message-format=json", *(["--features", features] if features else [])]
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return next(Path(message["executable"]) for message in messages if message.get("executable") and message["target"]["name"] == "throughput")


def gemscope(program: Path, files: list[Path], budget: str, rounds: int, workers: int, *flags: str) -> float:
    """Images a second."""
    options = ["--budget", budget, "--rounds", str(rounds), "--workers", str(workers), *flags]
    return _images_per_second([str(program), *options, *map(str, files)])


def _images_per_second(command: list[str]) -> float:
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return json.loads(output.strip().splitlines()[-1])["images_per_second"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--budgets", nargs="+", default=["70", "280", "1120"])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5, help="times that all files are done in a turn")
    parser.add_argument("--workers", type=int, default=1, help="threads of Gemscope")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch; 0 is its own choice")
    arguments = parser.parse_args()
    photos = sorted(path for path in (ROOT / "fixtures/photos").iterdir() if path.suffix in (".jpg", ".png"))
    files = [path.resolve() for path in arguments.files or photos]

    program = build()
    print(f"{len(files)} files, medians of {arguments.turns} turns")
    print(f"{'budget':>6}  {'Hugging Face':>14}  {'Gemscope':>14}  {'ratio':>6}")
    for budget in arguments.budgets:
        theirs, ours = [], []
        for _ in range(arguments.turns):
            theirs.append(hugging_face(files, budget, arguments.rounds, arguments.threads))
            ours.append(gemscope(program, files, budget, arguments.rounds, arguments.workers))
        ratio = statistics.median(our / their for our, their in zip(ours, theirs))
        print(f"{budget:>6}  {statistics.median(theirs):>12.1f}/s  {statistics.median(ours):>12.1f}/s  {ratio:>6.1f}")


if __name__ == "__main__":
    main()
