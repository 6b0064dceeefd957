"""What the exporter does not know, said in a sentence.

In: a folder that is called a checkpoint. Out: its `config.json`, if it is one of Gemma 4 in
safetensors. Promises: what else people have under that name is called what it is, before anything
is imported that takes long or written anywhere.
"""

from __future__ import annotations

import json
import struct
from importlib import metadata
from math import prod
from pathlib import Path
from typing import Any

MODEL_TYPES = {"gemma4": "Gemma4Processor", "gemma4_unified": "Gemma4UnifiedProcessor"}
"""Of the checkpoints that are exported, with the name of their processor."""
TRANSFORMERS = ("5.23", "5.24")
"""Versions with which the graphs were compared."""
FLOATS = ("F32", "F16", "BF16")
"""Numbers of weights, as safetensors names them."""


class RefusalError(Exception):
    """Why a checkpoint is not exported, in a sentence, with what to do about it."""


def read_config(folder: Path) -> dict[str, Any]:
    """Raises `RefusalError` if `folder` is no checkpoint of Gemma 4 in safetensors."""
    if not folder.exists():
        raise RefusalError(
            f"{folder}: there is no such folder; a model of the Hub is fetched with "
            "`hf download OWNER/NAME --local-dir FOLDER`"
        )
    if not folder.is_dir():
        raise RefusalError(
            f"{folder}: a checkpoint is a folder with config.json and safetensors{_is_gguf(folder)}"
        )
    path = folder / "config.json"
    if not path.exists():
        raise RefusalError(f"{folder}: no config.json{_what_it_is(folder)}")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RefusalError(
            f"{path}: no JSON ({error}); git-lfs pointers and web pages are no files"
        ) from None
    model_type = config.get("model_type") if isinstance(config, dict) else None
    if model_type not in MODEL_TYPES:
        raise RefusalError(
            f"{path}: model_type is {model_type!r}, and {' and '.join(MODEL_TYPES)} are exported"
        )
    if method := (config.get("quantization_config") or {}).get("quant_method"):
        raise RefusalError(
            f"{path}: its weights are quantized ({method}); "
            "the checkpoint that they were made from is exported"
        )
    for name in ("text_config", "vision_config"):
        if not isinstance(config.get(name), dict):
            raise RefusalError(f"{path}: no {name}: this exports models that see pictures")
    return config


def weight_files(folder: Path) -> dict[str, Path]:
    """The file of each weight by the name that it has there."""
    index = folder / "model.safetensors.index.json"
    single = folder / "model.safetensors"
    if index.exists():
        files = {
            name: folder / file
            for name, file in json.loads(index.read_text(encoding="utf-8"))["weight_map"].items()
        }
    elif single.exists():
        files = dict.fromkeys(_header(single), single)
    else:
        raise RefusalError(
            f"{folder}: neither model.safetensors nor model.safetensors.index.json"
            f"{_what_it_is(folder)}"
        )
    for path in sorted(set(files.values())):
        if not path.exists():
            raise RefusalError(f"{path}: missing, though {index.name} names it")
        for name, entry in _header(path).items():
            if entry["dtype"] not in FLOATS:
                raise RefusalError(
                    f"{path}: {name} is {entry['dtype']}; "
                    f"weights in {', '.join(FLOATS)} are exported"
                )
    return files


def weight_bytes(folder: Path, value: int) -> int:
    """Of all weights of a checkpoint, at so many bytes a value."""
    headers = [_header(path) for path in set(weight_files(folder).values())]
    return sum(value * prod(entry["shape"]) for header in headers for entry in header.values())


def versions_note() -> str | None:
    """What to say of a version of transformers with which nothing was compared."""
    try:
        version = metadata.version("transformers")
    except metadata.PackageNotFoundError:
        return "transformers is missing: pip install gemscope[onnx-export] installs all that is needed"
    if version.startswith(tuple(f"{known}." for known in TRANSFORMERS)):
        return None
    return (
        f"transformers {version}: graphs were compared with {' and '.join(TRANSFORMERS)}; "
        "`verify` tells whether they are right"
    )


def in_a_sentence(error: BaseException) -> str:
    """The first cause of an error that nobody expected, on one line."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    note = versions_note()
    return f"{type(error).__name__}: {said}" + (f" ({note})" if note else "")


def _header(path: Path) -> dict[str, Any]:
    """What a safetensors file says of its weights, checked against its length."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        try:
            header = json.loads(file.read(length)) if length <= size - 8 else None
        except ValueError:
            header = None
    if not isinstance(header, dict):
        raise RefusalError(
            f"{path}: no safetensors file ({size} bytes); "
            "a git-lfs pointer is fetched with `git lfs pull`"
        )
    header.pop("__metadata__", None)
    needed = 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
    if size < needed:
        raise RefusalError(
            f"{path}: {size} bytes, and {needed} are needed: it was not fetched whole"
        )
    return header


def _is_gguf(path: Path) -> str:
    return (
        "; graphs are made from the checkpoint that a GGUF file was made from"
        if path.suffix == ".gguf"
        else ""
    )


def _what_it_is(folder: Path) -> str:
    """What a folder is instead, to be put behind why it is not a checkpoint."""
    if (folder / "adapter_config.json").exists():
        return (
            ": it is an adapter, which is first merged into its model "
            "(peft: merge_and_unload, save_pretrained)"
        )
    if any(folder.glob("*.gguf")):
        return _is_gguf(Path("x.gguf"))
    if any(folder.glob("*.onnx")) or any(folder.glob("onnx/*.onnx")):
        return ": it holds graphs already"
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt")):
        return ": its weights are not in safetensors; transformers' save_pretrained writes them"
    inner = [path.parent.name for path in folder.glob("*/config.json")]
    return f": the checkpoint may be {folder / inner[0]}" if len(inner) == 1 else ""
