"""Exponential backoff with jitter and an upper bound."""

from __future__ import annotations

import pytest

from owtmix.base.backoff import pause_s


@pytest.mark.parametrize(
    ("attempt", "bound_s"), [(1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 30.0), (100, 30.0), (1_000_000, 30.0)]
)
def test_the_bound_doubles_up_to_the_longest_pause(attempt: int, bound_s: float) -> None:
    pauses = [pause_s(attempt, 0.5, 30.0) for _ in range(200)]
    assert bound_s / 2 <= min(pauses) < max(pauses) <= bound_s
    assert max(pauses) - min(pauses) > bound_s / 4


def test_the_first_pause_may_be_the_longest_one() -> None:
    assert 0.5 <= pause_s(1, first_s=20.0, longest_s=1.0) <= 1.0
