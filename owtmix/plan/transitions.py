"""Tiles on their way from one place to another: slowly at first, and slowly at the end (docs/rooms.md)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from owtmix.base.geometry import Rect, even


def moved_rects(origins: Sequence[Rect | None], targets: Sequence[Rect], part: Fraction) -> list[Rect]:
    """Where tiles are when ``part`` of the time has passed, 0 to 1; those without an origin are where they will be."""
    way = part * part * (3 - 2 * part)
    return [
        target if origin is None else _between(origin, target, way)
        for origin, target in zip(origins, targets, strict=True)
    ]


def _between(origin: Rect, target: Rect, way: Fraction) -> Rect:
    """The rectangle whose edges have gone so much of their way. They are even."""
    left, top, right, bottom = (
        even(a + (b - a) * way)
        for a, b in (
            (origin.x, target.x),
            (origin.y, target.y),
            (origin.right, target.right),
            (origin.bottom, target.bottom),
        )
    )
    return Rect(left, top, max(2, right - left), max(2, bottom - top))
