"""Overlays against a reference in floats, independent of the implementation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from owtmix.base.colour import Colour
from owtmix.base.geometry import Rect, Size
from owtmix.compositor import bands
from owtmix.compositor.overlay import colour_to_yuv, prepare_grey, prepare_overlay
from owtmix.plan.media_info import Matrix

CANVAS = Size(24, 16)
# Opacity has 256 steps and colours are whole code values before they are blended.
TOLERANCE = 1


@dataclass(frozen=True)
class Planes:
    y: NDArray[np.uint8]
    u: NDArray[np.uint8]
    v: NDArray[np.uint8]

    @classmethod
    def noise(cls, seed: int, size: Size = CANVAS) -> Planes:
        random = np.random.default_rng(seed)
        full, half = (size.height, size.width), (size.height // 2, size.width // 2)
        return cls(*(random.integers(0, 256, shape, np.uint8) for shape in (full, half, half)))

    def copy(self) -> Planes:
        return Planes(self.y.copy(), self.u.copy(), self.v.copy())

    def all(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
        return self.y, self.u, self.v


def noise_image(seed: int, size: Size) -> NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (size.height, size.width, 4), np.uint8)
    image[..., 3] = random.choice(np.array([0, 1, 90, 128, 254, 255], np.uint8), (size.height, size.width))
    return image


def model_ycbcr(rgb: NDArray[np.float64], matrix: Matrix) -> NDArray[np.float64]:
    kr, kb = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}[matrix]
    r, g, b = np.moveaxis(rgb / 255, -1, 0)
    y = kr * r + (1 - kr - kb) * g + kb * b
    return np.stack((16 + 219 * y, 128 + 224 * (b - y) / (2 - 2 * kb), 128 + 224 * (r - y) / (2 - 2 * kr)))


def model_blend(under: Planes, image: NDArray[np.uint8], at: tuple[int, int], matrix: Matrix, alpha: float) -> Planes:
    """Place the image on a canvas of its own, then blend; chroma is the mean of four blended pixels."""
    x, y = at
    opacity = np.zeros((CANVAS.height, CANVAS.width))
    colours = np.zeros((3, CANVAS.height, CANVAS.width))
    converted = model_ycbcr(image[..., :3].astype(np.float64), matrix)
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            if 0 <= y + row < CANVAS.height and 0 <= x + column < CANVAS.width:
                opacity[y + row, x + column] = image[row, column, 3] / 255 * alpha
                colours[:, y + row, x + column] = converted[:, row, column]
    luma = opacity * colours[0] + (1 - opacity) * under.y
    chroma = [
        (opacity * plane + (1 - opacity) * np.kron(old, np.ones((2, 2))))
        .reshape(CANVAS.height // 2, 2, CANVAS.width // 2, 2)
        .mean(axis=(1, 3))
        for plane, old in zip(colours[1:], (under.u, under.v), strict=True)
    ]
    return Planes(*(np.floor(plane + 0.5).astype(np.uint8) for plane in (luma, *chroma)))


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 1000),
    at=st.tuples(st.integers(-10, 26), st.integers(-10, 18)),
    size=st.builds(Size, st.integers(1, 30), st.integers(1, 20)),
    matrix=st.sampled_from(["bt601", "bt709"]),
    alpha=st.sampled_from([0.2, 0.5, 0.77, 1.0]),
)
def test_blend_agrees_with_the_model_at_any_place(
    seed: int, at: tuple[int, int], size: Size, matrix: Matrix, alpha: float
) -> None:
    image, planes = noise_image(seed, size), Planes.noise(seed + 1)
    before, expected = planes.copy(), model_blend(planes, image, at, matrix, alpha)

    overlay = prepare_overlay(image, *at, CANVAS, matrix, alpha=alpha)
    if overlay:
        overlay.blend(*planes.all())

    for got, wanted in zip(planes.all(), expected.all(), strict=True):
        assert np.abs(got.astype(int) - wanted).max() <= TOLERANCE
    if overlay:
        rect = overlay.rect
        assert all(edge % 2 == 0 for edge in (rect.x, rect.y, rect.right, rect.bottom))
        assert Rect(0, 0, CANVAS.width, CANVAS.height).contains(rect)
        planes.y[rect.y : rect.bottom, rect.x : rect.right] = before.y[rect.y : rect.bottom, rect.x : rect.right]
    assert (planes.y == before.y).all(), "something outside rect was touched"


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_an_opaque_overlay_is_a_copy_of_the_colour_that_yuv_names(matrix: Matrix) -> None:
    for seed in range(50):
        red, green, blue = (int(c) for c in np.random.default_rng(seed).integers(0, 256, 3))
        image = np.full((6, 8, 4), (red, green, blue, 255), np.uint8)
        planes = Planes.noise(seed)
        overlay = prepare_overlay(image, 4, 2, CANVAS, matrix)
        assert overlay is not None
        assert overlay.rect == Rect(4, 2, 8, 6)
        overlay.blend(*planes.all())
        y, u, v = colour_to_yuv(Colour(red, green, blue), matrix)
        assert (planes.y[2:8, 4:12] == y).all()
        assert (planes.u[1:4, 2:6] == u).all()
        assert (planes.v[1:4, 2:6] == v).all()


@pytest.mark.parametrize(
    ("colour", "matrix", "expected"),
    [
        (Colour(0, 0, 0), "bt709", (16, 128, 128)),
        (Colour(255, 255, 255), "bt601", (235, 128, 128)),
        (Colour(255, 0, 0), "bt601", (81, 90, 240)),  # as in colour bars
        (Colour(0, 0, 255), "bt601", (41, 240, 110)),
        (Colour(255, 0, 0), "bt709", (63, 102, 240)),
        (Colour(0, 255, 0), "bt709", (173, 42, 26)),
    ],
)
def test_yuv_of_known_colours(colour: Colour, matrix: Matrix, expected: tuple[int, int, int]) -> None:
    assert colour_to_yuv(colour, matrix) == expected


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_every_grey_is_without_colour(matrix: Matrix) -> None:
    assert all(colour_to_yuv(Colour(grey, grey, grey), matrix)[1:] == (128, 128) for grey in range(256))


def test_a_colour_over_itself_stays_at_every_opacity() -> None:
    image = np.full((16, 24, 4), (200, 30, 90, 0), np.uint8)
    image[..., 3] = np.linspace(0, 255, 16 * 24).reshape(16, 24).astype(np.uint8)
    overlay = prepare_overlay(image, 0, 0, CANVAS, "bt709", alpha=0.7)
    assert overlay is not None
    y, u, v = colour_to_yuv(Colour(200, 30, 90), "bt709")
    planes = Planes(np.full((16, 24), y, np.uint8), np.full((8, 12), u, np.uint8), np.full((8, 12), v, np.uint8))
    overlay.blend(*planes.all())
    assert [set(plane.flat) for plane in planes.all()] == [{y}, {u}, {v}]


def test_the_colour_behind_transparent_pixels_does_not_bleed() -> None:
    """Each 2x2 block has one opaque white pixel and three transparent blue ones."""
    image = np.full((4, 4, 4), (0, 0, 255, 0), np.uint8)
    image[::2, ::2] = 255
    planes = Planes(np.full((16, 24), 100, np.uint8), *(np.full((8, 12), 128, np.uint8) for _ in range(2)))
    overlay = prepare_overlay(image, 0, 0, CANVAS, "bt709")
    assert overlay is not None
    overlay.blend(*planes.all())
    assert (planes.u == 128).all()
    assert planes.y[0, 0] == 235
    assert planes.y[0, 1] == 100


@pytest.mark.parametrize(("x", "y"), [(-8, 0), (24, 0), (0, -6), (0, 16), (500, 500), (-500, 3)])
def test_nothing_is_prepared_for_what_lies_outside(x: int, y: int) -> None:
    assert prepare_overlay(np.full((6, 8, 4), 255, np.uint8), x, y, CANVAS, "bt709") is None


def test_nothing_is_prepared_for_what_is_transparent_or_empty() -> None:
    assert prepare_overlay(np.zeros((6, 8, 4), np.uint8), 0, 0, CANVAS, "bt709") is None
    assert prepare_overlay(np.full((6, 8, 4), 255, np.uint8), 0, 0, CANVAS, "bt709", alpha=0.0) is None
    assert prepare_overlay(np.zeros((6, 0, 4), np.uint8), 0, 0, CANVAS, "bt709") is None


def test_rect_shrinks_to_what_is_visible() -> None:
    image = np.zeros((12, 20, 4), np.uint8)
    image[5, 7] = 255
    overlay = prepare_overlay(image, 1, 1, CANVAS, "bt709")
    assert overlay is not None
    assert overlay.rect == Rect(8, 6, 2, 2)


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_a_grey_picture_is_what_it_is_in_rgba(matrix: Matrix) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(8, 32)
    rgba = np.stack((grey, grey, grey, np.full_like(grey, 255)), axis=2)
    place, canvas = Rect(4, 2, 32, 8), Size(40, 12)
    expected, drawn = prepare_overlay(rgba, 4, 2, canvas, matrix), prepare_grey(grey, place, matrix)
    assert expected
    assert drawn.rect == expected.rect == place
    for ours, theirs in zip(drawn.pairs, expected.pairs, strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("at", [(0, 0), (3, 5), (-7, -3), (4, 9)])
def test_a_large_image_is_prepared_and_drawn_in_bands_with_the_same_pixels(
    monkeypatch: pytest.MonkeyPatch, at: tuple[int, int]
) -> None:
    """As if the whole of it were prepared at once, also where a band ends between rows of one 2x2 block."""
    image = noise_image(5, Size(21, 17))
    drawn: list[Planes] = []
    for pixels in (1 << 18, 40):
        monkeypatch.setattr(bands, "_BAND_PIXELS", pixels)
        overlay = prepare_overlay(image, *at, CANVAS, "bt709", alpha=0.7)
        assert overlay
        drawn.append(Planes.noise(6))
        overlay.blend(*drawn[-1].all())
    for whole, in_bands in zip(drawn[0].all(), drawn[1].all(), strict=True):
        assert np.array_equal(whole, in_bands)
