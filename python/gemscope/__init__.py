"""Finds, counts, crops and judges what is in images with Gemma 4, offline.

>>> import gemscope
>>> record = gemscope.parse('[{"box_2d": [100, 200, 300, 400], "label": "cat"}]', 640, 480)
>>> record.detections[0].bbox
(128.0, 48.0, 256.0, 144.0)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._detector import Detector
    from ._errors import (
        ForkError,
        GemscopeError,
        ImageError,
        ModelError,
        NeedsModelError,
        OnnxRuntimeError,
        RunError,
        ServerError,
        SettingsError,
    )
    from ._images import ImageLike
    from ._records import Axis, Critique, Detection, Note, Point, Probabilities, Record, Run
    from ._runs import parse, read_run

__all__ = [
    "Axis",
    "Critique",
    "Detection",
    "Detector",
    "ForkError",
    "GemscopeError",
    "ImageError",
    "ImageLike",
    "ModelError",
    "NeedsModelError",
    "Note",
    "OnnxRuntimeError",
    "Point",
    "Probabilities",
    "Record",
    "Run",
    "RunError",
    "ServerError",
    "SettingsError",
    "parse",
    "read_run",
]

#: Where each name comes from: it is imported when it is asked for, so that `gemscope.onnx_export` runs
#: from a checkout in which nothing was built.
_HOMES = {
    "_detector": ("Detector",),
    "_errors": ("ForkError", "GemscopeError", "ImageError", "ModelError", "NeedsModelError", "OnnxRuntimeError", "RunError", "ServerError", "SettingsError"),
    "_images": ("ImageLike",),
    "_records": ("Axis", "Critique", "Detection", "Note", "Point", "Probabilities", "Record", "Run"),
    "_runs": ("parse", "read_run"),
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    for home, names in _HOMES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(f".{home}", __name__), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
