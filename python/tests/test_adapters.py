"""What Gemscope gives to CVAT and ComfyUI, called as these call it."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import gemscope
import gemscope.comfyui
import gemscope.cvat
import numpy as np
import pytest
from PIL import Image

from conftest import LABELS, ROOT, SHAPES, images_in

FRAMES = ROOT / "fixtures" / "frames"


class Context:
    """What CVAT's tools tell of an image."""

    def __init__(self, name: str, conf_threshold: float | None = None) -> None:
        self.frame_name = name
        self.conf_threshold = conf_threshold
        self.conv_mask_to_poly = False


@pytest.fixture
def cvat_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The three names of CVAT's package that are used: `python/checks/cvat_function.py` has the real ones."""
    sdk = types.ModuleType("cvat_sdk")
    auto_annotation: Any = types.ModuleType("cvat_sdk.auto_annotation")
    auto_annotation.label_spec = lambda name, id: {"name": name, "id": id}
    auto_annotation.DetectionFunctionSpec = lambda labels: types.SimpleNamespace(labels=labels)
    auto_annotation.rectangle = lambda label_id, points, **more: (label_id, points, more)
    sdk.auto_annotation = auto_annotation  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cvat_sdk", sdk)
    monkeypatch.setitem(sys.modules, "cvat_sdk.auto_annotation", auto_annotation)


@pytest.mark.usefixtures("cvat_sdk")
def test_cvat_is_given_the_boxes_of_detect(detector: gemscope.Detector) -> None:
    function = gemscope.cvat.create(labels=LABELS, model="demo")
    assert [label["name"] for label in function.spec.labels] == LABELS.split(",")
    scene = SHAPES / "scene-01.png"
    record = detector.detect(scene, LABELS)
    made = function.detect(Context("scene-01.png"), Image.open(scene))
    expected = [(LABELS.split(",").index(found.label), list(found.bbox)) for found in record.detections]
    assert expected and [(label, points) for label, points, _ in made] == expected
    assert [more["score"] for *_, more in made] == [found.score for found in record.detections]
    best = max(found.score or 0 for found in record.detections)
    assert len(function.detect(Context("scene-01.png", best), Image.open(scene))) < len(made) or len(made) == 1
    assert function.detect(Context("scene-01.png", 1.0), Image.open(scene)) == []
    # An image without an answer ends no task.
    with pytest.warns(UserWarning, match="deep.png"):
        assert function.detect(Context("deep.png"), Image.new("I;16", (64, 64))) == []
    for bad in ({"labels": " , "}, {"labels": "star", "bugdet": 70}):
        with pytest.raises(gemscope.SettingsError):
            gemscope.cvat.create(**bad)


def test_comfyui_loads_a_node_that_judges(detector: gemscope.Detector, tmp_path: Path) -> None:
    # As ComfyUI loads a file of its folder of custom nodes.
    file = tmp_path / "gemscope_nodes.py"
    file.write_text("from gemscope.comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS\n")
    spec = importlib.util.spec_from_file_location(str(file.with_suffix("")), file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (kind,) = module.NODE_CLASS_MAPPINGS.values()
    assert module.NODE_DISPLAY_NAME_MAPPINGS.keys() == module.NODE_CLASS_MAPPINGS.keys()
    given = kind.INPUT_TYPES()
    defaults = {"model": "demo", "rubric": "demo", "device": "cpu", "budget": "default", "keep_loaded": True}
    assert given["required"].keys() == {"image", *defaults}
    assert len(kind.RETURN_TYPES) == len(kind.RETURN_NAMES) == len(kind.OUTPUT_IS_LIST)

    paths = images_in(FRAMES)[:2]
    opened = [Image.open(path).convert("RGB").resize((256, 256)) for path in paths]
    pixels = [np.asarray(one) for one in opened]
    # ComfyUI's pictures: float32, 0 to 1, and here with alpha.
    batch = np.stack(pixels).astype(np.float32) / 255
    batch = np.concatenate([batch, np.ones_like(batch[..., :1])], axis=-1)
    scores, verdicts, images = getattr(kind(), kind.FUNCTION)(image=batch, **defaults)
    judged = detector.critique(pixels, "demo")
    assert scores == [one.overall for one in judged] and verdicts == [one.verdict for one in judged]
    assert [image.shape for image in images] == [(1, *batch.shape[1:])] * 2
    assert np.array_equal(np.concatenate(images), batch)
    # The prompt is in the file that the detector is given.
    png = gemscope.comfyui._picture(batch[0], "a red circle, (star:1.2)")
    (with_prompt,) = detector.critique([png], "demo")
    assert with_prompt.to_dict()["generation"]["prompt"] == "a red circle, (star:1.2)"
    assert with_prompt.overall == judged[0].overall
    again = getattr(kind(), kind.FUNCTION)(image=batch, **defaults | {"keep_loaded": False}, prompt="a star")
    assert again[:2] == (scores, verdicts)
