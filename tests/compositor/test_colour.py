"""Colours are converted to the matrix and range of the output."""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from owtmix.base.geometry import Size
from owtmix.plan.media_info import Matrix
from tests.compositor.stills import Still, fitted

Samples = NDArray[np.float64]

COLOUR_TOLERANCE: Final = 2.0

PATCHES: Final = (
    (0, 0, 0),
    (40, 40, 40),
    (128, 128, 128),
    (255, 255, 255),
    (255, 219, 172),
    (224, 172, 105),
    (198, 134, 66),
    (141, 85, 36),
    (200, 30, 30),
    (30, 200, 30),
    (30, 30, 200),
)
"""R'G'B': greys, skin tones, and three colours that a wrong matrix shifts most."""


def encode(rgb: Samples, matrix: Matrix, *, full_range: bool) -> Samples:
    """R'G'B' 0..1 to 8-bit Y', Cb, Cr code values, not rounded."""
    kr, kb = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}[matrix]
    r, g, b = rgb
    y = kr * r + (1 - kr - kb) * g + kb * b
    cb, cr = (b - y) / (2 - 2 * kb), (r - y) / (2 - 2 * kr)
    return np.array(
        (255 * y, 128 + 255 * cb, 128 + 255 * cr) if full_range else (16 + 219 * y, 128 + 224 * cb, 128 + 224 * cr)
    )


def patch_of(codes: Samples, pixel_format: str) -> VideoFrame:
    """A 64x48 frame of one colour; ``codes`` are 8-bit values."""
    frame = VideoFrame(64, 48, pixel_format)
    for plane, code in zip(frame.planes, codes, strict=False):
        if "10le" in pixel_format:
            np.frombuffer(memoryview(plane), np.uint16)[:] = round(4 * code)
        else:
            np.frombuffer(memoryview(plane), np.uint8)[:] = round(code)
    return frame


@pytest.mark.parametrize("output", ["bt601", "bt709"])
@pytest.mark.parametrize("source", ["bt601", "bt709"])
@pytest.mark.parametrize(
    ("pixel_format", "full_range"),
    [
        ("yuv420p", False),
        ("yuv420p", True),
        ("yuvj420p", True),
        ("yuv422p", False),
        ("yuv444p", True),
        ("yuvj444p", True),
        ("yuv420p10le", False),
        ("yuv420p10le", True),
        ("yuv422p10le", False),
    ],
)
@pytest.mark.parametrize("tile", [Size(32, 24), Size(64, 48), Size(96, 72)], ids=str)
def test_colours_are_converted_to_the_output_s_matrix_and_range(
    pixel_format: str, full_range: bool, source: Matrix, output: Matrix, tile: Size
) -> None:
    for rgb in PATCHES:
        colour = np.array(rgb) / 255
        frame = patch_of(encode(colour, source, full_range=full_range), pixel_format)
        patch = fitted(Still(frame, matrix=source, full_range=full_range), tile, matrix=output)
        expected = encode(colour, output, full_range=False)
        for drawn, code in zip(patch.planes, expected, strict=True):
            assert np.abs(drawn - code).max() <= COLOUR_TOLERANCE


@pytest.mark.parametrize("source", ["bt601", "bt709"])
@pytest.mark.parametrize("output", ["bt601", "bt709"])
def test_rgb_inside_a_video_is_converted_too(source: Matrix, output: Matrix) -> None:
    """H.264 and VP9 can hold G, B and R; the matrix tag is meaningless then."""
    for red, green, blue in PATCHES:
        frame = patch_of(np.array((green, blue, red), float), "gbrp")
        patch = fitted(Still(frame, matrix=source, full_range=True), Size(32, 24), matrix=output)
        expected = encode(np.array((red, green, blue)) / 255, output, full_range=False)
        for drawn, code in zip(patch.planes, expected, strict=True):
            assert np.abs(drawn - code).max() <= COLOUR_TOLERANCE


@pytest.mark.parametrize("pixel_format", ["gray", "gray10le"])
@pytest.mark.parametrize("full_range", [False, True])
def test_a_grey_video_keeps_its_levels(pixel_format: str, full_range: bool) -> None:
    for level in (0.0, 0.3, 1.0):
        code = 255 * level if full_range else 16 + 219 * level
        still = Still(patch_of(np.array((code,)), pixel_format), full_range=full_range)
        luma, cb, cr = fitted(still, Size(32, 24)).planes
        assert np.abs(luma - (16 + 219 * level)).max() <= COLOUR_TOLERANCE
        assert (cb == 128).all()
        assert (cr == 128).all()
