"""What a batch would do: the jobs that are to be run, best first, and those that have ended; as text and as JSON."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Final, Literal

from owtmix.base.ids import is_job_id
from owtmix.base.plain_text import plain_line
from owtmix.base.strict_json import printable
from owtmix.base.wording import counted
from owtmix.batch.agenda import Planned
from owtmix.batch.attempt import BatchJob
from owtmix.batch.cost import Guess, Guesser
from owtmix.batch.lines import clock
from owtmix.batch.night import LONGEST_ID
from owtmix.batch.policy import FAILED, NOT_SET_UP, History
from owtmix.batch.results_reader import Past

_SHORTEST: Final = 60
"""Characters of an id in the name of its log, when it cannot be the name itself."""
_NO_PAST: Final = History()


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """The jobs in the order in which they begin, and those that are skipped with their pasts.

    ``places`` is how many run at a time, where that is known.
    """

    planned: tuple[Planned, ...]
    guesses: dict[str, Guess]
    skipped: tuple[tuple[BatchJob, Past], ...]
    places: int | None = None

    @property
    def least_s(self) -> float | None:
        """How long all jobs take at least on the places, on processors; None where nobody can tell.

        A free place goes to a job that runs, so that all places are busy to the end, or nearly so.
        """
        is_guessed = all(plan.job.cost is None for plan in self.planned)  # others may have another unit
        is_known = any(self.guesses[plan.job.id].cost is not None for plan in self.planned)
        if self.places is None or not is_guessed or not is_known:
            return None
        return sum(plan.cost for plan in self.planned) / self.places

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON values. Values that are set are not shown: there may be secrets among them."""
        return {
            "jobs": [
                {
                    "id": plan.job.id,
                    "cfg": str(plan.job.cfg),
                    "priority": plan.job.priority,
                    "cost": round(plan.cost, 3),
                    "output_s": _rounded(self.guesses[plan.job.id].output_s),
                    "memory_mib": plan.memory_bytes >> 20,
                    "disk_mib": plan.disk_bytes >> 20,
                    "attempt": plan.history.counted + 1,
                }
                for plan in self.planned
            ],
            "places": self.places,
            "least_s": _rounded(self.least_s),
            "skipped": [{"id": job.id, "cfg": str(job.cfg), "state": past.state} for job, past in self.skipped],
        }

    def describe(self) -> str:
        """The plan as lines of text."""
        return "\n".join(map(plain_line, self._lines()))

    def _lines(self) -> Iterator[str]:
        if self.skipped:
            states = Counter(past.state for _, past in self.skipped)
            counts = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))
            yield f"{counted(len(self.skipped), 'job has', 'jobs have')} ended: {counts}"
        if not self.planned:
            yield "nothing is to be run"
        else:
            yield f"{counted(len(self.planned), 'job is', 'jobs are')} to be run, in this order:"
            yield f"{'':>6}  {'cost':>9}  {'output':>8}  {'memory':>10}  job"
        for number, plan in enumerate(self.planned, 1):
            output_s = self.guesses[plan.job.id].output_s
            length = "?" if output_s is None else clock(output_s)
            memory = f"{plan.memory_bytes >> 20:,} MiB"
            attempt = f", attempt {plan.history.counted + 1}" if plan.history.counted else ""
            name = printable(plan.job.id, LONGEST_ID)
            yield f"{number:6,}  {plan.cost:9,.1f}  {length:>8}  {memory:>10}  {name}{attempt}"
        if self.planned:
            yield "cost: as the manifest says, or a guess of the seconds of one processor, without a card"
        if self.least_s is not None:
            places = "1 place" if self.places == 1 else f"{self.places:,} places"
            yield f"all of them take at least about {clock(self.least_s)} on {places}"


def plan_batch(
    jobs: Sequence[BatchJob],
    past: dict[str, Past],
    logs: Path,
    index_keys: Sequence[str],
    order: Literal["longest", "given"] = "longest",
    again: Literal["failed", "all"] | None = None,
) -> BatchPlan:
    """What is to be done of ``jobs``.

    Args:
        jobs: as they stand in the queue.
        past: what the journal says, by their ids, in order of their last lines.
        logs: the folder of their logs.
        index_keys: where indexes are, by the settings.
        order: of jobs with the same priority.
        again: which of those that ended are run again.
    """
    skipped = []
    open_jobs: list[tuple[BatchJob, Past | None]] = []
    for job in jobs:
        before = past.get(job.id)
        if before and before.key != job.key:
            before = None
        if before and before.is_final and not _is_repeated(before, again):
            skipped.append((job, before))
        else:
            open_jobs.append((job, None if before and before.is_final else before))
    guesser = Guesser(index_keys)
    guesses = {job.id: guesser.guess(job) for job, _ in open_jobs}
    known = [cost for job, _ in open_jobs if (cost := _cost(job, guesses[job.id])) is not None]
    typical = fmean(known) if known else 1.0
    planned = [_planned(job, before, guesses[job.id], typical, logs) for job, before in open_jobs]
    latest = {name: number for number, name in enumerate(past)}
    planned.sort(
        key=lambda plan: (
            plan.was_stuck,
            # Of those that found no host, who was tried longest ago: what always says it keeps nobody else waiting.
            latest[plan.job.id] if plan.was_stuck else 0,
            *plan.history.turn,
            -plan.job.priority,
            -plan.cost if order == "longest" else 0,
        )
    )
    return BatchPlan(tuple(planned), guesses, tuple(skipped))


def _is_repeated(past: Past, again: Literal["failed", "all"] | None) -> bool:
    return again == "all" or (again == "failed" and past.state in FAILED)


def _cost(job: BatchJob, guessed: Guess) -> float | None:
    return guessed.cost if job.cost is None else job.cost


def _planned(job: BatchJob, past: Past | None, guessed: Guess, typical: float, logs: Path) -> Planned:
    cost = _cost(job, guessed)
    return Planned(
        job,
        typical if cost is None else cost,
        logs / log_name(job.id),
        guessed.memory_bytes,
        guessed.disk_bytes,
        past.history if past else _NO_PAST,
        past.peak_mib if past else 0,
        was_stuck=past is not None and past.exit_status == NOT_SET_UP,
    )


def log_name(name: str) -> str:
    """The name of the log of a job: its id, where that can be the name of a file."""
    if is_job_id(name):
        return f"{name}.log"
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:12]
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '_', name)[:_SHORTEST]}-{digest}.log"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
