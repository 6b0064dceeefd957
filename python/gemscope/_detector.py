"""A model that is asked about images."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from . import _native, _onnxruntime
from ._errors import ImageError, SettingsError
from ._images import ImageLike, is_one, prepare
from ._records import Critique, Record, Run
from ._runs import as_json, read_run

if TYPE_CHECKING:
    from typing import Self, Unpack

    from ._settings import ModelSettings, QuestionSettings, RunSettings

#: What is loaded for a model: these settings are those of a detector, and not of a question.
_OF_A_MODEL = frozenset(dict(_native.sections())["model"])


_Answer = TypeVar("_Answer", Critique, Record)


def _read(path: str | os.PathLike[str], what: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{what} {os.fspath(path)}: {error}") from error


def rubric_text(rubric: str | os.PathLike[str] | None, settings: dict[str, Any]) -> str:
    """The text of a rubric: of its file, or of a ready one, which hangs on the model of ``settings``."""
    if rubric is None or rubric == "demo":
        return _native.ready_rubric(as_json(settings), rubric == "demo")
    return _read(rubric, "the rubric")


class Detector:
    """A Gemma 4 model, asked about images.

    Args:
        model: The model: a directory with an ONNX export, ``OWNER/NAME`` for one that
            ``gemscope model download`` has fetched, or ``"demo"``. Without one, ``$GEMSCOPE_MODEL``;
            without that a bundled model answers, which knows only coloured shapes.
        device: ``"auto"`` is a CUDA card if one can be used, else the CPU; or ``"cpu"``, ``"cuda"``,
            ``"cuda:N"``. Without one, ``$GEMSCOPE_DEVICE``, else ``"auto"``.
        budget: The most soft tokens of a view: 70, 140, 280, 560, 1120, or ``"auto"``. Default: the
            model's own.
        settings: Any other flag of ``gemscope detect``, with ``_`` for ``-``: ``threads=2``,
            ``server="http://localhost:8000"``, ``min_score=0.3``. Those of questions can be
            given to :meth:`detect` as well, where they count more.

    Threads may share a detector: each waits for its turn. A process that was forked from one which
    has opened a detector cannot use any: start it with ``multiprocessing``'s method ``"spawn"``.

    Raises:
        SettingsError: A setting is unknown, or cannot be used.
        ModelError: The model cannot be found or read.
        ForkError: The process was forked from one that had opened a model.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        device: str | None = None,
        budget: int | str | None = None,
        **settings: Unpack[ModelSettings],
    ) -> None:
        given = {"model": model, "device": device, "budget": budget, **settings}
        self._settings: dict[str, Any] = {
            name: value for name, value in given.items() if value is not None
        }
        # ONNX Runtime sends nothing home, from its first event on.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        self._engine = _native.Engine(as_json(self._settings), _onnxruntime.library())

    @overload
    def detect(  # type: ignore[overload-overlap]
        self,
        images: ImageLike,
        labels: str | Sequence[str] | None = None,
        *,
        phrase: str | None = None,
        prompt: str | None = None,
        tiles: str | int | None = None,
        names: str | Sequence[str] | None = None,
        **settings: Unpack[QuestionSettings],
    ) -> Record: ...
    @overload
    def detect(
        self,
        images: Iterable[ImageLike],
        labels: str | Sequence[str] | None = None,
        *,
        phrase: str | None = None,
        prompt: str | None = None,
        tiles: str | int | None = None,
        names: str | Sequence[str] | None = None,
        **settings: Unpack[QuestionSettings],
    ) -> list[Record]: ...
    def detect(
        self,
        images: ImageLike | Iterable[ImageLike],
        labels: str | Sequence[str] | None = None,
        *,
        phrase: str | None = None,
        prompt: str | None = None,
        tiles: str | int | None = None,
        names: str | Sequence[str] | None = None,
        **settings: Unpack[QuestionSettings],
    ) -> Record | list[Record]:
        """Finds things in one image, or in several.

        Args:
            images: One image, or several, which are answered together: paths, bytes of files,
                images of Pillow, or arrays of shape ``[height, width, 3]``, uint8, RGB. Files and
                images of Pillow are turned as their EXIF orientation says.
            labels: What to find: ``["person", "dog"]``, or ``"person,dog"``.
            phrase: One thing, described: ``"the dog on the left"``.
            prompt: The whole text of the question; ``{labels}`` in it stands for the labels.
            tiles: Tiles that are shown beside the whole image: ``SIZE[:OVERLAP]`` in pixels,
                ``COLUMNSxROWS[:OVERLAP]``, or ``"auto"``.
            names: What the records call the images. Default: paths as they are given, else
                ``image-0`` and so on. Sampled answers are drawn by the name.
            settings: Any other flag of ``gemscope detect`` that is no model's.

        Returns:
            A record for one image; a list of records for several, in their order. Boxes are in
            pixels of the upright image, and those that the filters leave out are counted in notes.

        Raises:
            ImageError: One image was given, and it cannot be read or answered. Of several, the
                record of such an image has the status ``failed``, and a reason.
            NeedsModelError: The demo model does not know what is asked.
            SettingsError: A setting is unknown, or cannot be used; nothing is asked.
            ModelError: The model cannot be loaded or run.
        """
        question = {
            "labels": labels,
            "phrase": phrase,
            "prompt": prompt,
            "tiles": tiles,
            **settings,
        }
        records = [Record._of(one) for one in self._told(images, names, question, None)]
        return self._one(records[0], records[0]) if is_one(images) else records

    @overload
    def critique(  # type: ignore[overload-overlap]
        self,
        images: ImageLike,
        rubric: str | os.PathLike[str] | None = None,
        *,
        names: str | Sequence[str] | None = None,
        **settings: Unpack[QuestionSettings],
    ) -> Critique: ...
    @overload
    def critique(
        self,
        images: Iterable[ImageLike],
        rubric: str | os.PathLike[str] | None = None,
        *,
        names: str | Sequence[str] | None = None,
        **settings: Unpack[QuestionSettings],
    ) -> list[Critique]: ...
    def critique(
        self,
        images: ImageLike | Iterable[ImageLike],
        rubric: str | os.PathLike[str] | None = None,
        *,
        names: str | Sequence[str] | None = None,
        **settings: Unpack[QuestionSettings],
    ) -> Critique | list[Critique]:
        """Judges one generated frame, or several, by a rubric: keep, review or reject.

        Args:
            images: As those of :meth:`detect`. The prompt of a frame is read from its file: pixels
                have none.
            rubric: The path of a rubric, or ``"demo"``, which the demo model knows. Default: the ready
                one for SDXL and the like; with the model ``"demo"`` that of the demo model.
            names: As those of :meth:`detect`.
            settings: As those of :meth:`detect`.

        Returns:
            One judgement, or a list, in the order of the images.

        Raises:
            ImageError: One image was given, and it cannot be read or answered.
            NeedsModelError: The demo model does not know the rubric.
            SettingsError: The rubric cannot be read or understood.
        """
        text = rubric_text(rubric, self._settings)
        told = self._told(images, names, dict(settings), text)
        judged = [Critique._of(one) for one in told]
        return self._one(judged[0], judged[0].record) if is_one(images) else judged

    def run(
        self,
        inputs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        out: str | os.PathLike[str],
        config: str | os.PathLike[str] | None = None,
        *,
        labels: str | Sequence[str] | None = None,
        phrase: str | None = None,
        prompt: str | None = None,
        tiles: str | int | None = None,
        rubric: str | os.PathLike[str] | None = None,
        generation: str | os.PathLike[str] | None = None,
        group_by: Literal["seed", "prompt", "folder"] | None = None,
        sort: Literal["link", "copy"] | None = None,
        export: str | Sequence[str] | None = None,
        fresh: bool = False,
        retry_failed: bool = False,
        adopt: bool = False,
        progress: Callable[[int, int], object] | None = None,
        **settings: Unpack[RunSettings],
    ) -> Run:
        """Makes a run in a directory, as ``gemscope detect`` and ``gemscope critique`` do: a record of
        each image, in a journal. The same call again goes on where it was stopped.

        Args:
            inputs: Folders, files, patterns, archives.
            out: The run's directory.
            config: The path of a pipeline in TOML; what is given here stands over it.
            labels, phrase, prompt, tiles: As those of :meth:`detect`.
            rubric: The path of a rubric, or ``"demo"``: then frames are judged.
            generation: Of a critique: a CSV of how frames were made, if their files do not say.
            group_by: Of a critique: the best frame of each seed, prompt or folder is named.
            sort: Of a critique: frames are put into folders by their verdict, as links or copies.
            export: What is written: ``"coco,csv"``, or a list of formats. Default: jsonl, coco,
                counts and crops. Of a critique, everything is.
            fresh: Whether an earlier run in ``out`` is thrown away.
            retry_failed: Whether images are tried again that failed before.
            adopt: Whether files in the way of an export are replaced.
            progress: Called with the number of images that are done, and of all, as they change, in
                the calling thread. Its exception stops the run.
            settings: Any other flag of ``gemscope detect`` that is no model's.

        Returns:
            The run, with a summary of what was done. Its records are those of the exports.

        Raises:
            RunError: The inputs or the directory cannot be used, or the model failed; what was
                answered is kept.
            KeyboardInterrupt: Ctrl-C: images in flight were finished and written before.
        """
        given = {
            "labels": labels,
            "phrase": phrase,
            "prompt": prompt,
            "tiles": tiles,
            "export": export,
            **settings,
        }
        for name, value in (("generation", generation), ("group_by", group_by), ("sort", sort)):
            if value is not None and rubric is None:
                raise SettingsError(f"{name} is a setting of a critique: give a rubric")
        listed = [inputs] if isinstance(inputs, (str, os.PathLike)) else list(inputs)
        asked: _native._Asked = {
            "inputs": [os.fspath(one) for one in listed],
            "out": os.fspath(out),
            "pipeline": None if config is None else _read(config, "the pipeline"),
            "rubric": None if rubric is None else rubric_text(rubric, self._settings),
            "generation": None if generation is None else os.fspath(generation),
            "group_by": group_by,
            "sort": sort,
            "fresh": fresh,
            "retry_failed": retry_failed,
            "adopt": adopt,
        }
        settings_json = self._merged(given)
        library = _onnxruntime.library()
        summary = json.loads(self._engine.run(settings_json, library, asked, progress))
        made = read_run(out)
        return replace(made, summary=summary)

    def _merged(self, question: Mapping[str, Any]) -> str:
        for name, value in question.items():
            if value is not None and name in _OF_A_MODEL:
                raise SettingsError(f"{name} is a setting of a Detector, not of a question")
        said = {name: value for name, value in question.items() if value is not None}
        return as_json(self._settings | said)

    @staticmethod
    def _one(one: _Answer, record: Record) -> _Answer:
        if record.status == "failed":
            raise ImageError(f"{record.image}: {record.reason}")
        return one

    def _told(
        self,
        images: Any,
        names: str | Sequence[str] | None,
        question: dict[str, Any],
        rubric: str | None,
    ) -> list[str]:
        prepared = prepare(images, names, self._turns(question))
        return self._engine.answer(self._merged(question), rubric, prepared)

    def _told_each(
        self, images: Sequence[Any], names: Sequence[str], question: dict[str, Any], rubric: str | None
    ) -> list[tuple[str, str | None]]:
        """What is told of each image, and why it could not even be handed over: it has failed then."""
        turn = self._turns(question)
        prepared: list[_native._Image] = []
        reasons: list[str | None] = []
        for image, name in zip(images, names, strict=True):
            try:
                prepared += prepare([image], [name], turn)
                reasons.append(None)
            except (TypeError, ValueError) as error:
                prepared.append((name, None, b"", None, 1))
                reasons.append(str(error).removeprefix(f"{name}: "))
        told = self._engine.answer(self._merged(question), rubric, prepared)
        # A signal stops an answer before its end, and is an exception by then.
        return list(zip(told, reasons, strict=True))

    def _turns(self, question: Mapping[str, Any]) -> bool:
        return not (question.get("no_exif") or self._settings.get("no_exif"))

    @property
    def device(self) -> str | None:
        """What computes, once an image was answered."""
        return self._engine.device

    def unload(self) -> None:
        """Lets go what is loaded of the model; the next image loads it again."""
        self._engine.unload()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.unload()
