"""Exact time: half-open ranges, the frame clock, timecodes and the span cursor."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owtmix.base.time import FrameClock, SpanCursor, TimeRange, timecode
from owtmix.plan.shots import Shot
from tests.support.plans import PATIENT, milliseconds, span

rates: Final = st.integers(1, 120)
frames: Final = st.integers(0, 24 * 3600 * 120)


def test_a_range_holds_its_start_and_not_its_end() -> None:
    assert Fraction(1) in span(1, 2)
    assert Fraction(2) not in span(1, 2)


def test_ranges_that_only_touch_do_not_overlap() -> None:
    assert not span(0, 1).overlaps(span(1, 2))
    assert span(0, "1.001").overlaps(span(1, 2))


def test_the_common_part_of_two_ranges_lies_in_both() -> None:
    assert span(0, 3).common(span(1, 4)) == span(1, 4).common(span(0, 3)) == span(1, 3)
    assert span(0, 4).common(span(1, 2)) == span(1, 2)


def test_ranges_that_do_not_overlap_have_no_common_part() -> None:
    with pytest.raises(ValueError, match="empty time range"):
        span(0, 1).common(span(1, 2))


def test_a_range_moves_and_keeps_its_length() -> None:
    assert span(1, 3).shifted(Fraction(-2)) == span(-1, 1)
    assert span("1/3", "1/2").duration == Fraction(1, 6)


@pytest.mark.parametrize("end", [0, 1])
def test_a_range_is_never_empty(end: int) -> None:
    with pytest.raises(ValueError, match="empty time range"):
        span(1, end)


@PATIENT
@given(frame=frames, fps=rates)
def test_a_frame_is_on_screen_from_its_time_until_the_next_ones(frame: int, fps: int) -> None:
    clock = FrameClock(fps)
    assert clock.index(clock.time(frame)) == frame
    assert clock.index(clock.time(frame + 1) - Fraction(1, 10**12)) == frame
    assert clock.first_from(clock.time(frame)) == frame
    assert clock.first_from(clock.time(frame) + Fraction(1, 10**12)) == frame + 1


@PATIENT
@given(t=milliseconds(0, 10**8), fps=rates)
def test_first_from_counts_the_frames_before_a_time(t: Fraction, fps: int) -> None:
    clock = FrameClock(fps)
    count = clock.first_from(t)
    assert clock.time(count - 1) < t <= clock.time(count)


def test_frame_times_do_not_drift() -> None:
    assert FrameClock(30).time(30 * 24 * 3600) == 24 * 3600
    assert FrameClock(7).time(1) * 7 == 1


@pytest.mark.parametrize(
    ("t", "text"),
    [
        ("0", "00:00:00.000"),
        ("3723.4569", "01:02:03.456"),
        ("359999.9999", "99:59:59.999"),
        ("360000", "100:00:00.000"),
        ("-1.5", "-00:00:01.500"),
    ],
)
def test_timecodes_round_down_to_the_millisecond(t: str, text: str) -> None:
    assert timecode(Fraction(t)) == text


def test_a_cursor_finds_the_item_at_a_time_and_none_in_a_gap() -> None:
    first, second = Shot(span(1, 2), 0), Shot(span(3, 4), 1)
    cursor = SpanCursor([first, second])
    found = [(cursor.at(Fraction(t)), len(cursor.rest)) for t in ("0", "1", "1.9", "2", "3", "3.9", "4", "99")]
    assert found == [(None, 2), (first, 2), (first, 2), (None, 1), (second, 1), (second, 1), (None, 0), (None, 0)]


@PATIENT
@given(edges=st.sets(milliseconds(0, 9000), min_size=2), times=st.lists(milliseconds(0, 10_000)))
def test_a_cursor_agrees_with_a_linear_search(edges: set[Fraction], times: list[Fraction]) -> None:
    points = sorted(edges)
    items = [Shot(TimeRange(a, b), None) for a, b in zip(points[::2], points[1::2], strict=False)]
    cursor = SpanCursor(items)
    assert [cursor.at(t) for t in sorted(times)] == [
        next((item for item in items if t in item.span), None) for t in sorted(times)
    ]
