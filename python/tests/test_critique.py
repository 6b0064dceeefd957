"""Frames, judged."""

from __future__ import annotations

import json
from pathlib import Path

import gemscope
import pytest

from conftest import ROOT, command

FRAMES = ROOT / "fixtures" / "frames"


def frames() -> list[Path]:
    return sorted(path for path in FRAMES.rglob("*") if path.suffix in (".png", ".jpg", ".webp"))


def test_frames_are_judged_as_the_command_judges_them(
    detector: gemscope.Detector, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    done = command("critique", FRAMES, "--rubric", "demo", "--out", out, "--export", "jsonl")
    assert done.returncode == 0, done.stderr
    lines = {line["image"]: line for line in map(json.loads, (out / "verdicts.jsonl").read_text().splitlines())}
    paths = frames()
    names = [path.relative_to(FRAMES).as_posix() for path in paths]
    assert sorted(names) == sorted(lines)
    for images in (paths, [path.read_bytes() for path in paths]):
        judged = detector.critique(images, "demo", names=names)
        assert [one.to_dict() for one in judged] == [lines[name] for name in names]
    one = detector.critique(paths[0])
    assert (one.verdict, one.overall) == (lines[names[0]]["verdict"], lines[names[0]]["overall"])
    assert [axis.axis for axis in one.axes] == [axis["axis"] for axis in lines[names[0]]["axes"]]


def test_a_rubric_of_ones_own(detector: gemscope.Detector, tmp_path: Path) -> None:
    rubric = tmp_path / "mine.toml"
    rubric.write_text((ROOT / "pipelines" / "demo-critique.toml").read_text())
    assert detector.critique(frames()[:2], rubric) == detector.critique(frames()[:2], "demo")
    rubric.write_text("not = 'a rubric'")
    with pytest.raises(gemscope.SettingsError, match="rubric"):
        detector.critique(frames()[0], rubric)
    with pytest.raises(gemscope.SettingsError, match="no-such.toml"):
        detector.critique(frames()[0], "no-such.toml")
    with pytest.raises(gemscope.NeedsModelError, match="rubric demo"):
        gemscope.Detector().critique(frames()[0])
    bad, good = detector.critique([b"no image", frames()[0]], "demo")
    assert (bad.record.status, bad.verdict) == ("failed", "review") and good.record.status != "failed"


def test_detection_and_critique_take_turns(detector: gemscope.Detector) -> None:
    scene = ROOT / "fixtures" / "shapes" / "scene-01.png"
    found, judged = detector.detect(scene, "star"), detector.critique(scene, "demo")
    assert (detector.detect(scene, "star"), detector.critique(scene, "demo")) == (found, judged)
