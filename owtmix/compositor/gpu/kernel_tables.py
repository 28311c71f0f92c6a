"""The table of a conversion that ``compose.cu`` reads: its ``Geometry`` and filter taps.

Orientation, cropping and deinterlacing are folded into the taps of four axes (luma and chroma, along and down the
canvas), so that the kernel only filters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from owtmix.base.geometry import Rect
from owtmix.compositor.gpu.filter_taps import FilterTaps, filter_taps
from owtmix.compositor.scale import Conversion
from owtmix.plan.media_info import Matrix

_AXIS: Final = np.dtype([(name, np.int32) for name in ("count", "taps", "first", "weights")])
GEOMETRY: Final = np.dtype(
    [
        *((name, np.int32) for name in ("left", "top", "right", "bottom", "turned", "wide", "low", "step", "shift")),
        ("recoloured", np.int32),
        ("black", np.int32),
        ("matrix", np.int32, 7),
        ("luma", _AXIS, 2),
        ("chroma", _AXIS, 2),
    ]
)
_RED_BLUE_WEIGHTS: Final[dict[Matrix, tuple[Fraction, Fraction]]] = {
    "bt601": (Fraction("0.299"), Fraction("0.114")),
    "bt709": (Fraction("0.2126"), Fraction("0.0722")),
}
_ONE: Final = 1 << 14


@dataclass(frozen=True, slots=True)
class SampleLayout:
    """A pixel format: chroma is subsampled by ``across`` and ``down``, its samples are ``step`` samples apart.

    A sample has ``bits``, above ``low`` unused bits.
    """

    across: int
    down: int
    step: int = 1
    bits: int = 8
    low: int = 0

    @property
    def wide(self) -> bool:
        """Whether a sample takes two bytes."""
        return self.bits + self.low > 8  # noqa: PLR2004 - bits of a byte


_SUBSAMPLED: Final = {"420": (2, 2), "422": (2, 1), "444": (1, 1)}
FORMATS: Final[dict[str, SampleLayout]] = {
    **{f"yuv{name}p": SampleLayout(*by) for name, by in _SUBSAMPLED.items()},
    **{f"yuvj{name}p": SampleLayout(*by) for name, by in _SUBSAMPLED.items()},
    **{f"yuv{name}p{bits}le": SampleLayout(*by, bits=bits) for name, by in _SUBSAMPLED.items() for bits in (10, 12)},
    "nv12": SampleLayout(2, 2, step=2),
    "p010le": SampleLayout(2, 2, step=2, bits=10, low=6),
    "p016le": SampleLayout(2, 2, step=2, bits=16),
    "yuv444p16le": SampleLayout(1, 1, bits=16),
}
"""Pixel formats that the kernel reads; NVDEC outputs the last four and yuv444p."""


def kernel_table(conversion: Conversion, target: Rect) -> NDArray[np.int32]:
    """The ``Geometry`` of a conversion shown at ``target`` (canvas px), followed by its taps: int32 (n,).

    Raises:
        KeyError: the kernel does not read the pixel format.
    """
    samples = FORMATS[conversion.pixel_format]
    geometry: NDArray[Any] = np.zeros((), GEOMETRY)
    geometry["left"], geometry["top"], geometry["right"], geometry["bottom"] = (
        target.x,
        target.y,
        target.right,
        target.bottom,
    )
    geometry["turned"] = conversion.orientation.swaps_sides
    geometry["wide"], geometry["low"], geometry["step"] = samples.wide, samples.low, samples.step
    geometry["shift"] = samples.bits - 1
    source, output = conversion.matrix
    if source != output or conversion.full_range:
        geometry["recoloured"] = 1
        geometry["black"] = 0 if conversion.full_range else 16
        geometry["matrix"] = colour_matrix(source, output, full_range=conversion.full_range)
    tables = []
    end = GEOMETRY.itemsize // 4
    for name, across, down in (("luma", 1, 1), ("chroma", samples.across, samples.down)):
        for axis, axis_taps in enumerate(_axes(conversion, across, down, 1 if name == "luma" else 2)):
            count, taps = axis_taps.weights.shape
            geometry[name][axis] = count, taps, end, end + count
            tables += [axis_taps.first, axis_taps.weights.T.ravel()]
            end += count * (1 + taps)
    return np.concatenate([np.frombuffer(geometry.tobytes(), np.int32), *tables]).astype(np.int32)


def colour_matrix(source: Matrix, output: Matrix, *, full_range: bool) -> Sequence[int]:
    """Seven weights, in units of 2**-14, that convert code values without offsets to limited range.

    Luma from luma, Cb and Cr; Cb from Cb and Cr; Cr from Cb and Cr.
    """
    red, blue = _RED_BLUE_WEIGHTS[source]
    green = 1 - red - blue
    # Columns: luma, Cb and Cr of a full-range source. Rows: what each adds to red, green and blue.
    rgb = (
        (Fraction(1), Fraction(0), 2 - 2 * red),
        (Fraction(1), -(2 - 2 * blue) * blue / green, -(2 - 2 * red) * red / green),
        (Fraction(1), 2 - 2 * blue, Fraction(0)),
    )
    out_red, out_blue = _RED_BLUE_WEIGHTS[output]
    parts = (out_red, 1 - out_red - out_blue, out_blue)
    luma = [sum((part * row[i] for part, row in zip(parts, rgb, strict=True)), Fraction(0)) for i in range(3)]
    cb = [(rgb[2][i] - luma[i]) / (2 - 2 * out_blue) for i in range(3)]
    cr = [(rgb[0][i] - luma[i]) / (2 - 2 * out_red) for i in range(3)]
    y_span, c_span = (Fraction(255), Fraction(255)) if full_range else (Fraction(219), Fraction(224))
    weights = (
        *(luma[i] * 219 / (c_span if i else y_span) for i in range(3)),
        *(row[i] * 224 / c_span for row in (cb, cr) for i in (1, 2)),
    )
    return [floor(weight * _ONE + Fraction(1, 2)) for weight in weights]


def _axes(conversion: Conversion, across: int, down: int, canvas_step: int) -> tuple[FilterTaps, FilterTaps]:
    """The taps of a plane along and down the canvas.

    The plane is subsampled by ``across`` and ``down`` in the source, and by ``canvas_step`` both ways in the canvas.
    """
    turned = conversion.orientation.swaps_sides
    a, b, c, d = conversion.orientation.value
    crop, target, whole = conversion.crop, conversion.target, conversion.source
    columns, rows = -(-whole.width // across), -(-whole.height // down)
    along_by, down_by = (down, across) if turned else (across, down)
    along = _axis(
        *_plane_range(crop.x, crop.width, along_by),
        target.width // canvas_step,
        whole=rows if turned else columns,
        mirrored=a + c < 0,
    )
    downwards = _axis(
        *_plane_range(crop.y, crop.height, down_by),
        target.height // canvas_step,
        whole=columns if turned else rows,
        mirrored=b + d < 0,
    )
    if not conversion.interlaced:
        return along, downwards
    lines = -(-((whole.height + 1) // 2) // down)
    field = filter_taps(lines, rows)
    if turned:
        return along.after(field, lines), downwards
    return along, downwards.after(field, lines)


def _plane_range(start: int, length: int, by: int) -> tuple[int, int]:
    """Start and length, in a plane subsampled by ``by``, of a part of the frame."""
    return start // by, -(-length // by)


def _axis(start: int, length: int, target: int, *, whole: int, mirrored: bool) -> FilterTaps:
    taps = filter_taps(length, target).shifted(start)
    return taps.mirrored(whole) if mirrored else taps
