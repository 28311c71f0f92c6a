"""RGBA images, converted once to be drawn many times on a planar YUV 4:2:0 canvas.

``prepare_overlay`` converts to limited range Y'CbCr. Drawing blends each sample as
``(alpha * colour + (256 - alpha) * canvas) / 256``, rounded half up: an opaque overlay is a copy, a transparent one
changes nothing, and a colour drawn over itself does not change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from owtmix.base.colour import Colour
from owtmix.base.geometry import Rect, Size
from owtmix.compositor.bands import bands
from owtmix.plan.media_info import Matrix

_RED_BLUE_WEIGHTS: Final[dict[Matrix, tuple[float, float]]] = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
_OPAQUE: Final = 256
_HALF: Final = 128

_Samples = NDArray[np.floating]  # float32 all through


@dataclass(frozen=True, slots=True, eq=False)
class _PlaneBlend:
    """The blend of one plane: ``(keep * canvas + add) >> 8``; ``add`` includes the half for rounding.

    Both are uint16 (height, width), ``keep`` is 0..256. The largest sum, 256 * 255 + 128, fits.
    """

    keep: NDArray[np.uint16]
    add: NDArray[np.uint16]

    def fill(self, rows: slice, opacity: _Samples, colour: _Samples) -> None:
        """Set ``rows`` to the blend of ``colour`` with ``opacity``, 0..256."""
        self.keep[rows] = _OPAQUE - opacity
        self.add[rows] = opacity * _round_half_up(colour) + _HALF

    def draw(self, region: NDArray[np.uint8]) -> None:
        for rows in bands(*region.shape):
            region[rows] = (self.keep[rows] * region[rows] + self.add[rows]) >> 8

    def copy(self, region: NDArray[np.uint8]) -> None:
        for rows in bands(*region.shape):
            region[rows] = self.add[rows] >> 8


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """An image that is ready to be drawn; ``rect`` (canvas px, even edges) encloses all that it touches.

    It may be ``opaque``, and cover all of that.
    """

    rect: Rect
    _blends: tuple[_PlaneBlend, _PlaneBlend, _PlaneBlend]
    opaque: bool

    def __repr__(self) -> str:
        return f"Overlay({self.rect}{', opaque' if self.opaque else ''})"

    @property
    def pairs(self) -> tuple[NDArray[np.uint16], NDArray[np.uint16], NDArray[np.uint16]]:
        """``keep`` and ``add`` of Y, Cb and Cr for the GPU: uint16 (rows, columns, 2)."""
        y, u, v = (np.stack((blend.keep, blend.add), axis=-1) for blend in self._blends)
        return y, u, v

    def blend(self, y_plane: NDArray[np.uint8], u_plane: NDArray[np.uint8], v_plane: NDArray[np.uint8]) -> None:
        """Draw on the planes of the whole canvas, in place: uint8 (H, W), (H/2, W/2), (H/2, W/2), limited range."""
        rect = self.rect
        for plane, blend, step in zip((y_plane, u_plane, v_plane), self._blends, (1, 2, 2), strict=True):
            region = plane[rect.y // step : rect.bottom // step, rect.x // step : rect.right // step]
            (blend.copy if self.opaque else blend.draw)(region)


def prepare_overlay(
    rgba: NDArray[np.uint8], x: int, y: int, canvas: Size, matrix: Matrix, *, alpha: float = 1.0
) -> Overlay | None:
    """Convert ``rgba`` to be drawn with its top-left corner at ``x, y``, which may be odd or outside of the canvas.

    Args:
        rgba: uint8 (height, width, 4), straight alpha, full range.
        x: Column, canvas px.
        y: Row, canvas px.
        canvas: Size in px, both even; what lies outside is cut off.
        matrix: The canvas's.
        alpha: Opacity of the whole, 0..1.

    Returns:
        None when nothing of it is visible.
    """
    left, top = max(x, 0), max(y, 0)
    visible = rgba[top - y : max(canvas.height - y, 0), left - x : max(canvas.width - x, 0)]
    seen = _opacity(visible, alpha) > 0
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if not rows.size:
        return None
    drawn = visible[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    left, top = left + int(columns[0]), top + int(rows[0])
    right, bottom = left + drawn.shape[1], top + drawn.shape[0]
    margin_x, margin_y = (left % 2, right % 2), (top % 2, bottom % 2)
    rect = Rect(left - left % 2, top - top % 2, drawn.shape[1] + sum(margin_x), drawn.shape[0] + sum(margin_y))
    full, half = (rect.height, rect.width), (rect.height // 2, rect.width // 2)
    y_plane, u_plane, v_plane = (
        _PlaneBlend(np.empty(shape, np.uint16), np.empty(shape, np.uint16)) for shape in (full, half, half)
    )
    for band in bands(*full):
        # Pixels that the image lacks in its outermost 2x2 blocks are transparent.
        part = drawn[max(0, band.start - margin_y[0]) : band.stop - margin_y[0]]
        missing = (margin_y[0] * (band.start == 0), margin_y[1] * (band.stop == rect.height))
        margins = (missing, margin_x)
        opacity = np.pad(_opacity(part, alpha).astype(np.float32), margins)
        luma, cb, cr = (np.pad(plane, margins) for plane in _ycbcr(part, matrix))
        # A chroma sample has the mean opacity of its four pixels, and the mean of their colours weighted by opacity:
        # the colour of a transparent pixel does not bleed into the edge.
        total = _block_sums(opacity)
        mean_opacity = _round_half_up(total / 4)
        y_plane.fill(band, opacity, luma)
        halved = slice(band.start // 2, band.stop // 2)
        for blend, plane in ((u_plane, cb), (v_plane, cr)):
            blend.fill(halved, mean_opacity, _block_sums(opacity * plane) / np.maximum(total, 1))
    return Overlay(rect, (y_plane, u_plane, v_plane), opaque=not y_plane.keep.any())


def prepare_grey(grey: NDArray[np.uint8], at: Rect, matrix: Matrix) -> Overlay:
    """The opaque overlay of a grey picture in the whole of ``at`` (canvas px, even edges).

    ``grey`` is uint8 (height, width), full range. The samples are those of ``prepare_overlay``.
    """
    levels = np.arange(256, dtype=np.uint8)
    luma, cb, cr = (_round_half_up(plane) for plane in _ycbcr(np.stack((levels, levels, levels), axis=-1), matrix))
    assert (cb == cb[0]).all()
    assert (cr == cr[0]).all()
    half = (at.height // 2, at.width // 2)
    planes = [(_OPAQUE * plane + _HALF).astype(np.uint16) for plane in (luma, cb[0], cr[0])]
    added = (planes[0][grey], np.broadcast_to(planes[1], half), np.broadcast_to(planes[2], half))
    y_plane, u_plane, v_plane = (_PlaneBlend(np.broadcast_to(np.uint16(0), add.shape), add) for add in added)
    return Overlay(at, (y_plane, u_plane, v_plane), opaque=True)


def colour_to_yuv(colour: Colour, matrix: Matrix) -> tuple[int, int, int]:
    """The limited range Y', Cb, Cr of ``colour``, rounded half up, as an opaque overlay draws it."""
    y, u, v = (
        int(_round_half_up(sample)) for sample in _ycbcr(np.array((colour.r, colour.g, colour.b), np.uint8), matrix)
    )
    return y, u, v


def _opacity(rgba: NDArray[np.uint8], alpha: float) -> NDArray[np.uint16]:
    """Opacity of each pixel, 0..256."""
    levels = _round_half_up(np.arange(256, dtype=np.float32) * (alpha * _OPAQUE / 255)).astype(np.uint16)
    found: NDArray[np.uint16] = levels[rgba[..., 3]]
    return found


def _ycbcr(rgb: NDArray[np.uint8], matrix: Matrix) -> tuple[_Samples, _Samples, _Samples]:
    """R'G'B' 0..255 (last axis) to limited range Y'CbCr, not rounded, by ITU-R BT.601 or BT.709."""
    red_weight, blue_weight = _RED_BLUE_WEIGHTS[matrix]
    red, green, blue = (rgb[..., channel].astype(np.float32) for channel in range(3))
    luma = red_weight * red + (1 - red_weight - blue_weight) * green + blue_weight * blue
    return (
        16 + 219 / 255 * luma,
        128 + 112 / 255 / (1 - blue_weight) * (blue - luma),
        128 + 112 / 255 / (1 - red_weight) * (red - luma),
    )


def _block_sums(samples: _Samples) -> _Samples:
    """The sum of each 2x2 block."""
    pairs = samples[::2] + samples[1::2]
    return pairs[:, ::2] + pairs[:, 1::2]


def _round_half_up(samples: _Samples) -> _Samples:
    """Round to the nearest integer, half up."""
    rounded: _Samples = np.floor(samples + 0.5)
    return rounded
