"""Detection in images of every kind."""

from __future__ import annotations

import io
import json
import logging
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import gemscope
import numpy as np
import pytest
from PIL import Image, ImageOps

from conftest import LABELS, PHOTOS, SHAPES, command, images_in


def lines_of_the_command(folder: Path, out: Path, *flags: str) -> dict[str, dict[str, object]]:
    done = command("detect", folder, "--out", out, "--export", "jsonl", *flags)
    assert done.returncode == 0, done.stderr
    lines = map(json.loads, (out / "detections.jsonl").read_text().splitlines())
    return {line["image"]: line for line in lines}


SHOWN = [
    pytest.param(SHAPES, {"labels": LABELS}, id="shapes"),
    pytest.param(PHOTOS, {"prompt": "detect shape", "budget": 70, "max_new_tokens": 64}, id="photographs"),
]


def as_flags(settings: dict[str, object]) -> list[str]:
    return [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", str(value))]


@pytest.mark.parametrize(("folder", "question"), SHOWN)
def test_files_have_the_records_of_the_command(
    detector: gemscope.Detector, tmp_path: Path, folder: Path, question: dict[str, Any]
) -> None:
    lines = lines_of_the_command(folder, tmp_path / "run", "--model", "demo", *as_flags(question))
    names = sorted(lines)
    paths = [folder / name for name in names]
    for images in (
        paths,
        list(map(str, paths)),
        [path.read_bytes() for path in paths],
        [bytearray(path.read_bytes()) for path in paths],
    ):
        records = detector.detect(images, names=names, **question)
        assert [record.to_dict() for record in records] == [lines[name] for name in names]
    one = detector.detect(paths[0], **question)
    assert one.to_dict() == lines[names[0]] | {"image": str(paths[0])}


@pytest.mark.parametrize(("folder", "question"), SHOWN)
def test_pixels_have_the_records_of_the_command(
    detector: gemscope.Detector, tmp_path: Path, folder: Path, question: dict[str, Any]
) -> None:
    """Pillow's JPEG decoder gives other pixels by a few levels: the command is shown those of Pillow, as PNG."""
    pixels = tmp_path / "pixels"
    pixels.mkdir()
    paths = images_in(folder)
    pictures = [Image.open(path) for path in paths]
    for path, picture in zip(paths, pictures):
        exif = Image.Exif()
        exif[0x0112] = picture.getexif().get(0x0112, 1)
        picture.save(pixels / f"{path.stem}.png", exif=exif)
    lines = lines_of_the_command(pixels, tmp_path / "run", "--model", "demo", *as_flags(question))
    names = [f"{path.stem}.png" for path in paths]
    assert sorted(names) == sorted(lines)

    def compare(images: Any) -> list[gemscope.Record]:
        records = detector.detect(images, names=names, **question)
        assert [record.to_dict() for record in records] == [lines[name] for name in names]
        return records

    records = compare(pictures)
    assert {record.orientation for record in records} == ({1, 6} if folder == PHOTOS else {1})
    upright = [np.asarray(ImageOps.exif_transpose(picture).convert("RGB")) for picture in pictures]
    compare(upright)
    # Not row by row in memory, and of several in one array.
    compare([np.asfortranarray(array) for array in upright])
    several = detector.detect(np.stack([upright[0]] * 2), names=names[:2], **question)
    assert [record.to_dict() for record in several] == [lines[names[0]] | {"image": name} for name in names[:2]]


def test_boxes_and_scores_are_arrays(detector: gemscope.Detector, shapes: list[Path]) -> None:
    record = detector.detect(shapes[0], LABELS)
    assert record.xyxy.shape == (len(record.detections), 4) and record.xyxy.dtype == np.float64
    assert record.scores.shape == (len(record.detections),)
    assert record.xyxy.tolist() == [list(found.bbox) for found in record.detections]
    assert len(record.detections) > 0 and set(record.labels) <= {"star", "red circle"}
    assert record.sha256 and "box_2d" in record.answers[0]
    nothing = gemscope.parse("[]", 10, 10)
    assert nothing.xyxy.shape == (0, 4) and nothing.scores.shape == (0,)


def test_an_image_that_cannot_be_read(detector: gemscope.Detector, shapes: list[Path]) -> None:
    with pytest.raises(gemscope.ImageError, match="no-such.png.*cannot be read"):
        detector.detect("no-such.png", LABELS)
    with pytest.raises(gemscope.ImageError, match="not a JPEG"):
        detector.detect(b"no image", LABELS)
    bad, good = detector.detect(["no-such.png", shapes[0]], LABELS)
    assert (bad.status, good.status) == ("failed", "ok") and "cannot be read" in (bad.reason or "")
    assert detector.detect([], LABELS) == []


@pytest.mark.parametrize(
    ("image", "error", "says"),
    [
        (np.zeros((4, 4), np.uint8), ValueError, "4x4"),
        (np.zeros((4, 4, 4), np.uint8), ValueError, "4x4x4"),
        (np.zeros((4, 4, 3), np.float32), ValueError, "float32"),
        (np.zeros((0, 4, 3), np.uint8), ValueError, "0x4x3"),
        (Image.new("I;16", (4, 4)), ValueError, "I;16"),
        ([object()], TypeError, "object"),
        ([None], TypeError, "NoneType"),
    ],
)
def test_what_is_no_image(
    detector: gemscope.Detector, image: object, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        detector.detect(image, LABELS)  # type: ignore[call-overload]


def test_alpha_is_laid_over_white(detector: gemscope.Detector, shapes: list[Path]) -> None:
    picture = Image.open(shapes[0]).convert("RGBA")
    faded = Image.new("L", picture.size, 140)
    picture.putalpha(faded)
    file = io.BytesIO()
    picture.save(file, "png")
    of_file, of_pixels = detector.detect([file.getvalue(), picture], LABELS)
    assert of_file.detections == of_pixels.detections


def test_what_the_demo_model_does_not_know() -> None:
    detector = gemscope.Detector()
    with pytest.raises(gemscope.NeedsModelError, match="person"):
        detector.detect("any.png", ["person"])
    with pytest.raises(gemscope.NeedsModelError):
        detector.detect("any.png", phrase="the dog on the left")
    # It asks on.
    assert detector.detect(SHAPES / "scene-01.png", LABELS).status == "ok"


def test_settings_that_cannot_be_used(detector: gemscope.Detector) -> None:
    for settings, says in [
        ({"lables": "star"}, "unknown setting `lables`; did you mean `labels`"),
        ({"labels": "star", "phrase": "a star"}, "`labels` cannot be used with `phrase`"),
        ({"labels": "star", "budget": 71}, "budget"),
        ({"labels": "star", "min_score": 2}, "min_score: must be from 0 to 1"),
        ({"labels": "star", "threads": 2}, "setting of a Detector"),
        ({"labels": "star", "tiles": "many"}, "tiles"),
        ({"labels": "star", "system": object()}, "object is no setting"),
        ({"labels": ""}, "`labels` names nothing"),
        ({}, "asked"),
    ]:
        with pytest.raises(gemscope.SettingsError, match=says):
            detector.detect(SHAPES / "scene-01.png", **settings)
    with pytest.raises(gemscope.SettingsError, match="did you mean `budget`"):
        gemscope.Detector(bugdet=70)  # type: ignore[call-arg]
    with pytest.raises(gemscope.ModelError, match="no-such-model"):
        gemscope.Detector("./no-such-model")
    with pytest.raises(gemscope.SettingsError, match="device"):
        gemscope.Detector(device="gpu:first")


def test_settings_of_a_question_count_more_than_those_of_the_detector(shapes: list[Path]) -> None:
    with gemscope.Detector("demo", min_score=0.999999) as detector:
        strict = detector.detect(shapes[0], LABELS)
        lax = detector.detect(shapes[0], LABELS, min_score=0)
        assert len(strict.detections) < len(lax.detections)
        assert detector.device == "CPU" or detector.device
        tiled = detector.detect(shapes[0], LABELS, tiles="2x2", budget=70)
        assert len(tiled.answers) == 5


def test_four_threads_at_once(detector: gemscope.Detector, shapes: list[Path]) -> None:
    alone = {label: detector.detect(shapes, label) for label in ("star", "red circle")}
    found: dict[int, object] = {}

    def ask(thread: int) -> None:
        label = ("star", "red circle")[thread % 2]
        found[thread] = [detector.detect(shapes[:7], label) for _ in range(3)], alone[label][:7]

    threads = [threading.Thread(target=ask, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for several, expected in found.values():  # type: ignore[misc]
        assert all(records == expected for records in several)  # type: ignore[has-type]


def test_other_threads_of_python_go_on(detector: gemscope.Detector, shapes: list[Path]) -> None:
    done = threading.Event()
    ticks = 0

    def count() -> None:
        nonlocal ticks
        while not done.is_set():
            ticks += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    started = time.monotonic()
    detector.detect(shapes, LABELS)
    took = time.monotonic() - started
    done.set()
    thread.join()
    assert ticks > took * 50, (ticks, took)


FORKED = """
import os, sys, gemscope
detector = gemscope.Detector("demo")
detector.detect(sys.argv[1], "star")
child = os.fork()
if child == 0:
    code = 1
    for use in (lambda: detector.detect(sys.argv[1], "star"), lambda: gemscope.Detector("demo")):
        try:
            use()
        except gemscope.ForkError as error:
            code = 0 if "spawn" in str(error) else 2
        else:
            code = 3
        if code:
            break
    os._exit(code)
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_process_gets_an_error_and_does_not_hang(shapes: list[Path]) -> None:
    forked = subprocess.run([sys.executable, "-W", "ignore", "-c", FORKED, shapes[0]], timeout=60)
    assert forked.returncode == 0


STOPPED = """
import sys, gemscope
detector = gemscope.Detector("demo")
detector.detect(sys.argv[1], "star")
print("ready", flush=True)
try:
    detector.detect([sys.argv[1]] * 100000, "star")
except KeyboardInterrupt:
    record = detector.detect(sys.argv[1], "star")
    print("stopped", record.status, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals")
def test_ctrl_c_stops_a_batch(shapes: list[Path]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED, shapes[0]], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert said.startswith("stopped ") and process.returncode == 0


def test_what_the_library_says_is_logged(caplog: pytest.LogCaptureFixture, shapes: list[Path]) -> None:
    with caplog.at_level(logging.INFO, "gemscope"):
        gemscope.Detector("demo", device="auto").detect(shapes[0], LABELS)
    assert all(record.name == "gemscope" for record in caplog.records)
