"""The layout tables, transcribed from docs/layouts.md, "Tables", and properties of all layouts."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owtmix.base.geometry import Area, Rect, Size
from owtmix.jobfile.spec import LayoutStyle
from owtmix.plan.layouts import areas, largest, template
from tests.support.plans import PATIENT, canvases

COUNTS: Final = range(1, 34)
STYLES: Final = (
    LayoutStyle.TILE,
    LayoutStyle.VERTICAL,
    LayoutStyle.SINGLE,
    LayoutStyle.TILE2,
    LayoutStyle.VERTICAL2,
)


def tiles(*written: str) -> list[Area]:
    """Each tile as ``left top width height``."""
    return [Area(*map(Fraction, tile.split())) for tile in written]


def grid(lefts: str, tops: str, size: str) -> list[Area]:
    """Equal tiles, row by row; ``size`` is ``width height``."""
    return tiles(*(f"{left} {top} {size}" for top in tops.split() for left in lefts.split()))


WHOLE: Final = tiles("0 0 1 1")
SIXTHS: Final = "0 1/6 1/3 1/2 2/3 5/6"
EIGHTHS: Final = "0 1/8 1/4 3/8 1/2 5/8 3/4 7/8"

TILE: Final[dict[Sequence[int], list[Area]]] = {
    (1,): WHOLE,
    (2,): tiles("0 1/4 1/2 1/2", "1/2 1/4 1/2 1/2"),
    (3,): tiles("0 1/6 2/3 2/3", "2/3 1/6 1/3 1/3", "2/3 1/2 1/3 1/3"),
    (4,): tiles("0 0 1/2 1/2", "1/2 0 1/2 1/2", "0 1/2 1/2 1/2", "1/2 1/2 1/2 1/2"),
    (5, 6): tiles(
        "0 0 2/3 2/3",
        "2/3 0 1/3 1/3",
        "2/3 1/3 1/3 1/3",
        "0 2/3 1/3 1/3",
        "1/3 2/3 1/3 1/3",
        "2/3 2/3 1/3 1/3",
    ),
    (7, 8): tiles(
        "0 0 3/4 3/4",
        "3/4 0 1/4 1/4",
        "3/4 1/4 1/4 1/4",
        "3/4 1/2 1/4 1/4",
        "0 3/4 1/4 1/4",
        "1/4 3/4 1/4 1/4",
        "1/2 3/4 1/4 1/4",
        "3/4 3/4 1/4 1/4",
    ),
    (9,): grid("0 1/3 2/3", "0 1/3 2/3", "1/3 1/3"),
    range(10, 13): grid("0 1/4 1/2 3/4", "1/8 3/8 5/8", "1/4 1/4"),
    range(13, 17): grid("0 1/4 1/2 3/4", "0 1/4 1/2 3/4", "1/4 1/4"),
    (17,): grid("1/10 3/10 1/2 7/10", "0 1/5 2/5 3/5", "1/5 1/5") + tiles("2/5 4/5 1/5 1/5"),
    range(18, 21): grid("0 1/5 2/5 3/5 4/5", "1/10 3/10 1/2 7/10", "1/5 1/5"),
    range(21, 26): grid("0 1/5 2/5 3/5 4/5", "0 1/5 2/5 3/5 4/5", "1/5 1/5"),
    range(26, 31): grid(SIXTHS, "1/12 1/4 5/12 7/12 3/4", "1/6 1/6"),
    range(31, 34): grid(SIXTHS, SIXTHS, "1/6 1/6"),
}
TILE2: Final[dict[Sequence[int], list[Area]]] = {
    **TILE,
    (3,): tiles("0 0 1/2 1/2", "1/2 0 1/2 1/2", "1/4 1/2 1/2 1/2"),
    (5,): tiles("0 1/6 1/3 1/3", "1/3 1/6 1/3 1/3", "2/3 1/6 1/3 1/3", "1/6 1/2 1/3 1/3", "1/2 1/2 1/3 1/3"),
    (6,): grid("0 1/3 2/3", "1/6 1/2", "1/3 1/3"),
    (7, 8, 9): grid("0 1/3 2/3", "0 1/3 2/3", "1/3 1/3"),
}
VERTICAL: Final[dict[Sequence[int], list[Area]]] = {
    (1,): WHOLE,
    range(2, 6): tiles("0 0 4/5 1") + grid("4/5", "0 1/4 1/2 3/4", "1/5 1/4"),
    range(6, 8): tiles("0 0 7/8 1") + grid("7/8", SIXTHS, "1/8 1/6"),
    range(8, 10): tiles("0 0 9/10 1") + grid("9/10", EIGHTHS, "1/10 1/8"),
    range(10, 18): tiles("0 0 4/5 1") + grid("4/5 9/10", EIGHTHS, "1/10 1/8"),
    range(18, 34): tiles("0 0 3/5 1") + grid("3/5 7/10 4/5 9/10", EIGHTHS, "1/10 1/8"),
}
VERTICAL2: Final[dict[Sequence[int], list[Area]]] = {
    (1,): WHOLE,
    range(2, 8): WHOLE + grid(SIXTHS, "5/6", "1/6 1/6"),
    range(8, 14): tiles("1/5 0 3/5 2/3") + grid(SIXTHS, "2/3 5/6", "1/6 1/6"),
    range(14, 34): tiles("1/4 0 1/2 1/2") + grid(SIXTHS, "1/2 2/3 5/6", "1/6 1/6"),
}


def row(table: dict[Sequence[int], list[Area]], count: int) -> list[Area]:
    """The last row of ``table`` for ``count``: TILE2 has only the rows that differ from TILE."""
    return [written for counts, written in table.items() if count in counts][-1]


@pytest.mark.parametrize("count", COUNTS)
def test_tile(count: int) -> None:
    assert list(areas(LayoutStyle.TILE, count)) == row(TILE, count)


@pytest.mark.parametrize("count", COUNTS)
def test_tile2(count: int) -> None:
    assert list(areas(LayoutStyle.TILE2, count)) == row(TILE2, count)


@pytest.mark.parametrize("count", COUNTS)
def test_vertical(count: int) -> None:
    assert list(areas(LayoutStyle.VERTICAL, count)) == row(VERTICAL, count)[:count]


@pytest.mark.parametrize("count", COUNTS)
def test_vertical2(count: int) -> None:
    assert list(areas(LayoutStyle.VERTICAL2, count)) == row(VERTICAL2, count)[:count]


@pytest.mark.parametrize("count", COUNTS)
def test_single(count: int) -> None:
    assert list(areas(LayoutStyle.SINGLE, count)) == WHOLE


@pytest.mark.parametrize("style", STYLES)
def test_no_streams_need_no_tile(style: LayoutStyle) -> None:
    assert areas(style, 0) == ()


@pytest.mark.parametrize("count", [64, 1000])
def test_many_streams_get_the_maximum_number_of_tiles(count: int) -> None:
    shown = {style: len(areas(style, count)) for style in STYLES}
    assert shown[LayoutStyle.TILE] == shown[LayoutStyle.TILE2] == {64: 64, 1000: 1024}[count]
    assert (shown[LayoutStyle.VERTICAL], shown[LayoutStyle.SINGLE], shown[LayoutStyle.VERTICAL2]) == (33, 1, 19)


@pytest.mark.parametrize("style", STYLES)
def test_the_main_tile_is_tile_1(style: LayoutStyle) -> None:
    assert {largest(areas(style, count)) for count in COUNTS} == {0}


@pytest.mark.parametrize("style", STYLES)
def test_the_first_n_tiles_never_lie_on_each_other_but_where_documented(style: LayoutStyle) -> None:
    on_the_large_tile = range(2, 8) if style is LayoutStyle.VERTICAL2 else ()
    for count in COUNTS:
        rects = _on(Size(1920, 1080), areas(style, count))
        overlapping = [pair for pair in combinations(rects, 2) if pair[0].overlaps(pair[1])]
        expected = [(rects[0], small) for small in rects[1:]] if count in on_the_large_tile else []
        assert overlapping == expected


@PATIENT
@given(style=st.sampled_from(STYLES), count=st.integers(1, 64), canvas=canvases)
def test_tiles_lie_in_the_canvas_on_even_edges(style: LayoutStyle, count: int, canvas: Size) -> None:
    for rect in _on(canvas, areas(style, count)):
        assert Rect(0, 0, canvas.width, canvas.height).contains(rect)
        assert not any(edge % 2 for edge in (rect.x, rect.y, rect.right, rect.bottom))


@PATIENT
@given(style=st.sampled_from([LayoutStyle.TILE, LayoutStyle.TILE2]), count=st.integers(1, 64), canvas=canvases)
def test_tiles_that_touch_meet_exactly_and_none_overlap(style: LayoutStyle, count: int, canvas: Size) -> None:
    written = areas(style, count)
    for (a, on_a), (b, on_b) in combinations(zip(written, _on(canvas, written), strict=True), 2):
        assert not on_a.overlaps(on_b)
        if a.left + a.width == b.left:
            assert on_a.right == on_b.x
        if a.top + a.height == b.top:
            assert on_a.bottom == on_b.y


HALVES: Final = tuple(tiles("0 0 1/2 1", "1/2 0 1/2 1"))
QUARTERS: Final = tuple(grid("0 1/2", "0 1/2", "1/2 1/2"))
OTHER_QUARTERS: Final = tuple(reversed(QUARTERS))


@pytest.mark.parametrize(
    ("count", "chosen"),
    [(0, ()), (1, HALVES), (2, HALVES), (3, QUARTERS), (4, QUARTERS), (5, QUARTERS), (32, QUARTERS)],
)
def test_a_custom_template_has_exactly_n_tiles_else_the_fewest_above_else_the_most(
    count: int, chosen: tuple[Area, ...]
) -> None:
    assert template([QUARTERS, HALVES, OTHER_QUARTERS], count) == chosen


@pytest.mark.parametrize(
    ("written", "main"),
    [
        (tiles("0 0 1/4 1/4", "0 1/4 3/4 3/4", "3/4 0 1/4 1/4"), 1),
        (tiles("0 0 1/4 1", "1/4 0 1/2 1/2", "1/2 1/2 1/2 1/2"), 0),
        (tiles("0 0 1/5 1", "1/4 0 1/2 1/2", "1/2 1/2 1/2 1/2"), 1),
    ],
)
def test_the_largest_tile_is_by_area_and_the_first_of_equals(written: list[Area], main: int) -> None:
    assert largest(written) == main


def _on(canvas: Size, written: Sequence[Area]) -> list[Rect]:
    return [area.on(canvas) for area in written]
