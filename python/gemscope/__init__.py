"""Finds, counts, crops and judges what is in images with Gemma 4, offline.

>>> import gemscope
>>> record = gemscope.parse('[{"box_2d": [100, 200, 300, 400], "label": "cat"}]', 640, 480)
>>> record.detections[0].bbox
(128.0, 48.0, 256.0, 144.0)
"""

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
from ._records import Axis, Critique, Detection, Note, Probabilities, Record, Run
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
    "Probabilities",
    "Record",
    "Run",
    "RunError",
    "ServerError",
    "SettingsError",
    "parse",
    "read_run",
]
