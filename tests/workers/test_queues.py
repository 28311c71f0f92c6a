"""Runs of neighbours: each child keeps to its own, and nobody is idle while there is work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations_with_replacement, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owtmix.workers.queues import ApartQueue, FifoQueue, RunQueue, even_runs
from tests.workers.tasks import Echo


def numbered(count: int) -> list[Echo]:
    return [Echo(str(number)) for number in range(count)]


def take(queue: RunQueue[Echo] | FifoQueue[Echo], worker: int) -> int | None:
    task = queue.take(worker)
    return int(task.payload) if task else None


def test_a_queue_is_served_in_order() -> None:
    queue = FifoQueue(numbered(3))
    assert [take(queue, worker) for worker in (2, 1, 2, 1)] == [0, 1, 2, None]
    assert len(queue) == 0


def owned(*owners: str) -> ApartQueue[Echo]:
    """A queue with a task for each of ``owners``, which its payload names."""
    return ApartQueue(list(map(Echo, owners)), lambda task: task.payload)


def owner_taken(queue: ApartQueue[Echo], worker: int) -> str | None:
    task = queue.take(worker)
    return task.payload if task else None


def test_a_worker_gets_the_tasks_of_one_owner() -> None:
    queue = owned("anna", "ben", "anna", "cleo")
    assert [owner_taken(queue, worker) for worker in (1, 2, 1)] == ["anna", "ben", "anna"]
    assert [queue.is_spent(worker) for worker in (1, 2, 3)] == [True, True, False]
    assert [owner_taken(queue, worker) for worker in (1, 2, 3)] == [None, None, "cleo"]
    assert len(queue) == 0


def test_workers_without_an_owner_help_the_one_with_the_most_tasks() -> None:
    queue = owned("anna", "ben", "ben", "ben")
    assert [owner_taken(queue, worker) for worker in (1, 2, 3)] == ["anna", "ben", "ben"]
    assert not queue.is_spent(3)


@given(owners=st.lists(st.sampled_from("abcd"), max_size=30), workers=st.integers(1, 5))
def test_no_worker_has_two_owners_and_every_task_is_done(owners: list[str], workers: int) -> None:
    queue, numbers, done = owned(*owners), list(range(workers)), dict[int, list[str]]()
    while len(queue):
        for place, number in enumerate(numbers):
            if queue.is_spent(number):
                numbers[place] = number = max(numbers) + 1  # noqa: PLW2901 - a new worker in its place
            if owner := owner_taken(queue, number):
                done.setdefault(number, []).append(owner)
    assert all(len(set(found)) == 1 for found in done.values())
    assert sorted(owner for found in done.values() for owner in found) == sorted(owners)


def test_each_child_has_a_run_of_its_own() -> None:
    runs = RunQueue(numbered(6), 2, lambda _: True)
    assert [take(runs, 1), take(runs, 2), take(runs, 2), take(runs, 1)] == [0, 3, 4, 1]
    assert len(runs) == 2


def test_who_is_done_takes_half_of_the_longest_run() -> None:
    runs = RunQueue(numbered(9), 3, lambda _: True)
    assert [take(runs, 1) for _ in range(3)] == [0, 1, 2]
    assert [take(runs, worker) for worker in (2, 3)] == [3, 6]
    assert [take(runs, 1), take(runs, 2), take(runs, 3), take(runs, 1)] == [5, 4, 7, 8]


def costly(*costs: int) -> list[Echo]:
    """Tasks named by what they cost."""
    return [Echo(str(cost)) for cost in costs]


def cost_of(task: Echo) -> float:
    return float(task.payload)


@pytest.mark.parametrize(
    ("costs", "claimed", "runs"),
    [
        ((1, 1, 1, 9), 0, [[1, 1, 1], [9]]),
        ((9, 1, 1, 1), 0, [[9], [1, 1, 1]]),
        ((2, 3, 4, 3), 6, [[2], [3, 4, 3]]),
        ((4, 4, 4), 20, [[], [4, 4, 4]]),
        ((5,), 0, [[5], []]),
        ((), 3, [[], []]),
    ],
)
def test_runs_cost_as_nearly_the_same_as_can_be(costs: Sequence[int], claimed: int, runs: list[list[int]]) -> None:
    """The worker of the first run has something else to do before, which costs ``claimed``."""
    assert [list(map(cost_of, run)) for run in even_runs(costly(*costs), 2, cost_of, claimed)] == runs


@given(costs=st.lists(st.integers(1, 50), min_size=1, max_size=9), count=st.integers(1, 4))
def test_no_other_cut_has_a_cheaper_costliest_run(costs: list[int], count: int) -> None:
    cut = (
        [sum(costs[a:b]) for a, b in pairwise([0, *edges, len(costs)])]
        for edges in combinations_with_replacement(range(len(costs) + 1), count - 1)
    )
    runs = list(even_runs(costly(*costs), count, cost_of, 0))
    assert max(sum(map(cost_of, run)) for run in runs) == min(map(max, cut))
    assert [int(task.payload) for run in runs for task in run] == costs


def test_runs_that_need_not_cost_the_most_cost_the_same() -> None:
    lengths = [len(run) for run in even_runs(costly(*[1] * 64), 16, cost_of, 1)]
    assert (lengths[0], max(lengths), min(lengths), sum(lengths)) == (3, 5, 3, 64)
    assert lengths.count(4) == 14


def test_who_is_done_takes_half_of_the_costliest_run() -> None:
    runs = RunQueue(costly(1, 20, 7, 3, 4, 5), 2, lambda _: True, cost_of)
    assert [take(runs, worker) for worker in (1, 2, 1)] == [1, 7, 20]
    assert [take(runs, 1), take(runs, 2), take(runs, 1)] == [4, 3, 5]


def test_who_has_enough_to_do_before_has_no_run_and_helps_others_later() -> None:
    runs = RunQueue(costly(4, 4, 4), 2, lambda _: True, cost_of, 20)
    runs.claim(1)
    assert [take(runs, worker) for worker in (2, 1, 2, 1)] == [4, 4, 4, None]


def test_a_child_that_is_not_free_yet_may_have_the_first_run() -> None:
    runs = RunQueue(numbered(6), 2, lambda _: True)
    runs.claim(1)
    assert [take(runs, 2), take(runs, 2), take(runs, 2), take(runs, 1), take(runs, 1)] == [3, 4, 5, 0, 1]


def test_a_child_that_has_a_run_keeps_it() -> None:
    runs = RunQueue(numbered(4), 2, lambda _: True)
    assert take(runs, 1) == 0
    runs.claim(1)
    assert [take(runs, 1), take(runs, 2), take(runs, 2)] == [1, 2, 3]


def test_a_new_child_goes_on_with_the_run_of_one_that_died() -> None:
    runs = RunQueue(numbered(4), 2, lambda _: True)
    assert [take(runs, 1), take(runs, 2)] == [0, 2]
    assert {take(runs, 3), take(runs, 2), take(runs, 3)} == {1, 3, None}


def test_what_is_not_ready_waits() -> None:
    here = {"0", "3"}
    runs = RunQueue(numbered(6), 2, lambda task: task.payload in here)
    assert [take(runs, 1), take(runs, 1), take(runs, 2)] == [0, 3, None]
    here.add("1")
    assert take(runs, 2) == 1
    assert len(runs) == 3


def test_what_is_stopped_begins_nothing() -> None:
    runs = RunQueue(numbered(6), 2, lambda _: True)
    take(runs, 1)
    runs.stop()
    assert (len(runs), take(runs, 1), take(runs, 2)) == (0, None, None)


@given(count=st.integers(0, 30), runs=st.integers(1, 8), asking=st.lists(st.integers(1, 8), min_size=40, max_size=60))
def test_every_task_is_done_once(count: int, runs: int, asking: list[int]) -> None:
    everything: Callable[[Echo], bool] = lambda _: True  # noqa: E731 - one line says it
    queue = RunQueue(numbered(count), runs, everything)
    done = [number for worker in asking if (number := take(queue, worker)) is not None]
    assert sorted(done) == list(range(count))
