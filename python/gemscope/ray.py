"""Gemscope on Ray Data: images on many machines, one engine an actor.

>>> from ray.data import ActorPoolStrategy, read_binary_files          # doctest: +SKIP
>>> images = read_binary_files("s3://bucket/photos", include_paths=True)
>>> found = images.map_batches(
...     gemscope.ray.Detector,
...     fn_constructor_kwargs={"labels": ["person", "dog"], "model": "/models/gemma-4"},
...     batch_size=64,
...     num_gpus=0.5,
...     compute=ActorPoolStrategy(size=8, max_tasks_in_flight_per_actor=2),
... )
>>> found.write_parquet("s3://bucket/found")

:func:`run` does this for folders that all machines see, with Ray's checkpoints.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _native
from ._detector import Detector as _Asked
from ._detector import rubric_text
from ._errors import RunError, SettingsError
from ._records import Critique, Record
from ._runs import as_json

if TYPE_CHECKING:
    from typing import Unpack

    from ._settings import ModelSettings, RayRunSettings

__all__ = ["Critic", "Detector", "Finished", "run"]

#: Columns of images; they are not carried on.
_IMAGES = ("image", "bytes")
#: Settings that say which images there are, what computes, and where something lies.
_CHOOSE = ("exclude", "limit", "sample", "max_depth")
_COMPUTE = ("device", "threads", "keep_graphs", "concurrency", "server_wait")
_PATHS = ("model", "calibration", "labels_map", "schema")
#: What is written below the directory of a run.
_RECORDS, _CHECKPOINT, _SETTINGS = "records", "checkpoint", "ray.json"


class _Actor:
    """What both share: rows of images in, the same rows with answers out."""

    def __init__(
        self,
        model: str | os.PathLike[str] | None,
        device: str | None,
        budget: int | str | None,
        settings: ModelSettings,
    ) -> None:
        threads = _threads()
        if threads is not None and "server" not in settings:
            settings = {"threads": threads, **settings}
        self._asked = _Asked(model, device=device, budget=budget, **settings)
        self._question: dict[str, Any] = {}
        self._rubric: str | None = None

    def __call__(self, batch: Mapping[str, Any]) -> Any:
        """The answers about a batch in numpy's format, beside its other columns, as a table of Arrow
        whose types are the same in all blocks.

        Raises:
            SettingsError: There is no column of images, or none of names.
            ModelError: The model cannot be loaded or run.
        """
        from ._ray_files import table

        carried = {name: column for name, column in batch.items() if name not in _IMAGES}
        return table(carried, self.answer(batch))

    def answer(self, batch: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The same as rows, without the columns of the batch. An image that fails is a row with a
        reason."""
        images, names = _images_of(batch)
        told = self._asked._told_each(images, names, self._question, self._rubric)
        return [
            {"name": name} | self._row(one, reason)
            for name, (one, reason) in zip(names, told, strict=True)
        ]

    def _row(self, told: str, reason: str | None) -> dict[str, Any]:
        raise NotImplementedError


class Detector(_Actor):
    """Finds things in the images of a batch: for ``Dataset.map_batches``, whose ``batch_size`` says how
    many are answered together (the more, the better they fill the engine).

    A batch has a column of images: ``image`` (pixels ``[height, width, 3]``, uint8, RGB), ``bytes``
    (of files) or ``path`` (of files that the actor's machine sees); the first that is there counts. It
    has a column ``name``, or ``path``, of what records call the images. Every column but ``image`` and
    ``bytes`` is carried on. These are added:

    ======================  ==========================================================================
    ``name``                what the record calls the image
    ``width``, ``height``   of the upright image in pixels; 0 if it could not be read
    ``status``, ``reason``  as in ``detections.jsonl``; ``failed`` has a reason, all others None
    ``labels``              the labels of the boxes
    ``boxes``               ``[x0, y0, x1, y1]`` of each, in pixels of the upright image
    ``scores``              0 to 1 for each; None without one
    ``text``                the answer to a question that asks for no boxes, else None
    ``record``              the line of ``detections.jsonl``: nothing is rounded
    ======================  ==========================================================================

    One actor holds one engine. It takes as many threads as Ray has given it CPUs (``num_cpus``), unless
    ``threads`` is said, and the cards that Ray shows it (``num_gpus``; half a card: two engines in one).

    Args:
        labels: As those of :meth:`gemscope.Detector.detect`, like ``phrase``, ``prompt`` and ``tiles``.
        model: As that of :class:`gemscope.Detector`, like ``device``, ``budget`` and ``settings``.
    """

    def __init__(
        self,
        labels: str | Sequence[str] | None = None,
        *,
        phrase: str | None = None,
        prompt: str | None = None,
        tiles: str | int | None = None,
        model: str | os.PathLike[str] | None = None,
        device: str | None = None,
        budget: int | str | None = None,
        **settings: Unpack[ModelSettings],
    ) -> None:
        super().__init__(model, device, budget, settings)
        question = {"labels": labels, "phrase": phrase, "prompt": prompt, "tiles": tiles}
        self._question = question

    def _row(self, told: str, reason: str | None) -> dict[str, Any]:
        record = Record._of(told)
        line = record.to_dict() | ({} if reason is None else {"reason": reason})
        return {
            "width": record.width,
            "height": record.height,
            "status": record.status,
            "reason": line.get("reason"),
            "labels": record.labels,
            "boxes": [list(found.bbox) for found in record.detections],
            "scores": [found.score for found in record.detections],
            "text": record.text,
            "record": _line(line),
        }


class Critic(_Actor):
    """Judges the frames of a batch by a rubric: for ``Dataset.map_batches``, like :class:`Detector`, with
    other columns. Pixels have no prompt: give ``path`` or ``bytes`` if the rubric asks about it.

    =======================  ===========================================================================
    ``name``                 what the record calls the frame
    ``verdict``, ``rule``    ``keep``, ``review`` or ``reject``, and the rule that said so
    ``overall``              the rubric's mean of all axes, 0 to 1; None if an axis has no value
    ``axes``, ``values``     each axis, and its value, 0 to 1; None without one
    ``status``, ``reason``   as those of :class:`Detector`
    ``record``               the line of ``verdicts.jsonl``: nothing is rounded
    =======================  ===========================================================================

    Args:
        rubric: As that of :meth:`gemscope.Detector.critique`.
        model: As that of :class:`gemscope.Detector`, like ``device``, ``budget`` and ``settings``.
    """

    def __init__(
        self,
        rubric: str | os.PathLike[str] | None = None,
        *,
        model: str | os.PathLike[str] | None = None,
        device: str | None = None,
        budget: int | str | None = None,
        **settings: Unpack[ModelSettings],
    ) -> None:
        super().__init__(model, device, budget, settings)
        self._rubric = rubric_text(rubric, self._asked._settings)

    def _row(self, told: str, reason: str | None) -> dict[str, Any]:
        judged = Critique._of(told)
        return {
            "verdict": judged.verdict,
            "rule": judged.rule,
            "overall": judged.overall,
            "axes": [axis.axis for axis in judged.axes],
            "values": [axis.value for axis in judged.axes],
            "status": judged.record.status,
            "reason": reason or judged.record.reason,
            "record": _line(judged.to_dict()),
        }


@dataclass(frozen=True)
class Finished:
    """What :func:`run` did."""

    #: Its directory.
    path: Path
    #: How many images the inputs hold.
    images: int
    #: How many of them were answered now: the others were before.
    answered: int

    def lines(self) -> Iterator[dict[str, Any]]:
        """Every record as its line of ``detections.jsonl`` (``verdicts.jsonl``), in no order."""
        for part in sorted((self.path / _RECORDS).glob("*.jsonl")):
            with part.open(encoding="utf-8") as lines:
                yield from map(json.loads, lines)


def run(
    inputs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    labels: str | Sequence[str] | None = None,
    *,
    phrase: str | None = None,
    prompt: str | None = None,
    tiles: str | int | None = None,
    rubric: str | os.PathLike[str] | None = None,
    model: str | os.PathLike[str] | None = None,
    device: str | None = None,
    budget: int | str | None = None,
    actors: int | tuple[int, int] = 1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    max_tasks: int = 2,
    batch_size: int = 64,
    images_per_file: int = 256,
    **settings: Unpack[RayRunSettings],
) -> Finished:
    """Answers about the images of folders with actors of Ray, into files of JSON lines below ``out``:
    ``out/records/*.jsonl`` holds every image once. ``gemscope convert out --to coco`` makes a dataset of
    them. Ray's checkpoints lie in ``out/checkpoint``: the same call again, after whatever has
    stopped it, answers about what is missing, and about images that are new.

    All machines need the folders, ``out`` and the model under the same paths. One job at a time may
    write to ``out``.

    Args:
        inputs: Folders, files, patterns; no archives.
        labels: As those of :meth:`gemscope.Detector.detect`, like ``phrase``, ``prompt`` and ``tiles``.
        rubric: As that of :meth:`gemscope.Detector.critique`: then frames are judged.
        model: As that of :class:`gemscope.Detector`, like ``device``, ``budget`` and ``settings``.
        actors: How many engines there are, or the least and the most.
        num_cpus: CPUs of an actor, and so its threads. Default: Ray's, which is 1, and 0 with a card.
        num_gpus: Cards of an actor; 0.5 puts two engines on one.
        memory: Bytes that Ray reserves for an actor: the model's, and some 8 MB an image of a batch.
        max_tasks: Tasks that Ray sends to an actor before it has answered: at least 2 keep it busy.
        batch_size: How many images an engine is given at once.
        images_per_file: How many images are one task of Ray and one file. An image that was answered
            when its task died is answered again, so this bounds what a failure costs.
        settings: Any other flag of ``gemscope detect``: ``exclude``, ``limit``, ``min_score`` ...

    Returns:
        What was done; its ``lines()`` are the records.

    Raises:
        RunError: The inputs or ``out`` cannot be used; ``out`` was written with other settings.
        SettingsError: A setting is unknown, or cannot be used; nothing is asked.
        ImportError: Without ``ray[data]``.
    """
    from ray.data import ActorPoolStrategy, read_datasource
    from ray.data.checkpoint import CheckpointConfig

    from ._ray_files import Lines, Names

    if images_per_file < 1 or batch_size < 1:
        raise SettingsError("images_per_file and batch_size are at least 1")
    directory = Path(out).absolute()
    asked = {
        "phrase": phrase,
        "prompt": prompt,
        "tiles": tiles,
        "model": model or os.environ.get("GEMSCOPE_MODEL"),
        "device": device or os.environ.get("GEMSCOPE_DEVICE"),
        "budget": budget,
        **settings,
    }
    asked = {name: value for name, value in asked.items() if value is not None}
    if rubric is None:
        asked["labels"] = labels
    elif labels is not None or phrase is not None or prompt is not None:
        raise SettingsError("a rubric has its own questions: labels, phrase and prompt are not asked")
    for name, value in asked.items():
        # Actors run elsewhere: in other folders, and with another environment.
        if name in _PATHS and os.path.exists(str(value)):
            asked[name] = os.path.abspath(str(value))
    listed = [inputs] if isinstance(inputs, (str, os.PathLike)) else list(inputs)
    paths = [os.fspath(one) for one in listed]
    found, names = _native.list_images(paths, directory, as_json(asked))
    root = os.fspath(found)
    text = None
    if rubric is not None:
        text = rubric_text(rubric, asked)
        rubric = rubric if rubric == "demo" else os.path.abspath(rubric)
    asked = {name: value for name, value in asked.items() if name not in _CHOOSE}
    plain: dict[str, Any] = json.loads(as_json(asked))
    kept = {
        "root": root,
        "categories": _categories(asked),
        "rubric": text,
        # What computes makes no difference to what is asked.
        "settings": {name: value for name, value in plain.items() if name not in _COMPUTE},
    }
    with _claimed(directory, kept):
        before = _checkpointed(directory)
        asker = Detector if rubric is None else Critic
        first, last = (actors, actors) if isinstance(actors, int) else actors
        compute = ActorPoolStrategy(
            min_size=first, max_size=last, max_tasks_in_flight_per_actor=max_tasks
        )
        constructor = asked if rubric is None else asked | {"rubric": rubric}
        blocks = Names(root, names, images_per_file)
        images = read_datasource(blocks, override_num_blocks=blocks.tasks)
        images.context.checkpoint_config = CheckpointConfig(
            id_column="name",
            checkpoint_path=str(directory / _CHECKPOINT),
            delete_checkpoint_on_success=False,
        )
        answered = images.map_batches(
            asker,
            fn_constructor_kwargs=constructor,
            batch_size=min(batch_size, images_per_file),
            batch_format="numpy",
            compute=compute,
            num_cpus=num_cpus,
            num_gpus=num_gpus,
            memory=memory,
        )
        answered.write_datasink(Lines(str(directory / _RECORDS)))
        return Finished(directory, len(names), _checkpointed(directory) - before)


def _images_of(batch: Mapping[str, Any]) -> tuple[list[Any], list[str]]:
    """The images of a batch, and their names."""
    column = next((name for name in (*_IMAGES, "path") if name in batch), None)
    named = next((name for name in ("name", "path") if name in batch), None)
    if column is None or named is None:
        there = ", ".join(batch)
        says = "rows need a column of images (image, bytes or path) and one of names (name or path)"
        raise SettingsError(f"{says}; there are {there}")
    return list(batch[column]), [str(name) for name in batch[named]]


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def _threads() -> int | None:
    """The CPUs that Ray has given to this actor; None where there is none, or none was given."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return None
    given = ray.get_runtime_context().get_assigned_resources().get("CPU")
    return max(1, int(given)) if given else None


def _categories(asked: Mapping[str, Any]) -> list[str]:
    """The labels that a dataset has whether they are found or not, in their order."""
    if asked.get("labels_map") is not None:
        return []
    labels = asked.get("labels") or asked.get("phrase") or []
    if isinstance(labels, str):
        labels = labels.split(",") if asked.get("labels") else [labels]
    return list(dict.fromkeys(name for name in map(str.strip, labels) if name))


def _checkpointed(directory: Path) -> int:
    """How many images are written and known to be."""
    from pyarrow.parquet import ParquetFile

    files = (directory / _CHECKPOINT).glob("*.parquet")
    committed = [file for file in files if not file.name.endswith(".pending.parquet")]
    return sum(ParquetFile(file).metadata.num_rows for file in committed)


@contextmanager
def _claimed(directory: Path, asked: dict[str, Any]) -> Iterator[None]:
    """Sees that what is in ``directory`` was asked the same, and that no other job writes there."""
    path = directory / _SETTINGS
    directory.mkdir(parents=True, exist_ok=True)
    strange = [entry.name for entry in directory.iterdir()]
    if strange and not path.exists():
        raise RunError(f"{directory} is not empty, and nothing that Ray has written for Gemscope")
    with path.open("a+", encoding="utf-8") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            pass
        except OSError as error:
            raise RunError(f"{directory}: another job writes there ({error})") from error
        file.seek(0)
        text = file.read()
        try:
            known = json.loads(text) if text else asked
        except ValueError as error:
            raise RunError(f"{path}: {error}") from error
        if not any((directory / _RECORDS).glob("*.jsonl")):
            # Nothing was answered: the settings may well have been wrong.
            text, known = "", asked
        other = [name for name in asked if known.get(name) != asked[name]]
        if "settings" in other:
            was, now = known.get("settings") or {}, asked["settings"]
            names = sorted(name for name in was | now if was.get(name) != now.get(name))
            other = [name for name in other if name != "settings"] + names
        if other:
            raise RunError(f"{directory} was written with other settings: {', '.join(other)}")
        if not text:
            file.truncate(0)
            file.write(json.dumps(asked, indent=1, ensure_ascii=False) + "\n")
            file.flush()
        yield
