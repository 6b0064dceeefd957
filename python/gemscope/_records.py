"""What is known of an image, and of a run."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas
    import polars
    import supervision
    from PIL.Image import Image as PilImage

    from ._images import ImageLike

# The columns of a run's table.
_OF_AN_IMAGE = ("image", "width", "height", "status")
_OF_A_BOX = ("label", "x0", "y0", "x1", "y1", "score")
_NUMBERS = ("x0", "y0", "x1", "y1", "score")


@dataclass(frozen=True)
class Probabilities:
    """Probabilities that the decoder gave to the tokens of a box, 0 to 1: geometric means."""

    #: Over the tokens of the four coordinates.
    coordinates: float
    #: Over the tokens of the label; None if the box came without one.
    label: float | None


@dataclass(frozen=True)
class Detection:
    """One thing that was found."""

    #: The answer's word for it.
    label: str
    #: ``(x0, y0, x1, y1)`` in pixels of the upright image, with ``0 <= x0 < x1 <= width``.
    bbox: tuple[float, float, float, float]
    #: How sure the model was, 0 to 1; None if the answer came without probabilities.
    score: float | None
    #: What the score is made of.
    probabilities: Probabilities | None = None
    #: How sure the model says that it is, in its own words.
    stated_confidence: float | None = None
    #: What the model says about it, if it was asked.
    sentence: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """What stands in a line of ``detections.jsonl``."""
        made: dict[str, Any] = {"label": self.label, "bbox": list(self.bbox), "score": self.score}
        if self.probabilities is not None:
            probabilities = self.probabilities
            made["probabilities"] = {
                "coordinates": probabilities.coordinates,
                "label": probabilities.label,
            }
        if self.stated_confidence is not None:
            made["stated_confidence"] = self.stated_confidence
        if self.sentence is not None:
            made["sentence"] = self.sentence
        return made

    @classmethod
    def _of(cls, made: dict[str, Any]) -> Detection:
        x0, y0, x1, y1 = made["bbox"]
        probabilities = made.get("probabilities")
        return cls(
            label=made["label"],
            bbox=(x0, y0, x1, y1),
            score=made["score"],
            probabilities=None if probabilities is None else Probabilities(**probabilities),
            stated_confidence=made.get("stated_confidence"),
            sentence=made.get("sentence"),
        )


@dataclass(frozen=True)
class Point:
    """The place of one thing, of which no box is known: in pixels of the upright image."""

    label: str
    x: float
    y: float

    def to_dict(self) -> dict[str, Any]:
        """What stands in a line of ``detections.jsonl``."""
        return {"label": self.label, "x": self.x, "y": self.y}


@dataclass(frozen=True)
class Note:
    """Something that was put right or left out, and how often. docs/FORMATS.md has the kinds."""

    kind: str
    count: int
    detail: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """What stands in a line of ``detections.jsonl``."""
        made: dict[str, Any] = {"kind": self.kind, "count": self.count}
        if self.detail is not None:
            made["detail"] = self.detail
        return made


@dataclass(frozen=True)
class Record:
    """What is known of one image."""

    #: Its name: the path as it was given, a name that was given, or its place in the batch.
    image: str
    #: Of the upright image, in pixels; 0 if it could not be read.
    width: int
    #: Of the upright image, in pixels; 0 if it could not be read.
    height: int
    #: ok, empty, text, salvaged, truncated, looped, refused or failed: docs/FORMATS.md has them.
    status: str
    #: Why it failed.
    reason: str | None = None
    #: What was found, as the filters show it.
    detections: tuple[Detection, ...] = ()
    #: What was put right or left out on the way.
    notes: tuple[Note, ...] = ()
    #: The answer to a question that asks for no boxes.
    text: str | None = None
    #: When, and with which camera, the image was taken, if its file says.
    capture: dict[str, str] = field(default_factory=dict)
    #: SHA-256 of the file's bytes, in hex; None for pixels.
    sha256: str | None = None
    #: The file's EXIF orientation, 1 to 8. It is applied.
    orientation: int = 1
    #: The model's own words: a text for each question and view.
    answers: tuple[str, ...] = ()
    #: What an answer points at that has no boxes.
    points: tuple[Point, ...] = ()
    #: The values of a structured answer about the whole image.
    fields: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """What the command writes of the image: its line of ``detections.jsonl``."""
        made: dict[str, Any] = {
            "image": self.image,
            "width": self.width,
            "height": self.height,
            "status": self.status,
        }
        if self.reason is not None:
            made["reason"] = self.reason
        made["detections"] = [detection.to_dict() for detection in self.detections]
        if self.points:
            made["points"] = [point.to_dict() for point in self.points]
        made["notes"] = [note.to_dict() for note in self.notes]
        if self.text is not None:
            made["text"] = self.text
        if self.fields is not None:
            made["fields"] = self.fields
        return made | self.capture

    @property
    def xyxy(self) -> NDArray[np.float64]:
        """The boxes, ``[n, 4]``, float64: ``x0, y0, x1, y1`` in pixels of the upright image."""
        boxes = [detection.bbox for detection in self.detections]
        return np.array(boxes, dtype=np.float64).reshape(-1, 4)

    @property
    def scores(self) -> NDArray[np.float64]:
        """The scores, ``[n]``, float64, 0 to 1; NaN for a box without one."""
        scores = [detection.score for detection in self.detections]
        return np.array([np.nan if score is None else score for score in scores], dtype=np.float64)

    @property
    def labels(self) -> list[str]:
        """The labels of the boxes, in their order."""
        return [detection.label for detection in self.detections]

    def to_supervision(self) -> supervision.Detections:
        """The boxes as ``supervision.Detections``: ``xyxy`` in float32, ``confidence`` with NaN for
        a box without a score, and ``data["class_name"]``. Class ids count the labels of this record,
        sorted by name.

        Raises:
            ImportError: without the package supervision.
        """
        import supervision

        names = sorted(set(self.labels))
        return supervision.Detections(
            xyxy=self.xyxy.astype(np.float32),
            confidence=self.scores.astype(np.float32),
            class_id=np.array([names.index(label) for label in self.labels], dtype=int),
            data={"class_name": np.array(self.labels, dtype=str)},
        )

    def plot(self, image: ImageLike | None = None, *, width: int | None = None) -> PilImage:
        """Draws the boxes into an image of Pillow, with labels and scores.

        Args:
            image: What was asked about; None is the file that the record is called by.
            width: Of the lines, in pixels. Default: by the size of the image.

        Raises:
            ImageError: The image is not of the record's size, upright.
            ImportError: without Pillow.
        """
        from ._plot import plot

        return plot(self, self.image if image is None else image, width)

    @classmethod
    def _of(cls, told: str) -> Record:
        return cls._of_read(json.loads(told))

    @classmethod
    def _of_read(cls, read: dict[str, Any]) -> Record:
        line, more = read["line"], read["more"]
        known = ("image", "width", "height", "status", "reason", "detections", "points", "notes", "text", "fields")
        return cls(
            image=line["image"],
            width=line["width"],
            height=line["height"],
            status=line["status"],
            reason=line.get("reason"),
            detections=tuple(Detection._of(made) for made in line["detections"]),
            notes=tuple(Note(**note) for note in line["notes"]),
            text=line.get("text"),
            capture={key: value for key, value in line.items() if key not in known},
            sha256=more["sha256"],
            orientation=more["orientation"],
            answers=tuple(more["answers"]),
            fields=line.get("fields"),
            points=tuple(Point(**point) for point in line.get("points", ())),
        )


@dataclass(frozen=True)
class Axis:
    """How a frame is on one axis of a rubric."""

    #: Its name in the rubric.
    axis: str
    #: From 0 (the first word) to 1 (the last), or the count of defects as the rubric weighs it; None
    #: if it was not asked.
    value: float | None
    #: How unsure the answer was, in bits.
    entropy: float
    #: What the words have of the whole vocabulary's probability, 0 to 1.
    mass: float
    #: Everything else that ``verdicts.jsonl`` says of it.
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Critique:
    """A frame, judged by a rubric."""

    #: keep, review or reject.
    verdict: str
    #: The rule that fired as it is written, or why none could.
    rule: str
    #: The rubric's mean of all axes, 0 to 1; None if an axis has no value.
    overall: float | None
    #: Each axis, in the order of the rubric.
    axes: tuple[Axis, ...]
    #: What is known of the image; its detections are defects.
    record: Record
    _line: dict[str, Any] = field(repr=False)

    @property
    def image(self) -> str:
        """The name of the frame."""
        return self.record.image

    def to_dict(self) -> dict[str, Any]:
        """What the command writes of the frame: its line of ``verdicts.jsonl``."""
        return copy.deepcopy(self._line)

    @classmethod
    def _of(cls, told: str) -> Critique:
        read = json.loads(told)
        line = read["verdict"]
        axes = []
        for axis in line["axes"]:
            named = {key: axis.get(key) for key in ("axis", "value", "entropy", "mass")}
            more = {key: value for key, value in axis.items() if key not in named}
            axes.append(Axis(**named, more=more))
        return cls(
            verdict=line["verdict"],
            rule=line["rule"],
            overall=line["overall"],
            axes=tuple(axes),
            record=Record._of_read(read),
            _line=line,
        )


@dataclass(frozen=True)
class Run(Sequence[Record]):
    """The records of a run, sorted by image."""

    #: Its directory.
    path: Path
    #: What is known of each image.
    records: tuple[Record, ...]
    #: What the run was asked to do: ``run.json``.
    manifest: dict[str, Any]
    #: Lines of its journal that are no records.
    damaged: tuple[str, ...] = ()
    #: What :meth:`gemscope.Detector.run` did: counts, seconds, what was written.
    summary: dict[str, Any] | None = None

    def rows(self) -> list[dict[str, Any]]:
        """A row for each box: image, width, height, status, label, x0, y0, x1, y1 (pixels), score. An
        image without boxes has one row, whose label and box are None."""
        rows = []
        for record in self.records:
            of_image = {
                "image": record.image,
                "width": record.width,
                "height": record.height,
                "status": record.status,
            }
            for found in record.detections:
                x0, y0, x1, y1 = found.bbox
                box = {"label": found.label, "x0": x0, "y0": y0, "x1": x1, "y1": y1}
                rows.append(of_image | box | {"score": found.score})
            if not record.detections:
                rows.append(of_image | dict.fromkeys(_OF_A_BOX))
        return rows

    def to_pandas(self) -> pandas.DataFrame:
        """:meth:`rows` as a table of pandas; numbers that are not there are NaN.

        Raises:
            ImportError: without pandas.
        """
        import pandas

        table = pandas.DataFrame(self.rows(), columns=[*_OF_AN_IMAGE, *_OF_A_BOX])
        return table.astype(dict.fromkeys(_NUMBERS, "float64"))

    def to_polars(self) -> polars.DataFrame:
        """:meth:`rows` as a table of polars; what is not there is null.

        Raises:
            ImportError: without polars.
        """
        import polars

        schema: dict[str, type[polars.DataType]] = dict.fromkeys(
            [*_OF_AN_IMAGE, *_OF_A_BOX], polars.String
        )
        schema |= dict.fromkeys(("width", "height"), polars.Int64)
        schema |= dict.fromkeys(_NUMBERS, polars.Float64)
        return polars.DataFrame(self.rows(), schema=schema)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Record, ...]: ...
    def __getitem__(self, index: int | slice) -> Record | tuple[Record, ...]:
        return self.records[index]

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)
