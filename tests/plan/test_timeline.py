"""The timeline: presence, overlaps, the end of the output, and cut gaps (docs/semantics.md, "Time")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given

from owtmix.base.ids import StreamId
from owtmix.base.time import TimeRange
from owtmix.plan.jumps import Jump, merge_ranges
from owtmix.plan.media_info import Clip
from owtmix.plan.timeline import PlacedClip, Timeline, TimelineRules, build_timeline
from tests.support.plans import (
    ANNA,
    BEN,
    CARL,
    PATIENT,
    RULES,
    SCREEN,
    Seconds,
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

KEEP_GAPS = replace(RULES, keep_empty_gaps=True)


def key_stream(idle_s: Seconds) -> TimelineRules:
    return replace(RULES, key_stream=ANNA, idle_s=Fraction(idle_s))


def segments(timeline: Timeline) -> list[tuple[TimeRange, list[StreamId]]]:
    return [(segment.span, list(segment.present)) for segment in timeline.segments]


def parts(placed: Sequence[PlacedClip]) -> list[tuple[str, TimeRange]]:
    """The key and span of each part."""
    return [(part.clip.recording.key, part.span) for part in placed]


def lasting(clip: Clip) -> TimeRange:
    """The span of a file, in index time."""
    end = clip.recording.start_s + clip.span.duration
    if clip.recording.stream.is_screen and clip.video:
        return TimeRange(clip.recording.start_s, clip.recording.end_s or end)
    return TimeRange(clip.recording.start_s, min(end, clip.recording.end_s or end))


def showing(clip: Clip) -> TimeRange | None:
    """The span of a file from its first picture on, in index time."""
    lasts = lasting(clip)
    first = lasts.start + (clip.video.span.start - clip.span.start if clip.video else lasts.duration)
    return TimeRange(first, lasts.end) if first < lasts.end else None


def test_output_time_0_is_the_earliest_start() -> None:
    timeline = build_timeline(room(both(BEN, 107, 120), both(ANNA, 100, 110)), RULES)
    assert timeline.presence == {ANNA: (span(0, 10),), BEN: (span(7, 20),)}
    assert timeline.jumps == (Jump(Fraction(0), Fraction(100)),)


def test_streams_join_and_leave() -> None:
    timeline = build_timeline(room(both(ANNA, 0, 10), both(BEN, 2, 8), both(CARL, 8, 12)), RULES)
    assert segments(timeline) == [
        (span(0, 2), [ANNA]),
        (span(2, 8), [ANNA, BEN]),
        (span(8, 10), [ANNA, CARL]),
        (span(10, 12), [CARL]),
    ]


def test_the_output_ends_with_the_last_stream() -> None:
    assert build_timeline(room(both(ANNA, 5, 9), both(BEN, 6, 7)), RULES).end == 4


def test_streams_are_in_order_of_first_joining_and_of_the_index_at_equal_times() -> None:
    timeline = build_timeline(room(both(CARL, 3, 9), both(BEN, 1, 2), both(ANNA, 1, 9), both(BEN, 4, 9)), RULES)
    assert list(timeline.presence) == [BEN, ANNA, CARL]
    assert timeline.segments[-1].present == (BEN, ANNA, CARL)


def test_several_files_of_a_stream_are_one_stream_that_left_and_came_back() -> None:
    timeline = build_timeline(room(both(ANNA, 0, 20), both(BEN, 2, 5), both(BEN, 9, 12)), RULES)
    assert timeline.presence[BEN] == (span(2, 5), span(9, 12))
    assert [present for _, present in segments(timeline)] == [[ANNA], [ANNA, BEN], [ANNA], [ANNA, BEN], [ANNA]]


def test_an_absence_shorter_than_a_second_does_not_change_the_layout() -> None:
    timeline = build_timeline(
        room(both(ANNA, 0, 20), both(BEN, 0, 5), both(BEN, "5.999", 12), both(BEN, 13, 20)), RULES
    )
    assert timeline.presence[BEN] == (span(0, 12), span(13, 20))


def test_files_that_follow_each_other_leave_no_seam() -> None:
    rules = replace(RULES, absence_s=Fraction(0))
    assert build_timeline(room(both(ANNA, 0, 5), both(ANNA, 5, 9)), rules).presence == {ANNA: (span(0, 9),)}


def test_a_stream_is_present_before_its_first_picture_and_after_its_last() -> None:
    timeline = build_timeline(room(take(ANNA, 10, sound(0, 9), picture([3, 4]))), RULES)
    assert timeline.presence == {ANNA: (span(0, 9),)}


@pytest.mark.parametrize("first", ["60", "-0.021", "0"])
def test_the_first_frame_or_sample_of_a_file_is_at_its_start_time(first: str) -> None:
    early = Fraction(first)
    late = early + Fraction("0.3")
    timeline = build_timeline(
        room(both(BEN, 100, 120), take(ANNA, 107, picture([late, late + 5]), sound(early, late + 4))), RULES
    )
    (shown,), (played,) = timeline.pictures[ANNA], timeline.sounds[ANNA]
    assert early + played.offset_s == 7
    assert late + shown.offset_s == Fraction("7.3")


def test_end_time_bounds_a_file_and_never_extends_that_of_a_camera() -> None:
    clips = room(take(ANNA, 0, sound(0, 10), end="4.5"), take(BEN, 0, sound(0, 7), end=100))
    assert build_timeline(clips, RULES).presence == {ANNA: (span(0, "4.5"),), BEN: (span(0, 7),)}


def test_the_last_picture_of_a_screen_stands_until_end_time() -> None:
    clips = room(take(SCREEN, 0, picture([0, 5]), end=30), take(BEN, 0, sound(0, 40)))
    timeline = build_timeline(clips, RULES)
    assert timeline.presence[SCREEN] == (span(0, 30),)
    assert parts(timeline.pictures[SCREEN]) == [("anna_2-0", span(0, 30))]


def test_a_file_that_would_be_too_long_is_cut_and_costs_the_others_nothing() -> None:
    clips = room(both(ANNA, 0, 100), both(BEN, 5, 20))
    timeline = build_timeline(clips, replace(RULES, longest_s=Fraction(60)))
    assert timeline.presence == {ANNA: (span(0, 60),), BEN: (span(5, 20),)}
    assert timeline.warnings == (
        "anna_1-0 claims to last 00:01:40.000, more than the limit of 00:01:00.000: it is cut after 00:01:00.000",
    )


def test_a_file_that_would_be_too_long_ends_with_the_longest_output_whenever_it_begins() -> None:
    clips = room(both(ANNA, 0, 20), both(BEN, 5, 200))
    assert build_timeline(clips, replace(RULES, longest_s=Fraction(60))).presence[BEN] == (span(5, 60),)
    late = build_timeline(room(both(ANNA, 0, 20), both(BEN, 1000, 1400)), replace(RULES, longest_s=Fraction(200)))
    assert late.presence[BEN][0].end == late.end == 200


def test_a_screen_whose_index_lies_about_its_end_is_cut_and_named() -> None:
    clips = room(both(BEN, 0, 20), take(SCREEN, 2, picture([0], end=4), end=10**9))
    timeline = build_timeline(clips, replace(RULES, longest_s=Fraction(60)))
    assert timeline.presence[SCREEN] == (span(2, 60),)
    assert "anna_2-2 claims to last" in timeline.warnings[0]


@pytest.mark.parametrize("back", [50, 58, 62, 100, 1000])
def test_whoever_comes_after_a_file_that_lies_is_in_the_room(back: int) -> None:
    """The surplus of the file fills gaps that would be cut; it ends earlier then."""
    clips = room(both(ANNA, 0, 10_000), both(BEN, back, back + 4))
    rules = replace(RULES, longest_s=Fraction(60), idle_s=Fraction(1))
    timeline = build_timeline(clips, rules)
    assert timeline.end <= 60
    assert timeline.presence[BEN][0].duration == 4
    assert "it is cut after" in timeline.warnings[0]


def test_a_room_that_lasts_too_long_with_what_nobody_lies_about_is_not_cut() -> None:
    clips = room(both(ANNA, 0, 40), both(ANNA, 40, 80), both(BEN, 70, 200))
    assert build_timeline(clips, replace(RULES, longest_s=Fraction(60))).end > 60


def test_a_picture_and_a_sound_file_of_one_stream_belong_together() -> None:
    timeline = build_timeline(room(seen(ANNA, 0, 9), heard(ANNA, 1, 10)), RULES)
    assert timeline.presence == {ANNA: (span(0, 10),)}
    assert parts(timeline.pictures[ANNA]) == [("anna_1-0-picture", span(0, 9))]
    assert parts(timeline.sounds[ANNA]) == [("anna_1-1-sound", span(1, 10))]


def test_of_overlapping_files_the_later_start_wins_while_it_lasts() -> None:
    timeline = build_timeline(room(both(ANNA, 4, 6), both(ANNA, 0, 10)), RULES)
    expected = [("anna_1-0", span(0, 4)), ("anna_1-4", span(4, 6)), ("anna_1-0", span(6, 10))]
    assert parts(timeline.pictures[ANNA]) == expected


def test_of_overlapping_files_all_sound_is_heard() -> None:
    timeline = build_timeline(room(both(ANNA, 4, 6), both(ANNA, 0, 10)), RULES)
    assert parts(timeline.sounds[ANNA]) == [("anna_1-0", span(0, 10)), ("anna_1-4", span(4, 6))]


def test_a_later_file_wins_from_its_first_picture_on() -> None:
    later = take(ANNA, 4, sound(0, 6), picture([2, 3, 4, 5]), name="later")
    timeline = build_timeline(room(both(ANNA, 0, 10), later), RULES)
    assert parts(timeline.pictures[ANNA]) == [("anna_1-0", span(0, 6)), ("later", span(6, 10))]


def test_of_files_that_start_together_the_picture_of_the_later_in_the_index_wins() -> None:
    clips = room(take(ANNA, 0, picture([0, 2], end=3), name="first"), take(ANNA, 0, picture([0], end=5), name="second"))
    assert parts(build_timeline(clips, RULES).pictures[ANNA]) == [("second", span(0, 5))]


def test_a_later_file_without_a_picture_leaves_the_earlier_picture_in_sight() -> None:
    timeline = build_timeline(room(both(ANNA, 0, 10), heard(ANNA, 4, 10)), RULES)
    assert parts(timeline.pictures[ANNA]) == [("anna_1-0", span(0, 10))]
    assert parts(timeline.sounds[ANNA]) == [("anna_1-0", span(0, 10)), ("anna_1-4-sound", span(4, 10))]


def test_a_camera_and_a_screen_of_one_user_are_two_streams() -> None:
    timeline = build_timeline(room(both(ANNA, 0, 10), both(SCREEN, 4, 10)), RULES)
    assert timeline.segments[-1].present == (ANNA, SCREEN)
    assert parts(timeline.pictures[ANNA]) == [("anna_1-0", span(0, 10))]


@pytest.mark.parametrize(
    ("back", "end"),
    [("15", 20 + 5), ("14.999", 20 + 5), ("15.001", 10 + 5)],
    ids=["exactly-at", "within", "after"],
)
def test_the_output_ends_idle_time_after_the_key_stream_left_unless_it_came_back_within_it(back: str, end: int) -> None:
    timeline = build_timeline(room(both(BEN, 0, 100), both(ANNA, 3, 10), both(ANNA, back, 20)), key_stream(5))
    assert timeline.end == end
    assert not timeline.warnings


def test_the_key_stream_need_not_be_there_from_the_start() -> None:
    assert build_timeline(room(both(BEN, 0, 300), both(ANNA, 200, 210)), key_stream(5)).end == 215


def test_the_output_ends_with_the_last_stream_when_that_is_sooner() -> None:
    assert build_timeline(room(both(ANNA, 0, 10), both(BEN, 0, 12)), key_stream(60)).end == 12


def test_a_short_absence_of_the_key_stream_is_no_leaving() -> None:
    assert build_timeline(room(both(ANNA, 0, 10), both(ANNA, "10.9", 20), both(BEN, 0, 30)), key_stream(0)).end == 20


def test_a_stream_that_joins_after_the_end_is_not_in_the_mix() -> None:
    timeline = build_timeline(room(both(ANNA, 0, 10), both(BEN, 0, 99), both(CARL, 15, 99)), key_stream(5))
    assert timeline.presence == {ANNA: (span(0, 10),), BEN: (span(0, 15),)}
    assert parts(timeline.pictures[BEN]) == [("ben_1-0", span(0, 15))]


def test_an_end_inside_a_short_absence_does_not_change_the_layout_either() -> None:
    timeline = build_timeline(room(both(ANNA, 0, 10), both(BEN, 0, "14.5"), both(BEN, "15.4", 30)), key_stream(5))
    assert timeline.presence[BEN] == (span(0, 15),)


def test_a_key_stream_without_recordings_is_a_warning() -> None:
    timeline = build_timeline(room(both(BEN, 0, 10)), key_stream(5))
    assert timeline.end == 10
    assert timeline.warnings == ("KeyStream anna_1 is not in the mix: the output ends with the last stream",)


def test_an_empty_gap_longer_than_idle_time_is_cut_to_it_with_a_warning() -> None:
    timeline = build_timeline(room(both(ANNA, 100, 110), both(BEN, 200, 205)), RULES)
    assert segments(timeline) == [(span(0, 10), [ANNA]), (span(10, 70), []), (span(70, 75), [BEN])]
    assert timeline.jumps == (Jump(Fraction(0), Fraction(100)), Jump(Fraction(70), Fraction(130)))
    assert timeline.warnings == (
        "nobody was in the room for 00:01:30.000 from 00:00:10.000: 00:00:30.000 of it is cut (IdleTime is 60 s)",
    )


def test_an_empty_gap_of_just_idle_time_stays() -> None:
    timeline = build_timeline(room(both(ANNA, 0, 10), both(BEN, 70, 75)), RULES)
    assert timeline.end == 75
    assert not timeline.warnings


def test_a_gap_in_which_anybody_is_there_stays() -> None:
    timeline = build_timeline(room(both(ANNA, 0, 10), heard(CARL, 9, 201), both(BEN, 200, 205)), RULES)
    assert timeline.end == 205
    assert not timeline.warnings


def test_empty_gaps_may_be_kept() -> None:
    timeline = build_timeline(room(both(ANNA, 0, 10), both(BEN, 200, 205)), KEEP_GAPS)
    assert timeline.end == 205
    assert len(timeline.jumps) == 1
    assert not timeline.warnings


def test_every_cut_adds_to_the_one_before() -> None:
    rules = replace(RULES, idle_s=Fraction("0.5"))
    timeline = build_timeline(room(both(ANNA, 10, 20), both(ANNA, 25, 30), both(ANNA, 100, 101)), rules)
    assert timeline.presence[ANNA] == (span(0, 10), span("10.5", "15.5"), span(16, 17))
    assert [jump.ahead_s for jump in timeline.jumps] == [10, Fraction("14.5"), 84]
    assert timeline.warnings[1].endswith("(IdleTime is 0.5 s)")


def test_a_long_absence_that_is_cut_is_still_long() -> None:
    """An absence of 5 s is not a short one when 0.5 s of it are left after the cut."""
    timeline = build_timeline(room(both(ANNA, 0, 10), both(ANNA, 15, 20)), replace(RULES, idle_s=Fraction("0.5")))
    assert [present for _, present in segments(timeline)] == [[ANNA], [], [ANNA]]


def test_a_short_absence_is_never_cut() -> None:
    timeline = build_timeline(room(both(ANNA, 0, 10), both(ANNA, "10.9", 20)), replace(RULES, idle_s=Fraction(0)))
    assert timeline.end == 20
    assert not timeline.warnings


def test_times_stay_exact() -> None:
    timeline = build_timeline(room(both(ANNA, "1/3", "2/3"), both(BEN, "0.1", "4/7")), RULES)
    assert timeline.presence == {BEN: (span(0, Fraction("4/7") - Fraction("0.1")),), ANNA: (span("7/30", "17/30"),)}


def test_merge_unites_and_bridges_holes_that_are_shorter() -> None:
    ranges = [span(5, 6), span(0, 2), span(1, 3), span("3.5", 4)]
    assert merge_ranges(ranges, Fraction(0)) == (span(0, 3), span("3.5", 4), span(5, 6))
    assert merge_ranges(ranges, Fraction(1)) == (span(0, 4), span(5, 6))


@PATIENT
@given(clips=rooms, rules=rules)
def test_segments_cover_the_timeline_without_gap_or_overlap(clips: list[Clip], rules: TimelineRules) -> None:
    timeline = build_timeline(clips, rules)
    edges = [timeline.segments[0].span.start, *(segment.span.end for segment in timeline.segments)]
    assert span(edges[0], edges[-1]) == span(0, timeline.end)
    for before, after in pairwise(timeline.segments):
        assert before.span.end == after.span.start
        assert before.present != after.present


@PATIENT
@given(clips=rooms, rules=rules)
def test_a_segment_names_exactly_those_who_are_present(clips: list[Clip], rules: TimelineRules) -> None:
    timeline = build_timeline(clips, rules)
    for segment in timeline.segments:
        for stream, visits in timeline.presence.items():
            overlap = [visit for visit in visits if visit.overlaps(segment.span)]
            assert bool(overlap) == (stream in segment.present)
            covered = merge_ranges(overlap, Fraction(0))
            assert not overlap or (covered[0].start <= segment.span.start and segment.span.end <= covered[0].end)


@PATIENT
@given(clips=rooms, rules=rules)
def test_what_is_seen_and_heard_lies_in_the_presence_and_pictures_never_overlap(
    clips: list[Clip], rules: TimelineRules
) -> None:
    timeline = build_timeline(clips, rules)
    for media in (timeline.pictures, timeline.sounds):
        assert media.keys() == timeline.presence.keys()
        for stream, placed in media.items():
            assert media is timeline.sounds or all(a.span.end <= b.span.start for a, b in pairwise(placed))
            for part in placed:
                assert any(v.start <= part.span.start and part.span.end <= v.end for v in timeline.presence[stream])


@PATIENT
@given(clips=rooms, rules=rules)
def test_a_picture_is_only_replaced_by_a_later_one(clips: list[Clip], rules: TimelineRules) -> None:
    timeline = build_timeline(clips, replace(rules, key_stream=None))
    for stream, placed in timeline.pictures.items():
        spans = (showing(clip) for clip in clips if clip.recording.stream == stream)
        recorded = merge_ranges(filter(None, spans), Fraction(0))
        assert sum(part.span.duration for part in placed) == sum(stretch.duration for stretch in recorded)


@PATIENT
@given(clips=rooms, rules=rules)
def test_jumps_put_every_moment_of_a_file_where_the_index_has_it(clips: list[Clip], rules: TimelineRules) -> None:
    timeline = build_timeline(clips, rules)
    for placed in (*timeline.pictures.values(), *timeline.sounds.values()):
        for part in placed:
            ahead = [jump.ahead_s for jump in timeline.jumps if jump.at_s <= part.span.start][-1]
            in_file = part.span.start - part.offset_s - part.clip.span.start
            assert part.span.start + ahead == part.clip.recording.start_s + in_file
            assert not any(part.span.start < jump.at_s < part.span.end for jump in timeline.jumps)


@PATIENT
@given(clips=rooms, rules=rules)
def test_empty_gaps_are_at_most_idle_time_unless_they_are_kept(clips: list[Clip], rules: TimelineRules) -> None:
    timeline = build_timeline(clips, rules)
    empty = [segment.span.duration for segment in timeline.segments if not segment.present]
    if rules.keep_empty_gaps:
        assert len(timeline.jumps) == 1
    else:
        assert all(duration <= rules.idle_s for duration in empty)
    assert all(a.at_s < b.at_s and a.ahead_s < b.ahead_s for a, b in pairwise(timeline.jumps))


def test_two_devices_at_the_same_time_and_two_sound_tracks_are_named() -> None:
    two = take(BEN, 0, sound(0, 5), replace(sound(0, 5), index=2), name="two")
    timeline = build_timeline(room(both(ANNA, 0, 10), both(ANNA, 4, 12), two), RULES)
    assert timeline.warnings == (
        "anna_1-4 overlaps anna_1-0 of the same stream: all sound is heard, and the later picture is shown",
        "two has 2 sound tracks: all are heard",
    )


def test_files_of_one_stream_that_belong_together_are_no_second_device() -> None:
    clips = room(seen(ANNA, 0, 9), heard(ANNA, 0, 9), both(ANNA, "8.5", 20))
    assert build_timeline(clips, RULES).warnings == ()
