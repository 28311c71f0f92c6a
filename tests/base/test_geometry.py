"""Pixel geometry: rounding to even edges, and resizing (docs/layouts.md, "From fractions to pixels" and "Resizing")."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owtmix.base.geometry import Area, Orientation, Rect, ResizeMode, Size, even, fit
from tests.support.plans import PATIENT, canvases

SQUARE_PIXELS: Final = Fraction(1)

pictures: Final = st.builds(Size, st.integers(1, 4096), st.integers(1, 4096))
aspects: Final = st.sampled_from([Fraction(1), Fraction(16, 11), Fraction(12, 11), Fraction(1, 2), Fraction(2)])
unit_fractions: Final = st.fractions(0, 1, max_denominator=60)


@st.composite
def tiles(draw: st.DrawFn) -> Rect:
    x, y, width, height = (2 * draw(st.integers(least, 1000)) for least in (0, 0, 1, 1))
    return Rect(x, y, width, height)


@pytest.mark.parametrize(
    ("value", "nearest"),
    [("0", 0), ("0.9", 0), ("1", 2), ("1.1", 2), ("2.99", 2), ("3", 4), ("1280/3", 426), ("2560/3", 854), ("720", 720)],
)
def test_edges_round_to_the_nearest_even_number(value: str, nearest: int) -> None:
    assert even(Fraction(value)) == nearest


@PATIENT
@given(left=unit_fractions, middle=unit_fractions, right=unit_fractions, canvas=canvases)
def test_neighbours_meet_exactly_inside_the_canvas_on_even_edges(
    left: Fraction, middle: Fraction, right: Fraction, canvas: Size
) -> None:
    left, middle, right = sorted((left, middle, right))
    first = Area(left, left, middle - left, middle - left).on(canvas)
    second = Area(middle, middle, right - middle, right - middle).on(canvas)
    assert (first.right, first.bottom) == (second.x, second.y)
    assert not any(edge % 2 for rect in (first, second) for edge in (rect.x, rect.y, rect.right, rect.bottom))
    assert all(Rect(0, 0, canvas.width, canvas.height).contains(rect) for rect in (first, second))


def test_rounding_edges_not_sizes_makes_thirds_of_1280_differ_in_width() -> None:
    third = Fraction(1, 3)
    thirds = [Area(i * third, Fraction(0), third, Fraction(1)).on(Size(1280, 720)) for i in range(3)]
    assert [(tile.x, tile.width) for tile in thirds] == [(0, 426), (426, 428), (854, 426)]


@pytest.mark.parametrize(
    ("mode", "crop", "target"),
    [
        (ResizeMode.STRETCH, Rect(0, 0, 640, 480), Rect(100, 50, 320, 180)),
        (ResizeMode.FILL, Rect(0, 60, 640, 360), Rect(100, 50, 320, 180)),
        (ResizeMode.FIT, Rect(0, 0, 640, 480), Rect(140, 50, 240, 180)),
    ],
)
def test_a_4_3_picture_in_a_16_9_tile(mode: ResizeMode, crop: Rect, target: Rect) -> None:
    fitted = fit(Size(640, 480), SQUARE_PIXELS, Rect(100, 50, 320, 180), mode)
    assert (fitted.crop, fitted.target) == (crop, target)


def test_an_upright_picture_is_cropped_above_and_below_or_gets_bars_beside_it() -> None:
    upright, tile = Size(720, 1280), Rect(0, 0, 640, 360)
    assert fit(upright, SQUARE_PIXELS, tile, ResizeMode.FILL).crop == Rect(0, 436, 720, 406)
    assert fit(upright, SQUARE_PIXELS, tile, ResizeMode.FIT).target == Rect(218, 0, 202, 360)


def test_the_odd_remainder_of_a_fitted_picture_is_right_and_below() -> None:
    beside = fit(Size(118, 100), SQUARE_PIXELS, Rect(0, 0, 124, 100), ResizeMode.FIT).target
    assert (beside.x, 124 - beside.right) == (2, 4)
    above = fit(Size(100, 118), SQUARE_PIXELS, Rect(0, 0, 100, 124), ResizeMode.FIT).target
    assert (above.y, 124 - above.bottom) == (2, 4)


def test_the_sample_aspect_ratio_decides_the_displayed_shape() -> None:
    tile = Rect(0, 0, 1280, 720)
    assert fit(Size(720, 576), Fraction(64, 45), tile, ResizeMode.FIT).target == tile
    assert fit(Size(720, 576), Fraction(64, 45), tile, ResizeMode.FILL).crop == Rect(0, 0, 720, 576)
    assert fit(Size(640, 720), Fraction(2), tile, ResizeMode.FIT).target == tile


@PATIENT
@given(picture=pictures, sar=aspects, tile=tiles())
def test_a_fitted_picture_is_whole_inside_its_tile_and_even(picture: Size, sar: Fraction, tile: Rect) -> None:
    fitted = fit(picture, sar, tile, ResizeMode.FIT)
    target = fitted.target
    assert fitted.crop == Rect(0, 0, picture.width, picture.height)
    assert tile.contains(target)
    assert target.area
    assert not any(edge % 2 for edge in (target.x, target.y, target.width, target.height))


@PATIENT
@given(picture=pictures, sar=aspects, tile=tiles())
def test_a_fitted_picture_is_the_largest_of_its_shape(picture: Size, sar: Fraction, tile: Rect) -> None:
    target = fit(picture, sar, tile, ResizeMode.FIT).target
    shape = Fraction(picture.width, picture.height) * sar
    fills_width = target.width == tile.width and abs(target.height - max(Fraction(2), tile.width / shape)) <= 1
    fills_height = target.height == tile.height and abs(target.width - max(Fraction(2), tile.height * shape)) <= 1
    assert fills_width or fills_height


@PATIENT
@given(picture=pictures, sar=aspects, tile=tiles())
def test_a_fitted_picture_is_centred(picture: Size, sar: Fraction, tile: Rect) -> None:
    target = fit(picture, sar, tile, ResizeMode.FIT).target
    assert (tile.right - target.right) - (target.x - tile.x) in {0, 2}
    assert (tile.bottom - target.bottom) - (target.y - tile.y) in {0, 2}


@PATIENT
@given(picture=pictures, sar=aspects, tile=tiles())
def test_a_filling_picture_covers_its_tile_with_its_even_centre(picture: Size, sar: Fraction, tile: Rect) -> None:
    fitted = fit(picture, sar, tile, ResizeMode.FILL)
    crop = fitted.crop
    assert fitted.target == tile
    assert Rect(0, 0, picture.width, picture.height).contains(crop)
    for start, length, whole in ((crop.x, crop.width, picture.width), (crop.y, crop.height, picture.height)):
        assert length == whole or not (start % 2 or length % 2)
        assert 0 <= (whole - length - start) - start <= 3
    assert picture.width == crop.width or picture.height == crop.height


@PATIENT
@given(picture=pictures, sar=aspects, tile=tiles())
def test_a_filling_picture_keeps_its_shape(picture: Size, sar: Fraction, tile: Rect) -> None:
    crop = fit(picture, sar, tile, ResizeMode.FILL).crop
    width, height = picture.width * sar, Fraction(picture.height)
    scale = min(width / tile.width, height / tile.height)
    assert abs(crop.width - max(Fraction(2), tile.width * scale / sar)) <= 1 or crop.width == picture.width
    assert abs(crop.height - max(Fraction(2), tile.height * scale)) <= 1 or crop.height == picture.height


def test_quarter_turns_exchange_width_and_height() -> None:
    turned = {orientation for orientation in Orientation if orientation.swaps_sides}
    assert turned == {
        Orientation.CLOCKWISE,
        Orientation.COUNTERCLOCKWISE,
        Orientation.TRANSPOSED,
        Orientation.TRANSVERSED,
    }


def test_rectangles_that_only_touch_do_not_overlap() -> None:
    left, right = Rect(0, 0, 10, 10), Rect(10, 0, 10, 10)
    assert not left.overlaps(right)
    assert left.overlaps(Rect(9, 9, 10, 10))
    assert Rect(0, 0, 20, 10).contains(right)
    assert not left.contains(right)
