"""Boxes that one program wrote and another one read: are they the same?"""

from __future__ import annotations

import sys
from collections.abc import Callable

LIMIT = 0.5
"""Pixels that an edge may be off."""

Box = tuple[str, float, float, float, float]
Boxes = dict[str, list[Box]]
"""Boxes of each image, by its name: label, left, top, right, bottom."""


def worst_distance(what: str, found: Boxes, expected: Boxes, limit: Callable[[Box], float]) -> float:
    """The largest distance of an edge, in pixels.

    Ends the script if anything else differs, or an edge is off by more than LIMIT of its box.
    """
    if found.keys() != expected.keys():
        sys.exit(f"{what}: other images: {sorted(found.keys() ^ expected.keys())}")
    worst = 0.0
    for name, boxes in expected.items():
        left = list(found[name])
        if len(left) != len(boxes):
            sys.exit(f"{what}: {name}: {len(left)} boxes for {len(boxes)}")
        for box in boxes:
            near = [(apart(box, other), other) for other in left if other[0] == box[0]]
            if not near:
                sys.exit(f"{what}: {name}: no {box[0]!r} is left for {box}")
            distance, nearest = min(near)
            if distance > limit(box):
                sys.exit(f"{what}: {name}: {nearest} for {box}, {distance:.3f} pixels off")
            left.remove(nearest)
            worst = max(worst, distance)
    return worst


def apart(a: Box, b: Box) -> float:
    """The largest distance of an edge of two boxes."""
    return max(abs(one - other) for one, other in zip(a[1:], b[1:]))
