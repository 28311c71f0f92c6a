"""Simulated workers, and the measured chunks that they take."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchmarks.lab.chunks import Chunk, Work, work_of


def _work(chunks_s: Sequence[float], joint_s: float = 0.0, sound_s: float = 0.0, serial_s: float = 0.0) -> Work:
    return Work([Chunk(number, made_s, joint_s) for number, made_s in enumerate(chunks_s)], sound_s, serial_s)


def test_one_worker_does_all_there_is() -> None:
    work = _work([2, 3, 4], sound_s=1, serial_s=5)
    assert work.wall_s(1) == work.least_s == 15
    assert work.busy(1) == 1


def test_equal_chunks_keep_all_busy() -> None:
    assert _work([1.0] * 32).busy(16) == 1


def test_who_has_nothing_left_takes_from_the_longest_run() -> None:
    # The second worker's run is done at once, so that it takes half of the first one's.
    assert _work([4, 4, 4, 4, 0, 0, 0, 0]).wall_s(2) == 8


def test_a_joint_is_paid_by_who_did_not_make_the_chunk_before() -> None:
    assert _work([1] * 8, joint_s=3).wall_s(1) == 3 + 8
    assert _work([1] * 8, joint_s=3).wall_s(2) == 3 + 4


def test_what_is_not_shared_is_waited_for() -> None:
    assert _work([1.0] * 32, serial_s=1).wall_s(16) == 3
    assert _work([1.0] * 4, sound_s=50).wall_s(4) == 50


@pytest.mark.parametrize("workers", [1, 2, 3, 7, 16])
def test_no_number_of_workers_is_more_than_busy(workers: int) -> None:
    assert 0 < _work([1.0 + n % 5 for n in range(61)], joint_s=0.5, sound_s=4).busy(workers) <= 1


def test_what_was_measured_is_simulated() -> None:
    found = {"made_s": [4.0, 4.0], "joints_s": [0.0, 1.0], "sound_s": 0.5}
    assert work_of(found, serial_s=2).wall_s(2) == 2 + 5  # who mixes makes the chunk that has no joint
