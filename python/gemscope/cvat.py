"""Gemscope in CVAT: a function for ``cvat-cli task auto-annotate`` (``pip install cvat-cli``).

    cvat-cli --server-host HOST task auto-annotate TASK --function-module gemscope.cvat \\
        -p labels=str:person,dog -p model=str:/models/gemma-4-E2B-it-ONNX --conf-threshold 0.3

Parameters are those of :func:`create`. The labels have to be labels of the task.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from ._detector import Detector
from ._errors import SettingsError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["create"]


class _Function:
    """What CVAT's tools call for each image of a task."""

    def __init__(self, labels: list[str], detector: Detector) -> None:
        import cvat_sdk.auto_annotation as cvataa

        self._cvataa = cvataa
        self._labels = labels
        self._detector = detector
        specs = [cvataa.label_spec(label, place) for place, label in enumerate(labels)]
        self.spec = cvataa.DetectionFunctionSpec(labels=specs)

    def detect(self, context: Any, image: Image) -> list[Any]:
        """The boxes of one image (``LabeledShapeRequest``), in pixels of the upright image. One that has no
        answer has none, and a warning says why: the rest of the task goes on."""
        least = {} if context.conf_threshold is None else {"min_score": context.conf_threshold}
        try:
            record = self._detector.detect(image, self._labels, names=context.frame_name, **least)
        except ValueError as error:
            if isinstance(error, SettingsError):
                raise
            warnings.warn(str(error), stacklevel=2)
            return []
        shapes = []
        for found in record.detections:
            if found.label in self._labels:
                scored = {} if found.score is None else {"score": found.score}
                place = self._labels.index(found.label)
                shapes.append(self._cvataa.rectangle(place, list(found.bbox), **scored))
        return shapes


def create(labels: str, model: str | None = None, **settings: Any) -> Any:
    """The function that CVAT's tools load.

    Args:
        labels: What to find: ``person,dog``.
        model: As that of :class:`gemscope.Detector`.
        settings: Any other flag of ``gemscope detect``: ``-p budget=int:280``, ``-p device=str:cuda``.

    Raises:
        SettingsError: There are no labels, or a setting cannot be used.
    """
    wanted = list(dict.fromkeys(name for name in map(str.strip, labels.split(",")) if name))
    if not wanted:
        raise SettingsError("no labels: -p labels=str:person,dog")
    return _Function(wanted, Detector(model, **settings))
