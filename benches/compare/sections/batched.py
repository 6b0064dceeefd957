"""A folder of images against peers that take many images at once, each at the best of its settings: the same tokens, and the same boxes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import Any

import data
import machine
import programs

from sections import Context, in_turn, ratio, say, table, verdict

TITLE = "A folder of images, peers in batches"
IMAGES = 64
PEERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "transformers, f32, 8 rows": ("transformers", ("--rows=8",)),
    "transformers, f32, 32 rows": ("transformers", ("--rows=32",)),
    "transformers, bf16, 32 rows": ("transformers", ("--rows=32", "--dtype=bfloat16")),
    "vLLM, f32, 32 rows": ("vLLM", ("--rows=32",)),
    "vLLM, bf16, 32 rows": ("vLLM", ("--rows=32", "--dtype=bfloat16")),
}
OWN = {"Gemscope, f32": "fp32", "Gemscope, q8": "q8", "Gemscope, int8": "int8"}
SAME_WEIGHTS, BEST, SAME_BOXES = 1.7, 2.0, 3.0
BOX = r'\{"box_2d": \[\d{1,4}, \d{1,4}, \d{1,4}, \d{1,4}\], "label": "[a-z ]{1,30}"\}'
BOXES = rf"```json\n\[({BOX}(, {BOX}){{0,20}})?\]\n```"
"""What vLLM's grammar holds an answer to: what Gemscope's does, but for the labels."""


def measure(context: Context) -> dict[str, Any]:
    say("batched: the same tokens")
    model = data.midsize_model(context.work)
    photos = data.folder_of(context.work, context.images(IMAGES), "photos")
    tokens = _measured(context, model, photos, context.max_new_tokens, PEERS, {name: (f"--dtype={dtype}", "--decoding=free") for name, dtype in OWN.items()})
    say("batched: the same boxes")
    demo = data.demo_model(context.work)
    scenes = data.folder_of(context.work, context.images(IMAGES), "scenes")
    peers = {name: peer for name, peer in PEERS.items() if peer[0] == "vLLM"}
    peers |= {f"{name}, grammar": (program, (*flags, f"--regex={BOXES}")) for name, (program, flags) in peers.items()}
    own = {"Gemscope, f32, free": ("--dtype=fp32", "--decoding=free"), "Gemscope, f32, grammar": ("--dtype=fp32", "--decoding=grammar")}
    boxes = _measured(context, demo, scenes, 300, peers, own)
    return {"max_new_tokens": context.max_new_tokens, "features": machine.vector_features(), "tokens": tokens, "boxes": boxes}


def _measured(
    context: Context, model: data.Model, folder: Any, limit: int, peers: dict[str, tuple[str, tuple[str, ...]]], own: dict[str, tuple[str, ...]]
) -> dict[str, Any]:
    images = sorted(folder.iterdir())
    missing: dict[str, str] = {}
    answers: dict[str, dict[str, str]] = {}
    commands: dict[str, str] = {}

    def of_peer(name: str, program: str, flags: tuple[str, ...]) -> Callable[[], float]:
        def call() -> float:
            # One that failed is not waited for again.
            if name in missing:
                return math.nan
            try:
                told = programs.batched_peer(program, model, images, limit, flags, context.vllm)
            except programs.Unavailable as reason:
                missing[name] = str(reason)
                return math.nan
            answers[name] = {image["image"]: programs.text_of(model, image["ids"]) for image in told["images"]}
            return len(images) / told["seconds"]

        return call

    def of_gemscope(name: str, flags: tuple[str, ...]) -> Callable[[], float]:
        def call() -> float:
            run = programs.gemscope(model, [folder], *flags, max_new_tokens=limit)
            answers[name], commands[name] = run.texts(), " ".join(run.command)
            return run.summary["images_per_second"]

        return call

    measures = {name: of_peer(name, *peer) for name, peer in peers.items()} | {name: of_gemscope(name, flags) for name, flags in own.items()}
    values = {name: seen for name, seen in in_turn(context.turns, measures).items() if name not in missing}
    first = next(iter(own))
    same = {name: sum(text == answers[first][image] for image, text in told.items()) for name, told in answers.items() if name != first}
    return {"images": len(images), "values": values, "missing": missing, "same": same, "commands": commands}


def show(result: dict[str, Any]) -> str:
    parts = [
        f"Every program is given all images at once, and each image has content of its own. Loading, and one image before, are not counted. The processor has {result['features']}.",
        f"### The same tokens: mid-size model, {result['max_new_tokens']} tokens an image",
        *_shown(result["tokens"], "Gemscope, f32"),
        *_same_tokens(result["tokens"]),
        "### The same boxes: demo model, to the end of each answer",
        *_shown(result["boxes"], "Gemscope, f32, free"),
        *_same_boxes(result["boxes"]),
    ]
    return "\n\n".join(parts)


def _shown(measured: dict[str, Any], first: str) -> list[str]:
    values, best = measured["values"], _best(measured, "")
    rows = []
    for name, seen in values.items():
        same = f"{measured['same'][name]} of {measured['images']}" if name in measured["same"] else ""
        rows.append([name, f"{statistics.median(seen):.2f}", f"{ratio(seen, best):.2f}" if best else "", same])
    rows += [[name, "", "", reason] for name, reason in measured["missing"].items()]
    header = ["program", "images/s", "times the best peer", f"answers that are those of {first}"]
    return [table(header, rows), "\n".join(f"    {command}" for command in measured["commands"].values())]


def _best(measured: dict[str, Any], kind: str) -> list[float]:
    """The values of the fastest peer whose name has `kind` in it; none where no peer ran."""
    of_peers = [seen for name, seen in measured["values"].items() if not name.startswith("Gemscope") and kind in name]
    return max(of_peers, key=statistics.median, default=[])


def _same_tokens(measured: dict[str, Any]) -> list[str]:
    values = measured["values"]
    own = [seen for name, seen in values.items() if name.startswith("Gemscope")]
    verdicts = []
    if plain := _best(measured, "f32"):
        verdicts.append(f"- f32 against the fastest peer in f32: {verdict(ratio(values['Gemscope, f32'], plain), SAME_WEIGHTS)} times.")
    if best := _best(measured, ""):
        verdicts.append(f"- The fastest graphs against the fastest peer: {verdict(ratio(max(own, key=statistics.median), best), BEST)} times.")
    return ["\n".join(verdicts)] if verdicts else []


def _same_boxes(measured: dict[str, Any]) -> list[str]:
    best = _best(measured, "")
    return [f"- Under its grammar against the fastest peer: {verdict(ratio(measured['values']['Gemscope, f32, grammar'], best), SAME_BOXES)} times."] if best else []
