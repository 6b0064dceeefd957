"""What weights in 4 and 8 bits, and rounded activations, cost the demo model in accuracy.

    cargo build --release
    pip install -r python/onnx-export.txt
    PYTHONPATH=python python python/checks/precisions.py WORK

Exports the bundled checkpoint in each precision, draws 200 scenes that it was not trained on,
detects on them with the release binary, and prints COCO's AP of each, how many answers are those of
f32 to the last character, and whether answers alone are those in company. WORK is made; what it
holds is used again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GEMSCOPE = Path(os.environ.get("GEMSCOPE_BINARY", ROOT / "target/release/gemscope"))
KINDS: dict[str, tuple[str, ...]] = {
    "f32": ("--dtype=fp32",),
    "q8 (`accuracy_level` 4)": ("--dtype=q8",),
    "q8, activations as they are": ("--dtype=q8", "--activations=float"),
    "int8": ("--dtype=int8",),
    "q4 (as exported)": ("--dtype=q4",),
    "q4, activations in 8 bits": ("--dtype=q4", "--activations=int8"),
}
SEED = 77_000
"""Neither training nor the demo's own evaluation draws from it."""
COMPARED = 40
"""Scenes that are also asked about one at a time."""


def main() -> None:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--scenes", type=int, default=200)
    arguments = parser.parse_args()

    model, scenes = arguments.work / "model", arguments.work / f"scenes-{arguments.scenes}"
    for quantization in ("none", "q8", "int8", "q4"):
        if not (model / f"exported-{quantization}").exists():
            checkpoint = ROOT / "python/demo/checkpoint"
            export("graphs", str(checkpoint), str(model), "--quantize", quantization)
            (model / f"exported-{quantization}").touch()
    if not (scenes / "truth.json").exists():
        export("shapes", str(scenes), "--count", str(arguments.scenes), "--seed", str(SEED))

    print("| weights | AP | AP50 | answers of f32 | answers alone as in company |")
    print("| --- | ---: | ---: | ---: | ---: |")
    exact: dict[str, str] = {}
    images = sorted(path for path in scenes.iterdir() if path.suffix != ".json")
    for kind, flags in KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            run, few = Path(folder, "run"), Path(folder, "few")
            answers = detect(model, [scenes], run, *flags)
            alone = detect(model, images[:COMPARED], few, "--batch=1", *flags)
            exact = exact or answers
            told = [str(GEMSCOPE), "eval", str(run), "--truth", str(scenes / "truth.json"), "--json"]
            ended = subprocess.run(told, check=True, capture_output=True, text=True)
        figures = json.loads(ended.stdout)["figures"]
        equal = sum(answers[image] == text for image, text in exact.items())
        same = sum(answers[image] == text for image, text in alone.items())
        print(
            f"| {kind} | {figures['AP']:.3f} | {figures['AP50']:.3f} "
            f"| {equal} of {len(exact)} | {same} of {len(alone)} |",
            flush=True,
        )


def export(*arguments: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "python")}
    command = [sys.executable, "-m", "gemscope.onnx_export", *arguments]
    subprocess.run(command, check=True, env=environment, stdout=sys.stderr)


def detect(model: Path, inputs: list[Path], run: Path, *flags: str) -> dict[str, str]:
    """The answer about each image."""
    command = [str(GEMSCOPE), "detect", *map(str, inputs), "--model", str(model), "--budget", "70"]
    command += ["--prompt", "detect shape", "--out", str(run), "--export", "none", *flags]
    subprocess.run(command, check=True, capture_output=True)
    lines = (run / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    return {record["image"]: record["answers"][0]["text"] for record in records}


if __name__ == "__main__":
    main()
