"""RGBA pictures made ready to be drawn on a planar YUV 4:2:0 canvas, any number of times.

Colour becomes limited range Y'CbCr once, in ``prepare_overlay``. A sample of the canvas is then blended as
``(alpha * colour + (256 - alpha) * canvas) / 256``, half up, so that an opaque overlay is a copy, a transparent one
changes nothing, and a colour drawn over itself stays what it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from owtmix.base.colour import Colour
from owtmix.base.geometry import Rect, Size
from owtmix.plan.media_info import Matrix

_RED_BLUE_WEIGHTS: Final[dict[Matrix, tuple[float, float]]] = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
_OPAQUE: Final = 256
_HALF: Final = 128

_Samples = NDArray[np.floating]  # float32 all through


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """What is drawn on one plane: ``keep`` of 256 parts of the canvas, plus ``add`` (the rounding half included).

    Both are uint16 (height, width); their largest sum, 256 * 255 + 128, still fits.
    """

    keep: NDArray[np.uint16]
    add: NDArray[np.uint16]

    def draw(self, region: NDArray[np.uint8]) -> None:
        region[:] = (self.keep * region + self.add) >> 8

    def copy(self, region: NDArray[np.uint8]) -> None:
        region[:] = self.add >> 8


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """A picture that is ready to be drawn at its place; ``rect`` (canvas px, even edges) encloses all it touches."""

    rect: Rect
    _layers: tuple[_Layer, _Layer, _Layer]
    _opaque: bool

    def __repr__(self) -> str:
        return f"Overlay({self.rect}{', opaque' if self._opaque else ''})"

    @property
    def pairs(self) -> tuple[NDArray[np.uint16], NDArray[np.uint16], NDArray[np.uint16]]:
        """For Y, Cb and Cr what is kept, in parts of 256, and what is added: shape (rows, columns, 2)."""
        y, u, v = (np.stack((layer.keep, layer.add), axis=-1) for layer in self._layers)
        return y, u, v

    def blend(self, y_plane: NDArray[np.uint8], u_plane: NDArray[np.uint8], v_plane: NDArray[np.uint8]) -> None:
        """Draw in place on the planes of the whole canvas: uint8 (H, W), (H/2, W/2), (H/2, W/2), limited range."""
        rect = self.rect
        for plane, layer, step in zip((y_plane, u_plane, v_plane), self._layers, (1, 2, 2), strict=True):
            region = plane[rect.y // step : rect.bottom // step, rect.x // step : rect.right // step]
            (layer.copy if self._opaque else layer.draw)(region)


def prepare_overlay(
    rgba: NDArray[np.uint8], x: int, y: int, canvas: Size, matrix: Matrix, *, alpha: float = 1.0
) -> Overlay | None:
    """Make ``rgba`` ready to be drawn with its top-left corner at ``x, y`` of the canvas, which may be odd or outside.

    Args:
        rgba: uint8 (height, width, 4), straight alpha, full range.
        x: Column, canvas px.
        y: Row, canvas px.
        canvas: Size of the canvas, both even; what lies outside is cut off.
        matrix: The canvas's.
        alpha: Opacity of the whole, 0..1.

    Returns:
        None when nothing of it would be seen.
    """
    left, top = max(x, 0), max(y, 0)
    seen = rgba[top - y : max(canvas.height - y, 0), left - x : max(canvas.width - x, 0)]
    parts = _rounded(seen[..., 3].astype(np.float32) * (alpha * _OPAQUE / 255))
    rows, columns = np.flatnonzero(parts.any(axis=1)), np.flatnonzero(parts.any(axis=0))
    if not rows.size:
        return None
    drawn = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    left, top = left + int(columns[0]), top + int(rows[0])
    right, bottom = left + int(columns[-1] - columns[0]) + 1, top + int(rows[-1] - rows[0]) + 1
    # Pixels that the image lacks in its outermost 2x2 blocks are transparent.
    margins = ((top % 2, bottom % 2), (left % 2, right % 2))
    parts = np.pad(parts[drawn], margins)
    luma, cb, cr = (np.pad(plane, margins) for plane in _ycbcr(seen[drawn], matrix))
    # A chroma sample has the mean opacity of its four pixels and, of their colours, the mean by opacity: the colour
    # behind a transparent pixel does not bleed into the edge.
    total = _block_sums(parts)
    mean_parts = _rounded(total / 4)
    mean_cb, mean_cr = (_block_sums(parts * plane) / np.maximum(total, 1) for plane in (cb, cr))
    return Overlay(
        rect=Rect(left - left % 2, top - top % 2, parts.shape[1], parts.shape[0]),
        _layers=(_layer(parts, luma), _layer(mean_parts, mean_cb), _layer(mean_parts, mean_cr)),
        _opaque=bool((parts == _OPAQUE).all()),
    )


def colour_to_yuv(colour: Colour, matrix: Matrix) -> tuple[int, int, int]:
    """The limited range Y', Cb, Cr of ``colour``, half up; what an opaque overlay of that colour draws."""
    y, u, v = (int(_rounded(sample)) for sample in _ycbcr(np.array((colour.r, colour.g, colour.b), np.uint8), matrix))
    return y, u, v


def _ycbcr(rgb: NDArray[np.uint8], matrix: Matrix) -> tuple[_Samples, _Samples, _Samples]:
    """ITU-R BT.601 and BT.709 for 8 bits: 0..255 in, on the last axis; 16..235 and 16..240 out, not rounded."""
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


def _rounded(samples: _Samples) -> _Samples:
    """To the nearest integer, half up."""
    rounded: _Samples = np.floor(samples + 0.5)
    return rounded


def _layer(parts: _Samples, colour: _Samples) -> _Layer:
    add = parts * _rounded(colour) + _HALF
    return _Layer((_OPAQUE - parts).astype(np.uint16), add.astype(np.uint16))
