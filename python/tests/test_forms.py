"""Records in the forms of other packages, each only where it is installed."""

from __future__ import annotations

from pathlib import Path

import gemscope
import numpy as np
import pytest
from PIL import Image

from conftest import SHAPES, command


def two() -> gemscope.Record:
    text = '[{"box_2d": [100, 200, 300, 400], "label": "cat"}, {"box_2d": [0, 0, 500, 500], "label": "ant"}]'
    return gemscope.parse(text, 640, 480)


def test_supervision() -> None:
    pytest.importorskip("supervision")
    boxes = two().to_supervision()
    assert boxes.xyxy.tolist() == [[128, 48, 256, 144], [0, 0, 320, 240]]
    assert boxes.class_id is not None and boxes.class_id.tolist() == [1, 0]
    assert list(boxes.data["class_name"]) == ["cat", "ant"]
    assert boxes.confidence is not None and np.isnan(boxes.confidence).all()
    assert len(gemscope.parse("[]", 10, 10).to_supervision()) == 0


def test_plot(detector: gemscope.Detector) -> None:
    record = detector.detect(SHAPES / "scene-01.png", "star")
    drawn = record.plot()
    plain = Image.open(SHAPES / "scene-01.png").convert("RGB")
    assert drawn.size == plain.size and drawn.tobytes() != plain.tobytes()
    x0, y0, _, y1 = record.detections[0].bbox
    assert drawn.getpixel((round(x0), round((y0 + y1) / 2))) == (230, 159, 0)
    for image in (plain, np.asarray(plain), (SHAPES / "scene-01.png").read_bytes()):
        assert record.plot(image).tobytes() == drawn.tobytes()
    assert plain.tobytes() == Image.open(SHAPES / "scene-01.png").convert("RGB").tobytes()
    with pytest.raises(gemscope.ImageError, match="10x10 pixels, and not"):
        record.plot(Image.new("RGB", (10, 10)))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> gemscope.Run:
    out: Path = tmp_path_factory.mktemp("table") / "run"
    assert command("detect", SHAPES, "--labels", "star", "--out", out, "--export", "none").returncode == 0
    return gemscope.read_run(out)


def test_tables(run: gemscope.Run) -> None:
    rows = run.rows()
    boxes = sum(len(record.detections) for record in run)
    without = sum(not record.detections for record in run)
    assert boxes > 0 and without > 0 and len(rows) == boxes + without
    pytest.importorskip("pandas")
    table = run.to_pandas()
    assert len(table) == len(rows) and table["score"].count() == boxes
    assert table.dtypes["x0"] == "float64"
    pytest.importorskip("polars")
    other = run.to_polars()
    assert other.to_dicts() == rows
    assert gemscope.Run(run.path, (), {}).to_polars().columns == list(table.columns)
