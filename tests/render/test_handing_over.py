"""Items go from the thread that makes them to the one that takes them; a failure of either ends both."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from owtmix.render.handing_over import hand_over


class BrokenError(Exception):
    """What one of the threads raises."""


def noted(count: int, made: list[int]) -> Iterator[int]:
    """So many numbers, each noted as ``made`` before it is handed over."""
    for number in range(count):
        made.append(number)
        yield number


def test_items_arrive_in_order_in_another_thread() -> None:
    taken: list[tuple[int, bool]] = []
    here = threading.get_ident()
    hand_over(range(50), lambda items: taken.extend((n, threading.get_ident() == here) for n in items), most=3)
    assert taken == [(n, False) for n in range(50)]


def test_who_makes_is_never_further_ahead_than_allowed() -> None:
    made: list[int] = []
    ahead: list[int] = []

    def take(arriving: Iterator[int]) -> None:
        for number in arriving:
            threading.Event().wait(0.002)
            ahead.append(len(made) - 1 - number)

    hand_over(noted(40, made), take, most=3)
    assert len(ahead) == 40
    assert 1 <= max(ahead) <= 3 + 1  # one more is made while it waits for a place


def test_when_taking_fails_nothing_more_is_made() -> None:
    made: list[int] = []

    def take(arriving: Iterator[int]) -> None:
        next(arriving)
        raise BrokenError

    with pytest.raises(BrokenError):
        hand_over(noted(1000, made), take, most=2)
    assert len(made) < 10


def test_when_making_fails_what_was_taken_is_not_finished() -> None:
    has_finished = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        raise BrokenError

    def take(arriving: Iterator[int]) -> None:
        for _ in arriving:
            pass
        has_finished.set()

    with pytest.raises(BrokenError):
        hand_over(items(), take, most=2)
    assert not has_finished.is_set()
    assert all(thread.name.split("_")[0] != "take" for thread in threading.enumerate())
