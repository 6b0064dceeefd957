"""Where pip has put ONNX Runtime."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

#: The one that can use a card comes first. Both lie in one folder, so that the folder alone does not say which library
#: is whose.
_PACKAGES = ("onnxruntime-gpu", "onnxruntime")
_NAMES = ("libonnxruntime.so", "libonnxruntime.", "onnxruntime.dll")


def library() -> str | None:
    """The library of the package that is installed beside this one; None without one."""
    for package in _PACKAGES:
        try:
            files = metadata.files(package) or []
        except metadata.PackageNotFoundError:
            continue
        for file in files:
            if file.parent.name == "capi" and file.name.startswith(_NAMES):
                path = Path(str(file.locate()))
                if path.is_file():
                    return str(path.resolve())
    return None
