"""How long workers take is that of the one who is last."""

from __future__ import annotations

import pytest

from benchmarks.simulation import efficiency, makespan_s, runs


def test_each_task_is_begun_by_the_first_who_is_free() -> None:
    assert makespan_s([4, 1, 1, 1], 2) == 4
    assert makespan_s([1, 1, 1, 4], 2) == 5
    assert makespan_s([3], 8) == 3


def test_a_run_is_of_neighbours_and_near_an_equal_part() -> None:
    assert runs([1, 1, 1, 1], 2) == [2, 2]
    assert runs([1, 1, 4, 1, 1], 2) == [6, 2] or runs([1, 1, 4, 1, 1], 2) == [2, 6]
    assert sum(runs([2, 3, 5, 7, 11], 3)) == 28


@pytest.mark.parametrize("workers", [1, 2, 3, 7, 16])
def test_there_are_never_more_runs_than_workers(workers: int) -> None:
    assert len(runs([1.0 + n % 5 for n in range(61)], workers)) <= workers


def test_equal_chunks_keep_all_busy_and_what_is_not_shared_does_not() -> None:
    assert efficiency([1.0] * 32, 16) == 1
    assert efficiency([1.0] * 32, 1, serial_s=5) == 1
    assert efficiency([1.0] * 32, 16, serial_s=1) == pytest.approx(33 / (16 * 3))
