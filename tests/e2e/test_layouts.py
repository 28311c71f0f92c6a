"""Layouts, resize modes, custom templates and manual positions, in composed rooms."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.e2e.bench import Bench, check_everything, check_pictures
from tests.support.people import Take, person
from tests.support.room import Room

WIDE: Final = (320, 180)
OLD: Final = (240, 180)
TALL: Final = (180, 320)
SQUARE: Final = (200, 200)

CROWD: Final[tuple[Take, ...]] = (
    person(0, 0, 6613, 250, 2950, size=WIDE, rate_hz=44_100, channels=1),
    person(1, 337, 4093, 2715, size=OLD, container="webm"),
    person(2, 671, 5231, 240, 2485, size=TALL, fps=15),
    person(3, 1013, 3313, 2245, size=SQUARE, container="webm", first_pts_ms=60_000),
    person(4, 1349, 4799, 250, 2010, size=WIDE, container="webm", fps=15),
    person(5, 1657, 4111, 1805, size=OLD, first_pts_ms=60_000),
    person(6, 2003, 3533, 1560, size=TALL, container="webm", rate_hz=24_000, channels=1),
    person(7, 2311, 3089, 1360, size=WIDE, fps=15, rate_hz=44_100),
    person(8, 2647, 1987, 1125, size=SQUARE),
)
"""Nine people with pictures of different shapes; they join one by one, between frames, and leave in another order."""


@pytest.mark.parametrize("mode", [0, 1, 2], ids=["stretch", "fill", "fit"])
@pytest.mark.parametrize("layout", [1, 2, 3, 4, 5], ids=["tile", "vertical", "single", "tile2", "vertical2"])
def test_everybody_is_where_the_layout_puts_them(bench: Bench, layout: int, mode: int) -> None:
    background = {"R": 60, "G": 90, "B": 40}
    mixer = {"MixedVideoLayout": layout, "ResizeMode": mode, "BackgroundColor": background}
    check_everything(bench.compose(Room(CROWD, mixer=mixer)))


def test_the_largest_tile_goes_to_the_designated_stream_while_it_is_there(bench: Bench) -> None:
    check_everything(bench.compose(Room(CROWD, mixer={"MixedVideoLayout": 2, "MaxResolutionStream": "p4_1"})))


def test_custom_templates_serve_the_nearest_count(bench: Bench) -> None:
    two = [_area("0", "0", "1/2", "1"), _area("0.5", "1/4", "1/2", "1/2")]
    five = [_area("0", "0", "1/4", "1/3"), *(_area("1/4", f"{i}/4", "3/4", "1/4") for i in range(4))]
    templates = [_template(five), _template(two)]
    room = Room(CROWD, mixer={"MixedVideoLayout": 0, "LayoutConfig": templates, "MaxResolutionStream": "p2_1"})
    check_everything(bench.compose(room))


def test_manual_positions_overlap_in_z_order(bench: Bench) -> None:
    regions = {
        "p0_1": {"X": 0, "Y": 0, "Width": 640, "Height": 360, "Z": 0},
        "p1_1": {"X": 40, "Y": 40, "Width": 320, "Height": 180, "Z": 5},
        "p2_1": {"X": 200, "Y": 120, "Width": 320, "Height": 200, "Z": 2},
        "p4_1": {"X": 420, "Y": 20, "Width": 200, "Height": 120, "Z": 2},
    }
    positions = [{"RtcStreamId": stream, "Region": region} for stream, region in regions.items()]
    room = Room(CROWD, mixer={"PositionConfig": positions, "ResizeMode": 1}, subscribe={"VideoStreamType": 1})
    check_pictures(bench.compose(room))


def test_a_canvas_that_no_template_divides(bench: Bench) -> None:
    check_everything(bench.compose(Room(CROWD, size=(502, 278), fps=15, mixer={"ResizeMode": 2})))


def _area(left: str, top: str, width: str, height: str) -> dict[str, str]:
    return {"Left": left, "Top": top, "Width": width, "Height": height}


def _template(areas: list[dict[str, str]]) -> list[dict[str, Any]]:
    return [{"Id": f"{len(areas)}_{i}", "Shape": "rectangle", "Area": area} for i, area in enumerate(areas, 1)]
