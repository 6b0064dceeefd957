"""What a decode step costs in 8 bits against f32, with products in integers and without.

    PYTHONPATH=python python -m gemscope.onnx_export midsize MIDSIZE --dtype fp32,q8
    PYTHONPATH=python python python/checks/eight_bits.py MIDSIZE/model

Decoders of one directory take turns in one process, on ONNX Runtime: f32, 8 bits as exported
(`accuracy_level` 4), and the same file without that attribute, as it was exported before. A step is
one token of each row behind a cache. Medians of all turns, and ratios to f32 of the same run.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from gemscope.onnx_export.exported import NUMPY, open_graph

DECODER = "decoder_model_merged"


def main() -> None:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("model", type=Path, help="directory with graphs in fp32 and q8")
    parser.add_argument(
        "--rows", default="1,8", help="answers at the same time (default: %(default)s)"
    )
    parser.add_argument("--past", type=int, default=300, help="tokens in the cache")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()

    folder = arguments.model / "onnx"
    eight = folder / f"{DECODER}_quantized.onnx"
    ways = {
        "f32": (folder / f"{DECODER}.onnx", False),
        "8 bits, accuracy_level 4": (eight, False),
        "8 bits, without": (eight, True),
    }
    sessions = {
        name: open_graph(path, float_products, arguments.threads)
        for name, (path, float_products) in ways.items()
    }
    print(
        f"onnxruntime {onnxruntime.__version__}, {arguments.threads} threads, "
        f"cache of {arguments.past}"
    )
    for rows in map(int, arguments.rows.split(",")):
        feeds = {name: step(session, rows, arguments.past) for name, session in sessions.items()}
        times: dict[str, list[float]] = {name: [] for name in sessions}
        for turn in range(arguments.turns + 1):
            for name, session in sessions.items():
                began = time.perf_counter()
                session.run(None, feeds[name])
                # The first turn packs weights.
                if turn:
                    times[name].append(time.perf_counter() - began)
        plain = statistics.median(times["f32"])
        for name, seconds in times.items():
            median = statistics.median(seconds)
            low, high = min(seconds), max(seconds)
            print(
                f"{rows} row(s), {name}: {median * 1000:.1f} ms "
                f"({low * 1000:.1f} to {high * 1000:.1f}), {plain / median:.2f} of f32's speed"
            )


def step(session: onnxruntime.InferenceSession, rows: int, past: int) -> dict[str, Any]:
    """One token of each row: random embeddings, and a random cache."""
    random = np.random.default_rng(rows)
    sizes = {"batch_size": rows, "sequence_length": 1, "past_sequence_length": past}
    sizes["total_sequence_length"] = past + 1
    feeds: dict[str, Any] = {}
    for item in session.get_inputs():
        shape = [sizes.get(axis, axis) for axis in item.shape]
        if item.type in NUMPY:
            feeds[item.name] = random.normal(size=shape).astype(NUMPY[item.type])
        else:
            value = {"position_ids": past, "attention_mask": 1, "num_logits_to_keep": 1}.get(
                item.name, 300
            )
            feeds[item.name] = np.full(shape, value, np.int64)
    return feeds


if __name__ == "__main__":
    main()
