"""Runs, answers that were made elsewhere, and settings."""

from __future__ import annotations

import json
from pathlib import Path

import gemscope
import pytest
from gemscope import _native, _settings

from conftest import LABELS, ROOT, SHAPES, command


def test_a_run_reads_as_its_export_does(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert command("detect", SHAPES, "--labels", LABELS, "--out", out, "--export", "jsonl").returncode == 0
    run = gemscope.read_run(out)
    lines = [json.loads(line) for line in (out / "detections.jsonl").read_text().splitlines()]
    assert [record.to_dict() for record in run] == lines and len(run) == 20
    assert run[0].image == "scene-01.png" and run[:2] == run.records[:2]
    assert run.manifest["settings"]["task"] and run.damaged == ()
    sure = gemscope.read_run(out, min_score=0.9999)
    assert sum(len(record.detections) for record in sure) < sum(len(record.detections) for record in run)


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(gemscope.RunError, match="run.json|journal"):
        gemscope.read_run(tmp_path)
    with pytest.raises(gemscope.SettingsError, match="did you mean `min_score`"):
        gemscope.read_run(tmp_path, min_scor=0.5)


def test_an_answer_is_read_as_the_command_reads_it(tmp_path: Path) -> None:
    answers = [
        json.loads(line)
        for file in sorted((ROOT / "fixtures" / "answers").glob("*.jsonl"))
        for line in file.read_text().splitlines()
    ]
    texts = [answer["text"] for answer in answers if isinstance(answer.get("text"), str)]
    texts += ['[{"box_2d": [100, 200, 300, 400], "label": "cat"}]', "I see nothing.", "", "[]"]
    file = tmp_path / "answers.jsonl"
    rows = [{"image": f"{i:04}.png", "width": 640, "height": 480, "text": text} for i, text in enumerate(texts)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    printed = command("parse", file).stdout.splitlines()
    assert len(printed) == len(texts)
    for line, text in zip(printed, texts):
        read, expected = gemscope.parse(text, 640, 480).to_dict(), json.loads(line)
        assert read["status"] == expected["status"], text
        assert read["detections"] == expected["detections"], text


def test_how_an_answer_is_read() -> None:
    text = '[{"box_2d": [10, 20, 30, 40], "label": "cat"}, {"box_2d": [1, 2, 3, 4], "label": "dog"}]'
    pixels = gemscope.parse(text, 640, 480, coordinates="pixels", order="xyxy", labels=["cat"], strict_labels=True)
    assert [(found.label, found.bbox) for found in pixels.detections] == [("cat", (10, 20, 30, 40))]
    assert gemscope.parse("[", 640, 480).status == "truncated"
    with pytest.raises(gemscope.SettingsError, match="no pixels"):
        gemscope.parse(text, 0, 480)
    with pytest.raises(gemscope.SettingsError, match="order"):
        gemscope.parse(text, 640, 480, order="zyx")  # type: ignore[arg-type]


def test_the_settings_of_the_stubs_are_those_of_the_library() -> None:
    sections = dict(_native.sections())
    of_model = set(sections["model"]) | {"answer_timeout"}
    named = {"model", "device", "budget", "labels", "phrase", "prompt", "tiles"}
    of_question = {
        setting
        for section in ("task", "preprocess", "decoding", "answer")
        for setting in sections[section]
    } - {"prompts"}
    question = set(_settings.QuestionSettings.__annotations__)
    model = set(_settings.ModelSettings.__annotations__) - question
    assert question == of_question - named
    assert model == of_model - named
    assert set(_settings.ParseSettings.__annotations__) <= of_question
