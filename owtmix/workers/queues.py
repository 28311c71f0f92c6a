"""Which child does what next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Generic, Protocol, TypeVar

from owtmix.workers.base import Task

TaskT = TypeVar("TaskT", bound=Task)
TaskT_co = TypeVar("TaskT_co", bound=Task, covariant=True)


class TaskQueue(Protocol[TaskT_co]):
    """Tasks to be done. Its length is how many were not taken yet: with 0, no more will come."""

    def __len__(self) -> int: ...

    def take(self, worker: int) -> TaskT_co | None:
        """What the child with this number is to do now; None when it has to wait."""


class FifoQueue(Generic[TaskT]):
    """One task after the other, whoever does it."""

    def __init__(self, tasks: Iterable[TaskT]) -> None:
        self._waiting = deque(tasks)

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, worker: int) -> TaskT | None:  # noqa: ARG002 - all are alike
        return self._waiting.popleft() if self._waiting else None


class RunQueue(Generic[TaskT]):
    """Tasks of which each is done best by who did the one before it: every child gets a run of neighbours.

    A child whose run is over takes the second half of the longest that is left. A task that is not ready yet is left
    for later: its child takes the earliest of all that is.

    Args:
        chain: the neighbours, in order.
        runs: into how many they are dealt at first.
        ready: whether a task can be done now.
    """

    def __init__(self, chain: Sequence[TaskT], runs: int, ready: Callable[[TaskT], bool]) -> None:
        edges = [len(chain) * i // runs for i in range(runs + 1)]
        self._unclaimed = deque(deque(chain[a:b]) for a, b in pairwise(edges) if a < b)
        self._claimed: dict[int, deque[TaskT]] = {}
        self._ready = ready

    def __len__(self) -> int:
        return sum(map(len, self._all()))

    def take(self, worker: int) -> TaskT | None:
        run = self._claimed.get(worker)
        if not run:
            self._claimed[worker] = run = self._claim()
        if run and self._ready(run[0]):
            return run.popleft()
        for other in self._all():
            if other and self._ready(other[0]):
                return other.popleft()
        return None

    def claim(self, worker: int) -> None:
        """The earliest run that nobody has is to be this child's, unless it has one; it may begin it later."""
        if self._unclaimed and not self._claimed.get(worker):
            self._claimed[worker] = self._unclaimed.popleft()

    def stop(self) -> None:
        """Nothing more is to be begun."""
        self._unclaimed.clear()
        self._claimed.clear()

    def _all(self) -> list[deque[TaskT]]:
        return [*self._claimed.values(), *self._unclaimed]

    def _claim(self) -> deque[TaskT]:
        if self._unclaimed:
            return self._unclaimed.popleft()
        longest = max(self._claimed.values(), key=len, default=deque[TaskT]())
        half = (len(longest) + 1) // 2
        taken = [longest.pop() for _ in range(half)]
        return deque(reversed(taken))
