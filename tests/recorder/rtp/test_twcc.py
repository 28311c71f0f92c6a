"""Feedback, read by a parser that shares no code: what came, when, and what did not."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from owtmix.recorder.rtp.twcc import TransportFeedback

TICK_US = 250


def parse(message: bytes) -> tuple[int, int, int, list[int | None], int]:
    """SSRCs, first number, arrivals in ticks since the clock's begin (None for lost), and the message's count."""
    first, kind, words, ssrc, media = struct.unpack_from("!BBHLL", message)
    assert (first >> 6, first & 31, kind, len(message)) == (2, 15, 205, 4 * words + 4)
    end = len(message) - (message[-1] if first & 0x20 else 0)
    base, count, clock = struct.unpack_from("!HHL", message, 12)
    symbols: list[int] = []
    at = 20
    while len(symbols) < count:
        (chunk,) = struct.unpack_from("!H", message, at)
        at += 2
        if not chunk & 0x8000:
            symbols += [chunk >> 13 & 3] * (chunk & 0x1FFF)
        elif chunk & 0x4000:
            symbols += [chunk >> shift & 3 for shift in range(12, -1, -2)]
        else:
            symbols += [chunk >> shift & 1 for shift in range(13, -1, -1)]
    reference, number = clock >> 8, clock & 0xFF
    now = reference * 256  # 64 ms have 256 ticks
    arrivals: list[int | None] = []
    for symbol in symbols[:count]:
        if symbol == 0:
            arrivals.append(None)
            continue
        assert symbol in {1, 2}
        (delta,) = struct.unpack_from("!B" if symbol == 1 else "!h", message, at)
        at += symbol
        now += delta
        arrivals.append(now)
    assert at == end
    return ssrc, media, base, arrivals, number


def told(feedback: TransportFeedback, first: int) -> dict[int, int]:
    """Ticks of arrival by number, counted from ``first``; each number is told once, in order."""
    found: dict[int, int] = {}
    expected = None
    for message in feedback.messages(3, 4):
        ssrc, media, base, arrivals, _ = parse(message)
        assert (ssrc, media) == (3, 4)
        assert expected in {None, base}
        assert len(message) < 1200
        expected = (base + len(arrivals)) % 65536
        for n, ticks in enumerate(arrivals):
            if ticks is not None:
                found[(base - first) % 65536 + n] = ticks
    return found


@given(
    st.integers(0, 65535),
    st.dictionaries(st.integers(1, 1900), st.integers(0, 60_000_000), max_size=900),
    st.integers(0, 2**40),
)
def test_what_came_is_told_with_its_time(first: int, arrivals_us: dict[int, int], clock_us: int) -> None:
    feedback = TransportFeedback()
    came = {0: 0, **arrivals_us}
    for number, at_us in came.items():
        feedback.add((first + number) % 65536, clock_us + at_us)
    wrapped = {number: (clock_us + at_us) // TICK_US % (256 << 24) for number, at_us in came.items()}
    assert {number: ticks % (256 << 24) for number, ticks in told(feedback, first).items()} == wrapped
    assert feedback.messages(3, 4) == []


@given(st.integers(0, 65535), st.lists(st.integers(0, 30), min_size=1, max_size=300))
def test_each_message_goes_on_where_the_last_one_ended(first: int, batches: list[int]) -> None:
    feedback = TransportFeedback()
    number = at_us = 0
    counts = []
    for batch in batches:
        for _ in range(batch):
            feedback.add((first + number) % 65536, at_us)
            number += 1
            at_us += 1000
        for message in feedback.messages(1, 2):
            _, _, base, arrivals, count = parse(message)
            counts.append(count)
            assert (base + len(arrivals)) % 65536 == (first + number) % 65536
    assert counts == [n % 256 for n in range(len(counts))]


def test_what_comes_after_it_was_told_lost_is_not_told_again() -> None:
    feedback = TransportFeedback()
    for number in (0, 2):
        feedback.add(number, 0)
    assert len(feedback.messages(1, 2)) == 1
    feedback.add(1, 5)
    assert feedback.messages(1, 2) == []


@given(st.lists(st.integers(0, 65535), max_size=300))
def test_any_numbers_give_few_messages(numbers: list[int]) -> None:
    feedback = TransportFeedback()
    for n, number in enumerate(numbers):
        feedback.add(number, n * 1000)
    messages = feedback.messages(1, 2)
    assert len(messages) <= 12
    for message in messages:
        parse(message)
