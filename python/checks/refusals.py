"""What the exporter says of folders that are no checkpoints: a line each, and no traceback.

    python python/checks/refusals.py

Every folder that people name by mistake is made in a temporary one, and `graphs` and `model` are
asked to export it. Needs nothing but Python: what is no checkpoint is told before torch is imported.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
CONFIG = {"model_type": "gemma4", "text_config": {}, "vision_config": {}}
TENSOR = {"weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


def safetensors(header: dict, values: int) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(values)


def folders(root: Path) -> list[tuple[Path, str]]:
    """Folders, and words of what is said about each."""
    made = []

    def make(name: str, words: str, **files: dict | bytes) -> None:
        folder = root / name
        folder.mkdir()
        for file, content in files.items():
            path = folder / file.replace("__", "/").replace("_DOT_", ".")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        made.append((folder, words))

    whole = safetensors(TENSOR, 8)
    bits = {"weight": TENSOR["weight"] | {"dtype": "U8"}}
    index = {"weight_map": {"weight": "model-00001.safetensors"}}
    make("empty", "no config.json")
    make("adapter", "adapter", adapter_config_DOT_json={})
    make("gguf", "GGUF", model_DOT_gguf=b"GGUF")
    make("graphs", "holds graphs already", onnx__a_DOT_onnx=b"")
    make("page", "no JSON", config_DOT_json=b"<html>")
    make("other", "'gemma3'", config_DOT_json=CONFIG | {"model_type": "gemma3"})
    make("list", "None", config_DOT_json=[1])  # type: ignore[arg-type]
    make("text", "no vision_config", config_DOT_json=CONFIG | {"vision_config": None})
    quantized = CONFIG | {"quantization_config": {"quant_method": "bitsandbytes"}}
    make("quantized", "bitsandbytes", config_DOT_json=quantized)
    make("bare", "neither model.safetensors", config_DOT_json=CONFIG)
    make("bin", "not in safetensors", config_DOT_json=CONFIG, model_DOT_bin=b"")
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    make("lfs", "git lfs pull", config_DOT_json=CONFIG, model_DOT_safetensors=pointer)
    make("short", "not fetched whole", config_DOT_json=CONFIG, model_DOT_safetensors=whole[:-1])
    packed = safetensors(bits, 8)
    make("packed", "weight is U8", config_DOT_json=CONFIG, model_DOT_safetensors=packed)
    make("part", "missing", config_DOT_json=CONFIG, model_DOT_safetensors_DOT_index_DOT_json=index)
    file = root / "model.gguf"
    file.write_bytes(b"GGUF")
    return [*made, (root / "nowhere", "no such folder"), (file, "GGUF file")]


def main() -> None:
    failed = 0
    with tempfile.TemporaryDirectory() as root:
        for folder, words in folders(Path(root)):
            for command in ("graphs", "model"):
                arguments = [sys.executable, "-m", "gemscope.onnx_export", command, folder, f"{root}/out"]
                variables = {**os.environ, "PYTHONPATH": str(PACKAGE)}
                done = subprocess.run(arguments, capture_output=True, text=True, env=variables)
                said = done.stderr.strip()
                if done.returncode != 1 or words not in said or len(said.splitlines()) != 1:
                    failed += 1
                    print(f"FAILED: {command} {folder.name}: {words!r} is not in: {said}")
        if Path(root, "out").exists() or Path(root, "out.unverified").exists():
            failed += 1
            print("FAILED: something was written")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
