"""A folder of images and one question: images a second of Gemscope and of its peers, and whether they give the same tokens."""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import Any

import data
import programs

from sections import Context, in_turn, ratio, say, table, verdict

TITLE = "A folder of images"
IMAGES = 200
PEER_IMAGES = 4
"""Peers take one image after the other at a steady pace, so fewer tell as much."""
FORMATS = {"f32": "", "q4": "_q4"}
QUANTIZED = ("ONNX loop", "llama.cpp")
LIMIT = 3.0
GENAI_IMAGES = 4


def measure(context: Context) -> dict[str, Any]:
    result: dict[str, Any] = {"max_new_tokens": context.max_new_tokens, "models": {}}
    for model in (data.demo_model(context.work, context.llama_cpp), data.midsize_model(context.work, context.llama_cpp, context.mobius)):
        for name, suffix in FORMATS.items():
            if model.name == "demo" and suffix:
                continue
            say(f"folder: {model.name}, {name}")
            result["models"][f"{model.name}, {name}"] = _one(context, model, suffix)
    return result


def _one(context: Context, model: data.Model, suffix: str) -> dict[str, Any]:
    # PNG: decoders of JPEG differ by a few levels, enough for a random model to say something else.
    kind = "scenes"
    folder = data.folder_of(context.work, context.images(IMAGES), kind)
    # The same names and contents as the first of the large folder.
    few = data.folder_of(context.work, context.images(PEER_IMAGES), kind)
    some = sorted(few.iterdir())
    limit = 300 if model.name == "demo" else context.max_new_tokens
    dtype = f"--dtype={suffix.lstrip('_') or 'fp32'}"
    answers: dict[str, dict[str, str]] = {}
    missing: dict[str, str] = {}
    runs: dict[str, programs.Run] = {}

    def of_peer(name: str) -> Any:
        def call() -> float:
            told = programs.peer(name, model, some, limit, suffix)
            answers[name] = {image["image"]: image["text"] if "text" in image else programs.text_of(model, image["ids"]) for image in told["images"]}
            return len(told["images"]) / sum(image["seconds"] for image in told["images"])

        return call

    def of_gemscope(name: str, images: Path, *flags: str) -> Any:
        def call() -> float:
            runs[name] = programs.gemscope(model, [images], dtype, *flags, max_new_tokens=limit)
            return runs[name].summary["images_per_second"]

        return call

    measures: dict[str, Any] = {}
    for name in programs.PEERS:
        # transformers and the mobius graphs have no 4-bit form of these weights.
        if suffix and name not in QUANTIZED:
            missing[name] = "f32 only"
            continue
        try:
            programs.peer(name, model, some[:1], 2, suffix)
            measures[name] = of_peer(name)
        except programs.Unavailable as reason:
            missing[name] = str(reason)
    measures["Gemscope, one row at a time"] = of_gemscope("Gemscope, one row at a time", few, "--batch=1", "--decoding=free")
    measures["Gemscope, batched"] = of_gemscope("Gemscope, batched", folder, "--decoding=free")
    if model.name == "demo":
        # A random model's free text is no list of boxes; with a grammar it would be asked to write another number of tokens.
        measures["Gemscope, batched, grammar"] = of_gemscope("Gemscope, batched, grammar", folder, "--decoding=grammar")
    values = in_turn(context.turns, measures)
    return {
        "images": {name: len(run.records) for name, run in runs.items()} | {name: len(told) for name, told in answers.items()},
        "limit": limit,
        "values": values,
        "missing": missing,
        "agreement": _agreement(context, model, kind, limit, dtype, answers, runs),
        "commands": {name: " ".join(run.command) for name, run in runs.items()},
        "left_out": {name: run.left_out for name, run in runs.items() if run.left_out},
    }


def _agreement(
    context: Context, model: data.Model, kind: str, limit: int, dtype: str, answers: dict[str, dict[str, str]], runs: dict[str, programs.Run]
) -> dict[str, str]:
    """Of each peer: on how many images it gives Gemscope's answer, and where the first other one differs. Texts are compared, since not every program tells ids."""
    told = {}
    batched, single = runs["Gemscope, batched"].texts(), runs["Gemscope, one row at a time"].texts()
    same = sum(batched[name] == text for name, text in single.items())
    told["Gemscope, batched"] = f"{same} of {len(single)} answers equal those of one row at a time"
    for name, of_images in answers.items():
        expected = single
        if name == "onnxruntime-genai":
            # It puts blank lines around the image.
            flags = ("--batch=1", "--decoding=free", "--image-newlines", dtype)
            expected = programs.gemscope(model, [data.folder_of(context.work, GENAI_IMAGES, kind)], *flags, max_new_tokens=limit).texts()
            of_images = {image: text for image, text in of_images.items() if image in expected}
        equal, first = 0, None
        for image, theirs in of_images.items():
            ours = expected[image]
            if theirs == ours:
                equal += 1
            elif first is None:
                place = next((index for index, (a, b) in enumerate(zip(theirs, ours)) if a != b), min(len(theirs), len(ours)))
                first = f"{image} from character {place} of {len(ours)}"
        told[name] = f"{equal} of {len(of_images)} answers equal Gemscope's" + (f"; first other: {first}" if first else "")
    return told


def show(result: dict[str, Any]) -> str:
    parts = [
        "Same images, prompt, weights and number of tokens; greedy. The mid-size model's weights are random, so its answers are noise that ends at the limit "
        f"({result['max_new_tokens']} tokens), for every program alike. The demo model's answers end by themselves. Peers were given fewer images, since they take them one by one "
        "at a steady pace. Loading of models is not counted for any; for Gemscope, everything from the first file to the last record is."
    ]
    for name, measured in result["models"].items():
        values = measured["values"]
        none = [math.nan] * len(values["Gemscope, batched"])
        best = max((values[peer] for peer in programs.PEERS if peer in values), key=statistics.median, default=none)
        rows = [
            [program, measured["images"][program], f"{statistics.median(seen):.3f}",
             f"{ratio(seen, best):.2f}", measured["agreement"].get(program, "")]
            for program, seen in values.items()
        ]  # fmt: skip
        rows += [[program, "", "", "", reason] for program, reason in measured["missing"].items()]
        parts += [f"### {name}", table(["program", "images", "images/s", "times the best peer", "tokens"], rows)]
        if name.startswith("mid-size"):
            parts.append(f"- {name}: {verdict(ratio(values['Gemscope, batched'], best), LIMIT)} times the best peer.")
        parts.append("\n".join(f"    {command}" for command in measured["commands"].values()))
        if measured["left_out"]:
            parts.append(f"Not measured, since the program had no such flag: `{measured['left_out']}`.")
    return "\n\n".join(parts)
