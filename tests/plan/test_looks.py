"""Who comes first, pages, gaps and transitions (docs/rooms.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owtmix.base.geometry import Rect, Size
from owtmix.base.ids import StreamId
from owtmix.jobfile.settings import PlanSettings
from owtmix.jobfile.spec import LayoutStyle, MediaChannel
from owtmix.plan.build import make_plan
from owtmix.plan.media_info import Clip
from owtmix.plan.model import RenderPlan
from owtmix.plan.pages import Pages
from owtmix.plan.scenes import Scene
from owtmix.plan.transitions import moved_rects
from owtmix.plan.voice import HOP_S, Voice, VoiceRun
from tests.support.plans import ANNA, BEN, CARL, JOB, MIXER, SCREEN, both, heard, index_of, room, seen, span, without

WIDE: Final = Size(1280, 720)


def planned(clips: Sequence[Clip], speech: dict[int, tuple[float, float]] | None = None, **keys: Any) -> RenderPlan:
    """The plan of a room in which sources speak from one second to another."""
    job = replace(JOB, mixer=replace(MIXER, **keys))
    voices = {
        number: Voice((VoiceRun(round(start / HOP_S), (-20,) * round((end - start) / HOP_S)),))
        for number, (start, end) in (speech or {}).items()
    }
    return make_plan(job, index_of(clips), clips, PlanSettings(), voices=voices)


def scenes(clips: Sequence[Clip], speech: dict[int, tuple[float, float]] | None = None, **keys: Any) -> Sequence[Scene]:
    found = planned(clips, speech, **keys).picture
    assert found
    return found.scenes


def largest(shown: Sequence[Scene]) -> list[tuple[float, str]]:
    """Who has the largest tile from when on."""
    found = [(scene.span.start, str(max(scene.tiles, key=lambda tile: tile.rect.area).stream)) for scene in shown]
    kept = [found[0], *(after for before, after in pairwise(found) if before[1] != after[1])]
    return [(float(start), who) for start, who in kept]


TALK: Final = {0: (2.0, 8.0), 1: (12.0, 20.0)}
THREE: Final = room(both(ANNA, 0, 30), both(BEN, 0, 30), both(CARL, 0, 30))
MAIN: Final[dict[str, Any]] = {"layout": LayoutStyle.VERTICAL, "follow_speaker": True}


def test_the_largest_tile_follows_who_speaks() -> None:
    assert largest(scenes(THREE, TALK, **MAIN)) == [(0, "anna_1"), (11.7, "ben_1")]


def test_while_nobody_speaks_the_job_says_who_has_it() -> None:
    found = largest(scenes(THREE, TALK, max_resolution_stream=CARL, **MAIN))
    assert found == [(0, "carl_1"), (1.7, "anna_1"), (8, "carl_1"), (11.7, "ben_1"), (20, "carl_1")]


def test_who_speaks_changes_nothing_unless_it_is_asked_for() -> None:
    assert [scene.span for scene in scenes(THREE, TALK)] == [span(0, 30)]
    assert make_plan(JOB, index_of(THREE), THREE, PlanSettings()).speakers is None


def test_the_plan_says_who_speaks_when() -> None:
    found = planned(THREE, TALK, **MAIN).speakers
    assert found
    assert [(turn.stream, *map(float, (turn.from_s, turn.to_s))) for turn in found] == [(ANNA, 2, 8), (BEN, 12, 20)]


def test_a_screen_comes_first_and_then_who_speaks() -> None:
    clips = room(both(ANNA, 0, 30), both(BEN, 0, 30), both(CARL, 0, 30), seen(SCREEN, 5, 25))
    found = scenes(clips, TALK, screen_first=True, **MAIN)
    assert largest(found) == [(0, "anna_1"), (5, "anna_2"), (25, "ben_1")]
    shared = [scene for scene in found if 5 <= scene.span.start < 25]
    assert [scene.tiles[1].stream for scene in shared] == [ANNA, BEN]


def test_of_several_screens_the_latest_comes_first() -> None:
    screens = [StreamId(name, 2) for name in ("a", "b")]
    clips = room(both(ANNA, 0, 30), seen(screens[0], 5, 25), seen(screens[1], 2, 10), seen(screens[1], 14, 20))
    found = scenes(clips, layout=LayoutStyle.VERTICAL, screen_first=True)
    assert largest(found) == [(0, "anna_1"), (2, "b_2"), (5, "a_2"), (14, "b_2"), (20, "a_2"), (25, "anna_1")]


def test_without_a_screen_the_job_says_who_comes_first() -> None:
    clips = room(both(ANNA, 0, 30), both(BEN, 0, 30), seen(SCREEN, 10, 20))
    found = scenes(clips, layout=LayoutStyle.VERTICAL, screen_first=True, max_resolution_stream=BEN)
    assert largest(found) == [(0, "ben_1"), (10, "anna_2"), (20, "ben_1")]


def test_who_is_not_shown_has_no_tile_though_they_speak() -> None:
    job = replace(
        JOB,
        mixer=replace(MIXER, **MAIN),
        subscription=replace(JOB.subscription, video=without(BEN)),
    )
    voices = {1: Voice((VoiceRun(100, (-20,) * 200),))}
    plan = make_plan(job, index_of(THREE), THREE, PlanSettings(), voices=voices)
    assert plan.picture
    assert {tile.stream for scene in plan.picture.scenes for tile in scene.tiles} == {ANNA, CARL}


def test_who_has_no_tile_takes_it_from_nobody() -> None:
    """A caller without a camera speaks: the last one who is seen keeps the largest tile."""
    clips = room(both(ANNA, 0, 30), both(BEN, 0, 30), heard(CARL, 0, 30))
    speech = {0: (2.0, 8.0), 1: (12.0, 16.0), 2: (17.0, 25.0)}
    assert largest(scenes(clips, speech, **MAIN)) == [(0, "anna_1"), (11.7, "ben_1")]
    shown = largest(scenes(clips, speech, audio_only=True, **MAIN))
    assert shown == [(0, "anna_1"), (11.7, "ben_1"), (16.7, "carl_1")]


def test_who_joins_while_speaking_takes_the_tile_at_once() -> None:
    clips = room(both(ANNA, 0, 30), both(BEN, 0, 30), both(CARL, 10, 30))
    found = largest(scenes(clips, {1: (2.0, 9.8), 2: (0.1, 15.0)}, **MAIN))
    assert found == [(0, "ben_1"), (10, "carl_1")]


def test_when_who_leads_leaves_the_one_before_has_the_tile() -> None:
    clips = room(both(ANNA, 0, 30), both(BEN, 0, 30), both(CARL, 0, 20))
    found = largest(scenes(clips, {1: (2.0, 8.0), 2: (10.0, 15.0)}, **MAIN))
    assert found == [(0, "ben_1"), (9.7, "carl_1"), (20, "ben_1")]


def test_without_sound_in_the_output_the_tile_follows_as_well() -> None:
    job = replace(JOB, mixer=replace(MIXER, **MAIN), audio=None, channel=MediaChannel.VIDEO)
    voices = {1: Voice((VoiceRun(100, (-20,) * 200),))}
    plan = make_plan(job, index_of(THREE), THREE, PlanSettings(), voices=voices)
    assert plan.picture
    assert largest(plan.picture.scenes) == [(0, "ben_1")]


def test_when_more_speak_than_a_page_has_places_they_take_turns() -> None:
    clips = room(*(both(stream, 0, 40) for stream in CROWD[:4]))
    speech = dict.fromkeys(range(4), (0.0, 40.0))
    pages = [{tile.stream for tile in scene.tiles} for scene in scenes(clips, speech, page_size=2, page_s=Fraction(10))]
    assert pages[0] | pages[1] == set(CROWD[:4])


def test_long_rooms_with_pages_and_many_turns_are_planned_at_once() -> None:
    clips = room(*(both(stream, 0, 3600) for stream in CROWD[:4]))
    runs = tuple(VoiceRun(number * 80, (-20,) * 30) for number in range(900))
    job = replace(JOB, mixer=replace(MIXER, page_size=2, page_s=Fraction(1), speaker_border=True))
    voices = {number: Voice(tuple(replace(run, first=run.first + 20 * number) for run in runs)) for number in range(4)}
    with patch("owtmix.plan.scenes.Pages", wraps=Pages) as made:
        plan = make_plan(job, index_of(clips), clips, PlanSettings(), voices=voices)
    assert made.call_count == 1
    assert plan.picture
    tiles = [tile for scene in plan.picture.scenes for tile in scene.tiles]
    assert len(tiles) > 7_000
    assert len({id(tile) for tile in tiles}) < 50


def test_all_who_speak_have_a_border() -> None:
    found = scenes(THREE, {0: (2.0, 8.0), 1: (6.0, 20.0)}, speaker_border=True)
    borders = [
        (float(scene.span.start), {tile.stream.user for tile in scene.tiles if tile.border_px}) for scene in found
    ]
    assert borders == [(0, set()), (2, {"anna"}), (6, {"anna", "ben"}), (8, {"ben"}), (20, set())]
    assert {tile.border_px for scene in found for tile in scene.tiles} == {0, 4}


def test_who_is_only_heard_has_a_tile_when_that_is_asked_for() -> None:
    clips = room(both(ANNA, 0, 30), heard(BEN, 0, 30))
    (without_ben,) = scenes(clips)
    assert [tile.stream for tile in without_ben.tiles] == [ANNA]
    plan = planned(clips, audio_only=True)
    assert plan.picture
    (shown,) = plan.picture.scenes
    assert [tile.stream for tile in shown.tiles] == [ANNA, BEN]
    assert [shot.source for shot in plan.picture.shots[BEN]] == [None]
    assert not [warning for warning in plan.warnings if "ben_1" in warning]


@pytest.mark.parametrize(("keys", "what"), [({}, "background"), ({"audio_only": True}, "placeholders")])
def test_a_picture_without_anybody_is_a_warning(keys: dict[str, Any], what: str) -> None:
    (warning,) = planned(room(heard(ANNA, 0, 30)), **keys).warnings
    assert what in warning


CROWD: Final = tuple(StreamId(f"user{number}", 1) for number in range(10))


def test_pages_show_all_in_turn_and_speakers_always() -> None:
    clips = room(*(both(stream, 0, 120) for stream in CROWD))
    found = scenes(clips, {7: (22.0, 58.0)}, page_size=4, page_s=Fraction(10))
    assert [float(scene.span.start) for scene in found] == [10 * number for number in range(12)]
    pages = [[CROWD.index(tile.stream) for tile in scene.tiles] for scene in found]
    assert pages[:3] == [[0, 1, 2, 3], [4, 5, 6, 7], [7, 0, 8, 9]]
    assert all(len(set(page)) == 4 for page in pages)
    assert [number for number, page in enumerate(pages) if page[0] == 7] == [2, 3, 4, 5]
    shown = Counter(one for page in pages for one in page)
    assert max(shown[one] - shown[other] for one in range(10) for other in range(10) if 7 not in (one, other)) <= 2


def test_people_who_come_and_go_change_only_their_places() -> None:
    clips = room(
        *(both(stream, 0, 60 if number else 13) for number, stream in enumerate(CROWD[:6])), both(ANNA, 14, 60)
    )
    found = scenes(clips, page_size=4, page_s=Fraction(10))
    shown = {float(scene.span.start): [str(tile.stream.user) for tile in scene.tiles] for scene in found}
    assert shown[0] == ["user0", "user1", "user2", "user3"]
    assert shown[10] == ["user0", "user1", "user4", "user5"]
    assert shown[13] == ["user1", "user2", "user4", "user5"]
    assert 14 not in shown
    assert "anna" in shown[20]
    assert "user3" in shown[20]


def test_fewer_people_than_a_page_has_tiles_are_all_shown() -> None:
    assert [scene.span for scene in scenes(THREE, page_size=3, page_s=Fraction(5))] == [span(0, 30)]


def test_pages_shift_no_joint_of_chunks() -> None:
    clips = room(*(both(stream, 0, 300) for stream in CROWD))
    paged, plain = planned(clips, page_size=3, page_s=Fraction(7)).picture, planned(clips).picture
    assert paged
    assert plain
    assert paged.chunks == plain.chunks


@pytest.mark.parametrize("gap", [2, 4, 6, 10])
@pytest.mark.parametrize("count", range(1, 10))
def test_a_gap_lies_between_tiles_and_not_at_the_edges(gap: int, count: int) -> None:
    clips = room(*(both(stream, 0, 30) for stream in CROWD[:count]))
    (apart,), (close,) = scenes(clips, gap_px=gap), scenes(clips)
    for one, other in zip(apart.tiles, close.tiles, strict=True):
        assert other.rect.contains(one.rect)
        for now, before, edge in (
            (one.rect.x, other.rect.x, 0),
            (one.rect.y, other.rect.y, 0),
            (one.rect.right, other.rect.right, WIDE.width),
            (one.rect.bottom, other.rect.bottom, WIDE.height),
        ):
            assert now % 2 == 0
            assert before != edge or now == before
    for one, other in pairwise(apart.tiles):
        if one.rect.y == other.rect.y and one.rect.height == other.rect.height:
            assert other.rect.x - one.rect.right == gap
        if one.rect.x == other.rect.x and one.rect.width == other.rect.width:
            assert other.rect.y - one.rect.bottom == gap


def test_a_gap_that_leaves_nothing_of_a_tile_is_none() -> None:
    clips = room(*(both(stream, 0, 30) for stream in CROWD))
    job = (
        replace(JOB, video=replace(JOB.video, size=Size(64, 48)), mixer=replace(MIXER, gap_px=256))
        if JOB.video
        else JOB
    )
    plan = make_plan(job, index_of(clips), clips, PlanSettings())
    assert plan.picture
    assert all(tile.rect.area for tile in plan.picture.scenes[0].tiles)


def test_tiles_move_to_their_new_places() -> None:
    clips = room(both(ANNA, 0, 30), both(BEN, 10, 30))
    first, second = scenes(clips, transition_s=Fraction(1, 2))
    assert not first.origins
    assert second.origins == (Rect(0, 0, 1280, 720), None)
    assert (second.began_s, second.settled_s) == (Fraction(10), Fraction(21, 2))
    assert second.tiles_at(Fraction(10))[0].rect == first.tiles[0].rect
    assert second.tiles_at(Fraction(41, 4))[0].rect == Rect(0, 90, 960, 540)
    assert second.tiles_at(Fraction(21, 2)) is second.tiles
    assert second.tiles_at(Fraction(41, 4))[1] == second.tiles[1]


def test_a_move_that_is_interrupted_goes_on_from_where_the_tiles_are() -> None:
    clips = room(both(ANNA, 0, 30), both(BEN, 10, 30), both(CARL, Fraction("10.25"), 30))
    _, second, third = scenes(clips, transition_s=Fraction(1, 2))
    assert third.origins[0] == second.tiles_at(third.span.start)[0].rect


def test_a_border_that_appears_meanwhile_does_not_stop_a_move() -> None:
    found = scenes(THREE, TALK, speaker_border=True, transition_s=Fraction(1), **MAIN)
    led, spoken = (scene for scene in found if scene.origins)
    assert (led.span.start, spoken.span.start) == (Fraction("11.7"), Fraction(12))
    assert (spoken.began_s, spoken.settled_s) == (led.began_s, led.settled_s)
    assert [tile.rect for tile in led.tiles_at(spoken.span.start)] == [
        tile.rect for tile in spoken.tiles_at(spoken.span.start)
    ]


def test_a_part_that_begins_later_knows_nothing_of_a_move() -> None:
    clips = room(both(ANNA, 0, 30), both(BEN, 10, 30))
    (moving, moved) = scenes(clips, transition_s=Fraction(1, 2))[1], scenes(clips)[1]
    assert moving.within(span(11, 20)) == moved.within(span(11, 20))
    assert moving.within(span(9, 20)).origins == moving.origins


RECTS: Final = st.builds(
    lambda x, y, width, height: Rect(2 * x, 2 * y, 2 * width, 2 * height),
    *(st.integers(0, 500), st.integers(0, 500), st.integers(1, 500), st.integers(1, 500)),
)


@given(RECTS, RECTS, st.fractions(0, 1))
def test_on_their_way_tiles_have_even_edges_between_both_places(origin: Rect, target: Rect, part: Fraction) -> None:
    (found,) = moved_rects([origin], [target], part)
    for edge, one, other in (
        (found.x, origin.x, target.x),
        (found.right, origin.right, target.right),
        (found.y, origin.y, target.y),
        (found.bottom, origin.bottom, target.bottom),
    ):
        assert edge % 2 == 0
        assert min(one, other) <= edge <= max(one, other) + 2
    assert min(found.width, found.height) >= 2
    assert moved_rects([origin], [target], Fraction(0)) == [origin]
    assert moved_rects([origin], [target], Fraction(1)) == [target]
