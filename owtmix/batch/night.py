"""The batch itself: begins what the agenda picks, records every end, and drains when it is asked to."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from owtmix.base.errors import UnreadableError
from owtmix.base.strict_json import printable
from owtmix.base.wording import counted
from owtmix.batch.agenda import Agenda
from owtmix.batch.attempt import Ended, JobProgress
from owtmix.batch.begun import BegunFile
from owtmix.batch.estimates import Estimates
from owtmix.batch.journal import Journal
from owtmix.batch.messages import LONGEST_ERROR
from owtmix.batch.policy import COMPOSING, DONE, FAILED, INTERRUPTED, NOT_SET_UP, REJECTED, Verdict, is_stopped
from owtmix.batch.runner import Runner
from owtmix.batch.tally import LONGEST_OUTPUT, Tally, duration_of, output_of, warnings_of

_log = logging.getLogger(__name__)

_WAIT_S: Final = 1.0
_SHORT_WAIT_S: Final = 0.25
"""While something may change of which nobody tells: places of other batches, memory, a signal."""
_LEAST_WAIT_S: Final = 0.01
LONGEST_ID: Final = 100
"""In characters, of a job's id in a message."""


@dataclass(frozen=True, slots=True)
class Status:
    """How far the batch is. ``part`` is the share of the work that is done, 0..1; unknown times are None."""

    done: int
    failed: int
    waiting: int
    running: Mapping[str, JobProgress]
    part: float
    left_s: float | None
    is_draining: bool


class Watcher(Protocol):
    """Is shown how far the batch is: the live view, the metrics, the sender of callbacks."""

    def look(self, status: Callable[[], Status]) -> None:
        """Called often; asks for the status when it needs it."""


class Requests(Protocol):
    """Signals: how many requests to end there were."""

    count: int


@dataclass(frozen=True, slots=True)
class Site:
    """What a night works with.

    ``listeners`` hear of every end, after it is recorded; ``begun`` knows what runs where a host is at stake.
    """

    agenda: Agenda
    runner: Runner
    journal: Journal
    tally: Tally
    estimates: Estimates
    watchers: tuple[Watcher, ...] = ()
    listeners: tuple[Callable[[Ended], None], ...] = ()
    begun: BegunFile | None = None


class Night:
    """Runs the jobs of an agenda to their ends."""

    def __init__(
        self, site: Site, requests: Requests, grace_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._site = site
        self._requests = requests
        self._grace_s = grace_s
        self._clock = clock
        self._stop_at_s: float | None = None
        self._is_stopped = False
        self._is_unrecorded = False
        self._cost = site.agenda.cost_waiting
        self.is_hopeless = False
        """Whether the batch ended since no host is set up."""

    def run(self) -> None:
        """Run until nothing is left, or nothing more may begin and nothing runs."""
        site, agenda, runner = self._site, self._site.agenda, self._site.runner
        while True:
            self._heed_requests()
            while attempt := agenda.pick(self._clock(), runner.hosts, runner.can_begin):
                if site.begun:
                    site.begun.begin(attempt.job, site.journal.jobs.get(attempt.job.id))
                runner.begin(attempt)
            if agenda.is_over:
                break
            for ended in runner.wait(self._timeout_s()):
                self._end(ended)
            for watcher in self._site.watchers:
                watcher.look(self.status)
        self._site.journal.write()
        self._heed_journal()

    def status(self) -> Status:
        """How far the batch is now."""
        agenda, tally, running = self._site.agenda, self._site.tally, self._site.runner.progress()
        open_cost = agenda.cost_waiting + sum(
            agenda.cost_of(name) * (1 - (progress.percent or 0.0) / 100) for name, progress in running.items()
        )
        seconds = self._site.estimates.seconds(open_cost)
        left_s = None if seconds is None else max(seconds / max(1, len(running)), self._longest_wait_s())
        part = 1 - open_cost / self._cost if self._cost > 0 else 1.0
        draining = agenda.is_draining
        return Status(tally.done, tally.failed, agenda.waiting, running, max(0.0, part), left_s, draining)

    def _longest_wait_s(self) -> float:
        """How long the jobs that are tried again take at least, their waits included."""
        waits = self._site.agenda.waits(self._clock())
        return max((wait_s + (self._site.estimates.seconds(cost) or 0.0) for wait_s, cost in waits), default=0.0)

    def _heed_requests(self) -> None:
        """Drain at the first request; stop what runs at the second one, or after the grace."""
        if not self._requests.count:
            return
        if self._stop_at_s is None:
            self._site.agenda.drain()
            self._stop_at_s = self._clock() + self._grace_s
            running = self._site.agenda.running
            have, them = counted(running, "running job has", "running jobs have"), "it" if running == 1 else "them"
            left = f"; {have} {self._grace_s:g} s to end, and a second signal stops {them} at once"
            _log.warning("nothing more begins%s", left if running else ", and nothing runs")
        if not self._is_stopped and (self._requests.count > 1 or self._clock() >= self._stop_at_s):
            self._is_stopped = True
            if running := self._site.agenda.running:
                them = "it" if running == 1 else "them"
                _log.warning("stopping %s: the next run goes on with %s", counted(running, "running job"), them)
            self._site.runner.stop()

    def _timeout_s(self) -> float:
        agenda, now_s = self._site.agenda, self._clock()
        longest_s = _SHORT_WAIT_S if agenda.is_draining or agenda.is_ready(now_s) else _WAIT_S
        next_s = agenda.next_s(now_s)
        return longest_s if next_s is None else min(longest_s, max(_LEAST_WAIT_S, next_s - now_s))

    def _end(self, ended: Ended) -> None:
        site = self._site
        if self._is_stopped and is_stopped(ended.exit_status):  # whichever signal it took, and however it took it
            ended = replace(ended, exit_status=INTERRUPTED)
        ended = _without_double(_with_time(ended), site.tally)
        verdict, history = site.agenda.end(ended, self._clock(), is_asked=self._requests.count > 0)
        site.tally.add(ended, verdict)
        site.journal.note(entry_of(ended, verdict), history)
        if site.begun:
            site.begun.end(ended.attempt.job)
        _tell(ended, verdict, is_draining=site.agenda.is_draining)
        for hear in site.listeners:
            hear(ended)
        self._heed_journal()
        if not (self.is_hopeless or site.agenda.is_draining) and site.agenda.is_hopeless(site.runner.hosts):
            self.is_hopeless = True
            site.agenda.drain()
            _log.error("nothing more begins: no host is set up: %s", ended.error)

    def _heed_journal(self) -> None:
        """Begin nothing more when results cannot be recorded."""
        if self._site.journal.failure and not self._is_unrecorded:
            self._is_unrecorded = True
            self._site.agenda.drain()
            _log.error("%s: nothing more begins", self._site.journal.failure)


def _with_time(ended: Ended) -> Ended:
    """The end of an attempt; of one that another time may be better for, that it found no machine set up.

    One could not read its job file: when the queue was read it was there, so its disk may be back soon. Another one
    ended since its machine was short of something.
    """
    is_unreadable = ended.exit_status == REJECTED and ended.failure == UnreadableError.__name__
    if is_unreadable or (ended.exit_status == COMPOSING and ended.is_shortage):
        return replace(ended, exit_status=NOT_SET_UP, is_own=True)
    return ended


def _without_double(ended: Ended, tally: Tally) -> Ended:
    """The end of an attempt; of one that replaced the output of another job, that it is rejected.

    The queue is checked for this before anything runs, but only ``owt-main`` knows for sure where it writes.
    """
    output = output_of(ended.report or {})
    maker = tally.maker_of(output) if output and ended.exit_status == DONE else None
    if output is None or maker is None:
        return ended
    name, shown = printable(maker, LONGEST_ID), printable(output, LONGEST_ERROR // 2)
    why = f"it replaced the output of {name}, {shown}: give it another one; the next run makes that of {name} again"
    return replace(ended, exit_status=REJECTED, error=why)


def entry_of(ended: Ended, verdict: Verdict) -> dict[str, Any]:
    """The line of the journal."""
    attempt, report = ended.attempt, ended.report or {}
    output = output_of(report)
    chunks = report.get("chunks")
    counts = (
        {key: chunks[key] for key in ("total", "reused") if type(chunks.get(key)) is int}
        if (isinstance(chunks, Mapping))
        else None
    )
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "id": attempt.job.id,
        "key": attempt.job.key,
        "cfg": str(attempt.job.cfg),
        "attempt": attempt.number,
        "state": verdict.state,
        "exit": ended.exit_status,
        "node": ended.node,
        "wall_s": round(ended.wall_s, 3),
        "cpu_s": round(ended.cpu_s, 3),
        "peak_mib": ended.peak_mib,
        "output": output[:LONGEST_OUTPUT] if output else None,
        "duration_s": duration_of(report),
        "warnings": len(warnings_of(report)),
        "chunks": counts,
        "error": ended.error[:LONGEST_ERROR] or None,
        "log": str(attempt.log) if os.path.exists(attempt.log) else None,  # noqa: PTH110 - it raises nothing
    }


def _tell(ended: Ended, verdict: Verdict, *, is_draining: bool) -> None:
    """A line of the log about an attempt."""
    name = printable(ended.attempt.job.id, LONGEST_ID)
    if verdict.state == "done":
        _log.debug("%s is done in %.1f s", name, ended.wall_s)
    elif verdict.is_asked:
        _log.info("%s is stopped", name)
    elif verdict.state in FAILED:
        _log.error("%s is %s: %s", name, verdict.state, ended.error)
    elif is_draining:
        _log.warning("%s failed, the next run tries it again: %s", name, ended.error or "its node was lost")
    else:
        pause = f", and nothing begins on {ended.node} for {verdict.pause_s:g} s" if verdict.pause_s else ""
        when = f"in {verdict.wait_s:g} s" if verdict.wait_s else "at once"
        _log.warning("%s failed and is tried again %s%s: %s", name, when, pause, ended.error or "its node was lost")
