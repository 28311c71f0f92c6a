"""Simulated workers, and the measured chunks that they take."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchmarks.lab.chunks import Chunk, Sound, Work, work_of


def _work(chunks_s: Sequence[float], joint_s: float = 0.0, mixing_s: float = 0.0, serial_s: float = 0.0) -> Work:
    """Work whose costs the plan knows."""
    chunks = [Chunk(number, made_s, joint_s, made_s) for number, made_s in enumerate(chunks_s)]
    return Work(chunks, Sound(mixing_s, 0.0, mixing_s), 0.0, serial_s)


def test_one_worker_does_all_there_is() -> None:
    work = _work([2, 3, 4], mixing_s=1, serial_s=5)
    assert work.wall_s(1) == work.least_s == 15
    assert work.busy(1) == 1


def test_equal_chunks_keep_all_busy() -> None:
    assert _work([1.0] * 32).busy(16) == 1


def test_who_has_nothing_left_takes_from_the_costliest_run() -> None:
    # The plan takes all for equal, so the second worker's run is done at once, and it takes half of the first one's.
    alike = [Chunk(number, made_s, 0.0, 1.0) for number, made_s in enumerate([4, 4, 4, 4, 0, 0, 0, 0])]
    assert Work(alike).wall_s(2) == 8


def test_a_joint_is_paid_by_who_did_not_make_the_chunk_before() -> None:
    assert _work([1] * 8, joint_s=3).wall_s(1) == 3 + 8
    assert _work([1] * 8, joint_s=3).wall_s(2) == 3 + 4


def test_what_is_not_shared_is_waited_for() -> None:
    assert _work([1.0] * 32, serial_s=1).wall_s(16) == 3
    assert _work([1.0] * 4, mixing_s=50).wall_s(4) == 50


@pytest.mark.parametrize("workers", [1, 2, 3, 7, 16])
def test_no_number_of_workers_is_more_than_busy(workers: int) -> None:
    assert 0 < _work([1.0 + n % 5 for n in range(61)], joint_s=0.5, mixing_s=4).busy(workers) <= 1


def test_the_sound_is_mixed_and_encoded_at_the_same_time() -> None:
    sound = Sound(mixing_s=3.0, encoding_s=2.0, cost=3.0)
    assert Work([], sound).wall_s(1) == 5
    assert Work([], sound).wall_s(2) == 3


def test_measuring_is_shared_by_all() -> None:
    assert Work([], measuring_s=8).wall_s(4) == 2


def test_what_was_measured_is_simulated() -> None:
    made = {"made_s": [4.0, 4.0], "joints_s": [0.0, 1.0], "costs": [9, 9]}
    work = work_of(made | {"mixing_s": 0.5, "encoding_s": 0.25, "mixing_cost": 1}, measuring_s=1, serial_s=2)
    assert work.wall_s(2) == 2 + 0.5 + 5.25  # who mixes makes the chunk that has no joint
    assert work.least_s == 2 + 1 + 8 + 0.75
