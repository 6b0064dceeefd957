"""Writes a graph with its weights, and the small files of a model's folder.

A graph whose weights are few has them in its own file. Otherwise they go into files beside it, as transformers.js names them: `<file>.onnx_data`, `.onnx_data_1` and so on,
each below 2 GB; only a single weight that is larger than that makes a larger file.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import onnx
import onnx_ir as ir

from gemscope.onnx_export.graphs.checkpoint import Checkpoint
from gemscope.onnx_export.graphs.trace import Graph
from gemscope.onnx_export.refusal import MODEL_TYPES

PART_BYTES = 2_000_000_000
SMALL_BYTES = 1024
"""Weights up to this size are in the graph's file in any case."""
ALIGNMENT = 4096

COPIED = (
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "processor_config.json",
    "preprocessor_config.json",
    "generation_config.json",
)


def write_graph(graph: Graph, checkpoint: Checkpoint, folder: Path, suffix: str, inline_limit: int) -> int:
    """Writes `<folder>/<name><suffix>.onnx`; the number of data files beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{graph.name}{suffix}.onnx"
    for old in folder.glob(f"{path.name}_data*"):
        old.unlink()

    total = sum(weight.bytes for weight in graph.weights.values())
    parts = 0 if total <= inline_limit else _write_data(graph, checkpoint, path)
    for name, weight in graph.weights.items():
        initializer = graph.model.graph.initializers[name]
        if initializer.const_value is None:
            initializer.const_value = ir.tensor(weight.array(checkpoint), name=name)
    ir.save(graph.model, path)
    print(f"{path}: {path.stat().st_size} bytes" + (f", {total} bytes of weights in {parts} data file(s)" if parts else ""), flush=True)
    return parts


def _write_data(graph: Graph, checkpoint: Checkpoint, path: Path) -> int:
    """Writes the large weights piece by piece and points their initializers to the place."""
    part, offset = 0, 0
    location = f"{path.name}_data"
    file = (path.parent / location).open("wb")
    for name, weight in graph.weights.items():
        if weight.bytes <= SMALL_BYTES:
            continue
        offset = -(-offset // ALIGNMENT) * ALIGNMENT
        if offset and offset + weight.bytes > PART_BYTES:
            file.close()
            part, offset = part + 1, 0
            location = f"{path.name}_data_{part}"
            file = (path.parent / location).open("wb")
        file.seek(offset)
        for piece in weight.pieces(checkpoint):
            file.write(memoryview(piece).cast("B"))
        graph.model.graph.initializers[name].const_value = ir.ExternalTensor(
            location, offset, weight.bytes, weight.dtype, shape=ir.Shape(weight.shape), name=name, base_dir=path.parent
        )
        offset += weight.bytes
    file.close()
    return part + 1


def copy_side_files(checkpoint: Checkpoint, out: Path, data_files: dict[str, int]) -> None:
    """What a model's folder holds beside the graphs. `config.json` tells transformers.js how many data files a graph has."""
    for name in COPIED:
        if (checkpoint.folder / name).exists():
            shutil.copyfile(checkpoint.folder / name, out / name)
    # transformers.js opens no model without this file, and the published checkpoints have none.
    preprocessor = out / "preprocessor_config.json"
    if not preprocessor.exists():
        settings = {"processor_class": MODEL_TYPES[checkpoint.config.model_type]}
        preprocessor.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    config = json.loads((checkpoint.folder / "config.json").read_text(encoding="utf-8"))
    target = out / "config.json"
    known = json.loads(target.read_text(encoding="utf-8")) if target.exists() else {}
    counts = known.get("transformers.js_config", {}).get("use_external_data_format") or {}
    counts = {name: count for name, count in (counts | data_files).items() if count}
    config["transformers.js_config"] = {"use_external_data_format": counts or False}
    target.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def write_audio_stub(path: Path) -> None:
    """transformers.js opens `audio_encoder` for every Gemma 4 model; this one gives back what it gets."""
    axes = ["batch_size", "num_frames", "num_features"]
    features, result = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, axes) for name in ("input_features", "audio_features"))
    mask = onnx.helper.make_tensor_value_info("input_features_mask", onnx.TensorProto.BOOL, axes[:2])
    node = onnx.helper.make_node("Identity", ["input_features"], ["audio_features"])
    graph = onnx.helper.make_graph([node], "audio_encoder", [features, mask], [result])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10), path)
