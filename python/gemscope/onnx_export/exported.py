"""Runs exported graphs in ONNX Runtime, greedily, for checks: pixels and token ids in, features, logits and token ids out.

A row of a batch is a list of token ids with its image features, in order; shorter rows are padded on the left. Inputs are fed by the names that the
graphs declare, in their dtypes, and every value that comes out is checked to be finite.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

NUMPY = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
PADDED_POSITION = 1
EXTERNAL_FOLDER = "session.model_external_initializers_file_folder_path"
"""Where weights beside a graph lie that comes from memory."""


@dataclass
class Row:
    """A prompt: token ids with the image tokens expanded, and as many rows of features."""

    ids: list[int]
    features: np.ndarray


class ExportedModel:
    """Raises `ValueError` for a number that is not finite. `float_products`: with activations of 8-bit products as they
    are, whatever the graphs say; slow, and exact."""

    def __init__(
        self, folder: Path, suffix: str, image_token_id: int, float_products: bool = False
    ) -> None:
        self.image_token_id = image_token_id
        self.vision, self.embed, self.decoder = (
            open_graph(folder / "onnx" / f"{name}{suffix}.onnx", float_products)
            for name in ("vision_encoder", "embed_tokens", "decoder_model_merged")
        )
        self.decoder_inputs = {item.name: item for item in self.decoder.get_inputs()}
        self.caches = [item for name, item in self.decoder_inputs.items() if name.startswith("past_key_values.")]

    def features(self, pixel_values: np.ndarray, positions: np.ndarray) -> np.ndarray:
        return _run(self.vision, {"pixel_values": pixel_values, "pixel_position_ids": positions})["image_features"]

    def prefill(self, rows: list[Row], keep: int = 0) -> tuple[np.ndarray, Prefix]:
        """Logits f32 [rows, kept or longest, vocabulary], and what to go on from."""
        prefix = Prefix(len(rows), self.caches)
        longest = max(len(row.ids) for row in rows)
        ids = np.zeros((len(rows), longest), np.int64)
        real = np.zeros_like(ids)
        for index, row in enumerate(rows):
            ids[index, longest - len(row.ids) :] = row.ids
            real[index, longest - len(row.ids) :] = 1
        return self.step(prefix, ids, real, keep, np.concatenate([row.features for row in rows])), prefix

    def step(self, prefix: Prefix, ids: np.ndarray, real: np.ndarray, keep: int, features: np.ndarray | None = None) -> np.ndarray:
        """Feeds ids [rows, new], of which `real` says 0 for padding, and appends to the prefix."""
        feeds: dict[str, Any] = _run(self.embed, {"input_ids": ids})
        if features is not None:
            feeds["inputs_embeds"][ids == self.image_token_id] = features
        prefix.real = np.concatenate([prefix.real, real], axis=1)
        positions = np.where(prefix.real == 0, PADDED_POSITION, prefix.real.cumsum(axis=1) - 1)
        feeds |= {"attention_mask": prefix.real, "position_ids": positions[:, -ids.shape[1] :], "num_logits_to_keep": np.array(keep), "input_ids": ids}
        feeds |= prefix.caches
        outputs = _run(self.decoder, {name: value for name, value in feeds.items() if name in self.decoder_inputs})
        prefix.caches = {name.replace("present.", "past_key_values."): value for name, value in outputs.items() if name != "logits"}
        return outputs["logits"].astype(np.float32)

    def generate(self, rows: list[Row], count: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids [rows, count] and the logits they were chosen by [rows, count, vocabulary]. Does not stop at stop tokens."""
        logits, prefix = self.prefill(rows, keep=1)
        chosen, seen = [], []
        while True:
            seen.append(logits[:, -1])
            chosen.append(seen[-1].argmax(-1))
            if len(chosen) == count:
                return np.stack(chosen, 1), np.stack(seen, 1)
            logits = self.step(prefix, chosen[-1][:, None], np.ones((len(rows), 1), np.int64), keep=1)


def open_graph(
    path: Path, float_products: bool = False, threads: int = 1
) -> onnxruntime.InferenceSession:
    """A graph on the CPU. `float_products` takes `accuracy_level` from its products, in memory only."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    model: Path | bytes = path
    if float_products:
        graph = onnx.load(path, load_external_data=False)
        for node in graph.graph.node:
            kept = [attribute for attribute in node.attribute if attribute.name != "accuracy_level"]
            del node.attribute[:]
            node.attribute.extend(kept)
        model = graph.SerializeToString()
        options.add_session_config_entry(EXTERNAL_FOLDER, str(path.parent))
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class Prefix:
    """The cache, empty at first, and which of its columns are real tokens, [rows, past]."""

    def __init__(self, rows: int, caches: list[Any]) -> None:
        self.real = np.zeros((rows, 0), np.int64)
        self.caches = {cache.name: np.zeros((rows, cache.shape[1], 0, cache.shape[3]), NUMPY[cache.type]) for cache in caches}


def _run(session: onnxruntime.InferenceSession, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    outputs = dict(zip((item.name for item in session.get_outputs()), session.run(None, feeds), strict=True))
    for name, value in outputs.items():
        if not np.isfinite(value).all():
            raise ValueError(f"{name} has numbers that are not finite")
    return outputs
