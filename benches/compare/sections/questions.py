"""Several questions about one image against one: the image is encoded and prefilled once."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import Any

import data
import programs

from sections import Context, in_turn, ratio, table, verdict

TITLE = "Eight questions about one image"
LABELS = ("person", "dog", "car", "tree", "house", "bird", "boat", "chair")
BUDGET = 280
"""256 soft tokens of a square image."""
IMAGES = 4
ANSWER_TOKENS = 16
FORMATS = {"f32": "fp32", "q4": "q4"}


def measure(context: Context) -> dict[str, Any]:
    model = replace(data.midsize_model(context.work), budget=BUDGET)
    folder = data.folder_of(context.work, context.images(IMAGES), "photos")
    result: dict[str, Any] = {"images": context.images(IMAGES), "answer_tokens": ANSWER_TOKENS, "formats": {}}
    for name, dtype in FORMATS.items():
        runs: dict[str, programs.Run] = {}

        def call(labels: tuple[str, ...], runs: dict[str, programs.Run] = runs, dtype: str = dtype) -> Any:
            def once() -> float:
                flags = (f"--dtype={dtype}", "--per-label", "--decoding=free")
                run = programs.gemscope(model, [folder], *flags, labels=",".join(labels), max_new_tokens=ANSWER_TOKENS)
                runs[str(len(labels))] = run
                return run.summary["wall_seconds"]

            return once

        values = in_turn(context.turns, {"1": call(LABELS[:1]), "8": call(LABELS)})
        result["formats"][name] = {"values": values, "command": " ".join(runs["8"].command)}
    return result


def show(result: dict[str, Any]) -> str:
    rows, verdicts = [], []
    for name, measured in result["formats"].items():
        values = measured["values"]
        per_image = {count: statistics.median(seen) / result["images"] for count, seen in values.items()}
        rows.append([name, f"{per_image['1']:.2f}", f"{per_image['8']:.2f}", f"{ratio(values['8'], values['1']):.2f}"])
        verdicts.append(f"- {name}: eight cost {verdict(ratio(values['8'], values['1']), 2.5, at_least=False)} times one.")
    intro = (
        f"Mid-size model, {result['images']} images of {256} soft tokens, `--per-label` with one label and with eight, {result['answer_tokens']} tokens an answer (a box takes about 25 "
        "of a real model's; a random one knows no end)."
    )
    commands = "\n".join(f"    {measured['command']}" for measured in result["formats"].values())
    return "\n\n".join([intro, table(["weights", "one question, s an image", "eight, s an image", "ratio"], rows), "\n".join(verdicts), commands])
