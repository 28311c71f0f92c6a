"""When a room has ended by itself."""

from __future__ import annotations

from owtmix.base.ids import StreamId
from owtmix.service.idle import IdleClock

A, B = StreamId("a", 1), StreamId("b", 1)
S = 1_000_000


def test_nobody_came() -> None:
    clock = IdleClock(60 * S, None, since_us=100 * S)
    clock.heard({})
    assert [clock.has_ended(at * S) for at in (100, 159, 160)] == [False, False, True]


def test_it_counts_from_the_last_frame_of_anybody() -> None:
    clock = IdleClock(60 * S, None, since_us=0)
    clock.heard({A: 100 * S, B: 90 * S})
    clock.heard({B: 120 * S})
    clock.heard({})
    assert [clock.has_ended(at * S) for at in (179, 180)] == [False, True]


def test_the_key_stream_counts_alone_once_it_came() -> None:
    clock = IdleClock(60 * S, A, since_us=0)
    clock.heard({B: 50 * S})
    assert not clock.has_ended(100 * S)
    clock.heard({A: 100 * S, B: 100 * S})
    clock.heard({B: 158 * S})
    assert [clock.has_ended(at * S) for at in (159, 160)] == [False, True]


def test_a_stream_that_came_and_sent_nothing_yet_does_not_count_back() -> None:
    clock = IdleClock(60 * S, None, since_us=100 * S)
    clock.heard({A: 0})
    assert clock.since_us == 100 * S


def test_time_in_which_the_recorder_was_down_does_not_count() -> None:
    clock = IdleClock(60 * S, None, since_us=0)
    clock.skip(30 * S)
    assert [clock.has_ended(at * S) for at in (89, 90)] == [False, True]
