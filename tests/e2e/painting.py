"""Paints the picture that the model expects and compares it with a decoded one, at half resolution."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tests.e2e.model import Box, Shown, placed
from tests.support.people import WHITE, brightness

EDGE_PX: Final = 8
"""Pixels nearer to an edge are not compared: scaling filters and codec blocks reach across it."""

COLOUR_TOLERANCE: Final = 26
"""Tolerance per channel, of 255: two lossy codecs with 4:2:0 chroma. People's colours differ by more."""

UNKNOWN: Final = -1
"""Value of pixels that are not compared, such as those of placeholders."""

Picture = NDArray[np.int16]
"""R, G, B; (height / 2, width / 2, 3)."""


def paint(scene: tuple[Shown, ...], size: tuple[int, int], mode: int, background: tuple[int, int, int]) -> Picture:
    """The canvas of ``size`` with ``scene`` on it."""
    width, height = size
    picture: Picture = np.empty((height // 2, width // 2, 3), np.int16)
    picture[:] = background
    for shown in scene:
        _slice(picture, shown.tile)[:] = 0 if shown.colour else UNKNOWN
        if shown.colour is None:
            continue
        box, (across, down) = placed(shown.size, shown.tile, mode)
        target = _slice(picture, box)
        rows, columns, _ = target.shape
        u = 0.5 + across * ((np.arange(columns) + 0.5) / columns - 0.5)
        v = 0.5 + down * ((np.arange(rows)[:, None] + 0.5) / rows - 0.5)
        seen = np.ones((rows, columns)) if shown.colour == WHITE else brightness(u, v)
        target[:] = (seen[..., None] * np.array(shown.colour)).astype(np.int16)
    return picture


def mismatch(picture: Picture, expected: Picture, ignored: Collection[Box] = ()) -> float:
    """Share of compared pixels with a wrong colour, 0..1."""
    comparable = _steady(expected)
    for box in ignored:
        _slice(comparable, box)[:] = False
    wrong = np.abs(picture - expected).max(axis=2) > COLOUR_TOLERANCE
    return float(wrong[comparable].mean()) if comparable.any() else 0.0


def _steady(expected: Picture) -> NDArray[np.bool_]:
    """Mask of pixels where ``expected`` is known and constant within ``EDGE_PX`` in every direction."""
    reach = EDGE_PX // 2
    changes: NDArray[np.bool_] = (expected == UNKNOWN).any(axis=2)
    changes[:, 1:] |= (expected[:, 1:] != expected[:, :-1]).any(axis=2)
    changes[1:] |= (expected[1:] != expected[:-1]).any(axis=2)
    for axis in (0, 1):
        changes = np.any([_shifted(changes, by, axis) for by in range(-reach, reach + 1)], axis=0)
    return np.logical_not(changes)


def _shifted(mask: NDArray[np.bool_], by: int, axis: int) -> NDArray[np.bool_]:
    moved = np.roll(mask, by, axis)
    edge = slice(0, by) if by >= 0 else slice(by, None)
    moved[(edge, slice(None)) if axis == 0 else (slice(None), edge)] = False
    return moved


def _slice(picture: NDArray[Any], box: Box) -> NDArray[Any]:
    left, top, right, bottom = (edge // 2 for edge in box)
    return picture[top:bottom, left:right]
