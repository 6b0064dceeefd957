"""What actors of Ray do with a batch, without Ray: `python/checks/ray_run.py` runs them in it."""

from __future__ import annotations

import json
from pathlib import Path

import gemscope
import gemscope.ray
import numpy as np
import pytest
from gemscope.ray import _categories, _claimed
from PIL import Image

from conftest import LABELS, PHOTOS, ROOT, SHAPES, images_in


def lines(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return [json.loads(str(row["record"])) for row in rows]


def test_rows_are_the_records_of_detect(detector: gemscope.Detector) -> None:
    paths = images_in(SHAPES)[:3] + images_in(PHOTOS)[:2]
    names = [path.name for path in paths]
    records = detector.detect(paths, LABELS, names=names)
    actor = gemscope.ray.Detector(LABELS, model="demo")
    rows = actor.answer({"path": np.array([str(path) for path in paths]), "name": np.array(names)})
    assert lines(rows) == [record.to_dict() for record in records]
    for row, record in zip(rows, records, strict=True):
        assert (row["name"], row["status"], row["reason"]) == (record.image, record.status, None)
        assert (row["width"], row["height"]) == (record.width, record.height)
        assert row["labels"] == record.labels
        assert row["boxes"] == [list(found.bbox) for found in record.detections]
        assert row["scores"] == [found.score for found in record.detections]
    # Bytes count before paths, which then are names.
    data = np.empty(len(paths), dtype=object)
    data[:] = [path.read_bytes() for path in paths]
    by_bytes = actor.answer({"bytes": data, "path": np.array(names)})
    assert lines(by_bytes) == lines(rows)
    pixels = np.empty(3, dtype=object)
    pixels[:] = [np.asarray(Image.open(path).convert("RGB")) for path in paths[:3]]
    by_pixels = actor.answer({"image": pixels, "path": np.array(names[:3])})
    assert [row["boxes"] for row in by_pixels] == [row["boxes"] for row in rows[:3]]


def test_an_image_that_fails_is_a_row_with_a_reason() -> None:
    scene = np.asarray(Image.open(SHAPES / "scene-01.png").convert("RGB"))
    images = np.empty(5, dtype=object)
    images[:] = [scene, scene[..., 0], scene / 255, None, b"no image"]
    actor = gemscope.ray.Detector("star", model="demo")
    rows = actor.answer({"image": images, "name": np.array(list("abcde"))})
    assert [row["status"] for row in rows] == ["ok"] + ["failed"] * 4
    for row, says in zip(rows[1:], ["384x384", "float64", "no image", "image"], strict=True):
        assert says in str(row["reason"]) and (row["boxes"], row["width"]) == ([], 0)
    assert lines(rows)[1]["reason"] == rows[1]["reason"]
    gone = actor.answer({"path": np.array(["no/such.png"])})
    assert gone[0]["status"] == "failed" and gone[0]["name"] == "no/such.png"
    with pytest.raises(gemscope.SettingsError, match="image, bytes or path"):
        actor.answer({"url": np.array(["a"])})
    with pytest.raises(gemscope.SettingsError, match="name or path"):
        actor.answer({"image": images})


def test_frames_are_judged_as_critique_judges_them(detector: gemscope.Detector) -> None:
    frames = images_in(ROOT / "fixtures" / "frames")[:3]
    judged = detector.critique([*frames, b"no image"], "demo", names=["a", "b", "c", "d"])
    images = np.empty(4, dtype=object)
    images[:] = [*(path.read_bytes() for path in frames), b"no image"]
    actor = gemscope.ray.Critic("demo", model="demo")
    rows = actor.answer({"bytes": images, "name": np.array(list("abcd"))})
    assert lines(rows) == [one.to_dict() for one in judged]
    assert [row["verdict"] for row in rows] == [one.verdict for one in judged]
    assert rows[0]["axes"] == [axis.axis for axis in judged[0].axes]
    assert rows[0]["values"] == [axis.value for axis in judged[0].axes]
    assert rows[3]["status"] == "failed" and rows[3]["reason"] == judged[3].record.reason


def test_a_directory_is_of_one_question_and_one_job(tmp_path: Path) -> None:
    asked = {"root": "/photos", "categories": ["star"], "rubric": None, "settings": {"labels": "star"}}
    other = asked | {"settings": {"labels": "dog", "budget": 70}}
    with _claimed(tmp_path / "out", asked):
        with pytest.raises(gemscope.RunError, match="another job"), _claimed(tmp_path / "out", asked):
            pass
    # Nothing was answered: other settings may be tried.
    with _claimed(tmp_path / "out", other):
        pass
    (tmp_path / "out" / "records").mkdir()
    (tmp_path / "out" / "records" / "0.jsonl").write_text("{}\n")
    with _claimed(tmp_path / "out", other):
        pass
    with pytest.raises(gemscope.RunError, match="other settings: budget, labels"):
        with _claimed(tmp_path / "out", asked):
            pass
    with pytest.raises(gemscope.RunError, match="other settings: root"):
        with _claimed(tmp_path / "out", other | {"root": "/elsewhere"}):
            pass
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("mine")
    with pytest.raises(gemscope.RunError, match="not empty"), _claimed(tmp_path / "mine", asked):
        pass


def test_categories_are_the_labels_that_are_asked_for() -> None:
    assert _categories({"labels": "star, red circle,star"}) == ["star", "red circle"]
    assert _categories({"labels": ["b", "a"]}) == ["b", "a"]
    assert _categories({"phrase": "the dog, left"}) == ["the dog, left"]
    assert _categories({"labels": "a", "labels_map": "m.toml"}) == []
    assert _categories({}) == []
