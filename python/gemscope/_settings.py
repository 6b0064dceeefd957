"""The flags of `gemscope detect` as settings. A test holds them against the extension's own list."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal, TypedDict

_Path = str | os.PathLike[str]


class QuestionSettings(TypedDict, total=False):
    """Settings of a question, beside those that :meth:`gemscope.Detector.detect` names. The flags of
    ``gemscope detect --help`` with ``_`` for ``-``."""

    per_label: bool | None
    answer: Literal["boxes", "text"] | None
    schema: _Path | None
    system: str | None
    thinking: bool | None
    image_newlines: bool | None
    # How images are shown.
    max_budget: int | None
    fast_decode: bool | None
    no_exif: bool | None
    max_pixels: int | None
    min_rows: float | None
    # How answers are generated.
    decoding: Literal["grammar", "free"] | None
    open_labels: bool | None
    max_boxes: int | None
    max_new_tokens: int | None
    batch: int | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    seed: int | None
    # How they are read.
    coordinates: str | int | None
    order: Literal["yxyx", "xyxy"] | None
    join: float | None
    # Which boxes are shown.
    score: Literal["coordinates", "label", "joint", "stated"] | None
    calibration: _Path | None
    min_score: float | None
    min_area: str | float | None
    max_area: str | float | None
    min_aspect: float | None
    max_aspect: float | None
    drop_edge: bool | None
    duplicates: float | None
    nms: float | None
    nms_agnostic: bool | None
    labels_map: _Path | None
    strict_labels: bool | None


class ModelSettings(QuestionSettings, total=False):
    """Settings of a model, beside those that :class:`gemscope.Detector` names."""

    dtype: str | None
    activations: str | None
    threads: int | None
    keep_graphs: bool | None
    allow_inexact: bool | None
    server: str | None
    server_model: str | None
    server_kind: Literal["auto", "vllm", "llama", "ollama", "openai"] | None
    server_pictures: Literal["png", "jpeg"] | None
    server_wait: float | None
    concurrency: int | None
    answer_timeout: float | None


class RunSettings(QuestionSettings, total=False):
    """Settings of a run, beside those that :meth:`gemscope.Detector.run` names."""

    prompts: _Path | None
    exclude: str | Sequence[str] | None
    max_depth: int | None
    limit: int | None
    sample: int | None
    frames: str | int | None
    start: str | float | None
    end: str | float | None
    keep_missing: bool | None
    sync_every: float | None
    answer_timeout: float | None


class RayRunSettings(ModelSettings, total=False):
    """Settings of a run on Ray, beside those that :func:`gemscope.ray.run` names."""

    exclude: str | Sequence[str] | None
    max_depth: int | None
    limit: int | None
    sample: int | None


class ParseSettings(TypedDict, total=False):
    """Settings of :func:`gemscope.parse`."""

    labels: str | Sequence[str] | None
    answer: Literal["boxes", "text"] | None
    coordinates: str | int | None
    order: Literal["yxyx", "xyxy"] | None
    strict_labels: bool | None
    labels_map: _Path | None
    min_score: float | None
    nms: float | None
