"""The name on a tile: white on a dark translucent ground, with a mark for a microphone that is muted."""

from __future__ import annotations

from math import ceil
from typing import Final

import numpy as np
from numpy.typing import NDArray

from owtmix.base.geometry import Rect, Size
from owtmix.compositor.text.fonts import Fonts
from owtmix.compositor.text.render import text_mask

_PER_HEIGHT: Final = 16
_LEAST_PX: Final = 10
_MOST_PX: Final = 36
_GROUND_ALPHA: Final = 150
_GROUND: Final = 20
_MARK: Final = (255, 110, 100)
_BEYOND_ARC: Final = 1 - 2**-0.5
"""Of the radius of a round corner: how far its arc is from both edges in the middle."""
_FINER: Final = 8
"""The mark is drawn so much larger, and averaged."""

Rgba = NDArray[np.uint8]


def label_px(tile: Size) -> int:
    """The size of the letters on a tile, in px."""
    return max(_LEAST_PX, min(tile.height // _PER_HEIGHT, _MOST_PX))


def draw_label(name: str, tile: Size, fonts: Fonts | None = None, *, is_muted: bool = False) -> Rgba:
    """The label of a tile.

    Args:
        name: Any characters; what does not fit ends in an ellipsis.
        tile: Its size, in px.
        fonts: In order of preference; the package's own by default.
        is_muted: Whether a mark stands before the name.

    Returns:
        RGBA, uint8 (height, width, 4), straight alpha; no larger than the tile, and empty when nothing can be written.
    """
    px = label_px(tile)
    pad, mark_px = px // 2, px if is_muted else 0
    before = pad + mark_px + (pad // 2 if is_muted else 0)
    text = text_mask(name, px, max(0, tile.width - before - pad - 2 * pad), fonts)
    if not (text.shape[1] or is_muted):
        return np.empty((0, 0, 4), np.uint8)
    height = min(tile.height, text.shape[0] + pad // 2 * 2)
    label = np.empty((height, min(tile.width, before + text.shape[1] + pad), 4), np.uint8)
    label[...] = (_GROUND, _GROUND, _GROUND, _GROUND_ALPHA)
    _draw(label, text, before, pad // 2, (255, 255, 255))
    if is_muted:
        _draw(label, _muted_microphone(mark_px), pad, (height - mark_px) // 2, _MARK)
    return label


def place_label(label: Rgba, tile: Rect, corner_px: int = 0) -> tuple[int, int]:
    """The top-left corner (canvas px) of the label on ``tile``: lower left, a little inside where there is room.

    That is at least so far that it lies within round corners of a radius of ``corner_px``.
    """
    inside = max(label_px(tile.size) // 3, ceil(corner_px * _BEYOND_ARC))
    margin = max(0, min(inside, tile.width - label.shape[1], tile.height - label.shape[0]))
    return tile.x + margin, tile.bottom - margin - label.shape[0]


def _draw(label: Rgba, mask: NDArray[np.uint8], left: int, top: int, colour: tuple[int, int, int]) -> None:
    """Draw ``colour`` through ``mask``, clipped, over what the label has."""
    top = max(0, top)
    region = label[top : top + mask.shape[0], left : left + mask.shape[1]]
    ink = mask[: region.shape[0], : region.shape[1], np.newaxis].astype(np.uint32)
    under = (region[..., 3:].astype(np.uint32) * (255 - ink) + 127) // 255
    alpha = ink + under
    region[..., :3] = (ink * np.array(colour, np.uint32) + under * region[..., :3] + alpha // 2) // np.maximum(alpha, 1)
    region[..., 3:] = alpha


def _muted_microphone(side_px: int) -> NDArray[np.uint8]:
    """Coverage of a microphone that is crossed out: uint8 (side_px, side_px)."""
    count = side_px * _FINER
    y, x = np.mgrid[0:count, 0:count] / count * 2 - 1 + 1 / count
    body = np.hypot(x, np.maximum(np.abs(y + 0.3) - 0.3, 0)) < 0.28  # noqa: PLR2004 - parts of half the side, as below
    holder = (np.abs(np.hypot(x, y + 0.1) - 0.55) < 0.08) & (y > -0.1)  # noqa: PLR2004
    foot = ((np.abs(x) < 0.08) & (y > 0.45) & (y < 0.85)) | ((np.abs(x) < 0.35) & (np.abs(y - 0.85) < 0.08))  # noqa: PLR2004
    across = x - y
    gap, stroke = np.abs(across) < 0.3, (np.abs(across) < 0.13) & (np.abs(x + y) < 1.7)  # noqa: PLR2004
    drawn = ((body | holder | foot) & ~gap) | stroke
    parts = drawn.reshape(side_px, _FINER, side_px, _FINER).mean(axis=(1, 3))
    return np.asarray(np.rint(parts * 255), np.uint8)
