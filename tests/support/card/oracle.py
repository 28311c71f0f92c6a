"""A reference of ``compose.cu`` in NumPy with dense matrices, independent of the implementation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from owtmix.base.geometry import Rect, Size
from owtmix.compositor.scale import Conversion

Ints = NDArray[np.int64]
Planes = tuple[Ints, Ints, Ints]

C = Fraction(3, 5)


@dataclass(frozen=True)
class VideoItem:
    """A video frame of three planes at ``target`` in a tile; black bars around it."""

    rect: Rect
    target: Rect
    planes: Planes
    bits: int
    conversion: Conversion
    across: int
    down: int
    corner: int = 0


@dataclass(frozen=True)
class OverlayItem:
    """An overlay: ``keep`` and ``add`` of each plane."""

    rect: Rect
    pairs: Sequence[tuple[Ints, Ints]]
    corner: int = 0


def draw(canvas: Size, background: tuple[int, int, int], items: Sequence[VideoItem | OverlayItem]) -> Planes:
    """The canvas with ``items`` drawn on it, back to front."""
    sizes = (canvas, Size(canvas.width // 2, canvas.height // 2), Size(canvas.width // 2, canvas.height // 2))
    y, u, v = (
        np.full((size.height, size.width), level, np.int64) for size, level in zip(sizes, background, strict=True)
    )
    for item in items:
        before = [plane.copy() for plane in (y, u, v)]
        if isinstance(item, VideoItem):
            _draw_video(item, (y, u, v))
        else:
            for plane, (keep, add), by in zip((y, u, v), item.pairs, (1, 2, 2), strict=True):
                under = plane[_window(item.rect, by)]
                under[:] = (keep * under + add) // 256
        if item.corner:
            for plane, under, by in zip((y, u, v), before, (1, 2, 2), strict=True):
                at = _window(item.rect, by)
                part = _coverage(item.rect.width, item.rect.height, item.corner, by)
                plane[at] = (part * plane[at] + (256 - part) * under[at] + 128) // 256
    return y, u, v


@cache
def _coverage(width: int, height: int, corner: int, by: int) -> Ints:
    """Of 256, how much of each sample lies in a rectangle with round corners, by 16 points in each pixel."""
    x, y = ((np.arange(4 * side) + 0.5) / 4 for side in (width, height))
    across = np.maximum(corner - x, x - (width - corner)).clip(0)
    down = np.maximum(corner - y, y - (height - corner)).clip(0)[:, np.newaxis]
    inside = across**2 + down**2 <= corner**2
    part: Ints = inside.reshape(height // by, 4 * by, width // by, 4 * by).sum(axis=(1, 3), dtype=np.int64)
    return part * (16 // by**2)


def _draw_video(item: VideoItem, canvas: Planes) -> None:
    for plane, black, by in zip(canvas, (16, 128, 128), (1, 2, 2), strict=True):
        plane[_window(item.rect, by)] = black
    drawn = [
        _scaled(item, plane, *((1, 1, 1) if number == 0 else (item.across, item.down, 2)))
        for number, plane in enumerate(item.planes)
    ]
    source, output = item.conversion.matrix
    if source != output or item.conversion.full_range:
        drawn = _recoloured(drawn, source, output, item.conversion.full_range)
    for plane, part, by in zip(canvas, drawn, (1, 2, 2), strict=True):
        plane[_window(item.target, by)] = part


def _window(rect: Rect, by: int) -> tuple[slice, slice]:
    return slice(rect.y // by, rect.bottom // by), slice(rect.x // by, rect.right // by)


def _scaled(item: VideoItem, plane: Ints, across: int, down: int, smaller: int) -> Ints:
    """One plane, oriented and scaled to the size of its target."""
    conversion = item.conversion
    turned = conversion.orientation.swaps_sides
    a, b, c, d = conversion.orientation.value
    rows, columns = plane.shape
    along_by, down_by = (down, across) if turned else (across, down)
    crop, target = conversion.crop, conversion.target
    along = _weights(crop.x // along_by, -(-crop.width // along_by), target.width // smaller, (columns, rows)[turned])
    downwards = _weights(
        crop.y // down_by, -(-crop.height // down_by), target.height // smaller, (rows, columns)[turned]
    )
    if a + c < 0:
        along = along[:, ::-1]
    if b + d < 0:
        downwards = downwards[:, ::-1]
    by_column, by_row = (downwards, along) if turned else (along, downwards)
    if conversion.interlaced:
        lines = -(-((conversion.source.height + 1) // 2) // down)
        plane = plane[::2]
        by_row = _rounded(by_row @ _weights(0, lines, rows, lines), 1 << 28)
    half = 1 << (item.bits - 2)
    part = (plane @ by_column.T + half) >> (item.bits - 1)
    scaled = ((by_row @ part + (1 << 20)) >> 21).clip(0, 255)
    return scaled.T if turned else scaled


@cache
def _weights(start: int, length: int, target: int, whole: int) -> Ints:
    """Weights (target, whole) of a range of an axis; rows add up to 1 << 14."""
    weights = np.zeros((target, whole), np.int64)
    for row, t in zip(weights, range(target), strict=True):
        if target == length:
            taps = [(t, Fraction(1))]
        elif target < length:
            scale = Fraction(length, target)
            taps = [
                (k, max(min(Fraction(k + 1), (t + 1) * scale) - max(Fraction(k), t * scale), Fraction(0)) / scale)
                for k in range(floor(t * scale), ceil((t + 1) * scale))
            ]
        else:
            centre = (t + Fraction(1, 2)) * length / target - Fraction(1, 2)
            taps = [(k, _kernel(abs(centre - k))) for k in range(floor(centre) - 1, floor(centre) + 3)]
        total, upto_before = Fraction(0), 0
        for k, weight in taps:
            total += weight
            upto = floor(total * (1 << 14) + Fraction(1, 2))
            row[start + min(max(k, 0), length - 1)] += upto - upto_before
            upto_before = upto
    return weights


def _kernel(x: Fraction) -> Fraction:
    """The Mitchell-Netravali family with B 0."""
    if x < 1:
        return (2 - C) * x**3 - (3 - C) * x**2 + 1
    if x < 2:
        return C * (-(x**3) + 5 * x**2 - 8 * x + 4)
    return Fraction(0)


def _rounded(weights: Ints, total: int) -> Ints:
    """Scale rows that add up to ``total`` to rows that add up to 1 << 14."""
    upto = ((weights.cumsum(axis=1) << 15) + total) // (2 * total)
    rounded: Ints = np.diff(upto, axis=1, prepend=0)
    return rounded


def _recoloured(planes: Sequence[Ints], source: str, output: str, full_range: bool) -> list[Ints]:
    """Weights in exact fractions by way of R'G'B', then rounded to units of 2**-14."""
    y, u, v = planes
    offset = 0 if full_range else 16
    weights = []
    for unit in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
        luma, cb, cr = (
            Fraction(value) / span
            for value, span in zip(unit, (255, 255, 255) if full_range else (219, 224, 224), strict=True)
        )
        kr, kb = _CONSTANTS[source]
        red, blue = luma + 2 * (1 - kr) * cr, luma + 2 * (1 - kb) * cb
        green = (luma - kr * red - kb * blue) / (1 - kr - kb)
        kr, kb = _CONSTANTS[output]
        grey = kr * red + (1 - kr - kb) * green + kb * blue
        found = (219 * grey, 224 * (blue - grey) / (2 * (1 - kb)), 224 * (red - grey) / (2 * (1 - kr)))
        weights.append([floor(value * (1 << 14) + Fraction(1, 2)) for value in found])
    (yy, _, _), (uy, uu, uv), (vy, vu, vv) = weights
    wide_u, wide_v = (np.kron(plane - 128, np.ones((2, 2), np.int64)) for plane in (u, v))
    half = 1 << 13
    return [
        ((yy * (y - offset) + uy * wide_u + vy * wide_v + half + (16 << 14)) >> 14).clip(0, 255),
        ((uu * (u - 128) + vu * (v - 128) + half + (128 << 14)) >> 14).clip(0, 255),
        ((uv * (u - 128) + vv * (v - 128) + half + (128 << 14)) >> 14).clip(0, 255),
    ]


_CONSTANTS = {
    "bt601": (Fraction(299, 1000), Fraction(114, 1000)),
    "bt709": (Fraction(2126, 10000), Fraction(722, 10000)),
}
