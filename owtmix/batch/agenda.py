"""Which job may begin now: the longest first, after its wait, on a host without a pause; alone, when it was killed.

Nothing here knows processes or clocks: the time is an argument.
"""

from __future__ import annotations

import heapq
import math
from bisect import insort
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from owtmix.batch.attempt import Attempt, BatchJob, Ended
from owtmix.batch.estimates import Estimates
from owtmix.batch.policy import BUSY, FINAL, NOT_SET_UP, History, Verdict, device_of, judge

LOOK_AHEAD: Final = 8
"""So many jobs are tried when the first one does not fit: a smaller one may."""
MOST_UNREADY: Final = 5
"""After so many ends in a row that say it, a host counts as not set up; of one job, the hosts do for that job."""
MOST_PAUSES: Final = 2
"""So often a job may say that a host is not set up, and have it pause: then only the job itself waits."""
_BLAMED_S: Final = 60.0
"""So long several ends that say it count as one."""
_NEW: Final = History()


@dataclass(frozen=True, slots=True)
class Planned:
    """A job that is to be run, with what is guessed of it and what is known from earlier runs."""

    job: BatchJob
    cost: float
    log: Path
    memory_bytes: int = 0
    disk_bytes: int = 0
    history: History = _NEW
    peak_mib: int = 0
    was_stuck: bool = False
    """Whether it found no host set up in an earlier run: it begins after all others."""


class Agenda:
    """The jobs that wait and run, best first in ``planned``."""

    def __init__(
        self, planned: Sequence[Planned], attempts: int, estimates: Estimates, longest_pause_s: float = 600.0
    ) -> None:
        self._planned = planned
        self._ranks = {plan.job.id: rank for rank, plan in enumerate(planned)}
        self._histories = [plan.history for plan in planned]
        self._peaks = [plan.peak_mib for plan in planned]
        self._attempts = attempts
        self._estimates = estimates
        self._longest_pause_s = longest_pause_s
        self._setbacks: Counter[int] = Counter()
        self._busy: Counter[int] = Counter()
        ranks = sorted(range(len(planned)), key=self._turn)
        stuck = {rank for rank, plan in enumerate(planned) if plan.was_stuck}
        self._ready = [rank for rank in ranks if not planned[rank].history.is_alone and rank not in stuck]
        self._alone = [rank for rank in ranks if planned[rank].history.is_alone and rank not in stuck]
        self._last = sorted(rank for rank in stuck if not planned[rank].history.is_alone)
        self._last_alone = sorted(stuck.difference(self._last))
        self._waiting: list[tuple[float, int]] = []
        self._running: dict[str, int] = {}
        self._paused: dict[str, float] = {}
        self._unready: Counter[str] = Counter()
        self._blamed: dict[str, float] = {}
        self._stuck: set[int] = set()
        self._cost_waiting = sum(plan.cost for plan in planned)
        self.is_draining = False

    def pick(self, now_s: float, hosts: Collection[str], fits: Callable[[Attempt], bool]) -> Attempt | None:
        """The attempt that begins now, the best of those that ``fits`` takes; None when none may."""
        self._wake(now_s)
        avoid = frozenset(host for host, until_s in self._paused.items() if until_s > now_s)
        if self.is_draining or (hosts and avoid.issuperset(hosts)):
            return None
        ranks = self._next(hosts)
        for place, rank in enumerate(ranks[:LOOK_AHEAD]):
            attempt = self._attempt(rank, avoid)
            if fits(attempt):
                del ranks[place]
                self._running[attempt.job.id] = rank
                self._cost_waiting -= self._planned[rank].cost
                return attempt
        return None

    def end(self, ended: Ended, now_s: float, *, is_asked: bool = False) -> tuple[Verdict, History]:
        """What follows from the end of an attempt, which the batch may have asked for, and the history of its job."""
        rank = self._running.pop(ended.attempt.job.id)
        plan, history = self._planned[rank], self._histories[rank]
        verdict = judge(ended.exit_status, history, self._attempts, is_asked=is_asked)
        is_shortage = ended.is_shortage and ended.exit_status == NOT_SET_UP
        history = history.after(ended.exit_status, counts=verdict.counts, loss=verdict.loss, is_shortage=is_shortage)
        self._histories[rank] = history
        self._learn(rank, plan, ended)
        if self._blame_host(rank, ended, now_s):
            verdict = replace(verdict, pause_s=0.0)
        self._pause(ended.node, verdict, now_s)
        if verdict.state not in FINAL:
            heapq.heappush(self._waiting, (now_s + min(verdict.wait_s, self._longest_pause_s), rank))
            self._cost_waiting += plan.cost
        return verdict, history

    def drain(self) -> None:
        """Begin nothing more."""
        self.is_draining = True

    @property
    def running(self) -> int:
        """How many attempts run."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many jobs wait, for whatever."""
        lists = (self._ready, self._alone, self._last, self._last_alone)
        return sum(map(len, lists)) + len(self._waiting)

    @property
    def is_over(self) -> bool:
        """Whether nothing runs, and nothing is to begin any more."""
        return not self._running and (self.is_draining or not self.waiting)

    def is_ready(self, now_s: float) -> bool:
        """Whether a job could begin if there were room for it."""
        self._wake(now_s)
        return not self.is_draining and bool(self._ready or self._alone or self._last or self._last_alone)

    def next_s(self, now_s: float) -> float | None:
        """When the next wait or pause ends; None when there is none."""
        times = [until_s for until_s in self._paused.values() if until_s > now_s]
        return min([*times, *(time for time, _ in self._waiting[:1])], default=None)

    def waits(self, now_s: float) -> Iterator[tuple[float, float]]:
        """How long each job that is tried again still waits, in seconds, and its cost."""
        for until_s, rank in () if self.is_draining else self._waiting:
            yield max(0.0, until_s - now_s), self._planned[rank].cost

    def is_hopeless(self, hosts: Collection[str]) -> bool:
        """Whether no host is set up to run the jobs that are left, as their ends said again and again."""
        left = self.waiting + len(self._running)
        if len(self._stuck) == left > 0 and self._stuck.issuperset(self._running.values()):
            return True
        return self._are_unready(hosts, MOST_UNREADY * (2 if any(self._untried()) else 1))

    def cost_of(self, name: str) -> float:
        """The cost of a job by its id."""
        return self._planned[self._ranks[name]].cost

    @property
    def cost_waiting(self) -> float:
        """The cost of all jobs that wait."""
        return max(self._cost_waiting, 0.0)

    def _wake(self, now_s: float) -> None:
        while self._waiting and self._waiting[0][0] <= now_s:
            _, rank = heapq.heappop(self._waiting)
            is_alone = self._histories[rank].is_alone
            if rank in self._stuck:
                insort(self._last_alone if is_alone else self._last, rank, key=self._last_turn)
            else:
                insort(self._alone if is_alone else self._ready, rank, key=self._turn)

    def _next(self, hosts: Collection[str]) -> list[int]:
        """The jobs of which one begins next.

        Those that run alone begin after the others, so that nobody has to wait for them; those that find no host set up
        begin last. But when many have said that no host is set up, one that may know better begins.
        """
        if self._are_unready(hosts, MOST_UNREADY) and any(not self._setbacks[rank] for rank in self._alone):
            return self._alone
        last = (ranks for ranks in (self._last, self._last_alone) if ranks)
        return self._ready or self._alone or min(last, key=lambda ranks: self._last_turn(ranks[0]), default=self._last)

    def _are_unready(self, hosts: Collection[str], most: int) -> bool:
        return bool(hosts) and all(self._unready[host] >= most for host in hosts)

    def _untried(self) -> Iterator[bool]:
        """Of each job that was tried before, whether none of its ends said that no host is set up."""
        yield from (not self._setbacks[rank] for rank in self._alone)
        yield from (not self._setbacks[rank] for _, rank in self._waiting)

    def _turn(self, rank: int) -> tuple[int, int, int]:
        """The place of a job in its list: after others if it took its host down, found none set up, or was busy."""
        return self._histories[rank].losses, self._setbacks[rank] + self._busy[rank], rank

    def _last_turn(self, rank: int) -> tuple[int, int]:
        """The place of a job among those that find no host set up: whoever was not tried in this run comes first."""
        return self._setbacks[rank], rank

    def _attempt(self, rank: int, avoid: frozenset[str]) -> Attempt:
        plan, history = self._planned[rank], self._histories[rank]
        return Attempt(
            plan.job,
            history.counted + 1,
            plan.log,
            device=device_of(history, self._attempts),
            exclusive=history.is_alone,
            avoid=avoid,
            memory_bytes=self._estimates.memory_bytes(plan.memory_bytes, self._peaks[rank]),
            disk_bytes=plan.disk_bytes,
        )

    def _learn(self, rank: int, plan: Planned, ended: Ended) -> None:
        self._peaks[rank] = max(self._peaks[rank], ended.peak_mib)
        if ended.exit_status == 0:
            self._estimates.learn_memory(plan.memory_bytes, ended.peak_mib)
            self._estimates.learn_time(plan.cost, ended.wall_s)

    def _blame_host(self, rank: int, ended: Ended, now_s: float) -> bool:
        """Count what an end says of its host; whether that is the job's own affair, as others may work there."""
        if ended.exit_status == BUSY:
            self._busy[rank] += 1
        if ended.exit_status != NOT_SET_UP:
            self._setbacks.pop(rank, None)
            self._stuck.discard(rank)
            if ended.exit_status is not None:
                self._unready[ended.node] = 0
            return False
        is_first = not self._setbacks[rank] and not ended.is_own
        if is_first and self._blamed.get(ended.node, -math.inf) <= now_s:  # jobs that ran side by side say it once
            self._unready[ended.node] += 1
            self._blamed[ended.node] = now_s + min(_BLAMED_S, self._longest_pause_s)
        self._setbacks[rank] += 1
        if self._setbacks[rank] >= MOST_UNREADY:
            self._stuck.add(rank)
        return ended.is_own or self._setbacks[rank] > MOST_PAUSES

    def _pause(self, host: str, verdict: Verdict, now_s: float) -> None:
        if verdict.pause_s:
            until_s = now_s + min(verdict.pause_s, self._longest_pause_s)
            self._paused[host] = max(until_s, self._paused.get(host, 0.0))
