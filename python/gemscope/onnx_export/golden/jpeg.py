"""`jpeg.json`: what Pillow decodes of the JPEG files under fixtures/, turned upright. Pillow and the feature `turbojpeg` are both libjpeg-turbo, and must agree bit for bit.

A case has the `file`, the `width` and `height` of the upright picture, and `rgb_sha256` over (height, width, RGB as bytes). CMYK is not among them: Gemscope leaves that to its
other decoder.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from gemscope.onnx_export.provenance import made_by, sha256, write_json

FOLDERS = ("images", "photos", "shapes")


def write(out: Path, fixtures: Path, checkpoint: Path) -> None:
    cases = []
    for path in sorted(path for folder in FOLDERS for path in (fixtures / folder).glob("*.jpg")):
        with Image.open(path) as stored:
            if stored.mode == "CMYK":
                continue
            upright = ImageOps.exif_transpose(stored).convert("RGB")
        name = path.relative_to(fixtures).as_posix()
        cases.append({"file": name, "width": upright.width, "height": upright.height, "rgb_sha256": sha256(np.asarray(upright), "u1")})
    write_json(out, {"made_by": made_by("python -m gemscope.onnx_export golden fixtures/golden --only jpeg"), "cases": cases})
