"""What a grammar saves: decoder steps and time for the same boxes, free and constrained."""

from __future__ import annotations

import statistics
from typing import Any

import data
import programs

from sections import Context, in_turn, table, verdict

TITLE = "Grammar and jump-forward"
IMAGES = 200
LIMIT = 300


def measure(context: Context) -> dict[str, Any]:
    model = data.demo_model(context.work)
    folder = data.folder_of(context.work, context.images(IMAGES))
    runs: dict[str, programs.Run] = {}

    def call(decoding: str) -> Any:
        def once() -> float:
            runs[decoding] = programs.gemscope(model, [folder], "--batch=1", f"--decoding={decoding}", max_new_tokens=LIMIT)
            return runs[decoding].summary["images_per_second"]

        return once

    if not programs.has_flag("--decoding"):
        return {"missing": "this program has no --decoding"}
    values = in_turn(context.turns, {decoding: call(decoding) for decoding in ("free", "grammar")})
    free, grammar = runs["free"].boxes(), runs["grammar"].boxes()
    return {
        "images": len(free),
        "values": values,
        "steps": {name: run.effort("decoder_steps") for name, run in runs.items()},
        "tokens": {name: run.effort("generated_tokens") for name, run in runs.items()},
        "same_boxes": sum(grammar[image] == boxes for image, boxes in free.items()),
        "commands": [" ".join(run.command) for run in runs.values()],
    }


def show(result: dict[str, Any]) -> str:
    if "missing" in result:
        return f"Not measured: {result['missing']}."
    rows = [
        [name, result["steps"][name], result["tokens"][name], f"{statistics.median(result['values'][name]):.2f}"] for name in ("free", "grammar")
    ]
    share = result["steps"]["grammar"] / result["steps"]["free"]
    return "\n\n".join([
        f"Demo model, `detect shape`, labels of the model's own choice, {result['images']} images, one row at a time, so that a step is of one answer. Tokens that the grammar forces are fed with the next free one, in one run of the decoder. "
        f"Boxes and labels are the same for {result['same_boxes']} of {result['images']} images.",
        table(["decoding", "decoder steps", "tokens", "images/s"], rows),
        f"- Steps with the grammar: {verdict(share, 0.5, at_least=False)} of those without.",
        "\n".join(f"    {command}" for command in result["commands"]),
    ])  # fmt: skip
