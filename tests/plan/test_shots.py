"""Shots: the picture of a file, the last picture held, or the placeholder (docs/semantics.md, "Time")."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import chain, pairwise

import pytest
from hypothesis import given

from owtmix.base.ids import StreamId
from owtmix.base.time import TimeRange
from owtmix.plan.jumps import merge_ranges
from owtmix.plan.media_info import Clip
from owtmix.plan.shots import PlaceholderRules, Shot, build_shots
from owtmix.plan.timeline import TimelineRules, build_timeline
from tests.support.plans import (
    ANNA,
    BEN,
    FRAME_S,
    PATIENT,
    RULES,
    SCREEN,
    both,
    heard,
    picture,
    room,
    rooms,
    rules,
    seen,
    sound,
    span,
    take,
)

PLACEHOLDER_RULES = PlaceholderRules(absence_s=Fraction(1), gap_s=Fraction(3), delay_s=Fraction(1, 2))
PLACEHOLDER = None


def every_shot(clips: list[Clip], rules: TimelineRules = RULES) -> dict[StreamId, tuple[Shot, ...]]:
    planned = build_timeline(clips, rules)
    placeholder_rules = replace(PLACEHOLDER_RULES, absence_s=rules.absence_s)
    return {
        stream: build_shots(visits, planned.pictures[stream], placeholder_rules, screen=stream.is_screen)
        for stream, visits in planned.presence.items()
    }


def shown(*clips: Clip, stream: StreamId = ANNA) -> list[tuple[TimeRange, int | None]]:
    """The source of each shot, None for the placeholder, with its span."""
    return [(shot.span, shot.source) for shot in every_shot(room(*clips))[stream]]


def test_a_camera_shows_its_file() -> None:
    assert shown(both(ANNA, 0, 10)) == [(span(0, 10), 0)]


def test_before_the_first_picture_is_the_placeholder() -> None:
    clip = take(ANNA, 0, sound(0, 5), picture([2, 3, 4]))
    assert shown(clip) == [(span(0, 2), PLACEHOLDER), (span(2, "4.5"), 0), (span("4.5", 5), PLACEHOLDER)]


def test_before_the_first_picture_of_a_screen_is_the_placeholder_too() -> None:
    assert shown(take(SCREEN, 0, sound(0, 5), picture([2])), stream=SCREEN) == [
        (span(0, 2), PLACEHOLDER),
        (span(2, 5), 0),
    ]


@pytest.mark.parametrize("gap", ["3", "2.9"])
def test_a_camera_holds_its_picture_through_a_gap_of_three_seconds(gap: str) -> None:
    last = 1 + Fraction(gap)
    assert shown(take(ANNA, 0, picture([0, 1, last]))) == [(span(0, last + FRAME_S), 0)]


def test_a_longer_gap_of_a_camera_shows_the_placeholder_half_a_second_after_the_last_frame() -> None:
    clip = take(ANNA, 10, picture([0, 1, "4.001", 5]))
    assert shown(clip) == [(span(0, "1.5"), 0), (span("1.5", "4.001"), PLACEHOLDER), (span("4.001", 5 + FRAME_S), 0)]


def test_a_screen_that_stands_still_is_exempt() -> None:
    clip = take(SCREEN, 0, picture([0, 1, 60]), sound(0, 90))
    assert shown(clip, stream=SCREEN) == [(span(0, 90), 0)]


def test_the_last_frame_of_a_camera_stays_at_most_half_a_second_when_sound_goes_on() -> None:
    assert shown(take(ANNA, 0, picture([0, 1]), sound(0, 3))) == [(span(0, "1.5"), 0), (span("1.5", 3), PLACEHOLDER)]
    assert shown(take(ANNA, 0, picture([0, 1]), sound(0, "1.5"))) == [(span(0, "1.5"), 0)]


def test_the_duration_of_the_last_frame_in_the_container_does_not_matter() -> None:
    clip = take(ANNA, 0, picture([0, 1], end=4), sound(0, 4))
    assert shown(clip) == [(span(0, "1.5"), 0), (span("1.5", 4), PLACEHOLDER)]


def test_without_sound_the_last_frame_of_a_camera_lasts_to_the_end_of_its_file() -> None:
    assert shown(take(ANNA, 0, picture([0, 1], end=4))) == [(span(0, 4), 0)]
    assert shown(take(ANNA, 0, picture([0, 1], end=4), sound(0, "1.4"))) == [(span(0, 4), 0)]


def test_a_short_absence_holds_the_last_picture() -> None:
    first, second = every_shot(room(both(ANNA, 0, 5), both(ANNA, "5.9", 8)))[ANNA]
    assert (first.span, second.span) == (span(0, "5.9"), span("5.9", 8))
    assert first.until_s == 5


def test_a_stream_that_came_back_shows_nothing_in_between() -> None:
    assert shown(both(BEN, 0, 9), both(ANNA, 0, 5), both(ANNA, 6, 8)) == [(span(0, 5), 1), (span(6, 8), 2)]


def test_a_stream_that_is_only_heard_for_a_while_shows_the_placeholder() -> None:
    clips = seen(ANNA, 0, 5), heard(ANNA, 0, 9), seen(ANNA, 7, 9)
    assert shown(*clips) == [(span(0, 5), 0), (span(5, 7), PLACEHOLDER), (span(7, 9), 2)]


def test_a_stream_that_is_heard_first_and_last_shows_the_placeholder_there() -> None:
    assert shown(heard(ANNA, 0, 9), seen(ANNA, 2, 5)) == [
        (span(0, 2), PLACEHOLDER),
        (span(2, 5), 1),
        (span(5, 9), PLACEHOLDER),
    ]


def test_files_that_follow_each_other_closely_show_no_placeholder() -> None:
    assert shown(heard(ANNA, 0, 9), seen(ANNA, 0, 5), seen(ANNA, "5.9", 9)) == [
        (span(0, "5.9"), 1),
        (span("5.9", 9), 2),
    ]


def test_files_a_second_apart_have_the_placeholder_between_them() -> None:
    clips = heard(ANNA, 0, 9), seen(ANNA, 0, 5), seen(ANNA, 6, 9)
    assert shown(*clips) == [(span(0, 5), 1), (span(5, 6), PLACEHOLDER), (span(6, 9), 2)]


def test_a_later_file_takes_over_and_gives_back() -> None:
    clips = both(ANNA, 0, 10), both(ANNA, 4, 6)
    assert shown(*clips) == [(span(0, 4), 0), (span(4, 6), 1), (span(6, 10), 0)]
    assert [shot.until_s for shot in every_shot(room(*clips))[ANNA]] == [4, 6, 10]


def test_a_gap_that_a_later_file_ends_ends_there() -> None:
    clips = take(ANNA, 0, picture([0, 1, 8, 9])), both(ANNA, 5, 10)
    assert shown(*clips) == [(span(0, "1.5"), 0), (span("1.5", 5), PLACEHOLDER), (span(5, 10), 1)]


def test_file_time_plus_offset_is_output_time() -> None:
    clip = take(ANNA, 7, picture([60, 61]), sound("59.5", 62))
    shot, placeholder = every_shot(room(both(BEN, 0, 20), clip))[ANNA]
    assert (shot.span.start, 60 + shot.offset_s) == (Fraction(7), Fraction("7.5"))
    assert placeholder.source is PLACEHOLDER


@PATIENT
@given(clips=rooms, rules=rules)
def test_shots_cover_presence_exactly(clips: list[Clip], rules: TimelineRules) -> None:
    presence, found = build_timeline(clips, rules).presence, every_shot(clips, rules)
    assert found.keys() == presence.keys()
    for stream, visits in presence.items():
        assert merge_ranges((s.span for s in found[stream]), Fraction(0)) == merge_ranges(visits, Fraction(0))
        assert all(before.span.end <= after.span.start for before, after in pairwise(found[stream]))


@PATIENT
@given(clips=rooms, rules=rules)
def test_a_shot_shows_only_a_file_that_has_a_frame_by_then(clips: list[Clip], rules: TimelineRules) -> None:
    for stream, found in every_shot(clips, rules).items():
        for shot in found:
            if shot.source is not None:
                track = clips[shot.source].video
                assert track
                assert clips[shot.source].recording.stream == stream
                assert track.span.start <= shot.file_time(shot.span.start)
                assert shot.span.start < shot.until_s <= shot.span.end


def test_a_picture_that_comes_soon_after_a_join_is_shown_early() -> None:
    """Chrome's picture begins some milliseconds after its sound: nobody sees a placeholder for that."""
    (shot,) = every_shot(room(take(ANNA, 0, sound(0, 3), picture(["0.017", 1, "2.5"], end=3))))[ANNA]
    assert shot.span == span(0, 3)
    assert (shot.file_time(Fraction(0)), shot.file_time(Fraction(1))) == (Fraction("0.017"), Fraction(1))


def test_pictures_that_come_late_in_each_file_leave_no_hole_at_the_seams() -> None:
    files = [take(ANNA, 3 * n, sound(0, 3), picture(["0.4", 1, 2, "2.9"], end=3), name=f"a{n}") for n in range(3)]
    assert shown(*files) == [(span(0, "3.4"), 0), (span("3.4", "6.4"), 1), (span("6.4", 9), 2)]


def test_a_picture_that_ends_shortly_before_the_sound_is_held() -> None:
    assert shown(take(ANNA, 0, sound(0, "2.9"), picture([0, 1, 2]))) == [(span(0, "2.9"), 0)]


def test_a_screen_s_last_picture_stands_until_end_time() -> None:
    clip = take(SCREEN, 0, picture([0, 5]), end=25)
    assert shown(clip, stream=SCREEN) == [(span(0, 25), 0)]


@PATIENT
@given(clips=rooms, rules=rules)
def test_nobody_is_shown_frozen(clips: list[Clip], rules: TimelineRules) -> None:
    """No shot of a camera holds a picture for more than half a second of a long gap."""
    cameras = [found for stream, found in every_shot(clips, rules).items() if not stream.is_screen]
    for shot in chain.from_iterable(cameras):
        track = clips[shot.source].video if shot.source is not None else None
        for gap in track.gaps if track else ():
            frozen = TimeRange(gap.start + PLACEHOLDER_RULES.delay_s, gap.end).shifted(shot.offset_s)
            assert gap.duration <= PLACEHOLDER_RULES.gap_s or not frozen.overlaps(
                TimeRange(shot.span.start, shot.until_s)
            )
