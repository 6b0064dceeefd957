"""From JPEG files to `pixel_values`, against Hugging Face's processor and against decoding alone."""

from __future__ import annotations

import statistics
from typing import Any

import data
import preprocess
from machine import cores

from sections import Context, in_turn, ratio, say, table, verdict

TITLE = "Preprocessing"
BUDGET = "280"
DECODERS = {"": "default build", "turbojpeg": "feature `turbojpeg`"}


def measure(context: Context) -> dict[str, Any]:
    programs = {feature: preprocess.build(feature) for feature in DECODERS}
    result: dict[str, Any] = {"cores": cores(), "budget": BUDGET, "sizes": {}}
    for size in data.SIZES:
        say(f"preprocessing: {size}")
        files = data.jpegs(context.work, size)
        rounds = 1 if context.quick else (4 if size == "12 MP" else 40)

        def ours(feature: str, *flags: str) -> Any:
            return lambda: preprocess.gemscope(programs[feature], files, BUDGET, rounds, cores(), *flags)

        measures: dict[str, Any] = {"hugging face": lambda: preprocess.hugging_face(files, BUDGET, rounds, threads=0)}
        for feature in DECODERS:
            measures[f"decode {feature}"] = ours(feature, "--decode-only")
            measures[f"patches {feature}"] = ours(feature, "--patches")
            measures[f"all {feature}"] = ours(feature)
        measures["fast"] = ours("turbojpeg", "--fast-decode")
        result["sizes"][size] = {"bytes": statistics.mean(path.stat().st_size for path in files), "values": in_turn(context.turns, measures)}
    return result


def show(result: dict[str, Any]) -> str:
    rows, verdicts = [], []
    for size, measured in result["sizes"].items():
        values = measured["values"]
        median = {name: f"{statistics.median(seen):.1f}" for name, seen in values.items()}
        label = f"{size} ({measured['bytes'] / 1e6:.1f} MB)"
        rows.append([label, "Hugging Face", "", "", median["hugging face"], "1.0", "", ""])
        for feature, name in DECODERS.items():
            faster = ratio(values[f"all {feature}"], values["hugging face"])
            patches, floats = (ratio(values[f"{what} {feature}"], values[f"decode {feature}"]) for what in ("patches", "all"))
            measured_here = [median[f"{what} {feature}"] for what in ("decode", "patches", "all")]
            rows.append([label, f"Gemscope, {name}", *measured_here, f"{faster:.1f}", f"{patches:.2f}", f"{floats:.2f}"])
            if not feature:
                verdicts.append(f"- {size}: {verdict(faster, 3)} times Hugging Face, floats included; file to patches at {verdict(patches, 0.8)} of decoding alone.")
        fast = ratio(values["fast"], values["hugging face"])
        rows.append([label, "Gemscope, `--fast-decode`", "", "", median["fast"], f"{fast:.1f}", "", ""])
    header = [
        "JPEGs", "program", "decoding alone, images/s", "file to patches", "file to `pixel_values`", "times Hugging Face", "patches: share of decoding alone",
        "`pixel_values`: share",
    ]
    intro = (
        f"JPEG files (quality 90, 4:2:0) to padded `pixel_values`, budget {result['budget']}. Hugging Face: Pillow and `Gemma4ImageProcessor` (torchvision), one process, "
        f"torch's own number of threads. Gemscope: {result['cores']} threads. Pixels after decoding are the same, bit for bit; with `turbojpeg`, decoding is Pillow's too. "
        "Patches are bytes, as the threads that prepare images leave them; `pixel_values` are padded floats, which are made where the graph runs. `--fast-decode` is not exact."
    )
    return "\n\n".join([intro, table(header, rows), "\n".join(verdicts)])
