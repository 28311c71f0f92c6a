"""Queues that decide which worker gets which task next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
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

    The costliest run costs as little as can be. A worker that has finished its run takes the second half of the
    costliest run left. A task that is not ready stays in its run; the worker takes the earliest ready task of all runs
    instead.

    Args:
        chain: the tasks, in order.
        runs: the number of runs at first.
        ready: whether a task can be done now.
        cost: what a task costs, in any unit.
        claimed: the cost of what the worker of the first run does before it.
    """

    def __init__(
        self,
        chain: Sequence[TaskT],
        runs: int,
        ready: Callable[[TaskT], bool],
        cost: Callable[[TaskT], float] = lambda _: 1.0,
        claimed: float = 0.0,
    ) -> None:
        self._unclaimed = deque(even_runs(chain, runs, cost, claimed))
        self._claimed: dict[int, deque[TaskT]] = {}
        self._ready = ready
        self._cost = cost

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
        while self._unclaimed:
            if run := self._unclaimed.popleft():
                return run
        costliest = max(self._claimed.values(), key=self._cost_of, default=deque[TaskT]())
        left = self._cost_of(costliest) / 2
        taken = deque[TaskT]()
        while costliest and left > 0:
            taken.appendleft(costliest.pop())
            left -= self._cost(taken[0])
        return taken

    def _cost_of(self, run: Iterable[TaskT]) -> float:
        return sum(map(self._cost, run))


def even_runs(
    chain: Sequence[TaskT], runs: int, cost: Callable[[TaskT], float], claimed: float
) -> Iterator[deque[TaskT]]:
    """Cut a chain into runs, the costliest of which costs as little as can be, and the others nearly the same.

    ``claimed`` is what the first run costs besides its tasks. Without enough tasks the last runs are empty.
    """
    costs = [*map(cost, chain)]
    most = _least_bound(costs, runs, claimed)
    needed = _needed_runs(costs, most)
    rest, start = claimed + sum(costs), 0
    for left in range(runs, 0, -1):
        share, end = rest / left, start
        spent = claimed if left == runs else 0.0
        rest -= spent
        while end < len(costs):
            is_fair = not spent or (spent + costs[end] <= most and spent + costs[end] / 2 <= share)
            if not is_fair and needed[end] < left:
                break
            spent += costs[end]
            rest -= costs[end]
            end += 1
        yield deque(chain[start:end])
        start = end


def _least_bound(costs: Sequence[float], runs: int, claimed: float) -> float:
    """What the costliest of so many runs has to cost, to a billionth of all that there is to do."""
    least, most = max(costs, default=0.0), claimed + sum(costs)
    for _ in range(30):
        middle = (least + most) / 2
        needed, spent = 1, claimed
        for cost in costs:
            if spent and spent + cost > middle:
                needed, spent = needed + 1, 0.0
            spent += cost
        if needed <= runs:
            most = middle
        else:
            least = middle
    return most


def _needed_runs(costs: Sequence[float], most: float) -> list[int]:
    """How many runs that cost ``most`` hold the tasks from each one on; 0 after the last."""
    needed, end, spent = [0] * (len(costs) + 1), len(costs), 0.0
    for start in range(len(costs) - 1, -1, -1):
        spent += costs[start]
        while spent > most and end > start + 1:
            end -= 1
            spent -= costs[end]
        needed[start] = 1 + needed[end]
    return needed
