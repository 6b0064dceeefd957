"""Two builds of the command on the same work, in turn: is the new one as fast, and does it say the same?

    python benches/compare/builds.py OLD NEW [--turns 3] [--midsize DIR | --demo-only]

In: two release binaries. Out: on stdout a table of what `run.py`'s sections folder and single_stream
measure of Gemscope, of each build, with the median of the ratios of neighbouring turns; exit code 1
if the answers of one image differ. `--midsize` names a mid-size model that is there
(`python -m gemscope.onnx_export midsize`); without it, it is made in the work folder. `--demo-only`
leaves it out: the demo model's graphs take little time, so what is around them weighs most.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
from pathlib import Path

import data
import programs
from data import ROOT
from sections import in_turn, ratio, table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--images", type=int, default=200, help="of the folder that the demo model is shown; a mid-size model gets a fifth")
    parser.add_argument("--work", type=Path, default=ROOT / "target" / "benchmarks")
    parser.add_argument("--midsize", type=Path, help="the directory with the graphs")
    parser.add_argument("--demo-only", action="store_true")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    demo = data.demo_model(arguments.work)
    scenes, some = (data.folder_of(arguments.work, count) for count in (arguments.images, arguments.images // 5))
    photos = data.folder_of(arguments.work, 12, "photos")
    jobs = {
        "folder, demo model, free": (demo, scenes, ["--decoding=free"], 300),
        "folder, demo model, grammar": (demo, scenes, ["--decoding=grammar"], 300),
        "single stream, demo model": (demo, scenes, ["--batch=1", "--decoding=free"], 300),
    }
    if not arguments.demo_only:
        if arguments.midsize:
            midsize = dataclasses.replace(demo, name="mid-size", onnx=arguments.midsize, prompt="detect person")
        else:
            midsize = data.midsize_model(arguments.work)
        jobs |= {
            "folder, mid-size model, f32": (midsize, some, ["--decoding=free", "--dtype=fp32"], 64),
            "single stream, mid-size model, f32": (midsize, photos, ["--batch=1", "--decoding=free", "--dtype=fp32"], 64),
        }
    rows, differing = [], 0
    for job, (model, folder, flags, limit) in jobs.items():
        texts: dict[str, dict[str, str]] = {}

        def run(build: str, binary: Path) -> float:
            programs.BINARY = binary.resolve()
            done = programs.gemscope(model, [folder], *flags, max_new_tokens=limit)
            texts[build] = done.texts()
            return done.summary["images_per_second"]

        builds = {"old": arguments.old, "new": arguments.new}
        values = in_turn(arguments.turns, {name: lambda name=name, path=path: run(name, path) for name, path in builds.items()})
        same = sum(texts["old"].get(image) == text for image, text in texts["new"].items())
        differing += len(texts["new"]) - same
        medians = [f"{statistics.median(values[name]):.2f}" for name in builds]
        rows.append([job, *medians, f"{ratio(values['new'], values['old']):.3f}", f"{same} of {len(texts['new'])}"])
    print(table(["job", "old, images/s", "new, images/s", "new / old", "answers that are equal"], rows))
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
