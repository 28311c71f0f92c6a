"""The night with a runner that ends as it is told, and a clock of its own."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from owtmix.batch.agenda import Agenda, Planned
from owtmix.batch.attempt import Attempt, Ended, JobProgress
from owtmix.batch.estimates import Estimates
from owtmix.batch.journal import Journal
from owtmix.batch.night import Night, Site
from owtmix.batch.tally import Tally
from tests.batch.made import ended, planned


@dataclass
class Runner:
    """Ends attempts with ``ends``, the first one with the first of them, and calls for a signal before."""

    ends: list[int | None]
    count: int = 0
    signals: int = 0
    running: list[Attempt] = field(default_factory=list)
    stops: int = 0
    now_s: float = 0.0

    @property
    def hosts(self) -> Collection[str]:
        return ("here",)

    busy_places = 0

    def can_begin(self, _attempt: Attempt) -> bool:
        return len(self.running) < len(self.ends)

    def begin(self, attempt: Attempt) -> None:
        self.running.append(attempt)

    def wait(self, timeout_s: float) -> list[Ended]:
        self.now_s += timeout_s
        if self.count < self.signals:
            self.count += 1
            return []
        return [ended(self.running.pop(0), self.ends.pop(0), error="why", wall_s=10.0)] if self.running else []

    def progress(self) -> Mapping[str, JobProgress]:
        return {attempt.job.id: JobProgress() for attempt in self.running}

    def stop(self) -> None:
        self.stops += 1

    def close(self) -> None:
        pass


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "results.jsonl")
    yield journal
    journal.close()


def night_of(journal: Journal, runner: Runner, *plans: Planned, grace_s: float = 60.0) -> Night:
    estimates = Estimates()
    site = Site(Agenda(plans, 3, estimates), runner, journal, Tally(), estimates)
    return Night(site, runner, grace_s, clock=lambda: runner.now_s)


def states(journal: Journal) -> dict[str, tuple[str, int | None, int]]:
    return {name: (past.state, past.exit_status, past.history.counted) for name, past in journal.jobs.items()}


@pytest.mark.parametrize("status", [1, 3, 4, 5, 6, 99, 130, 137, -9, -15])
def test_what_a_stop_causes_does_not_count(journal: Journal, caplog: pytest.LogCaptureFixture, status: int) -> None:
    runner = Runner([status], signals=2)
    with caplog.at_level(logging.INFO):
        night_of(journal, runner, planned("a"), planned("b")).run()
    assert runner.stops
    assert states(journal) == {"a": ("drained", 130, 0)}
    assert caplog.messages[-1] == "a is stopped"
    assert "again" not in caplog.text


@pytest.mark.parametrize(("status", "state"), [(0, "done"), (2, "rejected"), (None, "lost")])
def test_what_no_stop_causes_is_what_it_is(journal: Journal, status: int | None, state: str) -> None:
    night_of(journal, Runner([status], signals=2), planned("a")).run()
    assert states(journal)["a"][0] == state


@pytest.mark.parametrize(("status", "state"), [(1, "lost"), (4, "again"), (5, "again"), (-9, "again")])
def test_while_draining_nothing_is_announced(
    journal: Journal, caplog: pytest.LogCaptureFixture, status: int, state: str
) -> None:
    """A job that failed by itself meanwhile is what it is, but nothing begins any more."""
    night_of(journal, Runner([status], signals=1), planned("a"), planned("b")).run()
    assert states(journal)["a"][:2] == (state, status)
    assert caplog.messages[-1] == "a failed, the next run tries it again: why"
    assert "nothing begins on" not in caplog.text


def test_draining_says_how_long_what_runs_may_go_on(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    runner = Runner([0, 0], signals=1)
    night_of(journal, runner, planned("a"), planned("b")).run()
    told = "nothing more begins; 2 running jobs have 60 s to end, and a second signal stops them at once"
    assert caplog.messages == [told]


def test_draining_without_anything_that_runs_says_so(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    runner = Runner([0], count=1)
    night_of(journal, runner, planned("a")).run()
    assert caplog.messages == ["nothing more begins, and nothing runs"]


def test_the_time_left_has_the_waits_of_jobs_that_are_tried_again(journal: Journal) -> None:
    runner = Runner([0, 3], now_s=1000.0)
    night = night_of(journal, runner, planned("a"), planned("b", cost=2.0))
    agenda = night._site.agenda
    for _ in range(2):
        begun = agenda.pick(1000.0, runner.hosts, lambda _: True)
        assert begun
        runner.begin(begun)
    for end in (*runner.wait(0), *runner.wait(0)):
        night._end(end)
    status = night.status()
    assert (status.waiting, status.left_s) == (1, 30.0 + 2 * 10.0)
    runner.now_s += 25
    assert night.status().left_s == 5.0 + 2 * 10.0
    runner.now_s += 100
    assert night.status().left_s == 2 * 10.0
