"""Puts the demo checkpoint's weights into fixtures/demo-model-mobius, whose graphs `mobius build` wrote once.

In: python/demo/checkpoint. Out: the weights in decoder, vision_encoder and embedding, in place. For weights of the same shapes mobius would write the
same graphs, so this spares its packages, which want other versions of ours. Promises: every initialiser is either a weight of the checkpoint or one of the
constants that `CONSTANT` knows; else nothing is written.

    python python/checks/mobius_weights.py
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from safetensors.numpy import load_file

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "fixtures" / "demo-model-mobius"
CONSTANT = re.compile(r"const_|v_|.*\.(cos_cache|sin_cache|layer_scalar)$")
"""Literals, tables of the rotary positions, and layer scalars, which no training of ours changes."""


def main() -> None:
    weights = load_file(ROOT / "python" / "demo" / "checkpoint" / "model.safetensors")
    written: dict[Path, bytes] = {}
    used: set[str] = set()
    for part in ("decoder", "vision_encoder", "embedding"):
        path = MODEL / part / "model.onnx"
        model = onnx.load(path, load_external_data=False)
        data = bytearray(path.with_suffix(".onnx.data").read_bytes())
        inline_changed = False
        for initializer in model.graph.initializer:
            if CONSTANT.match(initializer.name):
                continue
            name, turned = name_in_checkpoint(initializer.name)
            weight = np.ascontiguousarray(weights[name].T if turned else weights[name])
            if weight.shape != tuple(initializer.dims):
                sys.exit(f"{part}: {initializer.name} is {tuple(initializer.dims)}, {name} is {weight.shape}")
            used.add(name)
            place = {entry.key: entry.value for entry in initializer.external_data}
            if place:
                start = int(place.get("offset", 0))
                data[start : start + int(place["length"])] = weight.tobytes()
            elif not np.array_equal(numpy_helper.to_array(initializer), weight):
                kept = initializer.name
                initializer.CopyFrom(numpy_helper.from_array(weight, kept))
                inline_changed = True
        written[path.with_suffix(".onnx.data")] = bytes(data)
        if inline_changed:
            written[path] = model.SerializeToString()
    if unused := [name for name in weights if name not in used and "layer_scalar" not in name]:
        sys.exit(f"not in the graphs: {unused}")
    for path, content in written.items():
        path.write_bytes(content)
    print(f"{len(used)} weights, {len(written)} files in {MODEL}")


def name_in_checkpoint(name: str) -> tuple[str, bool]:
    """The checkpoint's name of a weight, and whether mobius stores it turned."""
    turned = name.endswith(".weight_t")
    name = name.removesuffix("_t") if turned else name
    if name == "decoder.lm_head.weight":
        return "model.language_model.embed_tokens.weight", turned
    if name == "vision_encoder.projector.weight":
        return "model.embed_vision.embedding_projection.weight", turned
    if name.startswith("vision_encoder."):
        name = name.replace("vision_encoder.", "model.vision_tower.", 1).replace(".encoder.patch_embedder.", ".patch_embedder.")
        return re.sub(r"(_proj)\.weight$", r"\1.linear.weight", name) if ".layers." in name else name, turned
    return re.sub(r"^(decoder\.model|embedding)\.", "model.language_model.", name), turned


if __name__ == "__main__":
    main()
