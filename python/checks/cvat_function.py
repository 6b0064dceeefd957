"""Whether CVAT's own tools load and run `gemscope.cvat`.

    pip install cvat-cli && python python/checks/cvat_function.py

Loads the function as `cvat-cli task auto-annotate --function-module gemscope.cvat -p ...` does, from its command line on,
and hands a task of fixtures/shapes through `annotate_task`, whose server is a stand-in: what would be uploaded is compared
with what `detect` finds. CVAT's server itself is not asked.
"""

from __future__ import annotations

import argparse
import sys
import types
from pathlib import Path
from typing import Any
from unittest import mock

import cvat_sdk.auto_annotation as cvataa
import gemscope
from cvat_cli._internal.common import FunctionLoader
from cvat_cli._internal.parsers import parse_function_parameter
from cvat_sdk import models
from cvat_sdk.auto_annotation import driver
from PIL import Image

SHAPES = Path(__file__).resolve().parents[2] / "fixtures" / "shapes"
LABELS = ["star", "red circle"]


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    words = [f"labels=str:{','.join(LABELS)}", "model=str:demo", "budget=int:140"]
    parameters = dict(parse_function_parameter(word) for word in words)
    function: Any = FunctionLoader("gemscope.cvat", None, parameters).load()
    assert isinstance(function.spec, cvataa.DetectionFunctionSpec)

    # Of a JPEG, Pillow makes other pixels.
    paths = sorted(SHAPES.glob("*.png"))[:6]
    media = [types.SimpleNamespace(load_image=lambda path=path: Image.open(path)) for path in paths]
    samples = [
        types.SimpleNamespace(frame_name=path.name, frame_index=index, media=one)
        for index, (path, one) in enumerate(zip(paths, media, strict=True))
    ]
    # The task knows its labels by other ids than the function.
    labels = [
        models.Label(name=name, id=70 + place, type="any", attributes=[], sublabels=[])
        for place, name in enumerate(reversed(LABELS))
    ]
    dataset = types.SimpleNamespace(samples=samples, labels=labels)
    client = mock.MagicMock()
    with mock.patch.object(driver, "TaskDataset", return_value=dataset):
        cvataa.annotate_task(client, 1, function)
    (call,) = client.tasks.api.partial_update_annotations.call_args_list
    shapes = call.kwargs["patched_labeled_data_request"].shapes

    ids = {label.name: label.id for label in labels}
    records = gemscope.Detector("demo", budget=140).detect(paths, LABELS)
    expected = [
        (index, ids[found.label], list(found.bbox), found.score)
        for index, record in enumerate(records)
        for found in record.detections
    ]
    uploaded = [(shape.frame, shape.label_id, list(shape.points), shape.score) for shape in shapes]
    print(f"{len(uploaded)} rectangles of {len(paths)} images would be uploaded; detect finds {len(expected)}")
    print(f"the same: {uploaded == expected}")
    if uploaded != expected:
        print(uploaded, expected, sep="\n")
    return int(uploaded != expected or not expected)


if __name__ == "__main__":
    sys.exit(main())
