"""The border around who speaks: a ring inside the edges of a tile, in four strips."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from owtmix.base.geometry import Rect

COLOUR: Final = (46, 204, 113)
_OPAQUE: Final = 255

Rgba = NDArray[np.uint8]
_Floats = NDArray[np.floating]


def draw_border(tile: Rect, border_px: int, corner_px: int = 0) -> Iterator[tuple[Rgba, int, int]]:
    """The strips of a border: above, below, left and right.

    Args:
        tile: canvas px, even edges.
        border_px: how wide it is, in px, an even number.
        corner_px: the radius of the tile's round corners, in px.

    Yields:
        RGBA, uint8 (height, width, 4), straight alpha, and the column and row (canvas px) of its top left corner.
    """
    radius = min(corner_px, tile.width // 2, tile.height // 2)
    border = min(border_px, tile.width // 2, tile.height // 2)
    deep = max(border, radius + radius % 2)
    for top, height in ((0, deep), (tile.height - deep, deep)):
        yield _strip(tile, Rect(0, top, tile.width, height), border, radius), tile.x, tile.y + top
    between = tile.height - 2 * deep
    for left in (0, tile.width - border) if between > 0 else ():
        strip = Rect(left, deep, border, between)
        yield _strip(tile, strip, border, radius), tile.x + left, tile.y + deep


def _strip(tile: Rect, strip: Rect, border: int, radius: int) -> Rgba:
    """A part of the ring; ``strip`` is in px of the tile."""
    x = np.arange(strip.x, strip.right) + 0.5
    y = (np.arange(strip.y, strip.bottom) + 0.5)[:, np.newaxis]
    outer = _inside(x, y, tile.width, tile.height, radius)
    inner = _inside(x - border, y - border, tile.width - 2 * border, tile.height - 2 * border, max(0, radius - border))
    rgba = np.empty((strip.height, strip.width, 4), np.uint8)
    rgba[..., :3] = COLOUR
    rgba[..., 3] = np.rint(_OPAQUE * outer * (1 - inner))
    return rgba


def _inside(x: _Floats, y: _Floats, width: int, height: int, radius: int) -> _Floats:
    """How much of the pixel around each point is in a rectangle with round corners, 0 to 1."""
    across, down = np.maximum(radius - x, x - (width - radius)), np.maximum(radius - y, y - (height - radius))
    beyond = np.hypot(np.maximum(across, 0), np.maximum(down, 0)) + np.minimum(np.maximum(across, down), 0) - radius
    return np.clip(0.5 - beyond, 0, 1)
