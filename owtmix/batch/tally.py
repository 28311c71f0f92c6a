"""What a batch has done so far: counts, sums, and the jobs that failed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from owtmix.batch.attempt import Ended
from owtmix.batch.outside import number_of
from owtmix.batch.policy import FAILED, FINAL, Verdict, reason_of
from owtmix.batch.results_reader import Past

LONGEST_OUTPUT: Final = 4096
"""In characters, of the address of an output that is kept."""
MOST_FAILURES: Final = 20
"""Shown with their reasons; the others are counted."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A job that failed, and why."""

    id: str
    state: str
    exit_status: int | None
    error: str


class Tally:
    """Counts jobs by their final states, those of earlier runs included, and what this run took and made."""

    def __init__(self) -> None:
        self.states: Counter[str] = Counter()
        self.past: Counter[str] = Counter()
        self.attempts = 0
        self.retries: Counter[str] = Counter()
        self.output_s = 0.0
        self.output_bytes = 0
        self.cpu_s = 0.0
        self.warnings = 0
        self.failures: list[Failure] = []
        self._makers: dict[str, str] = {}

    @property
    def skipped(self) -> int:
        """Jobs that had their final state before this run."""
        return self.past.total()

    def ended(self, state: str) -> int:
        """Jobs that got this final state in this run."""
        return self.states[state] - self.past[state]

    @property
    def done(self) -> int:
        """Jobs that are done, in this run or before."""
        return self.states["done"]

    @property
    def failed(self) -> int:
        """Jobs that failed, in this run or before."""
        return sum(self.states[state] for state in FAILED)

    def maker_of(self, output: str) -> str | None:
        """The job that made an output, in this run or before; None when none of the queue did."""
        return self._makers.get(output[:LONGEST_OUTPUT])

    def skip(self, name: str, past: Past) -> None:
        """A job has its final state from an earlier run."""
        self.past[past.state] += 1
        if past.output:
            self._makers[past.output] = name
        self._finish(Failure(name, past.state, past.exit_status, past.error))

    def add(self, ended: Ended, verdict: Verdict) -> None:
        """An attempt ended."""
        self.attempts += 1
        self.cpu_s += ended.cpu_s
        if verdict.is_asked:
            return
        if verdict.state not in FINAL:
            self.retries[reason_of(ended.exit_status)] += 1
            return
        self._finish(Failure(ended.attempt.job.id, verdict.state, ended.exit_status, ended.error))
        if verdict.state == "done" and ended.report:
            self.output_s += duration_of(ended.report) or 0.0
            self.output_bytes += _output_bytes(ended.report)
            self.warnings += len(warnings_of(ended.report))
            if output := output_of(ended.report):
                self._makers[output[:LONGEST_OUTPUT]] = ended.attempt.job.id

    def _finish(self, failure: Failure) -> None:
        self.states[failure.state] += 1
        if failure.state in FAILED and len(self.failures) < MOST_FAILURES:
            self.failures.append(failure)


def duration_of(report: Mapping[str, Any]) -> float | None:
    """The length of the output in seconds."""
    return number_of(report.get("duration_s"))


def output_of(report: Mapping[str, Any]) -> str | None:
    """The address of the output."""
    output = report.get("output")
    return output if isinstance(output, str) else None


def warnings_of(report: Mapping[str, Any]) -> list[Any]:
    """The warnings of a job."""
    warnings = report.get("warnings")
    return warnings if isinstance(warnings, list) else []


def _output_bytes(report: Mapping[str, Any]) -> int:
    """The size of an output that lies in a folder; 0 of others."""
    try:
        return os.stat(output_of(report) or "").st_size  # noqa: PTH116 - the text may be no path
    except (OSError, ValueError):
        return 0
