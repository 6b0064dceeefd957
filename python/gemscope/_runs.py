"""Runs that are on the disk, and answers that were made elsewhere."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _native
from ._errors import SettingsError
from ._records import Record, Run

if TYPE_CHECKING:
    from typing import Unpack

    from ._settings import ParseSettings


def as_json(settings: dict[str, Any]) -> str:
    """Settings as the extension reads them; what is None is left out."""

    def plain(value: object) -> Any:
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        if isinstance(value, Iterable):
            return list(value)
        raise SettingsError(f"a {type(value).__name__} is no setting")

    return json.dumps(
        {name: value for name, value in settings.items() if value is not None}, default=plain
    )


def read_run(path: str | os.PathLike[str], *, keep_missing: bool = False, **filters: Any) -> Run:
    """The records of a run in a directory: what its exports show.

    Args:
        path: The directory that ``--out`` named.
        keep_missing: Whether images that are not there any more are kept.
        filters: Other filters than the run's own, such as ``min_score=0.3`` or ``nms=0.5``; no
            model is asked again.

    Raises:
        RunError: There is no run.
        SettingsError: A filter is unknown, or cannot be used.
    """
    records, manifest, damaged = _native.read_run(os.fspath(path), as_json(filters), keep_missing)
    shown = tuple(Record._of(told) for told in records)
    return Run(Path(path), shown, json.loads(manifest), tuple(damaged))


def parse(text: str, width: int, height: int, **settings: Unpack[ParseSettings]) -> Record:
    """Reads the answer of a model that was asked elsewhere.

    Args:
        text: The model's own words.
        width: Of the image that the model was shown, in pixels.
        height: The same.
        settings: How it is read: ``labels``, ``coordinates``, ``order``, filters.

    Returns:
        A record without a name: boxes in pixels, a status that says what could be made of the text,
        and notes about what was repaired or left out.

    Raises:
        SettingsError: A setting is unknown, or cannot be used; the image has no pixels.
    """
    return Record._of(_native.parse(text, width, height, as_json(dict(settings))))
