"""`structure OUT`: the graphs of a random model without its weights, for `gemscope doctor --gpu`, which draws the weights on the user's machine.

OUT gets `<graph>.onnx.gz` for each of the three graphs in f16, all of whose weights lie in files beside them; `weights.json`, which says of each weight where it lies and how its
values are spread; and `config.json`. The model is the one of `midsize`, smaller (180 million parameters), with Gemma 4's vocabulary size and the demo model's tokenizer:
special tokens are a handful among 262144, so an answer is as long as it may be. The head takes the values of the embedding table, as Gemma 4's does, but in another
order, so that one file serves both graphs.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from gemscope.onnx_export import midsize
from gemscope.onnx_export.graphs import SUFFIXES, build
from gemscope.onnx_export.graphs.attention import use_f16
from gemscope.onnx_export.graphs.checkpoint import Checkpoint
from gemscope.onnx_export.graphs.files import ALIGNMENT
from gemscope.onnx_export.graphs.trace import Graph

SUFFIX = SUFFIXES["f16", "none"]
DATA_FILE = "{graph}" + SUFFIX + ".onnx_data"
FEW = 8
"""Weights of so many values are in the graph's file: bounds and scales, which are no random numbers."""

TEXT: dict[str, Any] = midsize.TEXT | {
    "hidden_size": 384,
    "num_hidden_layers": 12,
    "num_kv_shared_layers": 6,
    "hidden_size_per_layer_input": 8,
    "layer_types": (["sliding_attention"] * 3 + ["full_attention"]) * 3,
    "eos_token_id": [1, 6],
}
VISION: dict[str, Any] = midsize.VISION | {"position_embedding_size": 1024}
TOKENS = {"audio_token_id": 12, "boi_token_id": 7, "eoi_token_id": 8, "image_token_id": 9, "video_token_id": 13}
"""As the demo model's tokenizer has them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, help="folder to write to; is made if missing")
    parser.add_argument("--fixtures", type=Path, default=Path("fixtures"), help="the configuration of E2B (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights whose spread is told (default: %(default)s)")
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> None:
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        midsize.write_weights(Path(folder), arguments.fixtures, arguments.seed, TEXT, VISION, TOKENS)
        checkpoint = Checkpoint(Path(folder))
        use_f16(checkpoint.model)
        tables: dict[str, list[dict[str, Any]]] = {}
        for name in ("vision", "embed", "decoder"):
            graph = build.BUILDERS[name](checkpoint)
            _place(graph, checkpoint, tables)
            with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
                ir.save(graph.model, file.name)
                packed = gzip.compress(Path(file.name).read_bytes(), mtime=0)
            (out / f"{graph.name}{SUFFIX}.onnx.gz").write_bytes(packed)
            print(f"{graph.name}: {len(packed)} bytes", flush=True)
        shutil.copyfile(checkpoint.folder / "config.json", out / "config.json")
        lines = [f'  {json.dumps(name)}: [\n    ' + ",\n    ".join(map(json.dumps, weights)) + "\n  ]" for name, weights in tables.items()]
        (out / "weights.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8", newline="\n")
        for name, weights in tables.items():
            print(f"{name}: {_end(weights)} bytes")


def _place(graph: Graph, checkpoint: Checkpoint, tables: dict[str, list[dict[str, Any]]]) -> None:
    """Points each weight of `graph` to a place in its data file, and adds it to the table of that file."""
    own = DATA_FILE.format(graph=graph.name)
    shared = tables.get(DATA_FILE.format(graph="embed_tokens"), [])
    for name, weight in graph.weights.items():
        initializer = graph.model.graph.initializers[name]
        array = weight.array(checkpoint)
        if array.size <= FEW:
            initializer.const_value = ir.tensor(array, name=name)
            continue
        if array.dtype not in (np.float16, np.float32):
            raise ValueError(f"{name}: {array.dtype} is not what the program draws")
        file, entry = own, next((entry for entry in shared if entry["name"] == weight.source), None)
        if entry is not None:
            file = DATA_FILE.format(graph="embed_tokens")
        else:
            table = tables.setdefault(own, [])
            end = _end(table)
            values = array.astype(np.float64)
            spread = {"mean": float(f"{values.mean():.4g}"), "std": float(f"{values.std():.4g}")}
            # A mean that is only what chance left of 0 is none.
            if abs(spread["mean"]) < 0.2 * spread["std"]:
                spread["mean"] = 0.0
            place = {"offset": -(-end // ALIGNMENT) * ALIGNMENT, "count": array.size, "dtype": f"f{8 * array.itemsize}"}
            entry = {"name": weight.source} | place | spread
            table.append(entry)
        initializer.const_value = ir.ExternalTensor(
            file, entry["offset"], weight.bytes, weight.dtype, shape=ir.Shape(weight.shape), name=name, base_dir=checkpoint.folder
        )


def _end(table: list[dict[str, Any]]) -> int:
    """Bytes of a data file."""
    return table[-1]["offset"] + table[-1]["count"] * {"f16": 2, "f32": 4}[table[-1]["dtype"]] if table else 0
