"""Queues that decide which worker gets which task next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Final, Generic

from owtmix.workers.base import TaskT


class FifoQueue(Generic[TaskT]):
    """Tasks in order, for any number of workers."""

    useful: Final = None

    def __init__(self, tasks: Iterable[TaskT]) -> None:
        self._waiting = deque(tasks)

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, worker: int) -> TaskT | None:  # noqa: ARG002 - all workers are alike
        return self._waiting.popleft() if self._waiting else None

    def is_spent(self, worker: int) -> bool:  # noqa: ARG002 - as above
        return False


class ApartQueue(Generic[TaskT]):
    """Tasks of several owners. A worker only gets those of one of them, so that no owner can falsify another's.

    An owner has one worker at first; more when there are more workers than owners left.
    """

    useful: Final = None

    def __init__(self, tasks: Iterable[TaskT], owner: Callable[[TaskT], str]) -> None:
        self._waiting: dict[str, deque[TaskT]] = {}
        for task in tasks:
            self._waiting.setdefault(owner(task), deque()).append(task)
        self._owners: dict[int, str] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def take(self, worker: int) -> TaskT | None:
        owner = self._owners.get(worker)
        if owner is None and self._waiting:
            served = set(self._owners.values())
            unserved = (other for other in self._waiting if other not in served)
            owner = next(unserved, None) or max(self._waiting, key=lambda other: len(self._waiting[other]))
            self._owners[worker] = owner
        if owner is None or owner not in self._waiting:
            return None
        task = self._waiting[owner].popleft()
        if not self._waiting[owner]:
            del self._waiting[owner]
        return task

    def is_spent(self, worker: int) -> bool:
        return worker in self._owners and self._owners[worker] not in self._waiting


class RunQueue(Generic[TaskT]):
    """A chain of tasks. Every worker gets a run of neighbours, since it does the successor of its last task fastest.

    A worker that has finished its run takes the second half of the longest run left. A task that is not ready stays in
    its run; the worker takes the earliest ready task of all runs instead.

    Args:
        chain: the tasks, in order.
        runs: the number of runs at first.
        ready: whether a task can be done now.
    """

    def __init__(self, chain: Sequence[TaskT], runs: int, ready: Callable[[TaskT], bool]) -> None:
        edges = [len(chain) * i // runs for i in range(runs + 1)]
        self._unclaimed = deque(deque(chain[a:b]) for a, b in pairwise(edges) if a < b)
        self._claimed: dict[int, deque[TaskT]] = {}
        self._ready = ready

    def __len__(self) -> int:
        return sum(map(len, self._all_runs()))

    def take(self, worker: int, ready: Callable[[TaskT], bool] | None = None) -> TaskT | None:
        """The next task for this worker, of those that are ``ready`` for it, if that is not the same for all."""
        ready = ready or self._ready
        run = self._claimed.get(worker)
        if not run:
            self._claimed[worker] = run = self._next_run()
        if run and ready(run[0]):
            return run.popleft()
        for other in self._all_runs():
            if other and ready(other[0]):
                return other.popleft()
        return None

    def is_spent(self, worker: int) -> bool:  # noqa: ARG002 - all workers are alike
        return False

    def put_back(self, task: TaskT) -> None:
        """A task was not done: whoever has no run does it."""
        self._unclaimed.appendleft(deque([task]))

    def claim(self, worker: int) -> None:
        """Reserve the earliest unclaimed run for a worker that has none; it may begin it later."""
        if self._unclaimed and not self._claimed.get(worker):
            self._claimed[worker] = self._unclaimed.popleft()

    def stop(self) -> None:
        """Drop all tasks that were not taken."""
        self._unclaimed.clear()
        self._claimed.clear()

    def _all_runs(self) -> list[deque[TaskT]]:
        return [*self._claimed.values(), *self._unclaimed]

    def _next_run(self) -> deque[TaskT]:
        if self._unclaimed:
            return self._unclaimed.popleft()
        longest = max(self._claimed.values(), key=len, default=deque[TaskT]())
        half = (len(longest) + 1) // 2
        taken = [longest.pop() for _ in range(half)]
        return deque(reversed(taken))
