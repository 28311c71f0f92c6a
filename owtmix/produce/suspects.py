"""Finds the sources that killed a worker: each suspect is decoded alone, in a worker of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Final

from owtmix.produce.failures import Culprit, Greedy
from owtmix.produce.tasks import AudioTask, SuspectTask, TrackTask
from owtmix.workers.alone import do_alone, shortage_of
from owtmix.workers.base import Executor, Outcome

SUSPECT_S: Final = 60
"""Suspects are decoded this far beyond the last report of the worker that died. It died within that range."""


def suspect_tasks(dead: Outcome[TrackTask]) -> Iterator[SuspectTask]:
    """A task for each source that a track's task may have been decoding when its worker died."""
    setup, plan = dead.task.setup, dead.task.setup.plan
    if isinstance(dead.task, AudioTask):
        assert plan.sound
        until = Fraction(dead.done_s) + SUSPECT_S
        for source in sorted({p.source for p in plan.sound.placements if p.span.start < until}):
            yield SuspectTask(setup, source, None, until)
        return
    assert plan.picture
    clock, frames = plan.picture.clock, dead.task.frames
    start = clock.time(frames.start)
    until = start + Fraction(dead.done_s) + SUSPECT_S
    frames = range(frames.start, min(frames.stop, floor(until * clock.fps)))
    shots = (shot for shots in plan.picture.shots.values() for shot in shots)
    shown = {s.source for s in shots if s.source is not None and s.span.start < until and start < s.span.end}
    for source in sorted(shown):
        yield SuspectTask(setup, source, frames, until)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What decoding the suspects alone has shown: who killed its worker, and who took the most memory."""

    culprits: tuple[Culprit, ...]
    greediest: Greedy | None


def try_suspects(executor: Executor, dead: Outcome[TrackTask]) -> Verdict:
    """Decode the suspected sources, each in a worker of its own; those that kill it do so again, quite alone.

    Raises:
        ShortageError: the machine is short of something.
    """
    trials = list(executor.run(list(suspect_tasks(dead)), alone=True))
    again = [do_alone(executor, trial.task) for trial in trials if trial.death or shortage_of(trial)]
    return Verdict(tuple(_culprit(trial) for trial in again if trial.death), _greediest(dead, trials))


def _greediest(dead: Outcome[TrackTask], trials: Sequence[Outcome[SuspectTask]]) -> Greedy | None:
    """The source that took the most memory, of those that a task for the picture shows; files may lie about it."""
    if isinstance(dead.task, AudioTask) or not trials:
        return None
    plan = dead.task.setup.plan
    assert plan.picture
    trial = max(trials, key=lambda trial: (trial.peak_bytes, trial.task.source))
    start_s = plan.picture.clock.time(dead.task.frames.start)
    return Greedy(trial.task.source, trial.task.name, start_s, trial.peak_bytes)


def _culprit(trial: Outcome[SuspectTask]) -> Culprit:
    assert trial.death
    at_s = Fraction(trial.done_s).limit_denominator(1_000_000)
    return Culprit(trial.task.source, trial.task.name, at_s, trial.death)
