"""How fast a mix is sent, and the times that a server sees."""

from __future__ import annotations

from owtmix.live.pace import LONGEST_STEP_S, MOST_AHEAD_S, Pace
from owtmix.live.timeline import Timeline
from owtmix.rtmp.chunks import AUDIO, VIDEO


class Clock:
    """One that goes on when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def sent_within(pace: Pace, clock: Clock, seconds: float, speed: float, step_s: float = 0.04) -> float:
    """How many seconds of a mix are sent in so many seconds."""
    sent_s, until_s = 0.0, clock.now_s + seconds
    while True:
        wait_s = pace.wait_s(step_s, speed)
        if clock.now_s + wait_s > until_s:
            clock.now_s = until_s
            return sent_s
        if wait_s:
            clock.now_s += wait_s + 1e-9
        else:
            sent_s += step_s


def test_it_is_sent_as_it_is_shown_and_faster_only_to_catch_up() -> None:
    clock = Clock()
    pace = Pace(clock)
    assert abs(sent_within(pace, clock, 60, 1) - 60) < 0.1
    assert abs(sent_within(pace, clock, 60, 1.25) - 75) < 0.1


def test_after_a_pause_a_few_seconds_are_sent_at_once_and_no_more() -> None:
    clock = Clock()
    pace = Pace(clock)
    clock.now_s += 600
    assert abs(sent_within(pace, clock, 0, 1) - MOST_AHEAD_S) < 0.1


def test_what_is_missing_is_not_waited_for() -> None:
    pace = Pace(Clock())
    assert pace.wait_s(LONGEST_STEP_S + 1, 1) == 0
    assert pace.wait_s(-1, 1) == 0
    assert pace.wait_s(LONGEST_STEP_S, 1) == LONGEST_STEP_S
    assert pace.wait_s(LONGEST_STEP_S, 2) == LONGEST_STEP_S / 2


def placed(*tags: tuple[int, int]) -> list[int]:
    timeline = Timeline()
    return [timeline.place(kind, ms) for kind, ms in tags]


def test_times_begin_with_0_and_keep_their_distances() -> None:
    hours = 5 * 3_600_000
    assert placed((VIDEO, hours), (AUDIO, hours + 5), (VIDEO, hours + 40)) == [0, 5, 40]
    assert placed((AUDIO, hours), (VIDEO, hours - 3), (VIDEO, hours + 37)) == [0, 0, 37]


def test_what_was_dropped_stays_missing() -> None:
    assert placed((VIDEO, 1000), (VIDEO, 9000)) == [0, 8000]


def test_absurd_times_go_on_at_once_and_never_back() -> None:
    assert placed((VIDEO, 1000), (VIDEO, 1040), (VIDEO, 0xFFFFFFFF), (VIDEO, 5), (VIDEO, 45)) == [0, 40, 80, 120, 160]
    assert placed((VIDEO, 1000), (VIDEO, 1400), (VIDEO, 1100), (AUDIO, 1110), (VIDEO, 1440)) == [0, 400, 400, 110, 440]
