"""Assignment of tiles to streams (docs/semantics.md, "Picture"; docs/layouts.md, "Dealing tiles")."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owtmix.base.geometry import Area, Rect, Size
from owtmix.base.ids import StreamId
from owtmix.jobfile.room_state import RoomState
from owtmix.jobfile.spec import LayoutStyle, MixerSpec, Position
from owtmix.plan.course import StateSpan
from owtmix.plan.media_info import Clip
from owtmix.plan.scenes import Scene, build_scenes
from owtmix.plan.timeline import PlacedClip, Segment, Timeline, TimelineRules, build_timeline
from tests.support.plans import (
    ANNA,
    BEN,
    CARL,
    JOB,
    MIXER,
    PATIENT,
    SCREEN,
    SUBSCRIPTION,
    canvases,
    picture,
    room,
    rooms,
    rules,
    span,
    take,
)

CANVAS: Final = Size(1200, 720)
CROWD: Final = tuple(StreamId(f"user{number:02}", 1) for number in range(40))

PICTURE_IN_PICTURE: Final = (
    Area(Fraction(0), Fraction(0), Fraction(1, 4), Fraction(1)),
    Area(Fraction(1, 4), Fraction(0), Fraction(3, 4), Fraction(1)),
    Area(Fraction(3, 4), Fraction(3, 4), Fraction(1, 4), Fraction(1, 4)),
)
"""A custom template with three tiles, of which the second is the largest."""


def named(streams: Iterable[StreamId]) -> dict[StreamId, str]:
    """The streams that are visible, called by their ids."""
    return {stream: stream.user for stream in streams}


def always(mixer: MixerSpec, *, manual: bool = False) -> list[StateSpan]:
    """A room that does not change."""
    spec = replace(JOB, mixer=mixer, subscription=replace(SUBSCRIPTION, manual=manual))
    return [StateSpan(span(0, 10**9), spec, RoomState(spec.mixer, spec.subscription, 0))]


def scenes_of(
    segments: Sequence[Segment], mixer: MixerSpec, visible: Iterable[StreamId], *, manual: bool = False
) -> tuple[Scene, ...]:
    """The scenes of a room of which these are the segments."""
    joined = {stream: (span(0, segments[-1].span.end),) for found in segments for stream in found.present}
    clip = PlacedClip(room(take(ANNA, 0, picture([0], end=1)))[0], span(0, 1), Fraction(0))
    pictures = dict.fromkeys(joined, (clip,))
    timeline = Timeline(segments[-1].span.end, joined, pictures, {}, tuple(segments), (), ())
    return build_scenes(timeline, always(mixer, manual=manual), CANVAS, named(visible))


def dealt(present: Sequence[StreamId], mixer: MixerSpec, visible: Iterable[StreamId] | None = None) -> Scene:
    segment = Segment(span(0, 10), tuple(present))
    chosen = frozenset(present if visible is None else visible)
    (only,) = scenes_of([segment], mixer, chosen)
    return only


def who(found: Scene) -> list[StreamId]:
    return [tile.stream for tile in found.tiles]


def seat(stream: StreamId, found: Scene) -> Rect:
    return next(tile.rect for tile in found.tiles if tile.stream == stream)


def custom(*templates: Sequence[Area], designated: StreamId | None = None) -> MixerSpec:
    written = tuple(tuple(template) for template in templates)
    return replace(MIXER, layout=LayoutStyle.CUSTOM, templates=written, max_resolution_stream=designated)


def vertical(designated: StreamId | None = None) -> MixerSpec:
    return replace(MIXER, layout=LayoutStyle.VERTICAL, max_resolution_stream=designated)


def test_tiles_are_dealt_in_order_of_joining() -> None:
    found = dealt([CARL, ANNA, BEN], MIXER)
    assert [(tile.stream, tile.rect) for tile in found.tiles] == [
        (CARL, Rect(0, 120, 800, 480)),
        (ANNA, Rect(800, 120, 400, 240)),
        (BEN, Rect(800, 360, 400, 240)),
    ]


def test_only_streams_that_have_video_get_a_tile() -> None:
    found = dealt([ANNA, BEN, CARL], MIXER, visible=[CARL, ANNA])
    assert [(tile.stream, tile.rect) for tile in found.tiles] == [
        (ANNA, Rect(0, 180, 600, 360)),
        (CARL, Rect(600, 180, 600, 360)),
    ]


def test_positions_are_ignored_in_automatic_mode() -> None:
    mixer = replace(MIXER, positions=(Position(BEN, Rect(0, 0, 2, 2), 0),))
    assert dealt([ANNA, BEN], mixer) == dealt([ANNA, BEN], MIXER)


@pytest.mark.parametrize("count", range(1, 6))
def test_the_designated_stream_takes_the_main_tile_and_the_others_the_rest_in_order(count: int) -> None:
    present = CROWD[:count]
    assert who(dealt(present, vertical(present[-1]))) == [present[-1], *present[:-1]]


def test_a_designated_stream_that_is_absent_leaves_no_hole() -> None:
    assert dealt([ANNA, BEN], vertical(designated=CARL)) == dealt([ANNA, BEN], vertical())


def test_a_designated_stream_without_video_leaves_no_hole() -> None:
    found = dealt([CARL, ANNA, BEN], vertical(designated=CARL), visible=[ANNA, BEN])
    assert who(found) == [ANNA, BEN]


def test_the_designated_stream_takes_the_largest_tile_wherever_that_stands() -> None:
    found = dealt([ANNA, BEN, CARL], custom(PICTURE_IN_PICTURE, designated=CARL))
    assert who(found) == [ANNA, CARL, BEN]
    assert seat(CARL, found) == Rect(300, 0, 900, 720)


def test_the_first_present_stream_takes_the_largest_tile_of_a_designated_one_that_is_absent() -> None:
    found = dealt([ANNA, BEN, SCREEN], custom(PICTURE_IN_PICTURE, designated=CARL))
    assert who(found) == [BEN, ANNA, SCREEN]
    assert seat(ANNA, found) == Rect(300, 0, 900, 720)


def test_without_a_designated_stream_the_largest_tile_is_nothing_special() -> None:
    assert who(dealt([ANNA, BEN, CARL], custom(PICTURE_IN_PICTURE))) == [ANNA, BEN, CARL]


def test_later_tiles_are_drawn_over_earlier_ones_whoever_is_in_them() -> None:
    found = dealt([ANNA, BEN, CARL], custom(PICTURE_IN_PICTURE, designated=CARL))
    assert found.tiles[-1].rect == Rect(900, 540, 300, 180)


def test_a_template_with_more_tiles_leaves_the_last_ones_empty() -> None:
    assert who(dealt([ANNA, BEN], custom(PICTURE_IN_PICTURE))) == [ANNA, BEN]
    assert who(dealt([ANNA], custom(PICTURE_IN_PICTURE, designated=ANNA))) == [ANNA]


def test_streams_beyond_the_largest_template_are_not_shown() -> None:
    assert who(dealt(CROWD[:5], custom(PICTURE_IN_PICTURE))) == list(CROWD[:3])


def test_the_designated_stream_is_shown_even_if_it_joined_beyond_the_last_tile() -> None:
    assert who(dealt(CROWD[:5], custom(PICTURE_IN_PICTURE, designated=CROWD[4]))) == [CROWD[0], CROWD[4], CROWD[1]]


@pytest.mark.parametrize(
    ("style", "most"), [(LayoutStyle.SINGLE, 1), (LayoutStyle.VERTICAL, 33), (LayoutStyle.VERTICAL2, 19)]
)
def test_a_stream_beyond_a_styles_last_tile_is_not_shown(style: LayoutStyle, most: int) -> None:
    assert who(dealt(CROWD, replace(MIXER, layout=style))) == list(CROWD[:most])


def test_single_shows_the_designated_stream_else_the_first_present() -> None:
    single = replace(MIXER, layout=LayoutStyle.SINGLE, max_resolution_stream=BEN)
    assert who(dealt([ANNA, BEN], single)) == [BEN]
    assert who(dealt([ANNA, CARL], single)) == [ANNA]


def test_an_empty_room_shows_nobody() -> None:
    assert dealt([], MIXER).tiles == ()
    assert dealt([], vertical(designated=ANNA)).tiles == ()


def test_a_tile_too_small_for_a_pixel_is_not_drawn() -> None:
    tiny = Area(Fraction(0), Fraction(0), Fraction(1, 9999), Fraction(1))
    assert who(dealt([ANNA, BEN], custom([PICTURE_IN_PICTURE[0], tiny]))) == [ANNA]


def test_manual_mode_shows_only_positioned_streams_lower_z_first_then_list_order() -> None:
    regions = [Rect(x, 0, 400, 300) for x in (0, 200, 400, 600)]
    positions = tuple(
        Position(stream, region, z)
        for stream, region, z in zip((ANNA, BEN, SCREEN, CARL), regions, (5, 1, -1, 1), strict=True)
    )
    mixer = replace(MIXER, layout=LayoutStyle.SINGLE, max_resolution_stream=BEN, positions=positions)
    segments = [Segment(span(0, 1), (CROWD[0], CARL, ANNA, BEN)), Segment(span(1, 2), (CROWD[0],))]
    first, second = scenes_of(segments, mixer, {ANNA, BEN, CARL, SCREEN, CROWD[0]}, manual=True)
    assert [(tile.stream, tile.rect) for tile in first.tiles] == [
        (BEN, regions[1]),
        (CARL, regions[3]),
        (ANNA, regions[0]),
    ]
    assert second.tiles == ()


def test_a_stream_that_is_only_heard_changes_no_scene() -> None:
    segments = [Segment(span(0, 4), (ANNA,)), Segment(span(4, 6), (ANNA, BEN)), Segment(span(6, 9), (ANNA,))]
    scenes = scenes_of(segments, MIXER, {ANNA})
    assert [found.span for found in scenes] == [span(0, 9)]


@PATIENT
@given(
    clips=rooms,
    rules=rules,
    canvas=canvases,
    style=st.sampled_from([style for style in LayoutStyle if style is not LayoutStyle.CUSTOM]),
    designated=st.none() | st.just(BEN),
)
def test_scenes_cover_the_output_and_their_tiles_lie_in_the_canvas(
    clips: list[Clip], rules: TimelineRules, canvas: Size, style: LayoutStyle, designated: StreamId | None
) -> None:
    planned = build_timeline(clips, rules)
    mixer = replace(MIXER, layout=style, max_resolution_stream=designated)
    scenes = build_scenes(planned, always(mixer), canvas, named(planned.presence))
    assert span(scenes[0].span.start, scenes[-1].span.end) == span(0, planned.end)
    assert all(a.span.end == b.span.start and a.tiles != b.tiles for a, b in pairwise(scenes))
    for found in scenes:
        assert len(set(who(found))) == len(found.tiles)
        assert all(Rect(0, 0, canvas.width, canvas.height).contains(tile.rect) for tile in found.tiles)
