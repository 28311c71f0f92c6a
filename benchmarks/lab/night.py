"""How long a night of many jobs takes on a machine of many cores, simulated, by the order in which they begin.

Nothing is composed. Jobs cost what was measured (docs/performance.md). ``plan_batch`` sorts them, ``Agenda`` says which
one begins when a place is free, and ``RunQueue`` hands out their chunks, as in a real night. While nobody waits for a
place, jobs that run take free ones as further workers, whichever asks first, and give them back after a chunk when
somebody does. That rule alone is written here anew, since places are locks on files.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import exp
from pathlib import Path
from typing import Any, Final, Literal

from benchmarks.tables import markdown
from owtmix.batch.agenda import Agenda
from owtmix.batch.attempt import Attempt, BatchJob, Ended
from owtmix.batch.estimates import Estimates
from owtmix.batch.plan import plan_batch
from owtmix.produce.spare_places import LOOK_EVERY_S
from owtmix.workers.queues import RunQueue

# From docs/performance.md. "Chunks, and many workers simulated", the row "hour", which has 110 chunks in 3,600 s:
CHUNK_S: Final = 3600 / 110
"""Seconds of output in a chunk."""
CHUNK_CORE_S: Final = 9.4
JOINT_CORE_S: Final = 0.40
"""What a chunk costs more when its worker did not make the one before it."""
# The whole job "hour" took 1,209 CPU s. What is not chunks is sound, measuring and finishing; all of it is taken for
# sound, which is one task of one worker.
SOUND_CORE_S: Final = (1209.4 - 110 * CHUNK_CORE_S) / 3600
"""For a second of output."""
START_CORE_S: Final = 0.64
"""Of a job of one frame from the command to its end ("Targets"): one core, before the first chunk."""
# Not measured; longer than what was seen ("publishing" of 30 s of output: 9 ms).
END_CORE_S: Final = 0.001
"""For a second of output: joining and reading back; one core, after the last chunk."""
WORKER_CORE_S: Final = 0.3
"""What a further worker costs when it begins: an interpreter that starts."""

# Assumptions: rooms of a service.
MEDIAN_S: Final = 2000
SPREAD: Final = 1.0
LONGEST_S: Final = 6 * 3600
GUESS_SPREAD: Final = 0.3
"""The cost of a job is guessed; the guess is off by a factor of this spread (lognormal, standard deviation)."""

Policy = Literal["given", "longest", "shipped"]
POLICIES: Final[dict[Policy, str]] = {
    "given": "in the given order",
    "longest": "longest first",
    "shipped": "longest first, spare places to running jobs",
}
SHIPPED: Final[Policy] = "shipped"
HOSTS: Final = ("here",)


@dataclass(frozen=True, slots=True)
class Night:
    """So many jobs on so many cores; one of them may be very long."""

    jobs: int
    cores: int
    long_s: float | None = None

    def lengths(self, seed: int) -> list[float]:
        """Seconds of output of each job, in no order."""
        chance = random.Random(seed)
        lengths = [min(LONGEST_S, MEDIAN_S * exp(chance.gauss(0, SPREAD))) for _ in range(self.jobs)]
        if self.long_s is not None:
            lengths[chance.randrange(self.jobs)] = self.long_s
        return lengths

    def __str__(self) -> str:
        long = f", one of them {self.long_s / 3600:g} h long" if self.long_s else ""
        return f"{self.jobs:,} jobs on {self.cores} cores{long}"


NIGHTS: Final = (Night(1024, 64), Night(256, 64, long_s=36_000))


@dataclass(slots=True)
class Run:
    """A job: ``guess`` is what the batch thinks that it costs."""

    length_s: float
    guess: float
    chunks: RunQueue[Any] = field(init=False)
    chunk_core_s: float = field(init=False)
    last_chunk: dict[int, int] = field(default_factory=dict)
    is_composing: bool = False
    workers: set[int] = field(default_factory=set)
    """Those that are busy; the first one is number 0, and has the place of the job until it ends."""

    def __post_init__(self) -> None:
        count = max(1, round(self.length_s / CHUNK_S))
        self.chunk_core_s = self.length_s / CHUNK_S * CHUNK_CORE_S / count
        self.chunks = RunQueue(range(count), 1, lambda _: True)

    @property
    def alone_s(self) -> float:
        """What it takes with one worker; the core seconds that it needs at least."""
        picture = self.length_s / CHUNK_S * CHUNK_CORE_S
        return START_CORE_S + picture + self.length_s * (SOUND_CORE_S + END_CORE_S)

    @property
    def least_s(self) -> float:
        """What it takes with any number of workers: what only one core can do."""
        return START_CORE_S + max(self.chunk_core_s, self.length_s * SOUND_CORE_S) + self.length_s * END_CORE_S

    def take(self, worker: int) -> float | None:
        """Seconds of this worker's next chunk; None where there is none."""
        number = self.chunks.take(worker)
        if number is None:
            return None
        follows = number == 0 or self.last_chunk.get(worker) == number - 1
        self.last_chunk[worker] = number
        return self.chunk_core_s + (0 if follows else JOINT_CORE_S)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Seconds of a night, and the least that any order could take."""

    wall_s: float
    bound_s: float

    @property
    def above(self) -> float:
        """How much longer it took than the bound: 0.02 is 2 %."""
        return self.wall_s / self.bound_s - 1


class Machine:
    """Simulates places and the jobs that have them."""

    def __init__(self, cores: int, runs: Sequence[Run], policy: Policy, seed: int) -> None:
        self._runs = {str(number): run for number, run in enumerate(runs)}
        self._agenda = agenda_of(self._runs, policy)
        self._spares = policy == SHIPPED
        self._free = cores
        self._running: dict[str, Run] = {}
        self._attempts: dict[str, Attempt] = {}
        self._events: list[tuple[float, int, str, int, str]] = []
        self._counter = 0
        self._now_s = 0.0
        self._chance = random.Random(seed)

    def wall_s(self) -> float:
        """Run it to the end."""
        self._fill()
        while self._events:
            self._now_s, _, name, worker, what = heappop(self._events)
            self._go_on(name, worker, what)
            self._fill()
        assert self._agenda.is_over
        return self._now_s

    @property
    def _somebody_waits(self) -> bool:
        return self._agenda.is_ready(self._now_s)

    def _fill(self) -> None:
        """Jobs that wait come first; only when none does, running jobs take what is free."""
        while self._free and (attempt := self._agenda.pick(self._now_s, HOSTS, lambda _: True)):
            name = attempt.job.id
            run = self._runs[name]
            self._free -= 1
            run.workers.add(0)
            self._running[name], self._attempts[name] = run, attempt
            self._at(START_CORE_S, name, 0, "started")
        if self._spares and self._free and not self._somebody_waits:
            self._lend()

    def _lend(self) -> None:
        asking = [name for name, run in self._running.items() if len(run.chunks) and run.is_composing]
        while self._free and asking:
            name = self._chance.choice(asking)
            run = self._running[name]
            worker = next(number for number in range(1, len(run.workers) + 2) if number not in run.workers)
            made_s = run.take(worker)
            assert made_s is not None
            self._free -= 1
            run.workers.add(worker)
            self._at(self._chance.uniform(0, LOOK_EVERY_S) + WORKER_CORE_S + made_s, name, worker, "made")
            if not len(run.chunks):
                asking.remove(name)

    def _go_on(self, name: str, worker: int, what: str) -> None:
        """One worker has finished something: the first one of a job mixes its sound, then all make chunks."""
        run = self._running[name]
        if what == "started":
            run.is_composing = True
            run.chunks.claim(0)
            self._at(run.length_s * SOUND_CORE_S, name, 0, "made")
        elif what == "ended":
            self._agenda.end(Ended(self._attempts.pop(name), 0, node=HOSTS[0], wall_s=run.alone_s), self._now_s)
            del self._running[name]
            self._free += 1
        elif worker and self._somebody_waits:
            self._leave(name, worker)
        else:
            made_s = run.take(worker)
            if made_s is not None:
                self._at(made_s, name, worker, "made")
            else:
                self._leave(name, worker)

    def _leave(self, name: str, worker: int) -> None:
        """A worker has no chunk any more, or gives its place back. The job ends when the last one is done."""
        run = self._running[name]
        run.workers.remove(worker)
        if worker:
            self._free += 1
        if not run.workers and not len(run.chunks):
            run.is_composing = False
            self._at(run.length_s * END_CORE_S, name, 0, "ended")

    def _at(self, in_s: float, name: str, worker: int, what: str) -> None:
        self._counter += 1
        heappush(self._events, (self._now_s + in_s, self._counter, name, worker, what))


def agenda_of(runs: Mapping[str, Run], policy: Policy) -> Agenda:
    """The agenda of a batch with these jobs, whose costs are guesses."""
    jobs = [BatchJob(name, Path(name), name, cost=run.guess) for name, run in runs.items()]
    order: Literal["given", "longest"] = "given" if policy == "given" else "longest"
    return Agenda(plan_batch(jobs, {}, Path(), (), order).planned, 1, Estimates())


def simulate(night: Night, policy: Policy, seed: int) -> Outcome:
    """One night."""
    chance = random.Random(-1 - seed)
    runs = [Run(length_s, length_s * exp(chance.gauss(0, GUESS_SPREAD))) for length_s in night.lengths(seed)]
    bound_s = max(sum(run.alone_s for run in runs) / night.cores, *(run.least_s for run in runs))
    return Outcome(Machine(night.cores, runs, policy, seed).wall_s(), bound_s)


def rows(nights: Sequence[Night], seeds: int) -> Iterator[list[str]]:
    """Each night with each policy: the mean of the seeds, and the worst of them."""
    for night in nights:
        for policy, name in POLICIES.items():
            found = [simulate(night, policy, seed) for seed in range(seeds)]
            wall_s = sum(one.wall_s for one in found) / seeds
            mean = sum(one.above for one in found) / seeds
            worst = max(one.above for one in found)
            yield [f"{night}: {name}", f"{wall_s / 60:.1f}", f"{100 * mean:.2f} %", f"{100 * worst:.2f} %"]


def main(words: Sequence[str]) -> None:
    """Print how long nights take."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.lab night", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="nights of each kind; 5 without")
    arguments = parser.parse_args(words)
    print(markdown(("night", "minutes", "above the bound", "the worst"), list(rows(NIGHTS, arguments.seeds))))
