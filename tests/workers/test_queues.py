"""Runs of neighbours: each child keeps to its own, and nobody is idle while there is work."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from owtmix.workers.queues import ApartQueue, FifoQueue, RunQueue
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
