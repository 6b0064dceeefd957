"""A frame judged by the ready rubric against one question about it: the image is encoded and prefilled once."""

from __future__ import annotations

import csv
import re
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import data
import programs

from sections import Context, in_turn, ratio, table, verdict

TITLE = "A frame by ten axes"
BUDGET = 280
"""256 soft tokens of a square image."""
IMAGES = 4
BOX_TOKENS = 16
"""Of the axis that boxes defects: a random model knows no end, and a real one says `[]` of most frames."""
PROMPT = "a photograph of a red barn on a hill"
"""Of every frame, so that adherence is asked about: one clause."""
FORMATS = {"f32": "fp32", "q4": "q4"}
READY = data.ROOT / "pipelines" / "sdxl-critique.toml"


def measure(context: Context) -> dict[str, Any]:
    model = replace(data.midsize_model(context.work), budget=BUDGET)
    folder = data.folder_of(context.work, context.images(IMAGES), "photos")
    rubrics, made = _inputs(context.work, folder)
    result: dict[str, Any] = {"images": context.images(IMAGES), "formats": {}}
    for name, dtype in FORMATS.items():
        runs: dict[str, programs.Run] = {}

        def call(axes: str, runs: dict[str, programs.Run] = runs, dtype: str = dtype) -> Any:
            def once() -> float:
                flags = (f"--dtype={dtype}", "--rubric", str(rubrics[axes]), "--generation", str(made), "--decoding=free", f"--max-new-tokens={BOX_TOKENS}")
                runs[axes] = programs.critique(model, [folder], *flags)
                return runs[axes].summary["wall_seconds"]

            return once

        values = in_turn(context.turns, {axes: call(axes) for axes in rubrics})
        counts = {axes: len({rating["axis"] for rating in run.records[0]["ratings"]}) for axes, run in runs.items()}
        result["formats"][name] = {"values": values, "rated_axes": counts, "command": " ".join(runs["10"].command)}
    return result


def _inputs(work: Path, folder: Path) -> tuple[dict[str, Path], Path]:
    """The ready rubric and its first axis alone, neither with a limit of mass, which random weights do not reach; and what the frames are of."""
    text = re.sub(r"^budget", "min_mass = 0\nbudget", READY.read_text(encoding="utf-8"), count=1, flags=re.MULTILINE)
    head, *axes = text.split("[[axis]]")
    rubrics = {"1": work / "one-axis.toml", "10": work / "ten-axes.toml"}
    rubrics["1"].write_text(f"{head}[[axis]]{axes[0]}", encoding="utf-8")
    rubrics["10"].write_text(text, encoding="utf-8")
    made = work / "made.csv"
    with made.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "prompt"])
        rows.writerows([path.name, PROMPT] for path in sorted(folder.iterdir()))
    return rubrics, made


def show(result: dict[str, Any]) -> str:
    rows, verdicts = [], []
    for name, measured in result["formats"].items():
        values = measured["values"]
        per_image = {axes: statistics.median(seen) / result["images"] for axes, seen in values.items()}
        rows.append([name, f"{per_image['1']:.2f}", f"{per_image['10']:.2f}", f"{ratio(values['10'], values['1']):.2f}"])
        verdicts.append(f"- {name}: ten axes cost {verdict(ratio(values['10'], values['1']), 3, at_least=False)} times one.")
    intro = (
        f"Mid-size model, {result['images']} images of 256 soft tokens. The ready rubric (`pipelines/sdxl-critique.toml`): nine axes that are read from one forward pass each, adherence about "
        f"one clause among them, and one that boxes defects, {BOX_TOKENS} tokens; against its first axis alone."
    )
    commands = "\n".join(f"    {measured['command']}" for measured in result["formats"].values())
    return "\n\n".join([intro, table(["weights", "one axis, s a frame", "ten axes, s a frame", "ratio"], rows), "\n".join(verdicts), commands])
