"""Round corners: a layer through which what lies beneath is seen at its corners.

Of 16 samples of a pixel some lie in the tile; so large a part of it is drawn. All is in integers, so that
``compose.cu`` makes the same pixels.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from owtmix.base.geometry import Rect
from owtmix.compositor.base import Layer

FULL: Final = 256
SIDE: Final = 4
"""Samples of a pixel along one of its sides."""

Plane = NDArray[np.uint8]
Coverage = NDArray[np.uint32]


class Drawable(Layer, Protocol):
    """A layer that draws itself."""

    def blend(self, y: Any, u: Any, v: Any) -> None:
        """Draw onto the planes of the whole canvas: uint8 (height, width), and half of both for u and v."""


@dataclass(frozen=True, slots=True)
class RoundedLayer:
    """``layer`` with round corners of a radius of ``corner_px``, at most half of its shorter side."""

    layer: Layer
    corner_px: int

    opaque: Final = False

    @property
    def key(self) -> Hashable:
        return "rounded", self.corner_px, self.layer.key

    @property
    def rect(self) -> Rect:
        return self.layer.rect

    @property
    def corners(self) -> tuple[Rect, ...]:
        """Where what lies beneath is seen, with even edges."""
        rect, side = self.rect, self.corner_px + self.corner_px % 2
        lefts, tops = (rect.x, rect.right - side), (rect.y, rect.bottom - side)
        return tuple(Rect(left, top, side, side) for top in tops for left in lefts)

    def blend(self, y: Plane, u: Plane, v: Plane) -> None:
        """As ``Drawable.blend``; the layer must be ``Drawable``."""
        drawn: Any = self.layer
        corners = [
            (plane[rows, columns], coverage)
            for plane, by in ((y, 1), (u, 2), (v, 2))
            for rows, columns, coverage in _corners(self.rect, self.corner_px, by)
        ]
        beneath = [part.copy() for part, _ in corners]
        drawn.blend(y, u, v)
        for (part, coverage), under in zip(corners, beneath, strict=True):
            part[:] = (coverage * part + (FULL - coverage) * under + FULL // 2) >> 8


def rounded(layer: Layer, corner_px: int) -> Layer:
    """``layer`` with round corners, if there are to be any."""
    radius = min(corner_px, layer.rect.width // 2, layer.rect.height // 2)
    return RoundedLayer(layer, radius) if radius else layer


def corner_coverage(corner_px: int) -> Coverage:
    """How much of each pixel of the top left corner is in the tile, 0 to ``FULL``: uint32 (n, n).

    n is ``corner_px``, or one more if that is odd.
    """
    side = corner_px + corner_px % 2
    away = np.maximum(2 * SIDE * corner_px - (2 * np.arange(side * SIDE) + 1), 0).astype(np.int64)
    inside = away[:, np.newaxis] ** 2 + away**2 <= (2 * SIDE * corner_px) ** 2
    counts = inside.reshape(side, SIDE, side, SIDE).sum(axis=(1, 3), dtype=np.uint32)
    return np.asarray(counts * np.uint32(FULL // SIDE**2), np.uint32)


@lru_cache(maxsize=8)
def _coverage(corner_px: int, by: int) -> Coverage:
    """The coverage of samples that stand for ``by`` pixels each way."""
    full = corner_coverage(corner_px)
    side = len(full) // by
    return np.asarray(full.reshape(side, by, side, by).sum(axis=(1, 3), dtype=np.uint32) // by**2, np.uint32)


def _corners(rect: Rect, corner_px: int, by: int) -> Iterator[tuple[slice, slice, Coverage]]:
    """Rows, columns and coverage of the four corners in a plane with a sample for ``by`` pixels each way."""
    coverage = _coverage(corner_px, by)
    side = len(coverage)
    left, top, right, bottom = rect.x // by, rect.y // by, rect.right // by, rect.bottom // by
    for rows, down in ((slice(top, top + side), 1), (slice(bottom - side, bottom), -1)):
        for columns, across in ((slice(left, left + side), 1), (slice(right - side, right), -1)):
            yield rows, columns, coverage[::down, ::across]
