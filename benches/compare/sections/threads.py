"""How to split the cores between ONNX Runtime and the threads that load images; and what a cache of optimised graphs would save when a model is opened."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from typing import Any

import data
import machine
import programs

from sections import Context, in_turn, say, table

TITLE = "Threads, and the start"
IMAGES = 48
FORMATS = {"f32": "", "q4": "_q4"}


def measure(context: Context) -> dict[str, Any]:
    result: dict[str, Any] = {"cores": machine.cores(), "splits": {}, "openings": {}}
    models = {"demo": data.demo_model(context.work), "mid-size, q4": data.midsize_model(context.work)}
    for name, model in models.items():
        say(f"threads: {name}")
        folder = data.folder_of(context.work, context.images(IMAGES), "scenes" if name == "demo" else "photos")
        limit = 100 if name == "demo" else 16
        dtype = "--dtype=fp32" if name == "demo" else "--dtype=q4"

        def rate(inside: int, loading: int, model: data.Model = model, folder: Any = folder, limit: int = limit, dtype: str = dtype) -> Any:
            def once() -> float:
                # rayon's own variable: how many threads load images.
                os.environ["RAYON_NUM_THREADS"] = str(loading)
                try:
                    return programs.gemscope(model, [folder], dtype, f"--threads={inside}", max_new_tokens=limit).summary["images_per_second"]
                finally:
                    del os.environ["RAYON_NUM_THREADS"]

            return once

        splits = {f"{inside} + {loading}": rate(inside, loading) for inside in range(1, machine.cores() + 1) for loading in range(1, machine.cores() + 1)}
        result["splits"][name] = in_turn(context.turns, splits)
    model = models["mid-size, q4"]
    script = data.ROOT / "benches/compare/peers/open_graphs.py"
    for name, suffix in FORMATS.items():
        say(f"opening graphs: {name}")
        output = subprocess.run([sys.executable, str(script), str(model.onnx), suffix], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
        result["openings"][name] = json.loads(output.strip().splitlines()[-1])
    return result


def show(result: dict[str, Any]) -> str:
    parts = [
        f"{result['cores']} cores; images a second with so many threads in ONNX Runtime + so many that load images (medians). Gemscope's default is all cores for both: loading is short beside "
        "a model's work, and whoever waits takes no core."
    ]
    for name, values in result["splits"].items():
        best = max(values, key=lambda split: statistics.median(values[split]))
        rows = [[split, f"{statistics.median(seen):.3f}", "best" if split == best else ""] for split, seen in values.items()]
        parts += [f"### {name}", table(["ONNX Runtime + loading", "images/s", ""], rows)]
    rows = []
    for weights, graphs in result["openings"].items():
        plain, cached = (sum(graph[way] for graph in graphs.values()) for way in ("as it is", "optimised before"))
        rows.append([weights, f"{plain:.2f}", f"{cached:.2f}", f"{sum(graph['bytes'] for graph in graphs.values()) / 1e6:.0f}"])
    header = ["weights", "opening its three graphs, s", "opening what ONNX Runtime made of them (`--keep-graphs`), s", "disk for that, MB"]
    parts += ["### Opening the mid-size model", table(header, rows)]
    return "\n\n".join(parts)
