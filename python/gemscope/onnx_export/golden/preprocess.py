"""`preprocess.json`: what `Gemma4ImageProcessor` (torchvision backend) makes of images.

A case names its image, either by `pattern`, `width` and `height` (see `patterns`) or by `file` (a PNG under fixtures/), and the `budget` of soft
tokens. `pixel_values_sha256` is over the whole padded tensor [1, max_patches, 768] as little-endian f32, `image_position_ids_sha256` over
[1, max_patches, 2] as little-endian i64. `resized_rgb_sha256` is over the resized picture before it is cut into patches (height, width, RGB as
bytes): it tells a wrong resize from a wrong layout.

`rescale_bits` lists the bits of the f32 that each of the 256 byte values becomes; `rescale_is` says which arithmetic yields them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from transformers.models.gemma4.image_processing_gemma4 import Gemma4ImageProcessor

from gemscope.onnx_export.golden.patterns import FORMULAS, PATTERNS
from gemscope.onnx_export.provenance import made_by, sha256, write_json

BUDGETS = (70, 140, 280, 560, 1120)
PATCH = 16

SIZES_AT_70_AND_280 = (
    (1, 1),
    (2, 3),
    (19, 480),
    (480, 19),
    (640, 37),
    (640, 480),
    (612, 408),
    (224, 224),
    (1920, 1080),
    (1300, 876),
    (2173, 1499),
    (100, 1),
    (1, 100),
    (48, 48),
    (768, 768),
    (3000, 20),
    (37, 41),
)
SIZES_AT_EVERY_BUDGET = ((1, 1), (640, 480), (612, 408), (1300, 876), (3000, 20))
NOISE_CASES = ((640, 480, 280), (480, 640, 140), (1, 1, 280), (101, 77, 280), (2173, 1499, 280), (384, 384, 70), (1000, 63, 560), (799, 1201, 1120))
FILE_BUDGETS = (70, 280)


def write(out: Path, fixtures: Path, checkpoint: Path) -> None:
    cases = [_pattern_case("waves", *size, budget) for size, budget in _wave_cases()]
    cases += [_pattern_case("noise", width, height, budget) for width, height, budget in NOISE_CASES]
    files = [*sorted((fixtures / "shapes").glob("*.png")), *sorted((fixtures / "photos").glob("*.png"))]
    cases += [_file_case(path, fixtures, budget) for path in files for budget in FILE_BUDGETS]
    bits, arithmetic = _rescale()
    write_json(
        out,
        {
            "made_by": made_by("python -m gemscope.onnx_export golden fixtures/golden --only preprocess"),
            "patterns": FORMULAS,
            "rescale_is": arithmetic,
            "rescale_bits": bits,
            "cases": cases,
        },
    )


def _wave_cases() -> list[tuple[tuple[int, int], int]]:
    wanted = {(size, budget) for size in SIZES_AT_70_AND_280 for budget in (70, 280)}
    wanted |= {(size, budget) for size in SIZES_AT_EVERY_BUDGET for budget in BUDGETS}
    return sorted(wanted, key=lambda case: (case[1], case[0]))


def _pattern_case(pattern: str, width: int, height: int, budget: int) -> dict:
    image = Image.fromarray(PATTERNS[pattern](width, height))
    return {"name": f"{pattern} {width}x{height} at {budget}", "pattern": pattern, **_case(image, budget)}


def _file_case(path: Path, fixtures: Path, budget: int) -> dict:
    name = path.relative_to(fixtures).as_posix()
    with Image.open(path) as image:
        return {"name": f"{name} at {budget}", "file": name, **_case(image, budget)}


def _case(image: Image.Image, budget: int) -> dict:
    processed = Gemma4ImageProcessor(max_soft_tokens=budget)(image, return_tensors="pt")
    pixel_values = processed["pixel_values"].numpy()
    positions = processed["image_position_ids"].numpy()
    patches = int((positions[0, :, 0] >= 0).sum())
    columns, rows = (int(positions[0, :, axis].max()) + 1 for axis in (0, 1))
    return {
        "width": image.width,
        "height": image.height,
        "budget": budget,
        "resized_width": columns * PATCH,
        "resized_height": rows * PATCH,
        "patches": patches,
        "soft_tokens": int(processed["num_soft_tokens_per_image"][0]),
        "max_patches": pixel_values.shape[1],
        "resized_rgb_sha256": sha256(_reassemble(pixel_values[0, :patches], rows, columns), "u1"),
        "pixel_values_sha256": sha256(pixel_values, "<f4"),
        "image_position_ids_sha256": sha256(positions, "<i8"),
    }


def _reassemble(patches: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The resized picture as bytes [height, width, 3], put together from its patches."""
    values = np.rint(patches * 255).astype(np.uint8).reshape(rows, columns, PATCH, PATCH, 3)
    return values.transpose(0, 2, 1, 3, 4).reshape(rows * PATCH, columns * PATCH, 3)


def _rescale() -> tuple[list[str], dict[str, bool]]:
    """The f32 of each byte value, read off an image that needs no resize, and which formulas give the same bits."""
    side = 384
    ramp = np.arange(side * side, dtype=np.int64).reshape(side, side, 1) % 256
    image = np.broadcast_to(ramp, (side, side, 3)).astype(np.uint8)
    pixel_values = Gemma4ImageProcessor(max_soft_tokens=70)(Image.fromarray(image), return_tensors="pt")["pixel_values"].numpy()
    top_patches = pixel_values[0, : side // PATCH].reshape(side // PATCH, PATCH, PATCH, 3)
    values = top_patches[:, 0, :, 0].ravel()[:256].astype(np.float32)
    assert np.array_equal(np.rint(values * 255), np.arange(256))

    k = np.arange(256)
    formulas = {
        "k as f32 * (1/255 as f32)": k.astype(np.float32) * np.float32(1 / 255),
        "k as f32 / 255 as f32": k.astype(np.float32) / np.float32(255),
        "(k as f64 * (1/255 as f64)) as f32": (k * (1 / 255)).astype(np.float32),
    }
    return [f"{bits:08x}" for bits in values.view(np.uint32)], {name: bool(np.array_equal(values, other)) for name, other in formulas.items()}
