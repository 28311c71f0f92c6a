"""Scaling, cropping and orientation against references in floats."""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from owtmix.base.geometry import Orientation, Rect, ResizeMode, Size
from owtmix.compositor.cpu import CpuScaler, Patch
from tests.compositor.stills import Still, fitted
from tests.media.pictures import Plane, flat, from_planes, texture, textured

Samples = NDArray[np.float64]

AREA_TOLERANCE: Final = 1.0
"""For 14-bit coefficients and rounding to code values."""

BICUBIC_TOLERANCE: Final = 1.5
EDGE_TOLERANCE: Final = 3.5
EDGE_PX: Final = 8
"""At the edges, libswscale drops the smallest coefficients of the kernel."""


def area(source: int, target: int) -> Samples:
    """Weights (target, source): the overlap of each source sample with a target sample."""
    edges = np.arange(target + 1) * source / target
    k = np.arange(source)
    overlap = np.minimum(edges[1:, None], k + 1) - np.maximum(edges[:-1, None], k)
    weights: Samples = overlap.clip(0) / (source / target)
    return weights


def bicubic(source: int, target: int) -> Samples:
    """Weights (target, source) of the kernel with B 0, C 0.6; the edge sample is repeated."""
    centres = (np.arange(target) + 0.5) * source / target - 0.5
    weights: Samples = np.zeros((target, source))
    for row, centre in zip(weights, centres, strict=True):
        for k in range(int(np.floor(centre)) - 1, int(np.floor(centre)) + 3):
            row[min(max(k, 0), source - 1)] += _kernel(abs(centre - k))
    return weights


def _kernel(x: float, b: float = 0.0, c: float = 0.6) -> float:
    """The Mitchell-Netravali family."""
    if x < 1:
        return ((12 - 9 * b - 6 * c) * x**3 + (-18 + 12 * b + 6 * c) * x**2 + 6 - 2 * b) / 6
    if x < 2:
        return ((-b - 6 * c) * x**3 + (6 * b + 30 * c) * x**2 + (-12 * b - 48 * c) * x + 8 * b + 24 * c) / 6
    return 0.0


def weights(source: int, target: int) -> Samples:
    return area(source, target) if target <= source else bicubic(source, target)


def model(plane: Plane, target: Size) -> Samples:
    height, width = plane.shape
    scaled: Samples = weights(height, target.height) @ plane @ weights(width, target.width).T
    return scaled.clip(0, 255)


def difference(patch: Patch, frame_planes: tuple[Plane, ...], target: Size) -> list[Samples]:
    sizes = target, Size(target.width // 2, target.height // 2), Size(target.width // 2, target.height // 2)
    return [
        np.abs(model(source, size) - drawn)
        for source, drawn, size in zip(frame_planes, patch.planes, sizes, strict=True)
    ]


def sampled(size: Size, across: int, down: int) -> tuple[Plane, Plane, Plane]:
    """Textures for Y, Cb, Cr, with chroma subsampled by ``across`` and ``down``."""
    chroma = -(-size.height // down), -(-size.width // across)
    return texture((size.height, size.width)), texture(chroma, 1), texture(chroma, 2)


@pytest.mark.parametrize(("pixel_format", "across", "down"), [("yuv420p", 2, 2), ("yuv422p", 2, 1), ("yuv444p", 1, 1)])
@pytest.mark.parametrize(
    ("source", "target"),
    [
        (Size(320, 180), Size(160, 90)),
        (Size(320, 180), Size(106, 60)),
        (Size(320, 180), Size(300, 170)),
        (Size(161, 121), Size(160, 120)),
        (Size(161, 121), Size(80, 60)),
        (Size(320, 180), Size(2, 2)),
        (Size(64, 48), Size(64, 24)),
        (Size(64, 48), Size(32, 48)),
    ],
    ids=str,
)
def test_shrinking_averages_areas(pixel_format: str, across: int, down: int, source: Size, target: Size) -> None:
    components = sampled(source, across, down)
    patch = fitted(Still(from_planes(*components, pixel_format=pixel_format)), target)
    for error in difference(patch, components, target):
        assert error.max() <= AREA_TOLERANCE


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (Size(64, 48), Size(160, 120)),
        (Size(64, 48), Size(66, 50)),
        (Size(161, 121), Size(322, 242)),
        (Size(64, 48), Size(64, 96)),
        (Size(64, 48), Size(128, 48)),
    ],
    ids=str,
)
def test_enlarging_is_bicubic(source: Size, target: Size) -> None:
    components = sampled(source, 2, 2)
    patch = fitted(Still(from_planes(*components)), target)
    for error in difference(patch, components, target):
        assert error.max() <= EDGE_TOLERANCE
        assert error[EDGE_PX:-EDGE_PX, EDGE_PX:-EDGE_PX].max() <= BICUBIC_TOLERANCE


@pytest.mark.parametrize(
    ("source", "target"),
    [(Size(128, 96), Size(64, 192)), (Size(64, 96), Size(160, 48)), (Size(161, 121), Size(40, 240))],
    ids=str,
)
def test_each_axis_is_scaled_in_its_own_way(source: Size, target: Size) -> None:
    components = sampled(source, 2, 2)
    patch = fitted(Still(from_planes(*components)), target)
    for error in difference(patch, components, target):
        assert error.max() <= EDGE_TOLERANCE
        assert error[EDGE_PX:-EDGE_PX, EDGE_PX:-EDGE_PX].max() <= BICUBIC_TOLERANCE + AREA_TOLERANCE


def test_a_frame_of_the_tile_s_size_is_copied() -> None:
    components = sampled(Size(64, 48), 2, 2)
    patch = fitted(Still(from_planes(*components)), Size(64, 48))
    for source, drawn in zip(components, patch.planes, strict=True):
        assert np.array_equal(source, drawn)


@pytest.mark.parametrize("source", [Size(1, 1), Size(2, 2), Size(3, 5), Size(1, 100), Size(100, 1)], ids=str)
@pytest.mark.parametrize("target", [Size(2, 2), Size(4, 2), Size(64, 64), Size(640, 360)], ids=str)
@pytest.mark.parametrize("mode", ResizeMode)
def test_tiny_frames_and_tiny_tiles_keep_their_colour(source: Size, target: Size, mode: ResizeMode) -> None:
    patch = fitted(Still(flat(source, (90, 100, 170))), target, mode)
    assert patch.target.width >= 2
    assert patch.target.height >= 2
    assert [set(plane.ravel().tolist()) for plane in patch.planes] == [{90}, {100}, {170}]


@pytest.mark.parametrize(
    ("source", "tile", "crop"),
    [
        (Size(320, 180), Size(90, 90), (slice(0, 180), slice(70, 250))),
        (Size(180, 320), Size(90, 90), (slice(70, 250), slice(0, 180))),
        (Size(161, 121), Size(60, 30), (slice(20, 100), slice(0, 161))),
    ],
    ids=str,
)
def test_filling_crops_the_centre(source: Size, tile: Size, crop: tuple[slice, slice]) -> None:
    luma = texture((source.height, source.width))
    half = np.full((-(-source.height // 2), -(-source.width // 2)), 128, np.uint8)
    patch = fitted(Still(from_planes(luma, half, half)), tile, ResizeMode.FILL)
    assert patch.target == Rect(0, 0, tile.width, tile.height)
    assert np.abs(model(luma[crop], tile) - patch.planes[0]).max() <= AREA_TOLERANCE


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("orientation", Orientation)
def test_every_orientation_puts_every_pixel_where_its_matrix_says(orientation: Orientation, scale: int) -> None:
    """Four quarters of different colours, so that no two orientations look alike."""
    codes: Plane = np.array([[40, 90], [140, 200]], np.uint8)
    components = (np.kron(codes, np.ones(shape, np.uint8)) for shape in ((24, 32), (12, 16), (12, 16)))
    a, b, c, d = orientation.value
    expected = np.empty((2, 2), np.uint8)
    for y, x in np.ndindex(2, 2):
        column, row = a * (2 * x - 1) + c * (2 * y - 1), b * (2 * x - 1) + d * (2 * y - 1)
        expected[(row + 1) // 2, (column + 1) // 2] = codes[y, x]
    shown = Size(48, 64) if orientation.swaps_sides else Size(64, 48)
    patch = fitted(Still(from_planes(*components), orientation), Size(shown.width // scale, shown.height // scale))
    for drawn in patch.planes:
        height, width = drawn.shape
        assert np.array_equal(drawn, np.kron(expected, np.ones((height // 2, width // 2), np.uint8)))


def test_a_rotated_frame_is_cropped_after_rotation() -> None:
    luma = texture((320, 180))
    half = np.full((160, 90), 128, np.uint8)
    patch = fitted(Still(from_planes(luma, half, half), Orientation.CLOCKWISE), Size(90, 90), ResizeMode.FILL)
    shown = np.rot90(luma, -1)[:, 70:250]
    assert np.abs(model(shown, Size(90, 90)) - patch.planes[0]).max() <= AREA_TOLERANCE


def test_a_texture_survives_10_bits() -> None:
    components = sampled(Size(64, 48), 2, 2)
    frame = VideoFrame(64, 48, "yuv420p10le")
    for plane, samples in zip(frame.planes, components, strict=True):
        np.frombuffer(memoryview(plane), np.uint16).reshape(samples.shape[0], -1)[:, : samples.shape[1]] = (
            samples.astype(np.uint16) * 4
        )
    for error in difference(fitted(Still(frame), Size(32, 24)), components, Size(32, 24)):
        assert error.max() <= AREA_TOLERANCE + 1


def test_the_same_frame_gives_the_same_pixels_from_any_scaler() -> None:
    still = Still(textured(Size(160, 120)), matrix="bt601")
    scaler = CpuScaler(ResizeMode.FIT, "bt709")
    tiles = [Rect(0, 0, 64 + 2 * i, 48) for i in range(6)]
    first = [scaler.fit(still, tile, "key") for tile in tiles]
    again = [scaler.fit(still, tile, "key") for tile in tiles]
    others = [CpuScaler(ResizeMode.FIT, "bt709").fit(still, tile, "key") for tile in tiles]
    for patches in zip(first, again, others, strict=True):
        for planes in zip(*(patch.planes for patch in patches), strict=True):
            assert np.array_equal(planes[0], planes[1])
            assert np.array_equal(planes[0], planes[2])


@pytest.mark.parametrize("orientation", [Orientation.UPRIGHT, Orientation.CLOCKWISE])
@pytest.mark.parametrize("tile", [Size(64, 48), Size(32, 24), Size(128, 96)], ids=str)
def test_an_interlaced_frame_shows_one_of_its_fields(orientation: Orientation, tile: Size) -> None:
    """Fields were sampled at different times: weaving them would show combing."""
    luma = np.full((48, 64), 60, np.uint8)
    luma[1::2] = 180
    half = np.full((24, 32), 128, np.uint8)
    patch = fitted(Still(from_planes(luma, half, half), orientation, interlaced=True), tile)
    assert (patch.planes[0] == 60).all()
