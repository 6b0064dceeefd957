"""What opening a model costs, and what a cache of optimised graphs would save: opens each graph as it is, writes what ONNX Runtime makes of it, and opens that unoptimised.

    python benches/compare/peers/open_graphs.py MODEL SUFFIX

Prints a JSON object: for each graph the medians in seconds, and the bytes that the cache takes.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import onnxruntime

GRAPHS = ("vision_encoder", "embed_tokens", "decoder_model_merged")
OPENINGS = 3


def main() -> None:
    model, suffix = Path(sys.argv[1]), sys.argv[2]
    told = {}
    for name in GRAPHS:
        path = model / "onnx" / f"{name}{suffix}.onnx"
        with tempfile.TemporaryDirectory(dir=model) as folder:
            cached = Path(folder) / path.name
            writing = onnxruntime.SessionOptions()
            writing.optimized_model_filepath = str(cached)
            # Weights beside the graph, so that they are mapped and not parsed.
            writing.add_session_config_entry("session.optimized_model_external_initializers_file_name", f"{path.name}_data")
            _open(path, writing)
            plain = onnxruntime.SessionOptions()
            ready = onnxruntime.SessionOptions()
            ready.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            told[name] = {
                "as it is": statistics.median(_open(path, plain) for _ in range(OPENINGS)),
                "optimised before": statistics.median(_open(cached, ready) for _ in range(OPENINGS)),
                "bytes": sum(file.stat().st_size for file in Path(folder).iterdir()),
            }
    print(json.dumps(told))


def _open(path: Path, options: onnxruntime.SessionOptions) -> float:
    started = time.perf_counter()
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
