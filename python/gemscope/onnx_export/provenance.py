"""What every golden file begins with: who made it, with which versions; and the JSON form that all of them share."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = ("transformers", "torch", "torchvision", "tokenizers", "pillow")


def made_by(command: str) -> dict[str, str]:
    """The value of `made_by`: the command that makes the file again, and the versions that its content depends on."""
    return {"script": command} | {package: importlib.metadata.version(package) for package in PACKAGES}


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Writes one line for each entry of the document, and of a list of objects one line for each of them: small, and it diffs well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = [f" {json.dumps(key)}: {_value(value)}" for key, value in document.items()]
    path.write_text("{\n" + ",\n".join(entries) + "\n}\n", encoding="utf-8", newline="\n")
    print(f"{path}: {path.stat().st_size} bytes")


def _value(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(f"  {json.dumps(item, ensure_ascii=False)}" for item in value) + "\n ]"
    return json.dumps(value, ensure_ascii=False)


def sha256(array: np.ndarray, dtype: str) -> str:
    """Hash of the elements in row-major order as `dtype`, for instance `<f4`: little-endian f32."""
    return hashlib.sha256(np.ascontiguousarray(array, dtype=np.dtype(dtype)).tobytes()).hexdigest()
