"""Numbers that wrap, jump and lie."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from owtmix.recorder.rtp.timeline import MAX_GAP, MAX_JUMP_S, SequenceUnwrapper, Timeline

RATE = 90_000


@given(st.integers(0, 65535), st.lists(st.integers(-MAX_GAP + 1, MAX_GAP), max_size=200))
def test_sequence_numbers_are_unwrapped(first: int, steps: list[int]) -> None:
    numbers = SequenceUnwrapper()
    begun = numbers.unwrap(first)
    assert begun == (65536 + first, False)
    highest = 65536 + first
    for step in steps:
        expected = highest + step
        assert numbers.unwrap(expected % 65536) == (expected, False)
        highest = max(highest, expected)
        assert numbers.highest == highest


def test_one_number_from_afar_is_garbage_and_two_are_a_beginning() -> None:
    numbers = SequenceUnwrapper()
    numbers.unwrap(100)
    assert numbers.unwrap(30_000) is None
    assert numbers.unwrap(101) == (65536 + 101, False)
    assert numbers.unwrap(40_000) is None
    assert numbers.unwrap(40_001) == (65536 + 40_001, True)
    assert numbers.unwrap(40_002) == (65536 + 40_002, False)


@given(st.integers(0, 2**32 - 1), st.lists(st.floats(0.001, 30_000), max_size=50), st.floats(-5, 5))
def test_time_goes_on_with_the_clock_over_any_silence(first: int, steps_s: list[float], late_s: float) -> None:
    timeline = Timeline(RATE, 3)
    assert timeline.near(first, 0) is None
    assert timeline.place(first, 0) == first
    at_s = 0.0
    for n, step_s in enumerate(steps_s):
        at_s += step_s
        rtp = first + round((at_s + late_s * (n % 2)) * RATE)
        assert timeline.place(rtp % 2**32, round(at_s * 1e6)) == rtp
    assert timeline.number == 3


@given(st.integers(0, 2**32 - 1), st.floats(MAX_JUMP_S + 0.1, 20_000), st.booleans())
def test_time_that_jumps_without_the_clock_is_another_timeline(first: int, jump_s: float, back: bool) -> None:
    timeline = Timeline(RATE, 0)
    timeline.place(first, 0)
    moved = (first + round((-jump_s if back else jump_s) * RATE)) % 2**32
    assert timeline.near(moved, 0) is None
    assert timeline.place(moved, 0) == moved
    assert timeline.number == 1
    assert timeline.place((moved + RATE) % 2**32, 1_000_000) == moved + RATE
    assert timeline.number == 1
