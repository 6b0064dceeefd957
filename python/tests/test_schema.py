"""The JSON schemas of docs/ against real runs."""

from __future__ import annotations

import json
from pathlib import Path

from jsonschema import Draft202012Validator

from conftest import PHOTOS, ROOT, SHAPES, command


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_runs_are_as_their_schemas_say(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    detected, judged = tmp_path / "detected", tmp_path / "judged"
    # Photographs, shapes, and a file that fails: exit code 2.
    asked = "--model", "demo", "--labels", "star,red circle", "--tiles", "auto"
    images = SHAPES, PHOTOS, tmp_path / "broken.png"
    assert command("detect", *images, *asked, "--out", detected).returncode == 2
    assert command("critique", SHAPES, "--model", "demo", "--limit", "3", "--out", judged).returncode == 0
    tried = 0
    for schema, name, runs in (
        ("record", "journal.jsonl", [detected, judged]),
        ("detections", "detections.jsonl", [detected]),
    ):
        schema = json.loads((ROOT / "docs" / f"{schema}.schema.json").read_text(encoding="utf-8"))
        # A key that the schema does not name would be missing in the docs, too.
        Draft202012Validator.check_schema(schema)
        validator = Draft202012Validator({**schema, "unevaluatedProperties": False})
        for run in runs:
            for line in lines(run / name):
                validator.validate(line)
                tried += 1
    assert tried > 50, tried
